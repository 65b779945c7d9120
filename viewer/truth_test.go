package viewer

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"firebreak/chart"
)

// PX-04: whatever results a chart holds, in whatever order they came, the
// newest value of a test is the same in summary, grid, trend and print. The
// newest is told by the test itself, not by package clinical.
func TestTheNewestValueIsOneOnAllPages(t *testing.T) {
	h := newHouse(t)
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 30).Draw(rt, "results")
		newest := map[string]time.Time{}
		value := map[string]string{}
		arrivals := []arrival{patientArrival()}
		for i := range n {
			test := rapid.SampledFrom([]string{"Potassium", "Sodium", "Urea"}).Draw(rt, "test")
			when := noon.Add(-time.Duration(i*7919%3000) * time.Hour) // no two alike
			status := rapid.SampledFrom([]string{"final", "final", "preliminary", "corrected", "cancelled", "entered-in-error"}).Draw(rt, "status")
			number := rapid.SampledFrom([]string{"", "<", ">"}).Draw(rt, "bound") + fmt.Sprintf("%d.%02d", rapid.IntRange(1, 199).Draw(rt, "whole"), i)
			arrivals = append(arrivals, observationArrival(i, test, number, status, when))
			if status != "cancelled" && status != "entered-in-error" && when.After(newest[test]) {
				newest[test], value[test] = when, number
			}
		}
		order := rapid.Permutation(arrivals[1:]).Draw(rt, "order")
		h.reader.charts = []chart.Chart{charted(t, append(arrivals[:1:1], order...))}
		clear(h.reader.views)
		base := h.base(0)
		summary, results, print := h.get(base), h.get(base+"/results"), h.get(base+"/print")
		for test, want := range value {
			trend := outline(h.get(link(t, results, test)))
			for name, row := range map[string]string{
				"summary": cells(line(afterHeading(outline(summary), "Results, newest first"), "| ["+test+"]"))[1],
				"grid":    firstValue(line(outline(results), "| ["+test+"]")),
				"trend":   firstRow(trend),
				"print":   firstValue(line(afterHeading(outline(print), "## Results"), "| ["+test+"]")),
			} {
				if !strings.HasPrefix(strings.TrimSpace(row)+" ", want+" ") {
					rt.Errorf("%s: newest %s is %q, want %s", name, test, row, want)
				}
			}
		}
	})
}

func cells(row string) []string { return strings.Split(strings.Trim(row, "| "), " | ") }

func afterHeading(out, heading string) string { return out[strings.Index(out, heading):] }

// firstValue is the newest cell of a grid's row that holds a result that counts.
func firstValue(row string) string {
	for _, c := range strings.Split(row, "|")[3:] {
		if c = strings.TrimSpace(c); c != "" && !strings.HasPrefix(c, "entered in error") && !strings.HasPrefix(c, "cancelled") {
			return c
		}
	}
	_, newest, _ := strings.Cut(strings.Split(row, "|")[1], "newest ")
	return newest
}

// firstRow is the value of the newest row of a trend's table that counts.
func firstRow(out string) string {
	for l := range strings.SplitSeq(afterHeading(out, "| Collected"), "\n") {
		c := strings.Split(l, "|")
		if len(c) < 3 || strings.Contains(l, "Collected") {
			continue
		}
		if v := strings.TrimSpace(c[2]); !strings.HasPrefix(v, "~") && v != "cancelled" {
			return v
		}
	}
	return ""
}

func patientArrival() arrival {
	return arrival{"hospital", noon.AddDate(-1, 0, 0), noon.AddDate(-1, 0, 0), json.RawMessage(
		`{"resourceType":"Patient","id":"p1","name":[{"family":"Test"}],"birthDate":"1980-01-01","gender":"male","identifier":[{"value":"123456"}]}`)}
}

func observationArrival(i int, test, number, status string, when time.Time) arrival {
	code := map[string]string{"Potassium": "2823-3", "Sodium": "2951-2", "Urea": "3094-0"}[test]
	compare := ""
	if strings.ContainsAny(number, "<>") {
		compare, number = fmt.Sprintf(`"comparator":%q,`, number[:1]), number[1:]
	}
	return arrival{"lab-a", when, when.Add(time.Minute), json.RawMessage(fmt.Sprintf(
		`{"resourceType":"Observation","id":"p1-o%d","status":%q,"code":{"coding":[{"system":"http://loinc.org","code":%q,"display":%q}]},"subject":{"reference":"Patient/p1"},"effectiveDateTime":%q,"valueQuantity":{%s"value":%s,"unit":"mmol/L"}}`,
		i, status, code, test, when.Format(time.RFC3339), compare, number))}
}

// What is withheld leaves no trace: with a sensitive result woven in by code,
// by panel, by text and in a report's PDF, every page is the same bytes.
func TestWithheldResultsLeaveNoTraceOnAnyPage(t *testing.T) {
	plain := readArrivals(t, "ayan.ndjson")
	secret := readArrivals(t, "secret.ndjson")
	h0 := newHouse(t, charted(t, plain))
	h1 := newHouse(t, charted(t, append(append(plain[:40:40], secret...), plain[40:]...)))
	pages := h0.crawl()
	found := h1.crawl()
	if len(pages) < 60 {
		t.Fatalf("only %d pages were found", len(pages))
	}
	for path, page := range pages {
		if found[path] != page {
			t.Errorf("%s tells that something is withheld:\n%s", path, firstDifference(page, found[path]))
		}
	}
	for path := range found {
		if _, ok := pages[path]; !ok {
			t.Errorf("%s exists only with the secret", path)
		}
	}
	words := regexp.MustCompile(`(?i)hiv|immunodeficiency|zzcanary`)
	for path, page := range found {
		if m := words.FindString(page); m != "" {
			t.Errorf("%s says %q", path, m)
		}
	}
}

func firstDifference(a, b string) string {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	cut := func(s string) string { return s[max(0, min(i, len(s))-80):min(len(s), i+120)] }
	return cut(a) + "\n...\n" + cut(b)
}

// Absent, withheld, another session's and somebody else's look the same: the
// same page, the same headers.
func TestAllThatMayNotBeSeenLooksAbsent(t *testing.T) {
	arrivals := append(readArrivals(t, "ayan.ndjson"), readArrivals(t, "secret.ndjson")...)
	h := newHouse(t, charted(t, arrivals))
	base := h.base(0)
	key := h.session.Key
	item := func(kind, id string) string { return h.viewer.handles.item(key, kind, id) }
	paths := map[string]string{
		"an address of nothing":      "/nowhere",
		"a handle that never was":    "/p/AAAA",
		"another session's handle":   "/p/" + h.viewer.handles.patient("session-two", h.reader.charts[0].Patient),
		"a patient who is not there": "/p/" + h.viewer.handles.patient(key, observationRef("Patient", "nobody")),
		"a test that never was":      base + "/results/" + item("test", "no such"),
		"a test that is withheld":    base + "/results/" + item("test", "http://loinc.org|56888-1"),
		"a report that never was":    base + "/reports/" + item("DiagnosticReport", "x"),
		"a report that is withheld":  base + "/reports/" + item("DiagnosticReport", "q7k2m4xw5dabcdef-hivr"),
		"its file":                   base + "/reports/" + item("DiagnosticReport", "q7k2m4xw5dabcdef-hivr") + "/0",
		"a document withheld":        base + "/documents/" + item("DocumentReference", "q7k2m4xw5dabcdef-hivd"),
		"the paper of a test":        base + "/print?part=trend&test=" + item("test", "http://loinc.org|56888-1"),
		"the paper of a report":      base + "/print?part=report&id=" + item("DiagnosticReport", "q7k2m4xw5dabcdef-hivr"),
	}
	var want *httptest.ResponseRecorder
	for name, path := range paths {
		w := h.do(httptest.NewRequest(http.MethodGet, path, nil))
		w.Header().Del("X-Request-Id")
		if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "There is nothing to show at this address.") {
			t.Errorf("%s: %d %s", name, w.Code, outline(w.Body.String()))
		}
		body := strings.ReplaceAll(w.Body.String(), strings.ReplaceAll(path, "&", "&amp;"), "SELF")
		if want == nil {
			want = w
			want.Body.Reset()
			want.Body.WriteString(body)
			continue
		}
		w.Header().Set("Content-Length", want.Header().Get("Content-Length"))
		if body != want.Body.String() || fmt.Sprint(w.Header()) != fmt.Sprint(want.Header()) {
			t.Errorf("%s does not look like the others:\n%s", name, firstDifference(want.Body.String(), body))
		}
	}
}
