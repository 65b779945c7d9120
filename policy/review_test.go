package policy

import (
	"fmt"
	"strings"
	"testing"

	"firebreak/access"
	"firebreak/fhir"
)

// about is a Task that tells what became of a result.
func about(n int, code, status, focus string) message {
	typ, id, _ := strings.Cut(focus, "/")
	return message{source: "ehr", at: day(n), resources: []obj{{"resourceType": "Task", "id": fmt.Sprint("p-t", n, code), "status": status, "intent": "order", "for": ref("Patient", "p"),
		"code": obj{"coding": arr{obj{"system": TaskSystem, "code": code}}}, "focus": ref(typ, id)}}}
}

// TestReview: a patient sees a result when a clinician has reviewed it as it is
// now, however long that takes; what a label withholds stays withheld, but for
// what the policy gives way to on request.
func TestReview(t *testing.T) {
	open := func(override string) *Policy {
		s := strings.Replace(string(Default()), `"enabled": false,
      "withhold": ["hiv", "reproductive", "cancer", "psychotherapy"]`, `"withhold": ["hiv", "reproductive", "cancer", "psychotherapy"]`, 1)
		return load(t, []byte(strings.Replace(s, `"override": []`, `"override": [`+override+`]`, 1)))
	}
	sodium := report(1, "a", "UREA AND ELECTROLYTES", "Sodium=140", "Potassium=4")
	corrected := report(9, "a", "UREA AND ELECTROLYTES", "Sodium=141", "Potassium=4")
	hiv := report(1, "b", "HIV SCREEN", "RESULT=1")
	preliminary := one(1, obj{"resourceType": "Observation", "id": "p-pre", "status": "preliminary", "code": named("Sodium"), "subject": ref("Patient", "p")})
	rows := []struct {
		name     string
		override string
		m        []message
		want     string
	}{
		{"final, not reviewed", "", []message{sodium}, ""},
		{"final, not reviewed for years", "", []message{sodium, about(2000, "other", "completed", "DiagnosticReport/p-dra")}, ""},
		{"its report reviewed", "", []message{sodium, about(2, "reviewed", "completed", "DiagnosticReport/p-dra")}, "p-dra p-obaa p-obab"},
		{"the review under way", "", []message{sodium, about(2, "reviewed", "in-progress", "DiagnosticReport/p-dra")}, ""},
		{"one result reviewed", "", []message{sodium, about(2, "reviewed", "completed", "Observation/p-obaa")}, "p-obaa"},
		{"the patient was told", "", []message{sodium, about(2, "told", "completed", "DiagnosticReport/p-dra")}, "p-dra p-obaa p-obab"},
		{"corrected after the review", "", []message{sodium, about(2, "reviewed", "completed", "Observation/p-obaa"), about(3, "reviewed", "completed", "Observation/p-obab"), corrected}, "p-obab"},
		{"reviewed before it is final", "", []message{preliminary, about(2, "reviewed", "completed", "Observation/p-pre")}, ""},
		{"withheld, reviewed", "", []message{hiv, about(2, "reviewed", "completed", "DiagnosticReport/p-drb")}, ""},
		{"withheld, asked for", "", []message{hiv, about(2, "discussed-and-requested", "completed", "DiagnosticReport/p-drb")}, ""},
		{"withheld, asked for, where that is allowed", `"hiv"`, []message{hiv, about(2, "discussed-and-requested", "completed", "DiagnosticReport/p-drb")}, "p-drb p-obba"},
		{"withheld, reviewed, where asking is allowed", `"hiv"`, []message{hiv, about(2, "reviewed", "completed", "DiagnosticReport/p-drb")}, ""},
		{"another label, asked for", `"cancer"`, []message{hiv, about(2, "discussed-and-requested", "completed", "DiagnosticReport/p-drb")}, ""},
	}
	for _, row := range rows {
		p := open(row.override)
		ch := charted(t, row.m...)
		var got []string
		for _, v := range p.Explain(Position{Audience: "patient"}, day(3000), ch) {
			if v.Kept && results[v.Ref.Type] {
				got = append(got, v.Ref.ID)
			}
		}
		if s := strings.Join(got, " "); s != row.want {
			t.Errorf("%s: sees %q, want %q", row.name, s, row.want)
		}
	}
	// Providers wait for nobody's review, and the shipped policy lets no patient in.
	shipped := load(t, Default())
	for at, want := range map[Position]bool{{Audience: access.Provider, Role: access.Nurse}: true, {Audience: "patient"}: false} {
		for _, v := range shipped.Explain(at, day0, charted(t, sodium)) {
			if v.Ref == (fhir.Ref{Type: "Observation", ID: "p-obaa"}) && v.Kept != want {
				t.Errorf("%v: kept %v", at, v.Kept)
			}
		}
	}
}

// TestWaiting: what no clinician reviewed, and what is withheld from a patient
// whom nobody told.
func TestWaiting(t *testing.T) {
	p := load(t, Default())
	ch := charted(t, report(1, "a", "UREA AND ELECTROLYTES", "Sodium=140"), report(2, "b", "HIV SCREEN", "RESULT=1"), report(3, "c", "Full blood count", "Haemoglobin=13"), report(4, "d", "PSA", "RESULT=1"),
		about(5, "reviewed", "completed", "DiagnosticReport/p-drc"), about(6, "told", "completed", "DiagnosticReport/p-drd"), about(7, "reviewed", "completed", "DiagnosticReport/p-drb"))
	var got []string
	for _, w := range p.Waiting(ch) {
		got = append(got, fmt.Sprint(w.Ref.ID, " ", w.Held))
	}
	if s := strings.Join(got, ", "); s != "p-dra false, p-obaa false, p-drb true, p-obba true" {
		t.Errorf("waiting: %s", s)
	}
}
