package mapping

import (
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// orm maps orders: ORM^O01, OMG^O19 and OML^O21, and the answer to one, ORR^O02.
// Each order group is a ServiceRequest, or a MedicationRequest where it orders a
// drug (RXO). OBX of an order are what was asked with it, and support it.
//
// ORM^O01 to cancel or hold, and ORR^O02, may send an ORC without its OBR. Where
// that says no more than that the order stands, it adds nothing to the order.
//
// Source: v2-to-FHIR, ORM_O01, OML_O21.
func (b *build) orm() error {
	groups := b.msg.Groups("ORC OBR RXO")
	if len(groups) == 0 {
		return &Error{Segment: "ORC", Reason: "no order: the message has no ORC"}
	}
	b.encounter()
	b.allergies(b.msg.Before("ORC", "OBR", "RXO"))
	l := b.lab()
	for _, g := range groups {
		o := group(g)
		o.key = l.reportKey(o)
		if o.drug.Exists() {
			if err := l.drugOrder(o); err != nil {
				return err
			}
			continue
		}
		if !o.obr.Exists() && !ends(o) {
			continue
		}
		o.requestID = l.id("ServiceRequest", l.requestKey(o)...)
		l.takeSpecimens(o)
		asked, err := l.asked(o, refer("ServiceRequest", o.requestID))
		if err != nil {
			return err
		}
		l.request(o, true, asked)
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

// drugOrder makes the MedicationRequest of an RXO. The guide maps neither ORC-1
// nor ORC-5 to its status, which is unknown, the source's code beside it.
//
// Source: v2-to-FHIR, RXO[MedicationRequest], ORC[ServiceRequest].
func (l *lab) drugOrder(o *order) error {
	rid := l.id("MedicationRequest", l.requestKey(o)...)
	what := l.concept(first(o.drug.Field(1)), "")
	if what == nil {
		l.note(o.drug, 1, "no drug: the order was left out")
		return nil
	}
	asked, err := l.asked(o, refer("MedicationRequest", rid))
	if err != nil {
		return err
	}
	req := r4.MedicationRequest{
		Id: &rid, Identifier: l.numbers(o), Intent: "order", MedicationCodeableConcept: *what,
		Subject: l.subject(), Encounter: l.encounter(), AuthoredOn: l.authored(o), Requester: l.requester(o),
		Note: l.annotations(o.notes), Priority: priority(o), SupportingInformation: asked,
	}
	for _, dg1 := range o.diagnoses {
		if ref := l.diagnosis(dg1); ref != nil {
			req.ReasonReference = append(req.ReasonReference, *ref)
		}
	}
	for _, sig := range each(o.drug.Field(6)) {
		if s := textOf(sig); s != "" {
			req.DosageInstruction = append(req.DosageInstruction, r4.Dosage{Text: &s})
		}
	}
	say := []fhir.Set{{Path: "status", Value: "unknown"}}
	if code, table := orderCode(o); code != "" {
		say = append(say, fhir.Set{Path: "_status", Value: asSent(tableCode(code, table))})
	}
	l.add(req, say...)
	return nil
}

// orderCode is ORC-5, or ORC-1 where it is empty, and its table.
func orderCode(o *order) (code, table string) {
	if s := value(o.orc.Field(5)); s != "" {
		return s, "0038"
	}
	return value(o.orc.Field(1)), "0119"
}
