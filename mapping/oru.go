package mapping

// oru maps ORU^R01, observations reported, and the messages of its structure:
// the patient and the visit as far as they are repeated, then each order group.
// OBX that stand before the first order are observations of the patient.
//
// Source: v2-to-FHIR, ORU_R01.
func (b *build) oru() error {
	b.encounter()
	l := b.lab()
	before := b.msg.Before("ORC", "OBR")
	b.bystanders()
	groups := b.msg.Groups("ORC OBR")
	if len(groups) == 0 && !before.Segment("OBX").Exists() {
		return &Error{Segment: "OBR", Reason: "no result: the message has neither OBR nor OBX"}
	}
	if err := l.loose(group(before)); err != nil {
		return err
	}
	for _, g := range groups {
		g, err := l.orderDocument(g)
		if err != nil {
			return err
		}
		o := group(g)
		if !o.obr.Exists() {
			if err := l.loose(o); err != nil {
				return err
			}
			continue
		}
		if err := l.report(o); err != nil {
			return err
		}
	}
	l.finish()
	return nil
}

// loose maps OBX that belong to no report.
func (l *lab) loose(o *order) error {
	if len(o.results) == 0 {
		return nil
	}
	o.key = l.ownKey(o)
	if o.specimenOf == nil {
		for _, s := range o.specimens {
			l.note(s.spm, 0, "a specimen without an order: it was left out")
		}
		o.specimens = nil
	}
	a := &about{order: o, at: l.at}
	for _, r := range o.results {
		values := l.values(r.lines)
		if docs := documents(values); docs != nil {
			l.attachment(a, r, docs)
			continue
		}
		if _, err := l.observation(a, r, values); err != nil {
			return err
		}
	}
	return nil
}
