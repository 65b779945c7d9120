package search

import (
	"cmp"
	"slices"
	"sort"
)

// set is some rows of a table: all of them, or a rising list. Lists are shared
// with columns and never changed.
type set struct {
	all  bool
	rows []int32
}

func (s set) none() bool { return !s.all && len(s.rows) == 0 }

func (s set) count(t *table) int {
	if s.all {
		return len(t.nodes)
	}
	return len(s.rows)
}

func (s set) list(t *table) []int32 {
	if !s.all {
		return s.rows
	}
	rows := make([]int32, len(t.nodes))
	for i := range rows {
		rows[i] = int32(i)
	}
	return rows
}

// and keeps the rows that are in both.
func (s set) and(rows []int32, t *table) set {
	if s.all || len(s.rows) == 0 {
		if len(rows) == len(t.nodes) {
			return s
		}
		if s.all {
			return set{rows: rows}
		}
		return s
	}
	if len(rows) == len(t.nodes) {
		return s
	}
	few, many := s.rows, rows
	if len(few) > len(many) {
		few, many = many, few
	}
	out := make([]int32, 0, len(few))
	if len(many) > 16*len(few) {
		for _, row := range few {
			i := sort.Search(len(many), func(i int) bool { return many[i] >= row })
			if i < len(many) && many[i] == row {
				out = append(out, row)
			}
			many = many[i:]
		}
		return set{rows: out}
	}
	for i, j := 0, 0; i < len(few) && j < len(many); {
		switch {
		case few[i] < many[j]:
			i++
		case few[i] > many[j]:
			j++
		default:
			out = append(out, few[i])
			i++
			j++
		}
	}
	return set{rows: out}
}

// without removes rows.
func (s set) without(rows []int32, t *table) set {
	if len(rows) == 0 {
		return s
	}
	from := s.list(t)
	out := make([]int32, 0, len(from))
	j := 0
	for _, row := range from {
		for j < len(rows) && rows[j] < row {
			j++
		}
		if j == len(rows) || rows[j] != row {
			out = append(out, row)
		}
	}
	return set{rows: out}
}

// where keeps the rows that pass a test.
func (s set) where(t *table, test func(row int32) bool) set {
	if !s.all {
		out := make([]int32, 0, len(s.rows))
		for _, row := range s.rows {
			if test(row) {
				out = append(out, row)
			}
		}
		return set{rows: out}
	}
	out := []int32{}
	for i := range t.nodes {
		if test(int32(i)) {
			out = append(out, int32(i))
		}
	}
	if len(out) == len(t.nodes) {
		return s
	}
	return set{rows: out}
}

// ordered gives the rows in a column's order: few are sorted, of many the
// column's own order is read.
func (s set) ordered(c *column, t *table) []int32 {
	if s.all {
		return c.order
	}
	if len(s.rows) < len(t.nodes)/16 {
		rows := slices.Clone(s.rows)
		slices.SortFunc(rows, func(a, b int32) int {
			return cmp.Or(int(c.ranks[a]-c.ranks[b]), int(a-b))
		})
		return rows
	}
	member := make(bits, len(t.nodes)/64+1)
	for _, row := range s.rows {
		member.set(row)
	}
	rows := make([]int32, 0, len(s.rows))
	for _, row := range c.order {
		if member.has(row) {
			rows = append(rows, row)
		}
	}
	return rows
}

// union joins rising lists.
func union(lists [][]int32) []int32 {
	switch len(lists) {
	case 0:
		return nil
	case 1:
		return lists[0]
	}
	out := slices.Concat(lists...)
	slices.Sort(out)
	return slices.Compact(out)
}
