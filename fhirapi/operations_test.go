package fhirapi_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// $everything is the whole record as the caller sees it, whichever way it is cut
// into pages; it is there for whom the Patient is there.
func TestEverything(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hospital(2)
	id := w.ayan()
	me := w.physician()
	all := w.pages(me, "/Patient/"+id+"/$everything")
	for path, in := range map[string]string{ // what changes nothing is asked by POST as by GET
		"/Patient/" + id + "/$everything":  "_count=3&_type=Condition&start=2020-01-01",
		"/Patient/" + id + "/$summary":     "",
		"/Observation/$lastn":              "patient=" + id + "&code=2823-3&max=2",
		"/DocumentReference/$docref":       "patient=" + id,
		"/Patient/$ihe-pix":                "sourceIdentifier=urn:x%7Cnone",
		"/Patient/" + id + "/$everything/": "",
	} {
		values, err := url.ParseQuery(in)
		must(t, err)
		var parts []map[string]any
		for name, v := range values {
			part := map[string]any{"name": name, "valueString": v[0]}
			if n, err := strconv.Atoi(v[0]); err == nil {
				part = map[string]any{"name": name, "valueInteger": n}
			}
			parts = append(parts, part)
		}
		read := w.get(me, path+"?"+in)
		for _, body := range []string{"", string(marshal(t, map[string]any{"resourceType": "Parameters", "parameter": parts}))} {
			where := path
			if body == "" {
				where += "?" + in
			}
			if got := w.do(post(me, where, body)); got.Code != read.Code || !bytes.Equal(got.body, read.body) {
				t.Errorf("%s by POST of %q: %d %.200s, by GET %d %.200s", where, body, got.Code, got.body, read.Code, read.body)
			}
		}
	}
	w.do(post(me, "/Patient/"+id+"/$everything", `{"resourceType":"Patient"}`)).want(t, 400)
	w.do(post(me, "/Patient/"+id+"/$everything", `{"resourceType":"Parameters","parameter":[{"name":"wings","valueCode":"x"}]}`)).want(t, 400)
	slices.Sort(all)
	chart := w.chart(me, id)
	for _, ref := range all { // what is not named by its neighbours is read by itself
		if delete(chart, ref); w.get(me, "/"+ref).Code != 200 {
			t.Errorf("%s cannot be read", ref)
		}
	}
	if len(chart) > 0 || len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Errorf("%d are missing, or there twice", len(chart))
	}
	for _, query := range []string{"?_count=500", "?_count=90"} {
		if got := w.pages(me, "/Patient/"+id+"/$everything"+query); !slices.Equal(slices.Sorted(slices.Values(got)), all) {
			t.Errorf("%s: %d of %d", query, len(got), len(all))
		}
	}
	of := func(types ...string) (some []string) {
		for _, ref := range all {
			if typ, _, _ := strings.Cut(ref, "/"); slices.Contains(types, typ) {
				some = append(some, ref)
			}
		}
		return some
	}
	if got, want := w.pages(me, "/Patient/"+id+"/$everything?_type=Condition,Encounter"), of("Condition", "Encounter"); !slices.Equal(got, want) || len(want) == 0 {
		t.Errorf("of two types %v, want %v", got, want)
	}
	app := person(t, "physician", "patient/Observation.rs patient/Patient.rs", id)
	if got, want := w.pages(app, "/Patient/"+id+"/$everything?_count=400"), of("Observation", "Patient"); !slices.Equal(got, want) {
		t.Errorf("of what a token covers %d, want %d", len(got), len(want))
	}
	w.get(app, "/Patient/"+id+"/$everything?_type=Condition").want(t, 403)
	within := w.pages(me, "/Patient/"+id+"/$everything?_count=500&_type=Observation,Patient,Practitioner&start=2026-06&end=2026-08-31")
	results := slices.DeleteFunc(slices.Clone(within), func(ref string) bool { return !strings.HasPrefix(ref, "Observation/") })
	if want := w.pages(me, "/Observation?_count=500&date=ge2026-06&date=le2026-08-31&patient="+id); !slices.Equal(results, want) || len(want) == 0 || !slices.Contains(within, "Patient/"+id) {
		t.Errorf("between two dates %d, want %d", len(results), len(want))
	}
	if got := w.pages(me, "/Patient/"+id+"/$everything?_since=2030-01-01T00:00:00Z"); len(got) != 0 {
		t.Errorf("of the future: %v", got)
	}
	other := w.get(me, "/Patient?identifier=GH1000001").want(t, 200).ids(t, "match")[0]
	none := w.get(me, "/Patient/none/$everything").want(t, 404)
	if got := w.get(app, "/"+other+"/$everything").want(t, 404); string(got.body) != string(none.body) {
		t.Errorf("another patient's record: %s", got.body)
	}
	for _, query := range []string{"start=yesterday", "_since=x", "_type=Sample", "wings=1", "start=2026&start=2025", "_count=x"} {
		w.get(me, "/Patient/"+id+"/$everything?"+query).want(t, 400)
	}
	page := w.get(me, "/Patient/"+id+"/$everything?_count=5&end=2030").want(t, 200)
	if self, next := page.link(t, "self"), page.link(t, "next"); self != base+"/Patient/"+id+"/$everything?_count=5&end=2030" || !strings.HasPrefix(next, self+"&_cursor=") {
		t.Errorf("self is %s, next %s", self, next)
	}
	w.get(me, strings.Replace(page.link(t, "next"), "end=2030", "end=2031", 1)).want(t, 400) // a cursor is of one question
}

// $lastn is the newest of each code, held against reading all of them.
func TestLastn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hospital(1)
	id := w.ayan()
	me := w.physician()
	type result struct{ ref, at string }
	by := map[string][]result{} // the hospital gives each test one LOINC code
	for next := "/Observation?category=laboratory&_count=500&patient=" + id; next != ""; {
		page := w.get(me, next).want(t, 200)
		for r := range page.resource(t).All("entry.resource") {
			code := ""
			for c := range r.Get("code").Get("coding").Items() {
				if code == "" || c.Get("system").Is("http://loinc.org") {
					code = c.Get("system").Text() + "|" + c.Get("code").Text()
				}
			}
			by[code] = append(by[code], result{"Observation/" + r.Get("id").Text(), r.Get("effectiveDateTime").Text()})
		}
		next = page.link(t, "next")
	}
	for _, most := range []int{1, 3} {
		want := map[string]bool{}
		for _, all := range by {
			slices.SortStableFunc(all, func(a, b result) int { return strings.Compare(b.at, a.at) })
			for _, r := range all[:min(most, len(all))] {
				want[r.ref] = true
			}
		}
		got := w.pages(me, fmt.Sprintf("/Observation/$lastn?category=laboratory&_count=7&max=%d&patient=%s", most, id))
		if slices.Sort(got); !slices.Equal(got, slices.Sorted(maps.Keys(want))) || len(got) < 10 {
			t.Errorf("the last %d: %d of %d", most, len(got), len(want))
		}
	}
	for _, query := range []string{"", "category=laboratory", "patient=a,b", "patient=" + id + "&max=0", "patient=" + id + "&_sort=date", "patient=" + id + "&wings=1"} {
		w.get(me, "/Observation/$lastn?"+query).want(t, 400)
	}
}

// $docref finds the newest document of each type, or all of a time.
func TestDocref(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(w.backend(), patientX)
	for i, d := range []string{"a 34133-9 2026-01", "b 34133-9 2026-03", "c 11488-4 2026-02"} {
		f := strings.Fields(d)
		w.put(w.backend(), fmt.Sprintf(`{"resourceType":"DocumentReference","id":"%s","status":"current","type":{"coding":[{"system":"http://loinc.org","code":"%s"}]},"subject":{"reference":"Patient/x"},"date":"%s-0%dT00:00:00Z","context":{"period":{"start":"%s-01","end":"%s-02"}},"content":[{"attachment":{"contentType":"text/plain","data":"eA=="}}]}`,
			f[0], f[1], f[2], i+1, f[2], f[2]))
	}
	for query, want := range map[string]string{
		"patient=x": "[DocumentReference/b DocumentReference/c]",
		"patient=x&type=http://loinc.org|34133-9":   "[DocumentReference/b]",
		"patient=x&start=2026-01-01&end=2026-02-28": "[DocumentReference/a DocumentReference/c]",
		"patient=x&start=2026-02-15&type=34133-9":   "[DocumentReference/b]",
		"patient=none": "[]",
	} {
		if got := fmt.Sprint(w.get(w.physician(), "/DocumentReference/$docref?"+query).want(t, 200).ids(t, "match")); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	w.get(w.physician(), "/DocumentReference/$docref").want(t, 400)
}

// $match grades those whom the same caller would find by number, or by family
// name and birth date, and nobody else.
func TestMatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hospital(2)
	me := w.physician()
	for sent, want := range map[string]string{
		`"identifier":[{"value":"GH1000000"}],"name":[{"family":"AYAN"}],"birthDate":"1971-02-03"`: "[certain]",
		`"identifier":[{"value":"GH1000000"}]`:                                                     "[probable]",
		`"identifier":[{"value":"GH1000000"}],"birthDate":"1999-01-01"`:                            "[possible]", // the number is known for somebody else
		`"name":[{"family":"Ayan"}],"birthDate":"1971-02-03"`:                                      "[possible]",
		`"name":[{"family":"Ayan","given":["Somebody"]}],"birthDate":"1971-02-03"`:                 "[]",
		`"name":[{"family":"Ayan"}],"birthDate":"1971-02-04"`:                                      "[]",
		`"name":[{"family":"Aya"}],"birthDate":"1971-02-03"`:                                       "[]", // a search would take the beginning of a name
		`"identifier":[{"system":"urn:none","value":"GH1000000"}]`:                                 "[]",
		`"identifier":[{"value":"GH1000000"},{"value":"GH1000001"}]`:                               "[probable probable]",
	} {
		for _, body := range []string{`{"resourceType":"Patient",` + sent + `}`, `{"resourceType":"Parameters","parameter":[{"name":"resource","resource":{"resourceType":"Patient",` + sent + `}},{"name":"count","valueInteger":5}]}`} {
			got := w.do(post(me, "/Patient/$match", body)).want(t, 200)
			if grades := fmt.Sprint(texts(got.resource(t), "entry.search.extension.valueCode")); grades != want {
				t.Errorf("%s: %s, want %s", sent, grades, want)
			}
		}
	}
	sure := `{"resourceType":"Parameters","parameter":[{"name":"onlyCertainMatches","valueBoolean":true},{"name":"resource","resource":{"resourceType":"Patient","identifier":[{"value":"GH1000000"},{"value":"GH1000001"}]}}]}`
	if got := w.do(post(me, "/Patient/$match", sure)).want(t, 200); got.total(t) != "0" {
		t.Errorf("two are not certain: %s", got.body)
	}
	for _, body := range []string{`{"resourceType":"Patient"}`, `{"resourceType":"Patient","name":[{"family":"Ayan"}]}`, `{"resourceType":"Patient","birthDate":"1971-02-03"}`, `{"resourceType":"Observation"}`, `{"resourceType":"Parameters"}`,
		`{"resourceType":"Patient","name":[{"family":"Ayan"}],"birthDate":"yesterday"}`} {
		w.do(post(me, "/Patient/$match", body)).want(t, 400)
	}
}
