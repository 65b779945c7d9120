package search

import (
	"slices"
	"strings"
	"sync"

	"firebreak/fhir"
)

// table is the resources of one type, sorted by id, with columns of what
// searches have asked of them. For the parts of composites it is the objects
// that the composite's expression leads to.
type table struct {
	typ   string
	base  int32    // place of the first row among all items
	ids   []string // of resources; nil for a composite's table
	nodes []fhir.Node
	owner []int32 // for a composite's table: row of the resource; nil otherwise

	mu      sync.Mutex
	columns map[columnKey]*column
}

// columnKey names a column: of a parameter, for what use.
type columnKey struct {
	param *param
	use   use
}

type use byte

const (
	useMatch   use = iota // comparing values
	useText               // :text
	useTyped              // :of-type
	useRising             // sorting
	useFalling            //
	useParts              // a composite's table
)

// column is computed once, by the first who needs it.
type column struct {
	once sync.Once

	present bits
	tokens  *postings[Token] // token: by system and code, by either; reference: identifiers
	refs    *references
	uris    *postings[string]
	starts  []int32 // row i has values [starts[i], starts[i+1])
	texts   []string
	raw     []string
	spans   []span
	amounts []amount
	points  []point
	ranks   []int32 // by row
	order   []int32 // rows in the order of their ranks, ties by row
	parts   *table
}

// postings are rows by key, rising and without doubles.
type postings[K comparable] struct{ rows map[K][]int32 }

func newPostings[K comparable]() *postings[K] { return &postings[K]{map[K][]int32{}} }

func (p *postings[K]) add(k K, row int32) {
	list := p.rows[k]
	if n := len(list); n > 0 && list[n-1] == row {
		return
	}
	p.rows[k] = append(list, row)
}

// references are a reference column's values by row, and rows by value.
type references struct {
	starts []int32
	list   []fhir.Ref
	by     postings[fhir.Ref]
	byID   postings[string]
	byURL  postings[string]
}

func (r *references) of(row int32) []fhir.Ref { return r.list[r.starts[row]:r.starts[row+1]] }

type bits []uint64

func (b bits) set(i int32)      { b[i>>6] |= 1 << (i & 63) }
func (b bits) has(i int32) bool { return b[i>>6]&(1<<(i&63)) != 0 }

func (t *table) column(p *param, u use) *column {
	key := columnKey{p, u}
	t.mu.Lock()
	c := t.columns[key]
	if c == nil {
		if t.columns == nil {
			t.columns = map[columnKey]*column{}
		}
		c = &column{}
		t.columns[key] = c
	}
	t.mu.Unlock()
	c.once.Do(func() { c.compute(t, p, u) })
	return c
}

func (c *column) compute(t *table, p *param, u use) {
	switch u {
	case useRising, useFalling:
		c.ranks, c.order = ranks(t, p, u == useFalling)
		return
	case useParts:
		c.parts = partsOf(t, p)
		return
	}
	c.present = make(bits, len(t.nodes)/64+1)
	c.starts = make([]int32, 1, len(t.nodes)+1)
	emit := c.emitter(p, u)
	for i, n := range t.nodes {
		row := int32(i)
		for j := range p.paths {
			p.paths[j].each(n, func(v fhir.Node, l *leaf) { emit(row, v, l) })
		}
		switch {
		case c.refs != nil:
			c.refs.starts = append(c.refs.starts, int32(len(c.refs.list)))
		case c.tokens == nil && c.uris == nil:
			c.starts = append(c.starts, int32(len(c.texts)+len(c.spans)+len(c.amounts)+len(c.points)))
		}
	}
}

// emitter gives the function that takes one value of the parameter in.
func (c *column) emitter(p *param, u use) func(row int32, v fhir.Node, l *leaf) {
	if u == useText {
		return func(row int32, v fhir.Node, l *leaf) {
			eachText(v, l, func(s string) {
				c.texts = append(c.texts, s)
				c.present.set(row)
			})
		}
	}
	if u == useTyped {
		c.tokens = newPostings[Token]()
		return func(row int32, v fhir.Node, l *leaf) {
			if value := v.Get("value").Text(); l.typ == "Identifier" && value != "" {
				for t := range v.Get("type").Get("coding").Items() {
					c.tokens.add(typed(t.Get("system").Text(), t.Get("code").Text(), value).key(), row)
				}
			}
		}
	}
	if p.sounds {
		return func(row int32, v fhir.Node, l *leaf) {
			eachString(v, l, func(string) { c.present.set(row) })
			eachSound(v, l, func(s string) { c.texts = append(c.texts, s) })
		}
	}
	switch p.kind {
	case kindSpecial:
		return func(row int32, v fhir.Node, _ *leaf) {
			c.present.set(row)
			if at, ok := positionOf(v); ok {
				c.points = append(c.points, at)
			}
		}
	case kindToken:
		c.tokens = newPostings[Token]()
		return func(row int32, v fhir.Node, l *leaf) {
			eachToken(v, l, func(system, code string) { c.token(row, system, code) })
		}
	case kindReference:
		c.refs = &references{starts: []int32{0}, by: *newPostings[fhir.Ref](), byID: *newPostings[string](), byURL: *newPostings[string]()}
		c.tokens = newPostings[Token]()
		return func(row int32, v fhir.Node, l *leaf) {
			c.present.set(row)
			eachReference(v, l, func(ref fhir.Ref, url string) {
				if url != "" {
					c.refs.byURL.add(url, row)
					if bare, _, ok := strings.Cut(url, "|"); ok && l.typ == "canonical" {
						c.refs.byURL.add(bare, row)
					}
					return
				}
				c.refs.list = append(c.refs.list, ref)
				c.refs.by.add(ref, row)
				c.refs.byID.add(ref.ID, row)
			}, func(system, value string) { c.token(row, system, value) })
		}
	case kindURI:
		c.uris = newPostings[string]()
		return func(row int32, v fhir.Node, l *leaf) {
			eachURI(v, l, func(s string) {
				c.uris.add(s, row)
				c.present.set(row)
			})
		}
	case kindString:
		return func(row int32, v fhir.Node, l *leaf) {
			eachString(v, l, func(s string) {
				c.texts = append(c.texts, Fold(s))
				c.raw = append(c.raw, s)
				c.present.set(row)
			})
		}
	case kindDate:
		return func(row int32, v fhir.Node, l *leaf) {
			eachSpan(v, l, func(s span) {
				c.spans = append(c.spans, s)
				c.present.set(row)
			})
		}
	case kindQuantity, kindNumber:
		return func(row int32, v fhir.Node, l *leaf) {
			eachAmount(v, l, func(a amount) {
				c.amounts = append(c.amounts, a)
				c.present.set(row)
			})
		}
	}
	return func(row int32, _ fhir.Node, _ *leaf) { c.present.set(row) } // composite: that there is something
}

// token files a row under its system and code, its code alone and its system
// alone. Codes are compared without case: R4 leaves it to the code system, and
// asks servers in doubt not to distinguish.
func (c *column) token(row int32, system, code string) {
	code = strings.ToLower(code)
	c.present.set(row)
	if code != "" {
		c.tokens.add(Token{System: system, Code: code}, row)
		c.tokens.add(Token{Code: code, AnySystem: true}, row)
	}
	c.tokens.add(Token{System: system, AnyCode: true}, row)
}

// typed is how an identifier is filed under a type of its own, for :of-type.
func typed(system, code, value string) Token {
	return Token{System: system + "\x00" + strings.ToLower(code), Code: value}
}

// partsOf is the table of objects that a composite's parts are read from.
func partsOf(t *table, p *param) *table {
	parts := &table{typ: t.typ}
	for i, n := range t.nodes {
		for j := range p.paths {
			p.paths[j].each(n, func(v fhir.Node, _ *leaf) {
				parts.nodes = append(parts.nodes, v)
				parts.owner = append(parts.owner, int32(i))
			})
		}
	}
	return parts
}

// ranks gives each row its place in an order, equal values the same place,
// rows without a value the last one in either direction; and the rows in order.
func ranks(t *table, p *param, falling bool) (ranks, order []int32) {
	keys := sortKeys(t, p, falling)
	order = make([]int32, 0, len(keys))
	for i := range keys {
		if keys[i].there {
			order = append(order, int32(i))
		}
	}
	compare := func(a, b int32) int {
		c := keys[a].cmp(&keys[b])
		if falling {
			c = -c
		}
		return c
	}
	slices.SortStableFunc(order, compare)
	ranks = make([]int32, len(keys))
	for i := range ranks {
		ranks[i] = int32(len(keys))
	}
	rank := int32(0)
	for i, row := range order {
		if i > 0 && compare(order[i-1], row) != 0 {
			rank = int32(i)
		}
		ranks[row] = rank
	}
	for i := range keys {
		if !keys[i].there {
			order = append(order, int32(i))
		}
	}
	return ranks, order
}
