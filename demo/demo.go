// Package demo is Firebreak with everything around it on one machine: the
// gateway as serve runs it, an OpenID provider, and a synthetic hospital whose
// messages travel through the real MLLP adapter. Only what surrounds the
// gateway is invented.
package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/errgroup"

	"firebreak/adapters/hl7"
	"firebreak/auth/demoidp"
	"firebreak/auth/smart"
	"firebreak/gateway"
	"firebreak/hospital"
	"firebreak/policy"
	"firebreak/registry"
	"firebreak/viewer"
)

// Options are the flags of firebreak demo.
type Options struct {
	Listen   string           // "127.0.0.1:8080"; port 0 is any
	MLLP     string           // "127.0.0.1:2575"
	Data     string           // folder; everything is kept there
	Empty    bool             // load no sample hospital
	Start    time.Time        // what time it is at the start; zero: now
	Now      func() time.Time // a test's clock, instead of Start
	Config   string           // a configuration file whose policy, feeds, apps, session and texts count
	Version  string
	Progress io.Writer
	Log      *slog.Logger
	Patients int // of the sample hospital; default 40
}

// Info is demo.json: all that a script needs to use the demo.
type Info struct {
	Base    string           `json:"base"`
	FHIR    string           `json:"fhir"`
	MLLP    string           `json:"mllp"`
	Metrics string           `json:"metrics"`
	Issuer  string           `json:"issuer"`
	People  []demoidp.Person `json:"people"`
	Clients []demoidp.Client `json:"clients"`
	App     string           `json:"app,omitzero"` // where the example app is let in, if it is registered
}

// Demo is a demo, ready to run.
type Demo struct {
	Info    Info
	Gateway *gateway.Gateway
	options Options
	now     func() time.Time
}

// seed of the sample hospital: its people and results are the same in every demo.
const seed = 20261122

// New prepares the demo; its listeners are open when it returns.
func New(ctx context.Context, o Options) (*Demo, error) {
	d := &Demo{options: o, now: time.Now}
	if !o.Start.IsZero() {
		began := time.Now()
		d.now = func() time.Time { return o.Start.Add(time.Since(began)) }
	}
	if o.Now != nil {
		d.now = o.Now
	}
	if d.options.Patients == 0 {
		d.options.Patients = 40
	}
	if running, err := gateway.Attach(ctx, o.Data); err == nil {
		running.Close()
		return nil, fmt.Errorf("demo: another one runs on %s; stop it, or give this one --data of its own", o.Data)
	}
	// It listens first: the base address is part of the configuration, and port 0
	// is known only then.
	listener, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	defer func() {
		if d.Gateway == nil { // it is the gateway's from there on
			listener.Close()
		}
	}()
	listen, err := reached(o.Listen, listener)
	if err != nil {
		return nil, err
	}
	base := "http://" + listen
	cfg, err := d.config(base, listen)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(cfg.Data, "idp"), 0o700); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	people, err := registry.Demo()
	if err != nil {
		return nil, err
	}
	idp, err := provider(cfg, people)
	if err != nil {
		return nil, err
	}
	app := ""
	if len(cfg.Apps) == 0 {
		app = exampleApp
		if cfg.Apps, err = apps(idp); err != nil {
			return nil, err
		}
	}
	var rules []byte
	if cfg.Policy == "" {
		rules = policy.Demo()
	}
	d.Gateway, err = gateway.New(ctx, cfg, gateway.Options{Version: o.Version, Now: d.now, Log: o.Log, Seed: &people, Policy: rules,
		Listener: listener, ClientSecret: idp.Client(demoidp.Gateway).Secret})
	if err != nil {
		return nil, err
	}
	d.Gateway.Router.PathPrefix("/idp/").Handler(idp)
	d.Info = Info{
		Base: base, FHIR: base + "/fhir", MLLP: d.Gateway.Feeds[0], Metrics: "http://" + d.Gateway.MetricsAddress + "/metrics",
		Issuer: idp.Issuer(), People: idp.People(), Clients: idp.Clients(), App: app,
	}
	return d, nil
}

// reached is the address as it was asked for, with the port that l has.
func reached(address string, l net.Listener) (string, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("demo: %w", err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return "", fmt.Errorf("demo: %w", err)
	}
	return net.JoinHostPort(host, port), nil
}

// config is what serve would read from a file. A file given with --config
// supplies the rest; what makes the demo the demo stays.
func (d *Demo) config(base, listen string) (*gateway.Config, error) {
	data, err := filepath.Abs(d.options.Data)
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	cfg := &gateway.Config{}
	if d.options.Config != "" {
		if cfg, err = gateway.ReadPartial(d.options.Config); err != nil {
			return nil, err
		}
	}
	cfg.Listen, cfg.Base, cfg.Data = listen, base, data
	cfg.Metrics = "127.0.0.1:0"
	cfg.SignIn = gateway.SignIn{Issuer: base + "/idp", ClientID: demoidp.Gateway}
	cfg.Registry = "-"
	cfg.Registration.Open = true
	if cfg.Zone == "" {
		cfg.Zone = hospital.Zone
	}
	if cfg.HelpLine == "" {
		cfg.HelpLine = "604-555-0100, weekdays 8 to 17"
	}
	if len(cfg.Feeds) == 0 {
		cfg.Feeds = []gateway.Feed{{Name: "general-hospital", Display: "General Hospital",
			Systems: map[string]string{"BCPHN": "https://fhir.infoway-inforoute.ca/NamingSystem/ca-bc-patient-healthcare-id"}}}
	}
	cfg.Feeds[0].Listen = d.options.MLLP
	return cfg, cfg.Finish()
}

func provider(cfg *gateway.Config, seed registry.Seed) (*demoidp.Provider, error) {
	var people []demoidp.Person
	for _, p := range seed.People {
		m, w := seed.Usual(p)
		people = append(people, demoidp.Person{Username: p.Subject, Name: p.Name, Role: string(m.Role), Worksite: w.Name, WorksiteID: w.ID})
	}
	return demoidp.New(demoidp.Config{
		Base: cfg.Base, Audience: cfg.Base + "/fhir", Redirect: cfg.Base + viewer.Callback, SignedOut: cfg.Base + viewer.SignedOut,
		People: people, Dir: filepath.Join(cfg.Data, "idp"),
	})
}

// exampleApp is where docs/example/app/serve.mjs serves its app.
const exampleApp = "http://127.0.0.1:3000/"

// apps are the demo's own: the example that docs/apps.md walks through, and
// demo-backend, by its key.
func apps(idp *demoidp.Provider) ([]smart.Client, error) {
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(idp.Client(demoidp.Backend).PrivateJWK); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.Public()}})
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	return []smart.Client{
		{ID: "example-app", Name: "Example app", Redirects: []string{exampleApp, "http://localhost:3000/"}, Scopes: "patient/*.rs"},
		{ID: demoidp.Backend, Name: "Demo backend", Keys: keys, Scopes: idp.Client(demoidp.Backend).Scope},
	}, nil
}

// Run runs the gateway, has the hospital send, writes demo.json and calls
// ready; it returns when ctx ends and everything has stopped in order.
func (d *Demo) Run(ctx context.Context, ready func()) error {
	file := filepath.Join(d.Gateway.Config.Data, "demo.json")
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("demo: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return d.Gateway.Run(ctx) })
	group.Go(func() error {
		if !d.options.Empty {
			if err := d.load(ctx); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		if err := writeInfo(file, d.Info); err != nil {
			return err
		}
		ready()
		return nil
	})
	return group.Wait()
}

// load has the sample hospital send its messages over MLLP and waits until
// they can be seen. A demo that is started again sends them again, and the
// gateway knows each one.
func (d *Demo) load(ctx context.Context) error {
	h := hospital.New(seed, d.options.Patients, d.Gateway.FirstStart())
	messages := h.Messages()
	bulk := hl7.Bulk{
		Client: func() *hl7.Client { return &hl7.Client{Addr: d.Info.MLLP} }, Connections: 8,
		Progress: func(c hl7.Counts) {
			if c.Done()%50 == 0 || c.Done() == len(messages) {
				fmt.Fprintf(d.options.Progress, "\rGeneral Hospital sends: %d of %d messages", c.Done(), len(messages))
			}
		},
	}
	result, err := bulk.Send(ctx, func(yield func(hl7.FilePart, error) bool) {
		for _, m := range messages {
			if !yield(hl7.FilePart{Name: "hospital", Part: hl7.Part{Kind: hl7.MessagePart, Bytes: m.Body, Line: 1}}, nil) {
				return
			}
		}
	})
	fmt.Fprintln(d.options.Progress)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if result.AA != len(messages) {
		return fmt.Errorf("demo: of %d messages %d were accepted", len(messages), result.AA)
	}
	return d.Gateway.Idle(ctx)
}

func writeInfo(path string, info Info) error {
	b, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if err := os.WriteFile(path+".new", append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	return os.Rename(path+".new", path) // readers see all of it or nothing
}
