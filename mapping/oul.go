package mapping

import "firebreak/adapters/hl7"

// oul maps OUL^R21 to R24 and the orders that are told by specimen, OML^O33 and
// O35: what stands under an SPM is about it. In R22 and R23 the ORC may stand
// behind its OBR.
//
// Source: HL7 v2.9 7.3.7 to 7.3.10, 4.4.8, 4.4.10; v2-to-FHIR's maps of the segments.
func (b *build) oul() error {
	if !b.msg.Segment("OBR").Exists() {
		return &Error{Segment: "OBR", Reason: "no order: the message has no OBR"}
	}
	b.encounter()
	b.bystanders()
	l := b.lab()
	if err := l.loose(group(b.msg.Before("SPM", "ORC", "OBR"))); err != nil {
		return err
	}
	of := l.report
	if b.typ.Code == "OML" {
		of = l.ordered
	}
	first := b.msg.Before("SPM", "OBR")
	if b.msg.Segment("SPM").Exists() && !b.msg.Before("SPM").Segment("OBR").Exists() {
		for _, g := range b.msg.Groups("SPM") {
			if err := l.underSpecimen(g, of); err != nil {
				return err
			}
		}
		l.finish()
		return nil
	}
	for _, g := range b.msg.Groups(heads(first)) {
		g, err := l.orderDocument(g)
		if err != nil {
			return err
		}
		if o := group(g); o.obr.Exists() {
			if err := of(o); err != nil {
				return err
			}
		}
	}
	l.finish()
	return nil
}

// heads says how orders begin: with an ORC where one stands before the first OBR.
func heads(before hl7.Group) string {
	if before.Segment("ORC").Exists() {
		return "ORC OBR"
	}
	return "OBR"
}

// underSpecimen maps an SPM, what was observed of it, and the orders on it.
func (l *lab) underSpecimen(g hl7.Group, of func(*order) error) error {
	head := g.Before("ORC", "OBR")
	own := group(head)
	if len(own.results) > 0 {
		l.takeSpecimens(own)
		if err := l.loose(own); err != nil {
			return err
		}
	}
	for _, run := range behind(g, "SPM").Groups(heads(g.Before("OBR"))) {
		run, err := l.orderDocument(run)
		if err != nil {
			return err
		}
		o := group(run)
		if !o.obr.Exists() {
			continue
		}
		o.specimens = append(own.specimens[:len(own.specimens):len(own.specimens)], o.specimens...)
		for i := range o.results {
			if o.results[i].specimen >= 0 {
				o.results[i].specimen += len(own.specimens)
			}
		}
		if err := of(o); err != nil {
			return err
		}
	}
	return nil
}

// ordered maps an order group of an order message.
func (l *lab) ordered(o *order) error {
	o.key = l.reportKey(o)
	if len(o.drugs) > 0 {
		return l.drugs(o, true)
	}
	if !o.obr.Exists() && !ends(o) {
		return nil
	}
	o.requestID = l.id("ServiceRequest", l.requestKey(o)...)
	l.takeSpecimens(o)
	asked, err := l.asked(o, refer("ServiceRequest", o.requestID))
	if err != nil {
		return err
	}
	l.request(o, true, asked)
	return nil
}

// rsp maps RSP, the answers to queries, as what they carry: a history of
// vaccinations (K11 of profile Z32), results, or a patient and visit. An answer
// that offers several candidates names several patients, and is held.
//
// Source: HL7 v2.9 5.4; CDC, Implementation Guide for Immunization Messaging.
func (b *build) rsp() error {
	switch {
	case b.msg.Segment("RXA").Exists():
		return b.vxu()
	case b.msg.Segment("OBR").Exists():
		return b.oru()
	}
	b.encounter()
	all := b.msg.Segments()
	b.bystanders()
	b.allergies(all)
	return nil
}
