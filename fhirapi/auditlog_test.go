package fhirapi_test

import (
	"net/http"
	"strings"
	"testing"
)

// An auditor reads the log, refusals included, and nothing else; nobody else
// finds it.
func TestAuditor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	auditor := client(t, "watch/auditor", "system/AuditEvent.rs")
	w.put(w.backend(), strings.Replace(patientX, `"x"`, `"y"`, 1))
	w.put(w.backend(), patientX)
	w.get(w.physician(), "/Patient/x").want(t, 200)
	w.get(w.physician(), "/Patient/none").want(t, 404)
	w.get(w.physician(), "/Observation?patient=x").want(t, 200)
	for query, want := range map[string]int{
		"date=ge2020&subtype=read&altid=p":                  2,
		"date=ge2020&subtype=read&outcome=4":                1,
		"patient=x&subtype=read&altid=p":                    1,
		"patient=Patient/x&action=R&type=rest&altid=p":      1,
		"entity=Patient/x&date=ge2020&subtype=read&altid=p": 1,
		"patient=none":            1, // what was refused is told of
		"patient=nobody":          0,
		"date=ge2020&date=lt2021": 0,
		"date=ge2020&subtype=read&agent-name=physician,nobody&_sort=-date": 0,
	} {
		got := w.get(auditor, "/AuditEvent?"+query).want(t, 200)
		if n := len(got.ids(t, "match")); n != want {
			t.Errorf("%s: %d, want %d: %.900s", query, n, want, got.body)
		}
	}
	narrow := client(t, "watch/auditor", "system/AuditEvent.rs?action=R")
	for _, path := range []string{"/AuditEvent?date=ge2020", "/AuditEvent/1", "/Patient/x"} {
		if got := w.get(narrow, path); got.Code != 403 && got.Code != 404 {
			t.Errorf("a scope with a query: %s: %d", path, got.Code)
		}
	}
	// Page after page, each once.
	seen := map[string]bool{}
	for path := "/AuditEvent?date=ge2020&subtype=read&altid=p&_count=1"; path != ""; {
		r := w.get(auditor, path).want(t, 200).resource(t)
		path = ""
		for link := range r.All("link") {
			if link.Get("relation").Is("next") {
				path = strings.TrimPrefix(link.Get("url").Text(), base)
			}
		}
		for _, id := range texts(r, "entry.resource.id") {
			if seen[id] {
				t.Errorf("%s twice", id)
			}
			seen[id] = true
			if got := w.get(auditor, "/AuditEvent/"+id).want(t, 200).resource(t); got.Type() != "AuditEvent" || got.ID() != id {
				t.Errorf("%s: %s", id, got.JSON())
			}
		}
	}
	if len(seen) != 2 {
		t.Errorf("pages gave %v", seen)
	}
	w.get(auditor, "/Patient/x/AuditEvent?subtype=read").want(t, 200)
	w.get(auditor, "/AuditEvent/audit-999999").want(t, 404)
	for _, ask := range []string{"", "_count=0&patient=x", "patient=x&_total=accurate", "patient=x&_sort=action", "patient=x&patient.name=oak", "patient=x&_include=AuditEvent:patient", "date=le2030"} {
		w.get(auditor, "/AuditEvent?"+ask).want(t, http.StatusBadRequest)
	}
	// No chart, whatever its scopes say.
	wide := client(t, "watch/auditor", "system/*.rs")
	for _, path := range []string{"/Patient/x", "/Patient?_id=x", "/Patient/x/$everything", "/Patient/x/_history", "/Observation?patient=x", "/Patient/$ihe-pix?sourceIdentifier=a%7Cb"} {
		w.get(wide, path).want(t, http.StatusForbidden)
	}
	w.get(wide, "/?_type=Patient").want(t, http.StatusForbidden)
	// For everyone else there is no log.
	for _, token := range []string{w.backend(), client(t, "reader/reader", "system/*.rs")} {
		if got := w.get(token, "/AuditEvent?date=ge2020").want(t, 200); len(got.ids(t, "match")) > 0 {
			t.Errorf("%.300s", got.body)
		}
		w.get(token, "/AuditEvent/audit-1").want(t, 404)
	}
	// That the log was read is in it, and is no look at the record.
	for _, e := range w.events() {
		if e["client"] == "watch/auditor" && e["refused"] == false && (e["action"] != "oversee" || e["patient"] != "") {
			t.Errorf("%v", e)
		}
	}
}
