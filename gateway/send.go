package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"firebreak/adapters/hl7"
	"firebreak/adapters/peer"
	"firebreak/adapters/send"
	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/mapping"
	"firebreak/mapping/out"
	"firebreak/registry"
)

// Send is how a feed's system is sent what is addressed to it: what a client
// pushes with the tag urn:firebreak:send and the feed's name. Nothing else is.
type Send struct {
	// From are the sources that may address it, as the registry's clients name them;
	// "firebreak" is the gateway's own pages.
	From []string `json:"from"`
	// Types are the resource types that it takes. Default: Appointment,
	// Communication, Task, and by FHIR ServiceRequest.
	Types []string `json:"types,omitzero"`
	// FHIR is the server that takes them.
	FHIR *SendFHIR `json:"fhir,omitzero"`
	// MLLP is where they are taken as HL7 v2.5.1, instead of FHIR.
	MLLP *SendMLLP `json:"mllp,omitzero"`
}

// SendMLLP is where HL7 v2 is taken over MLLP.
type SendMLLP struct {
	// Address is HOST:PORT. Without TLS it must be loopback.
	Address string     `json:"address"`
	TLS     *ClientTLS `json:"tls,omitzero"`
	// Application and Facility are who we are, MSH-3 and MSH-4. Default "FIREBREAK", none.
	Application string `json:"application,omitzero"`
	Facility    string `json:"facility,omitzero"`
	// ToApplication and ToFacility are the receiver, MSH-5 and MSH-6. Default none.
	ToApplication string `json:"toApplication,omitzero"`
	ToFacility    string `json:"toFacility,omitzero"`
	// Appointments says what an appointment is sent as: "SRM" (default) or "SIU".
	Appointments string `json:"appointments,omitzero"`
	// Messages says what a message is sent as: "MDM" (default) or "ORU".
	Messages string `json:"messages,omitzero"`
	// Wait is how long an acknowledgement may take. Default 30s.
	Wait Duration `json:"wait,omitzero"`
}

// ClientTLS is how a listener is known, and how we are known to it.
type ClientTLS struct {
	// CA is a file of certificates (PEM) to know it by. Default: the system's.
	CA string `json:"ca,omitzero"`
	// Certificate and Key are ours, where it asks for one.
	Certificate string `json:"certificate,omitzero"`
	Key         string `json:"key,omitzero"`
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
		s.Types = []string{"Appointment", "Communication", "Task"}
		if s.FHIR != nil {
			s.Types = append(s.Types, "ServiceRequest")
		}
	}
	if f := s.FHIR; f != nil {
		f.CA = within(folder, f.CA)
		setDefault(&f.Rate, 5)
	}
	if m := s.MLLP; m != nil {
		setDefault(&m.Application, "FIREBREAK")
		setDefault(&m.Appointments, "SRM")
		setDefault(&m.Messages, "MDM")
		setDefault(&m.Wait, Duration(30*time.Second))
		if t := m.TLS; t != nil {
			t.CA, t.Certificate, t.Key = within(folder, t.CA), within(folder, t.Certificate), within(folder, t.Key)
		}
	}
}

// check gives what cannot work, each as a key and what is wrong with it.
func (s *Send) check(bad func(key, why string)) {
	if len(s.From) == 0 {
		bad("from", "is missing: nothing would be sent")
	}
	for _, typ := range s.Types {
		if !fhir.IsType(typ) || s.MLLP == nil && (typ == "Binary" || typ == "Bundle" || typ == "Patient") || s.MLLP != nil && !slices.Contains(out.Types(), typ) {
			bad("types", typ+" cannot be sent")
		}
	}
	switch {
	case (s.FHIR == nil) == (s.MLLP == nil):
		bad("fhir, mllp", "one of them must be there, and one alone")
	case s.FHIR != nil:
		s.FHIR.check(bad)
	default:
		s.MLLP.check(bad)
	}
}

func (m *SendMLLP) check(bad func(key, why string)) {
	if _, _, err := net.SplitHostPort(m.Address); err != nil {
		bad("mllp.address", "must be HOST:PORT")
	} else if m.TLS == nil && !loopback(m.Address) {
		bad("mllp.address", m.Address+" is not loopback, so it needs tls")
	}
	if m.Appointments != "SRM" && m.Appointments != "SIU" {
		bad("mllp.appointments", "must be SRM or SIU")
	}
	if m.Messages != "MDM" && m.Messages != "ORU" {
		bad("mllp.messages", "must be MDM or ORU")
	}
	if m.Wait < Duration(time.Second) {
		bad("mllp.wait", "must be at least a second")
	}
	if t := m.TLS; t != nil && (t.Certificate == "") != (t.Key == "") {
		bad("mllp.tls", "needs both certificate and key, or neither")
	}
}

func (f *SendFHIR) check(bad func(key, why string)) {
	if _, err := peer.ParseBase(f.Base); err != nil {
		bad("fhir.base", "must be https without query or slash at the end, or http on this machine")
	}
	if f.Rate <= 0 {
		bad("fhir.rate", "must be positive")
	}
	if a := f.Auth; a != nil {
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

// config is how a TLS listener is met.
func (t *ClientTLS) config() (*tls.Config, error) {
	if t == nil {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	var err error
	if c.RootCAs, err = certificates(t.CA); err != nil {
		return nil, err
	}
	if t.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(t.Certificate, t.Key)
		if err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// receiver is what takes the letters of a feed.
func (s *Send) receiver(f Feed, now func() time.Time) (send.Receiver, error) {
	if s.FHIR != nil {
		server, err := s.FHIR.server(now, s.Types)
		return &send.FHIR{Server: server, OurIDs: s.FHIR.OurIDs}, err
	}
	m := s.MLLP
	secure, err := m.TLS.config()
	if err != nil {
		return nil, err
	}
	zone, err := time.LoadLocation(f.Zone)
	if err != nil {
		return nil, err
	}
	return &send.MLLP{
		Client: &hl7.Client{Addr: m.Address, TLS: secure, AckTimeout: time.Duration(m.Wait)},
		Make: out.HL7v2{Source: f.Name, Application: m.Application, Facility: m.Facility, Receiver: m.ToApplication, At: m.ToFacility,
			Systems: f.Systems, Zone: zone, Notify: m.Appointments == "SIU", Results: m.Messages == "ORU"},
	}, nil
}

// at is the receiver in an operator's words.
func (s *Send) at() string {
	if s.FHIR != nil {
		return "by FHIR at " + s.FHIR.Base
	}
	secure := " without TLS"
	if s.MLLP.TLS != nil {
		secure = " with TLS"
	}
	return "as HL7 v2 at " + s.MLLP.Address + secure
}

// try meets the receiver; nothing is sent.
func (s *Send) try(ctx context.Context) error {
	if s.FHIR != nil {
		server, err := s.FHIR.server(time.Now, s.Types)
		if err != nil {
			return err
		}
		return server.Try(ctx)
	}
	secure, err := s.MLLP.TLS.config()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var c net.Conn
	if secure != nil {
		c, err = (&tls.Dialer{Config: secure}).DialContext(ctx, "tcp", s.MLLP.Address)
	} else {
		c, err = (&net.Dialer{}).DialContext(ctx, "tcp", s.MLLP.Address)
	}
	if err != nil {
		return err
	}
	return c.Close()
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
		receiver, err := f.Send.receiver(f, g.now)
		if err != nil {
			return fmt.Errorf("gateway: feed %s: %w", f.Name, err)
		}
		s := &send.Feed{To: f.Name, Receiver: receiver, Store: g.record.Outbox(), Now: g.now, Open: f.awaitOpen(g.now), Logger: g.log}
		g.asks = append(g.asks, g.unlessPaused(f.Name, s.Run))
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
			if from != inbox.Own && !slices.ContainsFunc(seed.Clients, func(c registry.SeedClient) bool { return c.Source == from }) {
				return errors.New("gateway: feed " + f.Name + ": send.from: no client of the registry has the source " + fmt.Sprintf("%q", from))
			}
		}
	}
	return nil
}
