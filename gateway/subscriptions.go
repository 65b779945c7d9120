package gateway

import (
	"context"
	"fmt"
	"net/mail"
	"net/url"
	"strings"
	"time"

	"firebreak/access"
	"firebreak/auth"
	"firebreak/auth/smart"
	"firebreak/fhirapi"
	"firebreak/notify"
)

// Subscriptions says where clients may have notices of what is new sent to.
type Subscriptions struct {
	// To are the addresses, each whole, https or of this machine, or "mailto:" and an
	// address of mail. A Subscription to any other is refused; no redirect is followed.
	To []string `json:"to"`
	// Every is the time between rounds: what one finds is told at the next. Default 1m.
	Every Duration `json:"every,omitzero"`
	// Mail is the server for those who are told by mail.
	Mail *MailServer `json:"mail,omitzero"`
}

func (s *Subscriptions) finish(folder string) {
	setDefault(&s.Every, Duration(time.Minute))
	if s.Mail != nil {
		s.Mail.CA = within(folder, s.Mail.CA)
	}
}

// check gives what cannot work.
func (s *Subscriptions) check(bad func(key, why string)) {
	if len(s.To) == 0 {
		bad("to", "is empty: nobody could be told")
	}
	if s.Mail != nil {
		s.Mail.check(bad)
	}
	for _, to := range s.To {
		if address, ok := strings.CutPrefix(to, notify.Mailto); ok {
			if a, err := mail.ParseAddress(address); err != nil || a.Address != address || s.Mail == nil {
				bad("to", "has an address of mail that is none, or no mail beside it, the server")
			}
			continue
		}
		u, err := url.Parse(to)
		if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Host)) {
			bad("to", "has what is no https address, without user and fragment")
		}
	}
	if e := time.Duration(s.Every); e < time.Second || e > time.Hour {
		bad("every", "must be a second to an hour")
	}
}

// api is what the API takes.
func (s *Subscriptions) api() *fhirapi.Subscribing {
	if s == nil {
		return nil
	}
	return &fhirapi.Subscribing{To: s.To, Every: time.Duration(s.Every)}
}

// openSubscriptions makes what tells subscribers; apps is nil where the gateway issues
// no tokens.
func (g *Gateway) openSubscriptions(apps *smart.Server) error {
	s := g.Config.Subscriptions
	if s == nil {
		return nil
	}
	t := &notify.Teller{
		Reader: g.reader, Turn: g.record.Outbox().Turn, To: s.To, Every: time.Duration(s.Every), Base: g.Config.Base + "/fhir", Now: g.now, Log: g.log,
		Admit: func(ctx context.Context, st auth.Standing) (access.Caller, error) {
			id, err := smart.Standing(ctx, apps, st, g.now())
			if err != nil {
				return access.Caller{}, err
			}
			return g.registry.Token(ctx, id)
		},
	}
	if s.Mail != nil {
		server, err := s.Mail.to(g.now)
		if err != nil {
			return fmt.Errorf("gateway: subscriptions: %w", err)
		}
		t.Mail = func(ctx context.Context, to, id, subject, text string) error {
			m := *server
			m.To = []string{to}
			return m.Send(ctx, id, subject, text)
		}
	}
	g.asks = append(g.asks, t.Run)
	g.metrics.notices(t)
	return nil
}
