package search

import (
	"maps"
	"slices"
)

// Reaching is q for somebody who may search some types only. A chain, _has or
// _list looks into resources of other types, and what it finds tells of them:
// beyond is a type that would have to be looked into and may not be, empty when
// there is none. A chain that leads to several types follows those that may be
// searched; it goes beyond reach when none is left.
func (q Query) Reaching(may func(typ string) bool) (_ Query, beyond string) {
	if q.filters, beyond = reaching(q.filters, may); beyond != "" {
		return q, beyond
	}
	q.each = slices.Clone(q.each)
	for i := range q.each {
		if q.each[i], beyond = q.each[i].Reaching(may); beyond != "" {
			return q, beyond
		}
	}
	return q, ""
}

func reaching(all []filter, may func(string) bool) (_ []filter, beyond string) {
	if !slices.ContainsFunc(all, func(f filter) bool { return f.chain != nil || f.has != nil || f.either != nil }) {
		return all, ""
	}
	all = slices.Clone(all)
	for i := range all {
		if all[i], beyond = all[i].reaching(may); beyond != "" {
			return nil, beyond
		}
	}
	return all, ""
}

func (f filter) reaching(may func(string) bool) (_ filter, beyond string) {
	if f.either, beyond = reaching(f.either, may); beyond != "" {
		return f, beyond
	}
	if f.has != nil {
		has := *f.has
		if !may(has.typ) {
			return f, has.typ
		}
		if has.then, beyond = has.then.reaching(may); beyond != "" {
			return f, beyond
		}
		f.has = &has
	}
	if f.chain == nil {
		return f, ""
	}
	chain, first := map[string]filter{}, ""
	for _, typ := range slices.Sorted(maps.Keys(f.chain)) {
		sub, beyond := f.chain[typ].reaching(may)
		if !may(typ) {
			beyond = typ
		}
		if beyond == "" {
			chain[typ] = sub
		} else if first == "" {
			first = beyond
		}
	}
	if len(chain) == 0 {
		return f, first
	}
	f.chain = chain
	return f, ""
}
