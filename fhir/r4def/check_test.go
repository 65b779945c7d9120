package r4def_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"firebreak/fhir"
	"firebreak/fhir/r4def"
	"firebreak/internal/corpus"
)

// knownWrong are the published resources that break their own release's rules,
// with the problem, indexes left out.
var knownWrong = map[string][]string{
	// an item without the required linkId
	"Questionnaire/qs1": {"Questionnaire.item.item.linkId is missing", "Questionnaire.item.item.item.linkId is missing", "Questionnaire.item.item.item.item.linkId is missing"},
	// references to types that the element does not list
	"Observation/clinical-gender": {"Observation.performer may not refer to Encounter"},
	"MedicationRequest/medrx0301": {"MedicationRequest.dispenseRequest.performer may not refer to Practitioner"},
	"DeviceUseStatement/example":  {"DeviceUseStatement.reasonReference may not refer to Procedure"},
	"DeviceMetric/example":        {"DeviceMetric.parent may not refer to DeviceDefinition"},
	// a narrative of nothing but a comment (txt-2)
	"Questionnaire/zika-virus-exposure-assessment": {"Questionnaire.text.div has nothing in it"},
	"EventDefinition/example":                      {"EventDefinition.text.div has nothing in it"},
	"ActivityDefinition/heart-valve-replacement":   {"ActivityDefinition.text.div has nothing in it"},
	"ActivityDefinition/blood-tubes-supply":        {"ActivityDefinition.text.div has nothing in it"},
	// US Core: a narrative without the required div
	"DiagnosticReport/cbc": {"DiagnosticReport.text.div is missing"},
}

func TestOfficialExamplesPass(t *testing.T) {
	n := 0
	for i, line := range examples(t) {
		r, err := fhir.Parse(line)
		if err != nil {
			t.Errorf("example %d: %v", i+1, err)
			continue
		}
		n++
		expect(t, r)
	}
	if n < 700 {
		t.Errorf("only %d examples", n)
	}
}

func TestCorpusPasses(t *testing.T) {
	for _, lines := range corpus.FHIR(t) {
		for _, line := range lines {
			r, err := fhir.Parse(line)
			if err != nil {
				t.Error(err)
				continue
			}
			expect(t, r)
		}
	}
}

// expect holds r's problems equal to what is known to be wrong with it.
func expect(t *testing.T, r fhir.Resource) {
	t.Helper()
	var got []string
	for _, p := range r4def.Check(r) {
		if s := unindexed(p.String()); !slices.Contains(got, s) {
			got = append(got, s)
		}
	}
	want := slices.Clone(knownWrong[r.Ref().String()])
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", r.Ref(), got, want)
	}
}

func unindexed(s string) string {
	for {
		before, rest, ok := strings.Cut(s, "[")
		_, after, closed := strings.Cut(rest, "]")
		if !ok || !closed || strings.HasPrefix(rest, "x]") {
			return s
		}
		s = before + after
	}
}

const observation = `{"resourceType":"Observation","id":"o","status":"final","category":[{"text":"c"}],"code":{"text":"x"},"subject":{"reference":"Patient/1"},"effectiveDateTime":"2026-01-31","valueQuantity":{"value":1.50,"unit":"mg"},"component":[{"code":{"text":"y"},"valueString":"v"}]}`

const patient = `{"resourceType":"Patient","id":"p","active":true,"name":[{"given":["A","B"],"_given":[null,{"id":"b"}]}],"birthDate":"1970-02-28","gender":"male","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">P &amp; Q&nbsp;</div>"},"extension":[{"url":"http://x","valueString":"s"}],"contained":[{"resourceType":"Organization","id":"c","name":"O"}],"managingOrganization":{"reference":"#c"}}`

func TestCheckNamesWhatIsWrong(t *testing.T) {
	for _, tt := range []struct{ claim, in, from, to, want string }{
		{"nothing", observation, "", "", ""},
		{"nothing here either", patient, "", "", ""},
		{"an unknown element", observation, `"id":"o"`, `"idd":"o"`, "Observation has an element R4 does not know: idd"},
		{"an unknown element below", observation, `"unit"`, `"units"`, "Observation.valueQuantity has an element R4 does not know: units"},
		{"a name that could hold anything is not repeated", observation, `"unit"`, `"John Doe 1970"`, "Observation.valueQuantity has an element R4 does not know: (a name that no element has)"},
		{"a required element", observation, `"status":"final",`, ``, "Observation.status is missing"},
		{"a required element below", observation, `"code":{"text":"y"},`, ``, "Observation.component[0].code is missing"},
		{"a code outside a required binding", observation, `"final"`, `"done"`, "Observation.status is not a code of the required value set"},
		{"one in the wrong case", patient, `"male"`, `"Male"`, "Patient.gender is not a code of the required value set"},
		{"a choice made twice", observation, `"unit":"mg"}`, `"unit":"mg"},"valueString":"a"`, "Observation.value[x] is given in two types"},
		{"a type the choice has not", observation, `valueQuantity`, `valueMoney`, "Observation has an element R4 does not know: valueMoney"},
		{"an array for one", observation, `"unit":"mg"`, `"unit":["mg"]`, "Observation.valueQuantity.unit must not be an array"},
		{"one for an array", observation, `[{"text":"c"}]`, `{"text":"c"}`, "Observation.category must be an array"},
		{"an empty array", observation, `[{"text":"c"}]`, `[]`, "Observation.category is an empty array"},
		{"an empty object", observation, `{"text":"x"}`, `{}`, "Observation.code is empty"},
		{"an object with an id only", observation, `{"text":"x"}`, `{"id":"x"}`, "Observation.code is empty"},
		{"an empty string", observation, `"mg"`, `""`, "Observation.valueQuantity.unit is empty"},
		{"a blank string", observation, `"mg"`, `"  "`, "Observation.valueQuantity.unit is blank"},
		{"null", observation, `"mg"`, `null`, "Observation.valueQuantity.unit is null"},
		{"a number in quotes", observation, `1.50`, `"1.50"`, "Observation.valueQuantity.value must be a number, without quotes"},
		{"a string without quotes", observation, `"mg"`, `1`, "Observation.valueQuantity.unit must be a string"},
		{"a boolean in quotes", patient, `true`, `"true"`, "Patient.active must be true or false, without quotes"},
		{"a date of no calendar", patient, `1970-02-28`, `1970-02-30`, "Patient.birthDate is not a day of the calendar"},
		{"a date in another style", patient, `1970-02-28`, `28.02.1970`, "Patient.birthDate is not a date"},
		{"a time without zone", observation, `2026-01-31`, `2026-01-31T10:00:00`, "Observation.effectiveDateTime is not a dateTime"},
		{"a control character", observation, `"mg"`, `"m\u0001"`, "Observation.valueQuantity.unit holds a control character"},
		{"a reference to a type the element has not", observation, `Patient/1`, `Practitioner/1`, "Observation.subject may not refer to Practitioner"},
		{"the same elsewhere", observation, `Patient/1`, `https://x.example/fhir/Practitioner/1/_history/2`, "Observation.subject may not refer to Practitioner"},
		{"a reference that is none", observation, `Patient/1`, `the patient`, "Observation.subject.reference is not a reference"},
		{"a fragment that is not there", patient, `"#c"`, `"#d"`, "Patient.managingOrganization names a contained resource that is not there"},
		{"a contained resource of the wrong type", patient, `"Organization","id"`, `"Location","id"`, "Patient.managingOrganization may not refer to Location"},
		{"a contained resource without id", patient, `"id":"c",`, ``, "Patient.contained[0] has no id"},
		{"a contained resource nobody needs", patient, `,"managingOrganization":{"reference":"#c"}`, ``, "Patient.contained[0] is referred to by nothing"},
		{"a contained resource that contains", patient, `"name":"O"`, `"contained":[{"resourceType":"Patient","id":"q"}]`, "Patient.contained[0].contained[0] is contained in a contained resource"},
		{"a contained resource with a version", patient, `"name":"O"`, `"meta":{"versionId":"1"}`, "Patient.contained[0].meta.versionId is not allowed in a contained resource"},
		{"a contained resource that is none", patient, `"Organization","id"`, `"Org","id"`, "Patient.contained[0] is not a resource of R4"},
		{"an extension without url", patient, `"url":"http://x",`, ``, "Patient.extension[0].url is missing"},
		{"an extension that says nothing", patient, `,"valueString":"s"`, ``, "Patient.extension[0] must have a value or extensions, and not both"},
		{"an extension that says two things", patient, `"valueString":"s"`, `"valueString":"s","extension":[{"url":"y","valueCode":"c"}]`, "Patient.extension[0] must have a value or extensions, and not both"},
		{"an extension with two values", patient, `"valueString":"s"`, `"valueString":"s","valueCode":"c"`, "Patient.extension[0].value[x] is given in two types"},
		{"extensions out of step", patient, `[null,{"id":"b"}]`, `[{"id":"b"}]`, "Patient.name[0].given has more or fewer values than extensions"},
		{"a hole without extension", patient, `["A","B"]`, `[null,"B"]`, "Patient.name[0].given[0] is null"},
		{"a primitive's extensions as array", patient, `"active":true`, `"active":true,"_active":[{"id":"x"}]`, "Patient.active has extensions that are not an object"},
		{"an extension on what is no primitive", patient, `"active":true`, `"_name":[{"id":"x"}]`, "Patient has an element R4 does not know: _name"},
		{"narrative that is not XHTML", patient, `P &amp; Q`, `<p>P`, "Patient.text.div is not well-formed XHTML"},
		{"narrative with a script", patient, `P &amp; Q`, `<script>1</script>`, "Patient.text.div holds a forbidden element"},
		{"narrative with a handler", patient, `P &amp; Q`, `<b onclick='1'>x</b>`, "Patient.text.div holds a forbidden attribute"},
		{"narrative in no namespace", patient, ` xmlns=\"http://www.w3.org/1999/xhtml\"`, ``, "Patient.text.div is not one XHTML div"},
	} {
		t.Run(tt.claim, func(t *testing.T) {
			in := strings.Replace(tt.in, tt.from, tt.to, 1)
			if tt.from != "" && in == tt.in {
				t.Fatal("the row changes nothing")
			}
			r, err := fhir.Parse([]byte(in))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range r4def.Check(r) {
				got = append(got, p.String())
			}
			if tt.want == "" && len(got) > 0 || tt.want != "" && !slices.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestPrimitives(t *testing.T) {
	for typ, tt := range map[string]struct{ good, bad string }{
		"valueBase64Binary": {`"AAAA" "YQ==" "YW Jj"`, `"AAA" "A===" "?"`},
		"valueCanonical":    {`"http://x|1"`, `"a b" ""`},
		"valueCode":         {`"a" "a b"`, `"a  b" " a" ""`},
		"valueDate":         {`"2026" "2026-01" "2024-02-29"`, `"26" "2026-13" "2025-02-29" "0000" "2026-1-1" "2026-01-01T00:00:00Z"`},
		"valueDateTime":     {`"2026" "2026-01-01T23:59:60.123456789Z" "2026-01-01T00:00:00-03:30"`, `"2026-01-01T24:00:00Z" "2026-01-01T10:00Z" "2026-01-01T10:00:00"`},
		"valueDecimal":      {`1.00E+2 0 -0.0 123456789012345678901.5`, `"1" null`},
		"valueId":           {`"a-1."`, `"a_b" "a b"`},
		"valueInstant":      {`"2026-01-01T00:00:00Z" "2026-01-01T00:00:00.1+01:00"`, `"2026-01-01" "2026-01-01T00:00:00"`},
		"valueInteger":      {`0 -2147483648`, `1.0 2147483648 1e3`},
		"valueMarkdown":     {`"* a\n"`, `""`},
		"valueOid":          {`"urn:oid:1.2.3"`, `"1.2.3" "urn:oid:3.1" "urn:oid:1.02"`},
		"valuePositiveInt":  {`1`, `0 -1`},
		"valueString":       {`"a\t\nb"`, `"\u0000" " "`},
		"valueTime":         {`"23:59:60.1"`, `"24:00:00" "10:00" "10:00:00Z"`},
		"valueUnsignedInt":  {`0`, `-1`},
		"valueUri":          {`"urn:x" "a/b"`, `"a b"`},
		"valueUrl":          {`"http://x"`, `"a\tb"`},
		"valueUuid":         {`"urn:uuid:c757873d-ec9a-4326-a141-556f43239520"`, `"c757873d-ec9a-4326-a141-556f43239520"`},
		"valueBoolean":      {`true false`, `"true" 1`},
	} {
		t.Run(typ, func(t *testing.T) {
			for _, set := range []struct {
				good   bool
				values string
			}{{true, tt.good}, {false, tt.bad}} {
				for _, v := range split(set.values) {
					r, err := fhir.Parse(fmt.Appendf(nil, `{"resourceType":"Patient","extension":[{"url":"u","%s":%s}]}`, typ, v))
					if err != nil {
						t.Fatal(err)
					}
					if got := r4def.Check(r); (got == nil) != set.good {
						t.Errorf("%s: got %v", v, got)
					}
				}
			}
		})
	}
}

// split cuts a list of JSON literals at the spaces outside quotes.
func split(s string) (all []string) {
	quoted, from := false, 0
	for i, c := range s + " " {
		switch {
		case c == '"':
			quoted = !quoted
		case c == ' ' && !quoted:
			all = append(all, s[from:i])
			from = i + 1
		}
	}
	return all
}

// Every member of the examples, put wrong in one way at a time, is found.
func TestMutatedExamplesFail(t *testing.T) {
	tried := 0
	for i, line := range examples(t) {
		r, err := fhir.Parse(line)
		if err != nil || i%9 != 0 || len(line) > 5_000 || len(r4def.Check(r)) > 0 {
			continue
		}
		r.Root().Each(func(name string, v fhir.Node) bool {
			for name, v := range v.Members() {
				if name == "resourceType" {
					continue
				}
				whole := `"` + name + `":` + string(v.Raw())
				mutants := map[string]string{
					"renamed":       `"zzz` + name + `":` + string(v.Raw()),
					"in an array":   `"` + name + `":[` + string(v.Raw()) + `]`,
					"empty object":  `"` + name + `":{}`,
					"empty array":   `"` + name + `":[]`,
					"null":          `"` + name + `":null`,
					"a long number": `"` + name + `":-123456789012.5`,
				}
				if k := v.Kind(); k == '0' {
					delete(mutants, "a long number")
				}
				for kind, mutant := range mutants {
					m, err := fhir.Parse([]byte(strings.Replace(string(line), whole, mutant, 1)))
					if err != nil {
						continue // an id that Parse itself refuses
					}
					tried++
					if len(r4def.Check(m)) == 0 {
						t.Errorf("%s: %s %s was not found", r.Ref(), name, kind)
					}
				}
			}
			return tried%7 != 0 // some branches of each
		})
	}
	if tried < 2000 {
		t.Errorf("only %d mutants", tried)
	}
}

func TestDangling(t *testing.T) {
	set := []fhir.Resource{}
	for _, s := range []string{
		`{"resourceType":"Patient","id":"1"}`,
		`{"resourceType":"Observation","id":"2","subject":{"reference":"Patient/1"},"specimen":{"reference":"Specimen/9"}}`,
		`{"resourceType":"Observation","id":"3","subject":{"reference":"urn:uuid:1"},"performer":[{"reference":"http://elsewhere/Practitioner/1"}]}`,
	} {
		r, err := fhir.Parse([]byte(s))
		if err != nil {
			t.Fatal(err)
		}
		set = append(set, r)
	}
	want := "[Observation refers to a Specimen that is not in the set Observation refers by urn, which leads nowhere]"
	if got := fmt.Sprint(r4def.Dangling(set)); got != want {
		t.Errorf("got %s", got)
	}
}

func TestTablesAgreeWithPackageFHIR(t *testing.T) {
	for _, name := range fhir.Types() {
		if d := r4def.Lookup(name); d == nil || !d.Resource {
			t.Errorf("%s is no resource in the definitions", name)
		}
	}
	compartment := r4def.Compartment("Patient")
	for _, name := range fhir.Types() {
		if _, in := compartment[name]; in != fhir.IsPatientCompartment(name) {
			t.Errorf("%s: in the Patient compartment %v, by package fhir %v", name, in, !in)
		}
	}
	if got := slices.Sorted(maps.Keys(compartment)); len(got) != 66 {
		t.Errorf("%d types in the compartment", len(got))
	}
}

func TestEveryTypeIsDefined(t *testing.T) {
	seen := map[string]bool{}
	var walk func(name string)
	walk = func(name string) {
		if seen[name] || r4def.IsPrimitive(name) {
			return
		}
		seen[name] = true
		d := r4def.Lookup(name)
		if d == nil {
			t.Errorf("%s is not defined", name)
			return
		}
		for _, e := range d.Elements {
			for _, m := range d.Members(e.Name) {
				walk(m.Type)
				if got, ok := d.Member(m.Name); !ok || got.Element.Name != e.Name {
					t.Errorf("%s.%s does not lead back", name, m.Name)
				}
			}
		}
	}
	for _, name := range fhir.Types() {
		walk(name)
	}
	if len(seen) < 600 {
		t.Errorf("only %d types", len(seen))
	}
}

func BenchmarkCheck(b *testing.B) {
	r, err := fhir.Parse([]byte(patient))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		r4def.Check(r)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte(observation))
	f.Add([]byte(patient))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := fhir.Parse(b); err == nil {
			r4def.Check(r)
		}
	})
}
