package fhirapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

func jsonPatch(token, path, doc string, headers ...string) ask {
	return ask{method: http.MethodPatch, path: path, token: token, body: doc, headers: append(headers, "Content-Type: application/json-patch+json")}
}

func pathPatch(token, path, doc string, headers ...string) ask {
	return ask{method: http.MethodPatch, path: path, token: token, body: doc, headers: headers}
}

// A source changes parts of what it sent, by either form, by id or by a search of what
// it sent, and depending on a version; what it did not send it does not touch.
func TestPatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hospital(1)
	ehr := w.backend()
	first := w.put(ehr, strings.Replace(patientX, `"name"`, `"identifier":[{"system":"urn:mrn","value":"7"}],"name"`, 1)).Header().Get("ETag")
	family := func(want string) {
		t.Helper()
		if got := w.get(ehr, "/Patient/x").resource(t).Root().At("name.family").Text(); got != want {
			t.Errorf("the family name is %s, want %s", got, want)
		}
	}
	const elm = `[{"op":"test","path":"/name/0/family","value":"Oak"},{"op":"replace","path":"/name/0/family","value":"Elm"}]`
	const ash = `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"replace"},{"name":"path","valueString":"Patient.name[0].family"},{"name":"value","valueString":"Ash"}]}]}`
	got := w.do(jsonPatch(ehr, "/Patient/x", elm)).want(t, 200)
	family("Elm")
	if got.resource(t).Root().At("identifier.value").Text() != "7" || got.Header().Get("ETag") == first || !strings.Contains(got.Header().Get("Location"), "/Patient/x/_history/") {
		t.Errorf("%v %s", got.Header(), got.body)
	}
	w.do(jsonPatch(ehr, "/Patient/x", elm)).want(t, 422) // its test fails now
	w.do(pathPatch(ehr, "/Patient/x", ash, "If-Match: "+first)).want(t, 412)
	w.do(pathPatch(ehr, "/Patient/x", ash, "If-Match: "+got.Header().Get("ETag"))).want(t, 200)
	family("Ash")
	minimal := w.do(jsonPatch(ehr, "/Patient?identifier=urn:mrn|7", `[{"op":"replace","path":"/name/0/family","value":"Yew"}]`, "Prefer: return=minimal")).want(t, 200)
	if family("Yew"); len(minimal.body) > 0 {
		t.Errorf("%s", minimal.body)
	}
	w.do(pathPatch(ehr, "/Patient/x", `<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/><part><name value="type"/><valueCode value="delete"/></part><part><name value="path"/><valueString value="Patient.identifier"/></part></parameter></Parameters>`, "Content-Type: application/fhir+xml")).want(t, 200)
	if n := w.get(ehr, "/Patient/x").resource(t).Get("identifier"); !n.IsZero() {
		t.Errorf("%s stays", n.Raw())
	}

	lab := client(t, "lab", "system/*.cruds")
	for name, c := range map[string]struct {
		ask    ask
		status int
	}{
		"nothing there":            {jsonPatch(ehr, "/Patient/none", `[]`), 404},
		"another source's":         {jsonPatch(lab, "/Patient/x", `[]`), 403},
		"a person":                 {jsonPatch(w.physician(), "/Patient/x", `[]`), 405},
		"a reader":                 {jsonPatch(client(t, "ehr", "system/*.rs"), "/Patient/x", `[]`), 403},
		"what a message brought":   {jsonPatch(ehr, "/Patient/"+w.ayan(), `[]`), 403},
		"another id":               {jsonPatch(ehr, "/Patient/x", `[{"op":"replace","path":"/id","value":"y"}]`), 400},
		"another type":             {jsonPatch(ehr, "/Patient/x", `[{"op":"replace","path":"/resourceType","value":"Person"}]`), 400},
		"not valid then":           {jsonPatch(ehr, "/Patient/x", `[{"op":"add","path":"/gender","value":"blue"}]`), 422},
		"found by nothing":         {jsonPatch(ehr, "/Patient?identifier=urn:mrn|8", `[]`), 404},
		"found by an empty search": {jsonPatch(ehr, "/Patient", `[]`), 400},
		"no patch":                 {pathPatch(ehr, "/Patient/x", patientX), 400},
		"neither form":             {pathPatch(ehr, "/Patient/x", elm, "Content-Type: text/plain"), 415},
		"compressed":               {jsonPatch(ehr, "/Patient/x", elm, "Content-Encoding: gzip"), 415},
	} {
		if got := w.do(c.ask); got.Code != c.status {
			t.Errorf("%s: %d, want %d\n%s", name, got.Code, c.status, got.body)
		}
	}
	family("Yew")
}

// Patches at the same time all count: each is made of the version that it replaces.
func TestPatchesAtTheSameTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ehr := w.backend()
	w.put(ehr, patientX)
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for {
				got := w.do(jsonPatch(ehr, "/Patient/x", fmt.Sprintf(`[{"op":"add","path":"/name/0/given/-","value":"n%d"}]`, n)))
				if got.Code == http.StatusPreconditionFailed { // as it says after some tries
					continue
				}
				got.want(t, 200)
				return
			}
		})
	}
	all.Wait()
	given := w.get(ehr, "/Patient/x").resource(t).Root().At("name.given")
	for n := range 8 {
		if !strings.Contains(string(w.get(ehr, "/Patient/x").body), fmt.Sprintf(`"n%d"`, n)) {
			t.Errorf("n%d is lost: %s", n, given.Raw())
		}
	}
}
