package fhirpath

import (
	"math/big"
	"slices"
	"strconv"
	"strings"

	"firebreak/fhir"
	"firebreak/fhir/r4def"
)

// Value is one item of a collection: an element of a resource, or what an
// expression computed. It prints nothing of a patient by itself.
type Value struct {
	typ    string    // "Patient", "Patient.contact", "dateTime"; "" for what was computed
	node   fhir.Node // of an element; zero for a primitive that has extensions only
	beside fhir.Node // id and extensions of a primitive
	made   any       // bool, string or *big.Rat
}

// Of is a resource as a value.
func Of(r fhir.Resource) Value { return Value{typ: r.Type(), node: r.Root()} }

// Type is v's R4 type, "Patient" or "Patient.contact" or "dateTime"; empty for
// what an expression computed.
func (v Value) Type() string { return v.typ }

// Node is v as it stands in the resource; zero for what was computed and for a
// primitive without a value.
func (v Value) Node() fhir.Node { return v.node }

// members are the element names of v's type, in the order of the definition.
func (v Value) members() []r4def.Element {
	if t := r4def.Lookup(v.typ); t != nil {
		return t.Elements
	}
	if r4def.IsPrimitive(v.typ) {
		return r4def.Lookup("Element").Elements
	}
	return nil
}

// child gives the values of an element by its name without a type: "value".
func (v Value) child(element string) (all []Value) {
	t, n := r4def.Lookup(v.typ), v.node
	if t == nil && r4def.IsPrimitive(v.typ) {
		t, n = r4def.Lookup("Element"), v.beside
	}
	if t == nil {
		return nil
	}
	for _, m := range t.Members(element) {
		values := n.Get(m.Name)
		if !r4def.IsPrimitive(m.Type) {
			for item := range values.Items() {
				typ := m.Type
				if typ == "Resource" {
					typ = item.Get("resourceType").Text()
				}
				all = append(all, Value{typ: typ, node: item})
			}
			continue
		}
		if m.Element.Max == 1 {
			if one := (Value{typ: m.Type, node: values, beside: n.Get("_" + m.Name)}); !one.node.IsZero() || !one.beside.IsZero() {
				all = append(all, one)
			}
			continue
		}
		slots, extensions := slices.Collect(values.Slots()), slices.Collect(n.Get("_"+m.Name).Slots())
		for i := range max(len(slots), len(extensions)) {
			one := Value{typ: m.Type}
			if i < len(slots) && slots[i].Kind() != 'n' {
				one.node = slots[i]
			}
			if i < len(extensions) && extensions[i].Kind() != 'n' {
				one.beside = extensions[i]
			}
			all = append(all, one)
		}
	}
	return all
}

func (v Value) children() (all []Value) {
	for _, e := range v.members() {
		all = append(all, v.child(e.Name)...)
	}
	return all
}

func (v Value) descendants() (all []Value) {
	for _, c := range v.children() {
		all = append(append(all, c), c.descendants()...)
	}
	return all
}

// is tells whether v is of a type, by its own name; what was computed is of the
// types of System, as are FHIR's primitives where their names are alike.
func (v Value) is(typ string) bool {
	if v.typ == typ {
		return true
	}
	switch v.literal().(type) {
	case bool:
		return typ == "Boolean"
	case string:
		return v.typ == "" && typ == "String"
	case *big.Rat:
		return v.typ == "" && typ == "Decimal"
	}
	return false
}

// literal is the value as bool, string, *big.Rat or moment; nil for what has parts
// and for a primitive without a value.
func (v Value) literal() any {
	if v.typ == "" {
		return v.made
	}
	if v.node.IsZero() || !r4def.IsPrimitive(v.typ) {
		return nil
	}
	s := v.node.Text()
	switch v.typ {
	case "boolean":
		return s == "true"
	case "integer", "positiveInt", "unsignedInt", "decimal":
		if n, ok := decimal(s); ok {
			return n
		}
		return nil
	case "date", "dateTime", "instant", "time":
		return moment(s)
	}
	return s
}

// decimal reads a number; the exponent of one that came as JSON is bounded, for
// the digits would be written out.
func decimal(s string) (*big.Rat, bool) {
	if i := strings.IndexAny(s, "eE"); len(s) > 64 || i >= 0 && len(s)-i > 4 {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}

// words is a literal as a string, for the functions on strings.
func words(l any) (string, bool) {
	switch x := l.(type) {
	case string:
		return x, true
	case moment:
		return string(x), true
	}
	return "", false
}

// same tells whether two values are equal; known is false when their precision
// does not tell.
func same(a, b Value) (equal, known bool) {
	x, y := a.literal(), b.literal()
	if x == nil || y == nil {
		if x != nil || y != nil || a.typ == "" || b.typ == "" {
			return false, true
		}
		return alike(a, b), true
	}
	if m, ok := x.(moment); ok {
		if n, ok := y.(moment); ok {
			c, known := m.compare(n)
			return c == 0, known
		}
	}
	if m, ok := x.(*big.Rat); ok {
		n, ok := y.(*big.Rat)
		return ok && m.Cmp(n) == 0, true
	}
	if p, ok := x.(bool); ok {
		q, ok := y.(bool)
		return ok && p == q, true
	}
	s, _ := words(x)
	t, ok := words(y)
	return ok && s == t, true
}

// alike compares elements with parts, whatever the order of their members.
func alike(a, b Value) bool {
	if a.typ != b.typ {
		return false
	}
	if x, y := a.literal(), b.literal(); x != nil || y != nil {
		equal, known := same(a, b)
		return equal && known
	}
	for _, e := range a.members() {
		if !slices.EqualFunc(a.child(e.Name), b.child(e.Name), alike) {
			return false
		}
	}
	return true
}

// Text is a literal as FHIR writes it; "" for what has parts.
func (v Value) Text() string {
	switch x := v.literal().(type) {
	case bool:
		return strconv.FormatBool(x)
	case *big.Rat:
		if v.typ != "" {
			return v.node.Text()
		}
		if x.IsInt() {
			return x.Num().String()
		}
		return x.FloatString(10)
	case nil:
		return ""
	default:
		s, _ := words(x)
		return s
	}
}
