package mapping

import (
	"strings"

	"firebreak/adapters/hl7"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// carers are the parts (tables 0443 and 0912) by which somebody named behind PID belongs
// to those who care for the patient.
//
// Source: v2-to-FHIR, ADT_A01, the condition of PRT behind PID.
var carers = []string{"AD", "AP", "ARI", "AT", "CP", "FHCP", "OP", "PH", "PP", "PRI", "RP", "RT", "VP", "PO"}

// careTeam is those who care for the patient whatever the visit: the ROL and PRT behind
// PID, and an insurance's case manager. There is one for each patient, as the latest
// message that names any has it. The primary care provider of a ROL is the Patient's
// generalPractitioner.
//
// Whom somebody acts for is said beside a Practitioner, and by a PractitionerRole where
// there must be one (R4 ctm-1).
//
// Source: v2-to-FHIR, ADT_A01, ROL[CareTeam], PRT[CareTeam], IN3[CareTeam].
func (b *build) careTeam(all hl7.Group) {
	id := b.id("CareTeam")
	team := r4.CareTeam{Id: &id, Subject: ptr(b.subject())}
	add := func(h holding, roles []r4.CodeableConcept, when *r4.Period) {
		org := h.role.Organization
		h.role.Period = nil
		if !h.more() {
			h.role.Organization = nil
		}
		who := b.holders(h)
		if who == nil && org != nil {
			who, org = []r4.Reference{*org}, nil
		}
		for _, member := range who {
			p := r4.CareTeamParticipant{Role: roles, Member: &member, Period: when}
			if member.Reference != nil && strings.HasPrefix(*member.Reference, "Practitioner/") {
				p.OnBehalfOf = org
			}
			team.Participant = append(team.Participant, p)
		}
	}
	for rol := range all.Before("PV1", "NK1", "PR1", "IN1").All("ROL") {
		if part := first(rol.Field(3)); part.at(1) == "PP" || !fromTable(part.at(3)) {
			continue
		}
		h := b.heldByROL(rol)
		add(h, append(h.role.Code, b.concepts(rol.Field(9), "")...), period(b.dateTime(rol, 5), b.dateTime(rol, 6)))
		team.ReasonCode = append(team.ReasonCode, b.concepts(rol.Field(8), "")...)
	}
	for _, prt := range sharesOf(all, "PID", "PD1", "ARV", "ROL", "NTE").inRole(carers...) {
		h := b.heldByPRT(prt)
		add(h, h.role.Code, h.role.Period)
	}
	for in3 := range all.All("IN3") {
		if name := value(in3.Field(21)); name != "" {
			team.Participant = append(team.Participant, r4.CareTeamParticipant{Role: []r4.CodeableConcept{{Text: ptr("case manager")}}, Member: &r4.Reference{Display: &name}})
		}
	}
	if team.Participant != nil {
		b.support(b.at, team) // beside the patient, whose message is no statement about it alone
	}
}
