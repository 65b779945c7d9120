package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"

	"firebreak/adapters"
	"firebreak/adapters/pull"
	"firebreak/inbox"
	"firebreak/registry"
)

// openFeeds makes an MLLP server for each feed that is sent to, and listens;
// and what goes and looks for each that is asked or has a folder.
func (g *Gateway) openFeeds(ctx context.Context, _ Options) error {
	g.pulls = map[string]*pull.Feed{}
	for _, f := range g.Config.Feeds {
		if f.Pull != nil {
			if err := g.openPull(f); err != nil {
				return fmt.Errorf("gateway: feed %s: %w", f.Name, err)
			}
			continue
		}
		if f.Folder != nil {
			if err := g.openFolder(f); err != nil {
				return fmt.Errorf("gateway: feed %s: %w", f.Name, err)
			}
			continue
		}
		if f.onlySends() {
			g.Feeds = append(g.Feeds, "")
			continue
		}
		a := &adapters.HL7{Source: f.Name, Sink: g.pipeline, Facilities: f.Facilities, Limit: f.limit(), Now: g.now, Logger: g.log}
		s := a.Server()
		s.Logger = g.log
		if f.Post {
			g.posts[f.Name] = s
			g.Feeds = append(g.Feeds, g.Config.Base+"/fhir/hl7")
			g.serves(f.Name, s)
			continue
		}
		if f.TLS != nil {
			var err error
			if s.TLS, err = f.TLS.server(); err != nil {
				return fmt.Errorf("gateway: feed %s: %w", f.Name, err)
			}
		}
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", f.Listen)
		if err != nil {
			return fmt.Errorf("gateway: feed %s: %w", f.Name, err)
		}
		g.onClose(closeQuietly(l))
		g.mllp, g.mllpListeners = append(g.mllp, s), append(g.mllpListeners, l)
		g.Feeds = append(g.Feeds, l.Addr().String())
		g.serves(f.Name, s)
	}
	return nil
}

// listen opens the main and the metrics address.
func (g *Gateway) listen(ctx context.Context, o Options) error {
	l := o.Listener
	if l == nil {
		var err error
		if l, err = (&net.ListenConfig{}).Listen(ctx, "tcp", g.Config.Listen); err != nil {
			return fmt.Errorf("gateway: listen: %w", err)
		}
	}
	g.onClose(closeQuietly(l))
	g.Address = l.Addr().String()
	if g.Config.TLS != nil {
		c, err := g.Config.TLS.server()
		if err != nil {
			return fmt.Errorf("gateway: tls: %w", err)
		}
		c.NextProtos = []string{"h2", "http/1.1"}
		l = tls.NewListener(l, c)
	}
	g.listener = l
	if g.Config.Metrics == "off" {
		return nil
	}
	m, err := (&net.ListenConfig{}).Listen(ctx, "tcp", g.Config.Metrics)
	if err != nil {
		return fmt.Errorf("gateway: metrics: %w", err)
	}
	g.onClose(closeQuietly(m))
	g.metricsListener, g.MetricsAddress = m, m.Addr().String()
	return nil
}

// closeQuietly closes a listener that its server may have closed already.
func closeQuietly(l net.Listener) func() error {
	return func() error {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
}

// server is the TLS configuration of a listener: TLS 1.2 or later, and client
// certificates required where a CA for them is named.
func (t *TLS) server() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(t.Certificate, t.Key)
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	c := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if t.ClientCA != "" {
		b, err := os.ReadFile(t.ClientCA)
		if err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
		c.ClientCAs = x509.NewCertPool()
		if !c.ClientCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("tls: no certificate in %s", t.ClientCA)
		}
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return c, nil
}

// knowsSources refuses a declaration of a source that does not exist: mistyped,
// it would leave the real one open.
func (cfg *Config) knowsSources(seed registry.Seed) error {
	if slices.ContainsFunc(seed.Clients, func(c registry.SeedClient) bool { return c.Source == inbox.Own }) {
		return fmt.Errorf("gateway: registry: the source %q is the gateway's own", inbox.Own)
	}
	for source := range cfg.Declared {
		if !slices.ContainsFunc(cfg.Feeds, func(f Feed) bool { return f.Name == source }) &&
			!slices.ContainsFunc(seed.Clients, func(c registry.SeedClient) bool { return c.Source == source }) {
			return fmt.Errorf("gateway: declared: there is no source %q among the feeds and the registry's clients", source)
		}
	}
	return nil
}
