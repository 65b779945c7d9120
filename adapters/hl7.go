package adapters

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"firebreak/adapters/hl7"
	"firebreak/inbox"
)

// HL7 takes HL7 v2 messages in over MLLP and puts them into the inbox. The
// sender gets a positive answer only when Put has returned nil, so never before
// its message is on disk.
//
// Whatever is framed is kept: what cannot be parsed goes into the inbox as it
// came, for the operator, and is answered AR so that the sender knows too.
type HL7 struct {
	Source string // the feed's name; ids are made from it
	Sink   inbox.Sink

	// Facilities are the MSH-4 namespace ids (first component) this feed may
	// send for; empty: any. A message of another is not kept, because what is
	// kept is applied; it is answered AR and logged.
	Facilities []string

	// Limit bounds how many messages a second are taken, over all connections; nil:
	// none. What is above waits for its answer, which slows its sender.
	Limit *rate.Limiter

	Now    func() time.Time // clock of inbox.Message.Received
	Logger *slog.Logger     // nil: slog.Default()
}

// Server makes the MLLP server of this feed. Limits, time-outs and TLS may be
// set on it before Serve.
func (h *HL7) Server() *hl7.Server {
	return &hl7.Server{Handler: h, Now: h.Now, Logger: h.log()}
}

func (h *HL7) log() *slog.Logger {
	l := h.Logger
	if l == nil {
		l = slog.Default()
	}
	return l.With("feed", h.Source)
}

// errFacility is told to the sender; the name it sent is not repeated.
const errFacility = "this feed does not take messages of that facility"

// HandleHL7 puts one message into the inbox; see hl7.Handler.
func (h *HL7) HandleHL7(ctx context.Context, r *hl7.Request) error {
	return h.keep(ctx, r.Bytes, r.Message, r.Problem, peerName(r.Peer))
}

// keep puts one message into the inbox; parsed is nil when it cannot be read,
// for a problem. peer tells the operator where it came from.
func (h *HL7) keep(ctx context.Context, body []byte, parsed *hl7.Message, problem error, peer string) error {
	m := inbox.Message{
		Source:   h.Source,
		Kind:     inbox.HL7v2,
		Peer:     peer,
		Received: h.Now(),
		Body:     body,
	}
	if parsed != nil {
		m.ControlID = shortened(parsed.ControlID())
		facility := parsed.Segment("MSH").Field(4)
		if len(h.Facilities) > 0 && !slices.Contains(h.Facilities, strings.TrimSpace(facility.String())) {
			fault := facility.Err(errFacility)
			fault.Code = hl7.TableValue
			h.log().Warn("message refused", "peer", m.Peer, "reason", errFacility)
			return &hl7.Rejection{Err: fault}
		}
	}
	var err error
	if h.Limit != nil {
		err = h.Limit.Wait(ctx)
	}
	var receipt inbox.Receipt
	if err == nil {
		receipt, err = h.Sink.Put(ctx, m)
	}
	switch {
	case err != nil:
		h.log().Error("message not kept", "message", m, "peer", m.Peer, "error", err)
		// Nothing in it may reach the sender as the message's fault.
		return errors.New("adapters: message not kept")
	case parsed == nil:
		h.log().Warn("message kept, but cannot be read", "id", receipt.ID, "peer", m.Peer, "bytes", len(m.Body), "reason", problem)
	case receipt.Flagged:
		h.log().Warn("control id used again for another message", "id", receipt.ID, "peer", m.Peer)
	}
	return nil
}

// maxControlID is the longest MSH-10 that is kept beside the message.
//
// Source: HL7 v2.9 chapter 2.13.9.10, 199 characters.
const maxControlID = 199

func shortened(id string) string {
	if len(id) <= maxControlID {
		return id
	}
	return strings.ToValidUTF8(id[:maxControlID], "")
}

// peerName gives the address, and the name in a verified certificate.
func peerName(p hl7.Peer) string {
	name := ""
	if p.Certificate != nil {
		name = p.Certificate.Subject.CommonName
		if len(p.Certificate.DNSNames) > 0 {
			name = p.Certificate.DNSNames[0]
		}
		name += " "
	}
	if p.Name != "" {
		name += p.Name + " "
	}
	if p.Addr == nil {
		return strings.TrimSpace(name)
	}
	host, _, err := net.SplitHostPort(p.Addr.String())
	if err != nil {
		host = p.Addr.String()
	}
	return name + host
}
