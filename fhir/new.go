package fhir

import (
	"bytes"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
)

// Set says one thing that samply's structs cannot: a code that happens to be
// the first of its list, a primitive's extension, a contained resource.
//
// Path is a path of element names from the resource, with indexes into
// arrays: "status", "_birthDate", "participant[0].status", "contained". It
// replaces what the struct says there.
//
// Value may be a string, bool, integer, json.Number, json.RawMessage, Object,
// Resource, samply struct or code, pointer to or slice of these.
type Set struct {
	Path  string
	Value any
}

// Object is a JSON object with its members in order, for what no struct holds.
type Object []Member

// Member is one member of an Object; Value may be what Set.Value may be.
type Member struct {
	Name  string
	Value any
}

// New builds a resource from a samply struct, an Object, or any struct with
// json tags and a resourceType.
//
// It writes what was said and nothing else:
//   - Empty strings, objects and arrays are dropped, with what they leave empty.
//   - A required code that is the zero value counts as not said, for Go cannot
//     tell it from one that was: Observation.status would become "registered".
//     To say the first code of a list, use Set{"status", "registered"} or the
//     constant as Value. Codes behind pointers and in slices are always said.
//   - Of a required choice (medication[x], content[x]) just one must be there.
//   - Required booleans and integers are written, but an object of nothing but
//     zeros is empty, and in a choice a zero is absent.
//
// An element that R4 requires and nothing says is an error that names it, as
// are a number that is no JSON number, an unknown code and invalid UTF-8. The
// error is a *Error without data.
func New(model any, also ...Set) (Resource, error) {
	e := encoders.Get().(*encoder)
	defer encoders.Put(e)
	e.b = e.b[:0]
	root, err := overlayOf(also)
	if err != nil {
		return Resource{}, err
	}
	v := reflect.ValueOf(model)
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if !v.IsValid() || v.Kind() == reflect.Pointer {
		return Resource{}, &Error{Status: 500, Code: "exception", Text: "There is no model to build a resource of."}
	}
	if _, fault := planOf(v.Type()).encode(e, v, root); fault != nil {
		name := v.Type().Name()
		if !IsType(name) {
			name = "Resource"
		}
		return Resource{}, &Error{Status: 422, Code: fault.code, Text: name + fault.path + " " + fault.text, Expression: name + fault.path}
	}
	return adopt(bytes.Clone(e.b))
}

var encoders = sync.Pool{New: func() any { return new(encoder) }}

// fault is an error on its way up to New, which gathers the path.
type fault struct {
	path string
	code string
	text string
}

func (f *fault) under(step string) *fault {
	f.path = step + f.path
	return f
}

// saying is what a value came to.
type saying int

const (
	nothing saying = iota // not written
	zero                  // written, but says nothing by itself
	said
)

// overlay is the Sets below one place.
type overlay struct {
	value any
	set   bool // value stands for the whole place
	names []string
	below []*overlay // of the names; a name is an element's, or "[0]" in an array
}

func (o *overlay) at(step string) *overlay {
	if o == nil {
		return nil
	}
	for i, name := range o.names {
		if name == step {
			return o.below[i]
		}
	}
	return nil
}

func overlayOf(sets []Set) (*overlay, error) {
	if len(sets) == 0 {
		return nil, nil
	}
	root := &overlay{}
	for _, s := range sets {
		o := root
		for step := range strings.SplitSeq(s.Path, ".") {
			name, index, indexed := strings.Cut(step, "[")
			if name == "" {
				return nil, badSet(s.Path)
			}
			o = o.child(name)
			if indexed {
				n, err := strconv.Atoi(strings.TrimSuffix(index, "]"))
				if err != nil || n < 0 || n > 1000 {
					return nil, badSet(s.Path)
				}
				o = o.child(indexStep(n))
			}
		}
		o.value, o.set = s.Value, true
	}
	return root, nil
}

func badSet(path string) error {
	return &Error{Status: 500, Code: "exception", Text: fmt.Sprintf("The path %q of a Set is not one.", path)}
}

func indexStep(i int) string { return "[" + strconv.Itoa(i) + "]" }

func (o *overlay) child(step string) *overlay {
	if c := o.at(step); c != nil {
		return c
	}
	c := &overlay{}
	o.names, o.below = append(o.names, step), append(o.below, c)
	return c
}
