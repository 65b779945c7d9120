package gateway

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/mail"
	"net/url"
	"os"
	"slices"
	"time"

	"firebreak/alarm"
)

// Alerts says who is told, once when something begins to need a person and once
// when it is over.
type Alerts struct {
	// Operators are told of feeds: held messages, a queue that does not shrink,
	// silence (see Feed.Silent), a server that cannot be read, a letter refused.
	Operators *Receivers `json:"operators,omitzero"`
	// Officers, for privacy, are told of each use of emergency access.
	Officers *Receivers `json:"officers,omitzero"`
	// Mail is the server for their mail.
	Mail *MailServer `json:"mail,omitzero"`
	// Lag is how long messages and letters may wait. Default 5m.
	Lag Duration `json:"lag,omitzero"`
	// Every is the time between looks. Default 30s.
	Every Duration `json:"every,omitzero"`
}

// Receivers are who is told, by each of these ways.
type Receivers struct {
	// Mail are addresses.
	Mail []string `json:"mail,omitzero"`
	// Webhook is posted to.
	Webhook *Webhook `json:"webhook,omitzero"`
}

// Webhook takes JSON by POST; see alarm.Webhook.
type Webhook struct {
	URL string `json:"url"`
	// Secret signs what is posted.
	Secret Secret `json:"secret"`
}

// MailServer is an SMTP server. TLS is required but on this machine.
type MailServer struct {
	Server string `json:"server"` // "smtp.example.org:587"; 465 is TLS from the start
	From   string `json:"from"`
	User   string `json:"user,omitzero"`
	// Password of User.
	Password Secret `json:"password,omitzero"`
	// CA is a file of certificates (PEM) to know the server by. Default: the system's.
	CA string `json:"ca,omitzero"`
}

func (a *Alerts) finish(folder string) {
	setDefault(&a.Lag, Duration(5*time.Minute))
	setDefault(&a.Every, Duration(30*time.Second))
	if a.Mail != nil {
		a.Mail.CA = within(folder, a.Mail.CA)
	}
}

func (a *Alerts) check(bad func(key, why string)) {
	if a.Lag <= 0 || a.Every <= 0 {
		bad("lag, every", "must be longer than nothing")
	}
	if a.Mail != nil {
		a.Mail.check(bad)
	}
	if a.Operators == nil && a.Officers == nil {
		bad("operators, officers", "nobody is told")
	}
	for _, r := range []struct {
		key string
		*Receivers
	}{{"operators", a.Operators}, {"officers", a.Officers}} {
		if r.Receivers == nil {
			continue
		}
		if len(r.Mail) == 0 && r.Webhook == nil {
			bad(r.key, "needs mail or webhook")
		}
		if len(r.Mail) > 0 && a.Mail == nil {
			bad(r.key+".mail", "needs alerts.mail, the server")
		}
		for _, to := range r.Mail {
			if _, err := mail.ParseAddress(to); err != nil {
				bad(r.key+".mail", "has what is no address")
			}
		}
		if h := r.Webhook; h != nil {
			if u, err := url.Parse(h.URL); err != nil || u.Host == "" || u.Scheme != "https" && !loopback(u.Host) {
				bad(r.key+".webhook.url", "must be https")
			}
			if len(h.Secret.Value) < 16 {
				bad(r.key+".webhook.secret", "must be at least 16 bytes")
			}
		}
	}
}

func (m *MailServer) check(bad func(key, why string)) {
	if _, _, err := net.SplitHostPort(m.Server); err != nil {
		bad("mail.server", "must be HOST:PORT")
	}
	if _, err := mail.ParseAddress(m.From); err != nil {
		bad("mail.from", "is no address")
	}
	if (m.User == "") != (m.Password.Value == "") {
		bad("mail", "needs user and password, or neither")
	}
}

// to is mail for these addresses.
func (m *MailServer) to(now func() time.Time, to ...string) (*alarm.Mail, error) {
	all := &alarm.Mail{Server: m.Server, From: m.From, To: to, User: m.User, Password: m.Password.Value, Now: now}
	if m.CA == "" {
		return all, nil
	}
	b, err := os.ReadFile(m.CA)
	if err != nil {
		return nil, err
	}
	host, _, _ := net.SplitHostPort(m.Server)
	all.TLS = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool(), ServerName: host}
	if !all.TLS.RootCAs.AppendCertsFromPEM(b) {
		return nil, errors.New("no certificate in " + m.CA)
	}
	return all, nil
}

// openAlerts makes what looks for what needs a person.
func (g *Gateway) openAlerts(context.Context, Options) error {
	a := g.Config.Alerts
	if a == nil {
		return nil
	}
	client := &http.Client{
		Transport:     &http.Transport{TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: 20 * time.Second, MaxIdleConns: 1, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	began := g.now()
	channels := map[alarm.Whom][]alarm.Channel{}
	for whom, r := range map[alarm.Whom]*Receivers{alarm.Operators: a.Operators, alarm.Officers: a.Officers} {
		if r == nil {
			continue
		}
		if len(r.Mail) > 0 {
			by, err := a.Mail.to(g.now, r.Mail...)
			if err != nil {
				return fmt.Errorf("gateway: alerts: %w", err)
			}
			channels[whom] = append(channels[whom], by)
		}
		if r.Webhook != nil {
			channels[whom] = append(channels[whom], &alarm.Webhook{URL: r.Webhook.URL, Secret: []byte(r.Webhook.Secret.Value), Client: client})
		}
	}
	w := &alarm.Watcher{
		Causes: func(ctx context.Context) ([]alarm.Cause, error) { return g.causes(ctx, began) }, Book: g.record.Alarms(), Channels: channels, Every: time.Duration(a.Every), Now: g.now, Logger: g.log,
		Pages: map[alarm.Whom]string{alarm.Operators: g.Config.Base + "/ops", alarm.Officers: g.Config.Base + "/officer"},
	}
	g.asks = append(g.asks, w.Run)
	return nil
}

// causes are what needs a person now. What never was counts from began.
func (g *Gateway) causes(ctx context.Context, began time.Time) (all []alarm.Cause, err error) {
	now, lag := g.now(), time.Duration(g.Config.Alerts.Lag)
	add := func(to alarm.Whom, key string, since time.Time, text string, args ...any) {
		all = append(all, alarm.Cause{Key: key, To: to, Text: fmt.Sprintf(text, args...), Since: since})
	}
	states, err := g.record.Alarms().Feeds(ctx)
	if err != nil {
		return nil, err
	}
	shut := func(name string) bool {
		return slices.ContainsFunc(g.Config.Feeds, func(f Feed) bool { return f.Name == name && !f.open(now) })
	}
	last, paused := map[string]time.Time{}, map[string]bool{}
	for _, f := range states {
		last[f.Source] = f.Last
		if f.Paused != nil {
			paused[f.Source] = true
			if now.Sub(f.Paused.Since) > lag {
				add(alarm.Operators, "paused "+f.Source, f.Paused.Since, "%s: it is paused, so what it sends is not applied", f.Source)
			}
			f.Waiting, f.Letters.Waiting = 0, 0 // as was decided
		}
		if f.Held > 0 {
			add(alarm.Operators, "held "+f.Source, now, "%s: %s held", f.Source, counted(f.Held, "message is", "messages are"))
		}
		if f.Waiting > 0 && now.Sub(f.Oldest) > lag {
			add(alarm.Operators, "lag "+f.Source, f.Oldest, "%s: messages are taken in and not applied", f.Source)
		}
		if f.Letters.Refused > 0 {
			add(alarm.Operators, "refused "+f.Source, now, "%s: its system refused what was sent to it", f.Source)
		}
		if f.Letters.Waiting > 0 && !shut(f.Source) && now.Sub(f.Letters.Oldest) > lag {
			add(alarm.Operators, "unsent "+f.Source, f.Letters.Oldest, "%s: what is to be sent to its system is not taken", f.Source)
		}
	}
	for _, f := range g.Config.Feeds {
		if quiet := cmp.Or(last[f.Name], began); f.Silent > 0 && !paused[f.Name] && now.Sub(quiet) > time.Duration(f.Silent) {
			add(alarm.Operators, "silent "+f.Name, quiet, "%s: nothing has come for longer than %v", f.Name, time.Duration(f.Silent))
		}
		if p := g.pulls[f.Name]; p != nil {
			s := p.Status()
			if good := cmp.Or(s.Last, began); s.Error != "" && now.Sub(good) > max(lag, 2*p.Every) {
				add(alarm.Operators, "pull "+f.Name, good, "%s: its server cannot be read", f.Name)
			}
		}
	}
	open, err := g.record.Alarms().Emergencies(ctx)
	for _, a := range open {
		add(alarm.Officers, "emergency "+a.ID, a.Opened, "Emergency access by %s (%s) at %s", a.Name, a.Role, a.Place)
	}
	return all, err
}

func counted(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
