package mapping_test

import (
	"fmt"
	"slices"
	"strings"
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

// TestTraceOf: each value is traced to the field that it comes from, of the
// resource it stands in; what calls a resource is no value of it.
func TestTraceOf(t *testing.T) {
	k := mapping.NewKeys(secret)
	m := message([]byte("MSH|^~\\&|LAB|HOSP|||20260301||ORU^R01|1|P|2.5.1\rPID|1||77^^^HOSP^MR||Doe^Jane||1970|F||||||||||||||||||||||||||||||||||junk\r" +
		"OBR|1||F1|T^Test^L|||20260301|||||||||||||||20260302||LAB|F\rOBX|1|NM|A^One^L||5|mg|1-9|H|||F\rOBX|2|NM|B^Two^L||6|mg|||||F"))
	trace, err := mapping.TraceOf(k, m, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, r := range trace.Resources {
		all = append(all, fmt.Sprint(r.Ref.Type, " called by ", r.Called))
		for _, v := range r.Values {
			all = append(all, fmt.Sprint(r.Ref.Type, " ", v.Element, " = ", v.Text, " from ", v.From))
		}
	}
	got := strings.Join(all, "\n") + "\n"
	for _, want := range []string{
		"Patient Patient.name.family = Doe from [PID-5]\n",
		"Patient Patient.identifier.value = 77 from [PID-3]\n",
		"Patient Patient.birthDate = 1970 from [PID-7]\n",
		"Observation Observation.valueQuantity.value = 5 from [OBX-5]\n",
		"Observation Observation.valueQuantity.value = 6 from [OBX[2]-5]\n",
		"Observation Observation.code.coding.code = A from [OBX-3]\n", // without it there is no result
		"Observation Observation.status = final from [OBX[2]-11]\n",
		"Organization Organization.name = HOSP from [MSH-4]\n", // without it there is none
		"DiagnosticReport DiagnosticReport.status = final from [OBR-25]\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the trace does not say %q", want)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
	if trace.Part || !slices.Contains(mapping.Unread(trace.Fields), "PID-42") {
		t.Errorf("unread %v, part %v", mapping.Unread(trace.Fields), trace.Part)
	}
	if short, err := mapping.TraceOf(k, m, 3*len(m.Body)); err != nil || !short.Part || len(short.Fields) != 3 {
		t.Errorf("with work for three fields: %d, %v", len(short.Fields), err)
	}
}
