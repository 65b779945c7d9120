package mapping_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firebreak/fhir"
	"firebreak/internal/corpus"
	"firebreak/internal/score"
	"firebreak/mapping"
)

// differences is where we say another thing than FHIR-Converter, on purpose.
//
// Sources: C-CDA on FHIR (the guide), FHIR R4, this package's comment.
var differences = []score.Difference{
	{Type: "(Composition)", Path: "section.mode", Why: "the document does not say whether a section is a snapshot"},
	{Type: "(Composition)", Path: "identifier.use", Why: "nor that its identifier is official"},
	{Type: "(Composition)", Path: "identifier.value", Why: "theirs is the root without the extension; ours has both"},
	{Type: "(DocumentReference)", Path: "date", Why: "theirs is when it was converted"},
	{Type: "(DocumentReference)", Path: "content.attachment.(data|hash)", Why: "theirs holds the document inside, compressed; ours is a Binary with its exact bytes"},
	{Type: "(DocumentReference)", Path: "content.attachment.contentType", Value: "text/plain", Why: "ours is text/xml, which it is"},
	{Type: "(Consent)", Why: "a Consent is a directive that this gateway acts on; an advance directive is an Observation"},
	{Type: "DocumentReference", Path: "content.attachment.url", Why: "a file name inside an advance directive, which leads nowhere"},
	{Type: "Medication", Path: "code.(.+)", Value: "(.+)", Instead: "MedicationStatement.medicationCodeableConcept.$1 = $2", Why: "the drug stands in the statement itself"},
	{Type: "Medication", Path: "code.(.+)", Value: "(.+)", Instead: "MedicationRequest.medicationCodeableConcept.$1 = $2", Why: "or in the request"},
	{Type: "Medication", Path: "code.(.+)", Value: "(.+)", Instead: "MedicationAdministration.medicationCodeableConcept.$1 = $2", Why: "or in the administration"},
	{Type: "Medication(?:Statement|Request|Administration)", Path: "medicationReference.type", Value: "Medication", Why: "so nothing leads to a Medication"},
	{Type: "AllergyIntolerance", Path: "reaction.substance.(.+)", Value: "(.+)", Instead: "AllergyIntolerance.code.$1 = $2", Why: "guide, CF-allergies: the substance is the code"},
	{Type: "AllergyIntolerance", Path: "reaction.substance.+", Why: "said once, theirs in each reaction"},
	{Type: "AllergyIntolerance", Path: "clinicalStatus.coding.code", Value: "resolved", Instead: "AllergyIntolerance.clinicalStatus.coding.code = active", Why: "guide: the status observation (active) goes before the act's statusCode (completed)"},
	{Type: "Condition", Path: "clinicalStatus.coding.+", Value: `81323004|http://snomed.info/sct`, Why: "a health status (alive and well) is no clinical status"},
	{Type: "Condition", Path: "(code|identifier|onsetDateTime).*", Value: `90458007|429430001|103679000|2008-01-03|urn:uuid:(ab|cd)1791b0-5c71-11db-b0de-0800200c9a66|http://snomed.info/sct|urn:ietf:rfc:3986`, Why: "Procedure_Note gives one diagnosis twice, as finding and as diagnosis: guide, one id is one resource"},
	{Type: "Encounter", Path: "status", Value: "unknown", Instead: "Encounter.status = finished", Why: "guide, CF-encounters: what has ended is finished"},
	{Type: "Encounter", Path: "class.code", Value: "99213", Instead: "Encounter.class.code = AMB", Why: "guide: a CPT code is no class"},
	{Type: "Encounter", Path: "class.(.+)", Value: "(99213|http://www.ama-assn.org/go/cpt)", Instead: "Encounter.type.coding.$1 = $2", Why: "guide: it is the type"},
	{Type: "Immunization", Path: "status", Value: "completed", Instead: "Immunization.status = not-done", Why: "guide: negationInd"},
	{Type: "DiagnosticReport", Path: "effectivePeriod.(start|end)", Value: "(.+)", Instead: "DiagnosticReport.effectiveDateTime = $2", Why: "guide: both ends the same are a time"},
	{Type: "DiagnosticReport", Path: "effectivePeriod.end", Why: "the same"},
	{Type: "FamilyMemberHistory", Path: "bornString", Value: "(.+)", Instead: "FamilyMemberHistory.bornDate = $1", Why: "a year is a date"},
	{Type: "RelatedPerson", Path: "(name|address|telecom)[.](.+)", Value: "(.+)", Instead: "Patient.contact.$1.$2 = $3", Why: "guide, CF-patient: a guardian is a contact"},
	{Type: "RelatedPerson", Path: "relationship.coding.code", Value: "(.+)", Instead: "Patient.contact.relationship.coding.code = $1", Why: "the same"},
	{Type: "MedicationStatement", Path: "dosage.(.+)", Value: "(.+)", Instead: "MedicationRequest.dosageInstruction.$1 = $2", Why: "guide, CF-medications: mood INT is an order"},
	{Type: "MedicationStatement", Path: "identifier.(.+)", Value: "(.+)", Instead: "MedicationRequest.identifier.$1 = $2", Why: "the same"},
	{Type: "MedicationRequest", Path: "identifier.(.+)", Value: "(.+)", Instead: "MedicationDispense.identifier.$1 = $2", Why: "a supply of mood EVN is a dispense"},
	{Type: "Device", Path: "identifier.(system|value)", Value: "urn:uuid:(cf75f5be|39b5f1b4).*|urn:ietf:rfc:3986", Why: "theirs is the supply's identifier, not the product instance's"},
	{Type: "Device", Path: "manufacturer", Value: "(.+)", Instead: "Device.deviceName.name = $1", Why: "the model's name is no manufacturer"},
	{Type: "Organization|Practitioner", Path: "identifier.value", Value: `urn:uuid:2[.].*`, Why: "an OID is no UUID"},
	{Type: "Observation", Path: "identifier.value", Value: `urn:uuid:.*[^0-9a-f-].*`, Why: "not a UUID: a letter beyond f"},
}

// entryTypes are what the entries of sections become.
var entryTypes = []string{"AllergyIntolerance", "Condition", "Coverage", "Device", "DiagnosticReport", "Encounter", "FamilyMemberHistory", "Immunization", "Medication",
	"MedicationAdministration", "MedicationRequest", "MedicationStatement", "Observation", "Procedure", "ServiceRequest"}

// systems are OIDs that the other leaves as they are, and what R4 calls them.
var systems = map[string]string{
	"urn:oid:2.16.840.1.113883.3.26.1.1": "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl", "urn:oid:2.16.840.1.113883.12.292": "http://hl7.org/fhir/sid/cvx",
	"urn:oid:2.16.840.1.113883.5.1": "http://terminology.hl7.org/CodeSystem/v3-AdministrativeGender", "urn:oid:2.16.840.1.113883.5.4": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
	"urn:oid:2.16.840.1.113883.5.8": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "urn:oid:2.16.840.1.113883.5.110": "http://terminology.hl7.org/CodeSystem/v3-RoleClass",
	"urn:oid:2.16.840.1.113883.5.111": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "urn:oid:2.16.840.1.113883.6.103": "http://hl7.org/fhir/sid/icd-9-cm",
	"urn:oid:2.16.840.1.113883.6.259": "https://www.cdc.gov/nhsn/cdaportal/terminology/codesystem/hsloc.html", "urn:oid:1.2.840.10008.2.16.4": "http://dicom.nema.org/resources/ontology/DCM",
}

// TestClinicalRecall measures how many of FHIR-Converter's facts ours has.
func TestClinicalRecall(t *testing.T) {
	differ := slices.Clone(differences)
	for oid, uri := range systems {
		differ = append(differ, score.Difference{Type: "(.+)", Path: "(.+)", Value: strings.ReplaceAll(oid, ".", "[.]"), Instead: "$1.$2 = " + uri, Why: "R4 terminologies-systems: the system's own URI"})
		differ = append(differ, score.Difference{Type: "RelatedPerson", Path: "relationship.(.+)", Value: strings.ReplaceAll(oid, ".", "[.]"), Instead: "Patient.contact.relationship.$1 = " + uri, Why: "a guardian"})
	}
	k := mapping.NewKeys(secret)
	var sum score.Table
	var lines []string
	for name, body := range corpus.CCDA(t) {
		b, err := os.ReadFile(corpus.Dir(t, "corpus", "ccda", "fhir-converter", "expected", strings.TrimSuffix(filepath.Base(name), ".xml")+".json"))
		if err != nil {
			continue // one of the documents that nobody else mapped
		}
		bundle, err := fhir.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		want, err := score.Entries(bundle)
		if err != nil {
			t.Fatal(err)
		}
		if unnamed[name] != "" {
			body = named(body)
		}
		r, err := mapping.Map(k, clinical(body))
		if err != nil {
			t.Fatal(err)
		}
		var got []fhir.Resource
		for _, res := range r.Resources {
			got = append(got, res.Resource)
		}
		s := score.Compare(got, want, differ...)
		plain := score.Compare(got, want)
		lines = append(lines, fmt.Sprintf("%-65s %5.1f%%  entries %5.1f%%  (without the table of differences %5.1f%%)", filepath.Base(name), 100*s.Recall(), 100*s.Recall(entryTypes...), 100*plain.Recall()))
		sum.Add(s)
	}
	slices.Sort(lines)
	got := sum.Recall(entryTypes...)
	t.Logf("recall of FHIR-Converter's facts\n%s\n\n%s\nof entries %.1f%%\nnot found:\n%s", strings.Join(lines, "\n"), sum, 100*got, sum.Lacking(200))
	if got < 0.97 {
		t.Errorf("%.1f%% of the facts of entries, it was 97%%", 100*got)
	}
}
