package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"firebreak/auth/smart"
	"firebreak/gateway"
)

// runClients is firebreak clients.
func runClients(ctx context.Context, e *env, args []string) error {
	do := "list"
	acts := []string{string(smart.Approve), string(smart.Refuse), string(smart.Suspend), string(smart.Resume), string(smart.Delete)}
	if len(args) > 0 && (args[0] == "list" || args[0] == "limit" || slices.Contains(acts, args[0])) {
		do, args = args[0], args[1:]
	}
	f := flags("clients")
	reason := f.String("reason", "", "")
	var own smart.Limits
	f.IntVar(&own.API, "api", 0, "")
	f.IntVar(&own.Token, "token", 0, "")
	t, err := parseTarget(e, f, args)
	if err != nil {
		return err
	}
	if deciding := slices.Contains(acts, do); deciding != (*reason != "") || (do == "list") != (f.NArg() == 0) || f.NArg() > 1 || do != "limit" && own != (smart.Limits{}) {
		fmt.Fprintln(e.stderr, "to list takes no client; approve, refuse, suspend, resume and delete take one, and --reason; limit takes one, and --api and --token")
		return errUsage
	}
	return t.ask(ctx, e, reads, func(o *gateway.Operator) error {
		switch do {
		case "list":
			return o.Clients(ctx, func(c smart.Listed) { fmt.Fprintln(e.stdout, clientLine(c)) })
		case "limit":
			return o.LimitClient(ctx, f.Arg(0), own)
		}
		return o.DecideClient(ctx, f.Arg(0), smart.Act(do), *reason)
	})
}

// clientLine is a client in a list.
func clientLine(c smart.Listed) string {
	kind := "configured"
	if c.Registered {
		kind = "registered " + c.Made.Format(time.RFC3339) + " from " + c.Address
	}
	used := "never"
	if !c.Last.IsZero() {
		used = c.Last.Format(time.RFC3339)
	}
	return fmt.Sprintf("%s  %s  %q  %s  %s  %s  to %s  %d requests, %d refused, last %s  %d and %d a minute  %s",
		c.ID, c.State, c.Name, kind, c.Method, c.Scopes, strings.Join(c.Redirects, " "), c.Requests, c.Refused, used, c.Limits.API, c.Limits.Token, c.Reason)
}
