package viewer

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"firebreak/access"
	"firebreak/audit"
	"firebreak/fhir"
	"firebreak/record"
	"firebreak/registry"
)

func observationRef(typ, id string) fhir.Ref { return fhir.Ref{Type: typ, ID: id} }

// PX-25: empty, filtered out, source late, part failed and our fault each say
// another thing; withheld says the same as empty.
func TestStatesLookDifferent(t *testing.T) {
	full, empty := newHouse(t, ayan(t)), newHouse(t, charted(t, []arrival{patientArrival()}))
	secret := []arrival{patientArrival()}
	for _, a := range readArrivals(t, "secret.ndjson") {
		a.Resource = []byte(strings.ReplaceAll(string(a.Resource), "q7k2m4xw5dabcdef", "p1"))
		secret = append(secret, a)
	}
	withheld := newHouse(t, charted(t, secret))
	for _, path := range []string{"/results", "/reports", "/documents", "/timeline", ""} {
		if a, b := empty.get(empty.base(0)+path), withheld.get(withheld.base(0)+path); a != b {
			t.Errorf("%s: withheld does not look empty:\n%s", path, firstDifference(a, b))
		}
	}
	says := func(h *house, path, want string) {
		t.Helper()
		w := h.do(httptest.NewRequest(http.MethodGet, path, nil))
		if out := outline(w.Body.String()); !strings.Contains(out, want) {
			t.Errorf("%s does not say %q:\n%s", path, want, out)
		}
	}
	says(empty, empty.base(0)+"/results", "Nothing to show for this period.")
	says(full, full.base(0)+"/results?flagged=1&period=3m&text=xyzzy", `Nothing matches "flagged only, with the words xyzzy, last 3 months". [Clear filter.]`)
	says(full, full.base(0), "Lab B: last data 21-Nov-2026 11:25 PST. Newer results may be missing.")
	full.reader.broken = errors.New("disk")
	says(full, full.base(0), "This part could not be loaded. Other parts are not affected. [Try again]")
	says(full, full.base(0), "Potassium") // the other parts are there
	full.reader.fault = errors.New("disk of Mr Secret")
	w := full.do(httptest.NewRequest(http.MethodGet, full.base(0), nil))
	if out := outline(w.Body.String()); w.Code != 500 || !strings.Contains(out, "Something went wrong on our side. Reference ") || strings.Contains(out, "Secret") {
		t.Errorf("our fault: %d %s", w.Code, out)
	}
}

// PX-18: a chart that is probably of the same person as another says so, on paper
// too, and leads there without naming anybody.
func TestBannerWarnsOfProbableDuplicate(t *testing.T) {
	h := newHouse(t, ayan(t))
	const warning = "Possible duplicate: another record is probably of the same person"
	if page := h.get(h.base(0)); strings.Contains(page, warning) {
		t.Error("a chart without another warns of one")
	}
	h.reader.doubles = []fhir.Ref{{Type: "Patient", ID: "other"}}
	for _, path := range []string{"", "/results", "/print"} {
		page := h.get(h.base(0) + path)
		if m := regexp.MustCompile(`<a class="screen-only" href="/p/[^"/]+">Open the other record</a>`); !strings.Contains(page, warning) || !m.MatchString(page) {
			t.Errorf("%s does not warn", path)
		}
		if strings.Contains(page, `"/p/other`) {
			t.Error("an address names the other patient")
		}
	}
}

// PX-16: no browsing. What is typed never stands in an address.
func TestFind(t *testing.T) {
	h := newHouse(t, ayan(t))
	const none = "No match. Check the number, or the family name and birth date."
	rows := []struct {
		name, number, family, born string
		status                     int
		says                       string
	}{
		{"by health number", "9000 000 000", "", "", 200, "[AYAN, Test Marie Born 03-Feb-1971 (55 y), Female, PHN 9000 000 000"},
		{"by record number with dashes", "004-829-13", "", "", 200, "AYAN"},
		{"by name and birth date", "", "ayan", "3 feb 1971", 200, "AYAN"},
		{"by name and birth date, year first", "", "Ayan", "1971-02-03", 200, "AYAN"},
		{"nothing typed", "", "", "", 422, "Type a number, or a family name and a birth date."},
		{"one digit", "9", "", "", 422, "Type the whole number"},
		{"a wildcard", "9000*", "", "", 422, "Type the whole number"},
		{"one letter", "", "a", "1971-02-03", 422, "Type the family name, two letters or more"},
		{"a wildcard in a name", "", "ay%", "1971-02-03", 422, "Type the family name"},
		{"a name alone", "", "Ayan", "", 422, "Add the birth date."},
		{"a birth date alone", "", "", "1971-02-03", 422, "Type the family name"},
		{"a date that reads two ways", "", "Ayan", "02/03/1971", 422, "Write the birth date like"},
		{"an unknown number", "123456", "", "", 200, none},
		{"another birth date", "", "Ayan", "1971-02-04", 200, none},
	}
	for _, row := range rows {
		w := h.post("/find", url.Values{"number": {row.number}, "family": {row.family}, "born": {row.born}})
		to := w.Header().Get("Location")
		if w.Code == http.StatusSeeOther {
			for _, typed := range []string{row.number, row.family, row.born} {
				if typed != "" && strings.Contains(to, url.QueryEscape(typed)) {
					t.Errorf("%s: %q stands in %s", row.name, typed, to)
				}
			}
			w = h.do(httptest.NewRequest(http.MethodGet, to, nil))
		}
		if out := outline(w.Body.String()); w.Code != row.status || !strings.Contains(out, row.says) {
			t.Errorf("%s: %d\n%s", row.name, w.Code, out)
		}
	}
	h.reader.many = true
	to := h.post("/find", url.Values{"number": {"12345"}}).Header().Get("Location")
	if out := outline(h.get(to)); !strings.Contains(out, "More than 10 people match. Add the birth date.") {
		t.Errorf("too many: %s", out)
	}
	h.session.Key = "session-two"
	if out := outline(h.get(to)); strings.Contains(out, "More than 10") {
		t.Error("a search of another session is shown")
	}
}

func TestReadDay(t *testing.T) {
	for s, want := range map[string]string{
		"03-Feb-1971": "1971-02-03", "3 Feb 1971": "1971-02-03", "3 february 1971": "1971-02-03", "1971-2-3": "1971-02-03", "19710203": "1971-02-03",
		"Feb 3, 1971": "1971-02-03", "1971/02/03": "1971-02-03", "3.Feb.1971": "1971-02-03",
		"02-03-1971": "", "3/2/71": "", "31-Feb-1971": "", "": "", "1971": "", "Feb 1971": "", "03-Feb-71": "",
	} {
		if got, ok := readDay(s); got != want || ok != (want != "") {
			t.Errorf("readDay(%q) = %q, %v, want %q", s, got, ok, want)
		}
	}
}

// Every page of a chart, every search, print and choice is in the audit log:
// by page name, never with a value.
func TestEveryLookIsAudited(t *testing.T) {
	h := newHouse(t, ayan(t))
	base := h.base(0)
	for path, want := range map[string]record.Ask{
		base:                {Action: audit.Page, Detail: "summary"},
		base + "/results":   {Action: audit.Page, Detail: "results"},
		base + "/documents": {Action: audit.Page, Detail: "documents"},
		base + "/timeline":  {Action: audit.Page, Detail: "timeline"},
		base + "/print":     {Action: audit.Print, Detail: "print"},
	} {
		h.reader.asked = nil
		h.get(path)
		if len(h.reader.asked) != 1 {
			t.Fatalf("%s asked %d times", path, len(h.reader.asked))
		}
		got := h.reader.asked[0]
		if got.Action != want.Action || got.Detail != want.Detail || got.Request == "" || got.Address == "" || got.Caller.Worksite().ID != "oak" {
			t.Errorf("%s asked %+v", path, got)
		}
	}
	h.reader.asked = nil
	h.get(h.post("/find", url.Values{"number": {"9000 000 000"}}).Header().Get("Location"))
	if len(h.reader.asked) != 1 || h.reader.asked[0].Action != audit.Find || strings.Contains(h.reader.asked[0].Detail, "9000") {
		t.Errorf("a search asked %+v", h.reader.asked)
	}
}

// CC-17, CC-25: the worksite, and for an assistant the practitioner, is chosen
// after sign-in from what is offered, and every choice is written down.
func TestWorksiteAndActingFor(t *testing.T) {
	h := newHouse(t, ayan(t))
	h.session.Worksite = ""
	h.places = []registry.Place{
		place("elm", "Elm Clinic", access.Assistant, "Haddad"), place("elm", "Elm Clinic", access.Assistant, "Woolfson"),
		place("oak", "Oak Street Clinic", access.Assistant, "Haddad"),
	}
	if w := h.do(httptest.NewRequest(http.MethodGet, "/find", nil)); w.Header().Get("Location") != "/worksite" {
		t.Errorf("without a worksite /find leads to %q", w.Header().Get("Location"))
	}
	if out := outline(h.get("/worksite")); strings.Count(out, "Elm Clinic") != 1 || !strings.Contains(out, "Oak Street Clinic") {
		t.Errorf("the worksites are\n%s", out)
	}
	choose := func(path string, form url.Values, want string) {
		t.Helper()
		h.audited = nil
		w := h.post(path, form)
		if w.Header().Get("Location") != want {
			t.Errorf("%s %v leads to %d %q, want %q", path, form, w.Code, w.Header().Get("Location"), want)
		}
		if len(h.audited) != 1 || h.audited[0].Refused != (want == "") {
			t.Errorf("%s %v is audited as %+v", path, form, h.audited)
		}
	}
	choose("/worksite", url.Values{"worksite": {"oak"}, "purpose": {"TREAT"}}, "/find") // one practitioner: nothing to ask
	if h.session.For != "Haddad" {
		t.Errorf("acts for %q", h.session.For)
	}
	choose("/worksite", url.Values{"worksite": {"elm"}, "purpose": {"TREAT"}}, "/acting-for")
	if out := outline(h.get("/acting-for")); !strings.Contains(out, "Dr Haddad") || !strings.Contains(out, "Dr Woolfson") {
		t.Errorf("practitioners to act for are\n%s", out)
	}
	choose("/acting-for", url.Values{"for": {"Nobody"}}, "")
	choose("/worksite", url.Values{"worksite": {"oak"}}, "") // says nothing of direct care
	choose("/worksite", url.Values{"worksite": {"oak"}, "purpose": {"HRESCH"}}, "")
	choose("/worksite", url.Values{"worksite": {"ash"}, "purpose": {"TREAT"}}, "")
	choose("/acting-for", url.Values{"for": {"Woolfson"}}, "/find")
	if out := outline(h.get(h.base(0))); !strings.Contains(out, "Elm Clinic Dr Ann Lee for Dr Woolfson") {
		t.Errorf("the banner does not name both:\n%s", out)
	}
	if out := outline(h.get(h.base(0) + "/print")); !strings.Contains(out, "Printed by Dr Ann Lee (Assistant), Elm Clinic, for Dr Woolfson, at") {
		t.Errorf("the paper does not name both:\n%s", out)
	}
	h.places = nil
	if out := outline(h.get("/worksite")); !strings.Contains(out, "You cannot open records from this worksite yet. See what is still to do.") {
		t.Errorf("without any worksite: %s", out)
	}
}

// The clock is the server's: a page carries what is left, asking for it is no
// use, staying is; without script the page leaves by itself.
func TestTheSessionsEnd(t *testing.T) {
	h := newHouse(t, ayan(t))
	h.session.Left = 130 * time.Second
	page := h.get(h.base(0))
	for _, want := range []string{`data-left="130"`, `<noscript><meta http-equiv="refresh" content="131;url=/signed-out"></noscript>`, "You will be signed out at 14:27 PST."} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	h.used = 0
	if got := h.get("/session"); got != `{"left":130}` || h.used != 0 {
		t.Errorf("asking gave %s and counted as %d uses", got, h.used)
	}
	if w := h.post("/session", nil); w.Body.String() != `{"left":130}` || h.used != 1 {
		t.Errorf("staying gave %s and counted as %d uses", w.Body, h.used)
	}
	if out := outline(h.get("/signed-out")); !strings.Contains(out, "You are still signed in on another page") {
		t.Errorf("a closed page says\n%s", out)
	}
	h.ended = true
	if got := h.get("/session"); got != `{"left":0}` {
		t.Errorf("after the end: %s", got)
	}
	if out := outline(h.get("/signed-out")); !strings.Contains(out, "You are signed out. Anything you were writing is kept until you sign in again.") {
		t.Errorf("signed out says\n%s", out)
	}
	if w := h.do(httptest.NewRequest(http.MethodGet, h.base(0), nil)); w.Code != http.StatusSeeOther || w.Body.Len() > 100 {
		t.Errorf("a chart after the end: %d %s", w.Code, w.Body)
	}
}

func TestSigningInAndOut(t *testing.T) {
	h := newHouse(t)
	w := h.do(httptest.NewRequest(http.MethodGet, "/sign-in/callback?code=c", nil))
	if w.Header().Get("Location") != "/worksite" || len(h.audited) != 1 || h.audited[0].Action != audit.SignIn || h.audited[0].Refused {
		t.Errorf("signed in: %d to %q, audited %+v", w.Code, w.Header().Get("Location"), h.audited)
	}
	h.audited = nil
	w = h.do(httptest.NewRequest(http.MethodGet, "/sign-in/callback", nil))
	if w.Code != 403 || !strings.Contains(w.Body.String(), "You were not signed in") || len(h.audited) != 1 || !h.audited[0].Refused {
		t.Errorf("refused: %d %s, audited %+v", w.Code, outline(w.Body.String()), h.audited)
	}
	h.audited = nil
	w = h.post("/sign-out", nil)
	if w.Header().Get("Location") != "https://issuer.test/end" || len(h.audited) != 1 || h.audited[0].Action != audit.SignOut {
		t.Errorf("signed out: %d to %q, audited %+v", w.Code, w.Header().Get("Location"), h.audited)
	}
}

// PX-15: the recent list belongs to one person at one worksite, and a chart
// that may no longer be seen is gone from it.
func TestRecent(t *testing.T) {
	h := newHouse(t, ayan(t), charted(t, []arrival{patientArrival()}))
	h.get(h.base(0))
	h.now = h.now.Add(time.Minute)
	h.get(h.base(1))
	out := outline(h.get("/recent"))
	if i, j := strings.Index(out, "TEST"), strings.Index(out, "AYAN"); i < 0 || j < i {
		t.Errorf("recent:\n%s", out)
	}
	h.reader.charts = h.reader.charts[:1]
	if out := outline(h.get("/recent")); strings.Contains(out, "TEST") || !strings.Contains(out, "AYAN") {
		t.Errorf("recent after one went:\n%s", out)
	}
	h.places = append(h.places, place("elm", "Elm Clinic", access.Physician, ""))
	h.session.Worksite = "elm"
	if out := outline(h.get("/recent")); strings.Contains(out, "AYAN") {
		t.Errorf("recent at another worksite:\n%s", out)
	}
}

func TestSettingsAreKept(t *testing.T) {
	h := newHouse(t, ayan(t))
	for _, row := range []struct {
		form  url.Values
		class string
		keys  bool
	}{
		{url.Values{"theme": {"dark"}, "density": {"roomy"}, "keys": {"off"}}, ` class="dark roomy"`, false},
		{url.Values{"theme": {"light"}, "density": {"compact"}, "keys": {"on"}}, ` class="light"`, true},
		{url.Values{"theme": {"<script>"}, "keys": {"on"}}, ``, true},
	} {
		if to := h.post("/account", row.form).Header().Get("Location"); to != "/account?saved" {
			t.Fatalf("saving leads to %q", to)
		}
		page := h.get(h.base(0))
		if !strings.Contains(page, `<html lang="en"`+row.class+`>`) || strings.Contains(page, `data-keys="on"`) != row.keys {
			t.Errorf("%v: %s", row.form, page[:300])
		}
	}
}

// Filters narrow what is there, in any mixture; the grid shows only results
// that pass all of them.
func TestFilters(t *testing.T) {
	h := newHouse(t, ayan(t))
	rows := []struct{ query, has, hasNot string }{
		{"flagged=1", "Zinc", "Weight"},
		{"kind=Vital+signs", "Systolic", "Zinc"},
		{"source=lab-b", "Zinc", "Sodium"},
		{"text=pot", "Potassium", "Sodium"},
		{"text=blood+count", "MCV", "Urea"},
		{"period=3m", "Zinc", "25-Oct-2025"},
		{"period=3m&flagged=1&source=lab-b", "Haemoglobin", "Potassium"},
		{"period=nonsense&older=-1&page=x", "Zinc", "Nothing"},
	}
	for _, row := range rows {
		out := outline(h.get(h.base(0) + "/results?" + row.query))
		if !strings.Contains(out, "["+row.has+"]") || strings.Contains(out, "["+row.hasNot+"]") || strings.Contains(out, row.hasNot+" ") && row.hasNot == "Nothing" {
			t.Errorf("%s:\n%s", row.query, out)
		}
	}
	page := h.get(h.base(0) + "/results")
	older := outline(h.get(link(t, page, "Older")))
	if !strings.Contains(older, "17-Oct-2025 08:10 PDT") || strings.Contains(older, "04-Nov-2026") || !strings.Contains(older, "[Newer]") || strings.Contains(older, "Zinc") {
		t.Errorf("older:\n%s", older)
	}
}

// Every text a page asks for is in the catalogue, and nothing else is.
func TestTheCatalogueIsWhole(t *testing.T) {
	h := newHouse(t)
	used := usedKeys(t)
	for key := range used {
		if _, ok := h.viewer.words[key]; !ok {
			t.Errorf("the catalogue lacks %q", key)
		}
	}
	families := []string{"title.", "role.", "status.", "sex.", "event.", "contact.", "help.", "key.", "filter.last.", "course.", "glass.", "officer.", "looked.", "ops.", "way.", "apps."}
	for key := range h.viewer.words {
		if !used[key] && !slices.ContainsFunc(families, func(f string) bool { return strings.HasPrefix(key, f) }) {
			t.Errorf("nothing says %q", key)
		}
	}
}
