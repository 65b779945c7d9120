package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/label"
	"firebreak/mapping"
)

// judged is a line of firebreak label.
type judged struct {
	ResourceType string         `json:"resourceType"`
	ID           string         `json:"id"`
	Labels       []label.Label  `json:"labels"`
	Reasons      []label.Reason `json:"reasons"`
}

// runLabel is firebreak label: what the rules say of each resource, in the
// order of the input. The resources of one Bundle, HL7 v2 message or C-CDA
// document are judged together; a resource by itself, by itself.
func runLabel(ctx context.Context, e *env, args []string) error {
	f := flags("label")
	zone := f.String("zone", "UTC", "")
	if err := parse(e, f, args); err != nil {
		return err
	}
	if f.NArg() == 0 {
		return errUsage
	}
	keys, err := lookKeys("label", *zone)
	if err != nil {
		return err
	}
	rules, err := label.Default()
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(e.stdout, 1<<20)
	defer out.Flush()
	l := &labeller{e: e, keys: keys, rules: rules, out: out}
	for _, path := range f.Args() {
		if err := l.file(ctx, path); err != nil {
			return err
		}
	}
	if l.failed {
		return errSaid
	}
	return nil
}

type labeller struct {
	e      *env
	keys   *mapping.Keys
	rules  *label.Rules
	out    io.Writer
	failed bool
}

func (l *labeller) say(where string, err error) {
	l.failed = true
	fmt.Fprintf(l.e.stderr, "%s: %v\n", where, err)
}

// file judges one file: JSON when it begins with a brace, C-CDA with an angle bracket, else HL7 v2.
func (l *labeller) file(ctx context.Context, path string) error {
	r, done, err := l.e.open(path)
	if err != nil {
		l.say(path, err)
		return nil
	}
	defer done()
	if bom := []byte("\xef\xbb\xbf"); startsWith(r, bom) {
		r.Discard(len(bom))
	}
	if isJSON(r) {
		return l.json(ctx, path, r)
	}
	if b, isXML, err := document(r); err != nil {
		l.say(path, err)
		return nil
	} else if isXML {
		return l.message(path, inbox.CCDA, b)
	}
	parts := l.e.messages(path)
	if path == "-" { // its beginning has been read
		parts = (&env{stdin: r}).messages(path)
	}
	for part, err := range parts {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		where := fmt.Sprintf("%s:%d", part.Name, part.Line)
		if err != nil {
			l.say(where, err)
			continue
		}
		if err := l.message(where, inbox.HL7v2, part.Message()); err != nil {
			return err
		}
	}
	return nil
}

// message judges what one message or document becomes.
func (l *labeller) message(where string, kind inbox.Kind, body []byte) error {
	m, err := mapping.Map(l.keys, inbox.Message{Source: "label", Kind: kind, Received: received, Body: body})
	if err != nil {
		l.say(where, err)
		return nil
	}
	var together []fhir.Resource
	for _, r := range m.Resources {
		together = append(together, r.Resource)
	}
	return l.judge(together, together)
}

func startsWith(r *bufio.Reader, b []byte) bool {
	start, _ := r.Peek(len(b))
	return bytes.Equal(start, b)
}

func isJSON(r *bufio.Reader) bool {
	start, _ := r.Peek(512)
	return bytes.HasPrefix(bytes.TrimLeft(start, " \t\r\n"), []byte("{"))
}

// json judges JSON values that follow each other, on lines of their own or not.
func (l *labeller) json(ctx context.Context, path string, r io.Reader) error {
	d := jsontext.NewDecoder(r, jsontext.AllowDuplicateNames(true)) // which fhir.Parse refuses, one resource at a time
	for n := 1; ; n++ {
		where := fmt.Sprintf("%s, resource %d", path, n)
		value, err := d.ReadValue()
		if errors.Is(err, io.EOF) || ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil { // where the next would begin is unknown
			l.say(where, errors.New("this is not JSON; what follows it is not read"))
			return nil
		}
		res, err := fhir.Parse(bytes.Clone(value))
		if err != nil {
			l.say(where, err)
			continue
		}
		together, local := []fhir.Resource{res}, []fhir.Resource{res}
		if res.Type() == "Bundle" {
			if together, local, err = entries(res); err != nil {
				l.say(where, err)
				continue
			}
		}
		if err := l.judge(together, local); err != nil {
			return err
		}
	}
}

// entries are the resources of a Bundle as they stand in it, and with their
// references among each other (by fullUrl) made literal, as they are when they
// lie in a chart.
//
// Source: FHIR R4, Resolving references in Bundles.
func entries(bundle fhir.Resource) (as, local []fhir.Resource, err error) {
	literal := map[string]string{} // by fullUrl
	n := 0
	for entry := range bundle.All("entry") {
		n++
		raw := entry.Get("resource")
		if raw.IsZero() {
			continue
		}
		r, err := fhir.Parse(raw.Raw())
		if err != nil {
			return nil, nil, fmt.Errorf("entry %d: %w", n, err)
		}
		as = append(as, r)
		if r.ID() == "" {
			if r, err = r.WithID(fmt.Sprintf("entry-%d", n)); err != nil {
				return nil, nil, fmt.Errorf("entry %d: %w", n, err)
			}
		}
		local = append(local, r)
		if full := entry.Get("fullUrl").Text(); full != "" {
			literal[full] = r.Ref().String()
		}
	}
	for i, r := range local {
		local[i], err = r.RewriteReferences(func(s string) string {
			if to, ok := literal[s]; ok {
				return to
			}
			return s
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return as, local, nil
}

// judge prints what the rules say of local, under the ids of as.
func (l *labeller) judge(as, local []fhir.Resource) error {
	for i, judgement := range l.rules.Label("label", local) {
		line := judged{ResourceType: as[i].Type(), ID: as[i].ID(), Labels: []label.Label{}, Reasons: []label.Reason{}}
		for _, x := range judgement.Labels() {
			if !x.Internal() {
				line.Labels = append(line.Labels, x)
			}
		}
		for _, why := range judgement.Reasons() {
			if !why.Label.Internal() {
				line.Reasons = append(line.Reasons, why)
			}
		}
		if err := json.MarshalWrite(l.out, line); err != nil {
			return err
		}
		if _, err := io.WriteString(l.out, "\n"); err != nil {
			return err
		}
	}
	return nil
}
