package fhirapi_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// GET and POST are one search (R4 search.html#post).
func TestSearchByGetAndPost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hospital(1)
	id := w.ayan()
	for _, query := range []string{
		"patient=" + id, "patient=Patient/" + id, "patient=" + base + "/Patient/" + id, "subject:Patient=" + id,
		"patient=" + id + "&code=http://loinc.org|2823-3&_sort=-date&_count=3", "patient=" + id + "&_summary=count", "patient=" + id + "&_total=none&_elements=code",
		"patient=" + id + "&code=none", "patient=" + id + "&date=ge2026-01-01&date=lt2026-09-01", "patient=" + id + "&_include=Observation:performer&_revinclude=DiagnosticReport:result",
	} {
		get := w.get(w.physician(), "/Observation?"+query).want(t, 200)
		half := strings.Index(query, "&")
		if half < 0 {
			half = len(query)
		}
		for _, split := range [][2]string{{"", query}, {"?" + query[:half], strings.TrimPrefix(query[half:], "&")}} {
			post := w.do(ask{method: http.MethodPost, path: "/Observation/_search" + split[0], token: w.physician(), body: split[1], headers: []string{"Content-Type: application/x-www-form-urlencoded"}}).want(t, 200)
			if !bytes.Equal(get.body, post.body) {
				t.Errorf("%s: GET and POST differ\n%.300s\n%.300s", query, get.body, post.body)
			}
		}
		head := w.do(ask{method: http.MethodHead, path: "/Observation?" + query, token: w.physician()}).want(t, 200)
		if head.Header().Get("Content-Length") != get.Header().Get("Content-Length") {
			t.Errorf("HEAD %s: another length", query)
		}
	}
	for name, a := range map[string]ask{
		"JSON":                           {body: `{}`},
		"no type":                        {headers: []string{"Content-Type: "}},
		"multipart":                      {body: "patient=" + id, headers: []string{"Content-Type: multipart/form-data; boundary=x"}},
		"compressed":                     {body: "patient=" + id, headers: []string{"Content-Type: application/x-www-form-urlencoded", "Content-Encoding: gzip"}},
		"not a type":                     {body: "patient=" + id, headers: []string{"Content-Type: ;"}},
		"plain":                          {body: "patient=" + id, headers: []string{"Content-Type: text/plain"}},
		"fhir+json":                      {body: "patient=" + id, headers: []string{"Content-Type: application/fhir+json"}},
		"form in capitals, which is one": {body: "patient=" + id, headers: []string{"Content-Type: Application/X-WWW-Form-URLEncoded; charset=UTF-8"}},
	} {
		a.method, a.path, a.token = http.MethodPost, "/Observation/_search", w.physician()
		status := 415
		if strings.HasSuffix(name, "one") {
			status = 200
		}
		if got := w.do(a); got.Code != status {
			t.Errorf("%s: %d", name, got.Code)
		}
	}
}

// Pages hold every match once, whatever the order and the size, and lead back
// to themselves.
func TestPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hospital(4)
	id := w.ayan()
	for _, c := range []struct{ token, query string }{
		{w.physician(), "/Observation?patient=" + id},
		{w.physician(), "/Observation?patient=" + id + "&_sort=-date,code"},
		{w.physician(), "/Observation?patient=" + id + "&code=2823-3&_sort=value-quantity"},
		{w.physician(), "/DiagnosticReport?subject=Patient/" + id + "&_include=DiagnosticReport:result"},
		{person(t, "physician", "patient/*.rs", id), "/Encounter"},
		{client(t, "reader/reader", "system/*.rs"), "/Patient"},
		{client(t, "reader/reader", "system/*.rs"), "/Observation?code=2823-3"},
		{client(t, "reader/reader", "system/*.rs"), "/Observation?code=2823-3&_sort=-date&_total=accurate"},
	} {
		var whole []string
		for _, count := range []int{500, 50, 7} {
			var all []string
			sep := "?"
			if strings.Contains(c.query, "?") {
				sep = "&"
			}
			next := fmt.Sprintf("%s%s_count=%d", c.query, sep, count)
			for pages := 0; next != ""; pages++ {
				page := w.get(c.token, next).want(t, 200)
				ids := page.ids(t, "match")
				next = page.link(t, "next")
				if len(ids) > count || next != "" && len(ids) < count {
					t.Fatalf("%s: a page of %d, of %d", c.query, len(ids), count)
				}
				if again := w.get(c.token, page.link(t, "self")).want(t, 200); !bytes.Equal(again.body, page.body) {
					t.Errorf("%s: self is another page", c.query)
				}
				all = append(all, ids...)
				if pages > 1000 {
					t.Fatalf("%s has no end", c.query)
				}
			}
			if whole == nil {
				whole = all
			}
			if !slices.Equal(whole, all) {
				t.Errorf("%s by %d: %d matches, by 500: %d", c.query, count, len(all), len(whole))
			}
		}
		if len(whole) < 3 {
			t.Errorf("%s: %d matches try nothing", c.query, len(whole))
		}
	}
}

// A page goes on where the one before ended, though what it ended with has gone
// or stands elsewhere by now.
func TestPagesGoOnWhileRecordsChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(w.backend(), patientX)
	for i := range 9 {
		w.put(w.backend(), strings.NewReplacer(`"na"`, fmt.Sprintf(`"na%d"`, i), "2026-11-01", fmt.Sprintf("2026-11-%02d", i+1)).Replace(sodium))
	}
	for token, query := range map[string]string{w.physician(): "/Observation?patient=x&_sort=date&_count=3", client(t, "reader/reader", "system/*.rs"): "/Observation?_count=3"} {
		first := w.get(token, query).want(t, 200)
		last := first.ids(t, "match")[2]
		w.put(w.backend(), strings.NewReplacer(`"na"`, `"`+last[len("Observation/"):]+`"`, "2026-11-01", "2026-11-20").Replace(sodium)) // it moves
		second := w.get(token, first.link(t, "next")).want(t, 200)
		if got := fmt.Sprint(second.ids(t, "match")); got != "[Observation/na3 Observation/na4 Observation/na5]" {
			t.Errorf("%s: the second page is %s", query, got)
		}
		w.do(ask{method: http.MethodDelete, path: "/Observation/na5", token: w.backend()}).want(t, 204) // it goes
		if got := fmt.Sprint(w.get(token, second.link(t, "next")).want(t, 200).ids(t, "match")); !strings.HasPrefix(got, "[Observation/na6 Observation/na7 Observation/na8") {
			t.Errorf("%s: the third page is %s", query, got)
		}
		w.put(w.backend(), strings.NewReplacer(`"na"`, `"na5"`, "2026-11-01", "2026-11-06").Replace(sodium))
		w.put(w.backend(), strings.NewReplacer(`"na"`, `"na2"`, "2026-11-01", "2026-11-03").Replace(sodium))
	}
}

// A cursor belongs to its search, its asker and what the asker may see.
func TestCursorsAreSealed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hospital(1)
	id := w.ayan()
	next := w.get(w.physician(), "/Observation?patient="+id+"&_count=2").link(t, "next")
	u, err := url.Parse(next)
	must(t, err)
	cursor := u.Query().Get("_cursor")
	if cursor == "" || strings.Contains(next, "Observation%2F") {
		t.Fatalf("next is %s", next)
	}
	for name, c := range map[string]struct{ token, path string }{
		"another person":   {person(t, "pharmacist", "user/*.rs", ""), next},
		"another search":   {w.physician(), "/Observation?patient=" + id + "&code=2823-3&_count=2&_cursor=" + cursor},
		"another type":     {w.physician(), "/Condition?patient=" + id + "&_count=2&_cursor=" + cursor},
		"another patient":  {w.physician(), "/Observation?patient=other&_count=2&_cursor=" + cursor},
		"a client":         {w.backend(), next},
		"changed":          {w.physician(), next[:len(next)-1] + string(next[len(next)-1]^1)},
		"cut":              {w.physician(), next[:len(next)-4]},
		"invented":         {w.physician(), "/Observation?patient=" + id + "&_count=2&_cursor=abc"},
		"not even base 64": {w.physician(), "/Observation?patient=" + id + "&_count=2&_cursor=%21%21"},
	} {
		if got := w.get(c.token, c.path); got.Code != 400 {
			t.Errorf("%s: %d", name, got.Code)
		}
	}
	w.get(w.physician(), next).want(t, 200)
}

func TestResultParameters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hospital(1)
	id := w.ayan()
	me := w.physician()
	all := w.get(me, "/Observation?patient="+id+"&_count=500").want(t, 200)
	count := len(all.ids(t, "match"))
	if all.total(t) != fmt.Sprint(count) || all.link(t, "next") != "" {
		t.Errorf("total %s of %d", all.total(t), count)
	}
	for query, check := range map[string]func(answer) bool{
		"_summary=count":           func(a answer) bool { return a.total(t) == fmt.Sprint(count) && len(a.ids(t, "")) == 0 },
		"_count=0":                 func(a answer) bool { return a.total(t) == fmt.Sprint(count) && len(a.ids(t, "")) == 0 },
		"_total=none":              func(a answer) bool { return a.total(t) == "" && len(a.ids(t, "")) == 50 },
		"_total=accurate&_count=1": func(a answer) bool { return a.total(t) == fmt.Sprint(count) && len(a.ids(t, "")) == 1 },
		"_total=estimate&_count=1": func(a answer) bool { return a.total(t) == fmt.Sprint(count) },
		"_summary=true&_count=1": func(a answer) bool {
			return bytes.Contains(a.body, []byte("SUBSETTED")) && !bytes.Contains(a.body, []byte("referenceRange"))
		},
		"_elements=status&_count=1": func(a answer) bool {
			return bytes.Contains(a.body, []byte("SUBSETTED")) && !bytes.Contains(a.body, []byte("subject"))
		},
		"_count=100000":                func(a answer) bool { return len(a.ids(t, "match")) == count },
		"_id=none":                     func(a answer) bool { return a.total(t) == "0" && len(a.ids(t, "")) == 0 },
		"_include=Observation:subject": func(a answer) bool { return slices.Equal(a.ids(t, "include"), []string{"Patient/" + id}) },
		"code=2823-3&_revinclude=DiagnosticReport:result": func(a answer) bool {
			inc := a.ids(t, "include")
			return len(inc) > 0 && strings.HasPrefix(inc[0], "DiagnosticReport/")
		},
		"_has:DiagnosticReport:result:code=none": func(a answer) bool { return a.total(t) == "0" },
		"_lastUpdated=gt2030":                    func(a answer) bool { return a.total(t) == "0" },
		"_sort=date": func(a answer) bool {
			last := ""
			for v := range a.resource(t).All("entry.resource.effectiveDateTime") {
				at, err := time.Parse(time.RFC3339, v.Text())
				if err != nil || at.UTC().Format(time.RFC3339) < last {
					return false
				}
				last = at.UTC().Format(time.RFC3339)
			}
			return last != ""
		},
	} {
		if got := w.get(me, "/Observation?patient="+id+"&"+query).want(t, 200); !check(got) {
			t.Errorf("%s: %.500s", query, got.body)
		}
	}
}

// What is not understood is refused by name, or left out and said when the
// asker wants that; its value is never repeated.
func TestWhatIsNotUnderstood(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(w.backend(), patientX)
	for _, query := range []string{"wings=XYZZY", "birthdate=XYZZY", "_sort=XYZZY", "_count=XYZZY", "_summary=XYZZY", "_include=XYZZY", "_has:XYZZY=1", "general-practitioner.XYZZY=1", "_elements=XYZZY", "_total=XYZZY", "_id=", "XYZZY", "_query=XYZZY"} {
		got := w.get(w.physician(), "/Patient?_id=x&"+query).want(t, 400)
		if bytes.Contains(got.body, []byte("XYZZY")) && !strings.Contains(strings.Split(query, "=")[0], "XYZZY") {
			t.Errorf("%s: its value is repeated: %s", query, got.body)
		}
		lenient := w.get(w.physician(), "/Patient?_id=x&"+query, "Prefer: handling=lenient").want(t, 200)
		if ids := strings.Join(lenient.ids(t, "match"), " "); ids != "Patient/x" {
			t.Errorf("%s, lenient: %s", query, ids)
		}
		if n := len(lenient.ids(t, "outcome")); n != 1 || strings.Contains(lenient.link(t, "self"), "XYZZY") {
			t.Errorf("%s, lenient: %.600s", query, lenient.body)
		}
	}
	for _, query := range []string{"%zz", "a=%", "a;b=1"} {
		w.get(w.physician(), "/Patient?"+query).want(t, 400)
	}
	// Without its modifier a parameter would be another question.
	for _, query := range []string{"name:sounds-like=XYZZY", "_id:in=XYZZY", "gender:not-in=XYZZY", "identifier:below=XYZZY"} {
		for _, how := range []string{"strict", "lenient"} {
			if got := w.get(w.physician(), "/Patient?_id=x&"+query, "Prefer: handling="+how).want(t, 400); bytes.Contains(got.body, []byte("XYZZY")) {
				t.Errorf("%s, %s: %s", query, how, got.body)
			}
		}
	}
	// A name may hold anything, and none of it comes back.
	got := w.get(w.physician(), "/Patient?_id=x&"+url.QueryEscape(`<script>"`)+"=1").want(t, 400)
	if bytes.ContainsAny(got.body, "<>") {
		t.Errorf("%s", got.body)
	}
}

// A person's token searches inside one patient, whatever there is.
func TestPeopleDoNotBrowse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hospital(2)
	me := w.physician()
	for _, path := range []string{"/Patient", "/Patient?name=Ayan", "/Patient?family=Ayan", "/Patient?birthdate=1971-02-03", "/Observation", "/Observation?code=2823-3", "/Observation?_lastUpdated=gt2020", "/Practitioner", "/Patient?identifier=https://x.test|", "/Observation?patient=a,b", "/Patient?_id=a,b"} {
		if got := w.get(me, path).want(t, 400); got.resource(t).Root().At("issue.code").Text() != "too-costly" {
			t.Errorf("%s: %s", path, got.body)
		}
	}
	for _, path := range []string{"/Patient?identifier=GH1000000", "/Patient?family=Ayan&birthdate=1971-02-03", "/Patient?identifier=none", "/Patient?family=None&birthdate=1971", "/Observation?patient=none"} {
		w.get(me, path).want(t, 200)
	}
}
