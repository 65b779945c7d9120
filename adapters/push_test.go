package adapters_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"firebreak/adapters"
	"firebreak/adapters/rest"
	"firebreak/inbox"
)

// putter takes one message, or fails.
type putter struct {
	got inbox.Message
	err error
}

func (p *putter) Put(_ context.Context, m inbox.Message) (inbox.Receipt, error) {
	p.got = m
	return inbox.Receipt{ID: 7}, p.err
}

func TestPushIsStoredThenWaitedFor(t *testing.T) {
	now := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	held, broken := &inbox.HeldError{Reason: "Patient: not whole"}, errors.New("disk full")
	for name, c := range map[string]struct{ put, applied, want error }{
		"applied":       {nil, nil, nil},
		"held":          {nil, held, held},
		"not stored":    {broken, nil, broken},
		"given up":      {nil, context.Canceled, context.Canceled},
		"not even held": {broken, held, broken},
	} {
		sink := &putter{err: c.put}
		waited := inbox.ID(0)
		p := &adapters.Push{Sink: sink, Now: func() time.Time { return now }, Applied: func(_ context.Context, id inbox.ID) error {
			waited = id
			return c.applied
		}}
		i := rest.Interaction{Method: "PUT", Path: "Patient/1", Request: "r-1", Resource: []byte(`{"resourceType":"Patient","id":"1"}`)}
		if _, err := p.Do(t.Context(), "ehr", "client-1", i); err != c.want {
			t.Errorf("%s: %v", name, err)
		}
		if (waited == 7) != (c.put == nil) {
			t.Errorf("%s: waited for %d", name, waited)
		}
		m := sink.got
		if m.Source != "ehr" || m.Kind != inbox.FHIR || m.ControlID != "r-1" || m.Peer != "client-1" || !m.Received.Equal(now) || string(m.Body) != string(i.Encode()) {
			t.Errorf("%s: stored %+v", name, m)
		}
	}
}
