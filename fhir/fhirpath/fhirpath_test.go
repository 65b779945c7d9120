package fhirpath_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"firebreak/fhir"
	"firebreak/fhir/fhirpath"
	"firebreak/fhir/r4def"
	"firebreak/internal/corpus"
)

// examples are the official ones of R4.
func examples(t testing.TB) (all []fhir.Resource) {
	t.Helper()
	for _, line := range corpus.Lines(t, "../r4def/testdata/examples.ndjson.gz") {
		r, err := fhir.Parse(line)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

func TestOfficialExamplesKeepTheInvariants(t *testing.T) {
	judged := map[string]int{}
	for _, r := range examples(t) {
		judged[r.Type()]++
		for _, v := range fhirpath.Invariants(r) {
			if !v.Rule.Warning {
				t.Errorf("%s/%s: %s (%s)", r.Type(), r.ID(), v, v.Rule.Expression)
			}
		}
	}
	if len(judged) < 100 {
		t.Errorf("examples of %d types were judged", len(judged))
	}
}

func TestEveryInvariantCanBeEvaluated(t *testing.T) {
	all := r4def.Invariants()
	if len(all) != 229 {
		t.Errorf("R4 has %d invariants besides the structural ones", len(all))
	}
	for _, rule := range all {
		if _, err := fhirpath.Compile(rule.Expression); err != nil {
			t.Errorf("%s: %v", rule.Key, err)
		}
	}
}

// Each resource breaks just what is named, at the place that is named.
func TestViolations(t *testing.T) {
	const obs = `"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"2339-0"}]}`
	const cond = `"resourceType":"Condition","subject":{"reference":"Patient/1"}`
	const verified = `"verificationStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-ver-status","code":"entered-in-error"}]}`
	active := func(s string) string {
		return `"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"` + s + `"}]}`
	}
	const app = `"resourceType":"Appointment","participant":[{"actor":{"reference":"Patient/1"},"status":"accepted"}]`
	for resource, want := range map[string][]string{
		`{` + obs + `,"valueString":"x"}`:                                                                                                              nil,
		`{` + obs + `,"valueString":"x","dataAbsentReason":{"text":"y"}}`:                                                                              {"Observation obs-6"},
		`{` + obs + `,"dataAbsentReason":{"text":"y"}}`:                                                                                                nil,
		`{` + obs + `,"valueString":"x","component":[{"code":{"coding":[{"system":"http://loinc.org","code":"2339-0"}]}}]}`:                            {"Observation obs-7"},
		`{` + obs + `,"valueString":"x","component":[{"code":{"coding":[{"system":"http://loinc.org","code":"8480-6"}]}}]}`:                            nil,
		`{` + obs + `,"referenceRange":[{"type":{"text":"normal"}}]}`:                                                                                  {"Observation.referenceRange[0] obs-3"},
		`{` + obs + `,"valueQuantity":{"value":1,"code":"mg"}}`:                                                                                        {"Observation.value qty-3"},
		`{` + obs + `,"effectivePeriod":{"start":"2026-03-02","end":"2026-03-01"}}`:                                                                    {"Observation.effective per-1"},
		`{` + obs + `,"effectivePeriod":{"start":"2026-03-02T10:00:00+01:00","end":"2026-03-02T09:30:00Z"}}`:                                           nil,
		`{` + obs + `,"effectivePeriod":{"start":"2026-03-02T10:00:00Z","end":"2026-03-02T10:30:00+01:00"}}`:                                           {"Observation.effective per-1"},
		`{` + obs + `,"effectivePeriod":{"start":"2026-03-02","end":"2026-03"}}`:                                                                       nil, // not known
		`{` + obs + `,"note":[{"text":"x","authorString":"y"}],"valueRange":{"low":{"value":3},"high":{"value":2}}}`:                                   {"Observation.value rng-2"},
		`{` + obs + `,"valueRatio":{"numerator":{"value":1}}}`:                                                                                         {"Observation.value rat-1"},
		`{` + obs + `,"valueString":"x","contained":[{"resourceType":"Patient","id":"p","contact":[{"gender":"male"}]}],"subject":{"reference":"#p"}}`: {"Observation.contained[0].contact[0] pat-1"},
		`{"resourceType":"Patient","contact":[{"gender":"male"}]}`:                                                                                     {"Patient.contact[0] pat-1"},
		`{"resourceType":"Patient","contact":[{"gender":"male","name":{"text":"x"}}]}`:                                                                 nil,
		`{"resourceType":"Patient","telecom":[{"value":"1"}]}`:                                                                                         {"Patient.telecom[0] cpt-2"},
		`{"resourceType":"Patient","telecom":[{"value":"1","_system":{"extension":[{"url":"u","valueCode":"unknown"}]}}]}`:                             nil,
		`{"resourceType":"Organization","name":"x","telecom":[{"system":"phone","value":"1","use":"home"}]}`:                                           {"Organization.telecom[0] org-3"},
		`{"resourceType":"Organization","telecom":[{"system":"phone","value":"1"}]}`:                                                                   {"Organization org-1"},
		`{` + cond + `,` + active("resolved") + `,"abatementString":"x"}`:                                                                              nil,
		`{` + cond + `,` + active("active") + `,"abatementString":"x"}`:                                                                                {"Condition con-4"},
		`{` + cond + `,` + active("active") + `,` + verified + `}`:                                                                                     {"Condition con-5"},
		`{` + cond + `,` + verified + `}`:                                                                                                              nil,
		`{` + app + `,"status":"booked"}`:                                                                                                              {"Appointment app-3"},
		`{` + app + `,"status":"cancelled"}`:                                                                                                           nil,
		`{` + app + `,"status":"booked","start":"2026-03-02T10:00:00Z"}`:                                                                               {"Appointment app-2", "Appointment app-3"},
		`{` + app + `,"status":"booked","start":"2026-03-02T10:00:00Z","_end":{"extension":[{"url":"u","valueCode":"unknown"}]}}`:                      nil,
		`{"resourceType":"Appointment","status":"proposed","participant":[{"status":"accepted"}]}`:                                                     {"Appointment.participant[0] app-1"},
		`{"resourceType":"Bundle","type":"searchset","entry":[{"resource":{"resourceType":"Patient","contact":[{"gender":"male"}]}}]}`:                 {"Bundle.entry[0].resource.contact[0] pat-1"},
		`{"resourceType":"Bundle","type":"document","entry":[{"fullUrl":"urn:x","resource":{"resourceType":"Patient"}}]}`:                              {"Bundle bdl-9", "Bundle bdl-10", "Bundle bdl-11"},
		`{"resourceType":"Bundle","type":"collection","total":1,"entry":[{"fullUrl":"urn:x","resource":{"resourceType":"Patient"}},{"fullUrl":"urn:x","resource":{"resourceType":"Patient"}}]}`: {"Bundle bdl-1", "Bundle bdl-7"},
		`{"resourceType":"Questionnaire","status":"draft","item":[{"linkId":"1","type":"display","item":[{"linkId":"2","type":"string"}]}]}`:                                                    {"Questionnaire.item[0] que-1"},
	} {
		r, err := fhir.Parse([]byte(resource))
		if err != nil {
			t.Fatalf("%s: %v", resource, err)
		}
		var got []string
		for _, v := range fhirpath.Invariants(r) {
			if !v.Rule.Warning {
				got = append(got, v.Path+" "+v.Rule.Key)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s\nbreaks %v, want %v", resource, got, want)
		}
	}
}

func TestExpressions(t *testing.T) {
	r, err := fhir.Parse([]byte(`{"resourceType":"Patient","active":true,"birthDate":"1971-02","_birthDate":{"id":"b"},"multipleBirthInteger":2,
		"name":[{"family":"Roe","given":["Jane","Ann"],"_given":[null,{"id":"x"}]},{"text":"J"}],
		"contained":[{"resourceType":"Organization","id":"o","name":"Acme"}],
		"_gender":{"extension":[{"url":"u","valueCode":"unknown"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	for expression, want := range map[string]string{
		"name.given":                                  "Jane Ann",
		"Patient.name.given.first()":                  "Jane",
		"Observation.name":                            "",
		"Resource.name.family":                        "Roe",
		"name.given.tail() | 'Jane' | 'Jane'":         "Ann Jane",
		"name.given.count() = 2":                      "true",
		"name[0].given[1]":                            "Ann",
		"Patient.name[1].text":                        "J",
		"name[name.first().count()].text":             "J",
		"name[2]":                                     "",
		"name.given[{}]":                              "",
		"name.where(family = 'Roe').given":            "Jane Ann",
		"name.all(family.exists())":                   "false",
		"name.select(given.count())":                  "2 0",
		"name.exists(text = 'J')":                     "true",
		"multipleBirth > 1":                           "true",
		"multipleBirth.is(integer)":                   "true",
		"(multipleBirth as integer) + 1":              "3",
		"multipleBirth as string":                     "",
		"gender.exists() and gender.hasValue().not()": "true",
		"birthDate < '2000'":                          "", // a date and a string
		"birthDate.hasValue()":                        "true",
		"{} and false":                                "false",
		"{} and true":                                 "",
		"{} or true":                                  "true",
		"{} or false":                                 "",
		"false implies {}":                            "true",
		"{} implies true":                             "true",
		"true implies {}":                             "",
		"true xor true":                               "false",
		"'a' in ('a' | 'b')":                          "true",
		"name.given contains 'Ann'":                   "true",
		"'a' & {} & 'b'":                              "ab",
		"'1' + '2'":                                   "12",
		"active = true and active != false":           "true",
		"1.0 = 1":                                     "true",
		"'it''s'.count()":                             "error",
		"'\\'x\\''":                                   "'x'",
		"'abc'.substring(1)":                          "bc",
		"'abc'.substring(9)":                          "",
		"'abc'.startsWith('ab')":                      "true",
		"'abc'.matches('^[a-c]+$')":                   "true",
		"'a.b'.replaceMatches('\\\\..*', '')":         "a",
		"'12'.toInteger() = 12":                       "true",
		"'x'.toInteger()":                             "",
		"iif(active, 'yes', 'no')":                    "yes",
		"name.iif(empty(), 1)":                        "error",
		"contained.name":                              "Acme",
		"%resource.active":                            "true",
		"descendants().where(is(boolean))":            "true",
		"name.given.intersect('Ann' | 'Bob')":         "Ann",
		"name.given.combine('Ann').isDistinct()":      "false",
		"name.family = name.text":                     "false",
		"name.given and true":                         "error", // two are no truth
		"nothing.there":                               "",
		"name.where(":                                 "error",
		"name..given":                                 "error",
		"name.given.frobnicate()":                     "error",
		"%unknown":                                    "error",
		"1 @ 2":                                       "error",
		"'open":                                       "error",
		"name.given)":                                 "error",
		"1 - 1":                                       "error", // not evaluated: refused, not guessed
	} {
		got := "error"
		if e, err := fhirpath.Compile(expression); err == nil {
			v := fhirpath.Of(r)
			if all, err := e.Eval(v, v, v); err == nil {
				var words []string
				for _, x := range all {
					words = append(words, x.Text())
				}
				got = strings.Join(words, " ")
			}
		}
		if got != want {
			t.Errorf("%s comes to %q, want %q", expression, got, want)
		}
	}
}

// Whatever is asked of whatever resource, evaluation ends without a panic, and an
// error quotes nothing of the resource.
func FuzzEval(f *testing.F) {
	for _, rule := range r4def.Invariants() {
		f.Add(rule.Expression, `{"resourceType":"Patient","name":[{"family":"Quizzical","given":[null,"x"]}],"birthDate":"1971"}`)
	}
	f.Fuzz(func(t *testing.T, expression, resource string) {
		e, err := fhirpath.Compile(expression)
		if err != nil {
			return
		}
		r, err := fhir.Parse([]byte(resource))
		if err != nil || len(resource) > 4000 || len(expression) > 400 {
			return
		}
		v := fhirpath.Of(r)
		if _, err := e.Eval(v, v, v); err != nil && strings.Contains(fmt.Sprint(err), "Quizzical") {
			t.Errorf("%v quotes the resource", err)
		}
	})
}
