package mapping

import (
	"firebreak/adapters/hl7"
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// account makes the Account of PID-18, with the guarantors of GT1 and the
// coverages that the message told before; nil, with a note where somebody
// guarantees for it, when there is no number.
//
// Source: v2-to-FHIR, PID[Account]; HL7 v2.9 6.5.5 for GT1, which the guide has no
// map for.
func (b *build) account(group hl7.Group, coverages []r4.Reference, status string) *r4.Reference {
	pid := group.Segment("PID")
	number := first(pid.Field(18))
	var guarantors []r4.AccountGuarantor
	for gt1 := range group.All("GT1") {
		if who := b.guarantor(gt1); who != nil {
			guarantors = append(guarantors, r4.AccountGuarantor{Party: *who, Period: period(b.dateTime(gt1, 13), b.dateTime(gt1, 14))})
		}
	}
	identifier := b.identifier(number)
	if identifier == nil {
		if guarantors != nil {
			b.note(pid, 18, "no account number: who guarantees for it is kept, the account left out")
		}
		return nil
	}
	id := b.accountID(number)
	a := r4.Account{Id: &id, Identifier: []r4.Identifier{*identifier}, Subject: []r4.Reference{b.subject()}, Guarantor: guarantors}
	for _, c := range coverages {
		a.Coverage = append(a.Coverage, r4.AccountCoverage{Coverage: c})
	}
	b.add(a, fhir.Set{Path: "status", Value: status})
	return ptr(refer("Account", id))
}

// accountID is the id of the Account of that number.
func (b *build) accountID(number data) string {
	return b.id("Account", number.at(1), b.feed.authority(number))
}

// guarantor makes the RelatedPerson, or the Organization, that a GT1 names; nil
// when it names nobody. Who guarantees for himself is the patient.
func (b *build) guarantor(gt1 hl7.Segment) *r4.Reference {
	name, kin := first(gt1.Field(3)), first(gt1.Field(11))
	if code := kin.at(1); code == "SEL" || code == "18" || code == "SE" {
		return ptr(b.subject())
	}
	if !name.present() {
		return b.organization(first(gt1.Field(21)))
	}
	parts := []string{"name", name.in(1).at(1), name.at(2), name.at(3), kin.at(1)}
	if cx := first(gt1.Field(2)); cx.at(1) != "" {
		parts = []string{cx.at(1), b.feed.authority(cx)}
	}
	id := b.id("RelatedPerson", parts...)
	if b.has("RelatedPerson", id) {
		return ptr(refer("RelatedPerson", id))
	}
	person := r4.RelatedPerson{
		Id: &id, Patient: b.subject(), Identifier: b.identifiers(gt1.Field(2), gt1.Field(19)), Name: append(b.names(gt1.Field(3)), b.names(gt1.Field(4))...),
		Relationship: b.concepts(gt1.Field(11), "Relationship"), Address: b.addresses(gt1.Field(5)), BirthDate: b.date(gt1, 8), Gender: b.gender(gt1, 9),
		Telecom: append(b.telecoms(gt1.Field(6), "home"), b.telecoms(gt1.Field(7), "work")...), Period: period(b.dateTime(gt1, 13), b.dateTime(gt1, 14)),
	}
	person.Identifier = append(person.Identifier, b.socialSecurity(value(gt1.Field(12)))...)
	for _, language := range b.languages(gt1.Field(36)) {
		person.Communication = append(person.Communication, r4.RelatedPersonCommunication{Language: language})
	}
	b.add(person)
	return ptr(refer("RelatedPerson", id))
}
