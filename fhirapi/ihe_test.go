package fhirapi_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func pix(source string, more ...string) string {
	v := url.Values{"sourceIdentifier": {source}, "targetSystem": more}
	return "/Patient/$ihe-pix?" + v.Encode()
}

// $ihe-pix tells by what else somebody is known, whom the caller may know of:
// numbers and ids, of merged records too.
func TestCrossReferences(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	me, ehr := w.physician(), w.backend()
	w.put(ehr, `{"resourceType":"Patient","id":"x","identifier":[{"system":"urn:a","value":"1"},{"system":"urn:b","value":"2"},{"value":"3"}],"name":[{"family":"Oak"}],"birthDate":"1980-01-02"}`)
	w.put(ehr, `{"resourceType":"Patient","id":"y","identifier":[{"system":"urn:a","value":"9"}],"name":[{"family":"Elm"}]}`)
	for ask, want := range map[string]string{
		pix("urn:a|1"):                           "urn:b|2 Patient/x",
		pix("urn:a|1", "urn:b"):                  "urn:b|2",
		pix("urn:a|1", "urn:b", base):            "urn:b|2 Patient/x",
		pix("urn:a|1", "urn:a"):                  "",
		pix("urn:a|1", "urn:nobody"):             "",
		pix(base + "|Patient/x"):                 "urn:a|1 urn:b|2",
		pix("urn:b|2", "urn:a") + "&_format=xml": "urn:a|1",
	} {
		got := w.get(me, ask).want(t, 200)
		if strings.HasSuffix(ask, "xml") {
			if !strings.Contains(string(got.body), `<valueIdentifier><system value="urn:a"/><value value="1"/>`) {
				t.Errorf("%s: %s", ask, got.body)
			}
			continue
		}
		var all []string
		for p := range got.resource(t).All("parameter") {
			if p.Get("name").Is("targetId") {
				all = append(all, p.At("valueReference.reference").Text())
			} else {
				all = append(all, p.At("valueIdentifier.system").Text()+"|"+p.At("valueIdentifier.value").Text())
			}
		}
		if got := strings.Join(all, " "); got != want {
			t.Errorf("%s: %s, want %s", ask, got, want)
		}
	}
	// A domain of which only withheld messages know is one that nobody knows.
	w.do(post(ehr, "", bundle("transaction", `PUT Patient/z||{"resourceType":"Patient","id":"z","identifier":[{"system":"urn:secret","value":"7"}]}`,
		`POST Observation||{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"56888-1"}]},"subject":{"reference":"Patient/z"}}`))).want(t, 200)
	none := w.get(me, pix("urn:a|404")).want(t, 404)
	for _, source := range []string{"urn:secret|7", "urn:never|7", base + "|Patient/z", base + "|Patient/none"} {
		if got := w.get(me, pix(source)).want(t, 404); outcomeOf(got) != outcomeOf(none) {
			t.Errorf("%s: %s, want %s", source, got.body, none.body)
		}
	}
	for _, ask := range []string{"/Patient/$ihe-pix", pix(""), pix("1"), pix("|1"), pix("urn:a|"), pix(base + "|Observation/x"), pix("urn:a|1") + "&sourceIdentifier=urn:a|2", pix("urn:a|1") + "&x=1"} {
		w.get(me, ask).want(t, 400)
	}
	w.get(person(t, "physician", "patient/Observation.rs", "x"), pix("urn:a|1")).want(t, http.StatusForbidden)
	w.get(person(t, "physician", "patient/*.rs", "y"), pix("urn:a|1")).want(t, 404)
}

// outcomeOf is an OperationOutcome but for the request's number.
func outcomeOf(a answer) string {
	text, _, _ := strings.Cut(string(a.body), "Reference: ")
	return text
}

// Two records that were merged are one person, by whichever number.
func TestCrossReferencesOfMergedRecords(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hospital(2)
	numbers := func(source string) (all []string) {
		for p := range w.get(w.physician(), source).want(t, 200).resource(t).All("parameter") {
			all = append(all, p.At("valueIdentifier.value").Text()+p.At("valueReference.reference").Text())
		}
		return all
	}
	patient := w.get(w.physician(), "/Patient?identifier=GH1000001").want(t, 200).resource(t)
	var system string
	for id := range patient.All("entry.resource.identifier") {
		if id.Get("value").Is("GH1000001") {
			system = id.Get("system").Text()
		}
	}
	before := numbers(pix(system + "|GH1000001"))
	if slices.Contains(before, "GH1000000") {
		t.Fatal(before)
	}
	w.message("hospital", []byte("MSH|^~\\&|EHR|GENERAL|FB|FB|20260401120000+0000||ADT^A40^ADT_A39|M1|P|2.5.1\rEVN|A40|20260401120000+0000\rPID|1||GH1000000^^^GENERAL^MR\rMRG|GH1000001^^^GENERAL^MR\r"))
	w.idle()
	for _, number := range []string{"GH1000000", "GH1000001"} {
		got := numbers(pix(system + "|" + number))
		ids := slices.DeleteFunc(slices.Clone(got), func(s string) bool { return !strings.HasPrefix(s, "Patient/") })
		if slices.Contains(got, number) || len(ids) != 2 || !strings.Contains(fmt.Sprint(got), "GH100000") {
			t.Errorf("%s: %v", number, got)
		}
	}
}

// A search by the systems of numbers alone gives the numbers of these systems.
func TestDomainsOfNumbers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(w.backend(), `{"resourceType":"Patient","id":"x","identifier":[{"system":"urn:a","value":"1"},{"system":"urn:b","value":"2"},{"system":"urn:c","value":"3"}],"name":[{"family":"Oak"}]}`)
	for query, want := range map[string]string{
		"_id=x":                                        "[1 2 3]",
		"_id=x&identifier=urn:a|":                      "[1]",
		"_id=x&identifier=urn:a|,urn:c|":               "[1 3]",
		"_id=x&identifier=urn:a|,urn:c|3":              "[1 2 3]",
		"_id=x&identifier=urn:a|1":                     "[1 2 3]",
		"_id=x&identifier=urn:never|":                  "[]",
		"_id=x&identifier=urn:a|&_elements=identifier": "[1]",
	} {
		r := w.get(w.physician(), "/Patient?"+query).want(t, 200).resource(t)
		if got := fmt.Sprint(texts(r, "entry.resource.identifier.value")); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
		if cut := len(want) < 7 && want != "[]"; cut != strings.Contains(string(r.JSON()), "SUBSETTED") {
			t.Errorf("%s: %s", query, r.JSON())
		}
	}
}

// Documents are found by the patient's number, in one step, by a person too.
func TestDocumentsByNumber(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ehr := w.backend()
	for _, id := range []string{"x", "y"} {
		w.put(ehr, `{"resourceType":"Patient","id":"`+id+`","identifier":[{"system":"urn:a","value":"`+id+`"}]}`)
		w.put(ehr, `{"resourceType":"DocumentReference","id":"d`+id+`","status":"current","type":{"coding":[{"system":"http://loinc.org","code":"34133-9"}]},"subject":{"reference":"Patient/`+id+`"},"content":[{"attachment":{"contentType":"text/plain","data":"T2Fr","creation":"2026-02-03T04:05:06Z"}}]}`)
		w.put(ehr, `{"resourceType":"List","id":"l`+id+`","status":"current","mode":"working","subject":{"reference":"Patient/`+id+`"},"extension":[{"url":"https://profiles.ihe.net/ITI/MHD/StructureDefinition/ihe-designationType","valueCodeableConcept":{"coding":[{"system":"http://loinc.org","code":"1234-5"}]}},{"url":"https://profiles.ihe.net/ITI/MHD/StructureDefinition/ihe-sourceId","valueIdentifier":{"value":"urn:oid:1.2.3"}}]}`)
	}
	for _, token := range []string{w.physician(), ehr, client(t, "reader/reader", "system/*.rs")} {
		for ask, want := range map[string]string{
			"/DocumentReference?patient.identifier=urn:a|x&status=current":                     "[DocumentReference/dx]",
			"/DocumentReference?patient.identifier=urn:a|x&creation=2026-02-03":                "[DocumentReference/dx]",
			"/DocumentReference?patient.identifier=urn:a|x&creation=gt2026-02-04":              "[]",
			"/DocumentReference?patient.identifier=urn:a|none":                                 "[]",
			"/DocumentReference?subject:Patient.identifier=urn:a|y&_sort=date&_total=accurate": "[DocumentReference/dy]",
			"/List?patient.identifier=urn:a|x&designationType=http://loinc.org|1234-5":         "[List/lx]",
			"/List?patient=y&sourceId=urn:oid:1.2.3":                                           "[List/ly]",
			"/List?patient=y&sourceId=urn:oid:1.2.4":                                           "[]",
		} {
			if got := fmt.Sprint(w.get(token, strings.ReplaceAll(ask, "|", "%7C")).want(t, 200).ids(t, "match")); got != want {
				t.Errorf("%s: %s, want %s", ask, got, want)
			}
		}
	}
	w.get(w.physician(), "/DocumentReference?patient.identifier=urn:a%7C").want(t, 400) // a whole domain is no one's number
}

// A Binary is the file that it holds, for whoever does not ask for FHIR.
func TestFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ehr, me := w.backend(), w.physician()
	w.put(ehr, `{"resourceType":"Patient","id":"x"}`)
	w.put(ehr, `{"resourceType":"DocumentReference","id":"d","status":"current","type":{"coding":[{"system":"http://loinc.org","code":"34133-9"}]},"subject":{"reference":"Patient/x"},"content":[{"attachment":{"contentType":"text/plain","url":"Binary/b"}}]}`)
	w.put(ehr, `{"resourceType":"Binary","id":"b","contentType":"text/plain","securityContext":{"reference":"Patient/x"},"data":"T2FrIHRyZWU="}`)
	for accept, want := range map[string]string{
		"*/*": "Oak tree", "text/plain": "Oak tree", "text/*": "Oak tree", "text/plain,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": "Oak tree", "image/png, text/plain;q=0.1": "Oak tree",
		"application/fhir+json": `{"resourceType":"Binary"`, "application/json": `{"resourceType":"Binary"`, "application/fhir+xml": "<?xml", "application/xml": "<?xml",
		"image/png": "", "text/plain;q=0": "",
	} {
		got := w.get(me, "/Binary/b", "Accept: "+accept)
		if want == "" {
			if got.Code != http.StatusNotAcceptable {
				t.Errorf("%s: %d", accept, got.Code)
			}
			continue
		}
		if got.Code != 200 || !strings.HasPrefix(string(got.body), want) {
			t.Errorf("%s: %d %s", accept, got.Code, got.body)
		}
		if h := got.Header(); want == "Oak tree" && (h.Get("Content-Type") != "text/plain" || h.Get("Content-Disposition") != "attachment" || h.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") || h.Get("ETag") == "") {
			t.Errorf("%s: %v", accept, h)
		}
	}
	// What is not there is the same, whatever is accepted.
	for _, accept := range []string{"text/plain", "image/png"} {
		if got := w.get(me, "/Binary/none", "Accept: "+accept); got.Code != 404 {
			t.Errorf("%s: %d", accept, got.Code)
		}
	}
	etag := w.get(me, "/Binary/b", "Accept: text/plain").Header().Get("ETag")
	if got := w.get(me, "/Binary/b", "Accept: text/plain", "If-None-Match: "+etag); got.Code != http.StatusNotModified {
		t.Errorf("If-None-Match: %d", got.Code)
	}
}

// What an Endpoint's owner sends with it, a token it may be, is told to nobody
// else: by no read, version, search or include.
func TestHeadersOfEndpointsAreTheirSendersAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ehr := w.backend()
	const endpoint = `{"resourceType":"Endpoint","id":"e","status":"active","connectionType":{"code":"dicom-wado-rs"},"payloadType":[{"text":"any"}],"address":"https://pacs.test/","header":["Authorization: Bearer s3cret"]}`
	w.put(ehr, patientX)
	w.put(ehr, endpoint)
	w.put(ehr, `{"resourceType":"ImagingStudy","id":"i","status":"available","subject":{"reference":"Patient/x"},"modality":[{"system":"http://dicom.nema.org/resources/ontology/DCM","code":"DX"}],"description":"Chest","endpoint":[{"reference":"Endpoint/e"},{"reference":"#c"}],"contained":[`+strings.Replace(endpoint, `"id":"e"`, `"id":"c"`, 1)+`]}`)
	if got := w.get(ehr, "/Endpoint/e").want(t, 200); !strings.Contains(string(got.body), "s3cret") {
		t.Errorf("its sender sees %s", got.body)
	}
	seen := 0
	for _, token := range []string{client(t, "reader/reader", "system/*.rs"), w.physician()} {
		for _, path := range []string{"/Endpoint/e", "/Endpoint/e/_history", "/ImagingStudy/i", "/ImagingStudy?patient=x&_include=ImagingStudy:endpoint", "/Patient/x/$everything", "/ImagingStudy?patient=x&_content=s3cret"} {
			got := w.get(token, path)
			if strings.Contains(string(got.body), `"connectionType"`) {
				seen++
			}
			if body := strings.ReplaceAll(string(got.body), "_content=s3cret", ""); strings.Contains(body, "s3cret") || strings.Contains(body, `"header"`) {
				t.Errorf("%s: %s", path, body)
			}
		}
	}
	if seen < 8 {
		t.Errorf("an Endpoint was shown %d times: this tries nothing", seen)
	}
}
