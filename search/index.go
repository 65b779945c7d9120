package search

import (
	"cmp"
	"slices"

	"firebreak/fhir"
)

// Index is an immutable set of items, and what searches have computed of them:
// the first search by a parameter reads every resource of its type, the next
// ones only what that left. It is safe for many goroutines.
type Index[T Item] struct {
	items []T // sorted by type, then id
	core  core
	back  backlinks
}

// core is what an index knows of its resources.
type core struct {
	types map[string]*table
	place map[fhir.Ref]int32 // among all items
}

// NewIndex makes an index. Of items with the same type and id the first counts.
func NewIndex[T Item](items []T) *Index[T] {
	x := &Index[T]{core: core{types: map[string]*table{}, place: make(map[fhir.Ref]int32, len(items))}}
	type entry struct {
		ref  fhir.Ref
		item T
	}
	all := make([]entry, len(items))
	for i, item := range items {
		all[i] = entry{item.Resource().Ref(), item}
	}
	slices.SortStableFunc(all, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.ref.Type, b.ref.Type), cmp.Compare(a.ref.ID, b.ref.ID))
	})
	x.items = make([]T, 0, len(all))
	for _, e := range all {
		if _, twice := x.core.place[e.ref]; twice {
			continue
		}
		place := int32(len(x.items))
		x.core.place[e.ref] = place
		x.items = append(x.items, e.item)
		t := x.core.types[e.ref.Type]
		if t == nil {
			t = &table{typ: e.ref.Type, base: place}
			x.core.types[e.ref.Type] = t
		}
		t.ids = append(t.ids, e.ref.ID)
		t.nodes = append(t.nodes, e.item.Resource().Root())
	}
	return x
}

// Len is the number of items.
func (x *Index[T]) Len() int { return len(x.items) }

// All are the items, sorted by type, then id. The caller must not change them.
func (x *Index[T]) All() []T { return x.items }

// Of are the items of one type, sorted by id. The caller must not change them.
func (x *Index[T]) Of(typ string) []T {
	t := x.core.types[typ]
	if t == nil {
		return nil
	}
	return x.items[t.base : int(t.base)+len(t.nodes)]
}

// Get finds one resource.
func (x *Index[T]) Get(ref fhir.Ref) (T, bool) {
	if i, ok := x.core.place[ref]; ok {
		return x.items[i], true
	}
	var none T
	return none, false
}

// Result is what a search found, all of it: pages are cut by the caller.
type Result[T Item] struct {
	Matches  []T // in the order asked for; ties, and searches without order, by id
	Includes []T // of all Matches, sorted by type, then id; for one page see [Index.Include]
}

// Run gives what q finds. The order is total and depends on nothing but q and
// the resources.
func (x *Index[T]) Run(q Query) Result[T] {
	matches := x.Matches(q)
	return Result[T]{Matches: matches, Includes: x.Include(q, matches, func(T) bool { return true })}
}

// Matches gives what q finds without its includes.
func (x *Index[T]) Matches(q Query) []T {
	if len(q.each) > 0 {
		places := x.core.findEach(q)
		out := make([]T, len(places))
		for i, place := range places {
			out[i] = x.items[place]
		}
		return out
	}
	t := x.core.types[q.Type]
	if t == nil {
		return nil
	}
	found := x.core.find(t, q)
	out := make([]T, len(found))
	for i, row := range found {
		out[i] = x.items[t.base+row]
	}
	return out
}

// Page gives the matches from one place to before another, and how many there
// are in all. It copies no more than the page.
func (x *Index[T]) Page(q Query, from, to int) (page []T, total int) {
	if len(q.each) > 0 {
		all := x.Matches(q)
		from = min(max(from, 0), len(all))
		return all[from:min(max(to, from), len(all))], len(all)
	}
	t := x.core.types[q.Type]
	if t == nil {
		return nil, 0
	}
	found := x.core.find(t, q)
	total = len(found)
	from = min(max(from, 0), total)
	to = min(max(to, from), total)
	page = make([]T, 0, to-from)
	for _, row := range found[from:to] {
		page = append(page, x.items[t.base+row])
	}
	return page, total
}

// Count is the number of matches.
func (x *Index[T]) Count(q Query) int {
	if len(q.each) > 0 {
		return len(x.core.findEach(q))
	}
	t := x.core.types[q.Type]
	if t == nil {
		return 0
	}
	if q.latest.most > 0 {
		return len(x.core.find(t, q))
	}
	return x.core.narrow(t, q).count(t)
}

// find gives the rows that q finds, in q's order.
func (c *core) find(t *table, q Query) []int32 {
	in := c.narrow(t, q)
	if q.latest.most > 0 {
		return q.latest.keep(t, in.list(t))
	}
	if len(q.sorts) == 0 || in.count(t) < 2 {
		return in.list(t)
	}
	columns := make([]*column, len(q.sorts))
	for i, s := range q.sorts {
		u := useRising
		if s.falling {
			u = useFalling
		}
		columns[i] = t.column(s.param, u)
	}
	if len(columns) == 1 {
		return in.ordered(columns[0], t)
	}
	rows := slices.Clone(in.list(t))
	slices.SortFunc(rows, func(a, b int32) int {
		for _, c := range columns {
			if d := c.ranks[a] - c.ranks[b]; d != 0 {
				return int(d)
			}
		}
		return int(a - b)
	})
	return rows
}

func (c *core) narrow(t *table, q Query) set {
	in := set{all: true}
	for i := range q.filters {
		if in = c.apply(t, &q.filters[i], in); in.none() {
			break
		}
	}
	return in
}
