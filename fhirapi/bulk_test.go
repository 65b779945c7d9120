package fhirapi_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"firebreak/fhir"
)

const async = "Prefer: respond-async"

// manifest is the list of an export's files.
type manifest struct {
	TransactionTime     time.Time
	Request             string
	RequiresAccessToken bool
	Output              []struct{ Type, URL string }
	Error               []struct{ Type, URL string }
}

// export orders by a request and fetches everything, as a client does: type/id to JSON.
func (w *world) export(a ask) (manifest, map[string]string) {
	w.t.Helper()
	a.headers = append(a.headers, async)
	job := w.do(a).want(w.t, 202).Header().Get("Content-Location")
	var got answer
	for got = w.get(a.token, job); got.Code == http.StatusAccepted; got = w.get(a.token, job) {
		if got.Header().Get("Retry-After") == "" || got.Header().Get("X-Progress") == "" {
			w.t.Error("an export under way does not say when to ask again, or how far it is")
		}
	}
	got.want(w.t, 200)
	if kind := got.Header().Get("Content-Type"); kind != "application/json" || got.Header().Get("Expires") == "" {
		w.t.Errorf("the list is %s, and ends %q", kind, got.Header().Get("Expires"))
	}
	var m manifest
	must(w.t, json.Unmarshal(got.body, &m))
	if !m.RequiresAccessToken || m.TransactionTime.IsZero() || !strings.HasPrefix(m.Request, base+"/") || m.Error == nil {
		w.t.Errorf("list: %.300s", got.body)
	}
	all := map[string]string{}
	for _, f := range m.Output {
		file := w.get(a.token, f.URL, "Accept: application/fhir+ndjson").want(w.t, 200)
		if kind := file.Header().Get("Content-Type"); kind != "application/fhir+ndjson" {
			w.t.Errorf("a file is %s", kind)
		}
		for line := range strings.Lines(string(file.body)) {
			r, err := fhir.Parse([]byte(line))
			must(w.t, err)
			if r.Type() != f.Type || all[r.Ref().String()] != "" {
				w.t.Errorf("a file of %s holds %s, or holds it again", f.Type, r.Ref())
			}
			all[r.Ref().String()] = strings.TrimSuffix(line, "\n")
		}
	}
	return m, all
}

func reader(t testing.TB) string { return client(t, "reader/reader", "system/*.rs") }

// all is what a search shows on all its pages.
func (w *world) all(token, path string) map[string]string {
	w.t.Helper()
	all := map[string]string{}
	for path != "" {
		page := w.get(token, path).want(w.t, 200)
		for e := range page.resource(w.t).All("entry") {
			r, err := fhir.Parse(e.Get("resource").Raw())
			must(w.t, err)
			all[r.Ref().String()] = string(r.JSON())
		}
		path = page.link(w.t, "next")
	}
	return all
}

// A system's export holds what its searches find, of everyone, of patients or of a
// Group's members, by the parameters of Bulk Data Access.
func TestBulkExport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hospital(4)
	w.put(w.backend(), patientX)
	w.put(w.backend(), `{"resourceType":"Observation","id":"lines","status":"final","code":{"text":"Weight"},`+"\n"+`"subject":{"reference":"Patient/x"},"valueString":"two\\nlines"}`)
	token := reader(t)
	_, everything := w.export(ask{method: "GET", path: "/$export", token: token})
	want, types := map[string]string{}, map[string]bool{}
	for ref := range everything {
		if typ, _, _ := strings.Cut(ref, "/"); !types[typ] {
			types[typ] = true
			maps.Copy(want, w.all(token, "/"+typ+"?_count=500"))
		}
	}
	if len(types) < 8 {
		t.Fatalf("%d types exported", len(types))
	}
	for ref, text := range want {
		if strings.ReplaceAll(strings.ReplaceAll(text, "\n", " "), `"url":"Binary/`, `"url":"`+base+`/Binary/`) != everything[ref] {
			t.Errorf("%s is read otherwise than exported, or not exported", ref)
		}
	}
	if len(want) != len(everything) {
		t.Errorf("%d read, %d exported", len(want), len(everything))
	}

	_, elements := w.export(ask{method: "GET", path: "/$export?_type=Observation,Patient,Encounter&_elements=Observation.value,name,Patient.gender", token: token})
	for ref, text := range elements {
		r, err := fhir.Parse([]byte(text))
		must(t, err)
		names := map[string]string{"Observation": "value", "Patient": "name,gender", "Encounter": "id"}
		alone := w.get(token, "/"+ref+"?_elements="+names[r.Type()]).want(t, 200)
		if !bytes.Contains(r.JSON(), []byte("SUBSETTED")) || string(alone.body) != text {
			t.Errorf("%s is %s, read so %s", ref, text, alone.body)
		}
	}
	if len(elements) < 10 {
		t.Errorf("%d exported in part", len(elements))
	}
	for _, bad := range []string{"wings", "Observation.wings", "Nothing.id", "Patient.name.family", "", "value,", "Observation."} {
		w.do(ask{method: "GET", path: "/$export?_type=Observation&_elements=" + bad, token: token, headers: []string{"Prefer: respond-async"}}).want(t, 400)
	}

	w.put(w.backend(), `{"resourceType":"Binary","id":"letter","contentType":"text/plain","securityContext":{"reference":"Patient/x"},"data":"QQ=="}`)
	w.put(w.backend(), `{"resourceType":"DocumentReference","id":"d","status":"current","subject":{"reference":"Patient/x"},"description":"\"url\":\"Binary/other\"","content":[{"attachment":{"contentType":"text/plain","url" : "Binary/letter"}},{"attachment":{"url":"https://elsewhere.test/Binary/1"}}]}`)
	_, documents := w.export(ask{method: "GET", path: "/$export?_type=DocumentReference&_typeFilter=DocumentReference%3F_id%3Dd", token: token})
	if d, err := fhir.Parse([]byte(documents["DocumentReference/d"])); err != nil || d.Root().At("content").At("attachment.url").Text() != base+"/Binary/letter" ||
		strings.Count(documents["DocumentReference/d"], base) != 1 || !strings.Contains(documents["DocumentReference/d"], `https://elsewhere.test/Binary/1`) {
		t.Errorf("a document is exported as %s (%v)", documents["DocumentReference/d"], err)
	}

	observations := w.all(token, "/Observation?_count=500")
	some := w.all(token, "/Observation?code=2823-3&_count=500")
	for name, c := range map[string]struct {
		ask  ask
		want map[string]string
	}{
		"one type":           {ask{method: "GET", path: "/Patient/$export?_type=Observation&_outputFormat=ndjson"}, observations},
		"a filter":           {ask{method: "GET", path: "/$export?_type=Observation&_typeFilter=Observation%3Fcode%3D2823-3"}, some},
		"posted":             {ask{method: "POST", path: "/Patient/$export", body: `{"resourceType":"Parameters","parameter":[{"name":"_type","valueString":"Observation"},{"name":"_typeFilter","valueString":"Observation?code=2823-3"},{"name":"_since","valueInstant":"2020-01-01T00:00:00Z"}]}`}, some},
		"and one missing":    {ask{method: "GET", path: "/$export?_type=Observation,Basic"}, observations},
		"since just now":     {ask{method: "GET", path: "/$export?_since=" + w.clock().Add(time.Second).Format(time.RFC3339)}, map[string]string{}},
		"unknown, leniently": {ask{method: "GET", path: "/$export?_type=Observation&nothing=1", headers: []string{"Prefer: handling=lenient"}}, observations},
		"a filter of which a part is unknown, leniently": {ask{method: "GET", path: "/$export?_type=Observation&_typeFilter=Observation%3Fcode%3D2823-3%26nothing%3D1&includeAssociatedData=_mine", headers: []string{"Prefer: handling=lenient"}}, some},
	} {
		c.ask.token = token
		m, got := w.export(c.ask)
		if len(got) != len(c.want) {
			t.Errorf("%s: %d, want %d (%+v)", name, len(got), len(c.want), m)
		}
		if (len(m.Error) > 0) != strings.Contains(name, "leniently") {
			t.Errorf("%s: left out: %v", name, m.Error)
		}
		for _, f := range m.Error {
			file := w.get(token, f.URL).want(t, 200)
			for line := range strings.Lines(string(file.body)) {
				said, err := fhir.Parse([]byte(line))
				must(t, err)
				if text := said.Root().Get("issue").At("diagnostics").Text(); f.Type != said.Type() || !strings.Contains(text, "Parameter nothing") && !strings.Contains(text, "Parameter includeAssociatedData:") {
					t.Errorf("%s: %s", name, line)
				}
			}
			if count := strings.Count(string(file.body), "\n"); count != 1+strings.Count(name, "part") {
				t.Errorf("%s: %d lines: %s", name, count, file.body)
			}
			w.get(client(t, "other/reader", "system/*.rs"), f.URL).want(t, 404)
		}
		w.do(ask{method: "DELETE", path: base + strings.TrimPrefix(jobOf(m), base), token: token})
	}
	patients := slices.Sorted(maps.Keys(w.all(token, "/Patient")))
	body := `{"resourceType":"Parameters","parameter":[{"name":"patient","valueReference":{"reference":"` + patients[0] + `"}}]}`
	if _, got := w.export(ask{method: "POST", path: "/Patient/$export", token: token, body: body}); got[patients[0]] == "" || got[patients[1]] != "" || len(got) < 2 {
		t.Errorf("of one patient: %d", len(got))
	}
	w.put(w.backend(), `{"resourceType":"Group","id":"g","type":"person","actual":true,"member":[{"entity":{"reference":"Patient/x"}}]}`)
	if _, got := w.export(ask{method: "GET", path: "/Group/g/$export", token: w.backend()}); got["Patient/x"] == "" || got["Observation/lines"] == "" || got[patients[0]] != "" {
		t.Errorf("of a Group's members: %v", slices.Sorted(maps.Keys(got)))
	}
	w.put(w.backend(), `{"resourceType":"Group","id":"h","type":"person","actual":true,"member":[{"entity":{"reference":"Patient/x"},"inactive":true}]}`)
	if m, got := w.export(ask{method: "GET", path: "/Group/h/$export", token: w.backend()}); len(got) > 0 {
		t.Errorf("of a Group's former members: %+v", m)
	}
	w.get(w.backend(), "/Group/none/$export", async).want(t, 404)
}

// Provenance comes along with what is exported: all of it, or of each resource the newest.
func TestBulkProvenance(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hospital(2)
	w.put(w.backend(), patientX)
	for _, p := range []string{`"id":"old","recorded":"2026-01-01T00:00:00Z","target":[{"reference":"Patient/x"}]`, `"id":"new","recorded":"2026-02-01T00:00:00+01:00","target":[{"reference":"Patient/x"}]`} {
		w.put(w.backend(), `{"resourceType":"Provenance",`+p+`,"agent":[{"who":{"display":"Somebody"}}]}`)
	}
	token := reader(t)
	provenance := w.all(token, "/Provenance?_count=500")
	about := func(typ string) map[string]bool { // what is about resources of a type, and about nothing else
		all := map[string]bool{}
		for ref, text := range provenance {
			if strings.Contains(text, `"reference":"`+typ+"/") {
				all[ref] = true
			}
		}
		return all
	}
	since := "&_since=" + w.clock().Add(time.Second).Format(time.RFC3339)
	for query, want := range map[string]map[string]bool{
		"_type=Observation&includeAssociatedData=RelevantProvenanceResources":                                                 about("Observation"),
		"_type=Observation,Provenance&includeAssociatedData=LatestProvenanceResources,RelevantProvenanceResources":            about("Observation"),
		"_type=Observation&includeAssociatedData=LatestProvenanceResources&includeAssociatedData=RelevantProvenanceResources": about("Observation"),
		"_type=Patient&_typeFilter=Patient%3F_id%3Dx&includeAssociatedData=RelevantProvenanceResources":                       {"Provenance/old": true, "Provenance/new": true},
		"_type=Patient&_typeFilter=Patient%3F_id%3Dx&includeAssociatedData=LatestProvenanceResources":                         {},
		"_type=Patient&includeAssociatedData=RelevantProvenanceResources" + since:                                             {},
	} {
		_, got := w.export(ask{method: "GET", path: "/$export?" + query, token: token})
		some := map[string]bool{}
		for ref := range got {
			if strings.HasPrefix(ref, "Provenance/") {
				some[ref] = true
			}
		}
		for ref := range want {
			if !some[ref] {
				t.Errorf("%s: %s is not there", query, ref)
			}
		}
		if strings.Contains(query, "_id") && strings.Contains(query, "Latest") {
			delete(some, "Provenance/"+strings.TrimPrefix(newestOf(t, provenance, "Patient/x"), "Provenance/"))
			if len(some) > 0 {
				t.Errorf("%s: not only the newest: %v", query, some)
			}
		} else if strings.Contains(query, "_id") { // the gateway's own are about x too
			for ref := range some {
				if !strings.Contains(provenance[ref], `"Patient/x"`) {
					t.Errorf("%s: %s is about something else", query, ref)
				}
			}
		} else if len(some) != len(want) {
			t.Errorf("%s: %d Provenance, want %d", query, len(some), len(want))
		}
	}
	w.get(client(t, "reader/reader", "system/Patient.rs"), "/$export?_type=Patient&includeAssociatedData=LatestProvenanceResources", async).want(t, 403)
	w.get(token, "/$export?_type=Patient&includeAssociatedData=all", async).want(t, 400)
}

// newestOf is the Provenance about a resource that was recorded last.
func newestOf(t *testing.T, all map[string]string, target string) (newest string) {
	var at time.Time
	for ref, text := range all {
		r, err := fhir.Parse([]byte(text))
		must(t, err)
		when, err := time.Parse(time.RFC3339, r.Root().Get("recorded").Text())
		must(t, err)
		if strings.Contains(text, `"`+target+`"`) && when.After(at) {
			newest, at = ref, when
		}
	}
	return newest
}

// jobOf is the address of the order that a list belongs to; of an empty list nothing.
func jobOf(m manifest) string {
	if len(m.Output) == 0 {
		return "/bulk/0000000000000000"
	}
	return m.Output[0].URL[:strings.LastIndex(m.Output[0].URL, "/")]
}

// What an order, its list and its files are refused for.
func TestBulkRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hospital(1)
	token := reader(t)
	for path, status := range map[string]int{
		"/$export?_type=Nothing": 400, "/$export?_outputFormat=csv": 400, "/$export?_since=yesterday": 400, "/$export?nothing=1": 400, "/$export?_since=2099-01-01T00:00:00Z": 400,
		"/$export?_typeFilter=Observation%3Fcode%3D1&_type=Patient": 400, "/$export?_typeFilter=Observation%3F_sort%3Ddate": 400, "/$export?_typeFilter=Observation%3Fnothing%3D1": 400,
		"/Patient/$export?patient=Patient/1": 400, "/$export?_format=turtle": 406,
	} {
		w.get(token, path, async).want(t, status)
	}
	w.get(token, "/$export").want(t, 400)
	w.get("", "/$export", async).want(t, 401)
	w.get(w.physician(), "/$export", async).want(t, 403)
	w.get(person(t, "physician", "patient/*.rs", w.ayan()), "/Patient/$export", async).want(t, 403)
	w.get(client(t, "reader/reader", "system/Patient.rs"), "/$export?_type=Observation", async).want(t, 403)
	w.do(ask{method: "PUT", path: "/$export", token: token, body: "{}"}).want(t, 405)
	w.do(ask{method: "POST", path: "/$export", token: token, body: `{"resourceType":"Patient"}`, headers: []string{async}}).want(t, 400)

	job := w.get(token, "/$export?_type=Patient", async).want(t, 202).Header().Get("Content-Location")
	w.get(token, job).want(t, 200)
	other := client(t, "other/reader", "system/*.rs")
	never := w.get(other, job[:len(job)-4]+"zzzz").want(t, 404)
	for _, address := range []string{job, job + "/0", job + "/99"} {
		if got := w.get(other, address).want(t, 404); string(got.body) != string(never.body) {
			t.Errorf("another's export is told from none: %s", got.body)
		}
	}
	w.get(token, job+"/99").want(t, 404)
	w.do(ask{method: "PUT", path: job, token: token, body: "{}"}).want(t, 405)
	w.do(ask{method: "DELETE", path: job, token: other}).want(t, 404)
	w.get(token, job+"/0").want(t, 200)
	w.do(ask{method: "DELETE", path: job, token: token}).want(t, 202)
	w.get(token, job).want(t, 404)
	w.get(token, job+"/0").want(t, 404)

	job = w.get(token, "/$export?_type=Patient", async).want(t, 202).Header().Get("Content-Location")
	w.later(25 * time.Hour)
	w.get(token, job).want(t, 404)
}
