package mapping

import (
	"firebreak/adapters/hl7"
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// adt maps the ADT messages. What a trigger means:
//
//   - A visit's story (admitted, transferred, discharged, ...) states patient,
//     visit and what else the message holds.
//   - A person's (A28, A31) states the same; its PV1 is mostly none.
//   - A merge states Links; its PID, which often holds no more than the number,
//     is only a reminder of the patient.
//   - A44 and A45 move an account or a visit from one patient to another: see
//     accountLeaves, visitLeaves, elsewhere.
//   - An account or a visit that goes on under another number states what became
//     of the old one (A35, A41, A42, A49 to A51).
//   - A17, which is about two patients, is mapped before it comes here: see swap.
//
// Others are held: they move accounts between patients or delete what was never,
// and doing half of it would be worse than nothing.
//
// Source: v2-to-FHIR, ADT_A01 and its like; HL7 v2.9 chapter 3.3.
func (b *build) adt() error {
	if tellsStory(b.trigger()) {
		if err := b.onePatient(); err != nil {
			return err
		}
		return b.story()
	}
	switch b.trigger() {
	case "A18", "A30", "A34", "A36", "A39", "A40", "A46", "A47":
		b.mentionPatient()
		return b.merges()
	case "A24", "A37":
		b.mentionPatient()
		return b.links(b.trigger() == "A37")
	case "A43":
		return b.moved()
	case "A35", "A41", "A49":
		return b.accountMoves()
	case "A42", "A50", "A51":
		return b.visitMoves()
	case "A44":
		return b.accountLeaves()
	case "A45":
		return b.visitLeaves()
	case "A48":
		return b.alternateNumber()
	}
	e := fail(b.msg.Segment("MSH"), 9, "ADT messages with this trigger are not mapped")
	if why := unmappedADT[b.trigger()]; why != "" {
		e.Reason = why
	}
	e.Component = 2
	return e
}

// tellsStory tells whether a trigger states a visit or a person.
func tellsStory(trigger string) bool {
	switch trigger {
	case "A01", "A02", "A03", "A04", "A05", "A06", "A07", "A08", "A09", "A10",
		"A11", "A12", "A13", "A14", "A15", "A16", "A21", "A22", "A23", "A25", "A26", "A27",
		"A28", "A31", "A32", "A33", "A38", "A52", "A53", "A54", "A55", "A60", "A61", "A62":
		return true
	}
	return false
}

// unmappedADT says of triggers that are held what they ask for and what may be
// sent instead.
//
// Source: HL7 v2.9 chapters 3.3 and 3.6.2.
var unmappedADT = map[string]string{
	"A20": "the state of a bed is nobody's chart",
	"A29": "a person is deleted: an A23 deletes a visit, an A40 merges a person's record",
}

// story states everything the message holds.
func (b *build) story() error {
	all := b.msg.Segments()
	switch b.trigger() {
	case "A08", "A28", "A31":
		b.out.Corrects = true
	}
	b.statePatient()
	b.relatedPersons(all)
	visit, also := b.encounterOf(b.msg.Segment("PV1"), b.msg.Segment("PV2"))
	b.asked = true
	b.conditions(all, visit)
	account := b.account(all, b.coverages(all), "active")
	if visit != nil {
		if account != nil {
			visit.Account = []r4.Reference{*account}
		}
		ref := b.add(*visit, also...)
		b.visit = ptr(refer(ref.Type, ref.ID))
	}
	b.procedures(all, b.visit)
	b.allergies(all)
	b.measurements(all, visit)
	b.livingWill(b.msg.Segment("PD1"))
	b.careTeam(all)
	b.unread(all)
	return nil
}

// measurements maps the OBX of a visit's story, such as a height or a due date.
// They stand in no order: an Observation is named by the visit (the patient, where
// there is none), the time of the observation and its code, so that the next
// message that repeats it makes no second one.
//
// Source: v2-to-FHIR, ADT_A01.OBSERVATION.
func (b *build) measurements(all hl7.Group, visit *r4.Encounter) {
	o := group(all)
	if len(o.results) == 0 {
		return
	}
	about, l := &about{order: &order{}, at: b.at}, b.lab()
	name := []string{"patient", b.chart}
	if visit != nil {
		name = []string{"visit", *visit.Id}
	}
	for _, r := range o.results {
		obx := r.lines[0]
		if !obx.Field(3).Present() {
			b.note(obx, 3, "no observation identifier: the line was left out")
			continue
		}
		about.order.key = append(name[:2:2], value(obx.Field(14)))
		values := l.values(r.lines)
		if docs := documents(values); docs != nil {
			l.attachment(about, r, docs)
			continue
		}
		if _, err := l.observation(about, r, values); err != nil {
			b.note(obx, 0, "left out: it does not say what was observed")
		}
	}
	l.finish()
}

// livingWill is what PD1-7 says of one, as an Observation.
//
// Source: v2-to-FHIR, PD1[Observation-LivingWill].
func (b *build) livingWill(pd1 hl7.Segment) {
	said := b.concept(first(pd1.Field(7)), "LivingWillCode")
	if said == nil {
		return
	}
	id := b.id("Observation", "living will")
	b.add(r4.Observation{
		Id: &id, Code: *one(fixed("http://loinc.org", "75320-2", "Advance directive")), Subject: ptr(b.subject()), ValueCodeableConcept: said,
	}, fhir.Set{Path: "status", Value: "final"})
}

// unread says which segments nobody reads.
func (b *build) unread(all hl7.Group) {
	for _, s := range all {
		switch s.Name() {
		case "MSH", "EVN", "PID", "PD1", "NK1", "PV1", "PV2", "ROL", "AL1", "IAM", "DG1", "PR1", "IN1", "IN2", "IN3", "GT1", "ARV", "PRT", "ZBE", "OBX", "NTE", "SFT", "DB1":
		default:
			if s.Occurrence() == 1 && !b.feed.Dialect.reads(s.Name()) {
				b.note(s, 0, "segments of this kind are not mapped")
			}
		}
	}
}
