package search

import (
	"slices"

	"firebreak/fhir/r4def"
)

// profiled are parameters that profiles add to R4's own.
//
// Source: IHE MHD 4.2.3, ITI-66 and ITI-67; US Core 8.0.0, and 7.0.0 for what 8 no longer has.
var profiled = []r4def.SearchParam{
	{ID: "DocumentReference-Creation", Canonical: "https://profiles.ihe.net/ITI/MHD/SearchParameter/DocumentReference-Creation", Code: "creation", Type: "date",
		Base: []string{"DocumentReference"}, Expression: "DocumentReference.content.attachment.creation"},
	{ID: "List-DesignationType", Canonical: "https://profiles.ihe.net/ITI/MHD/SearchParameter/List-DesignationType", Code: "designationType", Type: "token",
		Base: []string{"List"}, Expression: "List.extension.where(url='https://profiles.ihe.net/ITI/MHD/StructureDefinition/ihe-designationType').value.ofType(CodeableConcept)"},
	{ID: "List-SourceId", Canonical: "https://profiles.ihe.net/ITI/MHD/SearchParameter/List-SourceId", Code: "sourceId", Type: "token",
		Base: []string{"List"}, Expression: "List.extension.where(url='https://profiles.ihe.net/ITI/MHD/StructureDefinition/ihe-sourceId').value.ofType(Identifier)"},
	{ID: "us-core-careteam-role", Canonical: usCore + "SearchParameter/us-core-careteam-role", Code: "role", Type: "token",
		Base: []string{"CareTeam"}, Expression: "CareTeam.participant.role"},
	{ID: "us-core-condition-asserted-date", Canonical: usCore + "SearchParameter/us-core-condition-asserted-date", Code: "asserted-date", Type: "date",
		Base: []string{"Condition"}, Expression: "Condition.extension.where(url='http://hl7.org/fhir/StructureDefinition/condition-assertedDate').value.ofType(dateTime)"},
	{ID: "us-core-encounter-discharge-disposition", Canonical: usCore + "SearchParameter/us-core-encounter-discharge-disposition", Code: "discharge-disposition", Type: "token",
		Base: []string{"Encounter"}, Expression: "Encounter.hospitalization.dischargeDisposition"},
	{ID: "us-core-goal-description", Canonical: usCore + "SearchParameter/us-core-goal-description", Code: "description", Type: "token",
		Base: []string{"Goal"}, Expression: "Goal.description"},
	{ID: "us-core-race", Canonical: usCore + "SearchParameter/us-core-race", Code: "race", Type: "token",
		Base: []string{"Patient"}, Expression: "Patient.extension.where(url='" + usCore + "StructureDefinition/us-core-race').extension.value.ofType(Coding)"},
	{ID: "us-core-ethnicity", Canonical: usCore + "SearchParameter/us-core-ethnicity", Code: "ethnicity", Type: "token",
		Base: []string{"Patient"}, Expression: "Patient.extension.where(url='" + usCore + "StructureDefinition/us-core-ethnicity').extension.value.ofType(Coding)"},
	{ID: "us-core-patient-gender-identity", Canonical: usCore + "SearchParameter/us-core-patient-gender-identity", Code: "gender-identity", Type: "token",
		Base: []string{"Patient"}, Expression: "Patient.extension.where(url='" + usCore + "StructureDefinition/us-core-genderIdentity').value.ofType(CodeableConcept)"},
}

const usCore = "http://hl7.org/fhir/us/core/"

// corrected are expressions that name an extension as hardly anybody sends it:
// R4's definition of the parameter has the address of an older one.
var corrected = map[string]string{
	"patient-extensions-Patient-mothersMaidenName": "Patient.extension.where(url='http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName').value.ofType(string)" +
		" | Patient.extension.where(url='http://hl7.org/fhir/StructureDefinition/patient-extensions-Patient-mothersMaidenName').value.ofType(string)",
}

// Definitions are all search parameters that are known here, answered or not.
func Definitions() []r4def.SearchParam {
	all := slices.Concat(r4def.SearchParams(), profiled)
	for i := range all {
		if text := corrected[all[i].ID]; text != "" {
			all[i].Expression = text
		}
		if all[i].ID == "DocumentReference-relationship" { // R4 has the expressions of the two parts exchanged
			parts := slices.Clone(all[i].Component)
			parts[0].Expression, parts[1].Expression = "target", "code"
			all[i].Component = parts
		}
	}
	return all
}
