package search

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"firebreak/fhir"
	"firebreak/fhir/r4def"
)

// ParseTypes reads a search over several types: those that _type names, or all
// there are; in a compartment ([Within]) all that it has. A parameter must be
// one of every type that is searched; _elements may name what some of them have.
//
// Source: http://hl7.org/fhir/R4/http.html#search, the forms without a type.
func ParseTypes(v url.Values, opts ...Option) (Query, error) {
	var o options
	for _, set := range opts {
		set(&o)
	}
	types, named, err := typesOf(v["_type"], o)
	if err != nil {
		return Query{}, err
	}
	rest := url.Values{}
	for name, list := range v {
		if name != "_type" && name != "_elements" {
			rest[name] = list
		}
	}
	var ignored []string
	elements := v["_elements"]
again:
	for {
		q := Query{Count: -1, within: o.within, record: o.record}
		for _, typ := range types {
			one, err := ParseQuery(typ, rest, opts...)
			if err != nil {
				return Query{}, err
			}
			if len(one.dropped) > 0 { // what one type does not understand is left out for all
				for _, name := range one.dropped {
					delete(rest, name)
				}
				ignored = append(ignored, one.Ignored...)
				continue again
			}
			q.each = append(q.each, one)
		}
		first := q.each[0]
		q.own = first.own
		q.Count, q.Summary, q.Total, q.values = first.Count, first.Summary, first.Total, first.values
		q.includes, q.revincludes = first.includes, first.revincludes
		for _, list := range elements {
			if err := q.elements(list); err != nil && !o.lenient {
				return Query{}, err
			} else if err != nil {
				ignored = append(ignored, "_elements")
				continue
			}
			q.values.Add("_elements", list)
		}
		if named {
			q.values.Set("_type", strings.Join(types, ","))
		}
		slices.Sort(ignored)
		q.Ignored = slices.Compact(ignored)
		return q, nil
	}
}

// elements reads what some of the types must have each of.
func (q *Query) elements(list string) error {
	for name := range strings.SplitSeq(list, ",") {
		known := false
		for i := range q.each {
			r := reader{q: Query{Type: q.each[i].Type}}
			if r.elements("_elements", name) == nil {
				known = true
				q.Elements = append(q.Elements, r.q.Elements...)
			}
		}
		if !known {
			return refuse("value", "_elements", "It names an element that none of the types has.")
		}
	}
	slices.Sort(q.Elements)
	q.Elements = slices.Compact(q.Elements)
	return nil
}

// typesOf are the types to search, sorted, and whether they were named.
func typesOf(lists []string, o options) (types []string, named bool, err error) {
	if len(lists) == 0 {
		if o.within == (fhir.Ref{}) {
			return fhir.Types(), false, nil
		}
		for typ := range r4def.Compartment(o.within.Type) {
			types = append(types, typ)
		}
		if len(types) == 0 {
			return nil, false, noCompartment
		}
		slices.Sort(types)
		return types, false, nil
	}
	for _, list := range lists {
		for typ := range strings.SplitSeq(list, ",") {
			if !fhir.IsType(typ) {
				return nil, false, refuse("value", "_type", "It names a type that R4 does not have.")
			}
			types = append(types, typ)
		}
	}
	slices.Sort(types)
	return slices.Compact(types), true, nil
}

var noCompartment = refuse("not-supported", "", "Patient, Encounter, Practitioner, RelatedPerson and Device have compartments.")

// inCompartment holds for what one of the compartment's parameters ties to focus.
//
// Source: http://hl7.org/fhir/R4/compartmentdefinition.html
func inCompartment(focus fhir.Ref, typ string) (filter, error) {
	by := r4def.Compartment(focus.Type)
	if by == nil {
		return filter{}, noCompartment
	}
	f := filter{name: "a compartment"}
	for _, code := range by[typ] {
		if code == "{def}" && typ == focus.Type { // itself
			f.either = append(f.either, filter{name: "_id", param: params().params[typ]["_id"], values: []value{{token: Token{Code: focus.ID, AnySystem: true}}}})
		} else if p := params().params[typ][code]; p != nil && slices.Contains(p.targets, focus.Type) {
			f.either = append(f.either, filter{name: code, param: p, values: []value{{ref: reference{typ: focus.Type, id: focus.ID}}}})
		}
	}
	if f.either == nil {
		return filter{}, refuse("not-supported", "", "The compartment of a "+focus.Type+" has no "+typ+".")
	}
	return f, nil
}

// Types are those that q finds, sorted.
func (q Query) Types() []string {
	if len(q.each) == 0 {
		return []string{q.Type}
	}
	types := make([]string, len(q.each))
	for i := range q.each {
		types[i] = q.each[i].Type
	}
	return types
}

// Named tells whether q itself says which types it finds.
func (q Query) Named() bool { return q.Type != "" || q.values.Has("_type") }

// Only is q over those of its types that may be searched; ok is false when
// there are none.
func (q Query) Only(may func(typ string) bool) (_ Query, ok bool) {
	if len(q.each) == 0 {
		return q, may(q.Type)
	}
	q.each = slices.DeleteFunc(slices.Clone(q.each), func(one Query) bool { return !may(one.Type) })
	return q, len(q.each) > 0
}

// Within is whose compartment q is limited to; ok is false for a search without one.
func (q Query) Within() (focus fhir.Ref, ok bool) { return q.within, q.within != (fhir.Ref{}) }

// asks tells whether matches may be of that type.
func (q *Query) asks(typ string) bool {
	if q.Type != "" {
		return q.Type == typ
	}
	return slices.ContainsFunc(q.each, func(one Query) bool { return one.Type == typ })
}

// findEach gives the places of what q finds over several types, in q's order,
// ties by type and id.
func (c *core) findEach(q Query) []int32 {
	type row struct {
		place int32
		keys  []sortKey
	}
	var rows []row
	for i := range q.each {
		one := &q.each[i]
		t := c.types[one.Type]
		if t == nil {
			continue
		}
		for _, at := range c.narrow(t, *one).list(t) {
			r := row{place: t.base + at}
			for _, s := range one.sorts {
				r.keys = append(r.keys, s.param.sortKey(t.nodes[at], s.falling))
			}
			rows = append(rows, r)
		}
	}
	if len(q.each) > 0 && len(q.each[0].sorts) > 0 {
		sorts := q.each[0].sorts
		slices.SortStableFunc(rows, func(a, b row) int {
			for i, s := range sorts {
				if d := a.keys[i].before(&b.keys[i], s.falling); d != 0 {
					return d
				}
			}
			return cmp.Compare(a.place, b.place)
		})
	}
	places := make([]int32, len(rows))
	for i := range rows {
		places[i] = rows[i].place
	}
	return places
}

// before orders keys; what has none comes last either way.
func (a *sortKey) before(b *sortKey, falling bool) int {
	switch {
	case a.there != b.there:
		if a.there {
			return -1
		}
		return 1
	case falling:
		return b.cmp(a)
	}
	return a.cmp(b)
}
