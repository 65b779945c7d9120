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
type target struct{ config, data string }

// parseTarget reads a command's own flags, and those that name the gateway.
func parseTarget(e *env, f *flag.FlagSet, args []string) (t target, err error) {
	f.StringVar(&t.config, "config", "", "")
	f.StringVar(&t.data, "data", "", "")
	if err := parse(e, f, args); err != nil {
		return t, err
	}
	if (t.config == "") == (t.data == "") {
		fmt.Fprintln(e.stderr, "give --config FILE, or --data DIR of a gateway that runs")
		return t, errUsage
	}
	return t, nil
}

// onlyTarget reads the flags of a command that has none but those.
func onlyTarget(e *env, name string, args []string) (target, error) {
	f := flags(name)
	t, err := parseTarget(e, f, args)
	if err == nil && f.NArg() > 0 {
		err = errUsage
	}
	return t, err
}

// absent is what becomes of a command when no gateway runs.
type absent int

const (
	fails   absent = iota // it has nobody to ask
	reads                 // it opens the stores itself
	applies               // it does, and applies messages too
)

// ask lets do speak with the gateway, or with what stands in for it.
func (t target) ask(ctx context.Context, e *env, none absent, do func(*gateway.Operator) error) (err error) {
	o, err := t.open(ctx, e, none)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	return do(o)
}

func (t target) open(ctx context.Context, e *env, none absent) (*gateway.Operator, error) {
	if t.data != "" {
		return gateway.Attach(ctx, t.data)
	}
	cfg, err := gateway.ReadConfig(t.config)
	if err != nil {
		return nil, err
	}
	if none == fails {
		return gateway.AttachTo(ctx, cfg)
	}
	log := slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	return gateway.Operate(ctx, cfg, log, none == applies)
}

// runReplay is firebreak replay.
func runReplay(ctx context.Context, e *env, args []string) error {
	f := flags("replay")
	held, same := f.Bool("held", false, ""), f.Bool("same", false, "")
	feed, stored := f.String("feed", "", ""), f.Int("stored", 0, "")
	t, err := parseTarget(e, f, args)
	if err != nil {
		return err
	}
	ways := 0
	for _, way := range []bool{*held, *feed != "", f.NArg() > 0} {
		if way {
			ways++
		}
	}
	if ways != 1 || (*feed != "") != (*stored > 0) || *same && f.NArg() == 0 {
		fmt.Fprintln(e.stderr, "name messages by number, with --same to say that they are of the patients they name; --held for all that are held; or --feed NAME --stored N for the latest of a feed")
		return errUsage
	}
	ids := make([]inbox.ID, f.NArg())
	for i, s := range f.Args() {
		if ids[i], err = parseID(s); err != nil {
			return err
		}
	}
	return t.ask(ctx, e, applies, func(o *gateway.Operator) error {
		replay := o.Replay
		switch {
		case *same:
			replay = o.Vouch
		case *feed != "":
			replay = func(ctx context.Context, _ ...inbox.ID) (gateway.Replayed, error) {
				return o.ReplayFeed(ctx, *feed, *stored)
			}
		}
		result, err := replay(ctx, ids...)
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
	})
}

// runHeld is firebreak held. What it lists is no patient's data; what it prints
// of one message is.
func runHeld(ctx context.Context, e *env, args []string) error {
	do := "list"
	if len(args) > 0 && (args[0] == "list" || args[0] == "aside" || args[0] == "back") {
		do, args = args[0], args[1:]
	}
	f := flags("held")
	reason, aside := f.String("reason", "", ""), f.Bool("aside", false, "")
	t, err := parseTarget(e, f, args)
	if err != nil {
		return err
	}
	listing := do == "list"
	switch {
	case (do == "aside") != (*reason != ""), *aside && (!listing || f.NArg() > 0), listing && f.NArg() > 1, !listing && f.NArg() == 0:
		fmt.Fprintln(e.stderr, "to list takes --aside for what is set aside, or the number of the one message to print; aside takes the messages' numbers, and --reason; back takes their numbers")
		return errUsage
	}
	ids := make([]inbox.ID, f.NArg())
	for i, s := range f.Args() {
		if ids[i], err = parseID(s); err != nil {
			return err
		}
	}
	none := reads
	if do == "aside" {
		none = applies // what waits for it alone
	}
	return t.ask(ctx, e, none, func(o *gateway.Operator) error {
		line := func(h record.Held) {
			fmt.Fprintf(e.stdout, "%d  %s  %s  %s\n", h.ID, h.Received.Format(time.RFC3339), h.Source, h.Reason)
		}
		switch {
		case do == "aside":
			return o.SetAside(ctx, *reason, ids...)
		case do == "back":
			return o.TakeBack(ctx, ids...)
		case *aside:
			return o.AllAside(ctx, func(h record.Held) {
				h.Reason = h.Aside + "  (" + h.Reason + ")"
				line(h)
			})
		case len(ids) == 1:
			return o.Message(ctx, ids[0], e.stdout)
		}
		return o.Held(ctx, line)
	})
}

func parseID(s string) (inbox.ID, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("%q is no message's number", s)
	}
	return inbox.ID(n), nil
}
