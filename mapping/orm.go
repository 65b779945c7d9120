package mapping

import (
	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// orm maps orders: ORM^O01, OMG^O19 and OML^O21, and the answer to one, ORR^O02.
// Each order group is a ServiceRequest, or a MedicationRequest where it orders a
// drug (RXO). OBX of an order are what was asked with it, and support it.
//
// ORM^O01 to cancel or hold, and ORR^O02, may send an ORC without its OBR. Where
// that says no more than that the order stands, it adds nothing to the order.
//
// What stands behind a further PV1 are earlier results (PRIOR_RESULT) of the visit
// that it names, not of the one of the order.
//
// Source: v2-to-FHIR, ORM_O01, OML_O21; HL7 v2.9 4.4.6.
func (b *build) orm() error {
	groups := b.msg.Groups("ORC OBR RXO")
	if len(groups) == 0 {
		return &Error{Segment: "ORC", Reason: "no order: the message has no ORC"}
	}
	b.encounter()
	b.bystanders()
	b.allergies(b.msg.Before("ORC", "OBR", "RXO"))
	l := b.lab()
	for _, g := range groups {
		if err := l.ordered(group(g)); err != nil {
			return err
		}
		if pv1 := g.Segment("PV1"); pv1.Exists() {
			b.visit = b.mentionVisit(pv1, g.Segment("PV2"))
		}
	}
	l.finish()
	return nil
}

// ends tells whether an order's status is one that it does not stand in.
func ends(o *order) bool {
	return saysStatus(o) && orderStatus(o)[0].Value != "active"
}

// asked maps the OBX of an order. Documents among them are the order's too.
func (l *lab) asked(o *order, request r4.Reference) ([]r4.Reference, error) {
	a := &about{order: o, at: l.at}
	var all []r4.Reference
	for _, r := range o.results {
		values := l.values(r.lines)
		if docs := documents(values); docs != nil {
			a.basedOn = []r4.Reference{request}
			l.attachment(a, r, docs)
			continue
		}
		a.basedOn = nil
		ref, err := l.observation(a, r, values)
		if err != nil {
			return nil, err
		}
		all = append(all, *ref)
	}
	return all, nil
}
