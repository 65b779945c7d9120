package fhir

import (
	"strconv"
	"strings"
)

// Pointer is where a value of r stands, as a JSON Pointer (RFC 6901); "" for r
// itself. ok is false for what is no value of r.
func (r Resource) Pointer(v Node) (pointer string, ok bool) {
	e := editor{r: r}
	if v.IsZero() || r.IsZero() {
		return "", false
	}
	from, to := e.offset(v), e.offset(v)+len(v.b)
	at := r.Root()
	holds := func(n Node) bool { return e.offset(n) <= from && to <= e.offset(n)+len(n.b) }
	for {
		if e.offset(at) == from && len(at.b) == len(v.b) {
			return pointer, true
		}
		next := Node{}
		switch at.Kind() {
		case '{':
			for name, n := range at.Members() {
				if holds(n) {
					next, pointer = n, pointer+"/"+escapePointer(name)
					break
				}
			}
		case '[':
			i := 0
			for n := range at.Slots() {
				if holds(n) {
					next, pointer = n, pointer+"/"+strconv.Itoa(i)
					break
				}
				i++
			}
		}
		if next.IsZero() {
			return "", false
		}
		at = next
	}
}

func escapePointer(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}
