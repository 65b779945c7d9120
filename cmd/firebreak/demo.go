package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"firebreak/demo"
)

// runDemo is firebreak demo.
func runDemo(ctx context.Context, e *env, args []string) error {
	f := flags("demo")
	o := demo.Options{Version: version, Progress: e.stderr}
	f.StringVar(&o.Listen, "listen", "127.0.0.1:8080", "")
	f.StringVar(&o.MLLP, "mllp", "127.0.0.1:2575", "")
	f.StringVar(&o.Data, "data", "demo-data", "")
	f.BoolVar(&o.Empty, "empty", false, "")
	f.StringVar(&o.Config, "config", "", "")
	f.Func("now", "", func(s string) (err error) {
		o.Start, err = parseTime(s)
		return err
	})
	if err := parse(e, f, args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return errUsage
	}
	// The demo's terminal is for what the newcomer needs: warnings, not requests.
	o.Log = slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	d, err := demo.New(ctx, o)
	if err != nil {
		return err
	}
	return d.Run(ctx, func() { sayDemo(e, o.Data, d.Info) })
}

func parseTime(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, s, time.UTC); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time such as 2026-11-22 or 2026-11-22T08:00:00Z", s)
}

func sayDemo(e *env, data string, i demo.Info) {
	fmt.Fprintf(e.stdout, `
Firebreak is running.

  viewer    %s
  FHIR API  %s   (metadata: %[2]s/metadata)
  HL7 v2    %s   (MLLP)
  metrics   %s
  details   %s/demo.json   (people, clients and their secrets)
`, i.Base, i.FHIR, i.MLLP, i.Metrics, data)
	if i.App != "" {
		fmt.Fprintf(e.stdout, "  an app    %s?iss=%s   (once node docs/example/app/serve.mjs runs)\n", i.App, i.FHIR)
	}
	fmt.Fprint(e.stdout, `
Sign in as
`)
	for _, p := range i.People {
		fmt.Fprintf(e.stdout, "  %-16s %-14s %-20s %-16s %s\n", p.Username, p.Password, p.Name, p.Role, p.Worksite)
	}
	fmt.Fprint(e.stdout, `
Open the viewer, sign in as the physician, and find AYAN, born 1971-02-03 (or
number 9000000000). The chart has HIV, pregnancy and cancer results: they are
withheld, and nothing on any page tells so. Everyone and everything is invented.
Stop with Ctrl-C.
`)
}
