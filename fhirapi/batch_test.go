package fhirapi_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// entries are a Bundle's, each "status resource-type-or-code".
func (a answer) entries(t testing.TB) (all []string) {
	t.Helper()
	for e := range a.resource(t).All("entry") {
		what := e.At("resource.resourceType").Text()
		if what == "" {
			what = e.At("response.outcome.issue.code").Text()
		}
		all = append(all, strings.TrimSpace(e.At("response.status").Text()+" "+what))
	}
	return all
}

// An entry that reads is answered as its address answers a request of its own, to a
// person's app as to a source's.
func TestBatchReads(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hospital(1)
	id := w.ayan()
	paths := []string{"Patient/" + id, "Observation?patient=" + id + "&_count=2", "/Patient/" + id + "/_history", base + "/Encounter?patient=" + id + "&_summary=count", "Patient/" + id + "/Encounter?_count=1", "Patient/none", "Nothing/1", "nothing", "Observation?patient=" + id + "&wings=1", "Observation", "Patient/" + id + "/x/y/z"}
	var all []string
	for _, p := range paths {
		all = append(all, "GET "+p)
	}
	for name, token := range map[string]string{"a physician": w.physician(), "an app for one patient": person(t, "physician", "patient/Observation.rs", id), "a system": reader(t), "another's app": person(t, "physician", "patient/*.rs", "x")} {
		got := w.do(post(token, "", bundle("batch", all...))).want(t, 200)
		n := 0
		for e := range got.resource(t).All("entry") {
			path := "/" + strings.TrimPrefix(strings.TrimPrefix(paths[n], base), "/")
			alone := w.get(token, path)
			inside, what := e.Get("resource"), fmt.Sprintf("%s: %s", name, path)
			if alone.Code >= 400 {
				inside = e.At("response.outcome")
			}
			if e.At("response.status").Text() != fmt.Sprint(alone.Code) || !bytes.Equal(inside.Raw(), alone.body) {
				t.Errorf("%s: %.300s, alone %d %.300s", what, e.Raw(), alone.Code, alone.body)
			}
			if tag := alone.Header().Get("ETag"); tag != e.At("response.etag").Text() {
				t.Errorf("%s: etag %s, alone %s", what, e.At("response.etag").Text(), tag)
			}
			n++
		}
		if n != len(paths) {
			t.Fatalf("%d answers", n)
		}
	}
	tag := w.get(w.physician(), "/Patient/"+id).Header().Get("ETag")
	conditional := strings.Replace(bundle("batch", "GET Patient/"+id), `"url"`, `"ifNoneMatch":`+fmt.Sprintf("%q", tag)+`,"url"`, 1)
	if got := w.do(post(w.physician(), "", conditional)).want(t, 200).entries(t); fmt.Sprint(got) != "[304]" {
		t.Errorf("what is known is sent again: %v", got)
	}
	xml := w.do(post(w.physician(), "?_format=xml", bundle("batch", "GET Patient/"+id+"?_format=json"))).want(t, 200)
	if !strings.HasPrefix(xml.Header().Get("Content-Type"), "application/fhir+xml") || !strings.Contains(string(xml.body), "<Patient") {
		t.Errorf("%s %.200s", xml.Header().Get("Content-Type"), xml.body)
	}
	w.do(post(w.physician(), "", bundle("batch", slices.Repeat([]string{"GET Patient/" + id}, 101)...))).want(t, 422)
}

// Who is no source changes nothing by a Bundle, and is told so for each entry.
func TestBatchOfWhoMayNotWrite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(w.backend(), patientX)
	got := w.do(post(w.physician(), "", bundle("batch", "PUT Patient/x||"+strings.Replace(patientX, "Oak", "Elm", 1), "GET Patient/x", "DELETE Patient/x", "POST Patient||"+patientX))).want(t, 200)
	if all := fmt.Sprint(got.entries(t)); all != "[403 forbidden 200 Patient 403 forbidden 403 forbidden]" {
		t.Error(all)
	}
	w.do(post(w.physician(), "", bundle("transaction", "GET Patient/x"))).want(t, 405)
	w.do(post(w.backend(), "", bundle("transaction", "GET Patient/x"))).want(t, 400)
	if !strings.Contains(string(w.get(w.backend(), "/Patient/x").body), "Oak") {
		t.Error("it changed")
	}
}

// An entry that depends on another version than there is changes nothing, nor does the
// transaction that it stands in.
func TestEntriesDependOnVersions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ehr := w.backend()
	tag := w.put(ehr, patientX).Header().Get("ETag")
	try := func(kind, condition, value string) ask {
		elm := strings.NewReplacer("Oak", "Elm", `"x"`, `"y"`)
		body := bundle(kind, "PUT Patient/x||"+strings.Replace(patientX, "Oak", "Elm", 1), "PUT Patient/y||"+elm.Replace(patientX))
		return post(ehr, "", strings.Replace(body, `"url"`, fmt.Sprintf(`%q:%q,"url"`, condition, value), 1))
	}
	for _, a := range []ask{try("transaction", "ifMatch", `W/"1"`), try("transaction", "ifNoneMatch", "*")} {
		w.do(a).want(t, 412)
		w.get(ehr, "/Patient/y").want(t, 404)
	}
	for _, c := range []struct {
		ask  ask
		want string
	}{{try("batch", "ifMatch", `W/"1"`), "[412 conflict 201]"}, {try("transaction", "ifMatch", tag), "[200 200]"}} {
		if got := fmt.Sprint(w.do(c.ask).want(t, 200).entries(t)); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
	if !strings.Contains(string(w.get(ehr, "/Patient/x").body), "Elm") {
		t.Error("it did not change")
	}
}
