package mapping

import (
	"strings"

	"firebreak/adapters/hl7"
)

// siu maps SIU^S12 to S22 and S26: the Appointment of SCH with its participants, and
// Observations of what OBX say about the patient; SRM^S01 to S04 and S06 to S11
// likewise, what is asked for in ARQ. Who answers such a request (SRR) tells what was
// made of it, in SCH.
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
	g, by := standing(behind(b.msg.Segments(), name)), b.typ
	if tellsPart(b.msg, b.typ) {
		whole, err := b.wholeOf(sch, of)
		if err != nil {
			return err
		}
		sch, g, by = whole.head, whole.group(), whole.by
	}
	b.encounter()
	b.bystanders()
	l := b.lab()
	if err := l.loose(group(g)); err != nil {
		return err
	}
	l.appointment(sch, of, g, by)
	l.finish()
	return nil
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

// unmappedScheduling says of triggers that are held what they tell.
//
// Source: HL7 v2.9 chapters 10.3 and 10.4.
var unmappedScheduling = map[string]string{
	"SRM^S05": "an appointment that has begun, or the rest of a series, is to be discontinued: FHIR has no word for it; an S14 or S16 tells what was made of it",
	"SQM^S25": "a question for a schedule: nobody's chart",
	"SQR^S25": "what a schedule holds: nobody's chart",
}
