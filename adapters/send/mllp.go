package send

import (
	"context"
	"errors"

	"firebreak/adapters/hl7"
	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/mapping/out"
)

// MLLP is a receiver of HL7 v2. A letter is the same message, with the same
// MSH-10, each time that it is sent, so that the receiver knows it again.
type MLLP struct {
	Client *hl7.Client
	Make   out.HL7v2
}

// Deliver sends a letter and waits for its acknowledgement. A fault that the
// receiver says is its own, and a commit that it refuses, are in passing; any
// other negative answer needs a person.
func (m *MLLP) Deliver(ctx context.Context, l inbox.Letter) (string, error) {
	r, err := fhir.Parse(l.Resource)
	if err != nil {
		return "", &Refusal{"it is no FHIR resource"}
	}
	b, err := m.Make.Message(l, r)
	if err != nil {
		return "", &Refusal{err.Error()}
	}
	answer, err := m.Client.Send(ctx, b)
	switch {
	case err != nil:
		return "", &Down{err}
	case answer.Code == "" || answer.Code.Positive():
		return "", nil
	case answer.Busy():
		return "", errors.New("send: the receiver answered " + string(answer.Code) + ": a fault of its own")
	}
	return "", &Refusal{"the receiver answered " + string(answer.Code) + ": " + answer.Err().Error()}
}

// Close ends the connection; the next letter opens another.
func (m *MLLP) Close() error { return m.Client.Close() }
