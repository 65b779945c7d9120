package terminology_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"firebreak/fhir"
	"firebreak/fhir/r4def"
	"firebreak/fhir/terminology"
)

var r4 *terminology.Library

// Codes in R4's value sets, and codes that are not.
func TestPublished(t *testing.T) {
	const (
		hl7   = "http://terminology.hl7.org/CodeSystem/"
		loinc = "http://loinc.org"
	)
	for _, tt := range []struct{ claim, set, system, in, out string }{
		{"a whole code system", "http://hl7.org/fhir/ValueSet/administrative-gender", "http://hl7.org/fhir/administrative-gender", "male", "man"},
		{"with its version", "http://hl7.org/fhir/ValueSet/administrative-gender|4.0.1", "http://hl7.org/fhir/administrative-gender", "other", ""},
		{"codes of a system that is not known", "http://hl7.org/fhir/ValueSet/observation-vitalsignresult", loinc, "8867-4", "2951-2"},
		{"a letter's case is none", "http://hl7.org/fhir/ValueSet/condition-clinical", hl7 + "condition-clinical", "ACTIVE", "activ"},
		{"of v3, below a code", "http://terminology.hl7.org/ValueSet/v3-ActEncounterCode", hl7 + "v3-ActCode", "ACUTE", "ICOL"},
		{"of v3, a group's members but not the group", "http://hl7.org/fhir/ValueSet/consent-category", hl7 + "v3-ActCode", "ICOL", "_ActConsentType"},
		{"of v3, with two parents", "http://hl7.org/fhir/ValueSet/detectedissue-category", hl7 + "v3-ActCode", "COMPLY", "ISSUE"},
		{"of v2, all but a code", "http://hl7.org/fhir/ValueSet/patient-contactrelationship", hl7 + "v2-0131", "N", "O"},
		{"value sets in a value set", "http://hl7.org/fhir/ValueSet/security-labels", hl7 + "v3-Confidentiality", "R", ""},
	} {
		s, err := r4.Set(tt.set)
		if err != nil {
			t.Errorf("%s: %v", tt.claim, err)
			continue
		}
		if !s.Has(tt.system, tt.in) || tt.out != "" && s.Has(tt.system, tt.out) || s.Has("", tt.in) || s.Has("urn:x", tt.in) {
			t.Errorf("%s: has %s: %v, %s: %v", tt.claim, tt.in, s.Has(tt.system, tt.in), tt.out, s.Has(tt.system, tt.out))
		}
	}
	for _, tt := range []struct{ set, says string }{
		{"http://hl7.org/fhir/ValueSet/condition-code", "http://snomed.info/sct"},
		{"http://hl7.org/fhir/ValueSet/observation-codes", "http://loinc.org"},
		{"http://hl7.org/fhir/ValueSet/administrative-gender|4.0.0", "There is no value set http://hl7.org/fhir/ValueSet/administrative-gender|4.0.0 here."},
		{"http://example.org/none", "There is no value set http://example.org/none here."},
		{"Ms Smith", "There is no value set (no address) here."},
	} {
		if _, err := r4.Set(tt.set); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %s", tt.set, err, tt.says)
		}
	}
}

// Every value set of R4 is either expanded or refused for what it takes of a code
// system of others; none by a fault of ours.
func TestAllPublished(t *testing.T) {
	expanded, refused := 0, 0
	for _, r := range r4.All("ValueSet") {
		s, err := r4.Set(r.Get("url").Text())
		if err == nil && s != nil {
			expanded++
			continue
		}
		refused++
		if text := err.Error(); !strings.Contains(text, "not known") && !strings.Contains(text, "not all codes are here") && !strings.Contains(text, "another version") && !strings.Contains(text, "no value set") {
			t.Error(err)
		}
	}
	if expanded != 1217 || refused != 99 {
		t.Errorf("%d are expanded, %d are not", expanded, refused)
	}
}

// The codes of required bindings, which HL7's own expansions are the source of, are
// in the sets that we expand.
func TestBindings(t *testing.T) {
	for _, tt := range []struct{ typ, element, set string }{
		{"Observation", "status", "observation-status"},
		{"Condition", "clinicalStatus", "condition-clinical"},
		{"Encounter", "status", "encounter-status"},
		{"Patient", "gender", "administrative-gender"},
		{"MedicationRequest", "intent", "medicationrequest-intent"},
	} {
		s, err := r4.Set("http://hl7.org/fhir/ValueSet/" + tt.set)
		if err != nil {
			t.Error(err)
			continue
		}
		m, _ := r4def.Lookup(tt.typ).Member(tt.element)
		for _, c := range s.Codes {
			if m.Element.System(c.Code) != c.System {
				t.Errorf("%s.%s does not take %s", tt.typ, tt.element, c.Code)
			}
		}
	}
}

func codes(s *terminology.Set) string {
	var all []string
	for _, c := range s.Codes {
		all = append(all, c.Code)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestHierarchy(t *testing.T) {
	const clinical = "http://terminology.hl7.org/CodeSystem/condition-clinical"
	for _, tt := range []struct {
		claim, system, code, below, above string
	}{
		{"a code and its kinds", clinical, "active", "active recurrence relapse", "active"},
		{"a kind and what it is of", clinical, "relapse", "relapse", "active relapse"},
		{"written otherwise", clinical, "RELAPSE", "RELAPSE relapse", "RELAPSE active relapse"},
		{"without a hierarchy", "http://hl7.org/fhir/administrative-gender", "male", "male", "male"},
		{"that its system does not have", clinical, "none", "none", "none"},
		{"with two parents", "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "GRMTH", "GRMTH MGRMTH PGRMTH", "EXT FAMMEMB GRMTH GRPRN _PersonalRelationshipRoleType"},
	} {
		below, err := r4.Below(tt.system, tt.code)
		if err != nil {
			t.Errorf("%s: %v", tt.claim, err)
			continue
		}
		above, _ := r4.Above(tt.system, tt.code)
		if codes(below) != tt.below || codes(above) != tt.above {
			t.Errorf("%s: below %s, above %s", tt.claim, codes(below), codes(above))
		}
	}
	for _, system := range []string{"http://loinc.org", "http://snomed.info/sct", ""} {
		if _, err := r4.Below(system, "1"); err == nil {
			t.Errorf("below %q: known", system)
		}
	}
}

// laboratory is what an operator might bring.
const laboratory = `{"resourceType":"CodeSystem","id":"lab","url":"urn:lab","version":"2","status":"active","content":"complete",
	"property":[{"code":"kind","type":"code"}],
	"concept":[{"code":"blood","property":[{"code":"notSelectable","valueBoolean":true}],"concept":[{"code":"na","display":"Sodium","property":[{"code":"kind","valueCode":"salt"}]},{"code":"k","property":[{"code":"kind","valueCode":"salt"}]},{"code":"hb"}]},{"code":"urine","property":[{"code":"inactive","valueBoolean":true}]}]}`

// set is a value set with a definition.
func set(id, compose string) string {
	return `{"resourceType":"ValueSet","id":"` + id + `","url":"http://x.test/` + id + `","status":"active","compose":` + compose + `}`
}

func read(t *testing.T, texts ...string) (*terminology.Library, error) {
	dir := t.TempDir()
	for i, text := range texts {
		if err := os.WriteFile(filepath.Join(dir, string(rune('a'+i))+".json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := terminology.Read(dir)
	return l, err
}

func TestDefinitions(t *testing.T) {
	for _, tt := range []struct{ claim, compose, codes string }{
		{"a whole system", `{"include":[{"system":"urn:lab"}]}`, "blood hb k na urine"},
		{"those in use", `{"inactive":false,"include":[{"system":"urn:lab"}]}`, "blood hb k na"},
		{"by name", `{"include":[{"system":"urn:lab","concept":[{"code":"na"},{"code":"k"}]}]}`, "k na"},
		{"by name, in use", `{"inactive":false,"include":[{"system":"urn:lab","concept":[{"code":"na"},{"code":"urine"}]}]}`, "na"},
		{"by name, of what is not known", `{"include":[{"system":"urn:other","concept":[{"code":"zz"}]}]}`, "zz"},
		{"is-a", `{"include":[{"system":"urn:lab","filter":[{"property":"concept","op":"is-a","value":"blood"}]}]}`, "blood hb k na"},
		{"descendent-of", `{"include":[{"system":"urn:lab","filter":[{"property":"concept","op":"descendent-of","value":"blood"}]}]}`, "hb k na"},
		{"is-not-a", `{"include":[{"system":"urn:lab","filter":[{"property":"concept","op":"is-not-a","value":"blood"}]}]}`, "urine"},
		{"generalizes", `{"include":[{"system":"urn:lab","filter":[{"property":"concept","op":"generalizes","value":"na"}]}]}`, "blood na"},
		{"by a property", `{"include":[{"system":"urn:lab","filter":[{"property":"kind","op":"=","value":"salt"}]}]}`, "k na"},
		{"by a parent", `{"include":[{"system":"urn:lab","filter":[{"property":"parent","op":"=","value":"blood"}]}]}`, "hb k na"},
		{"with a property", `{"include":[{"system":"urn:lab","filter":[{"property":"kind","op":"exists","value":"false"}]}]}`, "blood hb urine"},
		{"regex", `{"include":[{"system":"urn:lab","filter":[{"property":"code","op":"regex","value":"[hk].?"}]}]}`, "hb k"},
		{"in", `{"include":[{"system":"urn:lab","filter":[{"property":"code","op":"in","value":"hb,na"}]}]}`, "hb na"},
		{"not-in", `{"include":[{"system":"urn:lab","filter":[{"property":"code","op":"not-in","value":"hb,na"}]}]}`, "blood k urine"},
		{"two filters", `{"include":[{"system":"urn:lab","filter":[{"property":"kind","op":"=","value":"salt"},{"property":"code","op":"regex","value":"n."}]}]}`, "na"},
		{"without", `{"include":[{"system":"urn:lab"}],"exclude":[{"system":"urn:lab","concept":[{"code":"na"}]}]}`, "blood hb k urine"},
		{"without a system, which need not be known", `{"include":[{"system":"urn:lab","concept":[{"code":"na"}]},{"system":"urn:other","concept":[{"code":"zz"}]}],"exclude":[{"system":"urn:other"}]}`, "na"},
		{"another value set", `{"include":[{"valueSet":["http://x.test/salts"]}]}`, "k na"},
		{"either of two", `{"include":[{"valueSet":["http://x.test/salts","http://hl7.org/fhir/ValueSet/administrative-gender"]}]}`, "female k male na other unknown"},
		{"of a system what another has", `{"include":[{"system":"urn:lab","concept":[{"code":"na"},{"code":"hb"}],"valueSet":["http://x.test/salts"]}]}`, "na"},
		{"without another", `{"include":[{"system":"urn:lab"}],"exclude":[{"valueSet":["http://x.test/salts"]}]}`, "blood hb urine"},
		{"the version that is here", `{"include":[{"system":"urn:lab","version":"2"}]}`, "blood hb k na urine"},
	} {
		l, err := read(t, laboratory, set("salts", `{"include":[{"system":"urn:lab","filter":[{"property":"kind","op":"=","value":"salt"}]}]}`), set("it", tt.compose))
		if err != nil {
			t.Errorf("%s: %v", tt.claim, err)
			continue
		}
		s, err := l.Set("http://x.test/it")
		if err != nil || codes(s) != tt.codes {
			t.Errorf("%s: %s, want %s; %v", tt.claim, codes(s), tt.codes, err)
		}
		if s.Has("urn:lab", "blood") {
			t.Errorf("%s: a group is a member", tt.claim)
		}
	}
}

// What an operator brings is refused by file and element, and wholly.
func TestReadRefuses(t *testing.T) {
	for _, tt := range []struct{ claim, says, text string }{
		{"what is no JSON", "b.json: ", `{"resourceType"`},
		{"another type", "b.json: a Patient is neither a ValueSet nor a CodeSystem.", `{"resourceType":"Patient","id":"x"}`},
		{"in a Bundle", "b.json: Bundle.entry[1].resource: a Patient is neither", `{"resourceType":"Bundle","type":"collection","entry":[{"resource":` + set("one", `{"include":[{"system":"urn:lab"}]}`) + `},{"resource":{"resourceType":"Patient"}}]}`},
		{"an element that R4 does not have", "b.json: ValueSet.compose has an element R4 does not know: included", set("it", `{"included":[]}`)},
		{"no address", "b.json: ValueSet.url", `{"resourceType":"ValueSet","id":"it","status":"active"}`},
		{"no id", "b.json: ValueSet.id", `{"resourceType":"ValueSet","url":"http://x.test/it","status":"active"}`},
		{"an id of R4's", "b.json: ValueSet.id: administrative-gender is another's.", set("administrative-gender", `{"include":[{"system":"urn:lab"}]}`)},
		{"an address of R4's", "b.json: ValueSet.url: http://hl7.org/fhir/ValueSet/administrative-gender is R4's own.", strings.Replace(set("it", `{"include":[{"system":"urn:lab"}]}`), "http://x.test/it", "http://hl7.org/fhir/ValueSet/administrative-gender", 1)},
		{"an address twice", "b.json: CodeSystem.url: urn:lab stands twice.", strings.Replace(laboratory, `"id":"lab"`, `"id":"lab2"`, 1)},
		{"half a system", "b.json: Of the code system urn:half not all codes are here: its content is fragment.", `{"resourceType":"CodeSystem","id":"half","url":"urn:half","status":"active","content":"fragment"}`},
		{"what takes what is not known", "b.json: The value set http://x.test/it cannot be expanded. The codes of urn:other are not known here.", set("it", `{"include":[{"system":"urn:other"}]}`)},
		{"neither definition nor expansion", "It has no definition, and no expansion that is complete.", `{"resourceType":"ValueSet","id":"it","url":"http://x.test/it","status":"active"}`},
		{"another version", "It takes another version of urn:lab than is here.", set("it", `{"include":[{"system":"urn:lab","version":"3"}]}`)},
		{"a value set that is none", "There is no value set http://x.test/none here.", set("it", `{"include":[{"valueSet":["http://x.test/none"]}]}`)},
		{"itself", "The value set http://x.test/it is part of itself.", set("it", `{"include":[{"valueSet":["http://x.test/it"]}]}`)},
		{"a property that nobody has", "A filter is by what is not known of the codes of urn:lab.", set("it", `{"include":[{"system":"urn:lab","filter":[{"property":"colour","op":"=","value":"red"}]}]}`)},
		{"below no code", "A filter names no code of urn:lab.", set("it", `{"include":[{"system":"urn:lab","filter":[{"property":"concept","op":"is-a","value":"none"}]}]}`)},
		{"a broken expression", "A filter's regular expression is not understood.", set("it", `{"include":[{"system":"urn:lab","filter":[{"property":"code","op":"regex","value":"("}]}]}`)},
		{"nothing in particular", "A part of it names neither a code system nor a value set.", set("it", `{"include":[{"concept":[{"code":"x"}]}]}`)},
		{"more of an expansion than is there", "It has no definition", `{"resourceType":"ValueSet","id":"it","url":"http://x.test/it","status":"active","expansion":{"timestamp":"2026-01-01","total":2,"contains":[{"system":"urn:x","code":"1"}]}}`},
	} {
		if _, err := read(t, laboratory, tt.text); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v\nwant %s", tt.claim, err, tt.says)
		}
	}
	if _, err := terminology.Read(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a folder that is not there was read")
	}
}

func TestRead(t *testing.T) {
	whole := `{"resourceType":"ValueSet","id":"whole","url":"http://x.test/whole","status":"active","compose":{"include":[{"system":"http://snomed.info/sct","filter":[{"property":"concept","op":"is-a","value":"73211009"}]}]},
		"expansion":{"timestamp":"2026-01-01","total":2,"contains":[{"system":"http://snomed.info/sct","code":"73211009","contains":[{"system":"http://snomed.info/sct","code":"44054006"}]}]}}`
	l, err := read(t, `{"resourceType":"Bundle","type":"collection","entry":[{"resource":`+laboratory+`},{"resource":`+whole+`}]}`)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := l.Set("http://x.test/whole"); err != nil || codes(s) != "44054006 73211009" {
		t.Errorf("by its expansion: %v", err)
	}
	if _, ok := l.Get(fhir.Ref{Type: "CodeSystem", ID: "lab"}); !ok {
		t.Error("the CodeSystem is not given by its id")
	}
	if got, want := len(l.All("ValueSet")), len(r4.All("ValueSet"))+1; got != want {
		t.Errorf("%d value sets, want %d", got, want)
	}
	// R4 has nothing of SNOMED CT but its name, so an operator may bring its codes.
	l, err = read(t, `{"resourceType":"CodeSystem","id":"sct","url":"http://snomed.info/sct","status":"active","content":"complete","concept":[{"code":"404684003","concept":[{"code":"44054006"}]}]}`)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := l.Set("http://hl7.org/fhir/ValueSet/clinical-findings"); err != nil || codes(s) != "404684003 44054006" {
		t.Errorf("R4's value set by an operator's codes: %v", err)
	}
	if _, err := r4.Set("http://hl7.org/fhir/ValueSet/clinical-findings"); err == nil {
		t.Error("what one library knows another knows")
	}
}

func TestManyAtOnce(t *testing.T) {
	l, err := read(t, laboratory)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for _, term := range r4def.Terms()[1100:1400] {
				if term.Ref.Type == "ValueSet" {
					_, _ = l.Set(term.URL)
				}
			}
			if s, err := l.Below("urn:lab", "blood"); err != nil || codes(s) != "blood hb k na" {
				t.Errorf("%v", err)
			}
		})
	}
	all.Wait()
}
