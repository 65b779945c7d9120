package search_test

import (
	"net/url"
	"strings"
	"testing"

	"firebreak/search"
)

// What a search looks into must be within reach, however it gets there; a chain
// to several types keeps to those that are.
func TestReaching(t *testing.T) {
	for _, row := range []struct {
		typ, query, may, beyond string
	}{
		{"Observation", "code=x&patient=p", "Observation", ""},
		{"Observation", "subject:Patient.family=x", "Observation", "Patient"},
		{"Observation", "subject:Patient.family=x", "Observation Patient", ""},
		{"Observation", "subject.identifier=x", "Observation", "Device"},
		{"Observation", "subject.identifier=x", "Observation Patient", ""},
		{"Observation", "subject:Patient.general-practitioner:Practitioner.family=x", "Observation Patient", "Practitioner"},
		{"Patient", "_has:Observation:patient:code=x", "Patient", "Observation"},
		{"Patient", "_has:Observation:patient:code=x", "Patient Observation", ""},
		{"Patient", "_has:Observation:patient:performer:Practitioner.family=x", "Patient Observation", "Practitioner"},
		{"Patient", "_has:Observation:patient:_has:Provenance:target:recorded=2026", "Patient Observation", "Provenance"},
		{"Observation", "_list=l", "Observation", "List"},
	} {
		values, err := url.ParseQuery(row.query)
		if err != nil {
			t.Fatal(err)
		}
		q, err := search.ParseQuery(row.typ, values)
		if err != nil {
			t.Fatalf("%s: %v", row.query, err)
		}
		may := map[string]bool{}
		for _, typ := range strings.Fields(row.may) {
			may[typ] = true
		}
		if _, beyond := q.Reaching(func(typ string) bool { return may[typ] }); beyond != row.beyond {
			t.Errorf("%s?%s by who may search %s: beyond is %q, want %q", row.typ, row.query, row.may, beyond, row.beyond)
		}
	}
}
