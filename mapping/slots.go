package mapping

import (
	"firebreak/adapters/hl7"
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// ofDirectory tells whether a message is about what its source has, and about no
// patient: its staff, its places and when those may not be booked.
func ofDirectory(code, trigger string) bool {
	return code == "MFN" || code == "SIU" && (trigger == "S23" || trigger == "S24")
}

// slots maps SIU^S23 and S24: the time of each person, place and thing that is
// blocked or opened is a Slot of its Schedule, in the source's directory. Of whoever
// is named no more than the name is said, which a master file tells better. What is
// said of the reason, in codes or words, stays in the message: it may name anybody.
//
// A slot is called by the number under which it was blocked, where there is one, and
// whose it is; else by whose and when. So an S24 opens what an S23 blocked, whichever
// comes first.
//
// Source: HL7 v2.9 10.4.12, 10.4.13 and 10.6; R4 slot-mappings.html and
// schedule-mappings.html, which have none for v2; table 0278 "Blocked".
func (b *build) slots() error {
	if pid := b.msg.Segment("PID"); pid.Exists() {
		return fail(pid, 0, "a schedule's time slots are no patient's: an S12 or S14 makes an appointment")
	}
	sch, err := b.msg.Require("SCH")
	if err != nil {
		return fault(err)
	}
	status := "busy-unavailable"
	if b.typ.Trigger == "S24" {
		status = "free"
	}
	l := b.lab()
	placer, filler := first(sch.Field(1)), first(sch.Field(2))
	number := firstKey("filler", filler, "placer", placer)
	var named []r4.Identifier
	for _, id := range []*r4.Identifier{l.numbered(placer, "PLAC"), l.numbered(filler, "FILL")} {
		if id != nil {
			named = append(named, *id)
		}
	}
	g := behind(b.msg.Segments(), "SCH")
	whole := r4.Appointment{MinutesDuration: minutes(value(sch.Field(9)), first(sch.Field(10)))}
	l.times(&whole, sch, g)
	some := false
	for _, s := range g {
		if n := s.Name(); n != "AIG" && n != "AIL" && n != "AIP" || value(s.Field(2)) == "D" {
			continue
		}
		whose := b.scheduled(s)
		if whose == nil {
			b.note(s, 3, "nobody and nothing is named: the slot was left out")
			continue
		}
		start, end := whole.Start, whole.End
		from, lasts := 6, 9
		if s.Name() == "AIG" {
			from, lasts = 8, 11
		}
		if t, ok := b.moment(s, from); ok && t.instant() {
			own := l.span(s, from, lasts)
			start = own.Start
			if end = own.End; end == nil && whole.MinutesDuration != nil {
				end = ptr(t.after(*whole.MinutesDuration))
			}
		}
		if start == nil || end == nil {
			b.note(s, from, "no time, to the minute, from when until when: the slot was left out")
			continue
		}
		schedule := b.id("Schedule", leadsTo(whose)...)
		b.support(b.at, r4.Schedule{Id: &schedule, Actor: []r4.Reference{*whose}})
		key := append(leadsTo(whose), number...)
		if number == nil {
			key = append(key, *start, *end)
		}
		id := b.id("Slot", key...)
		slot := r4.Slot{Id: &id, Identifier: named, Schedule: refer("Schedule", schedule), Start: *start, End: *end}
		for ais := range g.All("AIS") {
			if c := b.concept(first(ais.Field(3)), ""); c != nil && value(ais.Field(2)) != "D" {
				slot.ServiceType = append(slot.ServiceType, *c)
			}
		}
		b.support(b.at, slot, fhir.Set{Path: "status", Value: status})
		some = true
	}
	if !some {
		return fail(sch, 0, "no time slot: AIG, AIL or AIP says whose time it is, and from when until when")
	}
	return nil
}

// scheduled is whose time AIG, AIL or AIP tells of, nil when it names nobody; whoever
// it is, is only repeated.
func (b *build) scheduled(s hl7.Segment) *r4.Reference {
	before := len(b.out.Resources)
	var whose *r4.Reference
	switch what := first(s.Field(3)); s.Name() {
	case "AIP":
		whose = b.practitioner(what)
	case "AIL":
		if path := wayTo(what); len(path) > 0 {
			place := b.placeAt(path)
			b.support(b.at, place)
			b.around(what)
			whose = ptr(refer("Location", *place.Id))
		}
	case "AIG":
		if id := b.lab().codeIdentifier(what); id != nil {
			whose = &r4.Reference{Identifier: id, Display: p(textOf(what))}
		}
	}
	for i := range b.out.Resources[before:] {
		b.out.Resources[before+i].At = reminder(b.at)
	}
	return whose
}
