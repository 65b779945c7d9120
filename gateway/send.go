package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"firebreak/adapters/peer"
	"firebreak/adapters/send"
	"firebreak/fhir"
	"firebreak/mapping"
	"firebreak/registry"
)

// Send is how a feed's system is sent what is addressed to it: what a client
// pushes with the tag urn:firebreak:send and the feed's name. Nothing else is.
type Send struct {
	// From are the sources that may address it, as the registry's clients name them.
	From []string `json:"from"`
	// Types are the resource types that it takes. Default: Appointment,
	// Communication, ServiceRequest, Task.
	Types []string `json:"types,omitzero"`
	// FHIR is the server that takes them.
	FHIR *SendFHIR `json:"fhir"`
}

// SendFHIR is a FHIR R4 server that is sent to.
type SendFHIR struct {
	// Base is its address, "https://ehr.example.org/fhir".
	Base string `json:"base"`
	// OurIDs says that it takes ids of ours (PUT). Default: it gives its own, and
	// knows conditional creates and updates.
	OurIDs bool `json:"ourIds,omitzero"`
	// Rate is how many requests are made in a second, at most. Default 5.
	Rate float64 `json:"rate,omitzero"`
	// CA is a file of certificates (PEM) to know the server by. Default: the system's.
	CA string `json:"ca,omitzero"`
	// Auth is how the server is told who sends. Without it, it is not.
	Auth *PullAuth `json:"auth,omitzero"`
}

// finish fills the defaults.
func (s *Send) finish(folder string) {
	if s.Types == nil {
		s.Types = []string{"Appointment", "Communication", "ServiceRequest", "Task"}
	}
	if f := s.FHIR; f != nil {
		f.CA = within(folder, f.CA)
		setDefault(&f.Rate, 5)
	}
}

// check gives what cannot work, each as a key and what is wrong with it.
func (s *Send) check(bad func(key, why string)) {
	if len(s.From) == 0 {
		bad("from", "is missing: nothing would be sent")
	}
	for _, typ := range s.Types {
		if !fhir.IsType(typ) || typ == "Binary" || typ == "Bundle" || typ == "Patient" {
			bad("types", typ+" cannot be sent")
		}
	}
	if s.FHIR == nil {
		bad("fhir", "is missing")
		return
	}
	if _, err := peer.ParseBase(s.FHIR.Base); err != nil {
		bad("fhir.base", "must be https without query or slash at the end, or http on this machine")
	}
	if s.FHIR.Rate <= 0 {
		bad("fhir.rate", "must be positive")
	}
	if a := s.FHIR.Auth; a != nil {
		a.check(func(key, why string) { bad("fhir."+key, why) })
	}
}

func (f *SendFHIR) server(now func() time.Time, types []string) (peer.Server, error) {
	s := peer.Server{Base: f.Base, Rate: f.Rate, Now: now}
	var err error
	if s.CA, err = certificates(f.CA); err != nil {
		return s, err
	}
	if a := f.Auth; a != nil {
		s.Auth = &peer.Auth{ClientID: a.ClientID, Key: []byte(a.Key.Value), Token: a.Token, Scope: a.Scope, Types: []string{"Patient"}, Sends: types}
	}
	return s, nil
}

// try asks the receiver who it is; nothing is sent.
func (s *Send) try(ctx context.Context) error {
	server, err := s.FHIR.server(time.Now, s.Types)
	if err != nil {
		return err
	}
	return server.Try(ctx)
}

// mapping is what the mapping must know of it.
func (s *Send) mapping() *mapping.Send {
	if s == nil {
		return nil
	}
	return &mapping.Send{From: s.From, Types: s.Types}
}

// openSends makes what delivers for each feed that is sent to.
func (g *Gateway) openSends(context.Context, Options) error {
	for _, f := range g.Config.Feeds {
		if f.Send == nil {
			continue
		}
		server, err := f.Send.FHIR.server(g.now, f.Send.Types)
		if err != nil {
			return fmt.Errorf("gateway: feed %s: %w", f.Name, err)
		}
		s := &send.Feed{To: f.Name, Receiver: &send.FHIR{Server: server, OurIDs: f.Send.FHIR.OurIDs}, Store: g.record.Outbox(), Now: g.now, Logger: g.log}
		g.asks = append(g.asks, s.Run)
		g.metrics.send(s)
	}
	return nil
}

// knowsSenders refuses a feed to which a source that does not exist may send.
func (cfg *Config) knowsSenders(seed registry.Seed) error {
	for _, f := range cfg.Feeds {
		if f.Send == nil {
			continue
		}
		for _, from := range f.Send.From {
			if !slices.ContainsFunc(seed.Clients, func(c registry.SeedClient) bool { return c.Source == from }) {
				return errors.New("gateway: feed " + f.Name + ": send.from: no client of the registry has the source " + fmt.Sprintf("%q", from))
			}
		}
	}
	return nil
}
