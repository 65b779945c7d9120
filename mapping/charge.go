package mapping

import (
	"strings"
	"sync"

	"firebreak/adapters/hl7"
	"firebreak/fhir"
	"firebreak/fhir/r4def"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// dft maps DFT^P03 and P11, charges: the account and its coverages, each FT1 that
// is a charge, the procedures and diagnoses that stand with them, and the orders.
//
// Source: HL7 v2.9 6.4.3; v2-to-FHIR's maps of the segments. The guide has no map
// for the message and none for FT1.
func (b *build) dft() error {
	all := b.msg.Segments()
	if !b.msg.Segment("FT1").Exists() {
		return &Error{Segment: "FT1", Reason: "no charge: the message has no FT1"}
	}
	visit := b.encounter()
	b.repeat = true
	b.relatedPersons(all)
	b.repeat = false
	b.conditions(all, visitOf(visit))
	account := b.account(all, b.coverages(all), "active")
	l := b.lab()
	before := b.msg.Before("FT1")
	if err := l.loose(group(before.Before("ORC", "OBR"))); err != nil {
		return err
	}
	for _, g := range before.Groups("ORC OBR") {
		if err := l.order(group(g)); err != nil {
			return err
		}
	}
	for _, g := range b.msg.Groups("FT1") {
		l.charge(g.Segment("FT1"), visit, account, group(g.Before("PR1", "ORC", "OBR", "OBX", "DG1")).notes)
		for pr1 := range g.All("PR1") {
			b.procedure(pr1, visit)
		}
		for _, order := range behind(g, "FT1").Groups("ORC OBR") {
			if err := l.order(group(order)); err != nil {
				return err
			}
		}
	}
	l.finish()
	return nil
}

// order maps an order group that a message brings along: with results as their
// report, without as the order.
func (l *lab) order(o *order) error {
	if !o.obr.Exists() {
		return nil
	}
	if len(o.results) > 0 {
		return l.report(o)
	}
	o.key = l.reportKey(o)
	o.requestID = l.id("ServiceRequest", l.requestKey(o)...)
	l.takeSpecimens(o)
	l.request(o, saysStatus(o), nil)
	return nil
}

// charge makes the ChargeItem of an FT1; payments, credits and adjustments, which
// it is not for, are left out with a note.
//
// FT1-25 is what was done, FT1-7 what the hospital calls the charge: both are its
// code. What the sender does not say, whether it was billed, is unknown.
//
// Source: HL7 v2.9 6.5.1; R4 chargeitem-mappings.html, v2.
func (l *lab) charge(ft1 hl7.Segment, visit, account *r4.Reference, notes []hl7.Segment) {
	if kind := value(ft1.Field(6)); kind != "" && kind != "CG" {
		l.note(ft1, 6, "no charge but a payment, credit or adjustment: the line was left out")
		return
	}
	code := l.concept(first(ft1.Field(25)), "")
	if own := l.concept(first(ft1.Field(7)), ""); code == nil {
		code = own
	} else if own != nil {
		for _, c := range own.Coding {
			if !hasCoding(code.Coding, c) {
				code.Coding = append(code.Coding, c)
			}
		}
	}
	if said := clean(ft1.Field(8).String()); said != "" {
		if code == nil {
			code = &r4.CodeableConcept{}
		}
		if code.Text == nil {
			code.Text = &said
		}
	}
	if code == nil {
		l.note(ft1, 7, "no code: the charge was left out")
		return
	}
	rid := l.own("ChargeItem", append([]string{value(ft1.Field(2)), value(ft1.Field(3)), value(ft1.Field(4))}, conceptKey(first(ft1.Field(7)))...)...)
	item := r4.ChargeItem{
		Id: &rid, Code: *code, Subject: l.subject(), Context: visit, EnteredDate: l.dateTime(ft1, 5), Reason: l.concepts(ft1.Field(19), ""),
		Enterer: l.practitioner(first(ft1.Field(24))), Note: l.annotations(notes), ProductCodeableConcept: l.concept(first(ft1.Field(29)), ""),
		CostCenter: byIdentifier("Organization", l.codeIdentifier(first(ft1.Field(13)))),
	}
	if n := value(ft1.Field(2)); n != "" {
		item.Identifier = []r4.Identifier{{Value: &n}}
	}
	if account != nil {
		item.Account = []r4.Reference{*account}
	}
	if span := first(ft1.Field(4)); span.at(2) != "" {
		item.OccurrencePeriod = l.rangeOf(span)
	} else {
		item.OccurrenceDateTime = l.when(span.at(1))
	}
	if n, _, ok := number(value(ft1.Field(10))); ok {
		item.Quantity = &r4.Quantity{Value: &n}
	}
	item.PriceOverride = l.money(ft1, 11)
	for _, who := range l.practitioners(ft1.Field(20)) {
		item.Performer = append(item.Performer, r4.ChargeItemPerformer{Actor: who})
	}
	l.add(item, fhir.Set{Path: "status", Value: "unknown"})
}

// money reads a CP, or the MO it begins with; nil where the amount is none. What is no
// currency of ISO 4217, which R4 requires, is left out.
func (b *build) money(seg hl7.Segment, field int) *r4.Money {
	mo := first(seg.Field(field)).in(1)
	n, _, ok := number(mo.at(1))
	if !ok {
		return nil
	}
	m := &r4.Money{Value: &n}
	switch code := strings.ToUpper(mo.at(2)); {
	case code == "":
	case currency().System(code) != "":
		m.Currency = &code
	default:
		b.note(seg, field, "not a currency")
	}
	return m
}

var currency = sync.OnceValue(func() *r4def.Element {
	m, _ := r4def.Lookup("Money").Member("currency")
	return m.Element
})

// visitOf stands for the visit that a message repeats, so that what it says of the
// visit has the ids that the visit's own messages give it; nil for none.
func visitOf(ref *r4.Reference) *r4.Encounter {
	if ref == nil || ref.Reference == nil {
		return nil
	}
	id := strings.TrimPrefix(*ref.Reference, "Encounter/")
	return &r4.Encounter{Id: &id}
}

// bar maps BAR^P01, P05, P06 and P12: the account with its coverages and
// guarantors, and the diagnoses, procedures, allergies and measurements of its
// visit. P06 ends the account.
//
// Source: HL7 v2.9 6.4; v2-to-FHIR's maps of the segments.
func (b *build) bar() error {
	all := b.msg.Segments()
	visit := b.encounter()
	b.repeat = true
	b.relatedPersons(all)
	b.repeat = false
	b.conditions(all, visitOf(visit))
	b.procedures(all, visit)
	b.allergies(all)
	status := "active"
	if b.typ.Trigger == "P06" {
		status = "inactive"
	}
	if b.account(all, b.coverages(all), status) == nil && b.typ.Trigger == "P06" {
		return fail(b.pid, 18, "no account number: nothing tells which account is ended")
	}
	b.measurements(all, visitOf(visit))
	b.unread(all)
	return nil
}
