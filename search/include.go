package search

import (
	"slices"
	"sync"

	"firebreak/fhir"
)

// Include gives what q's _include and _revinclude add to a page of matches:
// items of this index that are not on the page, each once, sorted by type, then
// id. Parameters with :iterate are followed from what was added too, until
// nothing new comes. What may is false for is neither added nor followed.
func (x *Index[T]) Include(q Query, page []T, may func(T) bool) []T {
	if len(q.includes)+len(q.revincludes) == 0 || len(page) == 0 {
		return nil
	}
	seen := make(map[int32]bool, len(page))
	var from, added []int32
	for _, item := range page {
		if place, ok := x.core.place[item.Resource().Ref()]; ok && !seen[place] {
			seen[place] = true
			from = append(from, place)
		}
	}
	for first := true; len(from) > 0; first = false {
		var next []int32
		add := func(place int32) {
			if !seen[place] {
				seen[place] = true
				if may(x.items[place]) {
					next = append(next, place)
				}
			}
		}
		for _, place := range from {
			for i := range q.includes {
				if in := &q.includes[i]; first || in.iterate {
					x.forward(in, place, add)
				}
			}
			for i := range q.revincludes {
				if in := &q.revincludes[i]; first || in.iterate {
					x.backward(in, place, add)
				}
			}
		}
		added = append(added, next...)
		from = next
	}
	slices.Sort(added)
	out := make([]T, len(added))
	for i, place := range added {
		out[i] = x.items[place]
	}
	return out
}

// forward adds what the item at place refers to.
func (x *Index[T]) forward(in *include, place int32, add func(int32)) {
	r := x.items[place].Resource()
	if in.source != "*" && in.source != r.Type() {
		return
	}
	var refs []fhir.Ref
	if in.param == nil {
		refs = r.References()
	} else {
		t := x.core.types[r.Type()]
		refs = t.column(in.param, useMatch).refs.of(place - t.base)
	}
	for _, ref := range refs {
		if in.target == "" || in.target == ref.Type {
			if to, ok := x.core.place[ref]; ok {
				add(to)
			}
		}
	}
}

// backward adds what refers to the item at place.
func (x *Index[T]) backward(in *include, place int32, add func(int32)) {
	ref := x.items[place].Resource().Ref()
	if in.target != "" && in.target != ref.Type {
		return
	}
	if in.param == nil {
		for _, from := range x.referrers()[ref] {
			if in.source == "*" || in.source == x.items[from].Resource().Type() {
				add(from)
			}
		}
		return
	}
	t := x.core.types[in.source]
	if t == nil {
		return
	}
	for _, row := range t.column(in.param, useMatch).refs.by.rows[ref] {
		add(t.base + row)
	}
}

// backlinks is who refers to what, for wildcards; made at the first need.
type backlinks struct {
	once sync.Once
	from map[fhir.Ref][]int32
}

func (x *Index[T]) referrers() map[fhir.Ref][]int32 {
	x.back.once.Do(func() {
		x.back.from = map[fhir.Ref][]int32{}
		for i, item := range x.items {
			for _, ref := range item.Resource().References() {
				x.back.from[ref] = append(x.back.from[ref], int32(i))
			}
		}
	})
	return x.back.from
}
