package mapping

import (
	"slices"
	"strings"

	"firebreak/adapters/ccda"
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// procedure maps a Procedure Activity; what has not happened is a request.
//
// Source: C-CDA on FHIR, CF-procedures.
func (c *clinical) procedure(e *ccda.Element) bool {
	if mood := e.Attr("moodCode"); mood != "EVN" && mood != "" {
		return c.request(e)
	}
	cd := c.doc.CD(e.Child("code"))
	code := c.conceptOf(cd)
	if code == nil {
		if words := clean(c.doc.Words(e.Child("text"))); words != "" {
			code = &r4.CodeableConcept{Text: &words}
		}
	}
	devices := c.devicesOf(e)
	if code == nil {
		return devices != nil
	}
	rid, known := c.name("Procedure", e, cd, start(e))
	if known {
		return c.again("Procedure", rid)
	}
	pr := r4.Procedure{
		Id: &rid, Identifier: c.identifiersOf(e), Subject: c.subject(), Code: code, BodySite: c.conceptsIn(e, "targetSiteCode"),
		ReasonCode: c.reasonsOf(e), Note: c.notesOf(e), Location: c.placesIn(e),
	}
	pr.PerformedDateTime, pr.PerformedPeriod = c.spanOf(e.Child("effectiveTime"))
	for _, who := range c.performersOf(e) {
		pr.Performer = append(pr.Performer, r4.ProcedurePerformer{Actor: who})
	}
	pr.Recorder, _ = c.authored(e)
	for _, d := range devices {
		pr.FocalDevice = append(pr.FocalDevice, r4.ProcedureFocalDevice{Manipulated: d})
	}
	state := saidStatus(e, procedureStatuses, "unknown")
	if negated(e) {
		state = "not-done"
	}
	c.put(pr, e, fhir.Set{Path: "status", Value: state})
	for r := range e.All("entryRelationship") {
		if s := ccda.Statement(r); s != nil && r.Attr("typeCode") != "RSON" && (s.Name == "observation" || s.Name == "substanceAdministration") {
			c.statement(s)
		}
	}
	return true
}

// placesIn is the first service delivery location of e.
func (c *clinical) placesIn(e *ccda.Element) *r4.Reference {
	for x := range e.All("participant") {
		if x.Attr("typeCode") == "LOC" {
			if ref := c.placeOf(x.Child("participantRole")); ref != nil {
				return ref
			}
		}
	}
	return nil
}

// devicesOf makes the Devices of an entry's product instances.
func (c *clinical) devicesOf(e *ccda.Element) []r4.Reference {
	var all []r4.Reference
	for x := range e.All("participant") {
		role := x.Child("participantRole")
		if role.Child("playingDevice") != nil || role.Has(template+"37") {
			if ref := c.device(role, x); ref != nil {
				all = append(all, *ref)
			}
		}
	}
	return unique(all)
}

// device maps a Product Instance. The FDA's identifier of it, as a person reads it, is
// taken apart for what FHIR has places for.
//
// Source: C-CDA, Product Instance; FDA UDI format of GS1, application identifiers 01, 10, 11, 17, 21.
func (c *clinical) device(role, e *ccda.Element) *r4.Reference {
	player := role.Child("playingDevice")
	cd := c.doc.CD(player.Child("code"))
	d := r4.Device{Identifier: c.identifiersOf(role), Type: c.conceptOf(cd), Patient: ptr(c.subject())}
	var also []fhir.Set
	if model := clean(ccda.Plain(player.Child("manufacturerModelName"))); model != "" {
		d.DeviceName = []r4.DeviceDeviceName{{Name: model}}
		also = append(also, fhir.Set{Path: "deviceName[0].type", Value: "model-name"})
	}
	maker := role.Child("scopingEntity")
	d.Manufacturer = p(clean(ccda.Plain(maker.Child("desc"))))
	for _, ii := range ccda.IIs(role, "id") {
		if ii.Root == oidUDI && ii.Extension != "" {
			carrier := r4.DeviceUdiCarrier{CarrierHRF: p(clean(ii.Extension)), Issuer: p("http://hl7.org/fhir/NamingSystem/fda-udi"), Jurisdiction: p("http://hl7.org/fhir/NamingSystem/fda-udi")}
			parts := udi(ii.Extension)
			carrier.DeviceIdentifier = p(parts["01"])
			d.LotNumber, d.SerialNumber = p(parts["10"]), p(parts["21"])
			d.ManufactureDate, d.ExpirationDate = c.udiDate(parts["11"]), c.udiDate(parts["17"])
			d.UdiCarrier = append(d.UdiCarrier, carrier)
		}
	}
	if d.Type == nil && d.Identifier == nil && d.DeviceName == nil {
		return nil
	}
	key := called(role)
	if key == nil {
		key = append([]string{""}, called(e.Up)...)
	}
	rid := c.distinct("Device", append(key, cd.Code, cd.System), deref(d.Manufacturer))
	if !c.has("Device", rid) {
		d.Id = &rid
		c.put(d, e, also...)
	}
	return ptr(refer("Device", rid))
}

// udi reads "(01)10884521062856(10)M320" into its parts.
func udi(s string) map[string]string {
	parts := map[string]string{}
	for _, x := range strings.Split(s, "(")[1:] {
		if id, value, ok := strings.Cut(x, ")"); ok && isCode(clean(value)) {
			parts[id] = clean(value)
		}
	}
	return parts
}

func (c *clinical) udiDate(yymmdd string) *string {
	if len(yymmdd) != 6 || !isDigits(yymmdd) {
		return nil
	}
	return c.dateOf("20" + strings.TrimSuffix(yymmdd, "00"))
}

// equipment maps a Non-Medicinal Supply: a Device.
func (c *clinical) equipment(e *ccda.Element) bool {
	if product := e.At("product/manufacturedProduct"); product.Child("manufacturedMaterial").Child("code") != nil && e.Child("participant") == nil {
		return c.dispense(e)
	}
	devices := c.devicesOf(e)
	return devices != nil
}

// request maps what is planned or asked for.
func (c *clinical) request(e *ccda.Element) bool {
	cd := c.doc.CD(e.Child("code"))
	code := c.conceptOf(cd)
	if code == nil {
		if words := clean(c.doc.Words(e.Child("text"))); words != "" {
			code = &r4.CodeableConcept{Text: &words}
		}
	}
	if code == nil {
		return false
	}
	rid, known := c.name("ServiceRequest", e, cd, start(e))
	if known {
		return c.again("ServiceRequest", rid)
	}
	s := r4.ServiceRequest{
		Id: &rid, Identifier: c.identifiersOf(e), Subject: c.subject(), Code: code, BodySite: c.conceptsIn(e, "targetSiteCode"), ReasonCode: c.reasonsOf(e),
		Performer: c.performersOf(e), Note: c.notesOf(e),
	}
	s.OccurrenceDateTime, s.OccurrencePeriod = c.spanOf(e.Child("effectiveTime"))
	s.Requester, s.AuthoredOn = c.authored(e)
	if place := c.placesIn(e); place != nil {
		s.LocationReference = []r4.Reference{*place}
	}
	also := []fhir.Set{{Path: "status", Value: saidStatus(e, requestStatuses, "unknown")}, {Path: "intent", Value: or(actIntents[e.Attr("moodCode")], "plan")}}
	if word := map[string]string{"A": "asap", "EM": "stat", "S": "stat", "UR": "urgent", "R": "routine", "CR": "urgent"}[e.Child("priorityCode").Attr("code")]; word != "" {
		also = append(also, fhir.Set{Path: "priority", Value: word})
	}
	if negated(e) {
		s.DoNotPerform = ptr(true)
	}
	c.put(s, e, also...)
	return true
}

// goal maps a Goal Observation, or a planned one of that mood. A measured goal has its
// measure as target.
func (c *clinical) goal(e *ccda.Element) bool {
	cd := c.doc.CD(e.Child("code"))
	code := c.conceptOf(cd)
	all, _ := c.valuesOf(e)
	g := r4.Goal{Identifier: c.identifiersOf(e), Subject: c.subject(), Note: c.notesOf(e)}
	var value observed
	if len(all) > 0 {
		value = all[0]
	}
	switch {
	case value.text != nil:
		g.Description = r4.CodeableConcept{Text: value.text}
	case value.concept != nil && code == nil:
		g.Description = *value.concept
	case code != nil:
		g.Description = *code
	default:
		words := clean(c.doc.Words(e.Child("text")))
		if words == "" {
			return false
		}
		g.Description = r4.CodeableConcept{Text: &words}
	}
	rid, known := c.name("Goal", e, cd, start(e), deref(g.Description.Text))
	if known {
		return c.again("Goal", rid)
	}
	g.Id = &rid
	times := ccda.IntervalOf(e.Child("effectiveTime"))
	g.StartDate = c.dateOf(times.Start())
	target := r4.GoalTarget{Measure: code, DetailQuantity: value.quantity, DetailRange: value.interval, DetailCodeableConcept: value.concept, DetailRatio: value.ratio}
	if target.Measure == nil { // R4 gol-1
		target.DetailQuantity, target.DetailRange, target.DetailCodeableConcept, target.DetailRatio = nil, nil, nil, nil
	}
	target.DueDate = c.dateOf(times.High)
	if target.DetailQuantity != nil || target.DetailRange != nil || target.DetailCodeableConcept != nil || target.DetailRatio != nil || target.DueDate != nil {
		g.Target = []r4.GoalTarget{target}
	}
	if who, _ := c.authored(e); who != nil && who.Reference != nil {
		g.ExpressedBy = who
	}
	c.put(g, e, fhir.Set{Path: "lifecycleStatus", Value: saidStatus(e, goalStatuses, "active")})
	for r := range e.All("entryRelationship") {
		if s := ccda.Statement(r); s != nil && !s.Has(template+"143") && !s.Has(template+"64") && s.Attr("moodCode") != "GOL" {
			c.statement(s)
		}
	}
	return true
}

// visitEntry maps an Encounter Activity; a planned one is a request.
//
// Source: C-CDA on FHIR, CF-encounters.
func (c *clinical) visitEntry(e *ccda.Element) bool {
	if mood := e.Attr("moodCode"); mood != "EVN" && mood != "" {
		return c.request(e)
	}
	cd := c.doc.CD(e.Child("code"))
	rid := c.visitID(e, cd)
	if c.has("Encounter", rid) {
		return c.again("Encounter", rid)
	}
	v, also := c.visit(e, cd)
	v.Id = &rid
	v.ReasonCode = c.reasonsOf(e)
	for x := range e.All("participant") {
		if x.Attr("typeCode") == "LOC" {
			if place := c.placeOf(x.Child("participantRole")); place != nil {
				v.Location = append(v.Location, r4.EncounterLocation{Location: *place, Period: c.periodOf(x.Child("time"))})
			}
		}
	}
	for x := range e.All("performer") {
		if who := c.practitionerIn(x.Child("assignedEntity")); who != nil && strings.HasPrefix(or(deref(who.Reference), "Practitioner/"), "Practitioner/") {
			v.Participant = append(v.Participant, r4.EncounterParticipant{Individual: who, Type: c.conceptsIn(x, "sdtc:functionCode"), Period: c.periodOf(x.Child("time"))})
		}
	}
	for r := range e.All("entryRelationship") {
		s := ccda.Statement(r)
		switch {
		case s == nil || r.Attr("typeCode") == "RSON":
		case s.Has(template + "80"):
			for x := range s.All("entryRelationship") {
				if o := ccda.Statement(x); o != nil && o.Name == "observation" {
					if ref := c.problem(o, s); ref != nil {
						v.Diagnosis = append(v.Diagnosis, r4.EncounterDiagnosis{Condition: *ref})
					}
				}
			}
		default:
			c.statement(s)
		}
	}
	if h := c.doc.Encounter(); h != nil && c.visitID(h, c.doc.CD(h.Child("code"))) == rid {
		also = c.completed(&v, h, also)
	}
	c.put(v, e, also...)
	return true
}

// completed gives a visit what the header says of it and the entry does not.
func (c *clinical) completed(v *r4.Encounter, h *ccda.Element, also []fhir.Set) []fhir.Set {
	more, said := c.header(h)
	if v.Period == nil && more.Period != nil {
		v.Period = more.Period
		also = append(also, said[0]) // the status, which its times told
	}
	if v.Class.Code == nil && more.Class.Code != nil {
		v.Class = more.Class
		also = slices.DeleteFunc(also, func(s fhir.Set) bool { return s.Path == "class" })
	}
	if v.Type == nil {
		v.Type = more.Type
	}
	if v.Location == nil {
		v.Location = more.Location
	}
	if v.Participant == nil {
		v.Participant = more.Participant
	}
	if v.Hospitalization == nil {
		v.Hospitalization = more.Hospitalization
	}
	v.ServiceProvider = more.ServiceProvider
	return also
}

func (c *clinical) visitID(e *ccda.Element, cd ccda.CD) string {
	key := called(e)
	if key == nil {
		key = []string{"", start(e), cd.Code}
	}
	return c.id("Encounter", key...)
}

// visit is what an Encounter Activity and the encompassing encounter say alike.
func (c *clinical) visit(e *ccda.Element, cd ccda.CD) (r4.Encounter, []fhir.Set) {
	v := r4.Encounter{Identifier: c.identifiersOf(e), Subject: ptr(c.subject()), Period: c.periodOf(e.Child("effectiveTime"))}
	times := ccda.IntervalOf(e.Child("effectiveTime"))
	state := encounterStatuses[e.Child("statusCode").Attr("code")]
	switch {
	case state != "":
	case times.Value != "" || times.High != "":
		state = "finished"
	default:
		state = "unknown"
	}
	also := []fhir.Set{{Path: "status", Value: state}}
	class := ""
	typ := cd
	typ.Translations = nil
	for _, x := range append([]ccda.CD{cd}, cd.Translations...) {
		if x.System == oidActCode && isCode(clean(x.Code)) {
			class = clean(x.Code)
		} else if class == "" {
			class = classOfCPT(x.Code)
		}
	}
	for _, x := range cd.Translations {
		if x.System != oidActCode {
			typ.Translations = append(typ.Translations, x)
		}
	}
	if typ.System == oidActCode {
		typ.Code, typ.Display = "", ""
	}
	if typ.Known() {
		if t := c.conceptOf(typ); t != nil {
			v.Type = []r4.CodeableConcept{*t}
		}
	}
	if class != "" {
		v.Class = fixed(v3System+"ActCode", class, "")
	} else {
		also = append(also, fhir.Set{Path: "class", Value: absent("unknown")})
	}
	for _, name := range [...]string{"sdtc:dischargeDispositionCode", "dischargeDispositionCode"} {
		if d := c.conceptIn(e, name); d != nil {
			v.Hospitalization = &r4.EncounterHospitalization{DischargeDisposition: d}
		}
	}
	return v, also
}

// classOfCPT is the class that an evaluation and management code implies.
//
// Source: C-CDA on FHIR, CF-encounters.
func classOfCPT(code string) string {
	if len(code) != 5 || !isDigits(code) {
		return ""
	}
	switch {
	case code >= "99202" && code <= "99215", code >= "99241" && code <= "99245", code >= "99381" && code <= "99397":
		return "AMB"
	case code >= "99221" && code <= "99239":
		return "IMP"
	case code >= "99281" && code <= "99285":
		return "EMER"
	}
	return ""
}

// encounterRef is the reference to the encompassing encounter.
func (c *clinical) encounterRef() *r4.Reference {
	e := c.doc.Encounter()
	if e == nil || called(e) == nil && start(e) == "" {
		return nil
	}
	return ptr(refer("Encounter", c.visitID(e, c.doc.CD(e.Child("code")))))
}

// encompassing adds the encounter that the document is of, unless an entry said more of it.
func (c *clinical) encompassing() {
	ref := c.encounterRef()
	e := c.doc.Encounter()
	if ref == nil || c.has("Encounter", strings.TrimPrefix(*ref.Reference, "Encounter/")) {
		return
	}
	v, also := c.header(e)
	v.Id = ptr(strings.TrimPrefix(*ref.Reference, "Encounter/"))
	if tags := c.confidentiality(e); len(tags) > 0 {
		also = append(also, fhir.Set{Path: "meta.security", Value: tags})
	}
	c.support(reminder(c.at), v, also...)
}

// header maps the encompassing encounter.
func (c *clinical) header(e *ccda.Element) (r4.Encounter, []fhir.Set) {
	v, also := c.visit(e, c.doc.CD(e.Child("code")))
	if place := c.placeOf(e.At("location/healthCareFacility")); place != nil {
		v.Location = []r4.EncounterLocation{{Location: *place}}
	}
	v.ServiceProvider = c.organizationOf(e.At("location/healthCareFacility/serviceProviderOrganization"))
	participant := func(x *ccda.Element, code string) {
		who := c.practitionerIn(x.Child("assignedEntity"))
		if who == nil || !strings.HasPrefix(or(deref(who.Reference), "Practitioner/"), "Practitioner/") {
			return
		}
		part := r4.EncounterParticipant{Individual: who}
		if isCode(code) {
			part.Type = []r4.CodeableConcept{*one(fixed(v3System+"ParticipationType", code, ""))}
		}
		v.Participant = append(v.Participant, part)
	}
	if x := e.Child("responsibleParty"); x != nil {
		participant(x, "RESP")
	}
	for x := range e.All("encounterParticipant") {
		participant(x, x.Attr("typeCode"))
	}
	return v, also
}

// family maps a Family History Organizer: one relative and what they had.
func (c *clinical) family(e *ccda.Element) bool {
	relative := e.At("subject/relatedSubject")
	person := relative.Child("subject")
	cd := c.doc.CD(relative.Child("code"))
	rid, known := c.name("FamilyMemberHistory", e, cd, ccda.Plain(person.Child("name")))
	if known {
		return c.again("FamilyMemberHistory", rid)
	}
	f := r4.FamilyMemberHistory{Id: &rid, Identifier: c.identifiersOf(e), Patient: c.subject(), Name: p(clean(ccda.Plain(person.Child("name"))))}
	also := []fhir.Set{{Path: "status", Value: map[bool]string{true: "completed", false: "partial"}[saidStatus(e, map[string]string{"completed": "y"}, "") == "y"]}}
	if rel := c.conceptOf(cd); rel != nil {
		f.Relationship = *rel
	} else {
		also = append(also, fhir.Set{Path: "relationship", Value: absent("unknown")})
	}
	f.Sex = c.conceptIn(person, "administrativeGenderCode")
	if born, ok := c.moments(person.Child("birthTime").Attr("value")); ok {
		f.BornDate = p(born.date())
	}
	f.DeceasedBoolean = truth(person.Child("sdtc:deceasedInd"))
	if dead := c.dateOf(person.Child("sdtc:deceasedTime").Attr("value")); dead != nil {
		f.DeceasedBoolean, f.DeceasedDate = nil, dead
	}
	for x := range e.All("component") {
		o := ccda.Statement(x)
		if o == nil || o.Name != "observation" || negated(o) {
			continue
		}
		code := c.conceptOf(c.doc.CD(o.Child("value")))
		if code == nil {
			if words := clean(c.doc.Words(o.Child("text"))); words != "" {
				code = &r4.CodeableConcept{Text: &words}
			} else {
				continue
			}
		}
		had := r4.FamilyMemberHistoryCondition{Code: *code}
		if age := relatedCode(o, "445518008", "397659008"); age != nil {
			had.OnsetAge = ageOf(ccda.PQOf(age.Child("value")))
		} else if len(related(o, "31")) > 0 {
			had.OnsetAge = ageOf(ccda.PQOf(related(o, "31")[0].Child("value")))
		}
		for r := range o.All("entryRelationship") {
			if s := ccda.Statement(r); s != nil && (s.Has(template+"47") || r.Attr("typeCode") == "CAUS") {
				had.ContributedToDeath = ptr(true)
				if f.DeceasedDate == nil {
					f.DeceasedBoolean = ptr(true)
				}
			}
		}
		f.Condition = append(f.Condition, had)
	}
	if f.Condition == nil && f.DeceasedBoolean == nil && f.DeceasedDate == nil {
		return false
	}
	c.put(f, e, also...)
	return true
}

// coverageActivity maps the policies of a Coverage Activity.
func (c *clinical) coverageActivity(e *ccda.Element) bool {
	any := false
	for r := range e.All("entryRelationship") {
		if s := ccda.Statement(r); s != nil && s.Name == "act" && s.Attr("moodCode") == "EVN" {
			any = c.policyActivity(s) || any
		}
	}
	return any
}

// policyActivity maps a Policy Activity. Like HL7 v2 it has no status; without a payer
// FHIR has no coverage.
func (c *clinical) policyActivity(e *ccda.Element) bool {
	var payor *r4.Reference
	for x := range e.All("performer") {
		who := x.Child("assignedEntity")
		if code := who.Child("code").Attr("code"); x.Has(template+"87") || code == "PAYOR" || payor == nil && code != "GUAR" {
			if org := c.organizationOf(who.Child("representedOrganization")); org != nil {
				payor = org
			}
		}
	}
	if payor == nil {
		return false
	}
	cd := c.doc.CD(e.Child("code"))
	rid, known := c.name("Coverage", e, cd)
	if known {
		return c.again("Coverage", rid)
	}
	v := r4.Coverage{Id: &rid, Identifier: c.identifiersOf(e), Beneficiary: c.subject(), Payor: []r4.Reference{*payor}}
	if cd.System == "2.16.840.1.113883.5.110" || slices.Contains([]string{"SELF", "FAMDEP", "HANDIC", "INJ", "SPSE", "STUD"}, cd.Code) {
		v.Relationship = c.conceptOf(cd)
	} else {
		v.Type = c.conceptOf(cd)
	}
	for x := range e.All("participant") {
		role := x.Child("participantRole")
		switch x.Attr("typeCode") {
		case "COV":
			for _, ii := range ccda.IIs(role, "id") {
				if v.SubscriberId == nil && ii.Extension != "" && !placeholder(ii) {
					v.SubscriberId = p(clean(ii.Extension))
				}
			}
			if rel := c.conceptIn(role, "code"); rel != nil && v.Relationship == nil {
				v.Relationship = rel
			}
			v.Period = c.periodOf(x.Child("time"))
		case "HLD":
			if role.Child("code").Attr("code") == "SELF" {
				v.Subscriber = ptr(c.subject())
			}
		}
	}
	c.put(v, e, fhir.Set{Path: "_status", Value: absent("unknown")})
	return true
}
