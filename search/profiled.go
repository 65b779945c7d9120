package search

import (
	"slices"

	"firebreak/fhir/r4def"
)

// profiled are parameters that profiles add to R4's own.
//
// Source: IHE MHD 4.2.3, ITI-66 and ITI-67.
var profiled = []r4def.SearchParam{
	{ID: "DocumentReference-Creation", Canonical: "https://profiles.ihe.net/ITI/MHD/SearchParameter/DocumentReference-Creation", Code: "creation", Type: "date",
		Base: []string{"DocumentReference"}, Expression: "DocumentReference.content.attachment.creation"},
	{ID: "List-DesignationType", Canonical: "https://profiles.ihe.net/ITI/MHD/SearchParameter/List-DesignationType", Code: "designationType", Type: "token",
		Base: []string{"List"}, Expression: "List.extension.where(url='https://profiles.ihe.net/ITI/MHD/StructureDefinition/ihe-designationType').value.ofType(CodeableConcept)"},
	{ID: "List-SourceId", Canonical: "https://profiles.ihe.net/ITI/MHD/SearchParameter/List-SourceId", Code: "sourceId", Type: "token",
		Base: []string{"List"}, Expression: "List.extension.where(url='https://profiles.ihe.net/ITI/MHD/StructureDefinition/ihe-sourceId').value.ofType(Identifier)"},
}

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
