package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
		{About{Before: 3}, 3, "1 0 false"},
		{About{Patients: []string{"Patient/p"}, Before: 17}, 2, "12 9 true"}, // entry 17 is page 16
		{About{Patients: []string{"Patient/p"}, Before: 5}, 2, "0 false"},
	} {
		if got := find(row.what, row.limit); got != row.want {
			t.Errorf("%+v, %d: %s, want %s", row.what, row.limit, got, row.want)
		}
	}
	if names, err := segments(l.dir); err != nil || len(names) < 3 {
		t.Errorf("the log has %d segments, %v", len(names), err)
	}
}

// TestIndex: a full segment's index is made when first asked for, and made again
// when it is not what it was; the log's own chain does not know of it.
func TestIndex(t *testing.T) {
	dir := t.TempDir()
	l, err := open(dir, nil, 2000)
	must(t, err)
	for i := range 60 {
		must(t, l.Append(t.Context(), Event{Action: Page, Patient: fhir.Ref{Type: "Patient", ID: fmt.Sprint("p", i%5)}}))
	}
	what := About{Patients: []string{"Patient/p3", "Patient/p4"}}
	var want []int64
	for n := int64(60); n > 0; n-- {
		if n%5 == 4 || n%5 == 0 {
			want = append(want, n)
		}
	}
	check := func(when string) {
		t.Helper()
		found, _, err := l.Find(t.Context(), what, 100)
		must(t, err)
		var got []int64
		for _, e := range found {
			got = append(got, e.N)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
	}
	check("without an index")
	check("with one")
	indexes, err := filepath.Glob(filepath.Join(dir, "*.index"))
	must(t, err)
	names, err := segments(dir)
	must(t, err)
	if len(indexes) != len(names)-1 {
		t.Fatalf("%d indexes for %d segments", len(indexes), len(names))
	}
	good, err := os.ReadFile(indexes[0])
	must(t, err)
	for name, damage := range map[string]func() error{
		"changed": func() error {
			return os.WriteFile(indexes[0], append(slices.Clone(good[:len(good)-1]), good[len(good)-1]^8), 0o600)
		},
		"cut":       func() error { return os.Truncate(indexes[0], 50) },
		"emptied":   func() error { return os.Truncate(indexes[0], 0) },
		"another's": func() error { return os.Rename(indexes[1], indexes[0]) },
		"gone":      func() error { return os.Remove(indexes[0]) },
	} {
		must(t, l.Close())
		must(t, damage())
		l, err = open(dir, nil, 2000)
		must(t, err)
		check(name)
		if again, err := os.ReadFile(indexes[0]); err != nil || !slices.Equal(again, good) {
			t.Errorf("%s: not made again: %v", name, err)
		}
	}
	must(t, l.Close())
	if n, err := Verify(dir); err != nil || n != 60 {
		t.Errorf("verified %d, %v", n, err)
	}
}
