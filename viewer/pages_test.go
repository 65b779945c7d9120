package viewer

import (
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden pages anew")

// link is the address of the first link with that text.
func link(t testing.TB, page, text string) string {
	t.Helper()
	m := regexp.MustCompile(`<a [^>]*href="([^"]*)"[^>]*>` + regexp.QuoteMeta(text) + `[ <]`).FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("no link %q", text)
	}
	return unescape(m[1])
}

// What each page says about one chart, read as text. The golden files are the
// specification of the words; a change of them is to be looked at.
func TestPagesSayWhatTheyShould(t *testing.T) {
	h := newHouse(t, ayan(t))
	base := h.base(0)
	results, reports, documents := h.get(base+"/results"), h.get(base+"/reports"), h.get(base+"/documents")
	pages := map[string]string{
		"home": "/", "help": "/help", "status": "/status", "worksite": "/worksite", "find": "/find", "account": "/account",
		"summary": base, "results": base + "/results", "reports": base + "/reports", "documents": base + "/documents",
		"visits": base + "/visits", "appointments": base + "/appointments", "medications": base + "/medications",
		"people": base + "/people", "timeline": base + "/timeline", "print": base + "/print",
		"flagged":        base + "/results?flagged=1&period=3m",
		"trend":          link(t, results, "Potassium"),
		"trend-bounds":   link(t, results, "Troponin I, high sensitivity"),
		"trend-units":    link(t, results, "Glucose"),
		"trend-words":    link(t, results, "Blood film"),
		"trend-error":    link(t, results, "ALT"),
		"trend-correct":  link(t, results, "Creatinine"),
		"trend-sources":  link(t, results, "HbA1c"),
		"report":         link(t, reports, "Urea and electrolytes"),
		"report-culture": link(t, reports, "Urine microscopy and culture"),
		"report-pdf":     link(t, reports, "Chest X-ray"),
		"document-rtf":   link(t, documents, "Cardiology clinic letter"),
		"document-text":  link(t, documents, "Nursing note"),
		"message":        link(t, documents, "Question about potassium"),
		"recent":         "/recent",
	}
	h.get(base) // so that it is recent
	for name, path := range pages {
		page := h.get(path)
		if name != "summary" && name != "home" && name != "print" { // what surrounds the page is the same
			_, page, _ = strings.Cut(page, "<main id=\"main\" tabindex=\"-1\">")
			page, _, _ = strings.Cut(page, "</main>")
		}
		got := outline(page)
		file := filepath.Join("testdata", "pages", name+".txt")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("page %s says\n%s\ninstead of\n%s", name, got, want)
		}
	}
}

// Nothing personal stands where a browser keeps it: in addresses and titles.
func TestAddressesAndTitlesAreNobodys(t *testing.T) {
	h := newHouse(t, ayan(t))
	for path, page := range h.crawl() {
		_, rest, _ := strings.Cut(page, "<title>")
		title, _, _ := strings.Cut(rest, "</title>")
		for _, secret := range []string{"AYAN", "Ayan", "9000", "00482913", "1971", "q7k2m4", "Potassium"} {
			if strings.Contains(path, secret) || strings.Contains(title, secret) {
				t.Errorf("%q stands in the address %s or the title %s", secret, path, title)
			}
		}
		if title == "" || strings.HasPrefix(title, "title.") {
			t.Errorf("%s has no title", path)
		}
	}
}

// crawl follows every link from the summary and the search, once.
func (h *house) crawl() map[string]string {
	h.t.Helper()
	seen := map[string]string{}
	todo := []string{"/find", "/help", "/status", "/account", "/worksite", h.base(0)}
	hrefs := regexp.MustCompile(`(?:href|src)="(/[^"]*)"`)
	for len(todo) > 0 {
		path := todo[0]
		todo = todo[1:]
		path, _, _ = strings.Cut(path, "#")
		if _, ok := seen[path]; ok || strings.HasPrefix(path, "/assets/") || path == "/sign-in" {
			continue
		}
		w := h.do(httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != http.StatusOK {
			h.t.Fatalf("GET %s: %d", path, w.Code)
		}
		seen[path] = w.Body.String()
		if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
			delete(seen, path)
			seen[path+" "] = "" // a file: not a page, not fetched again
			continue
		}
		for _, m := range hrefs.FindAllStringSubmatch(w.Body.String(), -1) {
			todo = append(todo, unescape(m[1]))
		}
	}
	for path := range seen {
		if strings.HasSuffix(path, " ") {
			delete(seen, path)
		}
	}
	return seen
}

// No page needs more than itself, one style and one script; none has code or
// style in it, opens a window, or speaks to another host.
func TestPagesBringNothingElse(t *testing.T) {
	h := newHouse(t, ayan(t))
	loads := regexp.MustCompile(`<(?:link rel="stylesheet"|script|img|iframe|object|embed|source)[^>]*`)
	inline := regexp.MustCompile(`(?i)<style|<script[^>]*>[^<]|\sstyle=|\son[a-z]+=|javascript:|target=|window\.open|(?:href|src|action)="(?:https?:)?//`)
	for path, page := range h.crawl() {
		var first []string
		for _, tag := range loads.FindAllString(page, -1) {
			if !strings.HasPrefix(tag, "<iframe") && !strings.HasPrefix(tag, "<img") { // a document shown is not the page's first view
				first = append(first, tag)
			}
		}
		if len(first) != 2 {
			t.Errorf("%s loads %q", path, first)
		}
		if m := inline.FindString(page); m != "" {
			t.Errorf("%s holds %q", path, m)
		}
	}
	for _, a := range []asset{h.viewer.style, h.viewer.script} {
		if m := regexp.MustCompile(`https?://|@import|@font-face|window\.open|localStorage|sessionStorage|indexedDB|eval\(|innerHTML`).Find(a.body); m != nil {
			t.Errorf("%s holds %q", a.path, m)
		}
	}
}

// The fixed line is the same bytes on every page of every chart, as are the
// feeds: neither tells what is withheld.
func TestTheFixedLineIsFixed(t *testing.T) {
	h := newHouse(t, ayan(t))
	want := h.viewer.words.say("fixed")
	if want != "This viewer may not show everything. Some kinds of information are not shown here, and some may not have arrived. If something is missing, that does not mean it was not done." {
		t.Errorf("the fixed line is %q", want)
	}
	for path, page := range h.crawl() {
		if strings.HasPrefix(path, "/p/") && strings.Count(page, "<p>"+want+"</p>") != 1 {
			t.Errorf("%s does not say the fixed line once", path)
		}
	}
}
