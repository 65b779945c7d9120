package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"firebreak/auth"
	"firebreak/internal/sqldb"
	"firebreak/registry"
)

// Explain says what the configuration means and tries each connection it
// names; it changes nothing. It tells whether everything is well.
func (cfg *Config) Explain(ctx context.Context, w io.Writer) bool {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	well := true
	say := func(what, is string, err error) {
		if err != nil {
			well = false
			fmt.Fprintf(w, "FAIL  %-16s %s\n      %v\n", what, is, err)
			return
		}
		fmt.Fprintf(w, "ok    %-16s %s\n", what, is)
	}
	say("data", cfg.Data+" (databases and audit log)", folder(cfg.Data))
	say("database", describe(cfg.Database.Value), reach(ctx, cfg.Database.Value))
	say("accounts", describe(cfg.Accounts.Value), reach(ctx, cfg.Accounts.Value))
	key := "of the configuration"
	if cfg.Key.Value == "" {
		key = filepath.Join(cfg.Data, "key") + "; keep it with the database's backup"
	}
	say("key of ids", key, nil)

	g := &Gateway{Config: cfg}
	p, err := g.policy(Options{})
	name := cfg.Policy
	if name == "" {
		name = "the shipped policy"
	}
	if err == nil {
		name += ", version " + p.Version()
	}
	say("policy", name, err)
	if len(cfg.Terminology) > 0 {
		codes, err := cfg.codes()
		sets, systems := codes.Own()
		say("terminology", fmt.Sprintf("%s: %d value sets, %d code systems", strings.Join(cfg.Terminology, ", "), sets, systems), err)
	}
	seed, err := readSeed(cfg.Registry)
	say("registry", fmt.Sprintf("%s: %d worksites, %d people, %d clients", cfg.Registry, len(seed.Worksites), len(seed.People), len(seed.Clients)), err)

	say("sign-in", cfg.SignIn.Issuer+" as "+cfg.SignIn.ClientID, discover(ctx, cfg.SignIn.Issuer, cfg.SignIn.Algorithms))
	say("tokens", "of "+cfg.Tokens.Issuer+" for "+cfg.Tokens.Audience, discover(ctx, cfg.Tokens.Issuer, cfg.Tokens.Algorithms))
	say("session", fmt.Sprintf("%v idle, %v in all", time.Duration(cfg.Session.Idle), time.Duration(cfg.Session.Absolute)), nil)

	free := free
	if o, err := Attach(ctx, cfg.Data); err == nil {
		say("running", "a gateway has the data folder open; its addresses are in use, as they should be", o.Close())
		free = func(string) error { return nil }
	}
	say("listen", cfg.Listen+" as "+cfg.Base, errors.Join(free(cfg.Listen), certificate(cfg.TLS)))
	if cfg.Metrics != "off" {
		say("metrics", "http://"+cfg.Metrics+"/metrics", free(cfg.Metrics))
	}
	if s := cfg.Subscriptions; s != nil {
		say("subscriptions", fmt.Sprintf("every %v, told at %s", time.Duration(s.Every), strings.Join(s.To, ", ")), nil)
	}
	for _, f := range cfg.Feeds {
		if f.Send != nil {
			say("feed "+f.Name, fmt.Sprintf("is sent %s %s, from %s", strings.Join(f.Send.Types, ", "), f.Send.at(), strings.Join(f.Send.From, ", "))+f.within(), f.Send.try(ctx))
		}
		if f.Pull != nil {
			say("feed "+f.Name, fmt.Sprintf("asks %s for %s", f.Pull.Base, strings.Join(f.Pull.Types, ", "))+f.within(), f.Pull.try(ctx))
			continue
		}
		if f.onlySends() {
			continue
		}
		from := "any facility"
		if len(f.Facilities) > 0 {
			from = strings.Join(f.Facilities, ", ")
		}
		if d := f.readBy(); d != nil {
			from += ", in the dialect " + d.Name + " version " + d.Version
		}
		if f.Folder != nil {
			say("feed "+f.Name, fmt.Sprintf("takes files from %s, of %s, times in %s", f.Folder.Path, from, f.Zone)+f.within(), f.Folder.usable())
			continue
		}
		if f.Post {
			say("feed "+f.Name, fmt.Sprintf("takes POST at %s/fhir/hl7, from %s, times in %s", cfg.Base, from, f.Zone), nil)
			continue
		}
		secure := "without TLS"
		if f.TLS != nil {
			secure = "with TLS"
			if f.TLS.ClientCA != "" {
				secure += " and client certificates"
			}
		}
		say("feed "+f.Name, fmt.Sprintf("MLLP at %s %s, from %s, times in %s", f.Listen, secure, from, f.Zone), errors.Join(free(f.Listen), certificate(f.TLS)))
	}
	return well
}

// folder tells whether the data folder can be used, or made.
func folder(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		_, err = os.Stat(filepath.Dir(path))
		return err
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return errors.New("is no folder")
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("others on this machine may look into it: mode %04o, should be 0700", info.Mode().Perm())
	}
	return nil
}

// describe names a database without what may be secret in its address.
func describe(dsn string) string {
	if isPostgres(dsn) {
		return "PostgreSQL"
	}
	return "SQLite file " + strings.TrimPrefix(dsn, "sqlite:")
}

func reach(ctx context.Context, dsn string) error {
	if path, ok := strings.CutPrefix(describe(dsn), "SQLite file "); ok {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return nil // made at the first start
		}
	}
	return sqldb.Ping(ctx, dsn)
}

func readSeed(path string) (registry.Seed, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return registry.Seed{}, fmt.Errorf("gateway: registry: %w", err)
	}
	return registry.ParseSeed(path, b)
}

func discover(ctx context.Context, issuer string, algorithms []string) error {
	p, err := auth.NewProvider(auth.ProviderConfig{Issuer: issuer, Algorithms: algorithms})
	if err != nil {
		return err
	}
	_, err = p.Metadata(ctx)
	return err
}

func free(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return l.Close()
}

// certificate tells whether a certificate can be used today.
func certificate(t *TLS) error {
	if t == nil {
		return nil
	}
	c, err := t.server()
	if err != nil {
		return err
	}
	leaf, now := c.Certificates[0].Leaf, time.Now()
	switch {
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("tls: %s holds only from %s", t.Certificate, leaf.NotBefore.Format(time.RFC3339))
	case now.After(leaf.NotAfter):
		return fmt.Errorf("tls: %s ended at %s", t.Certificate, leaf.NotAfter.Format(time.RFC3339))
	}
	return nil
}
