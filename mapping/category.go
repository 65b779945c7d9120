package mapping

import (
	"strings"

	"firebreak/adapters/hl7"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// sections are the services of HL7 table 0074 that are one category of R4's.
// What is not here (OTH, PHR, PT, RT) says nothing of the kind.
var sections = map[string]string{
	"AU": "laboratory", "BG": "laboratory", "BLB": "laboratory", "CG": "laboratory", "CH": "laboratory", "CP": "laboratory",
	"CTH": "laboratory", "GE": "laboratory", "HM": "laboratory", "IMM": "laboratory", "LAB": "laboratory", "MB": "laboratory",
	"MCB": "laboratory", "MYC": "laboratory", "SP": "laboratory", "SR": "laboratory", "TX": "laboratory", "URN": "laboratory", "VR": "laboratory",
	"CT": "imaging", "CUS": "imaging", "IMG": "imaging", "NMR": "imaging", "NMS": "imaging", "OUS": "imaging", "RAD": "imaging",
	"RUS": "imaging", "RX": "imaging", "VUS": "imaging", "XRC": "imaging",
	"CUP": "procedure", "EC": "procedure", "EN": "procedure", "PF": "procedure",
}

// vitalSigns are the LOINC codes of R4's vital signs.
//
// Source: R4 observation-vitalsigns; US Core 6.1.0 for pulse oximetry, head circumference and inhaled oxygen.
var vitalSigns = map[string]bool{
	"85353-1": true, "9279-1": true, "8867-4": true, "2708-6": true, "59408-5": true, "8310-5": true, "8302-2": true, "9843-4": true,
	"29463-7": true, "39156-5": true, "85354-9": true, "8480-6": true, "8462-4": true, "8289-1": true, "3150-6": true, "3151-8": true,
}

// category is what apps look for results by: of vital signs by their code, else
// of the service that did it (OBR-24), else laboratory where there is a specimen.
// Nothing else tells, and it is not guessed.
//
// Source: R4 Observation.category; US Core laboratory result and vital signs.
func (l *lab) category(a *about, obx hl7.Segment, code *r4.CodeableConcept, specimen *r4.Reference) []r4.CodeableConcept {
	if use := value(obx.Field(29)); use != "" && use != "RSLT" { // an answer that was asked for with the order
		return nil
	}
	kind := ""
	for _, c := range code.Coding {
		if deref(c.System) == loinc && vitalSigns[deref(c.Code)] {
			kind = "vital-signs"
		}
	}
	if kind == "" {
		kind = sections[strings.ToUpper(value(a.order.obr.Field(24)))]
	}
	if kind == "" && specimen != nil {
		kind = "laboratory"
	}
	return categoryOf(kind)
}

// reportCategory is the service of a report (OBR-24), else laboratory where there is a
// specimen, as with its results.
//
// Source: US Core laboratory report, DiagnosticReport.category.
func (l *lab) reportCategory(o *order) []r4.CodeableConcept {
	if said := l.concepts(o.obr.Field(24), "DiagnosticServiceSectionID"); said != nil || len(o.specimenRefs) == 0 {
		return said
	}
	return []r4.CodeableConcept{*one(fixed(v2System+"0074", "LAB", "Laboratory"))}
}

// clinicalNote is the category by which apps look for what people wrote, whatever else
// a document's category says.
//
// Source: US Core DocumentReference.category.
func clinicalNote() r4.CodeableConcept {
	return *one(fixed("http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category", "clinical-note", "Clinical Note"))
}
