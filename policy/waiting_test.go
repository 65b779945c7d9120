package policy

import (
	"fmt"
	"strings"
	"testing"
)

// TestWaiting: what no clinician reviewed, and what is withheld from a patient
// whom nobody told; a report stands for its results.
func TestWaiting(t *testing.T) {
	sodium := report(1, "a", "UREA AND ELECTROLYTES", "Sodium=140", "Potassium=4")
	hiv := report(2, "b", "HIV SCREEN", "RESULT=1")
	local := one(1, obj{"resourceType": "Observation", "id": "p-x", "status": "final", "code": obj{"coding": arr{obj{"system": "urn:lab", "code": "QX7", "display": "QX7"}}}, "subject": ref("Patient", "p"), "valueString": "1"})
	numbered := one(1, obj{"resourceType": "Patient", "id": "p", "identifier": arr{obj{"value": "old", "use": "old"}, obj{"value": "9000000001"}, obj{"value": "4411", "type": obj{"coding": arr{obj{"code": "MR"}}}}}},
		obj{"resourceType": "Observation", "id": "p-n", "status": "final", "code": named("Sodium"), "subject": ref("Patient", "p"), "valueString": "1",
			"identifier": arr{obj{"value": "P1", "type": obj{"coding": arr{obj{"code": "PLAC"}}}}, obj{"value": "F1", "type": obj{"coding": arr{obj{"code": "FILL"}}}}}})
	filed, again := report(1, "f", "UREA AND ELECTROLYTES", "Sodium=140"), report(3, "f", "UREA AND ELECTROLYTES", "Sodium=141")
	for _, m := range []message{filed, again} {
		m.resources[len(m.resources)-2]["identifier"] = arr{obj{"value": "F2"}}
	}
	loop := one(1, obj{"resourceType": "Observation", "id": "p-l1", "status": "final", "code": named("Sodium"), "subject": ref("Patient", "p"), "hasMember": arr{ref("Observation", "p-l2")}},
		obj{"resourceType": "Observation", "id": "p-l2", "status": "final", "code": named("Sodium"), "subject": ref("Patient", "p"), "hasMember": arr{ref("Observation", "p-l1")}})
	shut := strings.Replace(string(Default()), `,
      "release": {"after": "clinician-review", "on": {}, "override": []}`, "", 1)
	rows := []struct {
		name, policy string
		m            []message
		want         string
	}{
		{"nothing", "", nil, ""},
		{"not reviewed", "", []message{sodium}, "p-dra waits"},
		{"one of its results reviewed", "", []message{sodium, about(2, "reviewed", "completed", "Observation/p-obaa")}, "p-dra waits"},
		{"reviewed but for one result", "", []message{sodium, about(2, "reviewed", "completed", "DiagnosticReport/p-dra"), report(3, "a", "UREA AND ELECTROLYTES", "Sodium=141", "Potassium=4")}, "p-obaa waits"},
		{"reviewed", "", []message{sodium, about(2, "reviewed", "completed", "DiagnosticReport/p-dra")}, ""},
		{"sent after the review", `{"lab": ["result-final"]}`, []message{sodium}, ""},
		{"withheld", "", []message{hiv}, "p-drb hiv"},
		{"withheld and reviewed", "", []message{hiv, about(7, "reviewed", "completed", "DiagnosticReport/p-drb")}, "p-drb hiv"},
		{"withheld and told", "", []message{hiv, about(7, "told", "completed", "DiagnosticReport/p-drb")}, ""},
		{"told, and corrected since", "", []message{hiv, about(3, "told", "completed", "DiagnosticReport/p-drb"), report(4, "b", "HIV SCREEN", "RESULT=2")}, "p-obba hiv"},
		{"the telling is under way", "", []message{hiv, about(3, "told", "in-progress", "DiagnosticReport/p-drb")}, "p-drb hiv"},
		{"a code nobody knows, not reviewed", "", []message{local}, "p-x waits"},
		{"a code nobody knows, reviewed", "", []message{local, about(2, "reviewed", "completed", "Observation/p-x")}, "p-x unclassified"},
		{"oldest first", "", []message{hiv, sodium}, "p-dra waits, p-drb hiv"},
		{"numbers", "", []message{numbered}, "p-n waits 4411 F1"},
		{"a report's number", "", []message{filed, about(2, "reviewed", "completed", "DiagnosticReport/p-drf"), again}, "p-obfa waits F2"},
		{"panels that are each other's members", "", []message{loop}, "p-l1 waits, p-l2 waits"},
		{"where no review is asked for", shut, []message{sodium, hiv}, "p-drb hiv"},
	}
	for _, row := range rows {
		p := opened(t, "{}")
		switch {
		case strings.HasPrefix(row.policy, "{\n"):
			p = load(t, []byte(row.policy))
		case row.policy != "":
			p = opened(t, row.policy)
		}
		var got []string
		for _, w := range p.Waiting(charted(t, row.m...)) {
			what := "waits"
			if w.Held {
				what = fmt.Sprint(w.Labels)
			}
			got = append(got, strings.Join(strings.Fields(fmt.Sprint(w.Ref.ID, " ", strings.Trim(what, "[]"), " ", w.Number, " ", w.Order)), " "))
		}
		if s := strings.Join(got, ", "); s != row.want {
			t.Errorf("%s: %q, want %q", row.name, s, row.want)
		}
	}
	shipped, other, wider := load(t, Default()), opened(t, "{}"), opened(t, `{"lab": ["result-final"]}`)
	if shipped.WaitingKey() != other.WaitingKey() || shipped.WaitingKey() == wider.WaitingKey() {
		t.Error("a key that does not say whether a policy finds other results waiting")
	}
}
