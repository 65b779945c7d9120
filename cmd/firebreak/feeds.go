package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"firebreak/gateway"
)

// runFeeds is firebreak feeds. What it lists is no patient's data.
func runFeeds(ctx context.Context, e *env, args []string) error {
	if len(args) > 0 && args[0] == "load" {
		return loadDialects(ctx, e, args[1:])
	}
	do := "list"
	if len(args) > 0 && (args[0] == "list" || args[0] == "pause" || args[0] == "resume") {
		do, args = args[0], args[1:]
	}
	f := flags("feeds")
	t, err := parseTarget(e, f, args)
	if err != nil {
		return err
	}
	if named := f.NArg() == 1; named != (do != "list") || f.NArg() > 1 {
		fmt.Fprintln(e.stderr, "to list takes no name; pause and resume take the feed's")
		return errUsage
	}
	return t.ask(ctx, e, reads, func(o *gateway.Operator) error {
		if do != "list" {
			return o.Pause(ctx, f.Arg(0), do == "pause")
		}
		w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "feed\tstate\tlast\thour\ttoday\twaiting\tlag\theld\tto send\trefused\tack p50\tack p99\tdialect\tunread")
		most := false
		err := o.Feeds(ctx, func(l gateway.FeedLine) {
			most = l.Most
			fmt.Fprintln(w, feedRow(l))
		})
		if err == nil {
			err = w.Flush()
		}
		if most {
			fmt.Fprintln(e.stderr, "more messages are not done than were counted; what is held or waits may be more")
		}
		return err
	})
}

// loadDialects is for a gateway that runs: another reads the files when it starts.
func loadDialects(ctx context.Context, e *env, args []string) error {
	t, err := onlyTarget(e, "feeds load", args)
	if err != nil {
		return err
	}
	return t.ask(ctx, e, fails, func(o *gateway.Operator) error {
		all, err := o.LoadDialects(ctx)
		for _, n := range all {
			fmt.Fprintf(e.stdout, "feed %s: %s takes the place of %s\n", n.Feed, n.Now, n.Before)
		}
		if err == nil && len(all) == 0 {
			fmt.Fprintln(e.stdout, "no dialect has changed")
		}
		return err
	})
}

// feedRow is a feed in a line, columns parted by tabs.
func feedRow(l gateway.FeedLine) string {
	state, last, lag, p50, p99, dialect, unread := "open", "never", "-", "-", "-", "-", "-"
	if l.Paused != nil {
		state = "paused since " + l.Paused.Since.Format(time.RFC3339) + " by " + l.Paused.Who
	}
	if l.Shut {
		state += ", outside its hours " + l.Hours
	}
	if !l.Last.IsZero() {
		last = l.Last.Format(time.RFC3339)
	}
	if l.Waiting > 0 {
		lag = max(0, l.Now.Sub(l.Oldest)).Round(time.Second).String()
	}
	if l.Acks > 0 {
		p50, p99 = fmt.Sprintf("%.1fms", l.P50ms), fmt.Sprintf("%.1fms", l.P99ms)
	}
	if l.Dialect != "" {
		dialect = l.Dialect
	}
	if l.Traced > 0 {
		unread = fmt.Sprint(l.Unread)
	}
	return fmt.Sprintf("%s\t%s\t%s\t%d\t%d\t%d\t%s\t%d\t%d\t%d\t%s\t%s\t%s\t%s",
		l.Source, state, last, l.Lately, l.Today, l.Waiting, lag, l.Held, l.Letters.Waiting, l.Letters.Refused, p50, p99, dialect, unread)
}
