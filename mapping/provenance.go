package mapping

import (
	"strings"

	"firebreak/adapters/hl7"
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// provenance adds the message's Provenance: who sent it, when, and what it
// states. What it only mentions (the visit of a result, practitioners, places) is
// no target, and the patient is one only of an ADT message that states nothing
// else: so the Provenance of a message whose every statement is withheld leads
// to nothing that is shown.
//
// Its id and content depend on MSH and EVN alone, besides the targets, and the
// dialect that the message was read by: its policy.
//
// Source: v2-to-FHIR, MSH[Provenance-Source], EVN[Provenance].
func (b *build) provenance() {
	if len(b.target) == 0 && b.typ.Code == "ADT" {
		b.target = []fhir.Ref{b.out.Patient}
	}
	if len(b.target) == 0 || b.fault != nil || len(b.out.Moves) > 0 { // nothing may tell of a move
		return
	}
	msh, evn := b.msg.Segment("MSH"), b.msg.Segment("EVN")
	id := b.id("Provenance", b.msg.ControlID(), value(msh.Field(7)), b.typ.String(), value(msh.Field(3)), value(msh.Field(4)))
	const roles = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
	who := b.once(b.on("sender", msh.Field(4).Raw(), msh.Field(22).Raw()), func(b *build) *r4.Reference {
		if who := b.organization(first(msh.Field(22))); who != nil {
			return who
		}
		return b.facility(first(msh.Field(4)))
	})
	if who == nil {
		who = &r4.Reference{Display: ptr(or(b.in.Source, "unnamed feed"))}
	}
	activity := one(r4.Coding{Display: p("message - " + strings.TrimRight(b.typ.String()+"^"+b.typ.Structure, "^"))})
	activity.Coding[0].System, activity.Coding[0].Code = p(v2System+"0003"), p(b.trigger())
	if !isCode(b.trigger()) {
		activity.Coding[0].System, activity.Coding[0].Code = nil, nil
	}
	prov := r4.Provenance{
		Id:       &id,
		Recorded: b.recorded(msh, evn),
		Activity: activity,
		Agent:    []r4.ProvenanceAgent{{Type: one(fixed(roles, "author", "Author")), Who: *who}},
	}
	for _, ref := range b.target {
		prov.Target = append(prov.Target, refer(ref.Type, ref.ID))
	}
	prov.Policy = some(b.feed.Dialect.ID())
	prov.OccurredDateTime = b.dateTime(evn, 6)
	if reason := b.concept(first(evn.Field(4)), "EventReason"); reason != nil && value(evn.Field(4)) != "U" {
		prov.Reason = []r4.CodeableConcept{*reason}
	}
	for _, operator := range b.practitioners(evn.Field(5)) {
		prov.Agent = append(prov.Agent, r4.ProvenanceAgent{Type: one(fixed(roles, "enterer", "Enterer")), Who: operator})
	}
	if control := clean(b.msg.ControlID()); control != "" {
		prov.Entity = []r4.ProvenanceEntity{{
			Role: r4.ProvenanceEntityRoleSource,
			What: r4.Reference{Identifier: &r4.Identifier{System: p(b.feed.local("message")), Value: &control}},
		}}
	}
	b.support(b.at, prov)
}

// recorded is when the source sent the message, to its precision; when we got
// it where it does not say that to the second.
func (b *build) recorded(msh, evn hl7.Segment) string {
	for _, f := range [...]hl7.Field{msh.Field(7), evn.Field(2)} {
		if t, err := f.Time(); err == nil {
			if s := t.Instant(b.feed.zone()); s != "" {
				return s
			}
		}
	}
	return b.instant(b.in.Received)
}

// trigger is MSH-9.2, or EVN-1 in feeds that leave it out.
func (b *build) trigger() string {
	if b.typ.Trigger != "" {
		return b.typ.Trigger
	}
	return value(b.msg.Segment("EVN").Field(1))
}
