package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"firebreak/gateway"
	"firebreak/record"
)

// runDuplicates is firebreak duplicates. What it lists is patients' data.
func runDuplicates(ctx context.Context, e *env, args []string) error {
	var decision record.Judgement
	if len(args) > 0 {
		switch j := record.Judgement(args[0]); j {
		case record.Same, record.Different, record.Reopened:
			decision, args = j, args[1:]
		}
	}
	f := flags("duplicates")
	t, err := parseTarget(e, f, args)
	if err != nil {
		return err
	}
	if pair := f.NArg() == 2; pair != (decision != "") || !pair && f.NArg() > 0 {
		fmt.Fprintln(e.stderr, "to list takes no records; same, different and undone take the two of a pair, as they are listed")
		return errUsage
	}
	return t.ask(ctx, e, applies, func(o *gateway.Operator) error {
		if decision != "" {
			return o.Judge(ctx, f.Arg(0), f.Arg(1), decision)
		}
		return o.Duplicates(ctx, func(p record.Pair) {
			said := "not decided"
			if p.Decided != "" {
				said = fmt.Sprintf("%s, by %s at %s", p.Decided, p.Who, p.At.Format(time.RFC3339))
			}
			fmt.Fprintf(e.stdout, "%s %s  %s agrees  %s\n", p.A, p.B, strings.Join(p.Agrees, ", "), said)
			for _, x := range p.Of {
				fmt.Fprintf(e.stdout, "  %s, %s, %s, %s, of %s\n", x.Name, x.Birth, x.Sex, strings.Join(x.Numbers, " "), x.Source)
			}
		})
	})
}
