package mapping

import (
	"slices"
	"strconv"
	"strings"

	"firebreak/adapters/hl7"
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// arranged are the fields of SCH, or of ARQ, that say an appointment.
type arranged struct {
	span, status   int    // of times; of the filler's status
	people         [3]int // who arranged it
	placer, filler int    // the orders it is for
}

var (
	inSCH = arranged{status: 25, people: [3]int{12, 16, 20}, placer: 26, filler: 27}
	inARQ = arranged{span: 11, people: [3]int{15, 19}, placer: 24, filler: 25}
)

// appointment makes the Appointment of SCH or ARQ and what stands around it. Its id
// is made of the filler's number, which every SIU has, else of the placer's.
//
// Those who arranged the appointment are not expected at it: they support it, and are
// no participants. What is asked for (ARQ) has a time that is asked for and no other.
// Services and resources that are taken off it are left out of g: see standing. by is
// the message that told the status last.
//
// Source: v2-to-FHIR, SIU_S12, SCH[Appointment], AIS[Appointment], AIG[Appointment],
// AIL[Appointment], AIP[Appointment], NTE[Appointment-Comment]; for ARQ, which the
// guide has no map for, HL7 v2.9 10.6.1 and R4 appointment-mappings.html, v2.
func (l *lab) appointment(sch hl7.Segment, of arranged, g hl7.Group, by hl7.Type) {
	placer, filler := first(sch.Field(1)), first(sch.Field(2))
	key := firstKey("filler", filler, "placer", placer)
	if key == nil {
		msh := l.msg.Segment("MSH")
		key = []string{"message", value(msh.Field(10)), value(msh.Field(7))}
	}
	rid := l.id("Appointment", key...)
	app := r4.Appointment{Id: &rid, MinutesDuration: minutes(value(sch.Field(9)), first(sch.Field(10)))}
	for _, id := range []*r4.Identifier{l.numbered(placer, "PLAC"), l.numbered(filler, "FILL")} {
		if id != nil {
			app.Identifier = append(app.Identifier, *id)
		}
	}
	l.reasons(&app, sch)
	also := appointmentStatus(by, value(sch.Field(of.status)))
	if of.span > 0 {
		for _, span := range each(sch.Field(of.span)) {
			if p := l.rangeOf(span); p != nil {
				app.RequestedPeriod = append(app.RequestedPeriod, *p)
			}
		}
	} else {
		also = append(also, l.times(&app, sch, g)...)
	}
	if app.Start == nil && !mayHaveNoTime(also) {
		also = append(also, fhir.Set{Path: "_start", Value: absent("unknown")}, fhir.Set{Path: "_end", Value: absent("unknown")})
	}
	for _, f := range of.people {
		for _, ref := range l.practitioners(sch.Field(f)) {
			if !slices.ContainsFunc(app.SupportingInformation, func(r r4.Reference) bool { return same(r.Reference, ref.Reference) }) {
				app.SupportingInformation = append(app.SupportingInformation, ref)
			}
		}
	}
	if ref := l.mentioned(first(sch.Field(of.placer)), first(sch.Field(of.filler))); ref != nil {
		app.BasedOn = []r4.Reference{*ref}
	}
	for dg1 := range g.All("DG1") {
		l.repeat = dg1.Message() != l.msg
		if ref := l.diagnosis(dg1); ref != nil {
			app.ReasonReference = append(app.ReasonReference, *ref)
		}
	}
	l.repeat = false
	app.Participant = []r4.AppointmentParticipant{{Actor: ptr(l.subject())}}
	also = append(also, unsaid("participant[0]._status", "", ""))

	var onResources []hl7.Segment // NTE
	resource := false
	for _, s := range g {
		switch s.Name() {
		case "AIS":
			resource = true
			if c := l.concept(first(s.Field(3)), ""); c != nil {
				app.ServiceType = append(app.ServiceType, *c)
			}
		case "AIG", "AIL", "AIP":
			resource = true
			if who, filled := l.participant(s); who != nil {
				also = append(also, unsaid("participant["+strconv.Itoa(len(app.Participant))+"]._status", filled, "0278"))
				app.Participant = append(app.Participant, *who)
			}
		case "NTE":
			if resource {
				onResources = append(onResources, s)
			}
		}
	}
	app.Comment = p(comment(scheduleNotes(g)))
	app.Extension = noteExtensions("Appointment", l.annotations(onResources))
	l.add(app, also...)
}

// scheduleNotes are the NTE on the appointment as a whole.
func scheduleNotes(g hl7.Group) []hl7.Segment {
	var all []hl7.Segment
	for nte := range g.Before("PID", "RGS", "AIS", "AIG", "AIL", "AIP").All("NTE") {
		all = append(all, nte)
	}
	return all
}

// appointmentReasons are the codes of HL7 table 0276, which is SCH-7's where the field
// names no other. The guide maps them to SNOMED CT, whose content may not be shipped.
var appointmentReasons = []string{"ROUTINE", "WALKIN", "CHECKUP", "FOLLOWUP", "EMERGENCY"}

// reasons are SCH-7 and SCH-8: reason and type, or what the table they name says.
func (l *lab) reasons(app *r4.Appointment, sch hl7.Segment) {
	for _, cwe := range each(sch.Field(7)) {
		c := l.concept(cwe, "")
		switch code := cwe.at(1); {
		case cwe.at(3) == "HL70277":
			app.AppointmentType = l.concept(cwe, "AppointmentTypeCodes")
			continue
		case slices.Contains(appointmentReasons, code) && cwe.at(3) == "":
			c.Coding[0].System = p(v2System + "0276")
		}
		if c != nil {
			app.ReasonCode = append(app.ReasonCode, *c)
		}
	}
	if c := l.concept(first(sch.Field(8)), "AppointmentTypeCodes"); c != nil {
		app.AppointmentType = c
	}
}

// appointmentStatus is what the trigger did, where that settles it (S15, S17,
// S26: a status that was not updated with it must not stand; a request, which has
// none: S01 to S04, S06), else SCH-25 by its table, else what S12 did. FHIR has no code for the others ("Dc",
// "Blocked", "Overbook", a reschedule without a status): there the source's own
// stands beside an empty place.
//
// Source: v2-to-FHIR, FillerStatusCodes[Appointment]; HL7 v2.9 chapter 10.4.
func appointmentStatus(by hl7.Type, sent string) []fhir.Set {
	c, known := lookup("FillerStatusCodes[Appointment]", capital(sent))
	settled := settledBy[by.Trigger]
	if by.Code == "SRR" { // whose event is the request's that it answers
		settled = ""
	}
	switch {
	case settled != "":
		all := []fhir.Set{{Path: "status", Value: settled}}
		if sent != "" && c.code != settled {
			all = append(all, unsaid("_status", sent, "0278"))
		}
		return all
	case known:
		return []fhir.Set{{Path: "status", Value: c.code}}
	case sent == "" && by.Trigger == "S12":
		return []fhir.Set{{Path: "status", Value: "booked"}}
	}
	return []fhir.Set{unsaid("_status", sent, "0278")}
}

// settledBy are the triggers of SRM and SIU that tell what an appointment is now.
//
// Source: HL7 v2.9 chapters 10.3 and 10.4.
var settledBy = map[string]string{
	"S01": "proposed", "S02": "proposed", "S03": "proposed", "S04": "cancelled", "S06": "entered-in-error",
	"S15": "cancelled", "S17": "entered-in-error", "S26": "noshow",
}

// mayHaveNoTime tells whether an appointment of that status needs no time (R4 app-3).
func mayHaveNoTime(status []fhir.Set) bool {
	return slices.ContainsFunc(status, func(s fhir.Set) bool {
		return s.Path == "status" && (s.Value == "proposed" || s.Value == "cancelled" || s.Value == "waitlist")
	})
}

// capital is a word of table 0278 as the table writes it.
func capital(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + strings.ToLower(s[1:])
}

// times are TQ1-7 and 8, else those of SCH-11, which TQ1 replaced in version
// 2.5, else the first service's. FHIR asks for instants: a day alone is none. It gives
// what to set where an end is not told, which a start asks for (R4 app-2).
func (l *lab) times(app *r4.Appointment, sch hl7.Segment, g hl7.Group) (also []fhir.Set) {
	tq1, ais := g.Segment("TQ1"), g.Segment("AIS")
	tq := first(sch.Field(11))
	var from moment
	if start, ok := l.moment(tq1, 7); ok && start.instant() {
		from, app.Start = start, &start.text
		if end, ok := l.moment(tq1, 8); ok && end.instant() {
			app.End = &end.text
		}
	} else if start, ok := l.feed.moment(tq.at(4)); ok && start.instant() {
		from, app.Start = start, &start.text
		if end, ok := l.feed.moment(tq.at(5)); ok && end.instant() {
			app.End = &end.text
		}
	} else if start, ok := l.moment(ais, 4); ok && start.instant() {
		span := l.span(ais, 4, 7)
		from, app.Start, app.End = start, span.Start, span.End
	}
	switch {
	case app.Start == nil || app.End != nil:
	case app.MinutesDuration != nil:
		app.End = ptr(from.after(*app.MinutesDuration))
	default:
		also = append(also, fhir.Set{Path: "_end", Value: absent("unknown")})
	}
	return also
}

// span is when a resource is needed: its start and, where duration and unit
// (the two fields from field duration on) can be told, its end.
func (l *lab) span(s hl7.Segment, start, duration int) *r4.Period {
	from, ok := l.moment(s, start)
	if !ok {
		return nil
	}
	span := &r4.Period{Start: &from.text}
	if n := minutes(value(s.Field(duration)), first(s.Field(duration+1))); n != nil && from.instant() {
		span.End = ptr(from.after(*n))
	}
	return span
}

// minutes reads a duration as whole minutes; nil for any that is none or whose
// unit cannot be told.
func minutes(n string, unit data) *int {
	v, _, ok := number32(n)
	if !ok || v == 0 {
		return nil
	}
	for _, part := range [...]int{1, 2} {
		switch strings.ToLower(unit.at(part)) {
		case "min", "mins", "minute", "minutes":
			return &v
		case "m":
			if part == 1 && (unit.at(2) == "" || strings.HasPrefix(strings.ToLower(unit.at(2)), "min")) {
				return &v
			}
		case "s", "sec", "second", "seconds":
			if v%60 == 0 {
				return ptr(v / 60)
			}
		case "h", "hr", "hour", "hours":
			if v <= 24*366 {
				return ptr(v * 60)
			}
		}
	}
	return nil
}

// participant maps AIG, AIL or AIP, and gives the filler's status of it, which
// the guide has no map for; nil when it names nobody.
func (l *lab) participant(s hl7.Segment) (who *r4.AppointmentParticipant, filled string) {
	who = &r4.AppointmentParticipant{Type: l.concepts(s.Field(4), "")}
	switch s.Name() {
	case "AIP":
		who.Actor = l.practitioner(first(s.Field(3)))
		who.Period, filled = l.span(s, 6, 9), value(s.Field(12))
	case "AIL":
		who.Actor = l.location(first(s.Field(3)))
		who.Period, filled = l.span(s, 6, 9), value(s.Field(12))
	case "AIG":
		what := first(s.Field(3))
		if id := l.codeIdentifier(what); id != nil {
			who.Actor = &r4.Reference{Identifier: id, Display: p(textOf(what))}
		}
		who.Period, filled = l.span(s, 8, 11), value(s.Field(14))
	}
	if who.Actor == nil && who.Type == nil {
		return nil, ""
	}
	return who, filled
}
