package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"firebreak/gateway"
	"firebreak/label"
	"firebreak/record"
)

// harmless is what a decision is called that gives no label.
const harmless = "harmless"

// codeColumns are the columns of a list of local codes. A list that is taken in
// needs the first five, in any order, and may have any others.
var codeColumns = []string{"class", "source", "system", "code", "display", "element", "uses", "found", "latest", "decided", "by"}

// runCodes is firebreak codes. No column is a patient's data.
func runCodes(ctx context.Context, e *env, args []string) error {
	f := flags("codes")
	from := f.String("import", "", "")
	t, err := parseTarget(e, f, args)
	if err != nil {
		return err
	}
	if f.NArg() > 0 {
		return errUsage
	}
	var decisions []record.Decision
	if *from != "" {
		r, done, err := e.open(*from)
		if err != nil {
			return err
		}
		defer done()
		if decisions, err = readDecisions(*from, r); err != nil {
			return err
		}
	}
	return t.ask(ctx, e, reads, func(o *gateway.Operator) error {
		codes, err := o.Codes(ctx)
		if err != nil {
			return err
		}
		if *from == "" {
			return writeCodes(e.stdout, codes)
		}
		decisions, unmet := changes(decisions, codes)
		if len(decisions) > 0 {
			if err := o.Classify(ctx, decisions); err != nil {
				return err
			}
		}
		fmt.Fprintf(e.stdout, "%d decided, %d of them on codes that were not met as unknown: these hold for what comes\n", len(decisions), unmet)
		return nil
	})
}

// changes leaves out what is so decided already, so that a list may be taken in
// again; unmet counts the codes that stand in nothing stored.
func changes(all []record.Decision, known []record.LocalCode) (left []record.Decision, unmet int) {
	by := map[label.Code]record.LocalCode{}
	for _, c := range known {
		by[c.Code] = c
	}
	for _, d := range all {
		c := by[d.Code]
		if !c.Decided.IsZero() && slices.Equal(c.Labels, d.Labels) {
			continue
		}
		if c.Uses == 0 {
			unmet++
		}
		left = append(left, d)
	}
	return left, unmet
}

func writeCodes(to io.Writer, codes []record.LocalCode) error {
	w := csv.NewWriter(to)
	day := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.Format(time.DateOnly)
	}
	if err := w.Write(codeColumns); err != nil {
		return err
	}
	for _, c := range codes {
		class := ""
		if !c.Decided.IsZero() {
			class = className(c.Labels)
		}
		if err := w.Write([]string{class, c.Source, c.System, c.Code.Code, c.Display, c.Element, strconv.FormatInt(c.Uses, 10), day(c.Found), day(c.Latest), day(c.Decided), c.Who}); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

func className(labels []label.Label) string {
	names := make([]string, len(labels))
	for i, l := range labels {
		names[i] = string(l)
	}
	if len(names) == 0 {
		return harmless
	}
	return strings.Join(names, " ")
}

// readDecisions reads a list; a row without a class decides nothing.
func readDecisions(name string, from io.Reader) (all []record.Decision, err error) {
	text, err := io.ReadAll(from)
	if err != nil {
		return nil, err
	}
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))))
	header, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	at := map[string]int{}
	for i, column := range header {
		at[strings.ToLower(strings.TrimSpace(column))] = i
	}
	for _, column := range codeColumns[:5] {
		if _, ok := at[column]; !ok {
			return nil, fmt.Errorf("%s: there is no column %q", name, column)
		}
	}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		line, _ := r.FieldPos(0)
		class := strings.Fields(row[at["class"]])
		if len(class) == 0 {
			continue
		}
		d := record.Decision{Code: label.Code{Source: row[at["source"]], System: row[at["system"]], Code: row[at["code"]], Display: row[at["display"]]}}
		if d.Source == "" || d.Code.Code == "" && d.Display == "" {
			return nil, fmt.Errorf("%s line %d: a decision needs a source, and a code or a name", name, line)
		}
		if !slices.Equal(class, []string{harmless}) {
			for _, c := range class {
				if !slices.Contains(label.Classes(), label.Label(c)) {
					return nil, fmt.Errorf("%s line %d: there is no class %q; there are %s and %v", name, line, c, harmless, label.Classes())
				}
				d.Labels = append(d.Labels, label.Label(c))
			}
			slices.Sort(d.Labels)
			d.Labels = slices.Compact(d.Labels)
		}
		all = append(all, d)
	}
}
