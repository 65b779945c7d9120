package inbox

import (
	"encoding/json"
	"errors"
	"time"
)

// Own is the source of what the gateway is told at its own pages. No feed and no
// client has that name.
const Own = "firebreak"

// Told is the kind of a message that says that a patient was told of a result;
// its body is a Telling.
const Told Kind = "told"

// Telling says that a patient was told of a result, at a visit or otherwise.
type Telling struct {
	Chart  string `json:"chart"` // key of the chart that the result lies in
	Type   string `json:"type"`  // of the result, and its id
	ID     string `json:"id"`
	On     string `json:"on"`     // the day, YYYY-MM-DD
	By     string `json:"by"`     // who told the patient
	How    string `json:"how"`    // "visit", "telephone", "letter"
	Note   string `json:"note"`   // may be empty
	Author string `json:"author"` // who wrote it down
}

// Message is t as a message of the gateway's own, taken in by a request.
func (t Telling) Message(request, peer string, now time.Time) (Message, error) {
	b, err := json.Marshal(t)
	return Message{Source: Own, Kind: Told, ControlID: request, Peer: peer, Received: now, Body: b}, err
}

// ParseTelling reads the body of a message of kind Told.
func ParseTelling(b []byte) (t Telling, err error) {
	if err := json.Unmarshal(b, &t); err != nil {
		return Telling{}, errors.New("inbox: not a Telling") // the cause may quote
	}
	return t, nil
}
