package fhirapi_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"firebreak/fhir"
	"firebreak/internal/corpus"
)

// Every resource of the corpus leaves as it came: each literal, the order of
// members, primitive extensions; but for id, meta.versionId and
// meta.lastUpdated, and the references that a transaction resolves.
func TestTheCorpusLeavesAsItCame(t *testing.T) {
	t.Parallel()
	for name, all := range corpus.FHIR(t) {
		t.Run(strings.TrimSuffix(name, ".ndjson.gz"), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			n := 0
			for _, b := range all {
				res, err := fhir.Parse(b)
				must(t, err)
				if res.Type() == "Bundle" && res.Get("type").Is("transaction") {
					n += w.transaction(t, name, res)
					continue
				}
				got := w.do(post(w.backend(), "/"+res.Type(), string(b)))
				if got.Code != http.StatusCreated {
					t.Errorf("%s: %d %.300s", res.Ref(), got.Code, got.body)
					continue
				}
				unchanged(t, name+" "+res.Ref().String(), res, got.resource(t), nil)
				read := w.get(w.backend(), got.Header().Get("Location")).want(t, 200)
				if !bytes.Equal(read.body, got.body) {
					t.Errorf("%s: what is read is not what was answered", res.Ref())
				}
				n++
			}
			t.Logf("%d resources", n)
		})
	}
}

// transaction pushes a Bundle and compares every entry with what it became.
func (w *world) transaction(t *testing.T, name string, b fhir.Resource) int {
	got := w.do(post(w.backend(), "", string(b.JSON())))
	if got.Code != 200 {
		t.Errorf("%s: %d %.300s", name, got.Code, got.body)
		return 0
	}
	locations := texts(got.resource(t), "entry.response.location")
	sent := slices.Collect(b.All("entry"))
	if len(locations) != len(sent) {
		t.Fatalf("%s: %d entries, %d answers", name, len(sent), len(locations))
	}
	became := map[string]string{} // fullUrl to new reference
	types := map[string]map[string]bool{}
	for i, e := range sent {
		ref, _, _ := strings.Cut(locations[i], "/_history/")
		became[e.Get("fullUrl").Text()] = ref
		typ, id, _ := strings.Cut(ref, "/")
		if types[typ] == nil {
			types[typ] = map[string]bool{}
		}
		types[typ][id] = true
	}
	// By search, a few hundred at a time: bytes in a Bundle are those of a read.
	stored := map[string]fhir.Resource{}
	for typ, ids := range types {
		all := make([]string, 0, len(ids))
		for id := range ids {
			all = append(all, id)
		}
		if slices.Contains([]string{"SearchParameter", "StructureDefinition", "OperationDefinition", "ValueSet", "CodeSystem"}, typ) { // a search for those finds the server's own
			for _, id := range all {
				r := w.get(w.backend(), "/"+typ+"/"+id).want(t, 200).resource(t)
				stored[r.Ref().String()] = r
			}
			continue
		}
		for chunk := range slices.Chunk(all, 200) {
			page := w.do(post(w.backend(), "/"+typ+"/_search", "_count=500&_id="+strings.Join(chunk, ","), "Content-Type: application/x-www-form-urlencoded")).want(t, 200)
			for e := range page.resource(t).All("entry.resource") {
				r, err := fhir.Parse(e.Raw())
				must(t, err)
				stored[r.Ref().String()] = r
			}
		}
	}
	for i, e := range sent {
		ref, _, _ := strings.Cut(locations[i], "/_history/")
		before, err := fhir.Parse(e.Get("resource").Raw())
		must(t, err)
		after, ok := stored[ref]
		if !ok {
			t.Errorf("%s: entry %d is not found", name, i)
			continue
		}
		unchanged(t, fmt.Sprintf("%s entry %d (%s)", name, i, ref), before, after, became)
	}
	return len(sent)
}

// unchanged compares two resources token by token.
func unchanged(t *testing.T, name string, before, after fhir.Resource, became map[string]string) {
	t.Helper()
	if became != nil {
		var err error
		before, err = before.RewriteReferences(func(s string) string {
			if now := became[s]; now != "" {
				return now
			}
			return s
		})
		must(t, err)
	}
	plain := func(r fhir.Resource) []byte {
		r, err := r.Without("id", "meta.versionId", "meta.lastUpdated")
		must(t, err)
		v := jsontext.Value(slices.Clone(r.JSON()))
		must(t, v.Compact())
		return v
	}
	if a, b := plain(before), plain(after); !bytes.Equal(a, b) {
		i := 0
		for i < min(len(a), len(b)) && a[i] == b[i] {
			i++
		}
		t.Errorf("%s changed at %d:\n%.120s\n%.120s", name, i, a[max(0, i-40):], b[max(0, i-40):])
	}
}
