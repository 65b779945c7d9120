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
	for _, path := range []string{"/metadata?", "/Patient/x?", "/Patient/x/_history?", "/Patient?_id=x&", "/Patient/none?", "/Patient?unknown=1&_id=x&", "/Nothing/x?"} {
		for format, read := range map[string]func([]byte) (fhir.Resource, error){"json": fhir.Parse, "xml": fhirxml.Read} {
			as, pretty := w.get(w.physician(), path+"_format="+format), w.get(w.physician(), path+"_pretty=true&_format="+format)
			if bytes.Contains(as.body, []byte("\n  ")) || !bytes.Contains(pretty.body, []byte("\n  ")) {
				t.Errorf("%s as %s is %.100s, pretty %.100s", path, format, as.body, pretty.body)
			}
			if as.Code != pretty.Code || !reflect.DeepEqual(says(t, read, as.body), says(t, read, pretty.body)) {
				t.Errorf("%s as %s is %s\nand pretty %s", path, format, as.body, pretty.body)
			}
		}
	}
	if got := w.get(w.physician(), "/Patient/x?_pretty=false"); bytes.Contains(got.body, []byte("\n")) {
		t.Errorf("without _pretty it is %s", got.body)
	}
	if got := w.get("", "/Patient/x", "Accept: application/fhir+xml").want(t, 401); !strings.HasPrefix(string(got.body), "<?xml") {
		t.Errorf("without a token: %s", got.body)
	}
}

// Who asks for a format by a parameter gets all pages in it.
func TestPagesKeepTheirFormat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, id := range []string{"a", "b", "c"} {
		w.put(w.backend(), strings.Replace(patientX, `"id":"x"`, `"id":"`+id+`"`, 1))
	}
	for _, path := range []string{"/Patient?_count=1&_pretty=true&_format=", "/Patient/_history?_count=1&_format="} {
		for format, read := range map[string]func([]byte) (fhir.Resource, error){"application/fhir%2Bxml": fhirxml.Read, "json": fhir.Parse} {
			seen := 0
			for next := path + format; next != ""; seen++ {
				got := w.get(client(t, "ehr", "system/*.cruds"), next).want(t, 200)
				r, err := read(got.body)
				if err != nil {
					t.Fatalf("page %d of %s%s: %v", seen, path, format, err)
				}
				if strings.Contains(path, "_pretty") != bytes.Contains(got.body, []byte("\n")) {
					t.Errorf("page %d of %s%s is %s", seen, path, format, got.body)
				}
				next = ""
				for link := range r.All("link") {
					if link.Get("relation").Text() == "next" {
						next = strings.TrimPrefix(link.Get("url").Text(), base)
					}
				}
			}
			if seen < 3 {
				t.Errorf("%s%s has %d pages", path, format, seen)
			}
		}
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
