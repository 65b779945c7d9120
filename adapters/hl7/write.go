package hl7

import (
	"maps"
	"slices"
)

// Fields are the fields of a segment to be written, by number. A value is text
// as a string, or Parts, or Reps; nil and "" are not sent.
type Fields map[int]any

// Parts are the components of a field, each a string or Parts: then those are its
// subcomponents. Inside of them Parts mean nothing.
type Parts []any

// Reps are the repetitions of a field, each a string or Parts.
type Reps []any

// A Writer writes a message in UTF-8 with the standard delimiters. Whatever text
// it is given is read from it again: delimiters and control characters are
// escaped.
type Writer struct{ b []byte }

// Segment adds a segment. Of MSH, fields 1, 2 and 18 are the Writer's own.
func (w *Writer) Segment(name string, fields Fields) {
	d := Standard
	at := len(w.b)
	w.b = append(w.b, name...)
	n := 0
	if name == "MSH" {
		w.b = append(append(append(w.b, d.Field), d.Encoding()...), d.Field)
		fields, n, at = maps.Clone(fields), 3, len(w.b)
		fields[18] = "UNICODE UTF-8"
	}
	for _, i := range slices.Sorted(maps.Keys(fields)) {
		if len(w.value(nil, fields[i], 0)) == 0 || i < max(n, 1) {
			continue
		}
		for ; n < i; n++ {
			w.b = append(w.b, d.Field)
		}
		w.b = w.value(w.b, fields[i], 0)
	}
	if len(w.b) == at+len(name) { // a segment without fields is none
		w.b = append(w.b, d.Field)
	}
	w.b = append(w.b, '\r')
}

// value adds a value whose parts are components (depth 0) or subcomponents (1).
func (w *Writer) value(b []byte, v any, depth int) []byte {
	d := Standard
	join := func(all []any, sep byte, depth int) []byte {
		from, end := len(b), len(b)
		for i, x := range all {
			if i > 0 {
				b = append(b, sep)
			}
			before := len(b)
			if b = w.value(b, x, depth); len(b) > before {
				end = len(b)
			}
		}
		return b[:max(from, end)]
	}
	switch v := v.(type) {
	case string:
		return append(b, d.Encode(v)...)
	case Reps:
		return join(v, d.Repetition, 0)
	case Parts:
		switch depth {
		case 0:
			return join(v, d.Component, 1)
		case 1:
			return join(v, d.Subcomponent, 2)
		}
	}
	return b
}

// Bytes are the message, segments ending in CR.
func (w *Writer) Bytes() []byte { return w.b }
