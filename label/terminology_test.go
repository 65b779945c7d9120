package label

import (
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"firebreak/fhir"
	"firebreak/internal/corpus"
)

func table(t testing.TB, file string) []map[string]string {
	t.Helper()
	f, err := os.Open(corpus.Dir(t, "terminology", file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]string
	for _, row := range rows[1:] {
		m := map[string]string{}
		for i, name := range rows[0] {
			m[name] = row[i]
		}
		out = append(out, m)
	}
	return out
}

func rules(t testing.TB) *Rules {
	t.Helper()
	r, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func resource(t testing.TB, model map[string]any) fhir.Resource {
	t.Helper()
	b, err := json.Marshal(model)
	if err != nil {
		t.Fatal(err)
	}
	res, err := fhir.Parse(b)
	if err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return res
}

type obj = map[string]any
type arr = []any

func coded(system, code, display string) obj {
	c := obj{}
	for k, v := range map[string]string{"system": system, "code": code, "display": display} {
		if v != "" {
			c[k] = v
		}
	}
	return obj{"coding": arr{c}}
}

// listed is the resource that a row of a code list would travel in.
func listed(row map[string]string) obj {
	c := coded(row["system"], row["code"], row["display"])
	switch s := row["system"]; {
	case strings.Contains(s, "loinc"):
		return obj{"resourceType": "Observation", "status": "final", "code": c}
	case strings.Contains(s, "rxnorm"), strings.Contains(s, "ndc"):
		return obj{"resourceType": "MedicationRequest", "medicationCodeableConcept": c}
	case strings.Contains(s, "cvx"):
		return obj{"resourceType": "Immunization", "vaccineCode": c}
	case strings.Contains(s, "HCPCS"):
		return obj{"resourceType": "Procedure", "code": c}
	}
	return obj{"resourceType": "Condition", "code": c}
}

// tricky is the resource that a row of the tricky list travels in.
func tricky(row map[string]string) obj {
	text, code := row["text"], row["code"]
	system := row["system"]
	switch system {
	case "L", "99LAB", "":
		system = "urn:x-local:" + system
	case "LN":
		system = "http://loinc.org"
	}
	if row["kind"] == "encoding" && row["system"] != "" && row["system"] != "L" {
		system = row["system"]
	}
	c := coded(system, code, text)
	if code == "" {
		c = obj{"text": text}
	}
	comment := coded("urn:x-local", "CMT", "COMMENT")
	switch context := row["context"]; {
	case strings.HasPrefix(context, "OBX-3"), context == "Observation.code":
		return obj{"resourceType": "Observation", "code": c}
	case context == "OBR-4":
		return obj{"resourceType": "DiagnosticReport", "code": c}
	case context == "Observation.valueCodeableConcept":
		return obj{"resourceType": "Observation", "code": comment, "valueCodeableConcept": c}
	case strings.HasPrefix(context, "OBX-5"):
		return obj{"resourceType": "Observation", "code": comment, "valueString": text}
	case context == "NTE-3":
		return obj{"resourceType": "Observation", "code": comment, "note": arr{obj{"text": text}}}
	case strings.HasPrefix(context, "DG1"), context == "PRB-3":
		return obj{"resourceType": "Condition", "code": c}
	case strings.HasPrefix(context, "RXE"), strings.HasPrefix(context, "RXO"), context == "MedicationRequest":
		return obj{"resourceType": "MedicationRequest", "medicationCodeableConcept": c}
	case strings.HasPrefix(context, "RXA"):
		return obj{"resourceType": "Immunization", "vaccineCode": c}
	case context == "PR1-3", context == "Procedure.code":
		return obj{"resourceType": "Procedure", "code": c}
	case context == "AL1-3", context == "AllergyIntolerance.code.text":
		return obj{"resourceType": "AllergyIntolerance", "code": c}
	case context == "AL1-5":
		return obj{"resourceType": "AllergyIntolerance", "code": obj{"text": "Drug"}, "reaction": arr{obj{"description": text}}}
	case context == "SCH-7":
		return obj{"resourceType": "Appointment", "reasonCode": arr{obj{"text": text}}}
	case context == "AIL-3":
		return obj{"resourceType": "Appointment", "participant": arr{obj{"actor": obj{"reference": "Location/1", "display": text}}}}
	case context == "Appointment.description":
		return obj{"resourceType": "Appointment", "description": text}
	case context == "PV1-3":
		return obj{"resourceType": "Encounter", "location": arr{obj{"location": obj{"display": text}}}}
	case context == "PV1-7":
		return obj{"resourceType": "Encounter", "participant": arr{obj{"individual": obj{"reference": "Practitioner/1", "display": text}}}}
	case context == "OBR-16", context == "ORC-12":
		return obj{"resourceType": "Practitioner", "name": arr{obj{"text": text, "family": text}}}
	case context == "SPM-4":
		return obj{"resourceType": "Specimen", "type": c}
	case context == "SPM-14":
		return obj{"resourceType": "Specimen", "note": arr{obj{"text": text}}}
	case context == "Communication.payload":
		return obj{"resourceType": "Communication", "payload": arr{obj{"contentString": text}}}
	case context == "Coverage.type.text":
		return obj{"resourceType": "Coverage", "type": obj{"text": text}}
	case context == "Composition.title":
		return obj{"resourceType": "Composition", "title": text}
	case context == "DocumentReference.description":
		return obj{"resourceType": "DocumentReference", "type": obj{"text": "Form"}, "description": text}
	case context == "DocumentReference.type.text":
		return obj{"resourceType": "DocumentReference", "type": obj{"text": text}}
	case context == "presentedForm.title":
		return obj{"resourceType": "DiagnosticReport", "code": obj{"text": "Report"}, "presentedForm": arr{obj{"title": text}}}
	case context == "FamilyMemberHistory.note":
		return obj{"resourceType": "FamilyMemberHistory", "note": arr{obj{"text": text}}}
	case context == "QuestionnaireResponse.item":
		q, a, _ := strings.Cut(text, "? ")
		return obj{"resourceType": "QuestionnaireResponse", "item": arr{obj{"linkId": "1", "text": q, "answer": arr{obj{"valueString": a}}}}}
	case context == "ServiceRequest.note":
		return obj{"resourceType": "ServiceRequest", "code": obj{"text": "CBC"}, "note": arr{obj{"text": text}}}
	case context == "OBR-31":
		return obj{"resourceType": "ServiceRequest", "code": obj{"text": "CBC"}, "reasonCode": arr{obj{"text": text}}}
	case context == "PID-8":
		return obj{"resourceType": "Patient", "gender": "female", "extension": arr{obj{"url": "http://example.org/sex", "valueString": text}}}
	case context == "text.div":
		return obj{"resourceType": "Observation", "code": comment, "text": obj{"status": "generated", "div": `<div xmlns="http://www.w3.org/1999/xhtml">` + text + `</div>`}}
	case context == "presentedForm.data" && !strings.Contains(text, "text is: "):
		_, order, _ := strings.Cut(text, "ordered as ")
		return obj{"resourceType": "DiagnosticReport", "code": local(order), "presentedForm": arr{obj{"contentType": "application/pdf", "data": base64.StdEncoding.EncodeToString([]byte("%PDF-1.4"))}}}
	case context == "presentedForm.data":
		return obj{"resourceType": "DiagnosticReport", "code": obj{"text": "Report"}, "presentedForm": arr{obj{"contentType": "application/pdf", "data": base64.StdEncoding.EncodeToString([]byte(pdfOf(text)))}}}
	}
	return nil
}

func pdfOf(text string) string {
	_, text, _ = strings.Cut(text, "text is: ")
	return "%PDF-1.4\n1 0 obj << /Length 44 >>\nstream\nBT /F1 12 Tf (" + text + ") Tj ET\nendstream\nendobj\n"
}

type score struct{ hit, all int }

func (s *score) percent() float64 {
	if s == nil || s.all == 0 {
		return 0
	}
	return 100 * float64(s.hit) / float64(s.all)
}
