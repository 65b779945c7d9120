package policy

import (
	"fmt"
	"strings"
	"testing"
)

// TestUnshown: a provider is told of each result in sight whether its patient
// still waits for it, and by nothing that is withheld.
func TestUnshown(t *testing.T) {
	sodium := report(1, "a", "UREA AND ELECTROLYTES", "Sodium=140", "Potassium=4")
	hiv := report(1, "b", "HIV SCREEN", "RESULT=1")
	mixed := report(1, "c", "UREA AND ELECTROLYTES", "Sodium=140", "HIV 1 Ab=1")
	rows := []struct {
		name string
		m    []message
		want string
	}{
		{"final", []message{sodium}, "p-dra p-obaa p-obab"},
		{"its report reviewed", []message{sodium, about(2, "reviewed", "completed", "DiagnosticReport/p-dra")}, ""},
		{"one result reviewed", []message{sodium, about(2, "reviewed", "completed", "Observation/p-obaa")}, "p-dra p-obab"},
		{"corrected since", []message{sodium, about(2, "reviewed", "completed", "DiagnosticReport/p-dra"), report(3, "a", "UREA AND ELECTROLYTES", "Sodium=141", "Potassium=4")}, "p-obaa"},
	}
	for _, row := range rows {
		for _, secrets := range [][]message{nil, {hiv}, {hiv, about(4, "told", "completed", "DiagnosticReport/p-drb"), about(5, "reviewed", "completed", "Observation/p-obba")}} {
			v := opened(t, "{}").View(provider(t), charted(t, append(secrets, row.m...)...))
			var got []string
			for _, r := range v.All() {
				if v.Unshown(r.Ref()) {
					got = append(got, r.Ref().ID)
				}
			}
			if s := strings.Join(got, " "); s != row.want {
				t.Errorf("%s, with %d secret messages: %q, want %q", row.name, len(secrets), s, row.want)
			}
		}
	}
	// A Task about the withheld member of a mixed panel changes no mark of the rest.
	var marks []string
	for _, more := range [][]message{nil, {about(2, "told", "completed", "Observation/p-obcb")}} {
		v := opened(t, "{}").View(provider(t), charted(t, append([]message{mixed}, more...)...))
		var s string
		for _, r := range v.All() {
			s += fmt.Sprint(r.Ref(), v.Unshown(r.Ref()), " ")
		}
		marks = append(marks, s)
	}
	if marks[0] != marks[1] {
		t.Errorf("a Task about what is withheld changes %s to %s", marks[0], marks[1])
	}
	shut := load(t, Default()).View(provider(t), charted(t, sodium))
	for _, r := range shut.All() {
		if shut.Unshown(r.Ref()) {
			t.Errorf("%v is said of where patients have no way in", r.Ref())
		}
	}
}
