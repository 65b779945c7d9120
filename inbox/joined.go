package inbox

import (
	"encoding/json"
	"errors"
	"time"
)

// Joined is the kind of a message that says that two charts are of one person, or
// that this was a mistake; its body is a Joining.
const Joined Kind = "joined"

// Joining says that what is known in one chart belongs to another's patient.
type Joining struct {
	From   string `json:"from"` // keys of charts
	Into   string `json:"into"`
	Undo   bool   `json:"undo,omitempty"`
	Author string `json:"author"` // who decided
}

// Message is j as a message of the gateway's own, taken in by a request.
func (j Joining) Message(request, peer string, now time.Time) (Message, error) {
	b, err := json.Marshal(j)
	return Message{Source: Own, Kind: Joined, ControlID: request, Peer: peer, Received: now, Body: b}, err
}

// ParseJoining reads the body of a message of kind Joined.
func ParseJoining(b []byte) (j Joining, err error) {
	if err := json.Unmarshal(b, &j); err != nil {
		return Joining{}, errors.New("inbox: not a Joining") // the cause may quote
	}
	return j, nil
}
