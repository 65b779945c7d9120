package demo_test

import (
	"bytes"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"firebreak/fhir"
)

// crawl goes wherever somebody can go, from the chart that is open and from the
// patient kept as $PATIENT: every link of every page, every reference, link and
// version in every answer, every search by every parameter with each secret
// word. No byte of any answer may hold one.
func (a *actor) crawl() {
	s := a.s
	s.t.Helper()
	if s.secret == nil {
		s.fatal("no word is secret yet")
	}
	pages, asked := 0, 0
	if a.chart != "" {
		pages = a.crawlPages()
	}
	if patient := s.vars["PATIENT"]; patient != "" {
		asked = a.crawlAPI(patient)
	}
	if pages+asked < 100 {
		s.fatal("%s went to %d pages and asked %d times: that tries nothing", a.name, pages, asked)
	}
	s.t.Logf("%s went to %d pages and asked %d times", a.name, pages, asked)
}

func (a *actor) scan(r reply, question string) {
	a.s.t.Helper()
	body := r.body
	if res, err := fhir.Parse(body); err == nil && res.Type() == "Bundle" {
		if res, err = res.Without("link"); err == nil { // the question itself stands there
			body = res.JSON()
		}
	}
	if word := a.s.secret.In(body); word != "" {
		a.s.t.Errorf("line %d: %s: %s is to be seen", a.s.line, question, word)
	}
	for name, values := range r.header {
		if word := a.s.secret.In([]byte(strings.Join(values, "\n"))); word != "" {
			a.s.t.Errorf("line %d: %s: %s is to be seen in the header %s", a.s.line, question, word, name)
		}
	}
}

var addresses = regexp.MustCompile(`(?:href|src|action|data)="([^"]+)"`)

// crawlPages follows every address of every page, within the gateway.
func (a *actor) crawlPages() int {
	todo := []string{a.chart, "/find", "/recent", "/account", "/help", "/status", "/"}
	for _, number := range a.words() { // and looks for people by the secrets
		a.send(http.MethodPost, "/find", url.Values{"number": {number}})
		a.scanPage(a.page, "find "+number)
		todo = append(todo, links(a.page.body)...)
	}
	seen := map[string]bool{"/sign-out": true, "/sign-in": true, "/sign-in/callback": true}
	n := 0
	for len(todo) > 0 {
		path := todo[0]
		todo = todo[1:]
		path, _, _ = strings.Cut(strings.TrimPrefix(html.UnescapeString(path), a.s.demo.Info.Base), "#")
		if seen[path] || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "/idp/") {
			continue
		}
		seen[path] = true
		if n++; n > 3000 {
			a.s.fatal("the pages have no end")
		}
		r := a.send(http.MethodGet, path, nil)
		if strings.HasPrefix(path, "/find") {
			a.scanPage(r, a.name+" opens "+path)
		} else {
			a.scan(r, a.name+" opens "+path)
		}
		if strings.HasPrefix(r.header.Get("Content-Type"), "text/html") {
			todo = append(todo, links(r.body)...)
		}
	}
	return n
}

// scanPage passes over the question, which the page shows again.
func (a *actor) scanPage(r reply, question string) {
	value := regexp.MustCompile(`value="[^"]*"`)
	r.body = value.ReplaceAll(r.body, nil)
	a.scan(r, question)
}

func links(page []byte) (all []string) {
	for _, m := range addresses.FindAllSubmatch(page, -1) {
		all = append(all, string(m[1]))
	}
	return all
}

// words are what somebody who knew the secrets would look for.
func (a *actor) words() []string {
	return strings.Fields(a.s.files["words"])
}

// crawlAPI searches the patient's record by everything the CapabilityStatement
// names, and reads all that is found in every way.
func (a *actor) crawlAPI(patient string) int {
	n := 0
	ask := func(path string) reply {
		n++
		r := a.ask(http.MethodGet, path, "", "")
		a.s.hold(r)
		a.scan(r, r.ask)
		return r
	}
	statement, err := fhir.Parse(ask("/fhir/metadata").body)
	if err != nil {
		a.s.fatal("%v", err)
	}
	var todo []string
	for r := range statement.All("rest.resource") {
		typ := r.Get("type").Text()
		by := "patient="
		switch {
		case typ == "Patient":
			by = "_id="
		case !slices.ContainsFunc(slices.Collect(r.All("searchParam.name")), func(p fhir.Node) bool { return p.Is("patient") }):
			continue
		}
		whole := ask("/fhir/" + typ + "?" + by + patient + "&_include=*&_revinclude=*&_count=500")
		todo = append(todo, named(whole.body)...)
		if !bytes.Contains(whole.body, []byte(`"entry"`)) && !slices.Contains([]string{"Observation", "DiagnosticReport"}, typ) {
			continue // of a type that this record has nothing of, one question is enough
		}
		for p := range r.All("searchParam") {
			if slices.Contains([]string{"token", "string", "reference", "uri", "special"}, p.Get("type").Text()) {
				for _, word := range a.words() {
					todo = append(todo, named(ask("/fhir/"+typ+"?"+by+patient+"&"+p.Get("name").Text()+"="+url.QueryEscape(word)).body)...)
				}
			}
		}
		for _, view := range []string{"_summary=true", "_summary=text", "_summary=data", "_summary=count", "_total=accurate&_count=1", "_sort=_lastUpdated", "_sort=-_id", "_elements=id"} {
			ask("/fhir/" + typ + "?" + by + patient + "&" + view)
		}
	}
	seen := map[string]bool{}
	for len(todo) > 0 {
		path := todo[0]
		todo = todo[1:]
		if seen[path] {
			continue
		}
		seen[path] = true
		todo = append(todo, named(ask(path).body)...)
		if ref, ok := fhir.ParseRef(strings.TrimPrefix(path, "/fhir/")); ok && !strings.Contains(path, "/_history") {
			todo = append(todo, named(ask("/fhir/"+ref.String()+"/_history").body)...)
			ask(path + "?_summary=true")
		}
	}
	return n
}

// named are the addresses that an answer names: references, versions, links.
func named(body []byte) (all []string) {
	r, err := fhir.Parse(body)
	if err != nil {
		return nil
	}
	for _, ref := range r.References() {
		all = append(all, "/fhir/"+ref.String())
	}
	for e := range r.All("entry.resource") {
		at := "/fhir/" + e.Get("resourceType").Text() + "/" + e.Get("id").Text()
		all = append(all, at)
		if v := e.At("meta.versionId").Text(); v != "" {
			all = append(all, at+"/_history/"+v)
		}
		e.Each(func(name string, v fhir.Node) bool {
			if ref, ok := fhir.ParseRef(v.Text()); ok && v.Kind() == '"' {
				all = append(all, "/fhir/"+ref.String())
			}
			return true
		})
	}
	for l := range r.All("link.url") {
		if _, path, ok := strings.Cut(l.Text(), "/fhir/"); ok {
			all = append(all, "/fhir/"+path)
		}
	}
	return all
}

var (
	handle = regexp.MustCompile(`/p/[A-Za-z0-9_\-]+(/(results|reports|documents)/[a-z0-9]{10,})?|\?n=[A-Z0-9]+|_cursor=[A-Za-z0-9_\-]+`)
	cookie = regexp.MustCompile(`=[^;]*;`)
)

// anonymous is the last answer without what differs between any two tellings:
// the port, what is bound to the session or the port (handles of charts, cursors),
// the date and the request's id.
func (s *story) anonymous() reply {
	r := s.last
	clean := func(text string) string {
		return handle.ReplaceAllString(strings.ReplaceAll(text, s.demo.Info.Base, "http://BASE"), "/HANDLE")
	}
	r.body = []byte(clean(string(r.body)))
	r.path = clean(r.path)
	r.ask = clean(r.ask)
	header := http.Header{}
	for name, values := range r.header {
		switch name {
		case "Date", "X-Request-Id":
			continue
		case "Set-Cookie":
			for _, v := range values {
				header.Add(name, cookie.ReplaceAllString(v, "=;"))
			}
			continue
		}
		for _, v := range values {
			header.Add(name, clean(v))
		}
	}
	r.header = header
	return r
}

// compareTold holds the answers of two tellings against each other, one with
// what was sent secretly, one without: nothing may differ.
func compareTold(t *testing.T, plain, told []reply) {
	t.Helper()
	if len(plain) != len(told) || len(plain) < 200 {
		t.Fatalf("%d and %d answers; at least 200 belong here", len(plain), len(told))
	}
	ok := 0
	for i, want := range plain {
		got := told[i]
		if want.status == 200 {
			ok++
		}
		switch {
		case got.ask != want.ask || got.status != want.status || got.path != want.path:
			t.Errorf("%s: %d at %s; without the secrets %s: %d at %s", got.ask, got.status, got.path, want.ask, want.status, want.path)
		case !bytes.Equal(got.body, want.body):
			t.Errorf("%s: another body\n%s\n%s", got.ask, around(got.body, want.body), around(want.body, got.body))
		default:
			for name, values := range want.header {
				if !slices.Equal(values, got.header[name]) {
					t.Errorf("%s: %s is %q, without the secrets %q", got.ask, name, got.header[name], values)
				}
			}
			if len(got.header) != len(want.header) {
				t.Errorf("%s: %d headers, without the secrets %d", got.ask, len(got.header), len(want.header))
			}
		}
	}
	if ok < 100 {
		t.Errorf("only %d of %d answers show anything", ok, len(plain))
	}
	t.Logf("%d answers are alike, %d of them show something", len(plain), ok)
}

// around is where two texts part.
func around(a, b []byte) []byte {
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	return a[max(0, i-200):min(len(a), i+300)]
}
