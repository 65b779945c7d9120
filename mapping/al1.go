package mapping

import (
	"strconv"
	"strings"

	"firebreak/adapters/hl7"
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// allergies maps each AL1 and IAM.
func (b *build) allergies(group hl7.Group) {
	for _, s := range group {
		switch s.Name() {
		case "AL1":
			b.allergy(s, b.dateTime(s, 6), nil, nil)
		case "IAM":
			id := b.entity(first(s.Field(7)), "")
			b.allergy(s, b.dateTime(s, 11), id, entityKey(first(s.Field(7))))
		}
	}
}

// allergy maps AL1, and IAM, whose fields 2 to 5 are the same.
//
// Its id is made from the source's identifier where there is one, else from what
// the patient is allergic to and the kind of it. Two lines of the same name in a
// message are told apart by their order among themselves.
//
// The clinical status is the guide's: a line that says nothing of it is in force.
// AL1-4 is the criticality, and the severity of the reaction where one is named,
// as the guide has it. What was sent stands beside each code.
//
// Source: v2-to-FHIR, AL1[AllergyIntolerance], IAM[AllergyIntolerance].
func (b *build) allergy(s hl7.Segment, onset *string, identifier *r4.Identifier, key []string) {
	kind, code := first(s.Field(2)), b.concept(first(s.Field(3)), "")
	if code == nil {
		b.note(s, 3, "no allergen: the line was left out")
		return
	}
	substance := first(s.Field(3))
	if key == nil {
		key = []string{kind.at(1), substance.at(1), substance.at(3), or(substance.at(2), substance.at(9))}
	}
	id := b.id("AllergyIntolerance", key...)
	for n := 2; b.has("AllergyIntolerance", id); n++ {
		id = b.id("AllergyIntolerance", append(key, strconv.Itoa(n))...)
	}
	a := r4.AllergyIntolerance{
		Id:            &id,
		Patient:       b.subject(),
		Code:          code,
		OnsetDateTime: onset,
	}
	if identifier != nil {
		a.Identifier = []r4.Identifier{*identifier}
	}
	var also []fhir.Set
	if s.Name() == "IAM" {
		if onset == nil {
			a.OnsetString = p(value(s.Field(12)))
		}
		a.RecordedDate = b.dateTime(s, 13)
	}
	status := "active"
	if s.Name() == "IAM" {
		switch said := strings.ToLower(value(s.Field(17))); said {
		case "inactive", "resolved":
			status = said
		}
	}
	if s.Name() == "IAM" && value(s.Field(6)) == "D" {
		a.VerificationStatus = one(fixed("http://terminology.hl7.org/CodeSystem/allergyintolerance-verification", "entered-in-error", "Entered in Error"))
	} else {
		a.ClinicalStatus = one(fixed("http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", status, ""))
	}
	var typ r4.AllergyIntoleranceType
	if _, ok := lookup("AllergyType", kind.at(1)); ok && fhirCode("AllergyType", kind.at(1), &typ) {
		a.Type = &typ
	}
	if sent := b.concept(kind, "AllergenType[AllergyIntoleranceOriginalCategory]"); sent != nil {
		if c, ok := lookup("AllergenType[AllergyIntoleranceCategory]", kind.at(1)); ok {
			also = append(also, fhir.Set{Path: "category", Value: []string{c.code}})
		}
		also = append(also, fhir.Set{Path: "_category", Value: []fhir.Object{asSent(sent)}})
	}
	severity := first(s.Field(4))
	var manifestations []r4.CodeableConcept
	for _, r := range each(s.Field(5)) {
		if m := b.manifestation(r, s.Name() == "IAM"); m != nil {
			manifestations = append(manifestations, *m)
		}
	}
	if manifestations != nil {
		reaction := r4.AllergyIntoleranceReaction{Manifestation: manifestations}
		var how r4.AllergyIntoleranceSeverity
		if c, ok := lookup("AllergySeverity[AllergyIntolerance.reaction.severity]", severity.at(1)); ok && fhirCode("", c.code, &how) {
			reaction.Severity = &how
		}
		a.Reaction = []r4.AllergyIntoleranceReaction{reaction}
	}
	if sent := b.concept(severity, "AllergySeverity[AllergyIntolerance.criticality-original]"); sent != nil {
		if c, ok := lookup("AllergySeverity[AllergyIntolerance.criticality]", severity.at(1)); ok {
			also = append(also, fhir.Set{Path: "criticality", Value: c.code})
		}
		also = append(also, fhir.Set{Path: "_criticality", Value: asSent(sent)})
	}
	b.add(a, also...)
}

// manifestation maps a reaction: words in AL1, a code in IAM, and in AL1 where a
// feed sends one.
func (b *build) manifestation(r data, codes bool) *r4.CodeableConcept {
	if codes || r.at(2) != "" || r.at(3) != "" {
		return b.concept(r, "")
	}
	if text := r.at(1); text != "" {
		return &r4.CodeableConcept{Text: &text}
	}
	return nil
}

// asSent is a primitive's extension with the code that was sent.
func asSent(sent *r4.CodeableConcept) fhir.Object {
	return fhir.Object{{Name: "extension", Value: []r4.Extension{{Url: coreExt + "alternate-codes", ValueCodeableConcept: sent}}}}
}
