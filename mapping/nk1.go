package mapping

import (
	"slices"
	"strings"

	"firebreak/adapters/hl7"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// organizations are the relationships of tables 0063 and 0131 that are no
// person's: they become a contact of the Patient only.
//
// Source: v2-to-FHIR, ADT_A01, the condition of NK1.
var organizations = []string{"EMR", "E", "F", "I", "S"}

// relatedPersons maps each NK1 that is a person.
func (b *build) relatedPersons(group hl7.Group) {
	for nk1 := range group.All("NK1") {
		b.relatedPerson(nk1)
	}
	for _, prt := range sharesOf(group, "PID", "PD1", "ARV", "ROL", "NTE") {
		b.kin(prt)
	}
	b.mother(group.Segment("PID"))
}

// bystanders adds the persons and payers that an order or a result repeats: NK1,
// IN1 and GT1 of what stands before the orders, and PID-21, as reminders.
func (b *build) bystanders() {
	if !b.pid.Field(21).Present() && !b.msg.Segment("NK1").Exists() && !b.msg.Segment("IN1").Exists() && !b.msg.Segment("GT1").Exists() && !b.msg.Segment("PRT").Exists() {
		return
	}
	before := b.msg.Before("SPM", "ORC", "OBR", "RXO", "RXE", "RXD", "RXA")
	b.repeat = true
	b.relatedPersons(before)
	b.coverages(before)
	for gt1 := range before.All("GT1") {
		b.guarantor(gt1)
	}
	b.repeat = false
}

// relatedPerson maps an NK1.
//
// Its id is made from its own identifiers, else from its name and relationship:
// the set id says only the place in this message.
//
// Source: v2-to-FHIR, NK1[RelatedPerson].
func (b *build) relatedPerson(nk1 hl7.Segment) {
	if slices.Contains(organizations, value(nk1.Field(3))) {
		return
	}
	name, kin := first(nk1.Field(2)), first(nk1.Field(3))
	if !name.present() {
		name = first(nk1.Field(30))
	}
	parts := []string{"name", name.in(1).at(1), name.at(2), name.at(3), kin.at(1)}
	for _, f := range [...]int{33, 12} {
		if cx := first(nk1.Field(f)); cx.at(1) != "" {
			parts = []string{cx.at(1), b.feed.authority(cx)}
			break
		}
	}
	if strings.Join(parts[:len(parts)-1], "") == "name" {
		if nk1.Field(13).Present() || kin.present() || nk1.Field(4).Present() || nk1.Field(5).Present() {
			b.note(nk1, 2, "nobody is named: kept as the patient's contact only")
		}
		return
	}
	id := b.id("RelatedPerson", parts...)
	person := r4.RelatedPerson{
		Id:           &id,
		Patient:      b.subject(),
		Identifier:   b.identifiers(nk1.Field(12), nk1.Field(33)),
		Name:         append(b.names(nk1.Field(2)), b.names(nk1.Field(30))...),
		Relationship: b.relationship(nk1),
		Telecom:      b.contactTelecoms(nk1),
		Address:      append(b.addresses(nk1.Field(4)), b.addresses(nk1.Field(32))...),
		Gender:       b.gender(nk1, 15),
		BirthDate:    b.date(nk1, 16),
		Period:       period(b.dateTime(nk1, 8), b.dateTime(nk1, 9)),
	}
	person.Identifier = append(person.Identifier, b.socialSecurity(value(nk1.Field(37)))...)
	for _, language := range b.languages(nk1.Field(20)) {
		person.Communication = append(person.Communication, r4.RelatedPersonCommunication{Language: language})
	}
	if b.has("RelatedPerson", id) {
		b.note(nk1, 2, "the same person twice: the first is kept")
		return
	}
	b.add(person)
}

// kinship are the tables by which a person is the patient's, and their concept maps.
var kinship = map[string]string{"HL70063": "Relationship", "HL70131": "ContactRole"}

// kin maps a PRT behind PID whose part is a relationship or a contact's role by the name
// of its table (0063, 0131). The guide would have everybody there but the primary care
// provider a kinsman, physicians too, by whom a patient is seen.
//
// Source: v2-to-FHIR, ORU_R01 and OML_O21, PRT behind PID; PRT[RelatedPerson].
func (b *build) kin(prt hl7.Segment) {
	part := first(prt.Field(4))
	table := kinship[part.at(3)]
	if table == "" {
		return
	}
	for _, xcn := range each(prt.Field(5)) {
		number := b.identifierOf(xcn.at(1), xcn.in(9), xcn.at(13))
		parts := []string{"name", xcn.in(2).at(1), xcn.at(3), xcn.at(4), part.at(1)}
		if number != nil {
			parts = []string{xcn.at(1), b.feed.authorityOf(xcn.in(9))}
		}
		id := b.id("RelatedPerson", parts...)
		if xcn.in(2).at(1) == "" && xcn.at(3) == "" || b.has("RelatedPerson", id) {
			continue
		}
		person := r4.RelatedPerson{
			Id: &id, Patient: b.subject(), Name: []r4.HumanName{b.nameOf(xcn)}, Relationship: b.concepts(prt.Field(4), table),
			Telecom: b.telecoms(prt.Field(15), ""), Address: b.addresses(prt.Field(14)), Period: period(b.dateTime(prt, 11), b.dateTime(prt, 12)),
		}
		if number != nil {
			person.Identifier = []r4.Identifier{*number}
		}
		b.add(person)
	}
}

// relationship maps NK1-3 and NK1-7.
func (b *build) relationship(nk1 hl7.Segment) []r4.CodeableConcept {
	return append(b.concepts(nk1.Field(3), "Relationship"), b.concepts(nk1.Field(7), "ContactRole")...)
}

// contactTelecoms maps every number of an NK1.
func (b *build) contactTelecoms(nk1 hl7.Segment) []r4.ContactPoint {
	all := b.telecoms(nk1.Field(5), "")
	all = append(all, b.telecoms(nk1.Field(6), "work")...)
	for _, f := range [...]int{31, 40, 41} {
		all = append(all, b.telecoms(nk1.Field(f), "")...)
	}
	return all
}

// contact maps an NK1 to a contact of the Patient, nil when it says nothing.
//
// Source: v2-to-FHIR, NK1[Patient].
func (b *build) contact(nk1 hl7.Segment) *r4.PatientContact {
	c := &r4.PatientContact{
		Relationship: b.relationship(nk1),
		Telecom:      b.telecoms(nk1.Field(5), ""),
		Gender:       b.gender(nk1, 15),
		Organization: b.organization(first(nk1.Field(13))),
		Period:       period(b.dateTime(nk1, 8), b.dateTime(nk1, 9)),
	}
	c.Telecom = append(c.Telecom, b.telecoms(nk1.Field(6), "work")...)
	c.Telecom = append(c.Telecom, b.telecoms(nk1.Field(40), "")...)
	c.Telecom = append(c.Telecom, b.telecoms(nk1.Field(41), "")...)
	if names := b.names(nk1.Field(2)); names != nil {
		c.Name = &names[0]
	}
	if addresses := append(b.addresses(nk1.Field(4)), b.addresses(nk1.Field(32))...); addresses != nil {
		c.Address = &addresses[0]
	}
	if c.Name == nil && c.Telecom == nil && c.Address == nil && c.Organization == nil { // pat-1
		return nil
	}
	return c
}

// mother maps the mother's identifier.
//
// Source: v2-to-FHIR, CX[RelatedPerson-Mother].
func (b *build) mother(pid hl7.Segment) {
	for _, cx := range each(pid.Field(21)) {
		identifier := b.identifier(cx)
		if identifier == nil {
			continue
		}
		id := b.id("RelatedPerson", cx.at(1), b.feed.authority(cx))
		if b.has("RelatedPerson", id) {
			continue
		}
		b.add(r4.RelatedPerson{
			Id: &id, Patient: b.subject(), Identifier: []r4.Identifier{*identifier},
			Relationship: []r4.CodeableConcept{*one(fixed("http://terminology.hl7.org/CodeSystem/v3-RoleCode", "MTH", "mother"))},
		})
	}
}
