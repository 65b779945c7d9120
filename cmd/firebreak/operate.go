package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"firebreak/gateway"
	"firebreak/inbox"
	"firebreak/record"
)

// target is the gateway that --config or --data names. With --data alone it
// must be running, as a demo is: nothing else tells how to read its data.
type target struct {
	config, data string
	rest         []string
}

func parseTarget(e *env, name string, args []string, more func(*flag.FlagSet)) (t target, err error) {
	f := flags(name)
	f.StringVar(&t.config, "config", "", "")
	f.StringVar(&t.data, "data", "", "")
	more(f)
	if err := parse(e, f, args); err != nil {
		return t, err
	}
	if t.rest = f.Args(); (t.config == "") == (t.data == "") {
		fmt.Fprintln(e.stderr, "give --config FILE, or --data DIR of a gateway that runs")
		return t, errUsage
	}
	return t, nil
}

// open finds the gateway; apply says whether messages are to be applied.
func (t target) open(ctx context.Context, e *env, apply bool) (*gateway.Operator, error) {
	if t.data != "" {
		return gateway.Attach(ctx, t.data)
	}
	cfg, err := gateway.ReadConfig(t.config)
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	return gateway.Operate(ctx, cfg, log, apply)
}

// runReplay is firebreak replay.
func runReplay(ctx context.Context, e *env, args []string) (err error) {
	var held bool
	t, err := parseTarget(e, "replay", args, func(f *flag.FlagSet) { f.BoolVar(&held, "held", false, "") })
	if err != nil {
		return err
	}
	if held == (len(t.rest) > 0) {
		fmt.Fprintln(e.stderr, "name messages by number, or --held for all that are held")
		return errUsage
	}
	ids := make([]inbox.ID, len(t.rest))
	for i, s := range t.rest {
		if ids[i], err = parseID(s); err != nil {
			return err
		}
	}
	o, err := t.open(ctx, e, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	result, err := o.Replay(ctx, ids...)
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

// runHeld is firebreak held. What it lists is no patient's data; what it prints
// of one message is.
func runHeld(ctx context.Context, e *env, args []string) (err error) {
	t, err := parseTarget(e, "held", args, func(*flag.FlagSet) {})
	if err != nil {
		return err
	}
	var id inbox.ID
	switch len(t.rest) {
	case 0:
	case 1:
		if id, err = parseID(t.rest[0]); err != nil {
			return err
		}
	default:
		return errUsage
	}
	o, err := t.open(ctx, e, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	if id != 0 {
		return o.Message(ctx, id, e.stdout)
	}
	return o.Held(ctx, func(h record.Held) {
		fmt.Fprintf(e.stdout, "%d  %s  %s  %s\n", h.ID, h.Received.Format(time.RFC3339), h.Source, h.Reason)
	})
}

func parseID(s string) (inbox.ID, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("%q is no message's number", s)
	}
	return inbox.ID(n), nil
}
