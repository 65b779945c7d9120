package mapping

import (
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// filled refers to the order that a dispense or an administration fills: the one
// the message tells of, else by its number; nil for none.
func (l *lab) filled(o *order, told *r4.Reference, prescription string) *r4.Reference {
	if told != nil {
		return told
	}
	for _, id := range []*r4.Identifier{l.numbered(o.placer(), "PLAC"), l.numbered(o.filler(), "FILL")} {
		if id != nil {
			return byIdentifier("MedicationRequest", id)
		}
	}
	if prescription != "" {
		return byIdentifier("MedicationRequest", &r4.Identifier{Value: &prescription, Type: l.identifierType("PRN")})
	}
	return nil
}

// dispense makes the MedicationDispense of an RXD. Its id is made of the order's
// number, the drug, the count of RXD-1 and the time of RXD-3.
//
// Its status is completed where RXD-3 says when it was dispensed; an order that
// is cancelled or discontinued with it makes it cancelled; else it is unknown.
//
// Source: HL7 v2.9 4A.4.5; the guide has no map for RXD.
func (l *lab) dispense(o *order, d rx, order *r4.Reference) {
	what := l.concept(first(d.seg.Field(rxd.code)), "")
	if what == nil {
		l.note(d.seg, rxd.code, "no drug: what was dispensed was left out")
		return
	}
	number := value(d.seg.Field(rxd.number))
	rid := l.own("MedicationDispense", l.drugKey(o, d, rxd, value(d.seg.Field(1)), value(d.seg.Field(3)))...)
	disp := r4.MedicationDispense{
		Id: &rid, Identifier: l.numbers(o), MedicationCodeableConcept: *what, Subject: ptr(l.subject()), Context: l.encounter(),
		Quantity: l.bound(value(d.seg.Field(rxd.amount)), first(d.seg.Field(rxd.amountUnits))), WhenHandedOver: l.dateTime(d.seg, 3),
		Note: append(l.composition(d, rxd), l.annotations(append(o.notes[:len(o.notes):len(o.notes)], d.notes...))...), DosageInstruction: l.dosage(o, d, rxd),
		Meta: l.confidentiality(o.orc.Field(28)),
	}
	for _, text := range each(d.seg.Field(9)) {
		if s := clean(text.rep.Text()); s != "" {
			disp.Note = append(disp.Note, r4.Annotation{Text: s})
		}
	}
	if number != "" {
		disp.Identifier = append(disp.Identifier, r4.Identifier{Value: &number, Type: l.identifierType("PRN")})
	}
	if ref := l.filled(o, order, number); ref != nil {
		disp.AuthorizingPrescription = []r4.Reference{*ref}
	}
	for _, who := range l.practitioners(d.seg.Field(10)) {
		disp.Performer = append(disp.Performer, r4.MedicationDispensePerformer{Actor: who})
	}
	status := "unknown"
	say, _ := drugStatus(o)
	switch {
	case say[0].Value == "cancelled" || say[0].Value == "stopped":
		status = "cancelled"
	case disp.WhenHandedOver != nil:
		status = "completed"
	}
	l.add(disp, fhir.Set{Path: "status", Value: status})
}

// drugKey is what something done with a drug is called by: the order, the drug
// and what tells one time from another.
func (l *lab) drugKey(o *order, d rx, f fields, times ...string) []string {
	number := firstKey("placer", o.placer(), "filler", o.filler())
	if number == nil {
		number = l.ownKey(o)
	}
	return append(append(number[:len(number):len(number)], conceptKey(first(d.seg.Field(f.code)))...), times...)
}

// administration makes the MedicationAdministration of an RXA.
//
// The status is RXA-20's by the guide's map for vaccinations, whose codes are of
// FHIR's one list of event statuses, and completed where it is empty; RXA-21 "D"
// makes it entered in error.
//
// Source: v2-to-FHIR, ORC[MedicationAdministration]; HL7 v2.9 4A.4.7.
func (l *lab) administration(o *order, d rx, order *r4.Reference) {
	what := l.concept(first(d.seg.Field(rxa.code)), "")
	if what == nil {
		l.note(d.seg, rxa.code, "no drug: what was given was left out")
		return
	}
	rid := l.own("MedicationAdministration", l.drugKey(o, d, rxa, value(d.seg.Field(1)), value(d.seg.Field(2)), value(d.seg.Field(3)))...)
	adm := r4.MedicationAdministration{
		Id: &rid, Identifier: l.numbers(o), MedicationCodeableConcept: *what, Subject: l.subject(), Context: l.encounter(), Request: l.filled(o, order, ""),
		StatusReason: l.concepts(d.seg.Field(18), ""), ReasonCode: l.concepts(d.seg.Field(rxa.indication), ""), Meta: l.confidentiality(o.orc.Field(28)),
		Note: append(l.composition(d, rxa), l.annotations(append(o.notes[:len(o.notes):len(o.notes)], d.notes...))...),
	}
	for _, remark := range each(d.seg.Field(9)) {
		if s := textOf(remark); s != "" {
			adm.Note = append(adm.Note, r4.Annotation{Text: s})
		}
	}
	also := []fhir.Set{{Path: "status", Value: vaccinationStatus(d.seg)}}
	switch start, end := l.dateTime(d.seg, 3), l.dateTime(d.seg, 4); {
	case start != nil && end != nil && *start != *end:
		adm.EffectivePeriod = *period(start, end)
	case start != nil:
		adm.EffectiveDateTime = *start
	default:
		also = append(also, fhir.Set{Path: "_effectiveDateTime", Value: absent("unknown")})
	}
	adm.Performer = l.givers(o, d)
	dose := &r4.MedicationAdministrationDosage{}
	if r := l.doseAndRate(d.seg, rxa); r != nil {
		dose.Dose = r.DoseQuantity
	}
	if len(d.routes) > 0 {
		rxr := d.routes[0]
		dose.Route = l.concept(first(rxr.Field(1)), "RouteOfAdministration")
		dose.Site = l.concept(first(rxr.Field(2)), "BodyParts")
		dose.Method = l.concept(first(rxr.Field(4)), "AdministrationMethod")
	}
	if dose.Dose != nil { // mad-1: a dose or a rate
		adm.Dosage = dose
	} else if dose.Route != nil || dose.Site != nil {
		l.note(d.seg, rxa.low, "no amount, without which FHIR has no dosage: route and site were left out")
	}
	l.add(adm, also...)
}

// givers are who gave a drug, RXA-10, and who ordered it, ORC-12.
//
// Source: v2-to-FHIR, ORC[MedicationAdministration], RXA[Immunization].
func (l *lab) givers(o *order, d rx) []r4.MedicationAdministrationPerformer {
	var all []r4.MedicationAdministrationPerformer
	for _, of := range l.functions(o, d) {
		all = append(all, r4.MedicationAdministrationPerformer{Function: of.function, Actor: of.actor})
	}
	return all
}

type giver struct {
	function *r4.CodeableConcept
	actor    r4.Reference
}

func (l *lab) functions(o *order, d rx) []giver {
	var all []giver
	for _, who := range l.practitioners(d.seg.Field(10)) {
		all = append(all, giver{one(fixed(v2System+"0443", "AP", "Administering Provider")), who})
	}
	for _, who := range l.practitioners(o.orc.Field(12)) {
		all = append(all, giver{one(fixed(v2System+"0443", "OP", "Ordering Provider")), who})
	}
	for _, part := range [...][2]string{{"AP", "Administering Provider"}, {"OP", "Ordering Provider"}} {
		for _, who := range l.takers(o.shares.inRole(part[0])) {
			all = append(all, giver{one(fixed(v2System+"0443", part[0], part[1])), who})
		}
	}
	return all
}
