package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"firebreak/audit"
	"firebreak/gateway"
)

// configured reads the file that --config names.
func configured(e *env, name string, args []string) (*gateway.Config, error) {
	f := flags(name)
	path := f.String("config", "", "")
	if err := parse(e, f, args); err != nil {
		return nil, err
	}
	if *path == "" || f.NArg() > 0 {
		fmt.Fprintln(e.stderr, "give --config FILE, and nothing else")
		return nil, errUsage
	}
	return gateway.ReadConfig(*path)
}

// runServe is firebreak serve.
func runServe(ctx context.Context, e *env, args []string) error {
	cfg, err := configured(e, "serve", args)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(e.stderr, nil))
	g, err := gateway.New(ctx, cfg, gateway.Options{Version: version, Log: log})
	if err != nil {
		return err
	}
	hangUp := make(chan os.Signal, 1)
	signal.Notify(hangUp, syscall.SIGHUP)
	defer signal.Stop(hangUp)
	ctx, end := context.WithCancel(ctx)
	defer end()
	go reload(ctx, g, hangUp, log)
	log.InfoContext(ctx, "serving", "base", cfg.Base, "listen", g.Address, "feeds", g.Feeds, "metrics", g.MetricsAddress, "version", version)
	return g.Run(ctx)
}

// reload has the gateway read its policy file, and its feeds' dialects, anew at each signal.
func reload(ctx context.Context, g *gateway.Gateway, signals <-chan os.Signal, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
			if _, err := g.LoadPolicy(ctx, "signal HUP"); err != nil {
				log.ErrorContext(ctx, "the policy stays as it was", "error", err)
			}
			if _, err := g.LoadDialects(ctx, "signal HUP"); err != nil {
				log.ErrorContext(ctx, "the feeds' dialects stay as they were", "error", err)
			}
		}
	}
}

// runCheck is firebreak check.
func runCheck(ctx context.Context, e *env, args []string) error {
	cfg, err := configured(e, "check", args)
	if err != nil {
		return err
	}
	if !cfg.Explain(ctx, e.stdout) {
		return errSaid
	}
	return nil
}

// runAudit is firebreak audit verify. A configuration adds what the database
// knows of the log, without which a cut end that was made to look whole is not
// seen.
func runAudit(ctx context.Context, e *env, args []string) (err error) {
	switch {
	case len(args) > 0 && args[0] == "events":
		return runAuditEvents(e, args[1:])
	case len(args) == 0 || args[0] != "verify":
		return errUsage
	}
	f := flags("audit verify")
	path := f.String("config", "", "")
	if err := parse(e, f, args[1:]); err != nil {
		return err
	}
	if (*path == "") == (f.NArg() == 0) || f.NArg() > 1 {
		return errUsage
	}
	dir := f.Arg(0)
	var anchors []audit.Anchor
	if *path != "" {
		cfg, err := gateway.ReadConfig(*path)
		if err != nil {
			return err
		}
		dir = cfg.AuditFolder()
		if n, err := audit.Verify(dir); err != nil { // before anything opens it
			return fmt.Errorf("%d entries are sound, then %w", n, err)
		}
		o, err := gateway.Operate(ctx, cfg, slog.New(slog.DiscardHandler), false)
		if err != nil {
			return err
		}
		anchors, err = o.Anchors(ctx)
		if err = errors.Join(err, o.Close()); err != nil {
			return err
		}
	}
	n, err := audit.Verify(dir, anchors...)
	if err != nil {
		return fmt.Errorf("%d entries are sound, then %w", n, err)
	}
	fmt.Fprintf(e.stdout, "%d entries, the chain holds", n)
	if len(anchors) > 0 {
		fmt.Fprintf(e.stdout, ", and so do %d anchors in the database", len(anchors))
	}
	fmt.Fprintln(e.stdout)
	return nil
}

// runAuditEvents is firebreak audit events.
func runAuditEvents(e *env, args []string) error {
	f := flags("audit events")
	path := f.String("config", "", "")
	after := f.Int64("after", 0, "")
	if err := parse(e, f, args); err != nil {
		return err
	}
	if (*path == "") == (f.NArg() == 0) || f.NArg() > 1 || *after < 0 {
		return errUsage
	}
	dir, base := f.Arg(0), ""
	if *path != "" {
		cfg, err := gateway.ReadConfig(*path)
		if err != nil {
			return err
		}
		dir, base = cfg.AuditFolder(), cfg.Base+"/fhir"
	}
	out := bufio.NewWriter(e.stdout)
	_, err := audit.AuditEvents(out, dir, base, *after)
	return errors.Join(err, out.Flush())
}
