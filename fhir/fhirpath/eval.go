package fhirpath

import (
	"errors"
	"math/big"
	"slices"
	"strings"

	"firebreak/fhir"
	"firebreak/fhir/r4def"
)

// scope is what an expression is evaluated in.
type scope struct {
	resource Value // the resource that holds the context
	root     Value // the resource that contains that one, or the same
	context  Value
	this     []Value
}

// Eval evaluates e on one element of resource, or on the resource itself.
// root is the resource that contains it, or the same. The error says which
// part of the expression cannot be evaluated, and nothing of the resource.
func (e *Expr) Eval(root, resource, context Value) ([]Value, error) {
	focus := []Value{context}
	return e.eval(&scope{resource: resource, root: root, context: context, this: focus}, focus)
}

// Holds tells whether e does not come to false. An invariant that comes to nothing
// holds: some of R4's do so on R4's own examples (bdl-8 where there is no fullUrl).
func (e *Expr) Holds(root, resource, context Value) (bool, error) {
	all, err := e.Eval(root, resource, context)
	if err != nil {
		return false, err
	}
	yes, known, err := truth(all)
	return yes || !known, err
}

func constant(value any) expr {
	all := []Value{{made: value}}
	return func(*scope, []Value) ([]Value, error) { return all, nil }
}

func boolean(yes bool) []Value { return []Value{{made: yes}} }

// then evaluates step on what before comes to.
func then(before, step expr) expr {
	return func(s *scope, focus []Value) ([]Value, error) {
		all, err := before(s, focus)
		if err != nil {
			return nil, err
		}
		return step(s, all)
	}
}

// indexed gives the item of that number, from 0 on, or nothing.
func indexed(of, index expr) expr {
	return func(s *scope, focus []Value) ([]Value, error) {
		all, err := of(s, focus)
		if err != nil {
			return nil, err
		}
		at, err := index(s, focus)
		if err != nil || len(at) == 0 {
			return nil, err
		}
		v, err := single(at)
		if err != nil {
			return nil, err
		}
		n, ok := v.literal().(*big.Rat)
		if !ok || !n.IsInt() {
			return nil, errors.New("fhirpath: an index is a whole number")
		}
		if i := n.Num(); i.Sign() >= 0 && i.IsInt64() && i.Int64() < int64(len(all)) {
			return all[i.Int64() : i.Int64()+1], nil
		}
		return nil, nil
	}
}

// each evaluates e on one item, which is $this in it.
func each(s *scope, item Value, e expr) ([]Value, error) {
	inner, focus := *s, []Value{item}
	inner.this = focus
	return e(&inner, focus)
}

// member gives the children of that name, or of a type's name the focus if it
// is of that type.
func member(element string) expr {
	typ := fhir.IsType(element) || element == "Resource" || element == "DomainResource"
	return func(_ *scope, focus []Value) (all []Value, _ error) {
		for _, v := range focus {
			switch {
			case !typ:
				all = append(all, v.child(element)...)
			case v.typ == element || element == "Resource" || element == "DomainResource":
				all = append(all, v)
			}
		}
		return all, nil
	}
}

// typed is the operators is and as, and the functions is, as and ofType.
func typed(how string, of expr, typ string) expr {
	return func(s *scope, focus []Value) ([]Value, error) {
		all, err := of(s, focus)
		if err != nil {
			return nil, err
		}
		if how != "is" {
			return slices.DeleteFunc(slices.Clone(all), func(v Value) bool { return !v.is(typ) }), nil
		}
		if len(all) == 0 {
			return nil, nil
		}
		v, err := single(all)
		return boolean(v.is(typ)), err
	}
}

var errMany = errors.New("fhirpath: one item is expected where there are several")

func single(all []Value) (Value, error) {
	if len(all) != 1 {
		return Value{}, errMany
	}
	return all[0], nil
}

// pair is the one item of each side of an operator.
func pair(a, b []Value) (x, y Value, err error) {
	if x, err = single(a); err == nil {
		y, err = single(b)
	}
	return x, y, err
}

// truth is a collection as a boolean: known is false for an empty one, and one
// item that is no boolean is true.
//
// Source: FHIRPath N1 4.5, singleton evaluation of collections.
func truth(all []Value) (yes, known bool, err error) {
	if len(all) == 0 {
		return false, false, nil
	}
	v, err := single(all)
	if err != nil {
		return false, false, err
	}
	if b, ok := v.literal().(bool); ok {
		return b, true, nil
	}
	return true, true, nil
}

// operator is a binary operator; an empty collection stands for not known.
type operator func(left, right []Value) ([]Value, error)

func binary(op operator, left, right expr) expr {
	return func(s *scope, focus []Value) ([]Value, error) {
		a, err := left(s, s.this)
		if err != nil {
			return nil, err
		}
		b, err := right(s, s.this)
		if err != nil {
			return nil, err
		}
		return op(a, b)
	}
}

var operators = map[string]operator{
	"and": logic(func(a, aKnown, b, bKnown bool) (bool, bool) {
		return a && b && aKnown && bKnown, aKnown && bKnown || aKnown && !a || bKnown && !b
	}),
	"or": logic(func(a, aKnown, b, bKnown bool) (bool, bool) {
		return a || b, aKnown && bKnown || a || b
	}),
	"xor": logic(func(a, aKnown, b, bKnown bool) (bool, bool) { return a != b, aKnown && bKnown }),
	"implies": logic(func(a, aKnown, b, bKnown bool) (bool, bool) {
		return aKnown && !a || b, aKnown && !a || bKnown && (b || aKnown)
	}),
	"=":        equality(true),
	"!=":       equality(false),
	"<":        order(func(c int) bool { return c < 0 }),
	"<=":       order(func(c int) bool { return c <= 0 }),
	">":        order(func(c int) bool { return c > 0 }),
	">=":       order(func(c int) bool { return c >= 0 }),
	"|":        func(a, b []Value) ([]Value, error) { return distinct(append(slices.Clone(a), b...)), nil },
	"in":       in,
	"contains": func(a, b []Value) ([]Value, error) { return in(b, a) },
	"&": func(a, b []Value) ([]Value, error) {
		x, err := joined(a)
		if err != nil {
			return nil, err
		}
		y, err := joined(b)
		return []Value{{made: x + y}}, err
	},
	"+": func(a, b []Value) ([]Value, error) {
		if len(a) == 0 || len(b) == 0 {
			return nil, nil
		}
		x, y, err := pair(a, b)
		if err != nil {
			return nil, err
		}
		switch l := x.literal().(type) {
		case *big.Rat:
			if r, ok := y.literal().(*big.Rat); ok {
				return []Value{{made: new(big.Rat).Add(l, r)}}, nil
			}
		case string:
			if r, ok := words(y.literal()); ok {
				return []Value{{made: l + r}}, nil
			}
		}
		return nil, errors.New("fhirpath: + of what cannot be added")
	},
}

// joined is at most one string, "" for none.
func joined(all []Value) (string, error) {
	if len(all) == 0 {
		return "", nil
	}
	v, err := single(all)
	s, _ := words(v.literal())
	return s, err
}

func logic(op func(a, aKnown, b, bKnown bool) (yes, known bool)) operator {
	return func(left, right []Value) ([]Value, error) {
		a, aKnown, err := truth(left)
		if err != nil {
			return nil, err
		}
		b, bKnown, err := truth(right)
		if err != nil {
			return nil, err
		}
		yes, known := op(a, aKnown, b, bKnown)
		if !known {
			return nil, nil
		}
		return boolean(yes), nil
	}
}

func equality(want bool) operator {
	return func(a, b []Value) ([]Value, error) {
		if len(a) == 0 || len(b) == 0 {
			return nil, nil
		}
		if len(a) != len(b) {
			return boolean(!want), nil
		}
		for i := range a {
			equal, known := same(a[i], b[i])
			if !known {
				return nil, nil
			}
			if !equal {
				return boolean(!want), nil
			}
		}
		return boolean(want), nil
	}
}

func order(holds func(c int) bool) operator {
	return func(a, b []Value) ([]Value, error) {
		if len(a) == 0 || len(b) == 0 {
			return nil, nil
		}
		x, y, err := pair(a, b)
		if err != nil {
			return nil, err
		}
		if x.typ == "Quantity" && y.typ == "Quantity" {
			return quantities(x, y, holds)
		}
		switch l := x.literal().(type) {
		case *big.Rat:
			if r, ok := y.literal().(*big.Rat); ok {
				return boolean(holds(l.Cmp(r))), nil
			}
		case string:
			if r, ok := y.literal().(string); ok {
				return boolean(holds(strings.Compare(l, r))), nil
			}
		case moment:
			if r, ok := y.literal().(moment); ok {
				c, known := l.compare(r)
				if !known {
					return nil, nil
				}
				return boolean(holds(c)), nil
			}
		}
		return nil, nil
	}
}

// quantities compares two of one unit; of two units it does not know.
func quantities(x, y Value, holds func(c int) bool) ([]Value, error) {
	for _, part := range []string{"system", "code", "unit"} {
		if !slices.EqualFunc(x.child(part), y.child(part), alike) {
			return nil, nil
		}
	}
	return order(holds)(x.child("value"), y.child("value"))
}

func in(item, all []Value) ([]Value, error) {
	if len(item) == 0 {
		return nil, nil
	}
	v, err := single(item)
	return boolean(holds(all, v)), err
}

func holds(all []Value, v Value) bool {
	return slices.ContainsFunc(all, func(x Value) bool {
		equal, known := same(x, v)
		return equal && known
	})
}

func distinct(all []Value) (once []Value) {
	for _, v := range all {
		if !holds(once, v) {
			once = append(once, v)
		}
	}
	return once
}

// hasValue tells whether v has a value and not extensions alone.
func (v Value) hasValue() bool { return v.typ == "" || r4def.IsPrimitive(v.typ) && !v.node.IsZero() }
