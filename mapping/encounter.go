package mapping

import (
	"encoding/json"
	"slices"
	"strings"

	"firebreak/adapters/hl7"
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// encounter refers to the visit of a message that is about something else, and
// adds what PV1 repeats of it; nil when there is none. It may be called often.
func (b *build) encounter() *r4.Reference {
	if b.asked {
		return b.visit
	}
	b.asked = true
	b.visit = b.once(b.on("mentioned visit", b.segments("PID", "PV1", "PV2", "ROL", "PRT", "ARV")...), func(b *build) *r4.Reference {
		return b.mentionVisit(b.msg.Segment("PV1"), b.msg.Segment("PV2"))
	})
	return b.visit
}

// mentionVisit adds what a PV1 repeats of a visit and refers to it; nil where it names
// none.
func (b *build) mentionVisit(pv1, pv2 hl7.Segment) *r4.Reference {
	model, also := b.encounterOf(pv1, pv2)
	if model == nil {
		return nil
	}
	ref := b.support(reminder(b.at), *model, also...)
	return ptr(refer(ref.Type, ref.ID))
}

func ptr[T any](v T) *T { return &v }

// visitKey is what the source calls a visit, best first: its number, another
// number, when it began, the account where that is said to be the visit's, the
// number or time it was announced under, when it ended. None: nil.
func (b *build) visitKey(pv1, pv2 hl7.Segment) []string {
	for _, f := range [...]struct {
		field hl7.Field
		kind  string
	}{{pv1.Field(19), "visit"}, {pv1.Field(50), "alternate"}} {
		if cx := first(f.field); cx.at(1) != "" {
			return []string{f.kind, cx.at(1), b.feed.authority(cx)}
		}
	}
	if t := value(pv1.Field(44)); t != "" {
		return []string{"admitted", t}
	}
	if cx := first(b.pid.Field(18)); cx.at(1) != "" && cx.at(5) == "VN" {
		return []string{"visit", cx.at(1), b.feed.authority(cx)}
	}
	if cx := first(pv1.Field(5)); cx.at(1) != "" {
		return []string{"preadmitted", cx.at(1), b.feed.authority(cx)}
	}
	if t := value(pv2.Field(8)); t != "" {
		return []string{"expected", t}
	}
	if t := value(pv1.Field(45)); t != "" {
		return []string{"discharged", t}
	}
	return nil
}

// visitStatus is the Encounter.status a message gives: what its trigger settles,
// else finished where the visit has an end, else by patient class, else by
// trigger once more. ok is false when nothing says it: none is made up.
//
// A trigger that takes back or only announces a visit speaks louder than PV1,
// which still shows the visit as it stood; A03 does too, for PV1-45 is optional.
//
// Source: v2-to-FHIR, PV1[Encounter] (PV1-2, PV1-45), MSH[Encounter],
// PatientClass[EncounterStatus], Event[EncounterStatus]; for A14, A21 to A23,
// A27, A38, A52 and A53, which the maps do not have, HL7 v2.9 chapter 3.3.
func visitStatus(trigger, class string, ended bool) (status string, ok bool) {
	switch trigger {
	case "A11", "A27", "A38":
		return "cancelled", true
	case "A23":
		return "entered-in-error", true
	case "A03":
		return "finished", true
	case "A05", "A14":
		return "planned", true
	case "A21", "A53":
		return "onleave", true
	case "A13", "A22", "A52":
		return "in-progress", true
	}
	if ended {
		return "finished", true
	}
	if c, ok := lookup("PatientClass[EncounterStatus]", class); ok {
		return c.code, true
	}
	c, ok := lookup("Event[EncounterStatus]", trigger)
	return c.code, ok
}

// encounterOf maps PV1 and PV2; nil, with a note, when there is no visit, no
// name for it, no class or no status.
//
// A13 takes a discharge back: its time is left out. A12 takes a transfer back:
// where the patient came from is left out. The account is PID-18's, by its number:
// only a message that states the account makes it.
//
// Source: v2-to-FHIR, PV1[Encounter], PV2[Encounter]; R4 Encounter.account.
func (b *build) encounterOf(pv1, pv2 hl7.Segment) (*r4.Encounter, []fhir.Set) {
	class := value(pv1.Field(2))
	key := b.visitKey(pv1, pv2)
	if !pv1.Exists() || key == nil && (class == "N" || class == "") {
		return nil, nil // PV1|1|N| stands where a visit is asked for and there is none
	}
	if key == nil {
		b.note(pv1, 19, "neither number nor time names the visit: it was left out")
		return nil, nil
	}
	trigger := ""
	if b.typ.Code == "ADT" {
		trigger = b.trigger()
	}
	classCoding := b.coding(first(pv1.Field(2)), "PatientClass[EncounterClass]")
	if classCoding == nil {
		b.note(pv1, 2, "no patient class, which FHIR requires: the visit was left out")
		return nil, nil
	}
	var end *string
	if trigger != "A13" {
		end = b.dateTime(pv1, 45)
	}
	status, ok := visitStatus(trigger, class, end != nil)
	if !ok {
		b.note(pv1, 2, "nothing tells the status, which FHIR requires: the visit was left out")
		return nil, nil
	}
	id := b.id("Encounter", key...)
	e := &r4.Encounter{
		Id:          &id,
		Identifier:  b.visitNumbers(pv1),
		Class:       *classCoding,
		Type:        b.concepts(pv1.Field(4), "AdmissionType"),
		ServiceType: b.concept(first(pv1.Field(10)), "HospitalService"),
		Priority:    b.concept(first(pv2.Field(25)), "EncounterPriority"),
		Subject:     ptr(b.subject()),
		Participant: b.participants(pv1, pv2),
		Period:      period(b.dateTime(pv1, 44), end),
		ReasonCode:  b.concepts(pv2.Field(3), ""),
		Location:    b.places(pv1, pv2, trigger, status),
		Extension:   b.planned(pv2),
		Meta:        b.protected(pv1, pv2),
	}
	if days, _, ok := number(value(pv2.Field(11))); ok {
		e.Length = inDays(days)
	}
	if h := b.hospitalization(pv1); h != nil {
		e.Hospitalization = h
	}
	if account := byIdentifier("Account", b.identifier(first(b.pid.Field(18)))); account != nil {
		e.Account = []r4.Reference{*account}
	}
	return e, []fhir.Set{{Path: "status", Value: status}}
}

// visitNumbers maps PV1-19 and PV1-50.
func (b *build) visitNumbers(pv1 hl7.Segment) []r4.Identifier {
	all := b.identifiers(pv1.Field(19), pv1.Field(50))
	if len(all) > 0 && value(pv1.Field(19)) != "" {
		text := "visit number"
		all[0].Type = b.identifierType("VN")
		all[0].Type.Text = &text
	}
	return all
}

func inDays(n json.Number) *r4.Duration {
	return &r4.Duration{Value: &n, Unit: p("days"), System: p(ucum), Code: p("d")}
}

// protected is what PV2-22 and the ARV behind PV1 say of who may see the visit:
// restricted, and to what kind of data where ARV-3 names one (table 0717: HIV, PSY,
// STD, DRG). Restrictions of demographics and registries are not about the visit,
// and one that is deleted is none. ARV behind PID restrict kinds of data of the
// person, whichever message brings them: they hold by the data's own labels.
//
// Source: v2-to-FHIR, PV2[Encounter], row PV2-22; HL7 v2.9 3.4.14, ARV.
func (b *build) protected(pv1, pv2 hl7.Segment) *r4.Meta {
	var all []r4.Coding
	for arv := range b.msg.All("ARV") {
		if arv.Index() < pv1.Index() || strings.HasPrefix(value(arv.Field(2)), "D") {
			continue
		}
		for _, kind := range each(arv.Field(3)) {
			switch code := kind.at(1); {
			case code == "", code == "NO", code == "OI", code == "OO", code == "DEM", strings.HasPrefix(code, "PID"):
			case isCode(code):
				all = append(all, fixed(v2System+"0717", code, kind.at(2)))
			}
		}
	}
	if value(pv2.Field(22)) != "Y" && all == nil {
		return nil
	}
	return &r4.Meta{Security: append([]r4.Coding{fixed("http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "R", "restricted")}, all...)}
}

// planned maps PV2-8, PV2-9 and PV2-38.
func (b *build) planned(pv2 hl7.Segment) []r4.Extension {
	const r5 = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Encounter."
	var all []r4.Extension
	if t := b.dateTime(pv2, 8); t != nil {
		all = append(all, r4.Extension{Url: r5 + "plannedStartDate", ValueDateTime: t})
	}
	if t := b.dateTime(pv2, 9); t != nil {
		all = append(all, r4.Extension{Url: r5 + "plannedEndDate", ValueDateTime: t})
	}
	if c := b.coding(first(pv2.Field(38)), "ModeOfArrivalCode"); c != nil {
		all = append(all, r4.Extension{Url: coreExt + "encounter-modeOfArrival", ValueCoding: c})
	}
	return all
}

// participants maps the physicians of a visit, and ROL where it follows PV1.
//
// Source: v2-to-FHIR, PV1[Encounter], PV2[Encounter], ROL[Encounter-PractitionerRole].
func (b *build) participants(pv1, pv2 hl7.Segment) []r4.EncounterParticipant {
	const roles = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
	var all []r4.EncounterParticipant
	for _, f := range [...]struct {
		field         hl7.Field
		code, display string
	}{
		{pv1.Field(7), "ATND", "attender"},
		{pv1.Field(8), "REF", "referrer"},
		{pv1.Field(9), "CON", "consultant"},
		{pv1.Field(17), "ADM", "admitter"},
		{pv1.Field(52), "PART", "Participation"},
		{pv2.Field(13), "REF", "referrer"},
	} {
		for _, xcn := range each(f.field) {
			if who := b.practitioner(xcn); who != nil {
				all = append(all, r4.EncounterParticipant{
					Type:       []r4.CodeableConcept{{Coding: []r4.Coding{fixed(roles, f.code, f.display)}, Text: ptr(f.display)}},
					Individual: who,
				})
			}
		}
	}
	for rol := range b.msg.All("ROL") {
		if rol.Index() < pv1.Index() {
			continue
		}
		for _, who := range b.holders(b.heldByROL(rol)) {
			all = append(all, r4.EncounterParticipant{
				Type: b.concepts(rol.Field(3), "ProviderRole"), Individual: &who, Period: period(b.dateTime(rol, 5), b.dateTime(rol, 6)),
			})
		}
	}
	for _, prt := range sharesOf(b.msg.Segments(), "PV1", "PV2", "ARV", "ROL", "NTE") {
		for _, who := range persons(b.taker(prt)) {
			all = append(all, r4.EncounterParticipant{
				Type: b.concepts(prt.Field(4), "Participation"), Individual: &who, Period: period(b.dateTime(prt, 11), b.dateTime(prt, 12)),
			})
		}
	}
	return all
}

// places maps where the patient is, was and is to be. When a transfer happened
// (EVN-6), the one place ends and the other begins then; ZBE-2 of IHE's and the
// French profile says when a movement of any kind began.
//
// The guide's location status is "active" whatever the visit's; here a finished
// visit's place is "completed", and one of a visit that never was has none.
//
// Source: v2-to-FHIR, PV1[Encounter], PV2[Encounter]; HL7 v2.9 3.4.9.43, PV1-43; IHE
// ITI TF-2 3.31.5.6, ZBE.
func (b *build) places(pv1, pv2 hl7.Segment, trigger, status string) []r4.EncounterLocation {
	present := "active"
	switch status {
	case "planned":
		present = "planned"
	case "finished":
		present = "completed"
	case "cancelled", "entered-in-error":
		present = ""
	}
	var moved *string
	if trigger == "A02" || trigger == "A17" {
		moved = b.dateTime(b.msg.Segment("EVN"), 6)
	}
	if zbe := b.msg.Segment("ZBE"); moved == nil && trigger != "" {
		moved = b.dateTime(zbe, 2)
	}
	var all []r4.EncounterLocation
	place := func(f hl7.Field, status string, when *r4.Period) {
		if !f.Present() {
			return
		}
		where := b.once(b.on("place", f.Rep(0).Raw()), func(b *build) *r4.Reference { return b.location(first(f)) })
		if where == nil {
			return
		}
		l := r4.EncounterLocation{Location: *where, Period: when}
		var s r4.EncounterLocationStatus
		if fhirCode("", status, &s) {
			l.Status = &s
		}
		all = append(all, l)
	}
	place(pv1.Field(3), present, period(moved, nil))
	if trigger != "A12" {
		place(pv1.Field(6), "completed", period(nil, moved))
	}
	temporary := len(all)
	place(pv1.Field(11), present, nil)
	place(pv1.Field(43), "completed", nil)
	for i := temporary; i < len(all); i++ {
		all[i].Extension = []r4.Extension{{
			Url:                  coreExt + "subject-locationClassification",
			ValueCodeableConcept: one(fixed("http://hl7.org/fhir/ValueSet/subject-location", "temporary", "")),
		}}
	}
	place(pv1.Field(42), "reserved", nil)
	place(pv2.Field(1), "planned", nil)
	return all
}

// hospitalization is nil when PV1 says nothing of it.
func (b *build) hospitalization(pv1 hl7.Segment) *r4.EncounterHospitalization {
	said := slices.ContainsFunc([]int{5, 13, 14, 15, 16, 36, 37, 38}, func(f int) bool { return pv1.Field(f).Present() })
	if !said {
		return nil
	}
	h := &r4.EncounterHospitalization{
		PreAdmissionIdentifier: b.identifier(first(pv1.Field(5))),
		AdmitSource:            b.concept(first(pv1.Field(14)), ""),
		ReAdmission:            b.concept(first(pv1.Field(13)), "ReadmissionIndicator"),
		SpecialArrangement:     b.concepts(pv1.Field(15), "AmbulatoryStatus"),
		SpecialCourtesy:        b.concepts(pv1.Field(16), "VIPIndicator"),
		DischargeDisposition:   b.concept(first(pv1.Field(36)), "DischargeDisposition"),
		DietPreference:         b.concepts(pv1.Field(38), "DietType"),
		Destination:            b.dischargedTo(first(pv1.Field(37))),
	}
	return h
}

// dischargedTo makes the Location of a DLD.
//
// Source: v2-to-FHIR, DLD[Location-Discharge].
func (b *build) dischargedTo(dld data) *r4.Reference {
	where := dld.in(1)
	if where.at(1) == "" {
		where = dld
	}
	kind := b.concept(data{}, "")
	if code := where.at(1); code != "" {
		kind = coded(code)
	}
	if kind == nil {
		return nil
	}
	id := b.id("Location", "discharged to", where.at(1))
	if !b.has("Location", id) {
		mode := r4.LocationModeKind
		b.support(b.at, r4.Location{Id: &id, Mode: &mode, Type: []r4.CodeableConcept{*kind}})
	}
	return ptr(refer("Location", id))
}
