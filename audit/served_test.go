package audit

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"firebreak/fhir"
)

// The log is read as AuditEvents from any place on, newest first: pages neither
// lose nor repeat, over segments, by time and by patient, whatever is kept.
func TestAuditEventsInPages(t *testing.T) {
	t.Parallel()
	const entries = 100
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l, err := open(t.TempDir(), nil, 4<<10)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	patient := func(i int) fhir.Ref { return fhir.Ref{Type: "Patient", ID: fmt.Sprint("p", i)} }
	for i := range entries {
		e := Event{Time: start.Add(time.Duration(i) * time.Hour), Action: Read, Subject: "s", Patient: patient(i % 3), Refused: i%5 == 0}
		if i%4 == 0 { // of three people
			e.Action, e.Patient, e.Entities = Search, fhir.Ref{}, []fhir.Ref{patient(0), patient(1), patient(2)}
		}
		if err := l.Append(context.Background(), e); err != nil {
			t.Fatal(err)
		}
	}
	if names, err := segments(l.dir); err != nil || len(names) < 5 {
		t.Fatalf("%d segments, %v", len(names), err)
	}
	all := func(w Window, limit int, keep func(fhir.Resource) bool) (ids []string) {
		for {
			page, next, err := l.AuditEvents(t.Context(), "https://x.test/fhir", w, limit, keep)
			if err != nil || len(page) > limit {
				t.Fatalf("%d, %v", len(page), err)
			}
			for _, r := range page {
				ids = append(ids, r.ID())
			}
			if w.After = next; next == "" {
				return ids
			}
		}
	}
	any := func(fhir.Resource) bool { return true }
	refused := func(r fhir.Resource) bool { return r.Get("outcome").Is("4") }
	for name, x := range map[string]struct {
		w    Window
		keep func(fhir.Resource) bool
		want int
	}{
		"everything":      {Window{}, any, entries + entries/4*2},
		"a time":          {Window{From: start.Add(50 * time.Hour), Until: start.Add(54 * time.Hour)}, any, 6},
		"since":           {Window{From: start.Add(96 * time.Hour)}, any, 6},
		"before all":      {Window{Until: start}, any, 0},
		"a patient":       {Window{Patients: []string{"Patient/p1"}}, func(r fhir.Resource) bool { return r.Root().At("entity.what.reference").Is("Patient/p1") }, 0},
		"nobody":          {Window{Patients: []string{"Patient/none"}}, any, 0},
		"refusals":        {Window{}, refused, 20 + 5*2},
		"after no number": {Window{After: "x"}, any, 0},
	} {
		want := all(x.w, 100_000, x.keep)
		if name == "a patient" {
			for i := range entries {
				if i%4 == 0 || i%3 == 1 {
					x.want++
				}
			}
		}
		if len(want) != x.want {
			t.Errorf("%s: %d, want %d", name, len(want), x.want)
		}
		for _, limit := range []int{1, 7} {
			if got := all(x.w, limit, x.keep); !slices.Equal(got, want) {
				t.Errorf("%s, %d to a page: %d, want %d", name, limit, len(got), len(want))
			}
		}
		for _, id := range want[:min(len(want), 4)] {
			if r, ok, err := l.AuditEvent(t.Context(), "https://x.test/fhir", id); !ok || err != nil || r.ID() != id {
				t.Errorf("%s: %v %v", id, ok, err)
			}
		}
	}
	for _, id := range []string{"audit-0", "audit-101", "audit-1-9", "audit-1-1", "audit-", "1", ""} {
		if _, ok, err := l.AuditEvent(t.Context(), "", id); ok || err != nil {
			t.Errorf("%s: %v %v", id, ok, err)
		}
	}
}
