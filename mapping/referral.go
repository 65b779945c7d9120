package mapping

import (
	"firebreak/adapters/hl7"
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// ref maps REF^I12 to I15, referrals, and RRI, the answers to them: the
// ServiceRequest of RF1 with who refers and who is asked (PRD), what it is for
// (DG1), and what is sent along: procedures, allergies, coverages, orders and
// results.
//
// Source: HL7 v2.9 11.3, 11.5; R4 servicerequest. The guide has no maps for the
// message, RF1 and PRD.
func (b *build) ref() error {
	rf1, err := b.msg.Require("RF1")
	if err != nil {
		return fault(err)
	}
	all := b.msg.Segments()
	b.bystanders()
	visit := b.encounter()
	b.allergies(all)
	b.procedures(all, visit)
	l := b.lab()
	var results []r4.Reference
	for _, g := range b.msg.Groups("ORC OBR") {
		o := group(g)
		if err := l.order(o); err != nil {
			return err
		}
		if len(o.results) > 0 {
			results = append(results, refer("DiagnosticReport", l.id("DiagnosticReport", o.key...)))
		}
	}
	l.referral(rf1, all, results)
	l.finish()
	return nil
}

// referral makes the ServiceRequest of RF1. Its id is made of the referral's
// number, of whoever gave it: RF1-6, else RF1-11, else the message's.
func (l *lab) referral(rf1 hl7.Segment, all hl7.Group, results []r4.Reference) {
	own, other := first(rf1.Field(6)), first(rf1.Field(11))
	key := firstKey("referral", own, "external", other)
	if key == nil {
		key = l.ownKey(&order{})
	}
	rid := l.id("ServiceRequest", append([]string{"referral"}, key...)...)
	req := r4.ServiceRequest{
		Id: &rid, Intent: r4.RequestIntentOrder, Subject: l.subject(), Encounter: l.encounter(), Code: l.concept(first(rf1.Field(3)), ""),
		AuthoredOn: l.dateTime(rf1, 9), ReasonCode: l.concepts(rf1.Field(10), ""), SupportingInfo: results, OrderDetail: l.concepts(rf1.Field(4), ""),
		OccurrencePeriod: period(l.dateTime(rf1, 7), l.dateTime(rf1, 8)), Category: l.concepts(rf1.Field(5), ""),
	}
	detailed(&req, each(rf1.Field(4)))
	for _, id := range []*r4.Identifier{l.numbered(own, "PLAC"), l.numbered(other, "FILL")} {
		if id != nil {
			req.Identifier = append(req.Identifier, *id)
		}
	}
	var prio r4.RequestPriority
	if fhirCode("ExtendedPriorityCodes", value(rf1.Field(2)), &prio) {
		req.Priority = &prio
	}
	for prd := range all.All("PRD") {
		who := l.provider(prd)
		if who == nil {
			continue
		}
		switch value(prd.Field(1)) {
		case "RP":
			if req.Requester == nil {
				req.Requester = who
			}
		case "RT":
			req.Performer = append(req.Performer, *who)
		}
	}
	for dg1 := range all.All("DG1") {
		if ref := l.diagnosis(dg1); ref != nil {
			req.ReasonReference = append(req.ReasonReference, *ref)
		}
	}
	var notes []hl7.Segment
	for nte := range all.All("NTE") {
		if before := all[nte.Index()-2]; before.Name() == "RF1" || before.Name() == "NTE" && len(notes) > 0 {
			notes = append(notes, nte)
		}
	}
	req.Note = append(req.Note, l.annotations(notes)...)
	l.add(req, referralStatus(value(rf1.Field(1)))...)
}

// referralStatus is RF1-1 by table 0283; the code itself stands beside what is
// not in it.
func referralStatus(code string) []fhir.Set {
	status, known := map[string]string{"A": "active", "P": "active", "R": "revoked", "E": "completed", "": "active"}[code]
	if !known {
		return []fhir.Set{{Path: "status", Value: "unknown"}, {Path: "_status", Value: asSent(tableCode(code, "0283"))}}
	}
	return []fhir.Set{{Path: "status", Value: status}}
}

// provider makes the Practitioner of a PRD, or the Organization where it names
// no person; nil when it names neither.
func (l *lab) provider(prd hl7.Segment) *r4.Reference {
	name := first(prd.Field(2))
	var ids []r4.Identifier
	for _, pln := range each(prd.Field(7)) {
		if n := pln.at(1); n != "" {
			ids = append(ids, r4.Identifier{Value: &n, Type: l.identifierType(pln.at(2)), System: p(l.feed.uri(pln.at(3), "", ""))})
		}
	}
	if !name.present() {
		if len(ids) > 0 {
			return byIdentifier("Practitioner", &ids[0])
		}
		return nil
	}
	parts := []string{"name", name.in(1).at(1), name.at(2), name.at(3)}
	if len(ids) > 0 {
		parts = []string{*ids[0].Value, first(prd.Field(7)).at(3)}
	}
	rid := l.id("Practitioner", parts...)
	if !l.has("Practitioner", rid) {
		l.support(l.at, r4.Practitioner{Id: &rid, Identifier: ids, Name: l.names(prd.Field(2)), Address: l.addresses(prd.Field(3)), Telecom: l.telecoms(prd.Field(5), "work")})
	}
	return ptr(refer("Practitioner", rid))
}
