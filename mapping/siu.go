package mapping

// siu maps SIU^S12 to S26, appointments: the Appointment of SCH with its
// participants, and Observations of what OBX say about the patient.
//
// Source: v2-to-FHIR, SIU_S12.
func (b *build) siu() error {
	sch, err := b.msg.Require("SCH")
	if err != nil {
		return fault(err)
	}
	b.encounter()
	b.bystanders()
	l := b.lab()
	g := behind(b.msg.Segments(), "SCH")
	if err := l.loose(group(g)); err != nil {
		return err
	}
	l.appointment(sch, g)
	l.finish()
	return nil
}
