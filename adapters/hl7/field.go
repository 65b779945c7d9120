package hl7

import (
	"iter"
	"strings"
)

// A Field is one field of a segment: its repetitions.
type Field struct{ node }

// A Repetition is one repetition of a field: its components.
type Repetition struct{ node }

// A Component is one component: its subcomponents.
type Component struct{ node }

// A Subcomponent is the smallest part of a field.
type Subcomponent struct{ node }

// node is a part of a segment at any level: its text as sent and its place.
type node struct {
	s                string
	m                *Message
	seg, rep         int32  // rep counts from 0
	field, comp, sub uint16 // from 1; 0: not of this level
}

// fixed reports whether this is MSH-1 or MSH-2, which declare delimiters and
// are not cut by them.
func (n *node) fixed() bool {
	return n.field <= 2 && n.m != nil && isHeader(n.m.segs[n.seg].text[:3])
}

// Raw gives the text as sent, escapes untouched, decoded to UTF-8.
func (n node) Raw() string { return n.s }

// Empty reports whether nothing was sent, which says nothing about the value.
func (n node) Empty() bool { return n.s == "" }

// Null reports whether the HL7 null `""` was sent: the value is to be deleted.
//
// Source: HL7 v2.9 chapter 2.5.3, Fields.
func (n node) Null() bool { return n.s == `""` }

// Present reports whether there is any text besides delimiters and nulls.
func (n node) Present() bool {
	if n.m == nil {
		return false
	}
	d := &n.m.delims
	for i := 0; i < len(n.s); {
		if d.separates(n.s[i]) {
			i++
			continue
		}
		j := i
		for j < len(n.s) && !d.separates(n.s[j]) {
			j++
		}
		if n.s[i:j] != `""` {
			return true
		}
		i = j
	}
	return false
}

// String gives the value: escapes decoded, line breaks as "\n", the HL7 null as
// "". Of a part that has parts itself it is the first one's value, as HL7 asks
// of a receiver that expects a simple value (v2.9 chapter 2.8.2); Text gives
// everything.
func (n node) String() string {
	s := n.leaf()
	if s == `""` {
		return ""
	}
	return n.m.unescape(s)
}

func (n *node) leaf() string {
	if n.s == "" || n.fixed() {
		return n.s
	}
	d, s := &n.m.delims, n.s
	if n.rep == 0 && n.comp == 0 {
		s = first(s, d.Repetition)
	}
	if n.comp == 0 {
		s = first(s, d.Component)
	}
	if n.sub == 0 {
		s = first(s, d.Subcomponent)
	}
	return s
}

// Text gives all of it, escapes decoded, delimiters left as they stand: for
// text whose sender may not have escaped an & or ^, and for notes. The HL7 null
// gives "".
func (n node) Text() string {
	if n.s == `""` {
		return ""
	}
	if n.fixed() {
		return n.s
	}
	return n.m.unescape(n.s)
}

// Require gives String, or the *FieldError that says it is missing.
func (n node) Require() (string, error) {
	if s := n.String(); s != "" {
		return s, nil
	}
	e := n.Err("missing")
	e.Code = RequiredMissing
	return "", e
}

// Truncated reports whether the value ends in the truncation character: the
// sender cut it off. Only messages that declare one (v2.7) can say so.
//
// Source: HL7 v2.9 chapter 2.5.5.2, Truncation pattern.
func (n node) Truncated() bool {
	return n.m != nil && n.m.delims.Truncation != 0 && strings.HasSuffix(n.leaf(), string(rune(n.m.delims.Truncation)))
}

// Err gives an error that names this place.
func (n node) Err(reason string) *FieldError {
	if n.m == nil {
		return &FieldError{Segment: "segment", Reason: reason}
	}
	e := Segment{n.m, int(n.seg)}.Err(int(n.field), int(n.comp), reason)
	e.Subcomponent = int(n.sub)
	if n.rep > 0 {
		e.Repetition = int(n.rep) + 1
	}
	return e
}

// Len gives the number of repetitions, 0 for an empty field.
func (f Field) Len() int {
	if f.s == "" {
		return 0
	}
	if f.fixed() || f.m.delims.Repetition == 0 {
		return 1
	}
	return 1 + strings.Count(f.s, string(rune(f.m.delims.Repetition)))
}

// Rep gives repetition i, counted from 0; an empty one when it was not sent.
func (f Field) Rep(i int) Repetition {
	r := Repetition(f)
	if f.m == nil || i == 0 && f.s == "" || f.fixed() {
		return r
	}
	r.rep = int32(max(i, 0))
	r.s, _ = nth(f.s, f.m.delims.Repetition, i)
	return r
}

// Reps gives each repetition in order; none of an empty field.
func (f Field) Reps() iter.Seq[Repetition] {
	return func(yield func(Repetition) bool) {
		if f.s == "" {
			return
		}
		r := Repetition(f)
		if f.fixed() || f.m.delims.Repetition == 0 {
			yield(r)
			return
		}
		rest := f.s
		for {
			i := strings.IndexByte(rest, f.m.delims.Repetition)
			if i < 0 {
				r.s = rest
				yield(r)
				return
			}
			r.s, rest = rest[:i], rest[i+1:]
			if !yield(r) {
				return
			}
			r.rep++
		}
	}
}

// Component gives component n, counted from 1, of the first repetition.
func (f Field) Component(n int) Component { return f.Rep(0).Component(n) }

// Component gives component n, counted from 1; an empty one when it was not sent.
func (r Repetition) Component(n int) Component {
	c := Component(r)
	if r.m == nil || n < 1 {
		return Component{}
	}
	c.comp = uint16(min(n, maxFields))
	if r.fixed() {
		if n > 1 {
			c.s = ""
		}
		return c
	}
	c.s, _ = nth(r.s, r.m.delims.Component, n-1)
	return c
}

// Value is Component(n).String().
func (r Repetition) Value(n int) string {
	if r.m == nil || n < 1 || r.fixed() {
		return r.Component(n).String()
	}
	s, _ := nth(r.s, r.m.delims.Component, n-1)
	return r.m.value(s)
}

// Components gives the number of components, 0 for an empty repetition.
func (r Repetition) Components() int {
	if r.s == "" {
		return 0
	}
	if r.fixed() || r.m.delims.Component == 0 {
		return 1
	}
	return 1 + strings.Count(r.s, string(rune(r.m.delims.Component)))
}

// Sub gives subcomponent n, counted from 1; an empty one when it was not sent.
func (c Component) Sub(n int) Subcomponent {
	s := Subcomponent(c)
	if c.m == nil || n < 1 {
		return Subcomponent{}
	}
	s.sub = uint16(min(n, maxFields))
	if c.fixed() {
		if n > 1 {
			s.s = ""
		}
		return s
	}
	s.s, _ = nth(c.s, c.m.delims.Subcomponent, n-1)
	return s
}

// Value is Sub(n).String().
func (c Component) Value(n int) string {
	if c.m == nil || n < 1 || c.fixed() {
		return c.Sub(n).String()
	}
	s, _ := nth(c.s, c.m.delims.Subcomponent, n-1)
	return c.m.value(s)
}

// value is the value of a component or subcomponent as sent.
func (m *Message) value(s string) string {
	if s == "" {
		return ""
	}
	if s = first(s, m.delims.Subcomponent); s == `""` {
		return ""
	}
	return m.unescape(s)
}

// Subs gives the number of subcomponents, 0 for an empty component.
func (c Component) Subs() int {
	if c.s == "" {
		return 0
	}
	if c.fixed() || c.m.delims.Subcomponent == 0 {
		return 1
	}
	return 1 + strings.Count(c.s, string(rune(c.m.delims.Subcomponent)))
}
