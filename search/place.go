package search

import (
	"cmp"
	"encoding/json"
	"sort"
	"strings"

	"firebreak/fhir"
)

// Place says where r stands in the order of q: a page that begins after it
// neither loses nor repeats anything, whatever came, went or changed meanwhile,
// r itself included. It holds what r is sorted by: not for logs.
func (q Query) Place(r fhir.Resource) string {
	ref := r.Ref().String()
	sorts := q.sortsOf(r.Type())
	if len(sorts) == 0 {
		return ref
	}
	keys := make([]writtenKey, len(sorts))
	for i, k := range keysOf(sorts, r) {
		keys[i] = writtenKey{k.there, k.text, k.time, k.number.sign, k.number.digits, k.number.exp}
	}
	b, _ := json.Marshal(keys) // of strings and numbers: it cannot fail
	return ref + " " + string(b)
}

// writtenKey is a sortKey as a place holds it.
type writtenKey struct {
	There  bool   `json:"p,omitempty"`
	Text   string `json:"s,omitempty"`
	Time   int64  `json:"t,omitempty"`
	Sign   int    `json:"n,omitempty"`
	Digits string `json:"d,omitempty"`
	Exp    int    `json:"e,omitempty"`
}

// After gives those of all that come after a place; all is in the order of q.
func After[T Item](q Query, all []T, place string) []T {
	head, tail, _ := strings.Cut(place, " ")
	ref, _ := fhir.ParseRef(head)
	var written []writtenKey
	_ = json.Unmarshal([]byte(tail), &written) // what is no place is before everything
	keys := make([]sortKey, len(written))
	for i, k := range written {
		keys[i] = sortKey{k.There, k.Text, k.Time, decimal{k.Sign, k.Digits, k.Exp}}
	}
	return all[sort.Search(len(all), func(i int) bool {
		r := all[i].Resource()
		sorts := q.sortsOf(r.Type())
		for j, k := range keysOf(sorts, r) {
			if j == len(keys) {
				break
			}
			if d := k.before(&keys[j], sorts[j].falling); d != 0 {
				return d > 0
			}
		}
		return cmp.Or(cmp.Compare(r.Type(), ref.Type), cmp.Compare(r.ID(), ref.ID)) > 0
	}):]
}

// sortsOf is how q sorts resources of a type.
func (q *Query) sortsOf(typ string) []sorting {
	for i := range q.each {
		if q.each[i].Type == typ {
			return q.each[i].sorts
		}
	}
	return q.sorts
}

func keysOf(sorts []sorting, r fhir.Resource) []sortKey {
	keys := make([]sortKey, len(sorts))
	for i, s := range sorts {
		keys[i] = s.param.sortKey(r.Root(), s.falling)
	}
	return keys
}
