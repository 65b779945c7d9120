package label

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"firebreak/fhir"
)

// TestACDADocumentIsAsSensitiveAsItsCodes: its codes stand in attributes, and no word of
// the text need say the same.
func TestACDADocumentIsAsSensitiveAsItsCodes(t *testing.T) {
	r := rules(t)
	for name, c := range map[string]struct {
		inside string
		want   Label
	}{
		"nothing":                       {`<value code="38341003" codeSystem="2.16.840.1.113883.6.96" displayName="Hypertension"/>`, ""},
		"a code":                        {`<value code="B20" codeSystem="2.16.840.1.113883.6.90"/>`, HIV},
		"a code behind its system":      {`<value codeSystem = '2.16.840.1.113883.6.90'` + "\n" + `code='B20'/>`, HIV},
		"a translation":                 {`<value nullFlavor="OTH"><translation code="Z21" codeSystem="2.16.840.1.113883.6.90"/></value>`, HIV},
		"a test":                        {`<code code="75622-1" codeSystem="2.16.840.1.113883.6.1"/>`, HIV},
		"a name":                        {`<value code="86406008" codeSystem="2.16.840.1.113883.6.96" displayName="Human immunodeficiency virus infection"/>`, HIV},
		"a name of which > is a part":   {`<value displayName="CD4 > 200, HIV positive" code="1"/>`, HIV},
		"a name in references":          {`<value displayName="&#72;&#x49;V positive" code="1"/>`, HIV},
		"a code of another system":      {`<value code="B20" codeSystem="1.2.3.4"/>`, ""},
		"its name inside another's":     {`<value xcode="B20" xcodeSystem="2.16.840.1.113883.6.90"/>`, ""},
		"words":                         {`<text>HIV positive</text>`, HIV},
		"an attribute that never ends":  {`<value code="B20`, ""},
		"a system by its name":          {`<value code="B20" codeSystemName="ICD-10-CM"/>`, HIV},
		"a system by OID and by name":   {`<value code="B20" codeSystemName="x" codeSystem="2.16.840.1.113883.6.90"/>`, HIV},
		"what is no document, but XML":  {`</ClinicalDocument>`, ""},
		"a code in the old, ninth list": {`<value code="042" codeSystem="2.16.840.1.113883.6.103"/>`, HIV},
	} {
		doc := `<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3">` + c.inside + `</ClinicalDocument>`
		res, err := fhir.Parse([]byte(`{"resourceType":"Binary","id":"b","contentType":"text/xml","data":"` + base64.StdEncoding.EncodeToString([]byte(doc)) + `"}`))
		if err != nil {
			t.Fatal(err)
		}
		got := r.Label("test", []fhir.Resource{res})[0].Labels()
		if c.want == "" && len(got) > 0 || c.want != "" && !slices.Contains(got, c.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestADocumentSaysWhatItsDetailsSay: a Composition, what refers to it and what keeps
// it carry each label of an entry, the one that nobody knows too; another section does not.
func TestADocumentSaysWhatItsDetailsSay(t *testing.T) {
	r := rules(t)
	message := func(entry string) []fhir.Resource {
		var all []fhir.Resource
		for _, s := range []string{
			`{"resourceType":"Condition","id":"c","code":{"text":"Hypertension"},"subject":{"reference":"Patient/p"}}`, entry,
			`{"resourceType":"DocumentReference","id":"s1","type":{"text":"Problems","coding":[{"system":"http://loinc.org","code":"11450-4"}]},"context":{"related":[{"reference":"Condition/c"}]}}`,
			`{"resourceType":"DocumentReference","id":"s2","type":{"text":"Results","coding":[{"system":"http://loinc.org","code":"30954-2"}]},"content":[{"attachment":{"url":"Binary/b2"}}],"context":{"related":[{"reference":"Observation/o"}]}}`,
			`{"resourceType":"Binary","id":"b2","contentType":"text/plain"}`,
			`{"resourceType":"Composition","id":"x","type":{"text":"Summary of episode note"},"event":[{"detail":[{"reference":"DocumentReference/s1"},{"reference":"Observation/o"}]}]}`,
			`{"resourceType":"DocumentReference","id":"d","type":{"text":"Summary of episode note"},"content":[{"attachment":{"url":"Binary/b"}}],"context":{"related":[{"reference":"Composition/x"}]}}`,
			`{"resourceType":"Binary","id":"b","contentType":"application/octet-stream"}`,
		} {
			res, err := fhir.Parse([]byte(s))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, res)
		}
		return all
	}
	for entry, want := range map[string]Label{
		`{"resourceType":"Observation","id":"o","code":{"text":"Sodium"},"valueCodeableConcept":{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"B20"}]}}`: HIV,
		`{"resourceType":"Observation","id":"o","code":{"coding":[{"system":"urn:x","code":"QQZZ"}]}}`:                                                                     Unclassified,
		`{"resourceType":"Observation","id":"o","code":{"text":"Sodium"},"text":{"status":"additional","div":"<div>HIV positive</div>"}}`:                                  HIV,
		`{"resourceType":"Observation","id":"o","code":{"text":"Sodium"}}`:                                                                                                 "",
	} {
		var labelled []string
		for _, l := range r.Label("test", message(entry)) {
			if want != "" && l.Has(want) {
				labelled = append(labelled, l.Resource().ID())
			}
			if want == "" && len(l.Labels()) > 0 {
				t.Errorf("%s: %v", l.Resource().Ref(), l.Labels())
			}
		}
		if slices.Sort(labelled); want != "" && strings.Join(labelled, " ") != "b b2 d o s2 x" {
			t.Errorf("%s: %v", want, labelled)
		}
	}
}
