package search

import (
	"slices"

	"firebreak/fhir"
)

// Following is q with each reference that it searches for replaced by what now
// gives for it: a record that was merged into another is found under the other.
// What q says of itself (Values, Key) stays as asked.
func (q Query) Following(now func(fhir.Ref) fhir.Ref) Query {
	q.filters = slices.Clone(q.filters)
	for i := range q.filters {
		q.filters[i] = q.filters[i].following(now)
	}
	q.each = slices.Clone(q.each)
	for i := range q.each {
		q.each[i] = q.each[i].Following(now)
	}
	return q
}

func (f filter) following(now func(fhir.Ref) fhir.Ref) filter {
	f.values = slices.Clone(f.values)
	for i := range f.values {
		f.values[i] = f.values[i].following(now)
	}
	f.either = slices.Clone(f.either)
	for i := range f.either {
		f.either[i] = f.either[i].following(now)
	}
	if f.chain != nil {
		chain := make(map[string]filter, len(f.chain))
		for typ, sub := range f.chain {
			chain[typ] = sub.following(now)
		}
		f.chain = chain
	}
	if f.has != nil {
		has := *f.has
		has.then = has.then.following(now)
		f.has = &has
	}
	return f
}

func (v value) following(now func(fhir.Ref) fhir.Ref) value {
	if v.ref.id != "" {
		old := fhir.Ref{Type: v.ref.typ, ID: v.ref.id}
		if old.Type == "" { // of any type: only records of patients are merged
			old.Type = "Patient"
		}
		if ref := now(old); ref != old {
			v.ref = reference{typ: ref.Type, id: ref.ID}
		}
	}
	if len(v.parts) > 0 {
		v.parts = slices.Clone(v.parts)
		for i := range v.parts {
			v.parts[i] = v.parts[i].following(now)
		}
	}
	return v
}
