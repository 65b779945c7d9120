package fhir

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// encoder writes what New says. Plans append to b and cut back what came to nothing.
type encoder struct{ b []byte }

// plan knows how values of one Go type are written. o holds the Sets at and
// below the value, usually nil.
type plan interface {
	encode(e *encoder, v reflect.Value, o *overlay) (saying, *fault)
}

type planFunc func(e *encoder, v reflect.Value, o *overlay) (saying, *fault)

func (f planFunc) encode(e *encoder, v reflect.Value, o *overlay) (saying, *fault) { return f(e, v, o) }

var plans sync.Map // reflect.Type to plan

func planOf(t reflect.Type) plan {
	if p, ok := plans.Load(t); ok {
		return p.(plan)
	}
	var p plan
	if t.Kind() == reflect.Struct && t != resourceType {
		p = &structPlan{typ: t} // built at first use, for types hold themselves
	} else {
		p = withSet(basicPlan(t))
	}
	kept, _ := plans.LoadOrStore(t, p)
	return kept.(plan)
}

type coder interface{ Code() string }

var (
	coderType     = reflect.TypeFor[coder]()
	marshalerType = reflect.TypeFor[json.Marshaler]()
	numberType    = reflect.TypeFor[json.Number]()
	rawType       = reflect.TypeFor[json.RawMessage]()
	valueType     = reflect.TypeFor[jsontext.Value]()
	resourceType  = reflect.TypeFor[Resource]()
	objectType    = reflect.TypeFor[Object]()
)

// withSet lets a Set on the very place of a value replace it.
func withSet(p planFunc) plan {
	return planFunc(func(e *encoder, v reflect.Value, o *overlay) (saying, *fault) {
		if o != nil && o.set {
			return e.any(o.value)
		}
		return p(e, v, o)
	})
}

func (e *encoder) any(value any) (saying, *fault) {
	v := reflect.ValueOf(value)
	if !v.IsValid() {
		return nothing, nil
	}
	if v.Kind() == reflect.Int && v.Type().Implements(coderType) {
		return encodeCode(e, v, nil)
	}
	s, f := planOf(v.Type()).encode(e, v, nil)
	if s == zero {
		s = said // whoever set it meant it
	}
	return s, f
}

func basicPlan(t reflect.Type) planFunc {
	switch {
	case t == numberType:
		return encodeNumber
	case t == rawType || t == valueType:
		return func(e *encoder, v reflect.Value, _ *overlay) (saying, *fault) { return e.raw(v.Bytes()) }
	case t == resourceType:
		return func(e *encoder, v reflect.Value, _ *overlay) (saying, *fault) {
			return e.raw(v.Interface().(Resource).json)
		}
	case t == objectType:
		return encodeObject
	case t.Kind() == reflect.Int && t.Implements(coderType):
		return func(e *encoder, v reflect.Value, o *overlay) (saying, *fault) {
			if v.Int() == 0 {
				return nothing, nil
			}
			return encodeCode(e, v, o)
		}
	case t.Kind() == reflect.Pointer:
		return pointerPlan(t)
	case t.Kind() == reflect.Interface:
		return func(e *encoder, v reflect.Value, _ *overlay) (saying, *fault) { return e.any(v.Interface()) }
	case t.Implements(marshalerType):
		return func(e *encoder, v reflect.Value, _ *overlay) (saying, *fault) {
			b, err := v.Interface().(json.Marshaler).MarshalJSON()
			if err != nil {
				return nothing, &fault{code: "value", text: "cannot be written."}
			}
			return e.raw(b)
		}
	}
	switch t.Kind() {
	case reflect.String:
		return func(e *encoder, v reflect.Value, _ *overlay) (saying, *fault) { return e.string(v.String()) }
	case reflect.Bool:
		return func(e *encoder, v reflect.Value, _ *overlay) (saying, *fault) {
			e.b = strconv.AppendBool(e.b, v.Bool())
			return sayingOf(v.Bool()), nil
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func(e *encoder, v reflect.Value, _ *overlay) (saying, *fault) {
			e.b = strconv.AppendInt(e.b, v.Int(), 10)
			return sayingOf(v.Int() != 0), nil
		}
	case reflect.Slice, reflect.Array:
		return slicePlan(t)
	}
	return func(*encoder, reflect.Value, *overlay) (saying, *fault) {
		return nothing, &fault{code: "value", text: "is of a Go type that has no place in a resource."}
	}
}

func sayingOf(yes bool) saying {
	if yes {
		return said
	}
	return zero
}

func (e *encoder) string(s string) (saying, *fault) {
	if s == "" {
		return nothing, nil
	}
	if !utf8.ValidString(s) {
		return nothing, &fault{code: "value", text: "is not valid UTF-8."}
	}
	e.b, _ = jsontext.AppendQuote(e.b, s)
	return said, nil
}

func encodeCode(e *encoder, v reflect.Value, _ *overlay) (saying, *fault) {
	code := v.Interface().(coder).Code()
	if code == "<unknown>" { // samply's word for a number that is no code
		return nothing, &fault{code: "code-invalid", text: "is no code of its list."}
	}
	return e.string(code)
}

func encodeNumber(e *encoder, v reflect.Value, _ *overlay) (saying, *fault) {
	s := v.String()
	if s == "" {
		return nothing, nil
	}
	if c := s[0]; c != '-' && (c < '0' || c > '9') || !jsontext.Value(s).IsValid() || strings.ContainsAny(s, " \t\r\n") {
		return nothing, &fault{code: "value", text: "is not a number as JSON writes it."}
	}
	e.b = append(e.b, s...)
	return said, nil
}

func pointerPlan(t reflect.Type) planFunc {
	elem := t.Elem()
	if elem.Kind() == reflect.Int && elem.Implements(coderType) {
		return func(e *encoder, v reflect.Value, o *overlay) (saying, *fault) {
			if v.IsNil() {
				return nothing, nil
			}
			return encodeCode(e, v.Elem(), o)
		}
	}
	below := planOf(elem)
	return func(e *encoder, v reflect.Value, o *overlay) (saying, *fault) {
		if !v.IsNil() {
			s, f := below.encode(e, v.Elem(), o)
			if s == zero {
				s = said // behind a pointer even a zero was meant
			}
			return s, f
		}
		if o == nil {
			return nothing, nil
		}
		return below.encode(e, reflect.Zero(elem), o)
	}
}

func slicePlan(t reflect.Type) planFunc {
	elem := t.Elem()
	below := planOf(elem)
	if elem.Kind() == reflect.Int && elem.Implements(coderType) {
		below = planFunc(encodeCode)
	}
	return func(e *encoder, v reflect.Value, o *overlay) (saying, *fault) {
		n := v.Len()
		if o != nil {
			for n < 1000 && o.at(indexStep(n)) != nil {
				n++
			}
		}
		start := len(e.b)
		e.b = append(e.b, '[')
		any := false
		for i := range n {
			mark := len(e.b)
			if any {
				e.b = append(e.b, ',')
			}
			var at *overlay
			if o != nil {
				at = o.at(indexStep(i))
			}
			item := reflect.Zero(elem)
			if i < v.Len() {
				item = v.Index(i)
			}
			s, f := below.encode(e, item, at)
			if f != nil {
				return nothing, f.under(indexStep(i))
			}
			if s == nothing {
				e.b = e.b[:mark]
				continue
			}
			any = true
		}
		if !any {
			e.b = e.b[:start]
			return nothing, nil
		}
		e.b = append(e.b, ']')
		return said, nil
	}
}

func encodeObject(e *encoder, v reflect.Value, o *overlay) (saying, *fault) {
	start := len(e.b)
	e.b = append(e.b, '{')
	any := false
	names := make([]string, 0, 8)
	for _, m := range v.Interface().(Object) {
		if slices.Contains(names, m.Name) {
			return nothing, (&fault{code: "structure", text: "is said twice."}).under("." + m.Name)
		}
		names = append(names, m.Name)
		value, at := m.Value, o.at(m.Name)
		if at != nil && at.set {
			value = at.value
		}
		s, f := e.member(m.Name, any, func() (saying, *fault) { return e.any(value) })
		if f != nil {
			return nothing, f
		}
		any = any || s != nothing
	}
	if f := e.extra(o, func(name string) bool { return slices.Contains(names, name) }, &any); f != nil {
		return nothing, f
	}
	if !any {
		e.b = e.b[:start]
		return nothing, nil
	}
	e.b = append(e.b, '}')
	return said, nil
}

// member writes one member, and cuts it back when it says nothing.
func (e *encoder) member(name string, comma bool, value func() (saying, *fault)) (saying, *fault) {
	mark := len(e.b)
	if comma {
		e.b = append(e.b, ',')
	}
	e.b, _ = jsontext.AppendQuote(e.b, name)
	e.b = append(e.b, ':')
	s, f := value()
	if f != nil {
		return nothing, f.under("." + name)
	}
	if s == nothing {
		e.b = e.b[:mark]
	}
	return s, nil
}

// extra writes the Sets of an object that no field has taken.
func (e *encoder) extra(o *overlay, taken func(name string) bool, any *bool) *fault {
	if o == nil {
		return nil
	}
	for i, name := range o.names {
		if taken(name) {
			continue
		}
		at := o.below[i]
		s, f := e.member(name, *any, func() (saying, *fault) { return e.overlay(at) })
		if f != nil {
			return f
		}
		*any = *any || s != nothing
	}
	return nil
}

// overlay writes Sets where no field stands: objects and arrays of their own.
func (e *encoder) overlay(o *overlay) (saying, *fault) {
	switch {
	case o.set:
		return e.any(o.value)
	case strings.HasPrefix(o.names[0], "["):
		// Only a primitive's extensions ("_given[1]") may leave holes.
		e.b = append(e.b, '[')
		for i, left := 0, len(o.names); left > 0; i++ {
			if i > 0 {
				e.b = append(e.b, ',')
			}
			at := o.at(indexStep(i))
			if at == nil {
				e.b = append(e.b, "null"...)
				continue
			}
			left--
			s, f := e.overlay(at)
			if f != nil {
				return nothing, f.under(indexStep(i))
			}
			if s == nothing {
				e.b = append(e.b, "null"...)
			}
		}
		e.b = append(e.b, ']')
		return said, nil
	default:
		return encodeObject(e, reflect.ValueOf(Object(nil)), o)
	}
}

// raw writes JSON made elsewhere, without what is empty in it.
func (e *encoder) raw(b []byte) (saying, *fault) {
	if len(b) == 0 {
		return nothing, nil
	}
	if validate(b) != nil {
		return nothing, &fault{code: "value", text: "is not valid JSON."}
	}
	trimmed := Node{b}.trimmed()
	return e.node(trimmed), nil
}

func (n Node) trimmed() Node {
	b := n.b
	for isSpace(b[0]) {
		b = b[1:]
	}
	return Node{b[:skipValue(b, 0)]}
}

func (e *encoder) node(n Node) saying {
	start := len(e.b)
	switch k := n.Kind(); k {
	case 'n':
		return nothing
	case '"':
		if len(n.b) == 2 {
			return nothing
		}
	case '{', '[':
		e.b = append(e.b, k)
		any := false
		for c := n.open(k); c.next(); {
			mark := len(e.b)
			if len(e.b) > start+1 {
				e.b = append(e.b, ',')
			}
			if c.object {
				e.b = append(e.b, c.b[c.nameStart:c.nameEnd]...)
				e.b = append(e.b, ':')
			}
			switch {
			case e.node(c.value()) != nothing:
				any = true
			case k == '[' && c.value().Kind() == 'n': // a hole beside a primitive's extension
				e.b = append(e.b, "null"...)
			default:
				e.b = e.b[:mark]
			}
		}
		if !any {
			e.b = e.b[:start]
			return nothing
		}
		e.b = append(e.b, k+2) // '{' and '}', '[' and ']' lie two apart
		return said
	}
	e.b = append(e.b, n.b...)
	return said
}
