package label

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"firebreak/fhir"
)

func text(s string) obj { return obj{"text": s} }

func local(s string) obj { return coded("urn:lab", "X1", s) }

// TestHard is what has gone wrong in such recognisers, one row a case: the
// labels that a resource must have, all of them, "" for none.
func TestHard(t *testing.T) {
	obs := func(more obj) obj {
		out := obj{"resourceType": "Observation", "status": "final", "code": local("Sodium")}
		maps.Copy(out, more)
		return out
	}
	rows := []struct {
		name  string
		model obj
		want  string
	}{
		{"LOINC code alone", obs(obj{"code": coded("http://loinc.org", "20447-9", "")}), "hiv"},
		{"system with a slash at its end", obs(obj{"code": coded("http://loinc.org/", "20447-9", "")}), "hiv"},
		{"system as an OID", obs(obj{"code": coded("urn:oid:2.16.840.1.113883.6.1", "20447-9", "")}), "hiv"},
		{"2106-3 is a pregnancy test", obs(obj{"code": coded("http://loinc.org", "2106-3", "")}), "reproductive"},
		{"2106-3 is a race", obj{"resourceType": "Patient", "extension": arr{obj{"url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race", "extension": arr{obj{"url": "ombCategory", "valueCoding": obj{"system": "urn:oid:2.16.840.1.113883.6.238", "code": "2106-3", "display": "White"}}}}}}, ""},
		{"a common LOINC code without a name", obs(obj{"code": coded("http://loinc.org", "8251-1", ""), "valueString": "see comment"}), ""},
		{"a common LOINC code without name and system", obs(obj{"code": coded("", "2951-2", "")}), ""},
		{"a LOINC code that only its class tells", obs(obj{"code": coded("http://loinc.org", "88212-6", "")}), "hiv"},
		{"a LOINC code nobody listed, without a name", obs(obj{"code": coded("http://loinc.org", "99999-9", "")}), "unclassified"},
		{"a LOINC code nobody listed, with a harmless name", obs(obj{"code": coded("http://loinc.org", "99999-9", "Zorgium [Mass/volume] in Serum")}), ""},
		{"a local code nobody knows", obs(obj{"code": coded("urn:lab", "XHV", "XHV")}), "unclassified"},
		{"a local code with a known name", obs(obj{"code": coded("urn:lab", "XNA", "SODIUM SERUM")}), ""},
		{"ICD-10 without its dot", obj{"resourceType": "Condition", "code": coded("I10", "Z717", "")}, "hiv"},
		{"ICD-10 newer than the edition", obj{"resourceType": "Condition", "code": coded("http://hl7.org/fhir/sid/icd-10-cm", "F32.A", "")}, "mental-health"},
		{"ICD-10 of no named system", obj{"resourceType": "Condition", "code": coded("", "B20", "")}, "hiv"},
		{"ICD-9 with a veiled name", obj{"resourceType": "Condition", "code": coded("I9C", "795.71", "NONSPECIFIC SEROLOGIC FINDING")}, "hiv"},
		{"ICD-O behaviour", obs(obj{"valueCodeableConcept": coded("ICD-O-3", "8500/3", "")}), "cancer"},
		{"ICD-O benign behaviour", obs(obj{"valueCodeableConcept": coded("ICD-O-3", "8850/0", "Lipoma")}), ""},
		{"ATC class", obj{"resourceType": "MedicationStatement", "medicationCodeableConcept": coded("http://www.whocc.no/atc", "J05AR20", "")}, "hiv"},
		{"HIVES", obs(obj{"valueString": "HIVES after penicillin"}), ""},
		{"hearing aids", obs(obj{"valueString": "WEARS HEARING AIDS"}), ""},
		{"AIDS in capitals", obs(obj{"valueString": "Dx: AIDS 2009"}), "hiv"},
		{"a negative result is as sensitive", obs(obj{"valueString": "hiv neg per pt"}), "hiv"},
		{"full-width letters", obs(obj{"code": local("ＨＩＶ　１／２")}), "hiv"},
		{"a Cyrillic look-alike", obs(obj{"code": local("HІV-1 antibody")}), "hiv"},
		{"accents", obs(obj{"code": local("SÉROLOGIE VIH")}), "hiv"},
		{"UTF-8 read as Latin-1", obs(obj{"valueString": "CÃ¡ncer de mama"}), "cancer"},
		{"a letter lost on the way", obs(obj{"valueString": "C\ufffdrcinoma"}), "cancer"},
		{"a word broken over two lines", obs(obj{"valueString": "HUMAN IMMUNODEF\nICIENCY VIRUS ANTIBODY"}), "hiv"},
		{"marks inside a word of the narrative", obs(obj{"text": obj{"status": "generated", "div": "<div><b>HI</b><i>V</i> reactive</div>"}}), "hiv"},
		{"a misspelling", obs(obj{"code": local("Carcinoembyronic Antigen")}), "cancer"},
		{"words run together", obs(obj{"code": local("UrineOutput")}), ""},
		{"an identifier that tells", obs(obj{"identifier": arr{obj{"value": "HIV-00042"}}}), "hiv"},
		{"an identifier that tells by its beginning", obs(obj{"identifier": arr{obj{"value": "HIV00042"}}}), "hiv"},
		{"an identifier drawn by lot", obs(obj{"identifier": arr{obj{"value": "L5RPX52UPT453"}}}), ""},
		{"a newborn's screen for an immune deficiency", obs(obj{"code": coded("http://loinc.org", "62320-7", "T-cell receptor excision circle newborn screen")}), ""},
		{"Brucella abortus", obs(obj{"code": coded("", "", "Brucella abortus Ab")}), ""},
		{"patient reported outcomes", obs(obj{"valueString": "PROM questionnaire done"}), ""},
		{"letters of a file that nobody wrote", obs(obj{"note": arr{text("QX EDD ZK")}}), ""},
		{"the due date", obs(obj{"note": arr{text("LMP 1 Jan, EDD 8 Oct")}}), "reproductive"},
		{"a note", obs(obj{"note": arr{text("partner has syphilis")}}), "sti"},
		{"a component", obs(obj{"component": arr{obj{"code": local("HIV Ag/Ab"), "valueString": "x"}}}), "hiv"},
		{"an extension", obs(obj{"extension": arr{obj{"url": "http://x.org/state", "valueCodeableConcept": coded("http://hl7.org/fhir/sid/icd-10-cm", "Z33.1", "")}}}), "reproductive"},
		{"the name of an extension", obs(obj{"extension": arr{obj{"url": "http://x.org/pregnancy-status", "valueBoolean": true}}}), "reproductive"},
		{"a contained resource", obs(obj{"contained": arr{obj{"resourceType": "Specimen", "id": "s", "type": text("Products of conception")}}}), "reproductive"},
		{"a primitive's extension", obj{"resourceType": "Encounter", "_period": obj{"extension": arr{obj{"url": "http://x.org/why", "valueString": "HIV"}}}}, "hiv"},
		{"a performer's name", obs(obj{"performer": arr{obj{"display": "BayArea Methadone Services"}}}), "part2 substance-use"},
		{"a physician called Hodgkin", obs(obj{"performer": arr{obj{"reference": "Practitioner/1", "display": "Hodgkin, Sarah MD"}}}), ""},
		{"a patient called Cancer", obj{"resourceType": "Patient", "name": arr{obj{"family": "Cancer"}}, "address": arr{obj{"line": arr{"1 Chemo Street"}}}}, ""},
		{"a clinic as a patient's home", obj{"resourceType": "Patient", "managingOrganization": obj{"reference": "Organization/1", "display": "HIV clinic"}}, "hiv"},
		{"a UUID is no word", obs(obj{"identifier": arr{obj{"value": "adb0cd4f-0adb-4cd4-9eda-cd4adb0bda01"}}}), ""},
		{"vaccine against hepatitis B", obj{"resourceType": "Immunization", "vaccineCode": text("Hepatitis B vaccine")}, ""},
		{"hepatitis B surface antigen", obs(obj{"code": local("HBsAg")}), "viral-hepatitis"},
		{"ritonavir for COVID-19", obj{"resourceType": "MedicationRequest", "medicationCodeableConcept": text("Paxlovid (nirmatrelvir/ritonavir)")}, ""},
		{"ritonavir", obj{"resourceType": "MedicationRequest", "medicationCodeableConcept": text("ritonavir 100 mg")}, "hiv"},
		{"a tag of the source", obs(obj{"meta": obj{"security": arr{obj{"code": "PSYTHPN"}}}}), "psychotherapy"},
		{"psychotherapy notes", obj{"resourceType": "DocumentReference", "type": text("Psychotherapy process notes")}, "mental-health psychotherapy"},
		{"an order's reason", obj{"resourceType": "ServiceRequest", "code": text("CBC"), "reasonCode": arr{text("high risk sexual behavior")}}, "sti"},
		{"what a mother had", obj{"resourceType": "FamilyMemberHistory", "condition": arr{obj{"code": text("Breast cancer")}}}, "cancer"},
		{"what a mother had that everybody may know", obj{"resourceType": "FamilyMemberHistory", "condition": arr{obj{"code": text("Hypertension")}, obj{"code": coded("http://hl7.org/fhir/sid/icd-10-cm", "I21.9", "")}}}, ""},
		{"what a mother had, one of it unknown", obj{"resourceType": "FamilyMemberHistory", "condition": arr{obj{"code": text("Hypertension")}, obj{"code": local("QX7")}}}, "unclassified"},
		{"a mother had something", obj{"resourceType": "FamilyMemberHistory", "condition": arr{obj{"note": arr{text("ask her")}}}}, "unclassified"},
		{"a mother has died", obj{"resourceType": "FamilyMemberHistory", "deceasedBoolean": true}, ""},
		{"what a father had, by its code", obj{"resourceType": "FamilyMemberHistory", "condition": arr{obj{"code": coded("http://hl7.org/fhir/sid/icd-10-cm", "F20.9", "")}}}, "mental-health"},
		{"a visit's reason", obj{"resourceType": "Encounter", "reasonCode": arr{text("therapeutic abortion")}}, "reproductive"},
		{"a name that is judged where it belongs", obj{"resourceType": "DiagnosticReport", "code": text("Chemistry"), "result": arr{obj{"reference": "Observation/1", "display": "HIV 1 Ab"}}}, ""},
		{"two labels", obj{"resourceType": "Condition", "code": coded("http://hl7.org/fhir/sid/icd-10-cm", "O98.713", "")}, "hiv reproductive"},
	}
	r := rules(t)
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			got := r.Label("lab", []fhir.Resource{resource(t, row.model)})[0]
			if s := joined(got.Labels()); s != row.want {
				t.Errorf("%q, want %q; %v", s, row.want, got.Reasons())
			}
			for _, reason := range got.Reasons() {
				if !got.Has(reason.Label) || reason.Rule == "" || !strings.HasPrefix(reason.Element, got.Resource().Type()+".") {
					t.Errorf("reason %+v", reason)
				}
			}
		})
	}
}

func joined(labels []Label) string {
	var out []string
	for _, l := range labels {
		out = append(out, string(l))
	}
	return strings.Join(out, " ")
}

// TestMessage is how labels run inside one message. Each resource is written
// "Type/id"; what is wanted of it follows.
func TestMessage(t *testing.T) {
	r := rules(t)
	at := func(ref string) obj { return obj{"reference": ref} }
	res := func(ref string, more obj) obj {
		typ, id, _ := strings.Cut(ref, "/")
		out := obj{"resourceType": typ, "id": id}
		maps.Copy(out, more)
		return out
	}
	patient := res("Patient/p", nil)
	rows := []struct {
		name string
		in   []obj
		want map[string]string
	}{
		{"a panel gives to its members, and they bring the patient along", []obj{patient, res("DiagnosticReport/d", obj{"code": local("HIV"), "result": arr{at("Observation/a"), at("Observation/b")}}),
			res("Observation/a", obj{"code": local("INTERPRETATION")}), res("Observation/b", obj{"code": local("Sodium")})},
			map[string]string{"DiagnosticReport/d": "hiv", "Observation/a": "hiv", "Observation/b": "hiv", "Patient/p": "context:hiv"}},
		{"a member gives to nobody", []obj{patient, res("DiagnosticReport/d", obj{"code": local("Chemistry"), "result": arr{at("Observation/a"), at("Observation/b")}}),
			res("Observation/a", obj{"code": local("HIV")}), res("Observation/b", obj{"code": local("Sodium")})},
			map[string]string{"DiagnosticReport/d": "", "Observation/a": "hiv", "Observation/b": "", "Patient/p": ""}},
		{"a word in a conclusion gives to nobody", []obj{res("DiagnosticReport/d", obj{"code": local("Chemistry"), "conclusion": "HIV", "result": arr{at("Observation/b")}}), res("Observation/b", obj{"code": local("Sodium")})},
			map[string]string{"DiagnosticReport/d": "hiv", "Observation/b": ""}},
		{"an order gives to report, results, document and file", []obj{res("ServiceRequest/o", obj{"code": local("RPR")}),
			res("DiagnosticReport/d", obj{"code": local("Report"), "basedOn": arr{at("ServiceRequest/o")}, "result": arr{at("Observation/a")}}), res("Observation/a", obj{"code": local("RESULT")}),
			res("DocumentReference/s", obj{"type": text("Scan"), "context": obj{"related": arr{at("ServiceRequest/o")}}, "content": arr{obj{"attachment": obj{"url": "Binary/x"}}}}), res("Binary/x", obj{"contentType": "application/pdf", "data": "JVBERi0="})},
			map[string]string{"DiagnosticReport/d": "sti", "Observation/a": "sti", "DocumentReference/s": "sti unclassified", "Binary/x": "context:sti sti unclassified"}},
		{"a file gives to what holds it", []obj{res("DocumentReference/s", obj{"type": text("Letter"), "content": arr{obj{"attachment": obj{"url": "Binary/x"}}}}),
			res("Binary/x", obj{"contentType": "text/plain", "data": base64.StdEncoding.EncodeToString([]byte("carcinoma"))})},
			map[string]string{"DocumentReference/s": "cancer", "Binary/x": "cancer context:cancer"}},
		{"a specimen gives to what was found in it", []obj{res("Specimen/s", obj{"type": text("Products of conception")}), res("Observation/a", obj{"code": local("Culture"), "specimen": at("Specimen/s")}), res("Observation/b", obj{"code": local("Sodium")})},
			map[string]string{"Observation/a": "reproductive", "Observation/b": ""}},
		{"what is derived keeps the label of its source", []obj{res("Observation/a", obj{"code": local("PSA")}), res("Observation/b", obj{"code": local("Ratio index"), "derivedFrom": arr{at("Observation/a")}})},
			map[string]string{"Observation/b": "cancer unclassified"}},
		{"a place gives to what was done there", []obj{res("Organization/o", obj{"name": "Planned Parenthood Concord"}), res("Observation/a", obj{"code": local("Sodium"), "performer": arr{at("Organization/o")}})},
			map[string]string{"Observation/a": "reproductive", "Organization/o": "context:reproductive reproductive"}},
		{"a clinic gives to its schedule, its time, and who comes then", []obj{res("Location/l", obj{"name": "HIV Care"}), res("Schedule/c", obj{"actor": arr{at("Location/l")}}), res("Slot/s", obj{"schedule": at("Schedule/c")}), res("Appointment/a", obj{"slot": arr{at("Slot/s")}})},
			map[string]string{"Schedule/c": "context:hiv hiv", "Slot/s": "context:hiv hiv", "Appointment/a": "hiv"}},
		{"a message gives from what it is about", []obj{res("Observation/a", obj{"code": local("HIV")}), res("Communication/c", obj{"about": arr{at("Observation/a")}, "payload": arr{obj{"contentString": "please call"}}})},
			map[string]string{"Communication/c": "hiv"}},
		{"a medicine gives to its order", []obj{res("Medication/m", obj{"code": text("Biktarvy")}), res("MedicationRequest/r", obj{"medicationReference": at("Medication/m")})},
			map[string]string{"MedicationRequest/r": "hiv"}},
		{"a visit keeps its diagnoses to itself", []obj{patient, res("Encounter/e", obj{"diagnosis": arr{obj{"condition": at("Condition/c")}}}), res("Condition/c", obj{"code": coded("I10", "B20", ""), "encounter": at("Encounter/e")})},
			map[string]string{"Encounter/e": "", "Condition/c": "hiv", "Patient/p": ""}},
		{"a visit that tells, and nothing else", []obj{patient, res("Encounter/e", obj{"location": arr{obj{"location": obj{"display": "L&D TRIAGE"}}}}), res("Practitioner/x", nil)},
			map[string]string{"Encounter/e": "reproductive", "Patient/p": "context:reproductive", "Practitioner/x": "context:reproductive"}},
		{"matters of several kinds", []obj{patient, res("DiagnosticReport/d", obj{"code": local("HIV")}), res("DiagnosticReport/e", obj{"code": local("PSA"), "conclusion": "syphilis"})},
			map[string]string{"Patient/p": "context:cancer+sti|hiv"}},
		{"a harmless matter besides", []obj{patient, res("DiagnosticReport/d", obj{"code": local("HIV")}), res("DiagnosticReport/e", obj{"code": local("Sodium")})},
			map[string]string{"Patient/p": ""}},
		{"a word broken over two results", []obj{res("Observation/a", obj{"code": local("Report"), "valueString": "INVASIVE DUCTAL CARCI"}), res("Observation/b", obj{"code": local("Report"), "valueString": "NOMA, LEFT BREAST"})},
			map[string]string{"Observation/a": "cancer", "Observation/b": "cancer"}},
		{"lines of which one tells", []obj{res("Observation/a", obj{"code": local("Report"), "valueString": "seen in cancer"}), res("Observation/b", obj{"code": local("Report"), "valueString": "Sodium normal"})},
			map[string]string{"Observation/a": "cancer", "Observation/b": ""}},
		{"a name that says nothing in a panel nobody knows", []obj{res("DiagnosticReport/d", obj{"code": local("QX7"), "result": arr{at("Observation/a"), at("Observation/b")}}), res("Observation/a", obj{"code": local("RESULT")}), res("Observation/b", obj{"code": local("Sodium")})},
			map[string]string{"DiagnosticReport/d": "unclassified", "Observation/a": "unclassified", "Observation/b": ""}},
		{"a name that says nothing in a panel of which a file tells", []obj{res("DiagnosticReport/d", obj{"code": local("Lab procedure"), "conclusion": "HIV-1 RNA detected", "result": arr{at("Observation/a"), at("Observation/b")}}), res("Observation/a", obj{"code": local("RESULT")}), res("Observation/b", obj{"code": local("Sodium")})},
			map[string]string{"DiagnosticReport/d": "hiv", "Observation/a": "hiv", "Observation/b": ""}},
		{"a roster beside a secret says nothing of it, and makes it no less secret", []obj{patient, res("Condition/c", obj{"code": coded("I10", "B20", "")}), res("Group/g", obj{"name": "Panel", "member": arr{obj{"entity": at("Patient/p")}}})},
			map[string]string{"Group/g": "", "Patient/p": "context:hiv"}},
		{"a roster that tells makes nobody known", []obj{patient, res("Group/g", obj{"name": "HIV cohort", "member": arr{obj{"entity": at("Patient/p")}}})},
			map[string]string{"Group/g": "hiv", "Patient/p": "context:hiv"}},
		{"a roster of which only a member tells", []obj{patient, res("Group/g", obj{"name": "Panel", "member": arr{obj{"entity": at("Patient/p"), "extension": arr{obj{"url": "urn:why", "valueString": "HIV"}}}}})},
			map[string]string{"Group/g": "hiv", "Patient/p": ""}},
		{"provenance gives and takes nothing", []obj{res("Observation/a", obj{"code": local("HIV")}), res("Observation/b", obj{"code": local("Sodium")}), res("Provenance/v", obj{"target": arr{at("Observation/a"), at("Observation/b")}})},
			map[string]string{"Observation/b": "", "Provenance/v": ""}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			var in []fhir.Resource
			for _, model := range row.in {
				in = append(in, resource(t, model))
			}
			got := map[string]string{}
			for i, l := range r.Label("lab", in) {
				if l.Resource().Ref() != in[i].Ref() {
					t.Fatal("not in order")
				}
				if l.Settled() {
					t.Error("a message is no settled chart")
				}
				got[l.Resource().Ref().String()] = joined(l.Labels())
			}
			for ref, want := range row.want {
				if got[ref] != want {
					t.Errorf("%s: %q, want %q", ref, got[ref], want)
				}
			}
		})
	}
}

// TestMembers: each member of a Group has labels of its own.
func TestMembers(t *testing.T) {
	why := func(s string) obj {
		return obj{"entity": obj{"reference": "Patient/p"}, "extension": arr{obj{"url": "urn:why", "valueString": s}}}
	}
	group := resource(t, obj{"resourceType": "Group", "id": "g", "name": "Cancer panel", "member": arr{why("seen"), why("HIV"), why("HIV"), why("cancer")}})
	l := rules(t).Label("lab", []fhir.Resource{group})[0]
	got := map[Label][]int{}
	for _, r := range l.Reasons() {
		if n, ok := Member(r.Element); ok {
			got[r.Label] = append(got[r.Label], n)
		}
	}
	if !slices.Equal(got[HIV], []int{1, 2}) || !slices.Equal(got[Cancer], []int{3}) || l.Itself(HIV) || !l.Itself(Cancer) {
		t.Errorf("%v of %v", got, l.Reasons())
	}
}

// TestPropagate: in a chart the order in which messages came makes no
// difference, an older version gives to nobody, and it takes what the current
// ones give, to what the older ones pointed at too.
func TestPropagate(t *testing.T) {
	r := rules(t)
	one := func(model obj) Labeled {
		l := r.Label("lab", []fhir.Resource{resource(t, model)})[0]
		return r.Restore(l.Resource(), l.Labels(), l.Reasons(), l.RulesVersion())
	}
	order := one(obj{"resourceType": "ServiceRequest", "id": "o", "code": local("HIV viral load")})
	before := one(obj{"resourceType": "ServiceRequest", "id": "o", "code": local("Chemistry")})
	report := one(obj{"resourceType": "DiagnosticReport", "id": "d", "code": local("Report"), "basedOn": arr{obj{"reference": "ServiceRequest/o"}}, "result": arr{obj{"reference": "Observation/a"}}})
	now := one(obj{"resourceType": "Observation", "id": "a", "code": local("Result"), "valueString": "20"})
	then := one(obj{"resourceType": "Observation", "id": "a", "code": local("Result"), "valueString": "19"})

	all := []Labeled{report, now, then, order, before}
	for range len(all) {
		all = append(all[1:], all[0])
		if all[0].Resource().Ref() == all[len(all)-1].Resource().Ref() {
			continue // versions of one resource stand together
		}
		for _, l := range Propagate(all) {
			if !l.Settled() || l.Resource().Ref() != before.Resource().Ref() && !l.Has(HIV) {
				t.Errorf("%s: %v", l.Resource().Ref(), l.Labels())
			}
		}
	}
	for _, l := range Propagate([]Labeled{before, order, report, now}) {
		if l.Resource().Type() != "ServiceRequest" && l.Has(HIV) {
			t.Errorf("an older version gave its label to %s", l.Resource().Ref())
		}
	}
	// What a report named once was found by what the report is about now.
	panel := func(name string, results ...any) Labeled {
		return one(obj{"resourceType": "DiagnosticReport", "id": "d", "code": local(name), "result": arr(results)})
	}
	a, b := obj{"reference": "Observation/a"}, obj{"reference": "Observation/b"}
	dropped := one(obj{"resourceType": "Observation", "id": "b", "code": local("Other result"), "valueString": "pending"})
	for _, l := range Propagate([]Labeled{panel("HIV viral load", a), panel("Procedure", a, b), now, dropped}) {
		if l.Resource().Type() == "Observation" && !l.Has(HIV) {
			t.Errorf("%s, once reported: %v", l.Resource().Ref(), l.Labels())
		}
	}
	for _, l := range Propagate([]Labeled{panel("Procedure", a), panel("HIV viral load", a, b), now, dropped}) {
		if l.Resource().Type() == "Observation" && l.Has(HIV) {
			t.Errorf("%s has what its report was about once", l.Resource().Ref())
		}
	}
	if report.Has(HIV) || report.Settled() {
		t.Error("Propagate changed what it was given")
	}
	links := Propagate([]Labeled{report})[0].Links()
	want := []Link{{"basedOn", fhir.Ref{Type: "ServiceRequest", ID: "o"}}, {"result", fhir.Ref{Type: "Observation", ID: "a"}}}
	if !slices.Equal(links, want) {
		t.Errorf("links: %v", links)
	}
}

// TestByNumber: what names an order by its number is as sensitive as what is
// named; a number of another kind or authority is none.
func TestByNumber(t *testing.T) {
	r := rules(t)
	number := func(system, value string) obj { return obj{"system": system, "value": value} }
	order := obj{"resourceType": "ServiceRequest", "id": "o", "code": local("HIV viral load"), "identifier": arr{number("urn:a", "P0"), number("urn:a", "P1")}}
	for _, row := range []struct {
		ref  obj
		want bool
	}{
		{obj{"identifier": number("urn:a", "P1")}, true},
		{obj{"type": "ServiceRequest", "identifier": number("urn:a", "P1")}, true},
		{obj{"type": "Task", "identifier": number("urn:a", "P1")}, false},
		{obj{"identifier": number("urn:b", "P1")}, false},
		{obj{"identifier": number("urn:a", "P2")}, false},
	} {
		all := r.Label("lab", []fhir.Resource{resource(t, order)})
		all = append(all, r.Label("lab", []fhir.Resource{resource(t, obj{"resourceType": "Appointment", "id": "a", "description": "Visit", "basedOn": arr{row.ref}})})...)
		once := Propagate(all)
		for i, got := range [][]Labeled{once, Propagate(once)} {
			if got[1].Has(HIV) != row.want || (len(got[1].Links()) > 0) != row.want {
				t.Errorf("%v, time %d: %v, links %v", row.ref, i+1, got[1].Labels(), got[1].Links())
			}
		}
	}
}

// TestLinks: Links finds what fhir.Resource.References does.
func TestLinks(t *testing.T) {
	for _, s := range []string{
		`{"resourceType":"Observation","subject":{"reference" : "Patient/1"},"note":[{"text":"reference"}],"code":{"text":"\"reference\":\"Patient/2\""}}`,
		`{"resourceType":"Observation","subject":{"\u0072eference":"Patient/1"}}`,
		`{"resourceType":"Observation","extension":[{"url":"x","valueUri":"Patient/3"}],"valueString":"url"}`,
		"{\n \"subject\" :\t{ \"reference\"\r\n: \"Patient/1\" } , \"resourceType\" : \"Observation\" }",
		`{"resourceType":"Observation","subject":{"reference":"Patient\/1"},"performer":[{"reference":"Practitioner/\"2"}],"note":[{"text":"\\"}]}`,
		`{"resourceType":"Observation","reference":"x","valueString":"reference","subject":{"reference":null,"url":["url"]}}`,
		`{"resourceType":"DocumentReference","content":[{"attachment":{"url":"Binary/1"}}],"contained":[{"resourceType":"Observation","subject":{"reference":"Patient/1/_history/2"}}]}`,
	} {
		res, err := fhir.Parse([]byte(s))
		if err != nil {
			t.Fatal(err)
		}
		var got []fhir.Ref
		for _, l := range linksOf(res).all {
			got = append(got, l.To)
		}
		if !slices.Equal(got, res.References()) {
			t.Errorf("%s: %v, want %v", s, got, res.References())
		}
	}
}

// FuzzLinks: no reference that is taken out of a resource with what it names is
// missed by what labels run along.
func FuzzLinks(f *testing.F) {
	f.Add([]byte(`{"resourceType":"Observation","subject":{"reference":"Patient\/1"},"extension":[{"valueUri":"Patient/2"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		res, err := fhir.Parse(b)
		if err != nil {
			return
		}
		got := linksOf(res).all
		for member, v := range res.Root().Members() {
			part, err := fhir.Parse(fmt.Appendf(nil, `{"resourceType":"Basic","x":%s}`, v.Raw()))
			if err != nil || v.Kind() != '{' && v.Kind() != '[' || member == "extension" || member == "modifierExtension" {
				continue
			}
			for _, ref := range part.References() {
				if !slices.Contains(got, Link{member, ref}) {
					t.Errorf("%q: %v is not among %v", member, ref, got)
				}
			}
		}
	})
}

func TestVersion(t *testing.T) {
	a, b := rules(t), rules(t)
	if a.Version() != b.Version() || a.Version() == "" {
		t.Errorf("%q and %q", a.Version(), b.Version())
	}
}

// FuzzLabel: no text and no place makes the rules fail, and what they say does
// not depend on what they judged before.
func FuzzLabel(f *testing.F) {
	r := rules(f)
	f.Add("HIV-1/2 Ag/Ab", "B20", uint16(1))
	f.Add("", "", uint16(0))
	f.Add("C\ufffdrcinoma\nCARCI\r\nNOMA", "8500/3", uint16(4))
	f.Add("ＨＩＶ Ã¡ HІV l'hépatite", "2106-3", uint16(128))
	f.Fuzz(func(t *testing.T, s, code string, in uint16) {
		first := fmt.Sprint(r.match.judge(s, where(in)&everywhere))
		if again := fmt.Sprint(r.text(s, where(in)&everywhere)); len(s) > 0 && again != first {
			t.Errorf("%q: %s, then %s", s, first, again)
		}
		for kind := range r.codes.ranges {
			r.codes.judge(kind, code)
		}
		r.codes.kind(s)
		stripped(s)
	})
}
