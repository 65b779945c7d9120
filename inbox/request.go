package inbox

import (
	"errors"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Requested is the kind of a message by which somebody at the gateway's own pages
// asks something of a source's system; its body is a Request.
const Requested Kind = "requested"

// Request is a resource that is to be kept in a chart and sent to a feed's
// system: a message, an appointment that is asked for, or that it is taken back.
type Request struct {
	Name     string         `json:"name"`     // what it is called here: the same for each version of it
	Chart    string         `json:"chart"`    // key of the patient's chart
	To       string         `json:"to"`       // the feed
	Resource jsontext.Value `json:"resource"` // its references to the Patient have the chart's key, and an identifier that the receiver knows
}

// Message is r as a message of the gateway's own, taken in by a request.
func (r Request) Message(request, peer string, now time.Time) (Message, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return Message{}, errors.New("inbox: the resource of a Request is no JSON") // the cause may quote
	}
	return Message{Source: Own, Kind: Requested, ControlID: request, Peer: peer, Received: now, Body: b}, nil
}

// ParseRequest reads the body of a message of kind Requested.
func ParseRequest(b []byte) (r Request, err error) {
	if err := json.Unmarshal(b, &r, json.RejectUnknownMembers(true)); err != nil {
		return Request{}, errors.New("inbox: not a Request")
	}
	return r, nil
}
