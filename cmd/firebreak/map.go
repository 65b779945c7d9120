package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"firebreak/gateway"
	"firebreak/inbox"
	"firebreak/mapping"
	"firebreak/record"
)

// mapper is what firebreak map is told.
type mapper struct {
	source, zone, feed, dialect, clear string
	explain, unmapped                  bool
	stored                             int
	target
}

// runMap is firebreak map: each message or C-CDA document one Bundle, one line. Ids are made
// with a fixed key, so that two runs can be compared. With --explain it tells of
// each field of a message what comes of it, and never a value; with --unmapped
// which fields nobody reads, in how many messages.
//
// --feed reads messages as that feed of the configuration does, --dialect as a
// dialect says. With --stored it maps messages that the gateway has, by the
// dialect that it runs with and by that one, and tells the difference.
func runMap(ctx context.Context, e *env, args []string) error {
	var c mapper
	f := flags("map")
	f.StringVar(&c.source, "source", "map", "")
	f.StringVar(&c.zone, "zone", "UTC", "")
	f.StringVar(&c.feed, "feed", "", "")
	f.StringVar(&c.dialect, "dialect", "", "")
	f.StringVar(&c.clear, "clear", "", "")
	f.BoolVar(&c.explain, "explain", false, "")
	f.BoolVar(&c.unmapped, "unmapped", false, "")
	f.IntVar(&c.stored, "stored", 0, "")
	f.StringVar(&c.config, "config", "", "")
	f.StringVar(&c.data, "data", "", "")
	if err := parse(e, f, args); err != nil {
		return err
	}
	switch {
	case c.stored < 0 || c.stored > 0 && (c.feed == "" || f.NArg() > 0 || c.explain || (c.config == "") == (c.data == "")),
		c.stored == 0 && (f.NArg() == 0 || c.clear != "" || c.data != "" || (c.feed == "") != (c.config == "")),
		c.explain && c.unmapped:
		return errUsage
	case c.stored > 0:
		return c.compare(ctx, e)
	}
	keys, err := c.keys()
	if err != nil {
		return err
	}
	return c.files(ctx, e, keys, f.Args())
}

// keys read messages as the feed, the zone and the dialect say.
func (c *mapper) keys() (*mapping.Keys, error) {
	where, err := time.LoadLocation(c.zone)
	if err != nil {
		return nil, fmt.Errorf("--zone: %q is not a time zone", c.zone)
	}
	feed := mapping.Feed{Source: c.source, Zone: where}
	if c.feed != "" {
		cfg, err := gateway.ReadConfig(c.config)
		if err != nil {
			return nil, err
		}
		if feed, err = cfg.MappingFeed(c.feed); err != nil {
			return nil, err
		}
		c.source = feed.Source
	}
	if c.dialect != "" {
		if feed.Dialect, err = gateway.ReadDialect(c.dialect); err != nil {
			return nil, err
		}
	}
	return mapping.NewKeys(lookKey, feed), nil
}

// lookKey makes ids that are the same in each run, for looking at.
var lookKey = []byte("firebreak map: ids for looking at")

// lookKeys reads messages of one source without a feed.
func lookKeys(source, zone string) (*mapping.Keys, error) {
	return (&mapper{source: source, zone: zone}).keys()
}

// files maps what lies in files.
func (c *mapper) files(ctx context.Context, e *env, keys *mapping.Keys, paths []string) error {
	debug.SetGCPercent(800) // nothing outlives its message
	out := bufio.NewWriterSize(e.stdout, 1<<20)
	defer out.Flush()
	failed, unread, left := false, tally{}, notes{}
	give := func(where string, kind inbox.Kind, body []byte) {
		m := inbox.Message{Source: c.source, Kind: kind, Received: received, Body: body}
		r, err := mapping.Map(keys, m)
		var fields []mapping.Field
		if (c.explain || c.unmapped) && err == nil && kind == inbox.HL7v2 {
			fields, err = mapping.Explain(keys, m)
		}
		switch {
		case err != nil:
			failed = true
			fmt.Fprintf(e.stderr, "%s%v\n", where, err)
		case c.unmapped:
			unread.add(mapping.Unread(fields))
		case fields != nil:
			for _, x := range fields {
				fmt.Fprintf(out, "%s%s\t%s\n", where, x.Place, became(x))
			}
		default:
			for _, n := range r.Notes {
				left.say(e.stderr, where, n)
			}
			out.Write(mapping.Bundle(r))
			out.WriteByte('\n')
		}
	}
	for _, path := range paths {
		err := e.contents(ctx, path, give, func(err error) {
			failed = true
			fmt.Fprintln(e.stderr, err)
		})
		if err != nil {
			return err
		}
	}
	left.rest(e.stderr)
	if c.unmapped {
		unread.write(out)
	}
	if failed {
		return errSaid
	}
	return nil
}

// notes counts what is left out for one reason.
type notes map[string]int

// saidNotes is how many of a kind are said one by one; more are a number.
const saidNotes = 3

var inSegment = regexp.MustCompile(` in segment \d+`)

func (n notes) say(w io.Writer, where, note string) {
	kind := inSegment.ReplaceAllString(note, "")
	if n[kind]++; n[kind] <= saidNotes {
		fmt.Fprintf(w, "%sleft out: %s\n", where, note)
	}
}

// rest says how often more each was left out, the most frequent first.
func (n notes) rest(w io.Writer) {
	kinds := slices.SortedFunc(maps.Keys(n), func(a, b string) int { return cmp.Or(cmp.Compare(n[b], n[a]), strings.Compare(a, b)) })
	for _, kind := range kinds {
		if more := n[kind] - saidNotes; more > 0 {
			fmt.Fprintf(w, "left out %d times more: %s\n", more, kind)
		}
	}
}

// contents gives each message and document of a file; what cannot be read is
// said to bad.
func (e *env) contents(ctx context.Context, path string, give func(where string, kind inbox.Kind, body []byte), bad func(error)) error {
	r, done, err := e.open(path)
	if err != nil {
		bad(err)
		return nil
	}
	defer done()
	b, isXML, err := document(r)
	if isXML && err == nil {
		give(path+": ", inbox.CCDA, b)
	}
	parts := e.messages(path)
	if path == "-" { // its beginning has been read
		parts = (&env{stdin: r}).messages(path)
	}
	for part, err := range parts {
		if isXML {
			break
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			bad(fmt.Errorf("%s%w", place(part), err))
			continue
		}
		give(place(part), inbox.HL7v2, part.Message())
	}
	if err != nil {
		bad(fmt.Errorf("%s: %w", path, err))
	}
	return nil
}

// tally counts the fields that nobody reads.
type tally struct {
	messages int
	fields   map[string]int
}

func (t *tally) add(unread []string) {
	if t.fields == nil {
		t.fields = map[string]int{}
	}
	t.messages++
	for _, f := range unread {
		t.fields[f]++
	}
}

// write lists them, those of most messages first.
func (t *tally) write(w io.Writer) {
	all := slices.SortedFunc(maps.Keys(t.fields), func(a, b string) int {
		return cmp.Or(cmp.Compare(t.fields[b], t.fields[a]), strings.Compare(a, b))
	})
	for _, f := range all {
		fmt.Fprintf(w, "%s\tnot read in %d of %d messages\n", f, t.fields[f], t.messages)
	}
}

// compare tries a dialect on stored messages.
func (c *mapper) compare(ctx context.Context, e *env) error {
	ask := gateway.DialectTrial{Feed: c.feed, Stored: c.stored, Unread: c.unmapped, Clear: record.Why(c.clear)}
	path := c.dialect
	if path == "" && c.config != "" {
		cfg, err := gateway.ReadConfig(c.config)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(cfg.Feeds, func(f gateway.Feed) bool { return f.Name == c.feed })
		if i < 0 {
			return fmt.Errorf("there is no feed %q", c.feed)
		}
		path, ask.Dialect = cfg.Feeds[i].Dialect, new(string)
	}
	if path != "" {
		if _, err := gateway.ReadDialect(path); err != nil {
			return err
		}
		text, err := gateway.DialectText(path)
		if err != nil {
			return err
		}
		ask.Dialect = &text
	}
	out := bufio.NewWriterSize(e.stdout, 1<<16)
	defer out.Flush()
	var sum trial
	unread := tally{}
	err := c.ask(ctx, e, reads, func(o *gateway.Operator) error {
		return o.TryDialect(ctx, ask, func(t gateway.DialectTried) {
			sum.add(t)
			if c.unmapped {
				unread.add(t.Unread)
				return
			}
			said(out, t)
		})
	})
	if err != nil {
		return err
	}
	if c.unmapped {
		unread.write(out)
		return nil
	}
	sum.write(out)
	return nil
}

// said tells what a message would be, when that is not what it is.
func said(w io.Writer, t gateway.DialectTried) {
	head := fmt.Sprintf("%d  %s  %s", t.ID, t.Received.UTC().Format(time.RFC3339), t.Type)
	switch {
	case t.Was == t.Is && t.Was != "":
		fmt.Fprintf(w, "%s  held as before: %s\n", head, t.Is)
	case t.Is != "":
		fmt.Fprintf(w, "%s  would be HELD: %s\n", head, t.Is)
	case t.Was != "":
		fmt.Fprintf(w, "%s  would be mapped, and is held: %s\n", head, t.Was)
	case t.Moved:
		fmt.Fprintf(w, "%s  would be of ANOTHER PATIENT\n", head)
	case len(t.Changes) > 0:
		fmt.Fprintln(w, head)
		for _, x := range t.Changes {
			fmt.Fprintf(w, "    %-20s %-50s %s -> %s\n", x.Resource.Type, strings.TrimPrefix(x.Element, x.Resource.Type+"."), values(x.Was), values(x.Is))
		}
	}
}

func values(all []string) string {
	if len(all) == 0 {
		return "nothing"
	}
	return strings.Join(all, ", ")
}

// trial sums up what a dialect would change.
type trial struct{ messages, same, changed, held, freed, moved int }

func (s *trial) add(t gateway.DialectTried) {
	s.messages++
	switch {
	case t.Was == "" && t.Is != "":
		s.held++
	case t.Was != "" && t.Is == "":
		s.freed++
	case t.Moved:
		s.moved++
	case len(t.Changes) > 0:
		s.changed++
	default:
		s.same++
	}
}

func (s *trial) write(w io.Writer) {
	fmt.Fprintf(w, "%d messages: %d the same, %d otherwise", s.messages, s.same, s.changed)
	for _, x := range []struct {
		n    int
		what string
	}{{s.held, "would be held"}, {s.freed, "no longer held"}, {s.moved, "of another patient"}} {
		if x.n > 0 {
			fmt.Fprintf(w, ", %d %s", x.n, x.what)
		}
	}
	fmt.Fprintln(w)
}

// became says in words what comes of a field.
func became(f mapping.Field) string {
	switch {
	case f.Needed != "":
		return "held without it: " + f.Needed
	case len(f.Elements) == 0:
		return "not read"
	}
	return strings.Join(f.Elements, ", ")
}
