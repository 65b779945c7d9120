package mapping

import (
	"strings"

	"firebreak/adapters/hl7"
)

// data is one value of a composite data type, wherever it stands: CX as the
// repetition of a field, whose parts are components, or HD as a component of
// it, whose parts are subcomponents. The zero data is one that was not sent.
type data struct {
	rep  hl7.Repetition
	comp hl7.Component
	deep bool // parts are subcomponents of comp
	leaf hl7.Subcomponent
	low  bool // leaf is the only part
}

// of reads a repetition.
func of(r hl7.Repetition) data { return data{rep: r} }

// first reads a field's first repetition.
func first(f hl7.Field) data { return data{rep: f.Rep(0)} }

// each reads a field's repetitions that hold anything.
func each(f hl7.Field) []data {
	if !f.Present() {
		return nil
	}
	all := make([]data, 0, f.Len())
	for r := range f.Reps() {
		if r.Present() {
			all = append(all, of(r))
		}
	}
	return all
}

// at is part n, counted from 1, trimmed; "" for what was not sent and for the
// HL7 null.
func (d data) at(n int) string {
	switch {
	case d.low && n == 1:
		return clean(d.leaf.String())
	case d.low:
		return ""
	case d.deep:
		return clean(d.comp.Value(n))
	}
	return clean(d.rep.Value(n))
}

// in is part n as a composite of its own. What stands at the lowest level
// already has no parts: in(n).at(1) is then at(n).
func (d data) in(n int) data {
	switch {
	case d.low && n == 1:
		return d
	case d.low:
		return data{}
	case d.deep:
		return data{leaf: d.comp.Sub(n), low: true}
	}
	return data{comp: d.rep.Component(n), deep: true}
}

// raw is d as sent, and the level at which it stands; "" for what was not sent.
func (d data) raw() (text, level string) {
	switch {
	case d.low:
		return d.leaf.Raw(), "&"
	case d.deep:
		return d.comp.Raw(), "^"
	}
	return d.rep.Raw(), "~"
}

// present tells whether anything was sent besides delimiters and nulls.
func (d data) present() bool {
	if d.low {
		return d.leaf.Present()
	}
	if d.deep {
		return d.comp.Present()
	}
	return d.rep.Present()
}

// clean makes a value fit for a FHIR string: no blanks around it, no control
// characters but tab and line ends (R4 2.24.0.1, type string).
func clean(s string) string {
	s = strings.TrimSpace(s)
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0x7f {
			return strings.TrimSpace(strings.Map(func(r rune) rune {
				if isControl(r) {
					return -1
				}
				return r
			}, s))
		}
	}
	return s
}

// isControl tells what a string of FHIR may not hold (R4 datatypes.html#string).
func isControl(r rune) bool { return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f }

// value is a field's first value as a plain string.
func value(f hl7.Field) string { return clean(f.String()) }

// p is a pointer to s, nil when s is empty: how samply's structs say absent.
func p(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// or is s, or what stands for it when it is empty.
func or(s, otherwise string) string {
	if s != "" {
		return s
	}
	return otherwise
}

// isDigits tells whether s holds nothing but digits; it is true of "".
func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
