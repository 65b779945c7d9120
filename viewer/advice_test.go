package viewer

import "testing"

// What a message is held for is followed by what to do about it: each reason that
// this program gives has its own words.
func TestAdvice(t *testing.T) {
	words, err := readWords("en")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ reason, key string }{
		{"doubtful identity: PID-7: another birth date than is known of the patient of this number", "doubt"},
		{"doubtful identity: PID-5: another name and sex than is known of the patient of this number", "doubt"},
		{"doubtful identity: recordTarget: another birth date than is known of the patient of this number", "doubt"},
		{"doubtful identity: PID-3: nothing but the number says whose it is, and a message that contradicts the number's patient is held", "waits"},
		{"mapping: PID-3 in segment 2: no patient identifier of a declared assigning authority", "authority"},
		{"mapping: ClinicalDocument/recordTarget/patientRole/id: no patient identifier of a declared assigning authority", "authority"},
		{"mapping: PID-3 in segment 2: no patient identifier", "number"},
		{"mapping: PID-3: no patient identifier: the message has no PID", "number"},
		{"mapping: PID-3 in segment 9: the message names more than one patient", "several"},
		{"mapping: ClinicalDocument/recordTarget: two patients in one document", "several"},
		{"mapping: MSH-9 in segment 1: messages of this type are not mapped", "type"},
		{"mapping: MSH-9 in segment 1: no message type", "unreadable"},
		{"mapping: PV1-44 in segment 3: the dialect's line 7 cannot be carried out here", "dialect"},
		{"this message meets a fault in the gateway; it can be replayed after the fix", "fault"},
		{"this message cannot be read", "unreadable"},
		{"mapping: MSH: not an HL7 v2 message", "unreadable"},
		{"mapping: MSH in segment 1: the message does not begin with MSH", "unreadable"},
		{"mapping: OBR-25 in segment 4: the laboratory has no such order or patient", "refused"},
		{"mapping: OBR: no result: the message has neither OBR nor OBX", "lacks"},
		{"mapping: ORC: no order: the message has no ORC", "lacks"},
		{"mapping: FT1: no charge: the message has no FT1", "lacks"},
		{"mapping: MRG-1: a merge without MRG names no record to merge", "lacks"},
		{"mapping: MRG-1 in segment 4: no prior patient identifier", "lacks"},
		{"mapping: OBX-3 in segment 5: no observation identifier", "lacks"},
		{"mapping: OBX-11 in segment 5: a new status without the result it belongs to", "lacks"},
		{"mapping: PID-18 in segment 2: no account number: nothing tells which account is ended", "lacks"},
		{"mapping: ClinicalDocument/component: more sections than a document has", "document"},
		{"mapping: Interaction: not a FHIR interaction", "resource"},
		{"mapping: Bundle.entry[3].resource: a reference names nothing in this Bundle; conditional references are not supported", "resource"},
		{"mapping: Observation: not a valid resource", "resource"},
		{"mapping: Bundle.entry[1]: the patient is not of this source", "taken"},
		{"resource 2 (Patient): its id or its patient cannot be used", "taken"},
		{"mapping: Joining: not two charts", "ours"},
		{"mapping: Telling.on: not a day", "ours"},
		{"mapping: AL1-3 in segment 6: something that was not thought of", "other"},
	} {
		if got := advice(row.reason); got != row.key {
			t.Errorf("%q: %s, want %s", row.reason, got, row.key)
		}
		if _, ok := words["ops.advice."+row.key]; !ok {
			t.Errorf("there are no words for %s", row.key)
		}
	}
}
