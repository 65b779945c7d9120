package mapping

import (
	"strings"

	"firebreak/adapters/hl7"
)

// siu maps SIU^S12 to S17, S26, and S18 to S22 where they tell the appointment
// whole: the Appointment of SCH with its participants, and Observations of what OBX
// say about the patient; SRM^S01 to S06 likewise, what is asked for in ARQ. Who
// answers such a request (SRR) tells what was made of it, in SCH.
//
// Source: v2-to-FHIR, SIU_S12; HL7 v2.9 chapters 10.3 and 10.4.
func (b *build) siu() error {
	name, of := "SCH", inSCH
	if b.typ.Code == "SRM" {
		name, of = "ARQ", inARQ
	}
	sch, err := b.msg.Require(name)
	if err != nil {
		return fault(err)
	}
	if err := b.whole(); err != nil {
		return err
	}
	b.encounter()
	b.bystanders()
	l := b.lab()
	g := standing(behind(b.msg.Segments(), name))
	if err := l.loose(group(g)); err != nil {
		return err
	}
	l.appointment(sch, of, g)
	l.finish()
	return nil
}

// whole fails for a message that tells only what is new of an appointment: it would
// stand for the whole, and who is not named in it would be off the appointment. That it
// tells the whole is seen by what it says has not changed (X); of an S18 or S19, also by
// the absence of any segment action.
//
// Source: HL7 v2.9 10.3.8 to 10.3.12, 10.6.4.2; HL7 table 0206.
func (b *build) whole() error {
	t := b.typ.Trigger
	if t < "S18" || t > "S22" {
		return nil
	}
	acts, gap, unchanged := false, false, false
	for _, s := range b.msg.Segments() {
		act := value(s.Field(2))
		switch s.Name() {
		case "RGS":
			acts = acts || act != ""
		case "AIS", "AIG", "AIL", "AIP":
			acts, gap, unchanged = acts || act != "", gap || act == "", unchanged || act == "X"
		}
	}
	if !acts && (t == "S18" || t == "S19") || acts && !gap && unchanged {
		return nil
	}
	e := fail(b.msg.Segment("MSH"), 9, partial)
	e.Component = 2
	return e
}

// standing are the segments of an appointment without the services and resources that
// are taken off it, and what is noted on them.
func standing(g hl7.Group) (all hl7.Group) {
	off := false
	for _, s := range g {
		switch {
		case strings.HasPrefix(s.Name(), "AI"):
			off = value(s.Field(2)) == "D"
		case s.Name() != "NTE":
			off = false
		}
		if !off {
			all = append(all, s)
		}
	}
	return all
}

const partial = "only what changes of the appointment is told: an S14 with the whole appointment says the same"

// unmappedScheduling says of triggers that are held what they tell.
//
// Source: HL7 v2.9 chapters 10.3 and 10.4.
var unmappedScheduling = map[string]string{
	"SRM^S05": "a request is discontinued: FHIR has no word for it; an S04 cancels it",
	"SRM^S07": partial, "SRM^S08": partial, "SRM^S09": partial, "SRM^S10": partial, "SRM^S11": partial,
	"SQM^S25": "a question for a schedule: nobody's chart",
	"SQR^S25": "what a schedule holds: nobody's chart",
}
