package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"firebreak/gateway"
	"firebreak/record"
)

// runOutbox is firebreak outbox. What it lists is no patient's data.
func runOutbox(ctx context.Context, e *env, args []string) error {
	do := "list"
	if len(args) > 0 && (args[0] == "list" || args[0] == "retry" || args[0] == "drop") {
		do, args = args[0], args[1:]
	}
	f := flags("outbox")
	reason := f.String("reason", "", "")
	t, err := parseTarget(e, f, args)
	if err != nil {
		return err
	}
	if listing := do == "list"; listing != (f.NArg() == 0) || listing != (*reason == "") {
		fmt.Fprintln(e.stderr, "to list takes no numbers; retry and drop take the letters' numbers, and --reason")
		return errUsage
	}
	ids := make([]int64, f.NArg())
	for i, s := range f.Args() {
		if ids[i], err = strconv.ParseInt(s, 10, 64); err != nil || ids[i] <= 0 {
			return fmt.Errorf("%q is no letter's number", s)
		}
	}
	return t.ask(ctx, e, reads, func(o *gateway.Operator) error {
		switch do {
		case "retry":
			return o.Retry(ctx, *reason, ids...)
		case "drop":
			return o.Drop(ctx, *reason, ids...)
		}
		return o.Outbox(ctx, func(s record.Sending) {
			fmt.Fprintf(e.stdout, "%d  %s  %s  %s  %s after %d attempts  %s\n", s.ID, s.Entered.Format(time.RFC3339), s.Feed, s.Type, s.State, s.Attempts, s.Reason)
		})
	})
}
