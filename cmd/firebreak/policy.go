package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"firebreak/access"
	"firebreak/gateway"
	"firebreak/label"
	"firebreak/policy"
)

// runPolicy is firebreak policy.
func runPolicy(ctx context.Context, e *env, args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	switch args[0] {
	case "check":
		return checkPolicy(e, args[1:])
	case "load":
		return loadPolicy(ctx, e, args[1:])
	case "try":
		return tryPolicy(ctx, e, args[1:])
	case "overdue":
		return overduePolicy(ctx, e, args[1:])
	case "unread":
		return unreadPolicy(ctx, e, args[1:])
	}
	return errUsage
}

func checkPolicy(e *env, args []string) error {
	f := flags("policy check")
	if err := parse(e, f, args); err != nil {
		return err
	}
	if f.NArg() != 1 {
		return errUsage
	}
	b, err := os.ReadFile(f.Arg(0))
	if err != nil {
		return err
	}
	p, err := policy.Load(b)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "ok, version %s\n", p.Version())
	return nil
}

// loadPolicy is for a gateway that runs: another reads the file when it starts.
func loadPolicy(ctx context.Context, e *env, args []string) error {
	t, err := onlyTarget(e, "policy load", args)
	if err != nil {
		return err
	}
	return t.ask(ctx, e, fails, func(o *gateway.Operator) error {
		n, err := o.LoadPolicy(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "policy %s takes the place of %s\n", n.Now, n.Before)
		return nil
	})
}

// unreadPolicy lists what patients say that is not understood, and so denies.
func unreadPolicy(ctx context.Context, e *env, args []string) error {
	t, err := onlyTarget(e, "policy unread", args)
	if err != nil {
		return err
	}
	return t.ask(ctx, e, reads, func(o *gateway.Operator) error {
		all, err := o.Unread(ctx)
		for _, u := range all {
			fmt.Fprintf(e.stdout, "%s  %s\n", u.Consent, u.Path)
		}
		return err
	})
}

// overduePolicy lists the results that patients do not know of: not reviewed, or
// withheld and the patient not told, for longer than is usual.
func overduePolicy(ctx context.Context, e *env, args []string) error {
	t, err := onlyTarget(e, "policy overdue", args)
	if err != nil {
		return err
	}
	return t.ask(ctx, e, reads, func(o *gateway.Operator) error {
		return o.Overdue(ctx, func(w policy.Waiting) {
			what := "not reviewed"
			if w.Held {
				what = "withheld, patient not told"
			}
			fmt.Fprintf(e.stdout, "%s  %s  %s\n", w.Since.Format(time.DateOnly), w.Ref, what)
		})
	})
}

// tryPolicy prints what a policy does with each resource of a chart. What it
// prints holds what is withheld.
func tryPolicy(ctx context.Context, e *env, args []string) error {
	var ask gateway.Trial
	f := flags("policy try")
	as := f.String("as", "", "")
	role := f.String("role", string(access.Physician), "")
	file := f.String("policy", "", "")
	f.StringVar(&ask.At.Worksite, "worksite", "", "")
	f.StringVar(&ask.At.Person, "person", "", "")
	f.BoolVar(&ask.At.App, "app", false, "")
	f.StringVar(&ask.At.Source, "source", "", "")
	f.StringVar(&ask.Patient, "patient", "", "")
	t, err := parseTarget(e, f, args)
	if err != nil {
		return err
	}
	if *as == "" || ask.Patient == "" || f.NArg() > 0 {
		fmt.Fprintln(e.stderr, "say --as whom, and --patient by id or number")
		return errUsage
	}
	if ask.At.Audience = access.Audience(*as); ask.At.Audience == access.Provider {
		ask.At.Role = access.Role(*role)
	}
	if *file != "" {
		if ask.Policy, err = os.ReadFile(*file); err != nil {
			return err
		}
	}
	var tried gateway.Tried
	err = t.ask(ctx, e, reads, func(o *gateway.Operator) (err error) {
		tried, err = o.TryPolicy(ctx, ask)
		return err
	})
	if err != nil {
		return err
	}
	if !tried.Known {
		return fmt.Errorf("policy %s knows no audience %q with that role", tried.Version, *as)
	}
	kept := 0
	for _, v := range tried.All {
		word := "withheld"
		if v.Kept {
			word = "kept    "
			kept++
		}
		fmt.Fprintf(e.stdout, "%s  %s  %s%s\n", word, v.Ref, v.Why, because(v))
	}
	fmt.Fprintf(e.stdout, "%d kept, %d withheld, by policy %s\n", kept, len(tried.All)-kept, tried.Version)
	return nil
}

// because is a verdict's labels, and what gave them.
func because(v policy.Verdict) string {
	var b strings.Builder
	for _, l := range v.Labels {
		if l.Internal() {
			continue
		}
		fmt.Fprintf(&b, "; %s", l)
		i := slices.IndexFunc(v.Reasons, func(r label.Reason) bool { return r.Label == l })
		if i >= 0 {
			fmt.Fprintf(&b, " by %s at %s", v.Reasons[i].Rule, v.Reasons[i].Element)
		}
	}
	return b.String()
}
