package fhir

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// MaxBytes bounds one resource, a pushed Bundle included.
	MaxBytes = 64 << 20
	// MaxDepth bounds nesting. The deepest official R4 example has 15 levels.
	MaxDepth = 64
)

// Parse reads one resource and keeps its bytes exactly, but for white space
// around it.
//
// It is strict where two readers could disagree, for a disagreement is a way
// round a filter: one JSON object, no name twice in an object, valid UTF-8,
// nothing after it, at most MaxDepth levels and MaxBytes bytes. resourceType
// must name an R4 resource; id may be absent but not malformed. Everything else
// is kept unread; r4def.Check judges it. The error is a *Error that quotes
// nothing of b.
func Parse(b []byte) (Resource, error) { return Take(bytes.Clone(b)) }

// Take is Parse for bytes that nobody else holds: they are kept, not copied.
func Take(b []byte) (Resource, error) {
	if len(b) > MaxBytes {
		return Resource{}, &Error{Status: 413, Code: "too-long", Text: "The resource is larger than this server takes."}
	}
	b = bytes.TrimSpace(b)
	if len(b) == 0 || b[0] != '{' {
		return Resource{}, invalid("", "The content is not a JSON object.", nil)
	}
	if err := validate(b); err != nil {
		return Resource{}, err
	}
	return adopt(slices.Clip(b))
}

// validate tells whether b is one valid JSON value, no deeper than MaxDepth.
func validate(b []byte) error {
	if bytes.Count(b, []byte("{"))+bytes.Count(b, []byte("[")) > MaxDepth && tooDeep(b) {
		return &Error{Status: 400, Code: "too-costly", Text: fmt.Sprintf("The content is nested deeper than %d levels.", MaxDepth)}
	}
	if jsontext.Value(b).IsValid() {
		return nil
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer(b)) // again, slowly, to say where
	if err := dec.SkipValue(); err != nil {
		return malformed(err)
	}
	return invalid("", "There is something after the resource.", nil)
}

// tooDeep tells whether b has more than MaxDepth levels.
func tooDeep(b []byte) bool {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			if depth++; depth > MaxDepth {
				return true
			}
		case '}', ']':
			depth--
		}
	}
	return false
}

// adopt makes a Resource of valid JSON that nobody else will change.
func adopt(b []byte) (Resource, error) {
	r := Resource{json: b}
	var typ, id Node
	for c := r.Root().open('{'); c.next(); {
		switch {
		case c.nameIs("resourceType"):
			typ = c.value()
		case c.nameIs("id"):
			id = c.value()
		}
		if !typ.IsZero() && !id.IsZero() {
			break // no name stands twice in an object
		}
	}
	if typ.Kind() != '"' {
		return Resource{}, invalid("resourceType", "The resourceType is missing.", nil)
	}
	i, known := slices.BinarySearchFunc(resourceTypes, typ.b[1:len(typ.b)-1], func(name string, b []byte) int {
		switch {
		case name < string(b): // not strings.Compare, which would need a copy
			return -1
		case name > string(b):
			return 1
		}
		return 0
	})
	switch {
	case known:
		r.typ = resourceTypes[i] // one string for all
	case IsType(typ.Text()): // its letters are escaped
		r.typ = typ.Text()
	default:
		return Resource{}, invalid("resourceType", "The resourceType is not one of R4.", nil)
	}
	if id.IsZero() {
		return r, nil
	}
	if r.id = id.Text(); id.Kind() != '"' || !ValidID(r.id) {
		return Resource{}, invalid(r.typ+".id", "The id is not 1 to 64 letters, digits, '-' or '.'.", nil)
	}
	return r, nil
}

// ValidID tells whether s may be a logical id (R4 2.24.0.1, type id).
func ValidID(s string) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	var bad uint8 // each resource that is written or audited is asked: without a branch for each byte
	for ; len(s) >= 8; s = s[8:] {
		bad |= noID[s[0]] | noID[s[1]] | noID[s[2]] | noID[s[3]] | noID[s[4]] | noID[s[5]] | noID[s[6]] | noID[s[7]]
	}
	for i := range len(s) {
		bad |= noID[s[i]]
	}
	return bad == 0
}

// noID is 0 for the bytes of which ids are made.
var noID = func() (t [256]uint8) {
	for i := range t {
		t[i] = 1
	}
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") {
		t[c] = 0
	}
	return t
}()

// View decodes r into a struct of samply/golang-fhir-models or any other, for
// reading. What the struct has no place for is not seen, and an absent required
// code reads as the first one: where absence matters ask r's bytes. It fails
// when one value does not fit, so pages should prefer [Resource.All].
func View[T any](r Resource) (T, error) {
	var v T
	if err := json.Unmarshal(r.json, &v); err != nil {
		var none T
		return none, fmt.Errorf("fhir: view %s as %T: %w", r.typ, none, hidden{err})
	}
	return v, nil
}

// hidden keeps a decoder's error, which may quote data, out of messages.
type hidden struct{ error }

func (hidden) Error() string   { return "a value does not fit" }
func (h hidden) Unwrap() error { return h.error }

func invalid(expression, text string, cause error) *Error {
	return &Error{Status: 400, Code: "invalid", Text: text, Expression: expression, Err: cause}
}

func malformed(err error) *Error {
	e := &Error{Status: 400, Code: "structure", Text: "The content is not valid JSON.", Err: err}
	if syn, ok := err.(*jsontext.SyntacticError); ok {
		if syn.Err == jsontext.ErrDuplicateName {
			e.Text = "An object has the same name twice."
		}
		e.Text += fmt.Sprintf(" See byte %d.", syn.ByteOffset)
	}
	return e
}
