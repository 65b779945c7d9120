package fhirapi_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"firebreak/fhir/fhirpath"
	"firebreak/fhir/r4def"
)

// $summary is a document of what the caller sees, whole in itself: each section is
// what a search finds, each reference leads to an entry.
func TestSummary(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hospital(1)
	id := w.ayan()
	me := w.physician()
	got := w.get(me, "/Patient/"+id+"/$summary").want(t, 200)
	doc := got.resource(t)
	if p := r4def.Check(doc); len(p) > 0 {
		t.Error(p)
	}
	for _, v := range fhirpath.Invariants(doc) {
		if said := fmt.Sprint(v); !strings.HasPrefix(said, "Bundle.entry[") || strings.HasPrefix(said, "Bundle.entry[0]") { // the others are as their sources sent them
			t.Error(said)
		}
	}
	if doc.Get("type").Text() != "document" || !strings.HasPrefix(doc.Root().At("identifier.value").Text(), "urn:uuid:") {
		t.Errorf("%.300s", got.body)
	}
	there := map[string]bool{}
	for e := range doc.All("entry") {
		address := e.Get("fullUrl").Text()
		if there[address] {
			t.Errorf("%s is there twice", address)
		}
		there[address] = true
	}
	first := doc.Root().At("entry.resource")
	if !first.Get("resourceType").Is("Composition") || !first.At("type.coding.code").Is("60591-5") || !there[first.At("subject.reference").Text()] {
		t.Errorf("it begins with %.300s", first.Raw())
	}
	sections := map[string][]string{}
	for s := range first.All("section") {
		refs := []string{}
		for ref := range s.All("entry.reference") {
			if refs = append(refs, strings.TrimPrefix(ref.Text(), base+"/")); !there[ref.Text()] {
				t.Errorf("%s is not in the document", ref.Text())
			}
		}
		if len(refs) == 0 && !s.At("emptyReason.coding.code").Is("unavailable") || len(refs) > 0 && !s.Get("emptyReason").IsZero() {
			t.Errorf("%s", s.Raw())
		}
		slices.Sort(refs)
		sections[s.At("code.coding.code").Text()] = refs
	}
	for code, path := range map[string]string{
		"11450-4": "/Condition?clinical-status:not=inactive,resolved,remission&verification-status:not=entered-in-error,refuted&patient=",
		"8716-3":  "/Observation/$lastn?category=vital-signs&status=final,amended,corrected&patient=",
		"30954-2": "/Observation/$lastn?category:not=vital-signs,social-history&status=final,amended,corrected&patient=",
		"48765-2": "/AllergyIntolerance?patient=",
	} {
		want := w.pages(me, path+id)
		slices.Sort(want)
		if _, there := sections[code]; !slices.Equal(sections[code], want) || there != (len(want) > 0 || code == "48765-2") {
			t.Errorf("%s: %v, want %v", code, sections[code], want)
		}
	}
	if len(sections["30954-2"]) < 5 || len(sections["11450-4"]) == 0 {
		t.Errorf("%v", sections)
	}
	if again := w.get(me, "/Patient/"+id+"/$summary").want(t, 200); string(again.body) != string(got.body) {
		t.Error("the same record, another document")
	}
	// A token that reaches less makes a smaller one; another's record is none.
	app := person(t, "physician", "patient/Patient.rs patient/Condition.rs", id)
	var types []string
	for typ := range w.get(app, "/Patient/"+id+"/$summary").want(t, 200).resource(t).All("entry.resource.resourceType") {
		types = append(types, typ.Text())
	}
	slices.Sort(types)
	if types = slices.Compact(types); fmt.Sprint(types) != "[Composition Condition Patient]" {
		t.Errorf("an app gets %v", types)
	}
	none := w.get(me, "/Patient/none/$summary").want(t, 404)
	if other := w.get(person(t, "physician", "patient/*.rs", "other"), "/Patient/"+id+"/$summary").want(t, 404); string(other.body) != string(none.body) {
		t.Errorf("another's: %s", other.body)
	}
	w.get(person(t, "physician", "patient/Condition.rs", id), "/Patient/"+id+"/$summary").want(t, 403)
	w.get(me, "/Patient/"+id+"/$summary?profile=x").want(t, 400)
}
