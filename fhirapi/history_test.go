package fhirapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// past are "lastUpdated Type/id/version method" of all entries of a history, page
// by page, as they came.
func (w *world) past(token, path string) (all []string) {
	w.t.Helper()
	total := ""
	for next := path; next != ""; {
		page := w.get(token, next).want(w.t, 200)
		for e := range page.resource(w.t).All("entry") {
			r := e.Get("resource")
			all = append(all, r.At("meta.lastUpdated").Text()+" "+r.Get("resourceType").Text()+"/"+r.Get("id").Text()+"/"+r.At("meta.versionId").Text()+" "+e.At("request.method").Text())
		}
		total = page.total(w.t)
		next = page.link(w.t, "next")
	}
	if total != fmt.Sprint(len(all)) && !strings.Contains(path, "_count=0") {
		w.t.Errorf("%s: %d entries of %s", path, len(all), total)
	}
	return all
}

// The history of a type and of all types is that of each resource, put together:
// for an app inside the one record its token is for, for a system across them.
func TestHistoryOfMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(w.backend(), patientX)
	w.put(w.backend(), strings.Replace(patientX, `"x"`, `"y"`, 1))
	for i, value := range []string{"140.0", "141", "142"} {
		w.later(24 * 3600e9)
		w.put(w.backend(), strings.Replace(sodium, "140.0", value, 1))
		w.put(w.backend(), strings.NewReplacer("140.0", value, `"na"`, fmt.Sprintf(`"other%d"`, i), "Patient/x", "Patient/y").Replace(sodium))
	}
	app := person(t, "physician", "patient/*.rs", "x")
	narrow := person(t, "physician", "patient/Observation.rs", "x")
	one := func(refs ...string) (all []string) {
		for _, ref := range refs {
			all = append(all, w.past(w.backend(), "/"+ref+"/_history")...)
		}
		slices.SortStableFunc(all, func(a, b string) int { // newest first, then by type and id
			return strings.Compare(strings.Fields(b)[0], strings.Fields(a)[0])
		})
		return all
	}
	for _, c := range []struct {
		token, path string
		want        []string
	}{
		{app, "/Observation/_history", one("Observation/na")},
		{app, "/_history", one("Observation/na", "Patient/x")},
		{narrow, "/_history", one("Observation/na")},
		{w.backend(), "/Observation/_history", one("Observation/na", "Observation/other0", "Observation/other1", "Observation/other2")},
		{w.backend(), "/_history", one("Observation/na", "Observation/other0", "Observation/other1", "Observation/other2", "Patient/x", "Patient/y")},
		{w.backend(), "/Patient/_history", one("Patient/x", "Patient/y")},
		{w.backend(), "/Basic/_history", nil},
	} {
		for _, query := range []string{"", "?_count=1", "?_count=2", "?_count=500"} {
			if got := w.past(c.token, c.path+query); !slices.Equal(got, c.want) {
				t.Errorf("%s%s:\n%v, want\n%v", c.path, query, got, c.want)
			}
		}
	}
	for query, n := range map[string]int{"_since=2026-11-24T12:00:00Z": 4, "_since=2026-11-24T12:00:00.001Z": 2, "_since=2030-01-01T00:00:00Z": 0, "_at=2026-11-23": 4, "_at=2026-11-22": 2} {
		if got := w.past(w.backend(), "/_history?"+query); len(got) != n {
			t.Errorf("%s: %v", query, got)
		}
	}
	if got := w.get(w.backend(), "/_history?_count=0").want(t, 200).total(t); got != "8" {
		t.Errorf("of none shown there are %s", got)
	}
	// A page is of one question, by one who asks.
	page := w.get(app, "/Observation/_history?_count=1").want(t, 200)
	if self, next := page.link(t, "self"), page.link(t, "next"); self != base+"/Observation/_history?_count=1" || !strings.HasPrefix(next, self+"&_cursor=") {
		t.Errorf("self is %s, next %s", self, next)
	}
	w.get(w.backend(), page.link(t, "next")).want(t, 400)
	w.get(app, strings.Replace(page.link(t, "next"), "/Observation/", "/", 1)).want(t, 400)
	w.get(app, page.link(t, "next")+"&_since=2026-01-01T00:00:00Z").want(t, 400)
	// A person without a patient browses nobody, whatever there is.
	for _, path := range []string{"/Observation/_history", "/_history", "/Basic/_history"} {
		if got := w.get(w.physician(), path).want(t, 400); !strings.Contains(string(got.body), "too-costly") {
			t.Errorf("%s: %s", path, got.body)
		}
	}
	w.get(narrow, "/Patient/_history").want(t, 403)
	w.get(app, "/Nothing/_history").want(t, 404)
	for _, query := range []string{"_list=x", "_count=x", "_since=2026", "code=x", "_cursor=none"} {
		w.get(app, "/Observation/_history?"+query).want(t, 400)
	}
	entry := `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Observation/_history?_count=1"}}]}`
	if got := w.do(ask{method: http.MethodPost, path: "", token: app, body: entry}).want(t, 200); !strings.Contains(string(got.body), `"type":"history"`) {
		t.Errorf("in a batch: %s", got.body)
	}
}
