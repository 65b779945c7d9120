package fhirapi_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"
)

const (
	patientX = `{"resourceType":"Patient","id":"x","name":[{"family":"Oak","given":["Ada"]}],"birthDate":"1980-01-02"}`
	sodium   = `{"resourceType":"Observation","id":"na","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"2951-2","display":"Sodium"}]},"subject":{"reference":"Patient/x"},"effectiveDateTime":"2026-11-01","valueQuantity":{"value":140.0,"unit":"mmol/L"}}`
)

func TestRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(w.backend(), patientX)
	w.put(w.backend(), sodium)
	for _, token := range []string{w.physician(), w.backend()} {
		got := w.get(token, "/Observation/na").want(t, 200)
		r := got.resource(t)
		if !bytes.Contains(got.body, []byte(`"value":140.0,`)) || r.ID() != "na" {
			t.Errorf("%s", got.body)
		}
		vid := r.Root().At("meta.versionId").Text()
		if vid == "" || got.Header().Get("ETag") != `W/"`+vid+`"` {
			t.Errorf("version %q, ETag %s", vid, got.Header().Get("ETag"))
		}
		if at := r.Root().At("meta.lastUpdated").Text(); at != "2026-11-22T12:00:00.000Z" || got.Header().Get("Last-Modified") != "Sun, 22 Nov 2026 12:00:00 GMT" {
			t.Errorf("last updated %s, %s", at, got.Header().Get("Last-Modified"))
		}
		head := w.do(ask{method: http.MethodHead, path: "/Observation/na", token: token}).want(t, 200)
		for _, h := range []string{"ETag", "Last-Modified", "Content-Length", "Content-Type"} {
			if head.Header().Get(h) != got.Header().Get(h) || head.Header().Get(h) == "" {
				t.Errorf("HEAD says %s %q, GET %q", h, head.Header().Get(h), got.Header().Get(h))
			}
		}
		if v := w.get(token, "/Observation/na/_history/"+vid).want(t, 200); !bytes.Equal(v.body, got.body) || v.Header().Get("ETag") != got.Header().Get("ETag") {
			t.Errorf("the version reads %s", v.body)
		}
		none := w.get(token, "/Observation/none").want(t, 404)
		for _, path := range []string{"/Observation/na/_history/none", "/Observation/none/_history", "/Observation/none/_history/1", "/Patient/na", "/DiagnosticReport/na"} {
			if other := w.get(token, path).want(t, 404); !bytes.Equal(other.body, none.body) {
				t.Errorf("%s is absent in other words: %s", path, other.body)
			}
		}
	}
}

// A client that has what it would get is told so (R4 http.html#cread).
func TestConditionalRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(w.backend(), patientX)
	tag := w.get(w.physician(), "/Patient/x").Header().Get("ETag")
	for header, status := range map[string]int{
		"If-None-Match: " + tag:                              304,
		"If-None-Match: " + strings.TrimPrefix(tag, "W/"):    304,
		`If-None-Match: "a", ` + tag:                         304,
		"If-None-Match: *":                                   304,
		`If-None-Match: W/"other"`:                           200,
		"If-Modified-Since: Sun, 22 Nov 2026 12:00:00 GMT":   304,
		"If-Modified-Since: Sun, 22 Nov 2026 11:59:59 GMT":   200,
		"If-Modified-Since: not a time":                      200,
		"If-Modified-Since: Monday, 23-Nov-26 12:00:00 GMT":  304,
		"If-Modified-Since: Sun Nov 22 12:00:00 2026":        304,
		"If-Unmodified-Since: Sun, 22 Nov 2020 12:00:00 GMT": 200,
	} {
		got := w.get(w.physician(), "/Patient/x", header).want(t, status)
		if got.Header().Get("ETag") != tag || status == 304 && len(got.body) > 0 {
			t.Errorf("%s: %v %s", header, got.Header(), got.body)
		}
	}
	// The tag counts, not the time, when both are sent.
	w.get(w.physician(), "/Patient/x", `If-None-Match: "other"`, "If-Modified-Since: Sun, 22 Nov 2026 12:00:00 GMT").want(t, 200)
}

func TestHistory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(w.backend(), patientX)
	for _, value := range []string{"140.0", "141", "142"} {
		w.put(w.backend(), strings.Replace(sodium, "140.0", value, 1))
		w.later(24 * time.Hour)
	}
	token := w.physician()
	all := w.get(token, "/Observation/na/_history").want(t, 200).resource(t)
	var values []string
	for e := range all.All("entry") {
		values = append(values, e.At("request.method").Text()+" "+e.At("resource.valueQuantity.value").Text()+" "+e.At("response.status").Text())
		if e.At("response.etag").Text() != `W/"`+e.At("resource.meta.versionId").Text()+`"` || e.Get("fullUrl").Text() != base+"/Observation/na" {
			t.Errorf("%s", e.Raw())
		}
	}
	if got := strings.Join(values, ", "); got != "PUT 142 200, PUT 141 200, POST 140.0 201" || all.Get("total").Text() != "3" || all.Get("type").Text() != "history" {
		t.Errorf("%s of %s", got, all.Get("total").Text())
	}
	for query, want := range map[string]string{
		"_since=2026-11-23T12:00:00Z":        "142 141",
		"_since=2026-11-23T12:00:00.001Z":    "142",
		"_since=2027-01-01T00:00:00%2B01:00": "",
		"_at=2026-11-22":                     "140.0",
		"_at=2026-11-23":                     "141 140.0",
		"_at=2026-11":                        "142 141 140.0",
		"_at=2026":                           "142 141 140.0",
		"_at=2026-12-24":                     "142",
		"_at=2025":                           "",
		"_at=2026-11-24T11:59:59Z":           "141",
		"_at=2026-11-24T11:59:59.500Z&_since=2026-11-24T00:00:00Z": "",
		"_format=json&_pretty=true":                                "142 141 140.0",
	} {
		got := w.get(token, "/Observation/na/_history?"+query).want(t, 200).resource(t)
		var values []string
		for v := range got.All("entry.resource.valueQuantity.value") {
			values = append(values, v.Text())
		}
		if strings.Join(values, " ") != want {
			t.Errorf("%s shows %v", query, values)
		}
	}
	// Page by page.
	var pages []string
	for next := "/Observation/na/_history?_count=2"; next != ""; {
		page := w.get(token, next).want(t, 200)
		r := page.resource(t)
		var values []string
		for v := range r.All("entry.resource.valueQuantity.value") {
			values = append(values, v.Text())
		}
		pages = append(pages, strings.Join(values, " "))
		if page.total(t) != "3" {
			t.Errorf("total %s", page.total(t))
		}
		next = page.link(t, "next")
	}
	if strings.Join(pages, " / ") != "142 141 / 140.0" {
		t.Errorf("pages %q", pages)
	}
	w.get(token, "/Observation/na/_history?_count=0").want(t, 200)
	for _, query := range []string{"_count=x", "_count=-1", "_since=2026", "_since=2026-11-23T12:00:00", "_at=soon", "_cursor=none", "code=x", "_count=1&_count=2", "%zz"} {
		w.get(token, "/Observation/na/_history?"+query).want(t, 400)
	}
	w.get(token, "/Observation/na/_history?code=x", "Prefer: handling=lenient").want(t, 200)
}

func TestSummaryAndElements(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(w.backend(), `{"resourceType":"Patient","id":"x","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">Ada</div>"},"name":[{"family":"Oak"}],"birthDate":"1980-01-02","maritalStatus":{"text":"single"}}`)
	for query, want := range map[string]string{
		"_summary=true":                   "resourceType meta id name birthDate",
		"_summary=text":                   "resourceType meta id text",
		"_summary=data":                   "resourceType meta id name birthDate maritalStatus",
		"_summary=false":                  "resourceType meta id text name birthDate maritalStatus",
		"_elements=birthDate":             "resourceType meta id birthDate",
		"_elements=name,Patient.language": "resourceType meta id name",
	} {
		got := w.get(w.physician(), "/Patient/x?"+query).want(t, 200)
		r := got.resource(t)
		var names []string
		for name := range r.Root().Members() {
			names = append(names, name)
		}
		if s := strings.Join(names, " "); s != want {
			t.Errorf("%s shows %s, want %s", query, s, want)
		}
		subset := strings.Contains(string(got.body), "SUBSETTED")
		if subset == (query == "_summary=false") || subset == (got.Header().Get("ETag") != "") {
			t.Errorf("%s: subset %v, ETag %q", query, subset, got.Header().Get("ETag"))
		}
	}
	for _, query := range []string{"_summary=some", "_summary=count", "_elements=wings", "name=x", "_summary=true&_summary=data", "%zz"} {
		w.get(w.physician(), "/Patient/x?"+query).want(t, 400)
	}
	w.get(w.physician(), "/Patient/x?name=x", "Prefer: handling=lenient").want(t, 200)
}

func TestNegotiation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(w.backend(), patientX)
	for _, c := range []struct {
		query, accept string
		status        int
	}{
		{"", "", 200},
		{"", "*/*", 200},
		{"", "application/fhir+json", 200},
		{"", "application/fhir+json; fhirVersion=4.0", 200},
		{"", "application/fhir+json; fhirVersion=4.0.1; charset=utf-8", 200},
		{"", "application/json", 200},
		{"", "text/html, application/xml;q=0.9, */*;q=0.8", 200},
		{"", "application/fhir+xml, application/fhir+json;q=0.1", 200},
		{"", "application/fhir+xml", 200},
		{"", "application/xml", 200},
		{"", "text/html", 406},
		{"", "application/fhir+json; fhirVersion=3.0", 406},
		{"", "application/fhir+json;q=0", 406},
		{"", "application/fhir+json;q=0.0", 406},
		{"?_format=json", "application/fhir+xml", 200},
		{"?_format=application/fhir%2Bjson", "", 200},
		{"?_format=application/fhir+json", "", 200},
		{"?_format=application/json", "", 200},
		{"?_format=xml", "application/fhir+json", 200},
		{"?_format=application/fhir%2Bxml", "", 200},
		{"?_format=ttl", "", 406},
		{"?_format=", "", 406},
		{"?_format=json&_pretty=true", "", 200},
	} {
		for _, path := range []string{"/metadata", "/Patient/x", "/Patient/x/_history", "/Patient?_id=x", "/Patient/none"} {
			query := c.query
			if strings.Contains(path, "?") {
				query = strings.Replace(query, "?", "&", 1)
			}
			var headers []string
			if c.accept != "" {
				headers = []string{"Accept: " + c.accept}
			}
			status := c.status
			if path == "/Patient/none" && status == 200 {
				status = 404
			}
			if got := w.get(w.physician(), path+query, headers...); got.Code != status {
				t.Errorf("%s%s, Accept %q: %d, want %d", path, query, c.accept, got.Code, status)
			}
		}
	}
	// In a form too.
	form := func(body, accept string) int {
		return w.do(ask{method: http.MethodPost, path: "/Patient/_search", token: w.physician(), body: body, headers: []string{"Content-Type: application/x-www-form-urlencoded", "Accept: " + accept}}).Code
	}
	if got := form("_id=x&_format=json", "text/html"); got != 200 {
		t.Errorf("_format in a form: %d", got)
	}
	if got := form("_id=x&_format=ttl", "application/json"); got != 406 {
		t.Errorf("_format in a form: %d", got)
	}
}
