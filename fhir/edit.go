package fhir

import (
	"cmp"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// editor collects changes to the bytes of one resource: cuts, insertions and
// replacements that do not overlap. All bytes outside them stay as they were.
type editor struct {
	r     Resource
	edits []edit
}

type edit struct {
	from, to int // offsets into r.json
	text     []byte
}

func (e *editor) cut(from, to int)           { e.edits = append(e.edits, edit{from, to, nil}) }
func (e *editor) insert(at int, text []byte) { e.edits = append(e.edits, edit{at, at, text}) }
func (e *editor) replace(n Node, text []byte) {
	e.edits = append(e.edits, edit{e.offset(n), e.offset(n) + len(n.b), text})
}

// offset is where n begins in r.json: both slices end their capacity at the
// same byte, so the capacities differ by just that.
func (e *editor) offset(n Node) int { return cap(e.r.json) - cap(n.b) }

// bytes gives the changed JSON.
func (e *editor) bytes() []byte {
	if byPlace := func(a, b edit) int { return cmp.Compare(a.from, b.from) }; !slices.IsSortedFunc(e.edits, byPlace) {
		slices.SortStableFunc(e.edits, byPlace)
	}
	size := len(e.r.json)
	for _, x := range e.edits {
		size += len(x.text) - (x.to - x.from)
	}
	out, at := make([]byte, 0, size), 0
	for _, x := range e.edits {
		out = append(out, e.r.json[at:x.from]...)
		out = append(out, x.text...)
		at = x.to
	}
	return append(out, e.r.json[at:]...)
}

// apply makes the changed resource.
func (e *editor) apply() (Resource, error) {
	if len(e.edits) == 0 {
		return e.r, nil
	}
	return adopt(e.bytes())
}

// quote is s as JSON. Invalid UTF-8 becomes U+FFFD.
func quote(s string) []byte {
	b, _ := jsontext.AppendQuote(nil, s)
	return b
}
