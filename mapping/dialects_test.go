package mapping_test

import (
	"slices"
	"strings"
	"testing"

	"firebreak/mapping"
)

// The examples of docs/feeds.md on the messages they are for: what only the
// dialect can know is there, each resource is FHIR, and nothing is held that is
// mapped without it.
func TestTheDialectsOfTheCorpus(t *testing.T) {
	all := examples(t)
	for _, c := range []struct {
		dialect string
		files   []string
		says    map[string]string // of some message: an element, and a value of it
	}{
		{"nhs-itk", []string{"itk-nhs/A01_example.txt", "itk-nhs/A03_Example.txt", "itk-nhs/A04_example.txt", "itk-nhs/A28_Example.txt", "itk-nhs/A31_example.txt"}, map[string]string{
			"Patient.gender": `"female"`, "Patient.identifier.type.coding.code": `"NH"`, "Patient.contact.relationship.coding.display": `"spouse"`,
			"Patient.extension.valueCodeableConcept.coding.display": `"British"`,
			"Encounter.extension.valueDateTime":                     `"2010-10-07T12:34:00+00:00"`, "Encounter.extension.valueCodeableConcept.coding.display": `"At least one night"`,
			"Encounter.type.coding.system": `"https://fhir.hl7.org.uk/CodeSystem/UKCore-AdmissionMethodEngland"`,
		}},
		{"pam-fr", []string{"ansforge-fr/SGL/admission.er7", "ansforge-fr/SGL/sortie.er7", "ansforge-fr/Vague_2/Consentement_DMP_PAMFR/ConsentementConsultation_NonOppositionAlimentation.er7",
			"ansforge-fr/Vague_2/Consentement_DMP_PAMFR/NonConsentementConsultation_OppositionAlimentation.er7", "latin1/01_ConsentementConsultation_NonOppositionAlimentation.er7"}, map[string]string{
			"Encounter.extension.extension.valueCode": `"HMS"`, "Encounter.serviceType.coding.display": `"Chir V"`, "Location.name": `"6268"`,
			"Encounter.hospitalization.admitSource.coding.display": `"Domicile"`,
			"Patient.extension.extension.valueCode":                `"INSI"`, "Patient.extension.extension.valueDate": `"2021-12-01"`, "Patient.extension.valueBoolean": "true",
		}},
		{"epic", []string{"trusted-intermediary/Epic/001_Epic_ORM_O01.hl7", "trusted-intermediary/Epic/002_Epic_ORU_R01.hl7"}, map[string]string{
			"Patient.identifier.type.coding.code": `"MR"`, "DiagnosticReport.code.coding.system": `"urn:hl7v2:test:L"`,
		}},
		{"oracle-health", []string{"trusted-intermediary/Oracle/001_Oracle_ORM_O01.hl7", "trusted-intermediary/Oracle/004_Oracle_ORU_R01.hl7", "trusted-intermediary/Oracle/005_Oracle_ORM_O01_2_3_non_NBS.hl7"}, map[string]string{
			"Patient.maritalStatus.coding.code": `"S"`, "Encounter.class.code": `"IMP"`, "ServiceRequest.code.coding.system": `"http://loinc.org"`, "Observation.code.coding.system": `"http://loinc.org"`,
		}},
		{"ochsner", []string{"trusted-intermediary/Ochsner/001_Ochsner_OML_O21_0_initial_message.hl7", "trusted-intermediary/Ochsner/002_Ochsner_OML_O21_0_initial_message.hl7"}, map[string]string{
			"RelatedPerson.relationship.coding.code": `"MTH"`, "Patient.communication.language.coding.code": `"en"`, "Patient.extension.extension.valueCoding.code": `"2135-2"`, "Observation.code.coding.system": `"http://loinc.org"`,
		}},
		{"california-nbs", []string{"trusted-intermediary/CA/001_CA_OML_O21.hl7", "trusted-intermediary/CA/003_CA_ORU_R01_CDPH_produced_0_initial_message.hl7", "trusted-intermediary/CA/004_CA_ORU_R01_CDPH_produced_0_initial_message.hl7"}, map[string]string{
			"DiagnosticReport.code.coding.system": `"http://loinc.org"`, "Patient.extension.extension.valueCoding.code": `"2054-5"`,
		}},
		{"louisiana-nbs", []string{"trusted-intermediary/LA/001_LA_ORM_O01_NBS.hl7", "trusted-intermediary/LA/003_LA_ORU_R01_NBS_obr_flatten_0_initial_message.hl7"}, map[string]string{
			"Patient.identifier.system": `"urn:hl7v2:test:LOPH"`,
		}},
	} {
		t.Run(c.dialect, func(t *testing.T) {
			d := all[c.dialect]
			if d == nil {
				t.Fatal("there is no such example")
			}
			with, without := mapping.NewKeys(secret, mapping.Feed{Source: "test", Dialect: d}), mapping.NewKeys(secret)
			gained := map[string][]string{}
			for _, file := range c.files {
				m := message(corpusFile(t, strings.Split(file, "/")...))
				r, err := mapping.Map(with, m)
				if err != nil {
					t.Fatalf("%s: %v", file, err)
				}
				sound(t, r)
				for _, n := range r.Notes {
					if strings.HasPrefix(n, "Z") && strings.Contains(n, ": not a ") {
						t.Errorf("%s: %s", file, n)
					}
				}
				plain, err := mapping.Map(without, m)
				if err != nil {
					t.Fatal(err)
				}
				if plain.Patient == r.Patient {
					for _, x := range mapping.Compare(plain, r) {
						gained[x.Element] = append(gained[x.Element], x.Is...)
					}
				} else {
					for _, x := range mapping.Compare(mapping.Result{}, r) {
						gained[x.Element] = append(gained[x.Element], x.Is...)
					}
				}
			}
			for element, value := range c.says {
				if !slices.Contains(gained[element], value) {
					t.Errorf("%s is nowhere %s: %v", element, value, gained[element])
				}
			}
		})
	}
	if len(all) != 7 {
		t.Errorf("%d examples: each has its messages here", len(all))
	}
}
