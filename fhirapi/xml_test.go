package fhirapi_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"firebreak/fhir"
	"firebreak/fhir/fhirxml"
)

// says is a resource without the order of its members.
func says(t testing.TB, read func([]byte) (fhir.Resource, error), b []byte) (v any) {
	t.Helper()
	r, err := read(b)
	if err != nil {
		t.Fatalf("%v: %.300s", err, b)
	}
	d := json.NewDecoder(bytes.NewReader(r.JSON()))
	d.UseNumber()
	must(t, d.Decode(&v))
	return v
}

// Every answer, and every refusal, is the same in both formats.
func TestXMLSaysTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(w.backend(), patientX)
	for _, path := range []string{"/metadata", "/Patient/x", "/Patient/x/_history", "/Patient?_id=x", "/Patient?_id=x&_summary=count",
		"/Patient/x?_elements=name", "/Patient/none", "/Patient?unknown=1&_id=x", "/Nothing/x"} {
		asJSON, asXML := w.get(w.physician(), path), w.get(w.physician(), path, "Accept: application/fhir+xml")
		if asXML.Header().Get("Content-Type") != "application/fhir+xml; charset=utf-8" || !strings.Contains(strings.Join(asXML.Header().Values("Vary"), ","), "Accept,") {
			t.Errorf("%s: %v", path, asXML.Header())
		}
		if asJSON.Code != asXML.Code || asJSON.Header().Get("ETag") != asXML.Header().Get("ETag") ||
			!reflect.DeepEqual(says(t, fhir.Parse, asJSON.body), says(t, fhirxml.Read, asXML.body)) {
			t.Errorf("%s is %d %s\nand in XML %d %s", path, asJSON.Code, asJSON.body, asXML.Code, asXML.body)
		}
	}
	if got := w.get("", "/Patient/x", "Accept: application/fhir+xml").want(t, 401); !strings.HasPrefix(string(got.body), "<?xml") {
		t.Errorf("without a token: %s", got.body)
	}
}

// A push in XML is the push in JSON, and what is wrong with it is said with its place.
func TestXMLIsPushed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r, err := fhir.Parse([]byte(patientX))
	must(t, err)
	b, err := fhirxml.Write(r)
	must(t, err)
	push := func(body string) answer {
		return w.do(ask{method: http.MethodPut, path: "/Patient/x", token: w.backend(), body: body, headers: []string{"Content-Type: application/fhir+xml"}})
	}
	push(string(b)).want(t, 201)
	got := says(t, fhir.Parse, w.get(w.physician(), "/Patient/x").want(t, 200).body).(map[string]any)
	want := says(t, fhir.Parse, []byte(patientX)).(map[string]any)
	delete(got, "meta")
	delete(want, "meta")
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v was pushed and is %v", want, got)
	}
	for body, say := range map[string]string{
		strings.Replace(string(b), "<Patient ", `<!DOCTYPE x><Patient `, 1): "document type",
		strings.Replace(string(b), "</Patient>", "<nick/></Patient>", 1):    "Patient has an element",
		string(b)[:40]: "well-formed",
	} {
		if got := push(body).want(t, 400); !strings.Contains(string(got.body), say) {
			t.Errorf("%s, want %s", got.body, say)
		}
	}
}
