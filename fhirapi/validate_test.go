package fhirapi_test

import (
	"net/http"
	"slices"
	"testing"
)

// What a resource departs from is said with its place; nothing is stored, and what
// lies at the address makes no difference.
func TestValidate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(w.backend(), patientX)
	validate := func(path, body string, headers ...string) answer {
		return w.do(ask{method: http.MethodPost, path: path, token: w.physician(), body: body, headers: headers})
	}
	const valid = `{"resourceType":"Patient","id":"x","name":[{"text":"N"}],"text":{"status":"empty","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">-</div>"}}`
	for _, c := range []struct {
		path, body string
		want       []string // severity, code, expression
	}{
		{"/Patient/$validate", valid, []string{"information informational "}},
		{"/Patient/x/$validate?mode=update", valid, []string{"information informational "}},
		{"/Patient/none/$validate", valid, []string{"information informational "}},
		{"/Patient/y/$validate?mode=update", valid, []string{"error invalid Patient.id"}},
		{"/Observation/$validate", valid, []string{"error invalid Patient"}},
		{"/Patient/$validate", `{"resourceType":"Patient","gender":"no"}`, []string{"error structure Patient.gender"}},
		{"/Patient/$validate", `{"resourceType":"Patient","contact":[{"gender":"male"}]}`, []string{"warning invariant Patient.contact[0]"}},
		{"/Patient/$validate", `{"resourceType":"Parameters","parameter":[{"name":"mode","valueCode":"create"},{"name":"profile","valueUri":"http://hl7.org/fhir/StructureDefinition/Patient"},{"name":"resource","resource":{"resourceType":"Patient","gender":"no"}}]}`, []string{"error structure Patient.gender"}},
	} {
		got := validate(c.path, c.body).want(t, 200)
		var said []string
		for i := range got.resource(t).All("issue") {
			said = append(said, i.Get("severity").Text()+" "+i.Get("code").Text()+" "+i.At("expression").Text())
		}
		if !slices.Equal(said, c.want) {
			t.Errorf("%s %s: %q, want %q", c.path, c.body, said, c.want)
		}
	}
	for body, path := range map[string]string{
		`{"resourceType":"Patient"}`:                         "/Patient/$validate?mode=delete",
		`{"resourceType":"Patient" }`:                        "/Patient/$validate?profile=http://example.org/mine",
		`{"resourceType":"Parameters"}`:                      "/Patient/$validate",
		`{"resourceType":"Parameters","parameter":[{"x":1`:   "/Patient/$validate",
		`{"resourceType":"Patient","gender":"a","gender":1}`: "/Patient/$validate",
	} {
		validate(path, body).want(t, 400)
	}
	validate("/Patient/$validate", "x=1", "Content-Type: application/x-www-form-urlencoded").want(t, 415)
	w.do(ask{method: http.MethodPost, path: "/Patient/$validate", body: valid}).want(t, 401)
	w.get(w.physician(), "/Patient/$validate").want(t, 405)
}
