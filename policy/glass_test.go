package policy

import (
	"strings"
	"testing"

	"firebreak/access"
	"firebreak/access/accesstest"
	"firebreak/fhir"
)

// TestGlass: what is seen through broken glass, by whom, and what never is.
func TestGlass(t *testing.T) {
	narrower := strings.Replace(string(Demo()), `"roles": {}`, `"roles": {"nurse": {"withhold": ["hiv"]}}`, 1)
	rule := consent(obj{"type": "deny", "class": arr{obj{"code": "Immunization"}}})
	m := []message{report(1, "a", "UREA AND ELECTROLYTES", "Sodium=140"), report(2, "b", "HIV SCREEN", "RESULT=1"), report(3, "c", "PSA", "RESULT=1"),
		one(4, obj{"resourceType": "DocumentReference", "id": "p-notes", "status": "current", "subject": ref("Patient", "p"), "type": obj{"text": "Psychotherapy notes"},
			"content": arr{obj{"attachment": obj{"url": "https://example.org/x"}}}}),
		one(5, obj{"resourceType": "Immunization", "id": "p-flu", "status": "completed", "patient": ref("Patient", "p"), "vaccineCode": obj{"text": "Influenza"}}, rule),
		one(6, obj{"resourceType": "Condition", "id": "p-part2", "subject": ref("Patient", "p"), "code": obj{"text": "Opioid use disorder, methadone programme"},
			"meta": obj{"security": arr{obj{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "42CFRPart2"}}}})}
	ch := charted(t, m...)
	// At the pages, which tokens are not: the position alone is tried here.
	rows := []struct {
		name   string
		policy []byte
		role   access.Role
		glass  Glass
		want   string // ids
	}{
		{"whole", Demo(), access.Physician, Intact, "p-dra"},
		{"broken", Demo(), access.Physician, Broken, "p-dra p-drb p-drc p-flu"},
		{"in an emergency", Demo(), access.Physician, Emergency, "p-dra p-drb p-drc p-flu p-part2"},
		{"what the role withholds besides", []byte(narrower), access.Nurse, Emergency, "p-dra p-drc p-flu p-part2"},
		{"where nothing may be opened", Default(), access.Physician, Emergency, "p-dra"},
	}
	for _, row := range rows {
		p := load(t, row.policy)
		s := p.look(position{audience: access.Provider, role: row.role, site: "clinic", glass: row.glass})
		v := p.view(s, []subject{{"p-x", "clinic", row.role}}, day0, ch)
		var got []string
		for _, r := range []fhir.Ref{{Type: "DiagnosticReport", ID: "p-dra"}, {Type: "DiagnosticReport", ID: "p-drb"}, {Type: "DiagnosticReport", ID: "p-drc"},
			{Type: "Immunization", ID: "p-flu"}, {Type: "Condition", ID: "p-part2"}, {Type: "DocumentReference", ID: "p-notes"}, {Type: "Consent", ID: "p-consent"}} {
			if _, ok := v.Get(r); ok {
				got = append(got, r.ID)
			}
		}
		if s := strings.Join(got, " "); s != row.want {
			t.Errorf("%s: sees %q, want %q", row.name, s, row.want)
		}
	}
	// A token breaks nothing, whatever is claimed.
	p := load(t, Demo())
	for _, c := range []access.Caller{accesstest.Person(t, access.Physician), accesstest.Person(t, access.Assistant), accesstest.Client(t, "", "system/*.rs"), {}} {
		if _, ok := p.MayBreak(c); ok || p.KeyThrough(Emergency, c) != p.Key(c) || said(p.ViewThrough(Emergency, c, ch)) != said(p.View(c, ch)) {
			t.Errorf("a token of %s breaks the glass", c.Audience())
		}
	}
}

func TestGlassInTheFile(t *testing.T) {
	rows := []struct{ name, from, to, want string }{
		{"psychotherapy", `"emergencyOnly": ["part2"]`, `"emergencyOnly": ["part2", "psychotherapy"]`, "line 28: /audiences/provider/breakGlass/emergencyOnly/1: psychotherapy notes are never opened"},
		{"part 2 for any reason", `"opens": ["hiv", `, `"opens": ["part2", `, "/audiences/provider/breakGlass/opens/0: 42 CFR Part 2 data is opened in an emergency only"},
		{"a label that is none", `"opens": ["hiv", `, `"opens": ["*", `, `/breakGlass/opens/0: no label is called "*"`},
		{"too long", `"minutes": 60`, `"minutes": 61`, `/audiences/provider/breakGlass: "minutes" must be 1 to 60`},
		{"no end", `, "minutes": 60`, ``, `"minutes" must be 1 to 60`},
		{"of another audience", `"backend": {`, `"backend": {"breakGlass": {"opens": ["hiv"], "minutes": 5},`, "/audiences/backend/breakGlass: nobody but providers breaks the glass"},
	}
	for _, row := range rows {
		s := strings.Replace(string(Demo()), row.from, row.to, 1)
		if _, err := Load([]byte(s)); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %s", row.name, err, row.want)
		}
	}
}
