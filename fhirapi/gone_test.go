package fhirapi_test

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// What a source sent and deleted it is told to be deleted, with its history; to everyone
// else, to it under another's id, and of what another deleted, there is nothing.
func TestGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ehr := w.backend()
	w.put(ehr, patientX)
	sodium := func(id, value string) string {
		return `{"resourceType":"Observation","id":"` + id + `","status":"final","code":{"text":"Sodium"},"subject":{"reference":"Patient/x"},"valueString":"` + value + `"}`
	}
	binary := `{"resourceType":"Binary","id":"b","contentType":"text/plain","data":"eA=="}`
	w.put(ehr, sodium("stays", "140"))
	others := map[string]string{
		"physician": w.physician(), "reader": reader(t), "another source": client(t, "portal", "system/*.cruds"),
		"app": person(t, "physician", "patient/*.rs", "x"), "granular": client(t, "ehr", "system/Observation.rs?status=final"),
	}
	paths := []string{"/Observation/o", "/Observation/o/_history", "/Observation/_history?_count=100", "/_history?_count=100", "/Observation?patient=x", "/Binary/b", "/Patient/x/$everything"}
	before := map[string][]byte{}
	see := func(token, path string) []byte {
		got := w.get(token, path)
		return append([]byte(http.StatusText(got.Code)), got.body...)
	}
	for name, token := range others {
		for _, path := range paths {
			before[name+path] = see(token, path)
		}
	}
	w.put(ehr, binary)
	first := w.do(put(ehr, "/Observation/o", sodium("o", "140"))).want(t, 201).Header().Get("Etag")
	w.later(time.Second)
	w.do(put(ehr, "/Observation/o", sodium("o", "141"))).want(t, 200)
	w.later(time.Second)
	w.do(remove(ehr, "/Observation/o")).want(t, 204)
	w.do(remove(ehr, "/Binary/b")).want(t, 204)

	for _, path := range []string{"/Observation/o", "/Binary/b", "/Observation/o?_summary=true"} {
		for _, method := range []string{"GET", "HEAD"} {
			got := w.do(ask{method: method, path: path, token: ehr}).want(t, 410)
			if method == "GET" && got.resource(t).Root().At("issue.code").Text() != "deleted" {
				t.Errorf("%s: %s", path, got.body)
			}
		}
	}
	w.do(ask{method: "GET", path: "/Binary/b", token: ehr, headers: []string{"Accept: text/plain"}}).want(t, 410)
	methods := func(token, path string) (all []string, etag string) {
		r := w.get(token, path).want(t, 200).resource(t)
		for e := range r.All("entry") {
			if e.At("request.url").Text() == "Observation/o" || strings.HasSuffix(e.Get("fullUrl").Text(), "/Observation/o") {
				all = append(all, e.At("request.method").Text())
				if e.At("request.method").Is("DELETE") {
					if etag = e.At("response.etag").Text(); !e.Get("resource").IsZero() || !e.At("response.status").Is("204") {
						t.Errorf("%s: %s", path, e.Raw())
					}
				}
			}
		}
		return all, etag
	}
	etag := ""
	for _, path := range []string{"/Observation/o/_history", "/Observation/_history?_count=100", "/_history?_count=100"} {
		got, tag := methods(ehr, path)
		if !slices.Equal(got, []string{"DELETE", "PUT", "POST"}) || tag == "" || etag != "" && tag != etag {
			t.Errorf("%s: %v, %s", path, got, tag)
		}
		etag = tag
	}
	version := func(tag string) string { return strings.Trim(tag, `W/"`) }
	w.get(ehr, "/Observation/o/_history/"+version(etag)).want(t, 410)
	if got := w.get(ehr, "/Observation/o/_history/"+version(first)).want(t, 200); !bytes.Contains(got.body, []byte("140")) {
		t.Errorf("the version before: %s", got.body)
	}
	if got := w.get(ehr, "/Observation?patient=x").total(t); got != "1" {
		t.Errorf("a search finds %s", got)
	}
	if got, _ := methods(ehr, "/Observation/o/_history?_count=1"); !slices.Equal(got, []string{"DELETE"}) {
		t.Errorf("a page of one has %v", got)
	}

	w.get(ehr, "/Observation/never").want(t, 404)
	for name, token := range others {
		for _, path := range append(paths, "/Observation/o/_history/"+version(etag), "/Observation/o/_history/"+version(first)) {
			want := before[name+path]
			if want == nil {
				want = see(token, "/Observation/never/_history/"+version(etag))
			}
			if name == "granular" && strings.Contains(path, "/Observation/o/_history/") {
				want = see(token, "/Observation/o")
			}
			if got := see(token, path); !bytes.Equal(got, want) {
				t.Errorf("%s sees at %s\n%s\nas if it had never been\n%s", name, path, got, want)
			}
		}
	}

	w.later(time.Second)
	w.do(put(ehr, "/Observation/o", sodium("o", "142"))).want(t, 201)
	w.get(ehr, "/Observation/o").want(t, 200)
	w.get(w.physician(), "/Observation/o").want(t, 200)
}
