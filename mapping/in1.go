package mapping

import (
	"slices"

	"firebreak/adapters/hl7"
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// coverages maps each IN1 and refers to them.
func (b *build) coverages(group hl7.Group) []r4.Reference {
	var all []r4.Reference
	for in1 := range group.All("IN1") {
		var in2 hl7.Segment
		if next := group[slices.Index(group, in1)+1:]; len(next) > 0 && next[0].Name() == "IN2" {
			in2 = next[0]
		}
		if ref := b.coverage(in1, in2); ref != nil {
			all = append(all, *ref)
		}
	}
	return all
}

// coverage maps an IN1, and of the IN2 behind it the insured's number; nil when it is left out.
//
// FHIR requires a status and a payor. HL7 v2 has no status: R4's data-absent-
// reason stands for it, so none is made up. Without a company nobody pays, and
// the line is left out with a note.
//
// Source: v2-to-FHIR, IN1[Coverage]; group, policy number and subscriber's
// number, which the guide leaves out or maps to an R5 extension, go where R4 has
// a place for them.
func (b *build) coverage(in1, in2 hl7.Segment) *r4.Reference {
	plan := first(in1.Field(2))
	payor := b.payor(in1)
	if payor == nil {
		b.note(in1, 4, "no insurance company, which FHIR requires: the coverage was left out")
		return nil
	}
	company := first(in1.Field(3))
	policy, insured := value(in1.Field(36)), first(in1.Field(49))
	id := b.id("Coverage", plan.at(1), plan.at(2), company.at(1), value(in1.Field(4)), policy, insured.at(1), value(in1.Field(8)))
	if b.has("Coverage", id) {
		b.note(in1, 2, "the same coverage twice: the first is kept")
		return nil
	}
	c := r4.Coverage{
		Id:           &id,
		Beneficiary:  b.subject(),
		Payor:        []r4.Reference{*payor},
		Type:         b.concept(first(in1.Field(15)), "PlanId"),
		Relationship: b.toSubscriber(first(in1.Field(17))),
		SubscriberId: p(insured.at(1)),
		Period:       period(b.dateTime(in1, 12), b.dateTime(in1, 13)),
		PolicyHolder: b.organization(first(in1.Field(11))),
	}
	if number := plan.at(1); number != "" {
		c.Identifier = append(c.Identifier, r4.Identifier{Value: &number, System: p(b.feed.coding(plan.at(3), ""))})
	}
	if policy != "" {
		c.Identifier = append(c.Identifier, r4.Identifier{Value: &policy})
	}
	c.Identifier = append(c.Identifier, b.memberNumbers(in2)...)
	const classes = "http://terminology.hl7.org/CodeSystem/coverage-class"
	if group := value(in1.Field(8)); group != "" {
		c.Class = append(c.Class, r4.CoverageClass{Type: *one(fixed(classes, "group", "Group")), Value: group, Name: p(value(in1.Field(9)))})
	}
	if number := plan.at(1); number != "" {
		c.Class = append(c.Class, r4.CoverageClass{Type: *one(fixed(classes, "plan", "Plan")), Value: number, Name: p(plan.at(2))})
	}
	if who := value(in1.Field(17)); who == "SEL" || who == "18" {
		c.Subscriber = ptr(b.subject())
	} else if who != "" {
		c.Subscriber = b.subscriber(in1, in2)
	}
	b.add(c, append(b.deductible(in1), fhir.Set{Path: "_status", Value: absent("unknown")})...)
	return ptr(refer("Coverage", id))
}

// deductible is what IN1-37 says that the insured pays, with the kind of the price
// where it is told; none where the amount cannot be read.
//
// Source: HL7 v2.9 6.5.6.37; R4 Coverage.costToBeneficiary, whose struct cannot leave
// out the amounts that are not sent.
func (b *build) deductible(in1 hl7.Segment) []fhir.Set {
	amount := b.money(in1, 37)
	if amount == nil {
		return nil
	}
	cost := fhir.Object{{Name: "valueMoney", Value: amount}}
	if kind := first(in1.Field(37)).at(2); kind != "" {
		cost = append(fhir.Object{{Name: "type", Value: tableCode(kind, "0205")}}, cost...)
	}
	return []fhir.Set{{Path: "costToBeneficiary", Value: []fhir.Object{cost}}}
}

// memberNumbers are the numbers by which IN2 says the payers know the insured.
//
// Source: HL7 v2.9 6.5.7, IN2-6, IN2-8, IN2-10, IN2-61; R4 identifier-registry.html for
// Medicare's.
func (b *build) memberNumbers(in2 hl7.Segment) []r4.Identifier {
	var all []r4.Identifier
	if n := value(in2.Field(6)); n != "" {
		all = append(all, r4.Identifier{Value: &n, System: p("http://hl7.org/fhir/sid/us-medicare"), Type: b.identifierType("MC")})
	}
	if n := value(in2.Field(8)); n != "" {
		all = append(all, r4.Identifier{Value: &n, Type: b.identifierType("MA")})
	}
	if n := value(in2.Field(10)); n != "" {
		all = append(all, r4.Identifier{Value: &n, Type: b.identifierType("MI")})
	}
	return append(all, b.identifiers(in2.Field(61))...)
}

// toSubscriber is the relationship of IN1-17 in R4's own words, with what the
// guide's map gives and what was sent behind it.
//
// Source: R4 http://hl7.org/fhir/R4/valueset-subscriber-relationship.html.
func (b *build) toSubscriber(kin data) *r4.CodeableConcept {
	c := b.concept(kin, "Relationship")
	word := map[string]string{"SEL": "self", "SE": "self", "18": "self", "SPO": "spouse", "01": "spouse", "CHD": "child", "19": "child", "PAR": "parent", "MTH": "parent", "FTH": "parent"}[kin.at(1)]
	if c != nil && word != "" {
		c.Coding = append([]r4.Coding{fixed("http://terminology.hl7.org/CodeSystem/subscriber-relationship", word, "")}, c.Coding...)
	}
	return c
}

// payor makes the insurance company of an IN1.
func (b *build) payor(in1 hl7.Segment) *r4.Reference {
	company := b.identifiers(in1.Field(3))
	also := func(o *r4.Organization) {
		o.Identifier = append(o.Identifier, company...)
		o.Address = b.addresses(in1.Field(5))
		o.Telecom = b.telecoms(in1.Field(7), "")
	}
	if ref := b.organization(first(in1.Field(4)), also); ref != nil {
		return ref
	}
	if len(company) > 0 {
		return byIdentifier("Organization", &company[0])
	}
	return nil
}

// subscriber makes the RelatedPerson that IN1-16 names, nil when it names none, with
// what IN1 and the IN2 behind it say of the insured.
//
// Source: v2-to-FHIR, IN1[Coverage], row IN1-16; HL7 v2.9 6.5.6, IN1-16 to IN1-19,
// IN1-43, IN1-49, and 6.5.7, IN2-1, IN2-2, IN2-34, IN2-63.
func (b *build) subscriber(in1, in2 hl7.Segment) *r4.Reference {
	name := first(in1.Field(16))
	if !name.present() {
		return nil
	}
	id := b.id("RelatedPerson", "name", name.in(1).at(1), name.at(2), name.at(3), value(in1.Field(17)))
	if !b.has("RelatedPerson", id) {
		person := r4.RelatedPerson{
			Id: &id, Patient: b.subject(), Name: b.names(in1.Field(16)),
			Relationship: b.concepts(in1.Field(17), "Relationship"),
			Identifier:   append(b.identifiers(in1.Field(49), in2.Field(1)), b.socialSecurity(value(in2.Field(2)))...),
			BirthDate:    b.date(in1, 18), Address: b.addresses(in1.Field(19)), Gender: b.gender(in1, 43),
			Telecom: b.telecoms(in2.Field(63), "home"),
		}
		for _, language := range b.languages(in2.Field(34)) {
			person.Communication = append(person.Communication, r4.RelatedPersonCommunication{Language: language})
		}
		b.add(person)
	}
	return ptr(refer("RelatedPerson", id))
}

// absent stands where FHIR requires a value and the message has none.
//
// Source: R4 extension-data-absent-reason.
func absent(reason string) fhir.Object {
	return fhir.Object{{Name: "extension", Value: []r4.Extension{{Url: coreExt + "data-absent-reason", ValueCode: &reason}}}}
}
