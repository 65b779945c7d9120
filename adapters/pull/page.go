package pull

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"firebreak/fhir"
)

// page is what one answer of a search or a history holds of one type.
type page struct {
	total int // -1: not said
	next  string
	all   []found
}

// found is one entry.
type found struct {
	id   string
	at   time.Time     // meta.lastUpdated, or when it was deleted; zero: not said
	res  fhir.Resource // zero: deleted
	part bool          // the server says that res is a part of the resource only
	raw  []byte        // instead of all that: what cannot be taken for a resource
}

var errPage = errors.New("pull: the server's answer is no Bundle of resources")

// readPage reads a Bundle. Entries of other types (includes, outcomes) are left
// out.
func readPage(r fhir.Resource, typ string) (page, error) {
	p := page{total: -1}
	if r.Type() != "Bundle" {
		return p, errPage
	}
	if n, err := strconv.Atoi(string(r.Get("total").Raw())); err == nil {
		p.total = n
	}
	for l := range r.All("link") {
		if l.Get("relation").Is("next") {
			p.next = l.Get("url").Text()
		}
	}
	for e := range r.All("entry") {
		if m := e.At("search.mode"); m.Is("outcome") || m.Is("include") {
			continue
		}
		if e.At("request.method").Is("DELETE") {
			f := found{id: deletedID(e, typ), at: instant(e.At("response.lastModified").Text())}
			if f.id != "" {
				p.all = append(p.all, f)
			}
			continue
		}
		if e.Get("resource").IsZero() {
			return p, errPage
		}
		if f, other := readFound(e.Get("resource").Raw(), typ); !other {
			p.all = append(p.all, f)
		}
	}
	return p, nil
}

// readFound reads a resource; other: it is of another type.
func readFound(b []byte, typ string) (f found, other bool) {
	res, err := fhir.Parse(b)
	switch {
	case err == nil && res.Type() != typ:
		return f, true
	case err != nil || !fhir.ValidID(res.ID()):
		return found{raw: b}, false
	}
	f = found{id: res.ID(), at: instant(res.Root().At("meta.lastUpdated").Text()), res: res}
	for tag := range res.All("meta.tag") {
		f.part = f.part || tag.Get("code").Is("SUBSETTED")
	}
	return f, false
}

// deletedID is the id in the address of a deletion, "Patient/1" or
// "https://ehr.example.org/fhir/Patient/1".
func deletedID(e fhir.Node, typ string) string {
	for _, s := range []string{e.At("request.url").Text(), e.Get("fullUrl").Text()} {
		s, _, _ = strings.Cut(s, "/_history")
		parts := strings.Split(s, "/")
		if n := len(parts); n > 1 && parts[n-2] == typ && fhir.ValidID(parts[n-1]) {
			return parts[n-1]
		}
	}
	return ""
}

// instant reads an instant; zero when it is none.
func instant(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}
