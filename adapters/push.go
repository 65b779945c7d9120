package adapters

import (
	"context"
	"time"

	"firebreak/adapters/rest"
	"firebreak/inbox"
)

// Push takes FHIR interactions from sources that send FHIR over HTTP (GW-04).
// They go through the inbox like every other message, so a push that was
// answered with success is on disk and applied, and one that was not applied
// is held, where an operator finds it.
type Push struct {
	Sink    inbox.Sink
	Applied func(context.Context, inbox.ID) error // waits; *inbox.HeldError when the message was held
	Now     func() time.Time
}

// Do stores one interaction and waits until it is applied. source names whose
// it is, peer the client for the operator.
//
// Errors: *inbox.HeldError when it is stored but cannot be applied; anything
// else means that nothing is known to be stored.
func (p *Push) Do(ctx context.Context, source, peer string, i rest.Interaction) error {
	receipt, err := p.Sink.Put(ctx, inbox.Message{
		Source: source, Kind: inbox.FHIR, ControlID: i.Request, Peer: peer, Received: p.Now(), Body: i.Encode(),
	})
	if err != nil {
		return err
	}
	return p.Applied(ctx, receipt.ID)
}
