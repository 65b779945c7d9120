package main

import (
	"context"
	"fmt"
	"log/slog"

	"firebreak/audit"
	"firebreak/gateway"
)

// configured reads the file that --config names.
func configured(e *env, name string, args []string, more func(set *flagSet)) (*gateway.Config, []string, error) {
	f := flags(name)
	path := f.String("config", "", "")
	if more != nil {
		more(f)
	}
	if err := parse(e, f, args); err != nil {
		return nil, nil, err
	}
	if *path == "" {
		fmt.Fprintln(e.stderr, "--config is missing")
		return nil, nil, errUsage
	}
	cfg, err := gateway.ReadConfig(*path)
	return cfg, f.Args(), err
}

// runServe is firebreak serve.
func runServe(ctx context.Context, e *env, args []string) error {
	cfg, _, err := configured(e, "serve", args, nil)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(e.stderr, nil))
	g, err := gateway.New(ctx, cfg, gateway.Options{Version: version, Log: log})
	if err != nil {
		return err
	}
	log.InfoContext(ctx, "serving", "base", cfg.Base, "listen", g.Address, "feeds", g.Feeds, "metrics", g.MetricsAddress, "version", version)
	return g.Run(ctx)
}

// runCheck is firebreak check.
func runCheck(ctx context.Context, e *env, args []string) error {
	cfg, _, err := configured(e, "check", args, nil)
	if err != nil {
		return err
	}
	if !cfg.Explain(ctx, e.stdout) {
		return errSaid
	}
	return nil
}

// runAudit is firebreak audit verify.
func runAudit(_ context.Context, e *env, args []string) error {
	if len(args) != 2 || args[0] != "verify" {
		return errUsage
	}
	n, err := audit.Verify(args[1])
	if err != nil {
		return fmt.Errorf("%d entries are sound, then %w", n, err)
	}
	fmt.Fprintf(e.stdout, "%d entries, the chain holds\n", n)
	return nil
}
