package fhirapi_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"firebreak/fhir/r4def"
)

// pages are "Type/id" of all matches of a search, page by page.
func (w *world) pages(token, path string) (all []string) {
	w.t.Helper()
	for next := path; next != ""; {
		page := w.get(token, next).want(w.t, 200)
		all = append(all, page.ids(w.t, "match")...)
		next = page.link(w.t, "next")
	}
	return all
}

// What a compartment has is what searches by its parameters find in the record,
// type by type, and over all types at once.
func TestCompartments(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hospital(2)
	id := w.ayan()
	me := w.physician()
	var whole []string
	for _, typ := range []string{"AllergyIntolerance", "Condition", "DiagnosticReport", "Encounter", "Observation", "Patient", "Provenance", "ServiceRequest"} {
		want := map[string]bool{}
		named := typ != "Patient" && typ != "Provenance" // by a patient=, which a person's search needs
		for _, param := range r4def.Compartment("Patient")[typ] {
			if named {
				for _, ref := range w.pages(me, "/"+typ+"?patient="+id+"&"+param+"=Patient/"+id) {
					want[ref] = true
				}
			}
		}
		got := w.pages(me, "/Patient/"+id+"/"+typ+"?_count=20")
		if named && (!slices.Equal(got, sorted(want)) || len(got) == 0 && typ != "AllergyIntolerance") {
			t.Errorf("%s: %d, by its parameters %d", typ, len(got), len(want))
		}
		whole = append(whole, got...)
	}
	if got := w.pages(me, "/Patient/"+id+"/*?_count=30&_type=AllergyIntolerance,Condition,DiagnosticReport,Encounter,Observation,Patient,Provenance,ServiceRequest"); !slices.Equal(got, whole) {
		t.Errorf("together %d, one by one %d", len(got), len(whole))
	}
	found := 0
	for _, visit := range w.pages(me, "/Encounter?patient="+id) {
		for _, typ := range []string{"Condition", "Observation", "DiagnosticReport"} {
			got, want := w.pages(me, "/"+visit+"/"+typ), w.pages(me, "/"+typ+"?patient="+id+"&encounter="+visit)
			if found += len(got); !slices.Equal(got, want) {
				t.Errorf("%s of a visit %v, by its parameter %v", typ, got, want)
			}
		}
	}
	if found == 0 {
		t.Error("no visit has anything")
	}
	for path, status := range map[string]int{
		"/Patient/" + id + "/Observation?code=2823-3&_sort=-date&_include=Observation:encounter": 200,
		"/Patient/none/Observation":            200, // as a search by patient= of nobody
		"/Encounter/none/Observation":          200,
		"/Patient/" + id + "/Location":         400, // no compartment has it
		"/Patient/" + id + "/Sample":           404,
		"/Location/" + id + "/Encounter":       404,
		"/Patient/" + id + "/*?code=2823-3":    400, // no parameter of all types
		"/Patient/" + id + "/*?_type=Location": 400,
	} {
		w.get(me, path).want(t, status)
	}
	one := person(t, "physician", "patient/*.rs", id)
	other := w.get(me, "/Patient?identifier=GH1000001").want(t, 200).ids(t, "match")[0]
	if got := w.pages(one, "/"+other+"/Observation"); len(got) != 0 {
		t.Errorf("a token for one patient finds %v of another", got)
	}
	if got := w.pages(one, "/Patient/"+id+"/Observation"); len(got) == 0 || slices.Contains(got, "") {
		t.Errorf("a token for one patient finds %v", got)
	}
}

// Over several types a search finds what searches of each find, in one order.
func TestSearchOverTypes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hospital(2)
	id := w.ayan()
	me := w.physician()
	reports, results := w.pages(me, "/DiagnosticReport?patient="+id), w.pages(me, "/Observation?patient="+id)
	both := append(slices.Clone(reports), results...)
	for _, query := range []string{"?_type=Observation,DiagnosticReport&patient=" + id + "&_count=40", "?_type=DiagnosticReport&_type=Observation&subject=Patient/" + id} {
		if got := w.pages(me, query); !slices.Equal(got, both) {
			t.Errorf("%s: %d, apart %d and %d", query, len(got), len(reports), len(results))
		}
		get := w.get(me, query).want(t, 200)
		post := w.do(ask{method: http.MethodPost, path: "/_search", token: me, body: query[1:], headers: []string{"Content-Type: application/x-www-form-urlencoded"}}).want(t, 200)
		if !bytes.Equal(get.body, post.body) || get.total(t) != fmt.Sprint(len(both)) {
			t.Errorf("%s: GET and POST differ, total %s", query, get.total(t))
		}
	}
	var times []string
	for next := "?_type=Observation,DiagnosticReport&_sort=-date&_elements=issued,effective&_count=25&patient=" + id; next != ""; {
		page := w.get(me, next).want(t, 200)
		next = page.link(t, "next")
		for v := range page.resource(t).All("entry.resource.effectiveDateTime") {
			times = append(times, v.Text())
		}
		if !bytes.Contains(page.body, []byte("SUBSETTED")) || bytes.Contains(page.body, []byte(`"subject"`)) {
			t.Errorf("_elements: %.600s", page.body)
		}
	}
	if !slices.IsSortedFunc(times, func(a, b string) int { return strings.Compare(b, a) }) || len(times) < 20 {
		t.Errorf("not in order: %v", times)
	}
	one := person(t, "physician", "patient/Observation.rs patient/Patient.rs", id)
	if got := w.pages(one, "?_count=500"); !slices.Equal(got, append(slices.Clone(results), "Patient/"+id)) {
		t.Errorf("of what the token covers: %d of %d", len(got), len(results)+1)
	}
	w.get(one, "?_type=Observation,DiagnosticReport").want(t, 403)
	for _, query := range []string{"", "?_type=Observation", "?_type=Patient&_id=a,b", "?_type=Patient&identifier=GH1000000", "?_lastUpdated=gt2020"} { // a person does not browse
		w.get(me, query).want(t, 400)
	}
	for _, query := range []string{"?_type=Sample", "?patient=" + id, "?_type=Observation,Location&patient=" + id, "?_type=Observation,Patient&_elements=wings"} {
		w.get(w.backend(), query).want(t, 400)
	}
	lenient := w.get(me, "?_type=Condition,Observation&value-quantity=5&wings=1&_count=3&patient="+id, "Prefer: handling=lenient").want(t, 200)
	if self := lenient.link(t, "self"); strings.Contains(self, "value-quantity") || strings.Contains(self, "wings") || len(lenient.ids(t, "outcome")) != 1 {
		t.Errorf("lenient: %s", self)
	}
}
