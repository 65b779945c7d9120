package mapping

import (
	"firebreak/adapters/hl7"
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// report maps one order group of a result message: the DiagnosticReport of its
// OBR, with its Observations, documents and Specimens, and the ServiceRequest of
// its ORC.
//
// A report without a status of table 0123 is "unknown"; "Y" and "Z", which say
// that there is no such order or patient, are an *Error, as the guide asks.
//
// Source: v2-to-FHIR, ORU_R01, ORC[DiagnosticReport], OBR[DiagnosticReport].
func (l *lab) report(o *order) error {
	state := value(o.obr.Field(25))
	if state == "Y" || state == "Z" {
		return fail(o.obr, 25, "the laboratory has no such order or patient")
	}
	o.key = l.reportKey(o)
	a := l.aboutResults(o)
	if hasContent(o.orc) || tellsOrder(o.obr) {
		o.requestID = l.id("ServiceRequest", l.requestKey(o)...)
		a.basedOn = []r4.Reference{refer("ServiceRequest", o.requestID)}
	}
	rid := l.own("DiagnosticReport", o.key...)
	a.report = ptr(refer("DiagnosticReport", rid))
	l.takeSpecimens(o)

	rep := r4.DiagnosticReport{
		Id:                 &rid,
		Identifier:         l.reportNumbers(o),
		BasedOn:            a.basedOn,
		Category:           l.reportCategory(o),
		Subject:            ptr(l.subject()),
		Encounter:          l.encounter(),
		EffectiveDateTime:  a.taken,
		EffectivePeriod:    a.span,
		Issued:             a.issued,
		Performer:          append(performing(l.named(o.obr.Field(34)), "SPRF", "secondary performer"), append(performing(l.named(o.obr.Field(35)), "TRANS", "Transcriber"), l.takers(o.shares.inRole("ARI", "TN", "TR"))...)...),
		ResultsInterpreter: append(l.named(o.obr.Field(32)), l.takers(o.shares.inRole("PRI", "PI"))...),
		Specimen:           o.specimenRefs,
		Meta:               l.confidentiality(o.orc.Field(28)),
		Extension:          append(noteExtensions("DiagnosticReport", l.annotations(o.notes)), statusReason("event", l.concept(first(o.orc.Field(16)), ""))...),
	}
	also := status("status", "ResultStatus[Non-Queries]", state, "0123")
	if code := l.concept(first(o.obr.Field(4)), ""); code != nil {
		rep.Code = *code
	} else {
		also = append(also, fhir.Set{Path: "code", Value: absent("unknown")})
	}
	var asked []r4.Reference
	for _, r := range o.results {
		values := l.values(r.lines)
		if docs := documents(values); docs != nil {
			forms := l.attachment(a, r, docs)
			rep.PresentedForm = append(rep.PresentedForm, forms...)
			continue
		}
		ref, err := l.observation(a, r, values)
		if err != nil {
			return err
		}
		switch value(r.lines[0].Field(29)) {
		case "QST", "SCI": // an answer asked for with the order, not a result
			asked = append(asked, *ref)
		default:
			rep.Result = append(rep.Result, *ref)
		}
	}
	l.addAt(a.at, rep, also...)
	if o.requestID != "" {
		l.request(o, saysStatus(o), asked)
	}
	return nil
}

// reportNumbers are the identifiers of a report: the order's, and its group's.
//
// Source: v2-to-FHIR, ORC[DiagnosticReport], rows ORC-2 to ORC-4.
func (l *lab) reportNumbers(o *order) []r4.Identifier {
	all := l.numbers(o)
	if id := l.numbered(groupNumber(o), "PGN"); id != nil {
		all = append(all, *id)
	}
	return all
}

// tellsOrder tells whether an OBR says of the order what a report has no place for:
// what it was asked with, by whom, where to call and why. The guide makes a
// ServiceRequest of an OBR with an ORC only; laboratories that send none would
// leave nobody who ordered.
func tellsOrder(obr hl7.Segment) bool {
	for _, field := range [...]int{13, 16, 17, 31} {
		if obr.Field(field).Present() {
			return true
		}
	}
	return false
}

// aboutResults gathers what an OBR says of its OBX.
//
// A version's time is OBR-22, when the results became what they are; without a
// time of day there it is when the message was sent, which tells preliminary
// from final on one day.
func (l *lab) aboutResults(o *order) *about {
	a := &about{order: o, at: l.at, derived: l.parentResult(o.obr)}
	if changed, ok := l.moment(o.obr, 22); ok && changed.instant() {
		a.at, a.issued = changed.time, &changed.text
	}
	start, end := l.dateTime(o.obr, 7), l.dateTime(o.obr, 8)
	if end != nil {
		a.span = period(start, end)
	} else {
		a.taken = start
	}
	return a
}

// performing says of references in what part they stand to the report.
//
// Source: v2-to-FHIR, OBR[DiagnosticReport], rows OBR-34 and OBR-35.
func performing(who []r4.Reference, code, display string) []r4.Reference {
	function := r4.Extension{Url: coreExt + "event-performerFunction", ValueCodeableConcept: one(fixed("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", code, display))}
	for i := range who {
		who[i].Extension = append(who[i].Extension, function)
	}
	return who
}

// statusReason is why an order or event has its status; nil without a reason.
func statusReason(of string, reason *r4.CodeableConcept) []r4.Extension {
	if reason == nil {
		return nil
	}
	return []r4.Extension{{Url: coreExt + of + "-statusReason", ValueCodeableConcept: reason}}
}

// named are the persons of an NDL field, each in a PractitionerRole where the field
// says where they worked on it.
//
// Source: v2-to-FHIR, NDL[PractitionerRole], CNN[Practitioner].
func (l *lab) named(f hl7.Field) []r4.Reference {
	var all []r4.Reference
	for _, ndl := range each(f) {
		cnn := ndl.in(1)
		if cnn.at(2) == "" && cnn.at(3) == "" && ndl.at(2) != "" && !isTime(ndl.at(2)) {
			cnn = ndl // an XCN in its place
		}
		ref := l.practitioner(cnn)
		if ref == nil {
			continue
		}
		if cnn.deep {
			ref = l.presence(ref, ndl)
		}
		all = append(all, *ref)
	}
	return all
}

// presence makes the PractitionerRole of a person who worked at the place that an
// NDL names, and when, and refers to it. Without a place it is the person: a role
// for the hour of each report would say nothing of whom it is.
func (l *lab) presence(person *r4.Reference, ndl data) *r4.Reference {
	where := l.place(ndl, 3, r4.Address{})
	if where == nil {
		return person
	}
	parts := append(leadsTo(person), leadsTo(where)...)
	role := r4.PractitionerRole{
		Id:           p(l.id("PractitionerRole", append(parts, ndl.at(2), ndl.at(3))...)),
		Practitioner: person, Location: []r4.Reference{*where},
		Period: period(l.when(ndl.at(2)), l.when(ndl.at(3))),
	}
	l.support(l.at, role)
	return ptr(refer("PractitionerRole", *role.Id))
}

func isTime(s string) bool {
	_, reason := hl7.ParseTime(s)
	return reason == ""
}

// hasContent tells whether a segment says anything: feeds send "ORC||||".
func hasContent(s hl7.Segment) bool {
	for i := 1; i <= s.Fields(); i++ {
		if s.Field(i).Present() {
			return true
		}
	}
	return false
}
