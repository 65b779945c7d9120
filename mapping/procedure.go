package mapping

import (
	"strings"
	"time"

	"firebreak/adapters/hl7"
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// procedures maps each PR1; visit, when not nil, is the Encounter they were done in.
func (b *build) procedures(group hl7.Group, visit *r4.Reference) {
	for pr1 := range group.All("PR1") {
		b.procedure(pr1, visit)
	}
}

// procedure maps a PR1.
//
// Its id is made from PR1-19, else from the visit, the code and the time. Nothing
// in PR1 tells the status, which is therefore unknown, as the guide asks; PR1-20
// "D" takes the line back. The guide names surgeon and anaesthetist by codes of
// SNOMED CT, whose content may not be shipped; here words do.
//
// Source: v2-to-FHIR, PR1[Procedure].
func (b *build) procedure(pr1 hl7.Segment, visit *r4.Reference) {
	sent := first(pr1.Field(3))
	code := b.concept(sent, "")
	if said := clean(pr1.Field(4).String()); said != "" {
		if code == nil {
			code = &r4.CodeableConcept{}
		}
		if code.Text == nil {
			code.Text = &said
		}
	}
	if code == nil {
		b.note(pr1, 3, "no procedure: the line was left out")
		return
	}
	key := entityKey(first(pr1.Field(19)))
	if key == nil {
		where := ""
		if visit != nil && visit.Reference != nil {
			where = *visit.Reference
		}
		key = []string{where, sent.at(1), sent.at(3), or(sent.at(2), value(pr1.Field(4))), value(pr1.Field(5))}
	}
	id := b.id("Procedure", key...)
	if b.has("Procedure", id) {
		b.note(pr1, 3, "the same procedure twice: the first is kept")
		return
	}
	done := r4.Procedure{
		Id: &id, Code: code, Subject: b.subject(), Encounter: visit, Category: b.concept(first(pr1.Field(6)), ""),
		ReasonCode: b.concepts(pr1.Field(15), ""), Location: b.location(first(pr1.Field(23))),
	}
	for _, modifier := range each(pr1.Field(16)) { // in the code itself nobody would know the code any more
		if s := textOf(modifier); s != "" {
			done.Note = append(done.Note, r4.Annotation{Text: s})
		}
	}
	if n := b.entity(first(pr1.Field(19)), ""); n != nil {
		done.Identifier = []r4.Identifier{*n}
	}
	if part := byIdentifier("Procedure", b.entity(first(pr1.Field(25)), "")); part != nil {
		done.PartOf = []r4.Reference{*part}
	}
	if start, ok := b.moment(pr1, 5); ok {
		if n, _, sent := number32(value(pr1.Field(7))); sent && n > 0 && start.clocked() {
			end := start.time.Add(time.Duration(n) * time.Minute).Format("2006-01-02T15:04:05-07:00")
			done.PerformedPeriod = period(&start.text, &end)
		} else {
			done.PerformedDateTime = &start.text
		}
	}
	for _, who := range [...]struct {
		field    int
		function string
	}{{8, "Anesthesiologist"}, {11, "Surgeon"}, {12, ""}} {
		for _, ref := range b.practitioners(pr1.Field(who.field)) {
			p := r4.ProcedurePerformer{Actor: ref}
			if who.function != "" {
				p.Function = &r4.CodeableConcept{Text: &who.function}
			}
			done.Performer = append(done.Performer, p)
		}
	}
	status := "unknown"
	if strings.HasPrefix(value(pr1.Field(20)), "D") {
		status = "entered-in-error"
	}
	b.add(done, fhir.Set{Path: "status", Value: status})
}
