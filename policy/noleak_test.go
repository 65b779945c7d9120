package policy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"firebreak/fhir"
)

// harmless and secret are messages to weave; each secret is sensitive in another
// form.
func harmless(n int) message {
	k := fmt.Sprint(n)
	switch n % 4 {
	case 0:
		return report(n, k, "UREA AND ELECTROLYTES", "Sodium=140", "Potassium=4.1")
	case 1:
		return report(n, k, "Full blood count", "Haemoglobin=13.2")
	case 2:
		return one(n, obj{"resourceType": "Condition", "id": "p-c" + k, "code": obj{"coding": arr{obj{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I10"}}}, "subject": ref("Patient", "p")},
			obj{"resourceType": "Patient", "id": "p", "name": arr{obj{"family": "Doe"}}})
	default:
		return one(n, obj{"resourceType": "Appointment", "id": "p-a" + k, "status": "booked", "reasonCode": arr{obj{"text": "Blood pressure check"}},
			"participant": arr{obj{"actor": ref("Patient", "p"), "status": "accepted"}}}, obj{"resourceType": "Patient", "id": "p", "name": arr{obj{"family": "Doe"}}})
	}
}

func secret(n int, k string) message {
	what := []string{"HIV-1/2 Ag/Ab", "BETA HCG", "PSA"}[n%3]
	switch n % 8 {
	case 0: // by the panel only
		return report(n, k, what, "INTERPRETATION=SEE COMMENT")
	case 1: // by a result only
		return report(n, k, "LAB PROC", what+"=1")
	case 2: // by the value only
		return report(n, k, "LAB PROC", "COMMENT=reactive for HIV, pregnant, carcinoma")
	case 3:
		return one(n, obj{"resourceType": "Patient", "id": "p", "name": arr{obj{"family": "Secret"}}},
			obj{"resourceType": "Condition", "id": "p-s" + k, "code": obj{"coding": arr{obj{"system": "urn:oid:2.16.840.1.113883.6.90", "code": "B20"}}}, "subject": ref("Patient", "p")})
	case 4: // a message about it
		m := report(n, k, what, "RESULT=positive")
		m.resources = append(m.resources, obj{"resourceType": "Communication", "id": "p-m" + k, "status": "completed", "about": arr{ref("DiagnosticReport", "p-dr"+k)}, "payload": arr{obj{"contentString": "please call"}}})
		return m
	case 5: // a scan under a sensitive order
		m := report(n, k, what)
		m.resources = append(m.resources, obj{"resourceType": "DocumentReference", "id": "p-d" + k, "status": "current", "type": obj{"text": "Report"}, "subject": ref("Patient", "p"),
			"context": obj{"related": arr{ref("DiagnosticReport", "p-dr"+k)}}, "content": arr{obj{"attachment": obj{"url": "Binary/p-b" + k, "contentType": "application/pdf"}}}},
			obj{"resourceType": "Binary", "id": "p-b" + k, "contentType": "application/pdf", "data": "JVBERi0xLjQK"})
		return m
	case 6:
		return one(n, obj{"resourceType": "MedicationRequest", "id": "p-x" + k, "status": "active", "intent": "order", "medicationReference": ref("Medication", "p-n"+k), "subject": ref("Patient", "p")},
			obj{"resourceType": "Medication", "id": "p-n" + k, "code": obj{"text": "Biktarvy 50-200-25 mg tab"}}, obj{"resourceType": "Patient", "id": "p", "name": arr{obj{"family": "Renamed"}}})
	default:
		return one(n, obj{"resourceType": "Encounter", "id": "p-v" + k, "status": "finished", "class": obj{"code": "AMB"}, "subject": ref("Patient", "p"), "reasonCode": arr{obj{"text": "therapeutic abortion"}}},
			obj{"resourceType": "Patient", "id": "p", "name": arr{obj{"family": "Doe"}}})
	}
}

// TestAbsence: what a provider is shown of a chart with secrets woven in is
// byte for byte what is shown of a chart without, whatever the secrets were.
func TestAbsence(t *testing.T) {
	policies := []*Policy{load(t, Default()), withholding(t, "hiv", "reproductive", "cancer")}
	for seed := range uint64(120) {
		p := policies[seed%2]
		rnd := rand.New(rand.NewPCG(seed, 1))
		var without, with, other []message
		for n := range 3 + rnd.IntN(12) {
			for s := range rnd.IntN(3) {
				with = append(with, secret(rnd.IntN(24), fmt.Sprintf("x%d-%d", n, s)))
				if rnd.IntN(2) == 0 {
					other = append(other, secret(rnd.IntN(24), fmt.Sprintf("y%d-%d", n, s)))
				}
			}
			m := harmless(n)
			without, with, other = append(without, m), append(with, m), append(other, m)
		}
		rnd.Shuffle(len(with), func(i, j int) { with[i], with[j] = with[j], with[i] })
		want := said(p.View(provider(t), charted(t, without...)))
		if want == "" || !strings.Contains(want, "Observation") {
			t.Fatalf("seed %d: the harmless chart is empty", seed)
		}
		for name, messages := range map[string][]message{"secrets": with, "other secrets": other} {
			if got := said(p.View(provider(t), charted(t, messages...))); got != want {
				t.Fatalf("seed %d, %s:\n%s", seed, name, differ(want, got))
			}
		}
	}
}

func differ(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	var out []string
	for _, l := range g {
		if !strings.Contains(want, l) {
			out = append(out, "+ "+l)
		}
	}
	for _, l := range w {
		if !strings.Contains(got, l) {
			out = append(out, "- "+l)
		}
	}
	return strings.Join(out, "\n")
}

// TestOpenHalf: with an empty withhold list everything that was loaded is
// shown, and what is harmless is shown under every policy.
func TestOpenHalf(t *testing.T) {
	var all []message
	loaded := map[string]bool{}
	for n := range 24 {
		all = append(all, harmless(n), secret(n, fmt.Sprint("x", n)))
	}
	for _, m := range all {
		for _, r := range m.resources {
			loaded[fmt.Sprint(r["resourceType"], "/", r["id"])] = true
		}
	}
	v := withholding(t).View(provider(t), charted(t, all...))
	for _, r := range v.All() {
		delete(loaded, r.Resource().Ref().String())
	}
	if len(loaded) > 0 {
		t.Errorf("not shown: %v", loaded)
	}
}

// TestMixed: of one message with harmless and sensitive groups, what is shown
// is what is shown of the message without the sensitive groups.
func TestMixed(t *testing.T) {
	p := load(t, Default())
	for n := range 24 {
		a, b := report(n, "h", "UREA AND ELECTROLYTES", "Sodium=140"), secret(n, "s")
		whole := message{source: "lab", at: a.at, resources: append(append([]obj{}, a.resources...), without(b.resources, "Patient", "Organization", "Provenance", "Encounter")...)}
		cut := charted(t, message{source: "lab", at: a.at, resources: a.resources})
		got, want := said(p.View(provider(t), charted(t, whole))), said(p.View(provider(t), cut))
		if got != want {
			t.Errorf("secret %d:\n%s", n, differ(want, got))
		}
	}
}

func without(all []obj, types ...string) []obj {
	var out []obj
next:
	for _, r := range all {
		for _, typ := range types {
			if r["resourceType"] == typ {
				continue next
			}
		}
		out = append(out, r)
	}
	return out
}

// TestMonotone: withholding one more label adds no resource, whatever is
// withheld already.
func TestMonotone(t *testing.T) {
	var all []message
	for n := range 24 {
		all = append(all, harmless(n), secret(n, fmt.Sprint("x", n)))
	}
	ch := charted(t, all...)
	withhold := func(labels ...string) *View { return withholding(t, labels...).View(provider(t), ch) }
	names := []string{"hiv", "cancer", "reproductive", "unclassified", "sti"}
	for set := range 1 << len(names) {
		var labels []string
		for i, name := range names {
			if set>>i&1 == 1 {
				labels = append(labels, name)
			}
		}
		before := withhold(labels...)
		for _, more := range names {
			after := withhold(append(append([]string{}, labels...), more)...)
			for _, r := range after.All() {
				if _, ok := before.Get(r.Resource().Ref()); !ok {
					t.Fatalf("withholding %s besides %v shows %s", more, labels, r.Resource().Ref())
				}
			}
		}
	}
}

// TestChange: a kept resource is untouched by what happens to a withheld one.
func TestChange(t *testing.T) {
	p := load(t, Default())
	base := []message{report(1, "a", "UREA AND ELECTROLYTES", "Sodium=140")}
	want := said(p.View(provider(t), charted(t, base...)))
	steps := []struct {
		name string
		m    message
	}{
		{"arrival", report(2, "s", "HIV SCREEN", "RESULT=reactive")},
		{"correction", report(3, "s", "HIV SCREEN", "RESULT=non-reactive")},
		{"late coding", report(4, "s", "LAB PROC", "HIV-1 RNA=20")},
		{"deletion", one(5, obj{"resourceType": "Observation", "id": "p-obsa", "deleted": true, "code": named("HIV")})},
		{"the panel repeated with a secret member", report(6, "a", "UREA AND ELECTROLYTES", "Sodium=140", "HIV 1 Ab=neg")},
	}
	all := base
	for _, s := range steps {
		all = append(all, s.m)
		got := said(p.View(provider(t), charted(t, all...)))
		if s.name == "the panel repeated with a secret member" {
			// The message itself is harmless and comes with a Provenance of its own.
			got, want = only(got, "DiagnosticReport"), only(want, "DiagnosticReport")
		}
		if got != want {
			t.Errorf("%s:\n%s", s.name, differ(want, got))
		}
	}
}

func only(text, typ string) string {
	var out []string
	for _, l := range strings.Split(text, "\n") {
		if strings.Contains(l, `"resourceType":"`+typ) {
			out = append(out, l)
		}
	}
	return strings.Join(out, "\n")
}

// TestChannels is the part of NOLEAK's table that a view answers for.
func TestChannels(t *testing.T) {
	patient := ref("Patient", "p")
	sodium := obj{"resourceType": "Observation", "id": "p-na", "status": "final", "code": named("Sodium"), "subject": patient}
	hiv := obj{"resourceType": "Observation", "id": "p-hiv", "status": "final", "code": named("HIV-1 Ab"), "subject": patient}
	with := func(base obj, more obj) obj {
		out := obj{}
		for k, v := range base {
			out[k] = v
		}
		for k, v := range more {
			out[k] = v
		}
		return out
	}
	rows := []struct {
		name string
		in   []message
		see  string // refs visible, space between; the rest is not
		not  []string
	}{
		{"read of a withheld id", []message{one(1, sodium), one(2, hiv)}, "Observation/p-na", []string{"hiv", "HIV"}},
		{"a resource once visible, now withheld", []message{one(1, sodium), one(2, with(sodium, obj{"code": named("HIV")}))}, "", []string{"Sodium"}},
		{"the version that was withheld is not in the history", []message{one(1, with(sodium, obj{"code": named("HIV")})), one(2, sodium)}, "Observation/p-na", []string{"HIV"}},
		{"an older fact that arrives late does not come on top", []message{one(2, sodium), one(1, with(sodium, obj{"note": arr{obj{"text": "older"}}}))}, "Observation/p-na", nil},
		{"a member of a panel goes with its reference, the panel stays", []message{one(1, sodium, hiv, obj{"resourceType": "DiagnosticReport", "id": "p-dr", "code": named("Chemistry"),
			"result": arr{ref("Observation", "p-na"), ref("Observation", "p-hiv")}, "conclusion": "see the second result", "text": obj{"status": "generated", "div": "<div>both</div>"}})},
			"DiagnosticReport/p-dr Observation/p-na", []string{"p-hiv", "second result", "both"}},
		{"notes on a mended report go, wherever they stand, and the order's that came with it", []message{one(1, sodium, hiv,
			obj{"resourceType": "ServiceRequest", "id": "p-sr", "code": named("Chemistry"), "note": arr{obj{"text": "see both"}}},
			obj{"resourceType": "DiagnosticReport", "id": "p-dr", "code": named("Chemistry"), "basedOn": arr{ref("ServiceRequest", "p-sr")}, "result": arr{ref("Observation", "p-na"), ref("Observation", "p-hiv")},
				"extension": arr{obj{"url": "http://hl7.org/fhir/5.0/StructureDefinition/extension-DiagnosticReport.note", "valueAnnotation": obj{"text": "see both"}}}})},
			"DiagnosticReport/p-dr Observation/p-na ServiceRequest/p-sr", []string{"see both"}},
		{"what an order said before stays", []message{one(1, obj{"resourceType": "ServiceRequest", "id": "p-sr", "code": named("Chemistry"), "note": arr{obj{"text": "fasting"}}}, with(sodium, obj{"basedOn": arr{ref("ServiceRequest", "p-sr")}})),
			one(2, with(hiv, obj{"basedOn": arr{ref("ServiceRequest", "p-sr")}}))}, "Observation/p-na ServiceRequest/p-sr", []string{"p-hiv"}},
		{"a panel withholds its members", []message{one(1, sodium, obj{"resourceType": "Observation", "id": "p-panel", "code": named("HIV panel"), "hasMember": arr{ref("Observation", "p-na")}})}, "", nil},
		{"a panel that lost all its members goes", []message{one(1, hiv, obj{"resourceType": "DiagnosticReport", "id": "p-dr", "code": named("Chemistry"), "result": arr{ref("Observation", "p-hiv")}})}, "", nil},
		{"an order withholds what came of it, in any order of arrival", []message{
			one(1, with(sodium, obj{"basedOn": arr{ref("ServiceRequest", "p-sr")}})),
			one(2, obj{"resourceType": "ServiceRequest", "id": "p-sr", "code": named("HIV viral load")})}, "", nil},
		{"the order of a withheld result goes", []message{one(1, obj{"resourceType": "ServiceRequest", "id": "p-sr", "code": named("Chemistry")}),
			one(2, with(hiv, obj{"basedOn": arr{ref("ServiceRequest", "p-sr")}}))}, "", nil},
		{"an order of which something visible came stays", []message{one(1, obj{"resourceType": "ServiceRequest", "id": "p-sr", "code": named("Chemistry")}),
			one(2, with(hiv, obj{"basedOn": arr{ref("ServiceRequest", "p-sr")}}), with(sodium, obj{"basedOn": arr{ref("ServiceRequest", "p-sr")}}))}, "Observation/p-na ServiceRequest/p-sr", nil},
		{"derived values", []message{one(1, obj{"resourceType": "Observation", "id": "p-psa", "code": named("PSA")}), one(1, with(sodium, obj{"derivedFrom": arr{ref("Observation", "p-psa")}}))}, "", nil},
		{"references: an encounter's diagnosis", []message{one(1, obj{"resourceType": "Condition", "id": "p-c", "code": obj{"coding": arr{obj{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "B20"}}}},
			obj{"resourceType": "Encounter", "id": "p-v", "diagnosis": arr{obj{"condition": ref("Condition", "p-c"), "rank": 1}}, "status": "finished"})}, "Encounter/p-v", []string{"diagnosis", "rank"}},
		{"references to what is nowhere look the same", []message{one(1, obj{"resourceType": "Encounter", "id": "p-v", "diagnosis": arr{obj{"condition": ref("Condition", "p-zz"), "rank": 1}}, "status": "finished"})}, "Encounter/p-v", []string{"diagnosis", "p-zz"}},
		{"narrative of a changed resource", []message{one(1, hiv), one(1, obj{"resourceType": "Composition", "id": "p-k", "type": obj{"text": "Discharge summary"}, "title": "Summary",
			"section": arr{obj{"title": "Results", "text": obj{"status": "generated", "div": "<div>two results</div>"}, "entry": arr{ref("Observation", "p-hiv")}}}})}, "Composition/p-k", []string{"p-hiv", "two results"}},
		{"messages about a withheld result", []message{one(1, hiv, sodium), one(2, obj{"resourceType": "Task", "id": "p-t", "status": "requested", "intent": "order", "focus": ref("Observation", "p-hiv")})}, "Observation/p-na", nil},
		{"labels of the source", []message{one(1, with(sodium, obj{"meta": obj{"security": arr{obj{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "STD"}}, "tag": arr{obj{"code": "x"}}}}))}, "Observation/p-na", []string{"security", "STD", "tag"}},
		{"a tag of the source withholds", []message{one(1, with(sodium, obj{"meta": obj{"security": arr{obj{"code": "HIV"}}}}))}, "", nil},
		{"a practitioner known only from a withheld result", []message{report(1, "s", "HIV")}, "", nil},
		{"a patient known only from a withheld result", []message{report(1, "s", "HIV", "RESULT=1")}, "", nil},
		{"a file is seen through what names it", []message{one(1, obj{"resourceType": "Binary", "id": "p-b", "contentType": "text/plain", "data": "aGVsbG8="})}, "", nil},
		{"a file with sensitive text withholds what holds it", []message{one(1, obj{"resourceType": "Binary", "id": "p-b", "contentType": "text/plain", "data": "SElWIHJlYWN0aXZl"},
			obj{"resourceType": "DocumentReference", "id": "p-d", "type": obj{"text": "Letter"}, "content": arr{obj{"attachment": obj{"url": "Binary/p-b"}}}})}, "", nil},
		{"deleted", []message{one(1, sodium), one(2, with(sodium, obj{"deleted": true}))}, "", nil},
		{"provenance names only what is visible", []message{report(1, "h", "UREA AND ELECTROLYTES", "Sodium=1"), one(2, hiv),
			one(2, obj{"resourceType": "Provenance", "id": "p-x", "target": arr{ref("Observation", "p-hiv"), ref("Observation", "p-obha")}})},
			"DiagnosticReport/p-drh Encounter/p-visith Observation/p-obha Organization/p-lab Patient/p Practitioner/p-doch Provenance/p-prh1 Provenance/p-x ServiceRequest/p-srh Specimen/p-sph", []string{"p-hiv"}},
		{"a patient's extension is taken out, the patient stays", []message{one(1, obj{"resourceType": "Patient", "id": "p", "birthDate": "1980-01-01", "extension": arr{obj{"url": "http://x.org/note", "valueString": "HIV clinic"}}})}, "Patient/p", []string{"HIV"}},
	}
	p := load(t, Default())
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			v := p.View(provider(t), charted(t, row.in...))
			if got := ids(v); got != row.see {
				t.Errorf("visible: %s\nwant:    %s", got, row.see)
			}
			for _, s := range row.not {
				if strings.Contains(said(v), s) {
					t.Errorf("%q in:\n%s", s, said(v))
				}
			}
			if _, ok := v.Get(fhir.Ref{Type: "Observation", ID: "p-hiv"}); ok {
				t.Error("the withheld id can be read")
			}
			if h := v.History(fhir.Ref{Type: "Observation", ID: "p-hiv"}); h != nil {
				t.Error("the withheld id has a history")
			}
		})
	}
}
