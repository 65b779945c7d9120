package proof_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"firebreak/internal/corpus"
)

// channel is a way in which gateways are known to tell what they withhold: a row
// of the table in NOLEAK.md, and what holds it here.
type channel struct {
	row   string                              // how the row begins
	asked func(*trial, question, answer) bool // a question of TestAbsence, with its answer, that goes through it
	tests []string                            // further tests, by package
	shut  []string                            // addresses that would be part of it and are not served
}

var channels = []channel{
	{"read of a withheld id", func(x *trial, q question, a answer) bool { return x.hides(q.target) && a.status == 404 }, nil, nil},
	{"read of another patient's id", func(x *trial, q question, a answer) bool {
		return q.who.name == "app-for-one-patient" && strings.Count(q.target, "/") == 3 && a.status == 404
	}, []string{"fhirapi.TestPatientTokenIsConfined"}, nil},
	{"vread, _history", func(x *trial, q question, a answer) bool {
		return strings.Contains(q.target, "/_history") && (x.hides(q.target) || a.status == 200)
	}, nil, nil},
	{"_total, _summary=count", func(_ *trial, q question, a answer) bool {
		return asks(q, "_total=accurate", "_summary=count") && a.status == 200
	}, nil, nil},
	{"paging", func(_ *trial, q question, a answer) bool { return asks(q, "_cursor=") && a.status == 200 }, []string{"fhirapi.TestCursorsAreSealed"}, nil},
	{"_sort, _lastUpdated, _since", func(_ *trial, q question, a answer) bool {
		return asks(q, "_sort=", "_lastUpdated=", "_since=") && a.status == 200
	}, nil, nil},
	{"_id list, _id:not, :missing", func(_ *trial, q question, a answer) bool {
		return asks(q, ":missing=", ":not=") && a.status == 200 && found(a)
	}, nil, nil},
	{"search by a withheld code", func(x *trial, q question, a answer) bool { return names(q) && asks(q, "?") && a.status == 200 }, []string{"proof.TestTermsAreAsked"}, nil},
	{"chained, _has, composite", func(_ *trial, q question, a answer) bool { return asks(q, "_has:", ":Patient.") && a.status == 200 }, nil, nil},
	{"_include, _revinclude", func(_ *trial, q question, a answer) bool {
		return asks(q, "include") && strings.Contains(string(a.body), `"mode":"include"`)
	}, nil, nil},
	{"references to withheld ones", nil, []string{"proof.TestForms"}, nil},
	{"contained, extension, component", nil, []string{"proof.TestForms"}, nil},
	{"text.div", nil, []string{"proof.TestForms"}, nil},
	{"presentedForm, Binary", func(x *trial, q question, _ answer) bool {
		return x.hides(q.target) && strings.Contains(q.target, "/Binary/")
	}, []string{"proof.TestForms", "proof.TestCanariesAreSeen"}, nil},
	{"derived values", func(_ *trial, q question, a answer) bool {
		return atPages(q, "/results", "/timeline") && a.status == 200
	}, nil, nil},
	{"Bundle.id, link, fullUrl", func(_ *trial, q question, a answer) bool { return asks(q, "/fhir/") && found(a) }, nil, nil},
	{"ETag, Last-Modified", func(_ *trial, q question, a answer) bool {
		return (q.header.Get("If-None-Match") != "" || q.header.Get("If-Modified-Since") != "") && (a.status == 304 || a.header.Get("ETag") != "")
	}, []string{"fhirapi.TestConditionalRead"}, nil},
	{"meta.security, meta.tag", nil, []string{"proof.TestForms", "proof.TestMutants"}, nil},
	{"'some data withheld' banner", func(_ *trial, q question, a answer) bool { return atPages(q, "/p/") && a.status == 200 }, []string{"viewer.TestTheFixedLineIsFixed"}, nil},
	{"$everything, $export", func(_ *trial, q question, a answer) bool {
		return (atPages(q, "/print") || asks(q, "$everything") || asks(q, "$summary") || asks(q, "$lastn") || asks(q, "$docref")) && a.status == 200
	}, nil, []string{
		"/fhir/$export", "/fhir/Patient/$export", "/fhir/$graphql",
		"/fhir/Patient/ID/$graphql", "/fhir/Observation/$stats", "/cds-services", "/p/ID.csv", "/p/ID/export"}},
	{"metadata, /metrics, health", func(_ *trial, q question, a answer) bool {
		return strings.HasPrefix(q.target, "/fhir/metadata") && a.status == 200
	},
		[]string{"proof.TestTwoPrograms", "web.TestTheLogHoldsNobody"}, []string{"/metrics", "/debug/pprof/"}},
	{"conditional create/update/delete", func(_ *trial, q question, a answer) bool {
		return q.header.Get("If-None-Exist") != "" || asks(q, "?") && (q.method == http.MethodPut || q.method == http.MethodDelete)
	}, []string{"fhirapi.TestConditionalWrite", "fhirapi.TestSourcesDoNotMix"}, nil},
	{"validation and error text", func(_ *trial, q question, a answer) bool {
		return a.status == 400 && strings.Contains(string(a.body), "OperationOutcome")
	}, nil, nil},
	{"caches, pre-rendered pages", func(_ *trial, q question, a answer) bool { return a.status == 200 && q.who.token != "" }, []string{"web.TestEveryAnswerIsHardened", "proof.TestMutants"}, nil},
	{"AuditEvent, access log", func(_ *trial, q question, a answer) bool { return atPages(q, "/recent") && a.status == 200 }, nil, []string{"/p/ID/access", "/p/ID/log", "/audit"}},
	{"Provenance, MessageHeader, Task", nil, []string{"proof.TestForms"}, nil},
	{"rate limits, quotas", func(_ *trial, q question, a answer) bool { return a.header.Get("Content-Encoding") == "gzip" }, []string{"web.TestRateLimitsCountOneAskersRequests"}, nil},
	{"search autocomplete", func(_ *trial, q question, a answer) bool {
		return atPages(q, "/find") || atPages(q, "/results?") && a.status == 200 || asks(q, "/ValueSet/") && asks(q, "filter=") && a.status == 200
	}, nil, []string{"/suggest", "/find/suggest"}},
	{"patient-level existence", func(x *trial, q question, a answer) bool { return x.hidden(q.target) }, []string{"proof.TestCrowd"}, nil},
	{"merges, unlinks (A40)", func(x *trial, q question, a answer) bool {
		return a.status == 200 && strings.Contains(string(a.body), `"type":"replace`)
	}, []string{"proof.TestForms"}, nil},
}

func asks(q question, parts ...string) bool {
	target := strings.ReplaceAll(q.target+"?"+q.form, "%3A", ":")
	return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(target, p) })
}

// atPages tells whether q is at the pages, at an address with one of the parts.
func atPages(q question, parts ...string) bool { return q.who.pages() && asks(q, parts...) }

func found(a answer) bool { return strings.Contains(string(a.body), `"mode":"match"`) }

// hides tells whether an address is that of something that only the secrets
// hold.
func (x *trial) hides(target string) bool {
	parts := strings.Split(strings.TrimPrefix(target, "/fhir/"), "/")
	if len(parts) < 2 {
		return false
	}
	id, _, _ := strings.Cut(parts[1], "?")
	return x.asker.hidden.seen["ref "+parts[0]+"/"+id]
}

// hidden tells whether an address names a patient known from secrets alone.
func (x *trial) hidden(target string) bool {
	return slices.ContainsFunc(x.world.people, func(p *person) bool { return p.hidden && strings.Contains(target, p.id()) })
}

// coverage counts the questions that went through each channel.
type coverage struct {
	mu sync.Mutex
	n  [64]int
}

func (c *coverage) see(x *trial, q question, a answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range channels {
		if f := channels[i].asked; f != nil && f(x, q, a) {
			c.n[i]++
		}
	}
}

// check says through which channels nobody asked.
func (c *coverage) check(t *testing.T) {
	for i, ch := range channels {
		if ch.asked != nil && c.n[i] == 0 {
			t.Errorf("nobody asked through the channel %q", ch.row)
		}
		if ch.asked != nil {
			t.Logf("%8d questions through %s", c.n[i], ch.row)
		}
	}
}

// TestEveryChannel: each row of NOLEAK.md's table is held by something that is
// there: questions of TestAbsence (which counts them), tests, or that the thing
// is not served.
func TestEveryChannel(t *testing.T) {
	b, err := os.ReadFile(corpus.Dir(t, "NOLEAK.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(b), "| channel | right answer |\n|---|---|\n")
	if !ok {
		t.Fatal("NOLEAK.md has no table of channels")
	}
	var rows []string
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "| ") {
			break
		}
		rows = append(rows, strings.TrimPrefix(line, "| "))
	}
	for i, row := range rows {
		if i >= len(channels) || !strings.HasPrefix(row, channels[i].row) {
			t.Fatalf("row %d of NOLEAK.md has no place in channels: %.80s", i+1, row)
		}
	}
	if len(channels) != len(rows) {
		t.Errorf("%d channels for %d rows", len(channels), len(rows))
	}
	for _, c := range channels {
		if c.asked == nil && len(c.tests) == 0 {
			t.Errorf("nothing holds the channel %q", c.row)
		}
		for _, name := range c.tests {
			if !exists(t, name) {
				t.Errorf("channel %q: there is no %s", c.row, name)
			}
		}
	}
}

// exists tells whether there is a test "package.TestName".
func exists(t *testing.T, name string) bool {
	t.Helper()
	dir, function, _ := strings.Cut(name, ".")
	files, err := filepath.Glob(filepath.Join("..", dir, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests in %s", dir)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if regexp.MustCompile(`(?m)^func ` + function + `\(`).Match(b) {
			return true
		}
	}
	return false
}

// TestNothingElseIsServed: what channels would need addresses of their own for
// is answered as any address that never was.
func TestNothingElseIsServed(t *testing.T) {
	t.Parallel()
	w := create(0, 0)
	h := open(t, "")
	for _, e := range w.events {
		if m, ok := e.message(with); ok {
			if err := h.tell(m); err != nil {
				t.Fatal(err)
			}
		}
	}
	patient := w.people[0].id()
	d := h.under(t, policies(t)[0])
	for _, c := range channels {
		for _, address := range c.shut {
			address = strings.ReplaceAll(address, "ID", patient)
			for _, who := range audiences(t, patient) {
				got := d.ask(question{who: who, method: http.MethodGet, target: address, at: noon})
				if got.status < 400 && got.status != http.StatusSeeOther {
					t.Errorf("%s: %s is served to %s (%d): the channel %q needs questions", c.row, address, who.name, got.status, c.row)
				}
				if s := canary(got); s != "" {
					t.Errorf("%s, %s: %s", address, who.name, s)
				}
			}
		}
	}
	if err := h.close(); err != nil {
		t.Error(fmt.Errorf("close: %w", err))
	}
}
