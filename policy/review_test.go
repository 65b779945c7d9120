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

// opened is the shipped policy with patients let in, and events that count as
// reviews.
func opened(t *testing.T, on string) *Policy {
	t.Helper()
	s := strings.Replace(string(Default()), `"enabled": false,
      "withhold": ["hiv", "reproductive", "cancer", "psychotherapy"]`, `"withhold": ["hiv", "reproductive", "cancer", "psychotherapy"]`, 1)
	return load(t, []byte(strings.Replace(s, `"on": {}`, `"on": `+on, 1)))
}

// TestReviewEvents: what a feed sends counts as reviewed only where the policy
// says so of that feed and that event, as long as it stays as it was. What a
// laboratory calls final is no clinician's review.
func TestReviewEvents(t *testing.T) {
	doctor := arr{ref("Practitioner", "p-dr")}
	person := obj{"resourceType": "Practitioner", "id": "p-dr", "name": arr{obj{"family": "Hodgkin"}}}
	letter := func(n int, docStatus string, more obj) message {
		d := obj{"resourceType": "DocumentReference", "id": "p-doc", "status": "current", "subject": ref("Patient", "p"), "type": named("Discharge summary"), "content": arr{obj{"attachment": obj{"title": fmt.Sprint("version ", n)}}}}
		if docStatus != "" {
			d["docStatus"] = docStatus
		}
		for k, v := range more {
			d[k] = v
		}
		return one(n, person, d)
	}
	signed := obj{"authenticator": ref("Practitioner", "p-dr")}
	lab := report(1, "a", "UREA AND ELECTROLYTES", "Sodium=140")
	by := report(1, "a", "UREA AND ELECTROLYTES", "Sodium=140")
	early := report(1, "a", "UREA AND ELECTROLYTES", "Sodium=140")
	hiv := report(1, "b", "HIV SCREEN", "RESULT=1")
	for _, m := range []message{by, hiv} {
		for _, r := range m.resources {
			if r["resourceType"] == "DiagnosticReport" {
				r["resultsInterpreter"] = doctor
			}
		}
	}
	for _, r := range early.resources {
		if r["resourceType"] == "DiagnosticReport" {
			r["resultsInterpreter"], r["status"] = doctor, "preliminary"
		}
	}
	by.resources, early.resources = append(by.resources, person), append(early.resources, person)
	all := `["document-authenticated", "result-interpreted", "result-final"]`
	rows := []struct {
		name string
		on   string
		m    []message
		want string
	}{
		{"a final result, as shipped", `{}`, []message{by}, ""},
		{"an authenticated document, as shipped", `{}`, []message{letter(1, "final", signed)}, ""},
		{"an authenticated document", `{"lab": ["document-authenticated"]}`, []message{letter(1, "final", signed)}, "p-doc"},
		{"of another feed", `{"ward": ["document-authenticated", "result-interpreted", "result-final"]}`, []message{letter(1, "final", signed), by}, ""},
		{"authenticated by nobody", `{"lab": ["document-authenticated"]}`, []message{letter(1, "final", nil)}, ""},
		{"pre-authenticated", `{"lab": ["document-authenticated"]}`, []message{letter(1, "preliminary", signed)}, ""},
		{"of no status", `{"lab": ` + all + `}`, []message{letter(1, "", signed)}, ""},
		{"authenticated and edited since", `{"lab": ["document-authenticated"]}`, []message{letter(1, "final", signed), letter(2, "preliminary", signed)}, ""},
		{"edited and authenticated since", `{"lab": ["document-authenticated"]}`, []message{letter(1, "preliminary", signed), letter(2, "final", signed)}, "p-doc"},
		{"an authentication says nothing of results", `{"lab": ["document-authenticated"]}`, []message{by}, ""},
		{"an interpreted report and its results", `{"lab": ["result-interpreted"]}`, []message{by}, "p-dra p-obaa"},
		{"a report that nobody interpreted", `{"lab": ["result-interpreted"]}`, []message{lab}, ""},
		{"interpreted before it is final", `{"lab": ["result-interpreted"]}`, []message{early}, ""},
		{"interpreted, and corrected by another report", `{"lab": ["result-interpreted"]}`, []message{by, report(2, "a", "UREA AND ELECTROLYTES", "Sodium=141")}, ""},
		{"sent after the review", `{"lab": ["result-final"]}`, []message{lab}, "p-dra p-obaa"},
		{"sent after the review, but for what is not final", `{"lab": ["result-final"]}`, []message{early}, "p-obaa"},
		{"sent after the review, a document without its status", `{"lab": ["result-final"]}`, []message{letter(1, "", nil)}, ""},
		{"whatever counts, what is withheld stays so", `{"lab": ` + all + `}`, []message{hiv}, ""},
	}
	for _, row := range rows {
		var got []string
		p := opened(t, row.on)
		for _, v := range p.Explain(Position{Audience: "patient"}, day(3000), charted(t, row.m...)) {
			if v.Kept && results[v.Ref.Type] {
				got = append(got, v.Ref.ID)
			}
		}
		if s := strings.Join(got, " "); s != row.want {
			t.Errorf("%s: sees %q, want %q", row.name, s, row.want)
		}
	}
	for on, want := range map[string]string{
		`{"lab": ["final"]}`: `policy: line 50: /audiences/patient/release/on/lab: holds "final"; there are "document-authenticated", "result-interpreted" and "result-final"`,
		`["lab"]`:            "policy: line 50: does not fit at /audiences/patient/release/on",
	} {
		if _, err := Load([]byte(strings.Replace(string(Default()), `"on": {}`, `"on": `+on, 1))); err == nil || err.Error() != want {
			t.Errorf("%s: %v", on, err)
		}
	}
	a, b := opened(t, `{}`), opened(t, `{"lab": ["result-final"]}`)
	at := position{audience: "patient"}
	if strings.TrimPrefix(a.keyOf(a.look(at)), a.version) == strings.TrimPrefix(b.keyOf(b.look(at)), b.version) {
		t.Error("two rules of release have one key")
	}
}
