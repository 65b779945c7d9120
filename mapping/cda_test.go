package mapping_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"firebreak/fhir"
	"firebreak/fhir/r4def"
	"firebreak/inbox"
	"firebreak/internal/corpus"
	"firebreak/mapping"
)

func clinical(body []byte) inbox.Message {
	return inbox.Message{Source: "test", Kind: inbox.CCDA, Received: received, Body: body}
}

// unnamed are the documents that are held, and why.
var unnamed = map[string]string{
	"certification-samples/CareEvolution.xml":                        "mapping: ClinicalDocument/recordTarget/patientRole/id: no patient identifier", // a nullFlavor
	"certification-samples/Henry_Schein.xml":                         "mapping: ClinicalDocument/recordTarget/patientRole/id: no patient identifier", // "Unknown"
	"fhir-converter/Consult-Document-Closing-Referral-C-CDAR2.1.xml": "mapping: ClinicalDocument/recordTarget/patientRole/id: no patient identifier", // 000-00-0000
	"hl7-examples/Planned_Encounter_Referral.xml":                    "mapping: ClinicalDocument in line 13: not a ClinicalDocument of urn:hl7-org:v3",
}

// named is a document that is held for want of an identifier, with one: what else is in
// it is mapped as in any other.
func named(b []byte) []byte {
	at := bytes.Index(b, []byte("<patientRole"))
	if at < 0 {
		return b
	}
	at += bytes.IndexByte(b[at:], '>') + 1
	return append(append(bytes.Clone(b[:at]), `<id root="1.2.3.4.5.6" extension="for-the-test"/>`...), b[at:]...)
}

// TestClinicalDocuments maps every C-CDA document of the corpus: to resources that are
// FHIR R4, whose references resolve, whose ids tell their chart, the same bytes when
// mapped again; or holds it for a reason that names a place and quotes nothing.
func TestClinicalDocuments(t *testing.T) {
	k := mapping.NewKeys(secret)
	for name, body := range corpus.CCDA(t) {
		if want := unnamed[name]; want != "" {
			_, err := mapping.Map(k, clinical(body))
			var at *mapping.Error
			if !errors.As(err, &at) || err.Error() != want {
				t.Errorf("%s: %v", name, err)
			}
			if body = named(body); strings.Contains(name, "Planned") {
				continue
			}
		}
		r, err := mapping.Map(k, clinical(body))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if key, err := mapping.PatientKey(k, clinical(body)); err != nil || key != r.Patient.ID {
			t.Errorf("%s: PatientKey differs from Map's patient (%v)", name, err)
		}
		for _, n := range r.Notes {
			for _, token := range tokens.FindAll(body, -1) {
				if bytes.ContainsAny(token, "0123456789") && strings.Contains(n, string(token)) {
					t.Errorf("%s: a value of the document is in %q", name, n)
				}
			}
		}
		var all []fhir.Resource
		for _, res := range r.Resources {
			all = append(all, res.Resource)
			for _, p := range departures(res.Resource) {
				t.Errorf("%s: %s", name, p)
			}
			if res.ID() != r.Patient.ID && !strings.HasPrefix(res.ID(), r.Patient.ID+"-") {
				t.Errorf("%s: the id of a %s does not tell its chart", name, res.Type())
			}
		}
		for _, p := range r4def.Dangling(all) {
			t.Errorf("%s: %s", name, p)
		}
		again, _ := mapping.Map(k, clinical(body))
		if !bytes.Equal(mapping.Bundle(r), mapping.Bundle(again)) {
			t.Errorf("%s: twice is not the same", name)
		}
	}
}

func BenchmarkClinicalDocuments(b *testing.B) {
	k := mapping.NewKeys(secret)
	all := corpus.CCDA(b)
	for b.Loop() {
		for _, d := range all {
			_, _ = mapping.Map(k, clinical(d))
		}
	}
	b.ReportMetric(float64(len(all)*b.N)/b.Elapsed().Seconds(), "documents/s")
}
