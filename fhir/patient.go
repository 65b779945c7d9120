package fhir

import "slices"

// patientElements are, for each type of the Patient compartment
// (http://hl7.org/fhir/R4/compartmentdefinition-patient.html), the elements
// that say whose record a resource belongs to, most telling first. The
// compartment's own list is wider: it counts the patient who performed,
// authored or received something, which does not make it part of their chart
// unless nothing better is said.
var patientElements = map[string][]string{
	"Account":                     {"subject"},
	"AdverseEvent":                {"subject"},
	"AllergyIntolerance":          {"patient"},
	"Appointment":                 {"participant.actor"},
	"AppointmentResponse":         {"actor"},
	"AuditEvent":                  {"entity.what", "agent.who"},
	"Basic":                       {"subject", "author"},
	"BodyStructure":               {"patient"},
	"CarePlan":                    {"subject"},
	"CareTeam":                    {"subject"},
	"ChargeItem":                  {"subject"},
	"Claim":                       {"patient"},
	"ClaimResponse":               {"patient"},
	"ClinicalImpression":          {"subject"},
	"Communication":               {"subject", "recipient", "sender"},
	"CommunicationRequest":        {"subject", "recipient", "sender"},
	"Composition":                 {"subject"},
	"Condition":                   {"subject"},
	"Consent":                     {"patient"},
	"Coverage":                    {"beneficiary"},
	"CoverageEligibilityRequest":  {"patient"},
	"CoverageEligibilityResponse": {"patient"},
	"DetectedIssue":               {"patient"},
	"DeviceRequest":               {"subject"},
	"DeviceUseStatement":          {"subject"},
	"DiagnosticReport":            {"subject"},
	"DocumentManifest":            {"subject"},
	"DocumentReference":           {"subject"},
	"Encounter":                   {"subject"},
	"EnrollmentRequest":           {"candidate"},
	"EpisodeOfCare":               {"patient"},
	"ExplanationOfBenefit":        {"patient"},
	"FamilyMemberHistory":         {"patient"},
	"Flag":                        {"subject"},
	"Goal":                        {"subject"},
	"Group":                       {"member.entity"},
	"ImagingStudy":                {"subject"},
	"Immunization":                {"patient"},
	"ImmunizationEvaluation":      {"patient"},
	"ImmunizationRecommendation":  {"patient"},
	"Invoice":                     {"subject", "recipient"},
	"List":                        {"subject"},
	"MeasureReport":               {"subject"},
	"Media":                       {"subject"},
	"MedicationAdministration":    {"subject"},
	"MedicationDispense":          {"subject"},
	"MedicationRequest":           {"subject"},
	"MedicationStatement":         {"subject"},
	"MolecularSequence":           {"patient"},
	"NutritionOrder":              {"patient"},
	"Observation":                 {"subject"},
	"Patient":                     {},
	"Person":                      {"link.target"},
	"Procedure":                   {"subject"},
	"Provenance":                  {"target"},
	"QuestionnaireResponse":       {"subject", "source"},
	"RelatedPerson":               {"patient"},
	"RequestGroup":                {"subject"},
	"ResearchSubject":             {"individual"},
	"RiskAssessment":              {"subject"},
	"Schedule":                    {"actor"},
	"ServiceRequest":              {"subject"},
	"Specimen":                    {"subject"},
	"SupplyDelivery":              {"patient"},
	"SupplyRequest":               {"deliverTo"},
	"VisionPrescription":          {"patient"},
}

// patientElsewhere are types outside the compartment that may still be one patient's.
var patientElsewhere = map[string][]string{
	"Binary":           {"securityContext"},
	"Contract":         {"subject"},
	"Device":           {"patient"},
	"GuidanceResponse": {"subject"},
	"Task":             {"for"},
}

// IsPatientCompartment tells whether R4's Patient compartment has the type, so
// that such a resource should name a patient.
func IsPatientCompartment(typ string) bool {
	_, ok := patientElements[typ]
	return ok
}

// Patients are the patients r is about: those named by the first of its
// type's telling elements that names any. A Patient is about itself.
func Patients(r Resource) []Ref {
	if r.typ == "Patient" {
		return []Ref{r.Ref()}
	}
	elements, ok := patientElements[r.typ]
	if !ok {
		elements = patientElsewhere[r.typ]
	}
	for _, path := range elements {
		var found []Ref
		for n := range r.All(path) {
			ref, ok := ParseRef(n.Get("reference").Text())
			if ok && ref.Type == "Patient" && !slices.Contains(found, ref) {
				found = append(found, ref)
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

// PatientOf is the one patient whose record r belongs to. A resource about
// none or about several patients has no such one: see [Patients] to tell them
// apart.
func PatientOf(r Resource) (Ref, bool) {
	if all := Patients(r); len(all) == 1 && all[0].ID != "" {
		return all[0], true
	}
	return Ref{}, false
}
