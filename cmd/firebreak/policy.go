package main

import (
	"context"
	"errors"
	"flag"
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
func loadPolicy(ctx context.Context, e *env, args []string) (err error) {
	t, err := parseTarget(e, "policy load", args, func(*flag.FlagSet) {})
	if err != nil {
		return err
	}
	if len(t.rest) > 0 {
		return errUsage
	}
	o, err := t.attach(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	n, err := o.LoadPolicy(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "policy %s takes the place of %s\n", n.Now, n.Before)
	return nil
}

// unreadPolicy lists what patients say that is not understood, and so denies.
func unreadPolicy(ctx context.Context, e *env, args []string) (err error) {
	t, err := parseTarget(e, "policy unread", args, func(*flag.FlagSet) {})
	if err != nil {
		return err
	}
	if len(t.rest) > 0 {
		return errUsage
	}
	o, err := t.open(ctx, e, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	all, err := o.Unread(ctx)
	for _, u := range all {
		fmt.Fprintf(e.stdout, "%s  %s\n", u.Consent, u.Path)
	}
	return err
}

// overduePolicy lists the results that patients do not know of: not reviewed, or
// withheld and the patient not told, for longer than is usual.
func overduePolicy(ctx context.Context, e *env, args []string) (err error) {
	t, err := parseTarget(e, "policy overdue", args, func(*flag.FlagSet) {})
	if err != nil {
		return err
	}
	if len(t.rest) > 0 {
		return errUsage
	}
	o, err := t.open(ctx, e, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	return o.Overdue(ctx, func(w policy.Waiting) {
		what := "not reviewed"
		if w.Held {
			what = "withheld, patient not told"
		}
		fmt.Fprintf(e.stdout, "%s  %s  %s\n", w.Since.Format(time.DateOnly), w.Ref, what)
	})
}

// attach finds the gateway that runs, and never stands in for it.
func (t target) attach(ctx context.Context) (*gateway.Operator, error) {
	if t.data != "" {
		return gateway.Attach(ctx, t.data)
	}
	cfg, err := gateway.ReadConfig(t.config)
	if err != nil {
		return nil, err
	}
	return gateway.AttachTo(ctx, cfg)
}

// tryPolicy prints what a policy does with each resource of a chart. What it
// prints holds what is withheld.
func tryPolicy(ctx context.Context, e *env, args []string) (err error) {
	var ask gateway.Trial
	var as, role, file string
	t, err := parseTarget(e, "policy try", args, func(f *flag.FlagSet) {
		f.StringVar(&as, "as", "", "")
		f.StringVar(&role, "role", string(access.Physician), "")
		f.StringVar(&ask.At.Worksite, "worksite", "", "")
		f.StringVar(&ask.At.Person, "person", "", "")
		f.BoolVar(&ask.At.App, "app", false, "")
		f.StringVar(&ask.At.Source, "source", "", "")
		f.StringVar(&ask.Patient, "patient", "", "")
		f.StringVar(&file, "policy", "", "")
	})
	if err != nil {
		return err
	}
	if as == "" || ask.Patient == "" || len(t.rest) > 0 {
		fmt.Fprintln(e.stderr, "say --as whom, and --patient by id or number")
		return errUsage
	}
	if ask.At.Audience = access.Audience(as); ask.At.Audience == access.Provider {
		ask.At.Role = access.Role(role)
	}
	if file != "" {
		if ask.Policy, err = os.ReadFile(file); err != nil {
			return err
		}
	}
	o, err := t.open(ctx, e, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	tried, err := o.TryPolicy(ctx, ask)
	if err != nil {
		return err
	}
	if !tried.Known {
		return fmt.Errorf("policy %s knows no audience %q with that role", tried.Version, as)
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
