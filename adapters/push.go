package adapters

import (
	"context"
	"strings"
	"time"

	"firebreak/adapters/ccda"
	"firebreak/adapters/hl7"
	"firebreak/adapters/rest"
	"firebreak/inbox"
)

// Push takes FHIR interactions and clinical documents from sources that send
// them over HTTP (GW-04, GW-06). They go through the inbox like every other
// message, so a push that was answered with success is on disk and applied, and
// one that was not applied is held, where an operator finds it.
type Push struct {
	Sink    inbox.Sink
	Applied func(context.Context, inbox.ID) error // waits; *inbox.HeldError when the message was held
	Now     func() time.Time
	HL7     map[string]*hl7.Server // by source: feeds whose HL7 v2 comes so; see hl7.Server.Answer
}

// Do stores one interaction and waits until it is applied. source names whose
// it is, peer the client for the operator.
//
// Errors: *inbox.HeldError when it is stored but cannot be applied; anything
// else means that nothing is known to be stored.
func (p *Push) Do(ctx context.Context, source, peer string, i rest.Interaction) (inbox.ID, error) {
	return p.put(ctx, inbox.Message{Source: source, Kind: inbox.FHIR, ControlID: i.Request, Peer: peer, Body: i.Encode()})
}

// Document stores one C-CDA document and waits until it is applied. It is known by
// its own identifier, so that the same document sent again is the same message;
// by the request's where it has none.
//
// Errors: as of Do, and *ccda.Error when it cannot be read; then it is not stored.
func (p *Push) Document(ctx context.Context, source, peer, request string, body []byte) error {
	d, err := ccda.Parse(body)
	if err != nil {
		return err
	}
	if id := d.ID(); id.Root != "" {
		request = strings.TrimRight(id.Root+"^"+id.Extension, "^")
	}
	_, err = p.put(ctx, inbox.Message{Source: source, Kind: inbox.CCDA, ControlID: shortened(request), Peer: peer, Body: body})
	return err
}

func (p *Push) put(ctx context.Context, m inbox.Message) (inbox.ID, error) {
	m.Received = p.Now()
	receipt, err := p.Sink.Put(ctx, m)
	if err != nil {
		return 0, err
	}
	return receipt.ID, p.Applied(ctx, receipt.ID)
}
