package mapping_test

import (
	"slices"
	"testing"

	"firebreak/mapping"
)

// TestExplain: each field is traced to the elements that come from it; what nobody
// reads is said to be so, and what a message cannot be without.
func TestExplain(t *testing.T) {
	k := mapping.NewKeys(secret)
	fields, err := mapping.Explain(k, message([]byte("MSH|^~\\&|LAB|HOSP|||20260301||ORU^R01|1|P|2.5.1\rPID|1||77^^^HOSP^MR~88^^^HOSP^PI||Doe^Jane||1970|F||||||||||||||||||||||||||||||||||junk\r"+
		"OBR|1||F1|T^Test^L|||20260301|||||||||||||||20260302||LAB|F\rOBX|1|NM|A^One^L||5|mg|1-9|H|||F\rOBX|2|NM|B^Two^L||6|mg|||||F\rZZZ|what")))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]mapping.Field{}
	for _, f := range fields {
		got[f.Place] = f
	}
	for place, element := range map[string]string{
		"PID-5": "Patient.name.family", "PID-8": "Patient.gender", "PID-3[2]": "Patient.identifier.value", "PID-7": "Patient.birthDate",
		"OBX-5": "Observation.valueQuantity.value", "OBX[2]-5": "Observation.valueQuantity.value", "OBX-7": "Observation.referenceRange.low.value",
		"OBX-8": "Observation.interpretation.coding.code", "OBR-3": "DiagnosticReport.id", "OBR-4": "DiagnosticReport.code.coding.code", "MSH-4": "Provenance.id",
	} {
		if f, ok := got[place]; !ok || !slices.Contains(f.Elements, element) {
			t.Errorf("%s: %v, want %s among them", place, f.Elements, element)
		}
	}
	for _, place := range []string{"PID-42", "ZZZ-1", "PID-1"} {
		if f, ok := got[place]; !ok || f.Elements != nil || f.Needed != "" {
			t.Errorf("%s: %+v, want a field that nobody reads", place, f)
		}
	}
	if f := got["MSH-9"]; f.Needed == "" {
		t.Error("a message is mapped without its type")
	}
	if f := got["OBX-3"]; f.Needed == "" {
		t.Error("a result is mapped without its name")
	}
}
