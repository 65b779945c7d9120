package mapping

import (
	"firebreak/adapters/hl7"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// conditions maps each DG1. visit, when not nil, is the Encounter they were
// diagnosed in: it gets them as its diagnoses. It is not yet added.
//
// The id is made from DG1-20, else from the visit, the code and the type, so
// that an admitting and a final diagnosis of one code stay two.
//
// Source: v2-to-FHIR, DG1[Condition], DG1[Encounter]; US Core 6.1.0, Encounter
// Diagnosis, for the category.
func (b *build) conditions(group hl7.Group, visit *r4.Encounter) {
	for dg1 := range group.All("DG1") {
		b.condition(dg1, visit)
	}
}

// condition maps one DG1 and refers to it; nil when it says nothing. visit is as
// in conditions; nil for a diagnosis that stands with an order.
func (b *build) condition(dg1 hl7.Segment, visit *r4.Encounter) *r4.Reference {
	sent, words := first(dg1.Field(3)), clean(dg1.Field(4).String())
	code := b.concept(sent, "")
	if words != "" {
		if code == nil {
			code = &r4.CodeableConcept{}
		}
		if code.Text == nil {
			code.Text = &words
		}
	}
	if code == nil {
		b.note(dg1, 3, "no diagnosis: the line was left out")
		return nil
	}
	encounter := ""
	if visit != nil {
		encounter = *visit.Id
	}
	key := entityKey(first(dg1.Field(20)))
	if key == nil {
		key = []string{encounter, sent.at(1), sent.at(3), or(sent.at(2), words), value(dg1.Field(6))}
	}
	id := b.id("Condition", key...)
	self := refer("Condition", id)
	if b.has("Condition", id) {
		return &self
	}
	c := r4.Condition{
		Id:            &id,
		Subject:       b.subject(),
		Code:          code,
		OnsetDateTime: b.dateTime(dg1, 5),
		RecordedDate:  b.dateTime(dg1, 19),
	}
	if i := b.entity(first(dg1.Field(20)), ""); i != nil {
		c.Identifier = []r4.Identifier{*i}
	}
	for _, who := range b.practitioners(dg1.Field(16)) {
		c.Asserter = &who
		break
	}
	if c.RecordedDate != nil {
		c.Extension = []r4.Extension{{Url: coreExt + "condition-assertedDate", ValueDateTime: c.RecordedDate}}
	}
	if value(dg1.Field(21)) == "D" {
		c.VerificationStatus = one(fixed("http://terminology.hl7.org/CodeSystem/condition-ver-status", "entered-in-error", "Entered in Error"))
	}
	if visit != nil {
		ref := refer("Encounter", encounter)
		c.Encounter = &ref
		c.Category = []r4.CodeableConcept{*one(conditionCategory("encounter-diagnosis"))}
		d := r4.EncounterDiagnosis{
			Condition: self,
			Use:       b.concept(first(dg1.Field(6)), "DiagnosisType"),
		}
		if rank, _, ok := number32(value(dg1.Field(15))); ok && rank > 0 {
			d.Rank = &rank
		}
		visit.Diagnosis = append(visit.Diagnosis, d)
	}
	b.add(c)
	return &self
}
