package mapping

// siu maps SIU^S12 to S17, S26, and S18 and S19 where they tell the appointment
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
	g := behind(b.msg.Segments(), name)
	if err := l.loose(group(g)); err != nil {
		return err
	}
	l.appointment(sch, of, g)
	l.finish()
	return nil
}

// whole fails for a message that tells only what is new of an appointment: it would
// stand for the whole, and who is not named in it would be off the appointment.
//
// Source: HL7 v2.9 10.6.4.2, segment action codes.
func (b *build) whole() error {
	switch b.typ.Trigger {
	case "S18", "S19":
	default:
		return nil
	}
	for _, s := range b.msg.Segments() {
		switch s.Name() {
		case "RGS", "AIS", "AIG", "AIL", "AIP":
			if value(s.Field(2)) != "" {
				return fail(s, 2, partial)
			}
		}
	}
	return nil
}

const partial = "only what changes of the appointment is told: an S14 with the whole appointment says the same"

// unmappedScheduling says of triggers that are held what they tell.
//
// Source: HL7 v2.9 chapters 10.3 and 10.4.
var unmappedScheduling = map[string]string{
	"SRM^S05": "a request is discontinued: FHIR has no word for it; an S04 cancels it",
	"SRM^S07": partial, "SRM^S08": partial, "SRM^S09": partial, "SRM^S10": partial, "SRM^S11": partial,
	"SIU^S20": partial, "SIU^S21": partial, "SIU^S22": partial,
	"SIU^S23": "a schedule's time slots are blocked: a schedule is nobody's chart",
	"SIU^S24": "a schedule's time slots are opened: a schedule is nobody's chart",
	"SQM^S25": "a question for a schedule: nobody's chart",
	"SQR^S25": "what a schedule holds: nobody's chart",
}
