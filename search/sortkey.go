package search

import (
	"cmp"
	"strings"

	"firebreak/fhir"
)

// sortKey is the value a row is sorted by: of several the least when rising,
// the greatest when falling.
type sortKey struct {
	there  bool
	text   string
	time   int64
	number decimal
}

func (a *sortKey) cmp(b *sortKey) int {
	return cmp.Or(cmp.Compare(a.time, b.time), a.number.cmp(b.number), strings.Compare(a.text, b.text))
}

func sortKeys(t *table, p *param, falling bool) []sortKey {
	keys := make([]sortKey, len(t.nodes))
	for i, n := range t.nodes {
		keys[i] = p.sortKey(n, falling)
	}
	return keys
}

// sortKey is what one resource is sorted by.
func (p *param) sortKey(n fhir.Node, falling bool) (best sortKey) {
	take := func(k sortKey) {
		k.there = true
		if c := k.cmp(&best); !best.there || falling && c > 0 || !falling && c < 0 {
			best = k
		}
	}
	for j := range p.paths {
		p.paths[j].each(n, func(v fhir.Node, l *leaf) { p.kind.sortKeys(v, l, take) })
	}
	return best
}

func (k kind) sortKeys(v fhir.Node, l *leaf, take func(sortKey)) {
	switch k {
	case kindToken:
		eachToken(v, l, func(_, code string) { take(sortKey{text: strings.ToLower(code)}) })
	case kindString:
		eachString(v, l, func(s string) { take(sortKey{text: Fold(s)}) })
	case kindURI:
		eachURI(v, l, func(s string) { take(sortKey{text: s}) })
	case kindDate:
		eachSpan(v, l, func(s span) {
			at := s.from
			if at == always {
				at = s.until
			}
			take(sortKey{time: at})
		})
	case kindReference:
		eachReference(v, l, func(ref fhir.Ref, url string) {
			if url == "" {
				url = ref.String()
			}
			take(sortKey{text: url})
		}, nil)
	case kindQuantity, kindNumber:
		eachAmount(v, l, func(a amount) {
			n := a.low
			if n == lowest {
				n = a.high
			}
			take(sortKey{number: n})
		})
	}
}
