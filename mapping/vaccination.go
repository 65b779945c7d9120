package mapping

import (
	"slices"
	"strings"

	"firebreak/adapters/hl7"
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// vxu maps VXU^V04: an Immunization for each RXA with the ORC, RXR and OBX
// around it, and Observations of what OBX say about the person.
//
// Source: v2-to-FHIR, VXU_V04; CDC, HL7 2.5.1 Implementation Guide for
// Immunization Messaging, release 1.5, for the codes of OBX.
func (b *build) vxu() error {
	b.encounter()
	b.bystanders()
	l := b.lab()
	if err := l.loose(group(b.msg.Before("ORC", "RXA"))); err != nil {
		return err
	}
	if !b.msg.Segment("RXA").Exists() && !b.msg.Before("ORC").Segment("OBX").Exists() {
		return &Error{Segment: "RXA", Reason: "no vaccination: the message has no RXA"}
	}
	for _, g := range b.msg.Groups("ORC RXA") {
		o := group(g)
		o.key = l.reportKey(o)
		for i, d := range o.drugs {
			if d.seg.Name() != "RXA" {
				continue
			}
			if err := l.vaccination(o, d, i == len(o.drugs)-1); err != nil {
				return err
			}
		}
	}
	l.finish()
	return nil
}

// noNumber stands for an order's number where there is none, as for a refusal.
//
// Source: CDC's guide, ORC-3.
const noNumber = "9999"

// vaccination makes the Immunization of an RXA.
//
// Its id is made of the filler's number, else the placer's, and the vaccine;
// without a number of its day and vaccine, for registries send a person's whole
// history time and again.
//
// RXA-9 has no element in the guide, which leaves it to each country: "00" of the
// CDC's NIP001 says that the giver told it, any other code where it was heard
// from. RXA-6 "999" is the CDC's for an amount that nobody knows.
//
// Source: v2-to-FHIR, RXA[Immunization], ORC[Immunization], RXR[Immunization].
func (l *lab) vaccination(o *order, d rx, last bool) error {
	rx := d.seg
	vaccine := l.concept(first(rx.Field(5)), "")
	if vaccine == nil {
		l.note(rx, 5, "no vaccine: the line was left out")
		return nil
	}
	number := firstKey("filler", o.filler(), "placer", o.placer())
	numbers := slices.DeleteFunc(l.numbers(o), func(id r4.Identifier) bool { return *id.Value == noNumber })
	if number == nil || number[1] == noNumber {
		number = []string{"given", value(rx.Field(3))}
	}
	rid := l.own("Immunization", append(number, conceptKey(first(rx.Field(5)))...)...)
	ref := refer("Immunization", rid)
	shot := r4.Immunization{
		Id: &rid, Identifier: numbers, Patient: l.subject(), Encounter: l.encounter(), VaccineCode: *vaccine,
		Meta: l.confidentiality(o.orc.Field(28)), LotNumber: p(value(rx.Field(15))), ExpirationDate: l.date(rx, 16), Recorded: l.dateTime(o.orc, 9),
		StatusReason: l.concept(first(rx.Field(18)), ""), ReasonCode: l.concepts(rx.Field(19), ""), Manufacturer: l.maker(first(rx.Field(17))),
		Location: l.givenAt(rx), Note: l.annotations(append(o.notes[:len(o.notes):len(o.notes)], d.notes...)),
	}
	group := first(o.orc.Field(4))
	for _, id := range []*r4.Identifier{l.entity(group.in(1), ""), l.entity(group.in(2), "")} {
		if id != nil && group.in(1).at(1) != "" && !hasIdentifier(shot.Identifier, id) {
			shot.Identifier = append(shot.Identifier, *id)
		}
	}
	if value(rx.Field(21)) == "A" {
		if entered := l.dateTime(rx, 22); entered != nil {
			shot.Recorded = entered
		}
	}
	also := []fhir.Set{{Path: "status", Value: vaccinationStatus(rx)}}
	if given := l.dateTime(rx, 3); given != nil {
		shot.OccurrenceDateTime = *given
	} else {
		also = append(also, fhir.Set{Path: "_occurrenceDateTime", Value: absent("unknown")})
	}
	if amount := value(rx.Field(6)); amount != "999" {
		shot.DoseQuantity = l.bound(amount, first(rx.Field(7)))
	}
	for _, said := range each(rx.Field(9)) {
		switch {
		case said.at(3) != "NIP001":
			if s := textOf(said); s != "" {
				shot.Note = append(shot.Note, r4.Annotation{Text: s})
			}
		case said.at(1) == "00":
			shot.PrimarySource = ptr(true)
		default:
			shot.PrimarySource, shot.ReportOrigin = ptr(false), l.concept(said, "")
		}
	}
	for _, who := range l.functions(o, d) {
		shot.Performer = append(shot.Performer, r4.ImmunizationPerformer{Function: who.function, Actor: who.actor})
	}
	if len(d.routes) > 0 {
		shot.Route = l.concept(first(d.routes[0].Field(1)), "RouteOfAdministration")
		shot.Site = l.concept(first(d.routes[0].Field(2)), "BodyParts")
	}
	if last {
		if err := l.aboutVaccination(&shot, o, ref); err != nil {
			return err
		}
	}
	l.add(shot, also...)
	return nil
}

// vaccinationStatus is RXA-20 by its table, completed where it is empty; RXA-21
// "D" takes the line back.
func vaccinationStatus(rx hl7.Segment) string {
	if value(rx.Field(21)) == "D" {
		return "entered-in-error"
	}
	if c, ok := lookup("CompletionStatus", value(rx.Field(20))); ok {
		return c.code
	}
	return "completed"
}

// maker is the organization of RXA-17.
//
// Source: v2-to-FHIR, CWE[Organization].
func (l *lab) maker(cwe data) *r4.Reference {
	id := l.codeIdentifier(cwe)
	name := cwe.at(2)
	if name == "" {
		return byIdentifier("Organization", id)
	}
	rid := l.build.id("Organization", "maker", cwe.at(1), cwe.at(3), name)
	if !l.has("Organization", rid) {
		org := r4.Organization{Id: &rid, Name: &name}
		if cwe.at(1) != "" {
			org.Identifier = []r4.Identifier{*id}
		}
		l.support(l.at, org)
	}
	return ptr(refer("Organization", rid))
}

// givenAt is the place of RXA-27 with the address of RXA-28, or the older RXA-11,
// whose parts are the same up to the floor.
func (l *lab) givenAt(rx hl7.Segment) *r4.Reference {
	address := l.addresses(rx.Field(28))
	place := first(rx.Field(27))
	if !place.present() {
		place = first(rx.Field(11))
	}
	if len(address) == 0 {
		return l.location(place)
	}
	return l.locationWith(place, address[0])
}

// VIS are a vaccine information statement's parts, which OBX-4 holds together.
//
// Source: CDC's guide, OBX-3 of VXU, value set PHVS_ObservationIdentifier_IIS.
const (
	fundingSource = "30963-3"
	eligibility   = "64994-7"
	visDocument   = "69764-9"
	visVaccine    = "30956-7" // the statement told by the vaccine's code
	visPublished  = "29768-9"
	visGiven      = "29769-7"
	doseNumber    = "30973-2"
	dosesInSeries = "59782-3"
	reaction      = "31044-1"
)

// aboutVaccination puts the OBX of a vaccination where the Immunization has an
// element for them; the others become Observations that are part of it.
func (l *lab) aboutVaccination(shot *r4.Immunization, o *order, self r4.Reference) error {
	a := &about{order: o, at: l.at, partOf: []r4.Reference{self}}
	statements := map[string]int{} // OBX-4: index of Education
	statement := func(sub string) *r4.ImmunizationEducation {
		i, known := statements[sub]
		if !known {
			i = len(shot.Education)
			statements[sub] = i
			shot.Education = append(shot.Education, r4.ImmunizationEducation{})
		}
		return &shot.Education[i]
	}
	for _, r := range o.results {
		obx := r.lines[0]
		code, sub, answer := first(obx.Field(3)), clean(obx.Field(4).String()), first(obx.Field(5))
		if l.feed.coding(code.at(3), code.at(14)) != "http://loinc.org" {
			code = data{}
		}
		switch code.at(1) {
		case fundingSource:
			shot.FundingSource = l.concept(answer, "")
			continue
		case eligibility:
			if c := l.concept(answer, ""); c != nil {
				shot.ProgramEligibility = append(shot.ProgramEligibility, *c)
			}
			continue
		case visDocument, visVaccine:
			statement(sub).DocumentType = p(textOf(answer))
			continue
		case visPublished:
			statement(sub).PublicationDate = l.when(answer.at(1))
			continue
		case visGiven:
			statement(sub).PresentationDate = l.when(answer.at(1))
			continue
		case doseNumber, dosesInSeries:
			if l.dose(shot, code.at(1), answer.at(1)) {
				continue
			}
		}
		values := l.values(r.lines)
		if docs := documents(values); docs != nil {
			a.basedOn = nil
			l.attachment(a, r, docs)
			continue
		}
		ref, err := l.observation(a, r, values)
		if err != nil {
			return err
		}
		if code.at(1) == reaction {
			shot.Reaction = append(shot.Reaction, r4.ImmunizationReaction{Date: l.dateTime(obx, 14), Detail: ref})
		}
	}
	for i := range shot.Education { // imm-1: a type or an address
		if e := &shot.Education[i]; e.DocumentType == nil {
			e.DocumentType = p("Vaccine information statement")
		}
	}
	return nil
}

// dose notes which dose of the series it was, or of how many.
func (l *lab) dose(shot *r4.Immunization, code, sent string) bool {
	n, _, ok := number32(strings.TrimSpace(sent))
	if !ok || n == 0 {
		return false
	}
	if shot.ProtocolApplied == nil {
		if code == dosesInSeries { // FHIR has no series without a dose
			return false
		}
		shot.ProtocolApplied = []r4.ImmunizationProtocolApplied{{}}
	}
	if code == doseNumber {
		shot.ProtocolApplied[0].DoseNumberPositiveInt = n
	} else {
		shot.ProtocolApplied[0].SeriesDosesPositiveInt = &n
	}
	return true
}
