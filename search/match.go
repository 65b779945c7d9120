package search

import (
	"slices"
	"strings"

	"firebreak/fhir"
)

// apply keeps the rows of in for which f holds.
func (c *core) apply(t *table, f *filter, in set) set {
	switch {
	case f.either != nil:
		lists := make([][]int32, len(f.either))
		for i := range f.either {
			lists[i] = c.apply(t, &f.either[i], set{all: true}).list(t)
		}
		return in.and(union(lists), t)
	case f.has != nil:
		return in.and(c.referredTo(t, f.has), t)
	case f.chain != nil:
		return in.and(c.leadingTo(t, f), t)
	case f.missing != 0:
		present := t.column(f.param, useMatch).present
		return in.where(t, func(row int32) bool { return present.has(row) == (f.missing < 0) })
	case f.modifier == "" && f.param.code == "_id" && t.owner == nil:
		return in.and(c.byID(t, f), t)
	}
	return t.apply(f, in)
}

// byID finds rows by _id, ids being compared exactly.
func (c *core) byID(t *table, f *filter) []int32 {
	var rows []int32
	for _, v := range f.values {
		if v.token.System != "" || v.token.AnyCode {
			continue
		}
		if place, ok := c.place[fhir.Ref{Type: t.typ, ID: v.token.Code}]; ok {
			rows = append(rows, place-t.base)
		}
	}
	slices.Sort(rows)
	return slices.Compact(rows)
}

// apply is core.apply for filters that need no other table.
func (t *table) apply(f *filter, in set) set {
	p := f.param
	if p.words != nil {
		return in.where(t, func(row int32) bool {
			words := p.words(t.nodes[row])
			return f.any(func(v *value) bool { return v.words.holds(words) })
		})
	}
	if f.modifier == "of-type" {
		col := t.column(p, useTyped)
		return in.and(f.union(func(v *value) []int32 { return col.tokens.rows[v.token.key()] }), t)
	}
	if f.modifier == "text" {
		texts := t.column(p, useText)
		return in.where(t, func(row int32) bool {
			return texts.anyText(row, func(_ int, have string) bool {
				return f.any(func(v *value) bool { return strings.HasPrefix(have, v.text) })
			})
		})
	}
	if p.kind == kindComposite {
		return in.and(t.composite(f), t)
	}
	col := t.column(p, useMatch)
	if p.sounds {
		return in.where(t, func(row int32) bool {
			return f.any(func(v *value) bool {
				return !slices.ContainsFunc(v.sounds, func(word string) bool {
					return !col.anyText(row, func(_ int, have string) bool { return have == word })
				})
			})
		})
	}
	switch p.kind {
	case kindSpecial:
		return in.where(t, func(row int32) bool {
			return slices.ContainsFunc(col.points[col.starts[row]:col.starts[row+1]], func(at point) bool {
				return f.any(func(v *value) bool { return v.around.holds(at) })
			})
		})
	case kindToken:
		rows := f.union(func(v *value) []int32 {
			if v.sets != nil {
				return col.ofSets(v.sets)
			}
			return col.tokens.rows[v.token.key()]
		})
		if f.modifier == "not" || f.modifier == "not-in" {
			return in.without(rows, t)
		}
		return in.and(rows, t)
	case kindReference:
		return in.and(f.union(func(v *value) []int32 { return col.reference(f, v) }), t)
	case kindURI:
		return in.and(f.union(func(v *value) []int32 { return col.uri(f.modifier, v.text) }), t)
	case kindString:
		return in.where(t, func(row int32) bool {
			return col.anyText(row, func(i int, have string) bool {
				return f.any(func(v *value) bool {
					switch f.modifier {
					case "exact":
						return col.raw[i] == v.text
					case "contains":
						return strings.Contains(have, v.text)
					}
					return strings.HasPrefix(have, v.text)
				})
			})
		})
	case kindDate:
		return in.where(t, func(row int32) bool {
			for _, have := range col.spans[col.starts[row]:col.starts[row+1]] {
				if f.any(func(v *value) bool { return have.matches(v.prefix, v.span) }) {
					return true
				}
			}
			return false
		})
	case kindQuantity, kindNumber:
		return in.where(t, func(row int32) bool {
			list := col.amounts[col.starts[row]:col.starts[row+1]]
			for i := range list {
				have := &list[i]
				if f.any(func(v *value) bool {
					return (p.kind == kindNumber || have.fits(v.token)) && have.matches(v.prefix, v.number)
				}) {
					return true
				}
			}
			return false
		})
	}
	return set{}
}

func (f *filter) any(test func(*value) bool) bool {
	for i := range f.values {
		if test(&f.values[i]) {
			return true
		}
	}
	return false
}

func (f *filter) union(rows func(*value) []int32) []int32 {
	if len(f.values) == 1 {
		return rows(&f.values[0])
	}
	lists := make([][]int32, 0, len(f.values))
	for i := range f.values {
		lists = append(lists, rows(&f.values[i]))
	}
	return union(lists)
}

// key is how the token is filed, see column.token.
func (t Token) key() Token {
	t.Code = strings.ToLower(t.Code)
	return t
}

func (c *column) anyText(row int32, test func(i int, have string) bool) bool {
	for i := c.starts[row]; i < c.starts[row+1]; i++ {
		if test(int(i), c.texts[i]) {
			return true
		}
	}
	return false
}

// uri gives the rows with an address, or with one above or below it: a path of
// which it is a part, at a slash.
func (c *column) uri(modifier, want string) []int32 {
	if modifier == "" {
		return c.uris.rows[want]
	}
	var lists [][]int32
	for have, rows := range c.uris.rows {
		if modifier == "below" && under(have, want) || modifier == "above" && under(want, have) {
			lists = append(lists, rows)
		}
	}
	return union(lists)
}

func under(one, other string) bool {
	other = strings.TrimSuffix(other, "/")
	rest, ok := strings.CutPrefix(one, other)
	return ok && (rest == "" || rest[0] == '/')
}

func (c *column) reference(f *filter, v *value) []int32 {
	if f.modifier == "identifier" {
		return c.tokens.rows[v.token.key()]
	}
	typ := v.ref.typ
	switch {
	case f.typ != "" && typ != "" && typ != f.typ:
		return nil
	case typ != "":
		return c.refs.by.rows[fhir.Ref{Type: typ, ID: v.ref.id}]
	case v.ref.id != "": // any type; or an address that looks like an id
		return union([][]int32{c.refs.byID.rows[v.ref.id], c.refs.byURL.rows[v.ref.url]})
	}
	return c.refs.byURL.rows[v.ref.url]
}

// composite gives the rows that have one object for which all parts hold.
func (t *table) composite(f *filter) []int32 {
	parts := t.column(f.param, useParts).parts
	return f.union(func(v *value) []int32 {
		in := set{all: true}
		for i, part := range f.param.parts {
			one := filter{param: part, values: v.parts[i : i+1]}
			if in = parts.apply(&one, in); in.none() {
				return nil
			}
		}
		rows := make([]int32, 0, in.count(parts))
		for _, i := range in.list(parts) {
			rows = append(rows, parts.owner[i])
		}
		return slices.Compact(rows)
	})
}

// leadingTo gives the rows whose reference leads to a resource of this index
// for which the rest of the chain holds.
func (c *core) leadingTo(t *table, f *filter) []int32 {
	refs := t.column(f.param, useMatch).refs
	var lists [][]int32
	for typ, then := range f.chain {
		target := c.types[typ]
		if target == nil {
			continue
		}
		for _, row := range c.apply(target, &then, set{all: true}).list(target) {
			if rows := refs.by.rows[fhir.Ref{Type: typ, ID: target.ids[row]}]; rows != nil {
				lists = append(lists, rows)
			}
		}
	}
	return union(lists)
}

// referredTo gives the rows that a resource refers to for which h.then holds.
func (c *core) referredTo(t *table, h *has) []int32 {
	source := c.types[h.typ]
	if source == nil {
		return nil
	}
	refs := source.column(h.ref, useMatch).refs
	var rows []int32
	for _, row := range c.apply(source, &h.then, set{all: true}).list(source) {
		for _, ref := range refs.of(row) {
			if ref.Type == t.typ {
				if place, ok := c.place[ref]; ok {
					rows = append(rows, place-t.base)
				}
			}
		}
	}
	slices.Sort(rows)
	return slices.Compact(rows)
}
