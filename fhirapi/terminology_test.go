package fhirapi_test

import (
	"net/http"
	"strings"
	"testing"

	"firebreak/fhir"
	"firebreak/fhir/fhirpath"
	"firebreak/fhir/r4def"
)

// What is asked of value sets and code systems, and what is answered.
func TestTerminology(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const (
		gender   = "http://hl7.org/fhir/ValueSet/administrative-gender"
		clinical = "http://terminology.hl7.org/CodeSystem/condition-clinical"
		in       = `{"resourceType":"Parameters","parameter":[`
	)
	for _, tt := range []struct {
		claim, path, body string
		status            int
		says, not         string
	}{
		{"a value set by its address", "/ValueSet/$expand?url=" + gender, "", 200, `"total":4`, `"compose"`},
		{"of a version", "/ValueSet/$expand?url=" + gender + "&valueSetVersion=4.0.1", "", 200, `"code":"female"`, ""},
		{"of another version", "/ValueSet/$expand?url=" + gender + "&valueSetVersion=3", "", 404, "There is no value set " + gender + "|3 here.", ""},
		{"by its id", "/ValueSet/administrative-gender/$expand", "", 200, `"url":"` + gender + `"`, ""},
		{"by POST", "/ValueSet/$expand", in + `{"name":"url","valueUri":"` + gender + `"},{"name":"count","valueInteger":1}]}`, 200, `"contains":[{"code":"male","display":"Male","system":"http://hl7.org/fhir/administrative-gender"}]`, ""},
		{"what has words in its name", "/ValueSet/condition-category/$expand?filter=LIST%20prob", "", 200, `"total":1`, ""},
		{"by its code", "/ValueSet/observation-vitalsignresult/$expand?filter=8867", "", 200, `"code":"8867-4"`, "9279-1"},
		{"a page", "/ValueSet/observation-vitalsignresult/$expand?offset=12&count=5", "", 200, `"offset":12`, "8867-4"},
		{"beyond the last", "/ValueSet/observation-vitalsignresult/$expand?offset=99", "", 200, `"total":13`, `"contains"`},
		{"how many", "/ValueSet/observation-vitalsignresult/$expand?count=0", "", 200, `"total":13`, `"contains"`},
		{"groups are said to be abstract", "/ValueSet/consent-category/$expand", "", 200, `"abstract":true`, ""},
		{"what cannot be expanded", "/ValueSet/condition-code/$expand", "", 422, "cannot be expanded. Of the code system http://snomed.info/sct not all codes are here", ""},
		{"what is none", "/ValueSet/$expand?url=http://x.test/none", "", 404, "http://x.test/none", ""},
		{"an id that is none", "/ValueSet/none/$expand", "", 404, "nothing to show", ""},
		{"nothing named", "/ValueSet/$expand", "", 400, "Name a value set.", ""},
		{"a parameter that is none", "/ValueSet/administrative-gender/$expand?colour=red", "", 400, "http.colour", ""},
		{"one that is none, by POST", "/ValueSet/$expand", in + `{"name":"colour","valueCode":"red"}]}`, 400, "colour", ""},
		{"twice", "/ValueSet/$expand?url=" + gender, in + `{"name":"url","valueUri":"` + gender + `"}]}`, 400, "given twice", ""},
		{"less than none", "/ValueSet/administrative-gender/$expand?count=-1", "", 400, "http.count", ""},
		{"no Parameters", "/ValueSet/$expand", `{"resourceType":"ValueSet"}`, 400, "Send Parameters.", ""},

		{"a code and what it is under", "/CodeSystem/$lookup?system=" + clinical + "&code=relapse", "", 200, `"name":"display","valueString":"Relapse"`, ""},
		{"its parent", "/CodeSystem/$lookup?system=" + clinical + "&code=relapse", "", 200, `[{"name":"code","valueCode":"parent"},{"name":"value","valueCode":"active"}]`, ""},
		{"its children", "/CodeSystem/$lookup", in + `{"name":"coding","valueCoding":{"system":"` + clinical + `","code":"active"}}]}`, 200, `[{"name":"code","valueCode":"child"},{"name":"value","valueCode":"recurrence"}]`, ""},
		{"a code that is none", "/CodeSystem/$lookup?system=" + clinical + "&code=RELAPSE", "", 404, "no such code", ""},
		{"a system that is not known", "/CodeSystem/$lookup?system=http://loinc.org&code=8867-4", "", 404, "http://loinc.org", ""},
		{"no code", "/CodeSystem/$lookup?system=" + clinical, "", 400, "Name a code", ""},

		{"a code of a value set", "/ValueSet/$validate-code?url=" + gender + "&system=http://hl7.org/fhir/administrative-gender&code=male", "", 200, `"valueBoolean":true`, ""},
		{"none of it", "/ValueSet/administrative-gender/$validate-code?system=http://hl7.org/fhir/administrative-gender&code=man", "", 200, `"valueBoolean":false`, ""},
		{"a group", "/ValueSet/consent-category/$validate-code?system=http://terminology.hl7.org/CodeSystem/v3-ActCode&code=_ActConsentType", "", 200, `"valueBoolean":false`, ""},
		{"one of several", "/ValueSet/$validate-code", in + `{"name":"url","valueUri":"` + gender + `"},{"name":"codeableConcept","valueCodeableConcept":{"coding":[{"system":"urn:x","code":"male"},{"system":"http://hl7.org/fhir/administrative-gender","code":"male"}]}}]}`, 200, `"valueBoolean":true`, ""},
		{"a code of any system", "/ValueSet/administrative-gender/$validate-code?code=male", "", 400, "its system", ""},
	} {
		a := ask{method: http.MethodGet, path: tt.path, token: w.physician()}
		if tt.body != "" {
			a = post(w.physician(), tt.path, tt.body)
		}
		got := w.do(a).want(t, tt.status)
		if !strings.Contains(string(got.body), tt.says) || tt.not != "" && strings.Contains(string(got.body), tt.not) {
			t.Errorf("%s: %s", tt.claim, got.body)
		}
		if tt.status == 200 && strings.Contains(tt.path, "$expand") {
			for _, v := range fhirpath.Invariants(got.resource(t)) {
				t.Errorf("%s: %v", tt.claim, v)
			}
		}
	}
	// What a source pushes as one is data: it is read, and searches know nothing of it.
	w.put(w.backend(), `{"resourceType":"ValueSet","id":"mine","url":"http://x.test/mine","status":"active","compose":{"include":[{"system":"http://loinc.org","concept":[{"code":"2823-3"}]}]}}`)
	w.get(w.backend(), "/ValueSet/mine").want(t, 200)
	for _, path := range []string{"/Observation?code:in=http://x.test/mine", "/Observation?code:in=ValueSet/mine", "/Observation?code:not-in=" + base + "/ValueSet/mine"} {
		if got := w.get(w.backend(), path, "Prefer: handling=lenient").want(t, 400); !strings.Contains(string(got.body), "There is no value set") {
			t.Errorf("%s: %s", path, got.body)
		}
	}
	if got := w.get(w.backend(), "/ValueSet?url=http://x.test/mine").want(t, 200); len(got.ids(t, "match")) > 0 {
		t.Errorf("%s", got.body)
	}
}

// Each value set and code system that is served is as R4 wants it.
func TestPublishedTermsAreWhole(t *testing.T) {
	t.Parallel()
	for _, term := range r4def.Terms() {
		r, err := term.Resource()
		must(t, err)
		if r.Ref() != term.Ref || !fhir.ValidID(r.ID()) || r.Get("url").Text() != term.URL || r.Get("version").Text() != term.Version {
			t.Errorf("%s is filed as %s, %s", r.Ref(), term.Ref, term.URL)
		}
		for _, p := range r4def.Check(r) {
			if !p.Slight {
				t.Errorf("%s: %v", r.Ref(), p)
			}
		}
	}
}
