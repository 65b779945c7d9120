package fhirapi

// combined are the searches by several parameters that profiles count on, by type. All
// parameters of a type go together here; what is declared is what an app's author looks
// for by name.
//
// Source: US Core's CapabilityStatement for servers, 3.1.1 to 8.0.0.
var combined = map[string][][]string{
	"AllergyIntolerance": {{"patient", "clinical-status"}},
	"CarePlan":           {{"patient", "category"}, {"patient", "category", "date"}, {"patient", "category", "status"}, {"patient", "category", "status", "date"}},
	"CareTeam":           {{"patient", "status"}, {"patient", "role"}},
	"Condition": {{"patient", "category"}, {"patient", "clinical-status"}, {"patient", "category", "clinical-status"}, {"patient", "category", "encounter"}, {"patient", "code"},
		{"patient", "onset-date"}, {"patient", "abatement-date"}, {"patient", "asserted-date"}, {"patient", "recorded-date"}, {"patient", "_lastUpdated"}},
	"Device": {{"patient", "type"}, {"patient", "status"}},
	"DiagnosticReport": {{"patient", "category"}, {"patient", "category", "date"}, {"patient", "category", "_lastUpdated"}, {"patient", "code"}, {"patient", "code", "date"},
		{"patient", "status"}},
	"DocumentReference": {{"patient", "category"}, {"patient", "category", "date"}, {"patient", "type"}, {"patient", "type", "period"}, {"patient", "status"}},
	"Encounter": {{"date", "patient"}, {"class", "patient"}, {"patient", "discharge-disposition"}, {"patient", "location"}, {"patient", "status"}, {"patient", "type"},
		{"patient", "_lastUpdated"}},
	"Goal":                  {{"patient", "description"}, {"patient", "lifecycle-status"}, {"patient", "target-date"}},
	"Immunization":          {{"patient", "date"}, {"patient", "status"}},
	"MedicationDispense":    {{"patient", "status"}, {"patient", "status", "type"}},
	"MedicationRequest":     {{"patient", "intent"}, {"patient", "intent", "status"}, {"patient", "intent", "encounter"}, {"patient", "intent", "authoredon"}},
	"Observation":           {{"patient", "category"}, {"patient", "category", "date"}, {"patient", "category", "status"}, {"patient", "category", "_lastUpdated"}, {"patient", "code"}, {"patient", "code", "date"}},
	"Patient":               {{"birthdate", "family"}, {"birthdate", "name"}, {"death-date", "family"}, {"family", "gender"}, {"gender", "name"}},
	"Procedure":             {{"patient", "date"}, {"patient", "status"}, {"patient", "code", "date"}},
	"QuestionnaireResponse": {{"patient", "authored"}, {"patient", "questionnaire"}, {"patient", "status"}},
	"RelatedPerson":         {{"patient", "name"}},
	"ServiceRequest":        {{"patient", "category"}, {"patient", "category", "authored"}, {"patient", "code"}, {"patient", "code", "authored"}, {"patient", "status"}},
}

// combinations are combined as a CapabilityStatement's extensions, none for a type that
// no profile speaks of.
func combinations(typ string) (all []object) {
	for _, names := range combined[typ] {
		required := make([]object, len(names))
		for i, name := range names {
			required[i] = object{"url": "required", "valueString": name}
		}
		all = append(all, object{"url": "http://hl7.org/fhir/StructureDefinition/capabilitystatement-search-parameter-combination", "extension": required})
	}
	return all
}

const (
	usCore     = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"
	caBaseline = "http://hl7.org/fhir/ca/baseline/StructureDefinition/profile-"
)

// supported are the profiles that what sources send is mapped to, as far as they send
// what a profile asks for: mapping/testdata counts it, element by element, and
// docs/conformance.md says how many resources a validator found valid. Not among them
// are those of which no resource is: active of US Core's Organization and RelatedPerson
// and the status of its Coverage are never sent. A resource names no profile in its
// meta but what its source did.
//
// Source: US Core 6.1.0, CA Baseline 1.2.0.
var supported = map[string][]string{
	"AllergyIntolerance": {usCore + "allergyintolerance"},
	"CareTeam":           {usCore + "careteam"},
	"Condition":          {usCore + "condition-encounter-diagnosis", usCore + "condition-problems-health-concerns"},
	"DiagnosticReport":   {usCore + "diagnosticreport-lab"},
	"DocumentReference":  {usCore + "documentreference"},
	"Encounter":          {usCore + "encounter"},
	"Goal":               {usCore + "goal"},
	"Immunization":       {usCore + "immunization"},
	"Location":           {usCore + "location", caBaseline + "location"},
	"MedicationDispense": {usCore + "medicationdispense"},
	"MedicationRequest":  {usCore + "medicationrequest"},
	"Observation":        {usCore + "observation-clinical-result", usCore + "observation-lab", usCore + "vital-signs", caBaseline + "observation"},
	"Organization":       {caBaseline + "organization"},
	"Patient":            {usCore + "patient", caBaseline + "patient"},
	"Practitioner":       {usCore + "practitioner", caBaseline + "practitioner"},
	"PractitionerRole":   {usCore + "practitionerrole", caBaseline + "practitionerrole"},
	"Procedure":          {usCore + "procedure"},
	"Provenance":         {usCore + "provenance"},
	"ServiceRequest":     {usCore + "servicerequest"},
	"Specimen":           {usCore + "specimen"},
}
