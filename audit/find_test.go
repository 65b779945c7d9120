package audit

import (
	"fmt"
	"testing"

	"firebreak/fhir"
)

// TestFind: the latest entries about a patient, over several segments, newest
// first; a name that merely stands in another entry is not about it.
func TestFind(t *testing.T) {
	l, err := open(t.TempDir(), nil, 2000) // small segments
	must(t, err)
	defer l.Close()
	p := fhir.Ref{Type: "Patient", ID: "p"}
	for i := range 40 {
		e := Event{Action: Page, Detail: fmt.Sprint("page ", i), Patient: fhir.Ref{Type: "Patient", ID: fmt.Sprint("p", i)}}
		switch {
		case i%4 == 0:
			e.Patient = p
		case i == 6:
			e.Patient, e.Entities = fhir.Ref{}, []fhir.Ref{p}
		case i == 7:
			e.Detail += " Patient/p"
		case i == 9:
			e.Patient, e.Action = p, Print
		}
		must(t, l.Append(t.Context(), e))
	}
	find := func(what About, limit int) string {
		t.Helper()
		found, more, err := l.Find(t.Context(), what, limit)
		must(t, err)
		s := ""
		for _, e := range found {
			s += e.Detail[len("page "):] + " "
		}
		return fmt.Sprint(s, more)
	}
	for _, row := range []struct {
		what  About
		limit int
		want  string
	}{
		{About{Patients: []string{"Patient/p"}}, 100, "36 32 28 24 20 16 12 9 8 6 4 0 false"},
		{About{Patients: []string{"Patient/p"}}, 12, "36 32 28 24 20 16 12 9 8 6 4 0 false"},
		{About{Patients: []string{"Patient/p"}}, 11, "36 32 28 24 20 16 12 9 8 6 4 true"},
		{About{Patients: []string{"Patient/p"}}, 2, "36 32 true"},
		{About{Patients: []string{"Patient/p"}, Action: Print}, 9, "9 false"},
		{About{Patients: []string{"Patient/p1", "Patient/p2"}}, 9, "2 1 false"},
		{About{Patients: []string{"Patient/none"}}, 9, "false"},
		{About{Person: "ada"}, 9, "false"},
		{About{}, 3, "39 38 37 true"},
	} {
		if got := find(row.what, row.limit); got != row.want {
			t.Errorf("%+v, %d: %s, want %s", row.what, row.limit, got, row.want)
		}
	}
	if names, err := segments(l.dir); err != nil || len(names) < 3 {
		t.Errorf("the log has %d segments, %v", len(names), err)
	}
}
