package gateway

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"firebreak/adapters/peer"
	"firebreak/adapters/pull"
	"firebreak/fhir"
)

// Pull is a FHIR R4 server that a feed asks for what changed.
type Pull struct {
	// Base is its address, "https://ehr.example.org/fhir". Links to any other
	// origin are not followed.
	Base string `json:"base"`
	// Types are the resource types to ask for, patients first.
	Types []string `json:"types"`
	// Export is the path of a Bulk Data kick-off, "Group/7/$export": the server is
	// then asked for exports instead of searches.
	Export string `json:"export,omitzero"`
	// Files are other origins that files of an export may lie at.
	Files []string `json:"files,omitzero"`
	// Every is the time between questions. Default 1m, of exports 1h.
	Every Duration `json:"every,omitzero"`
	// Overlap is how much later than it dates it the server may show a change:
	// as much is asked for again each time. Default 5m.
	Overlap Duration `json:"overlap,omitzero"`
	// Compare is the time between comparisons of counts. Default 10m.
	Compare Duration `json:"compare,omitzero"`
	// List is the time between listings of all ids, or exports of everything.
	// Default 24h.
	List Duration `json:"list,omitzero"`
	// Page is how many resources an answer may hold. Default 200.
	Page int `json:"page,omitzero"`
	// Rate is how many requests are made in a second, at most. Default 5.
	Rate float64 `json:"rate,omitzero"`
	// CA is a file of certificates (PEM) to know the server by. Default: the system's.
	CA string `json:"ca,omitzero"`
	// Auth is how the server is told who asks. Without it, it is not.
	Auth *PullAuth `json:"auth,omitzero"`
}

// PullAuth is a registration as a SMART backend service.
type PullAuth struct {
	ClientID string `json:"clientId"`
	// Key is the private key, P-384 or RSA, as JWK or PEM.
	Key Secret `json:"key"`
	// Token is the token endpoint. Default: what the server's
	// .well-known/smart-configuration names, if it is of the server's own origin.
	Token string `json:"token,omitzero"`
	// Scope is what is asked for. Default: to read and search the types.
	Scope string `json:"scope,omitzero"`
}

// finish fills the defaults.
func (p *Pull) finish(folder string) {
	p.CA = within(folder, p.CA)
	setDefault(&p.Every, Duration(time.Minute))
	if p.Export != "" {
		setDefault(&p.Every, Duration(time.Hour))
	}
	setDefault(&p.Overlap, Duration(5*time.Minute))
	setDefault(&p.Compare, Duration(10*time.Minute))
	setDefault(&p.List, Duration(24*time.Hour))
	setDefault(&p.Page, 200)
	setDefault(&p.Rate, 5)
}

// check gives what cannot work, each as a key and what is wrong with it.
func (p *Pull) check(bad func(key, why string)) {
	if _, err := peer.ParseBase(p.Base); err != nil {
		bad("base", "must be https without query or slash at the end, or http on this machine")
	}
	if len(p.Types) == 0 {
		bad("types", "is missing")
	}
	for _, typ := range p.Types {
		if !fhir.IsType(typ) || typ == "Binary" || typ == "Bundle" {
			bad("types", typ+" cannot be asked for")
		}
	}
	for _, f := range p.Files {
		if u, err := url.Parse(f); err != nil || u.Scheme != "https" && !loopback(u.Host) || u.Host == "" || origin(f) != f {
			bad("files", "must be origins, like https://files.example.org")
		}
	}
	for _, d := range []Duration{p.Every, p.Overlap, p.Compare, p.List} {
		if d < Duration(time.Second) {
			bad("every, overlap, compare, list", "must be at least a second")
			break
		}
	}
	if p.Page < 1 || p.Page > 10_000 || p.Rate <= 0 {
		bad("page, rate", "must be positive, page at most 10000")
	}
	if p.Auth != nil {
		p.Auth.check(bad)
	}
}

func (a *PullAuth) check(bad func(key, why string)) {
	if a.ClientID == "" || a.Key.Value == "" {
		bad("auth", "needs clientId and key")
	}
	if u, err := url.Parse(a.Token); a.Token != "" && (err != nil || u.Scheme != "https" && !loopback(u.Host)) {
		bad("auth.token", "must be https")
	}
}

// server is how it is asked.
func (p *Pull) server(now func() time.Time) (peer.Server, error) {
	s := peer.Server{Base: p.Base, Rate: p.Rate, Files: p.Files, Now: now}
	var err error
	if s.CA, err = certificates(p.CA); err != nil {
		return s, err
	}
	if a := p.Auth; a != nil {
		s.Auth = &peer.Auth{ClientID: a.ClientID, Key: []byte(a.Key.Value), Token: a.Token, Scope: a.Scope, Types: p.Types}
	}
	return s, nil
}

// certificates reads a file of them; the system's where there is none.
func certificates(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, errors.New("ca: no certificate in " + file)
	}
	return pool, nil
}

// try asks for a little of everything.
func (p *Pull) try(ctx context.Context) error {
	s, err := p.server(time.Now)
	if err != nil {
		return err
	}
	return pull.Try(ctx, s, p.Types)
}

// openPull makes the feed that asks.
func (g *Gateway) openPull(f Feed) error {
	s, err := f.Pull.server(g.now)
	if err != nil {
		return err
	}
	p := &pull.Feed{
		Source: f.Name, Server: s, Types: f.Pull.Types, Export: f.Pull.Export,
		Open: f.awaitOpen(g.now), Every: time.Duration(f.Pull.Every), Overlap: time.Duration(f.Pull.Overlap), Compare: time.Duration(f.Pull.Compare), List: time.Duration(f.Pull.List),
		Page: f.Pull.Page, Sink: g.pipeline, Store: g.record.Asked(), Logger: g.log,
	}
	g.asks = append(g.asks, g.unlessPaused(f.Name, p.Run))
	g.pulls[f.Name] = p
	g.Feeds = append(g.Feeds, f.Pull.Base)
	g.metrics.pull(p)
	return nil
}
