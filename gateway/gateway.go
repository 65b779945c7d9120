// Package gateway puts the house together: configuration, databases, feeds,
// pipeline, doors and pages. It decides nothing about data.
package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gorilla/mux"
	"golang.org/x/sync/errgroup"

	"firebreak/adapters"
	"firebreak/adapters/hl7"
	"firebreak/adapters/pull"
	"firebreak/audit"
	"firebreak/auth"
	"firebreak/auth/smart"
	"firebreak/fhirapi"
	"firebreak/label"
	"firebreak/mapping"
	"firebreak/pipeline"
	"firebreak/record"
	"firebreak/registry"
	"firebreak/viewer"
	"firebreak/web"
)

// Options are what a configuration file cannot say.
type Options struct {
	Version string
	Now     func() time.Time // the clock of everything but proofs of identity; nil: time.Now
	Log     *slog.Logger     // nil: slog.Default
	Seed    *registry.Seed   // instead of Config.Registry
	Policy  []byte           // instead of Config.Policy

	Listener     net.Listener // open already, instead of Config.Listen; nil: New listens
	ClientSecret string       // instead of Config.SignIn.ClientSecret
}

// Gateway is the whole program, ready to run. Its parts live as long as it does.
type Gateway struct {
	Config         *Config
	Router         *mux.Router // of the main listener; add to it before Run
	Address        string      // of the main listener, once New returned
	Feeds          []string    // addresses of the feeds, in the order of Config.Feeds
	MetricsAddress string      // empty when off

	now      func() time.Time
	log      *slog.Logger
	audit    *audit.Log
	rules    *label.Rules
	record   *record.Record
	pipeline *pipeline.Pipeline
	registry *registry.Registry
	clients  *smart.Registry
	desk     *registry.Desk
	sessions *auth.Sessions
	key      []byte
	first    time.Time
	guard    *web.Guard
	reader   *record.Reader
	loading  sync.Mutex // one policy, or set of dialects, after another
	metrics  *metrics
	keys     *mapping.Keys
	traces   traces

	control         *net.UnixListener
	listener        net.Listener
	metricsListener net.Listener
	servers         map[string]*hl7.Server // of the feeds that have one
	posts           map[string]*hl7.Server // of them, those that come over HTTPS
	mllp            []*hl7.Server
	mllpListeners   []net.Listener
	pulls           map[string]*pull.Feed
	asks            []func(context.Context) // of feeds that go and look, each until its context ends
	closers         []func() error          // run last to first
}

// New opens and checks everything, and listens; nothing is taken or answered
// before Run. On an error all that was opened is closed.
func New(ctx context.Context, cfg *Config, o Options) (g *Gateway, err error) {
	boundMemory()
	g = &Gateway{Config: cfg, Router: mux.NewRouter().SkipClean(true), now: o.Now, log: o.Log}
	if g.now == nil {
		g.now = time.Now
	}
	if g.log == nil {
		g.log = slog.Default()
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.close())
			g = nil
		}
	}()
	for _, step := range []func(context.Context, Options) error{
		g.openStores, g.noteDialects, g.openControl, g.openAccounts, g.openDoors, g.openFeeds, g.openSends, g.openAlerts, g.listen,
	} {
		if err := step(ctx, o); err != nil {
			return g, err
		}
	}
	return g, nil
}

func (g *Gateway) onClose(f func() error) { g.closers = append(g.closers, f) }

func (g *Gateway) close() error {
	var errs []error
	for i := len(g.closers) - 1; i >= 0; i-- {
		errs = append(errs, g.closers[i]())
	}
	g.closers = nil
	return errors.Join(errs...)
}

// openStores opens the audit log and the record, and makes the pipeline between
// them: what an operator's command needs too. The log's lock makes this the one
// process on the data folder.
func (g *Gateway) openStores(ctx context.Context, o Options) error {
	if err := os.MkdirAll(g.Config.Data, 0o700); err != nil {
		return fmt.Errorf("gateway: data folder: %w", err)
	}
	var err error
	if g.audit, err = audit.Open(g.Config.AuditFolder(), g.now); err != nil {
		return fmt.Errorf("gateway: data folder: %w", err)
	}
	g.onClose(g.audit.Close)
	if err = g.markStart(); err != nil {
		return err
	}
	if g.key, err = g.Config.key(); err != nil {
		return err
	}
	if g.rules, err = label.Default(); err != nil {
		return err
	}
	g.rules = g.rules.Declare(g.Config.Declared)
	feeds, err := g.Config.mappingFeeds()
	if err != nil {
		return err
	}
	g.keys = mapping.NewKeys(g.key, feeds...)
	codes, err := g.Config.codes()
	if err != nil {
		return err
	}
	g.record, err = record.Open(ctx, record.Config{
		DSN: g.Config.Database.Value, Now: g.now, Log: g.audit, Rules: g.rules, Secret: g.key, Logger: g.log, Remake: pipeline.Remake(g.keys), Codes: codes,
	})
	if err != nil {
		return err
	}
	g.onClose(g.record.Close)
	g.pipeline = pipeline.New(g.record, g.keys, g.rules, pipeline.Config{Logger: g.log})
	g.metrics = newMetrics(g.record, g.pipeline, &g.traces, g.Config.Feeds)
	return nil
}

func (g *Gateway) openAccounts(ctx context.Context, o Options) error {
	var err error
	if g.registry, err = registry.Open(ctx, g.Config.Accounts.Value, g.now); err != nil {
		return err
	}
	g.onClose(g.registry.Close)
	seed := o.Seed
	if seed == nil {
		s, err := readSeed(g.Config.Registry)
		if err != nil {
			return err
		}
		seed = &s
	}
	if err := errors.Join(g.Config.knowsSources(*seed), g.Config.knowsSenders(*seed)); err != nil {
		return err
	}
	if err := g.registry.Apply(ctx, *seed, g.Config.SignIn.Issuer, g.Config.Tokens.Issuer); err != nil {
		return err
	}
	if g.clients, err = smart.NewRegistry(ctx, g.registry.DB(), g.Config.Apps, g.Config.Limits, time.Now, g.log); err != nil {
		return err
	}
	if g.desk, err = registry.NewDesk(ctx, g.registry.DB(), g.now); err != nil {
		return err
	}
	g.sessions, err = auth.NewSessions(ctx, g.registry.DB(), auth.SessionConfig{
		Idle: time.Duration(g.Config.Session.Idle), Absolute: time.Duration(g.Config.Session.Absolute),
		Secure: g.Config.secure(), Now: g.now, Logger: g.log,
	})
	return err
}

func (g *Gateway) openDoors(ctx context.Context, o Options) error {
	if o.ClientSecret != "" {
		g.Config.SignIn.ClientSecret.Value = o.ClientSecret
	}
	rules, err := g.policy(o)
	if err != nil {
		return err
	}
	issuer, err := auth.NewProvider(auth.ProviderConfig{Issuer: g.Config.SignIn.Issuer, Algorithms: g.Config.SignIn.Algorithms, Logger: g.log})
	if err != nil {
		return err
	}
	tokens := issuer
	if g.Config.Tokens.Issuer != g.Config.SignIn.Issuer || len(g.Config.Tokens.Algorithms) > 0 {
		if tokens, err = auth.NewProvider(auth.ProviderConfig{Issuer: g.Config.Tokens.Issuer, Algorithms: g.Config.Tokens.Algorithms, Logger: g.log}); err != nil {
			return err
		}
	}
	verifier, err := auth.NewVerifier(tokens, g.Config.Tokens.Audience)
	if err != nil {
		return err
	}
	var acr []string
	if g.Config.SignIn.ACR != "" {
		acr = []string{g.Config.SignIn.ACR}
	}
	signIn, err := auth.NewSignIn(issuer, g.sessions, auth.SignInConfig{
		ClientID: g.Config.SignIn.ClientID, ClientSecret: g.Config.SignIn.ClientSecret.Value,
		Redirect: g.Config.Base + viewer.Callback, SignedOut: g.Config.Base + viewer.SignedOut, ACR: acr,
	})
	if err != nil {
		return err
	}
	accounts := web.Accounts{Sessions: g.sessions, SignIn: signIn}
	var bearers web.Tokens = verifier
	discover := tokens.SMARTConfiguration
	var apps *smart.Server
	var endpoints map[string]string
	var meter func(auth.Identity) time.Duration
	if len(g.Config.Apps) > 0 || g.Config.Registration.Open {
		apps, err = smart.New(ctx, smart.Config{Base: g.Config.Base, DB: g.registry.DB(), Clients: g.clients, Secret: g.key, Issuer: g.Config.Tokens.Issuer, Now: time.Now, Logger: g.log,
			Registration: g.Config.Registration})
		if err != nil {
			return err
		}
		bearers, discover, endpoints = smart.Tokens{Own: apps, Other: verifier}, apps.Discovery, apps.Endpoints()
		meter = func(id auth.Identity) time.Duration { return g.clients.Meter(id.Client()) }
	}
	g.guard, err = web.New(web.Config{
		Sessions: accounts, Tokens: bearers, Door: g.registry, Audit: g.audit.Append,
		Secure: g.Config.secure(), FormTargets: []string{origin(g.Config.SignIn.Issuer)}, Now: g.now, Log: g.log,
		Observe: g.metrics.request, Meter: meter,
	})
	if err != nil {
		return err
	}
	g.reader = g.record.Reader(rules)
	g.posts = map[string]*hl7.Server{} // openFeeds fills it
	g.Router.HandleFunc("/livez", g.alive)
	g.Router.HandleFunc("/readyz", g.ready)
	err = fhirapi.Register(g.Router, "/fhir", fhirapi.Config{
		Base: g.Config.Base + "/fhir", Version: o.Version, Guard: g.guard, Reader: g.reader, Audit: g.audit, Smart: discover, OAuth: endpoints,
		Push: &adapters.Push{Sink: g.pipeline, Applied: g.pipeline.Applied, Now: g.now, HL7: g.posts}, Now: g.now, Log: g.log, Subscribing: g.Config.Subscriptions.api(),
	})
	if err != nil {
		return err
	}
	if err := g.openSubscriptions(apps); err != nil {
		return err
	}
	zone, err := time.LoadLocation(g.Config.Zone)
	if err != nil {
		return fmt.Errorf("gateway: zone: %w", err)
	}
	names := map[string]string{}
	for _, f := range g.Config.Feeds {
		names[f.Name] = f.Display
	}
	pages, err := viewer.New(viewer.Config{
		Guard: g.guard, Reader: g.reader, Accounts: accounts, Registry: g.registry, Office: g.reader.Office().Through(g.pipeline, g.pipeline.Applied), Ops: g.reader.Operations(g.pipeline), Desk: g.desk, Audit: g.audit.Append, Secret: g.key, Apps: apps,
		Zone: zone, Feeds: names, FeedNow: g.feedNow, Emergency: g.Config.Emergency, HelpLine: g.Config.HelpLine, Now: g.now,
	})
	if err != nil {
		return err
	}
	pages.Routes(g.Router)
	return nil
}

// grace is how long what is in hand may take when the gateway stops. What is
// cut off then was not acknowledged and comes again.
const grace = 20 * time.Second

// Run takes and answers until ctx ends, then stops in order: no new work, what
// is in hand finished, everything closed. It returns an error when something
// failed that a new start may mend, a disk for one.
func (g *Gateway) Run(ctx context.Context) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	pages := web.Server(g.Address, g.guard.Wrap(g.Router))
	control := g.controlServer(ctx)
	drain := []func(context.Context) error{pages.Shutdown}
	group.Go(func() error { return ignoreClosed(pages.Serve(g.listener)) })
	group.Go(func() error { return ignoreClosed(control.Serve(g.control)) })
	if g.metricsListener != nil {
		metrics := web.Server(g.MetricsAddress, g.metrics.handler())
		drain = append(drain, metrics.Shutdown)
		group.Go(func() error { return ignoreClosed(metrics.Serve(g.metricsListener)) })
	}
	for i, s := range g.mllp {
		drain = append(drain, s.Shutdown)
		group.Go(func() error { return ignoreClosed(s.Serve(g.mllpListeners[i])) })
	}
	for _, look := range g.asks {
		group.Go(func() error { look(ctx); return nil })
	}
	group.Go(func() error { return g.pipeline.Run(work) })
	group.Go(func() error { g.sessions.Run(work); return nil })
	group.Go(func() error { g.clients.Run(work); return nil })
	group.Go(func() error { g.traces.run(ctx, g); return nil })
	group.Go(func() error { persist(ctx, g.relabel); return nil })
	group.Go(func() error { g.reader.Office().Run(ctx); return nil })
	if len(g.Config.Purge) > 0 {
		group.Go(func() error { g.purge(ctx); return nil })
	}
	group.Go(func() error { return watch(ctx, g.record.Err) })
	group.Go(func() error {
		<-ctx.Done()
		patience, cancel := context.WithTimeout(work, grace)
		defer cancel()
		var hands sync.WaitGroup
		for _, finish := range drain {
			hands.Go(func() {
				if err := finish(patience); err != nil {
					g.log.Warn("a connection was cut off; what was not acknowledged comes again", "error", err)
				}
			})
		}
		hands.Wait()
		stop() // the pipeline finishes what it has begun; what waits is on disk
		return errors.Join(pages.Close(), control.Close())
	})
	err := group.Wait()
	return errors.Join(err, g.close())
}

// relabel judges again what other rules judged.
func (g *Gateway) relabel(ctx context.Context) error {
	_, err := g.record.Relabel(ctx)
	if err != nil && ctx.Err() == nil {
		g.log.Error("relabelling was broken off and goes on later; rows not yet judged are withheld", "error", err)
	}
	return err
}

// persist does what must be done in the end, however often it fails.
func persist(ctx context.Context, do func(context.Context) error) {
	for pause := time.Second; do(ctx) != nil; pause = min(2*pause, time.Minute) {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// watch ends the gateway when nothing can be written any more: what a disk
// holds after a failed flush is unknown until it is opened again.
func watch(ctx context.Context, broken func() error) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := broken(); err != nil {
				return fmt.Errorf("gateway: %w", err)
			}
		}
	}
}

// Idle waits until every message taken in so far is applied or held, or is of a
// feed that is paused.
func (g *Gateway) Idle(ctx context.Context) error {
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		waits, err := g.record.Queue().Sources(ctx)
		if err != nil || len(waits) == 0 {
			tick.Stop()
			return err
		}
		select {
		case <-ctx.Done():
			tick.Stop()
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// FirstStart is when the data folder was first used: what a demo dates its
// hospital from, so that a second start sends the same messages.
func (g *Gateway) FirstStart() time.Time { return g.first }

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, hl7.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// key reads the id key, or makes one at the first start.
func (cfg *Config) key() ([]byte, error) {
	if cfg.Key.Value != "" {
		return []byte(cfg.Key.Value), nil
	}
	path := filepath.Join(cfg.Data, "key")
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		b = []byte(rand.Text() + rand.Text())
		err = writeNew(path, b)
	}
	if err != nil {
		return nil, fmt.Errorf("gateway: key: %w", err)
	}
	if len(b) < 32 {
		return nil, errors.New("gateway: key: fewer than 32 bytes in " + path)
	}
	return b, nil
}

// writeNew writes a new file of mode 0600 and flushes it: losing the key would
// change every id.
func writeNew(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

func (cfg *Config) mappingFeeds() ([]mapping.Feed, error) {
	var feeds []mapping.Feed
	for _, f := range cfg.Feeds {
		zone, err := time.LoadLocation(f.Zone)
		if err != nil {
			return nil, fmt.Errorf("gateway: feed %s: %w", f.Name, err)
		}
		m := mapping.Feed{Source: f.Name, Zone: zone, Systems: f.Systems, Send: f.Send.mapping(), Dialect: f.readBy()}
		if f.Authority != "" {
			m.PatientAuthorities = []string{f.Authority}
		}
		feeds = append(feeds, m)
	}
	return feeds, nil
}
