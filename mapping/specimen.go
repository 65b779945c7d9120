package mapping

import (
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// takeSpecimens makes the Specimens of an order group: of its SPM, or of
// OBR-15 or OBR-39 where older feeds have none. OBR-7 to OBR-14 alone make none, for
// they are sent for readings and images too.
func (l *lab) takeSpecimens(o *order) {
	for _, s := range o.specimens {
		ref := l.specimen(o, s)
		o.specimenOf = append(o.specimenOf, ref)
		o.specimenRefs = append(o.specimenRefs, *ref)
	}
	if len(o.specimens) == 0 && (o.obr.Field(15).Present() || o.obr.Field(39).Present()) {
		o.specimenRefs = append(o.specimenRefs, *l.specimenSource(o))
	}
}

// specimen makes the Specimen of an SPM, once for all orders on it.
//
// Source: v2-to-FHIR, SPM[Specimen].
func (l *lab) specimen(o *order, s specimen) *r4.Reference {
	spm := s.spm
	if made, ok := l.made[spm.Index()]; ok {
		return &made
	}
	ids := first(spm.Field(2))
	placer, filler := ids.in(1), ids.in(2)
	key := firstKey("placer", placer, "filler", filler)
	var rid string
	if key != nil {
		rid = l.id("Specimen", key...)
	} else {
		rid = l.own("Specimen", o.key...)
	}
	ref := refer("Specimen", rid)
	subject := l.subject()
	sp := r4.Specimen{
		Id:                  &rid,
		Subject:             &subject,
		Type:                l.concept(first(spm.Field(4)), "SpecimenType"),
		ReceivedTime:        l.dateTime(spm, 18),
		Condition:           l.concepts(spm.Field(24), "SpecimenCondition"),
		AccessionIdentifier: l.identifier(first(spm.Field(30))),
	}
	for _, number := range []*r4.Identifier{l.numbered(placer, "PGN"), l.numbered(filler, "FGN"), l.numbered(first(spm.Field(32)), "SHIP")} {
		if number != nil {
			sp.Identifier = append(sp.Identifier, *number)
		}
	}
	sp.Identifier = append(sp.Identifier, l.identifiers(spm.Field(31))...)
	for _, parent := range each(spm.Field(3)) {
		for _, number := range []*r4.Identifier{l.numbered(parent.in(1), "PGN"), l.numbered(parent.in(2), "FGN")} {
			if number != nil {
				sp.Parent = append(sp.Parent, *byIdentifier("Specimen", number))
				break
			}
		}
	}
	taken := r4.SpecimenCollection{
		Method:    l.concept(first(spm.Field(7)), "SpecimenCollectionMethod"),
		BodySite:  l.concept(first(spm.Field(8)), "SpecimenSourceSite"),
		Quantity:  l.amount(first(spm.Field(12))),
		Collector: l.collector(o),
	}
	if span := first(spm.Field(17)); span.at(2) != "" {
		taken.CollectedPeriod = l.rangeOf(span)
	} else {
		taken.CollectedDateTime = l.when(span.at(1))
	}
	sp.Collection = &taken
	box := r4.SpecimenContainer{Type: l.concept(first(spm.Field(27)), "ContainerType")}
	if additive := l.concept(first(spm.Field(6)), "AdditivePreservative"); additive != nil {
		box.AdditiveCodeableConcept = additive
	}
	sp.Container = []r4.SpecimenContainer{box}
	for _, text := range each(spm.Field(14)) {
		if s := clean(text.rep.Text()); s != "" {
			sp.Note = append(sp.Note, r4.Annotation{Text: s})
		}
	}
	sp.Note = append(sp.Note, l.annotations(s.notes)...)
	var also []fhir.Set
	if c, ok := lookup("YesNoIndicator[AvailabilityStatus]", value(spm.Field(20))); ok {
		also = append(also, fhir.Set{Path: "status", Value: c.code})
	}
	l.support(l.at, sp, also...)
	l.made[spm.Index()] = ref
	return &ref
}

// collector is OBR-10, or whom a PRT names.
func (l *lab) collector(o *order) *r4.Reference {
	if who := l.practitioner(first(o.obr.Field(10))); who != nil {
		return who
	}
	if all := persons(l.takers(o.shares.inRole("SC"))); len(all) > 0 {
		return &all[0]
	}
	return nil
}

// specimenSource makes the Specimen of OBR-15 and the OBR fields around it.
//
// Source: v2-to-FHIR, OBR[Specimen], SPS[Specimen-Source].
func (l *lab) specimenSource(o *order) *r4.Reference {
	sps := first(o.obr.Field(15))
	rid := l.own("Specimen", o.key...)
	ref := refer("Specimen", rid)
	subject := l.subject()
	start, end := l.dateTime(o.obr, 7), l.dateTime(o.obr, 8)
	taken := r4.SpecimenCollection{
		Quantity:  l.amount(first(o.obr.Field(9))),
		Collector: l.collector(o),
		BodySite:  l.concept(sps.in(4), "BodySite"),
	}
	if end != nil {
		taken.CollectedPeriod = period(start, end)
	} else {
		taken.CollectedDateTime = start
	}
	sp := r4.Specimen{
		Id: &rid, Subject: &subject,
		Type:         l.concept(sps.in(1), "SpecimenType"),
		ReceivedTime: l.dateTime(o.obr, 14),
		Collection:   &taken,
	}
	if additive := l.concept(sps.in(2), "AdditivePreservative"); additive != nil {
		sp.Container = []r4.SpecimenContainer{{AdditiveCodeableConcept: additive}}
	}
	if condition := l.concept(sps.in(6), "SpecimenCondition"); condition != nil {
		sp.Condition = []r4.CodeableConcept{*condition}
	}
	if s := sps.at(3); s != "" {
		sp.Note = append(sp.Note, r4.Annotation{Text: s})
	}
	for _, cwe := range each(o.obr.Field(39)) {
		if s := textOf(cwe); s != "" {
			sp.Note = append(sp.Note, r4.Annotation{Text: s})
		}
	}
	l.support(l.at, sp)
	return &ref
}

// amount reads a CQ.
//
// Source: v2-to-FHIR, CQ[Quantity].
func (l *lab) amount(cq data) *r4.Quantity {
	if _, _, ok := number(cq.at(1)); !ok {
		return nil
	}
	q := l.quantity(cq.at(1), data{})
	l.unit(q, cq.in(2))
	return q
}

// specimenFor is the specimen an OBX is about: the one it stands under, the one
// OBX-33 names, whether the message holds it or not, or the only one of its group.
func (l *lab) specimenFor(o *order, r result) *r4.Reference {
	if r.specimen >= 0 && len(o.specimenRefs) > 1 {
		return o.specimenOf[r.specimen]
	}
	if named := first(r.lines[0].Field(33)); named.present() {
		for i, s := range o.specimens {
			if sameSpecimen(first(s.spm.Field(2)), named) {
				return o.specimenOf[i]
			}
		}
	}
	if len(o.specimenRefs) == 1 {
		return &o.specimenRefs[0]
	}
	named := first(r.lines[0].Field(33))
	for _, id := range []*r4.Identifier{l.numbered(named.in(1), "PGN"), l.numbered(named.in(2), "FGN")} {
		if id != nil {
			return byIdentifier("Specimen", id)
		}
	}
	return nil
}

func sameSpecimen(a, b data) bool {
	for _, part := range [...]int{1, 2} {
		if n := a.in(part).at(1); n != "" && n == b.in(part).at(1) {
			return true
		}
	}
	return false
}
