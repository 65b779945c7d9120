package mapping

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"firebreak/adapters/hl7"
)

// Dialect is how one sender's messages differ from the standard, written by
// whoever connects it: codes of its own, fields in odd places, Z segments. A
// message is rewritten by it before anything is mapped, so that what follows is
// the standard's mapping; what the standard has no field for is said in FHIR
// afterwards. Labels are given later still, to all that came of it.
//
// It never changes after ReadDialect, so many goroutines may use it. A nil
// Dialect says nothing.
type Dialect struct {
	Name    string
	Version string // of what its rules say: notes and blanks do not count

	fields   []fieldRule
	elements []elementRule
	segments map[string]bool // whose fields become elements
	systems  map[string]bool // URIs that tables give codes
	names    bool            // a rule may change whom the message is about
}

// DialectURN begins the ID of every dialect.
const DialectURN = "urn:firebreak:dialect:"

// ID names a dialect and its version: "urn:firebreak:dialect:pas:3f2a90c1b7de".
// It stands in the Provenance of each message that was read by it.
func (d *Dialect) ID() string {
	if d == nil {
		return ""
	}
	return DialectURN + d.Name + ":" + d.Version
}

// reads tells whether fields of a segment become elements.
func (d *Dialect) reads(segment string) bool { return d != nil && d.segments[segment] }

// fieldRule is a rule that changes a field.
type fieldRule struct {
	line   int
	target fieldPath
	when   []condition

	// One of these; without any, the target is cleared.
	table    *codeTable
	source   fieldPath
	constant string
}

// fieldPath is a path of a rule. Without an occurrence it means each segment of
// the name, without a repetition each repetition.
type fieldPath struct {
	hl7.Path
	nth, rep bool // were said
}

func (p fieldPath) String() string { return p.Segment + "-" + strconv.Itoa(p.Field) }

// codeTable translates codes.
type codeTable struct {
	name  string
	line  int
	codes map[string]entry
	other *entry // of "*", for codes that are not in it
	named bool   // some entry has a display or a system
	used  bool
}

type entry struct{ code, display, system string }

// condition is a part of a rule's when.
type condition struct {
	path   fieldPath
	kind   conditionKind
	values []string
}

type conditionKind int

const (
	isOneOf conditionKind = iota
	isNoneOf
	isSent
	isEmpty
)

// apply gives the message as the rest of the package shall read it. The error is
// an *Error that names the field it failed at.
func (d *Dialect) apply(msg *hl7.Message) (*hl7.Message, error) {
	if d == nil || len(d.fields) == 0 {
		return msg, nil
	}
	w := rewriting{draft: msg.Draft()}
	w.all = w.draft.Message().Segments()
	for i := range d.fields {
		if err := w.rule(&d.fields[i]); err != nil {
			return nil, err
		}
	}
	return w.draft.Message(), nil
}

// rewriting is one message that a dialect is applied to. Each rule sees what
// those above it have made.
type rewriting struct {
	draft  *hl7.Draft
	all    hl7.Group // its segments, that show what is set
	places map[string][]int
}

// maxRepetitions is how many repetitions of a field a rule goes through: each
// costs the length of the segment.
const maxRepetitions = 500

func (w *rewriting) rule(r *fieldRule) error {
	p := r.target
	for _, at := range w.named(p.Segment) {
		s := w.all[at]
		if p.nth && s.Occurrence() != p.Occurrence {
			continue
		}
		if r.source.Segment != "" && !(r.source.Segment == p.Segment && r.source.Field == p.Field) {
			if err := w.move(r, s, p); err != nil {
				return err
			}
			continue
		}
		reps := max(1, s.Field(p.Field).Len())
		if p.rep {
			reps = 1
		}
		if reps > maxRepetitions {
			return fail(s, p.Field, "more repetitions than the dialect's line "+strconv.Itoa(r.line)+" is applied to")
		}
		for i := range reps {
			if !p.rep {
				p.Repetition = i + 1
			}
			var err error
			switch at := p.Repetition - 1; {
			case !w.hold(r.when, s, p.Field, at):
			case r.table != nil:
				err = w.translate(r, s, p)
			case r.source.Segment != "":
				err = w.move(r, s, p)
			case r.constant != "" && (i == 0 || s.Field(p.Field).Rep(at).Present()):
				err = w.set(r, s, p.Path, w.encode(r.constant))
			case r.constant == "" && partOf(s, p, at).Raw() != "":
				err = w.set(r, s, p.Path, "")
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// move copies a field where it was sent.
func (w *rewriting) move(r *fieldRule, s hl7.Segment, p fieldPath) error {
	at := p.Repetition - 1
	if !w.hold(r.when, s, p.Field, at) {
		return nil
	}
	from, src := w.segment(r.source, s), r.source
	same := from.Index() == s.Index() && src.Field == p.Field
	if !same && p.Component == 0 && !p.rep && src.Component == 0 && !src.rep {
		f := from.Field(src.Field)
		if !f.Present() {
			return nil
		}
		p.Repetition = 0
		return w.set(r, s, p.Path, f.Raw())
	}
	if same && !src.rep {
		src.Repetition = p.Repetition
	}
	sent := partOf(from, src, src.Repetition-1)
	if !sent.Present() {
		return nil
	}
	return w.set(r, s, p.Path, w.fit(sent, depthOf(src), depthOf(p)))
}

// translate looks a code up. A name or system puts the sender's own code behind
// it, as its alternate (CWE.4 to CWE.6), so that nothing is lost.
func (w *rewriting) translate(r *fieldRule, s hl7.Segment, p fieldPath) error {
	rep := s.Field(p.Field).Rep(p.Repetition - 1)
	sent := partOf(s, p, p.Repetition-1)
	key := clean(sent.String())
	if key == "" {
		return nil
	}
	e, ok := r.table.codes[key]
	if !ok {
		if r.table.other == nil {
			return nil
		}
		e = *r.table.other
	}
	if p.Component > 0 {
		return w.set(r, s, p.Path, w.encode(e.code))
	}
	set := func(component int, raw string) error {
		at := p.Path
		at.Component = component
		return w.set(r, s, at, raw)
	}
	if e.display == "" && e.system == "" {
		return set(1, w.encode(e.code))
	}
	if !rep.Component(4).Present() && (key != e.code || rep.Component(3).Present()) {
		for n := 1; n <= 3; n++ {
			if err := set(n+3, rep.Component(n).Raw()); err != nil {
				return err
			}
		}
	}
	if rep.Component(7).Present() { // the version of a system that the code is no longer of
		if err := set(7, ""); err != nil {
			return err
		}
	}
	return cmp.Or(set(1, w.encode(e.code)), set(2, w.encode(e.display)), set(3, w.encode(e.system)))
}

// hold tells whether all conditions are met, seen from a repetition of a field.
func (w *rewriting) hold(all []condition, s hl7.Segment, field, rep int) bool {
	for _, c := range all {
		at := c.path.Repetition - 1
		if !c.path.rep && c.path.Segment == s.Name() && c.path.Field == field && rep > 0 {
			at = rep
		}
		part := partOf(w.segment(c.path, s), c.path, at)
		met := false
		switch c.kind {
		case isSent:
			met = part.Present()
		case isEmpty:
			met = !part.Present()
		default:
			value := clean(part.String())
			for _, v := range c.values {
				met = met || v == value
			}
			met = met == (c.kind == isOneOf)
		}
		if !met {
			return false
		}
	}
	return true
}

// segment is the one a path means, seen from another. Unless its number is said
// it is the segment itself; of another name the one that belongs to it: a Z
// segment the next behind it, before the next of its own name, any other the
// last before it; or else the only one of the message.
func (w *rewriting) segment(p fieldPath, from hl7.Segment) hl7.Segment {
	if !p.nth && p.Segment == from.Name() {
		return from
	}
	all := w.named(p.Segment)
	if p.nth {
		if p.Occurrence > len(all) {
			return hl7.Segment{}
		}
		return w.all[all[p.Occurrence-1]]
	}
	here := from.Index() - 1
	next, _ := slices.BinarySearch(all, here)
	switch {
	case p.Segment[0] != 'Z' && next > 0:
		return w.all[all[next-1]]
	case p.Segment[0] == 'Z' && next < len(all):
		like := w.named(from.Name())
		if i, _ := slices.BinarySearch(like, here+1); i == len(like) || all[next] < like[i] {
			return w.all[all[next]]
		}
	}
	if len(all) == 1 {
		return w.all[all[0]]
	}
	return hl7.Segment{}
}

// named are the places of the segments of a name.
func (w *rewriting) named(name string) []int {
	at, ok := w.places[name]
	if !ok {
		for i, s := range w.all {
			if s.Name() == name {
				at = append(at, i)
			}
		}
		if w.places == nil {
			w.places = map[string][]int{}
		}
		w.places[name] = at
	}
	return at
}

func (w *rewriting) set(r *fieldRule, s hl7.Segment, p hl7.Path, raw string) error {
	if err := w.draft.Set(s, p, raw); err != nil {
		return fail(s, p.Field, "the dialect's line "+strconv.Itoa(r.line)+" cannot be applied: the message declares no delimiter for it")
	}
	return nil
}

func (w *rewriting) encode(text string) string {
	return w.draft.Message().Delimiters().Encode(text)
}

// part is a field or what is below it.
type part interface {
	Raw() string
	String() string
	Present() bool
}

// partOf is what a path names of a segment, in a repetition counted from 0.
func partOf(s hl7.Segment, p fieldPath, rep int) part {
	r := s.Field(p.Field).Rep(rep)
	switch {
	case p.Component == 0:
		return r
	case p.Subcomponent == 0:
		return r.Component(p.Component)
	}
	return r.Component(p.Component).Sub(p.Subcomponent)
}

// depth is how deep in a field a part stands.
type depth int

const (
	ofRepetition depth = iota
	ofComponent
	ofSubcomponent
)

func depthOf(p fieldPath) depth {
	switch {
	case p.Component == 0:
		return ofRepetition
	case p.Subcomponent == 0:
		return ofComponent
	}
	return ofSubcomponent
}

// fit is what is sent at one depth as it is written at another: components are
// subcomponents one depth down. What has no room there gives its first value.
func (w *rewriting) fit(x part, from, to depth) string {
	d := w.draft.Message().Delimiters()
	switch {
	case from == to || from == ofSubcomponent:
		return x.Raw()
	case from == ofComponent && to == ofRepetition:
		return swap(x.Raw(), d.Subcomponent, d.Component)
	case from == ofRepetition && to == ofComponent:
		if raw := x.Raw(); d.Subcomponent != 0 && strings.IndexByte(raw, d.Subcomponent) < 0 {
			return swap(raw, d.Component, d.Subcomponent)
		}
	}
	return d.Encode(x.String())
}

func swap(s string, from, to byte) string {
	if from == 0 {
		return s
	}
	return strings.ReplaceAll(s, string(rune(from)), string(rune(to)))
}
