package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"

	"firebreak/audit"
	"firebreak/gateway"
	"firebreak/inbox"
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
	log.InfoContext(ctx, "serving", "base", cfg.Base, "listen", g.Address, "feeds", g.Feeds, "version", version)
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

// runReplay is firebreak replay.
func runReplay(ctx context.Context, e *env, args []string) error {
	var held bool
	cfg, rest, err := configured(e, "replay", args, func(f *flagSet) { f.BoolVar(&held, "held", false, "") })
	if err != nil {
		return err
	}
	if held == (len(rest) > 0) {
		fmt.Fprintln(e.stderr, "name messages by id, or --held for all that are held")
		return errUsage
	}
	var ids []inbox.ID
	for _, s := range rest {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n <= 0 {
			return fmt.Errorf("%q is no message id", s)
		}
		ids = append(ids, inbox.ID(n))
	}
	result, err := gateway.Replay(ctx, cfg, ids)
	if err != nil {
		return err
	}
	for _, h := range result.Held {
		fmt.Fprintf(e.stdout, "held     %d  %s\n", h.ID, h.Reason)
	}
	fmt.Fprintf(e.stdout, "%d applied, %d held\n", result.Applied, len(result.Held))
	if len(result.Held) > 0 {
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
		return errors.Join(fmt.Errorf("%d entries are sound, then", n), err)
	}
	fmt.Fprintf(e.stdout, "%d entries, the chain holds\n", n)
	return nil
}
