package clinical

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"firebreak/fhir"
)

// Visit is an Encounter.
type Visit struct {
	Origin
	Class   string // "Inpatient", "Emergency"; as sent when not known
	Kind    string
	Status  Status
	Period  Span
	Place   string
	Before  []Stay // where the patient was before, latest first
	People  []Participant
	Reason  string
	Service string
	Left    string // discharge disposition
}

// Participant is someone who takes part in a visit or appointment.
type Participant struct{ Name, Role string }

// Appointment is an Appointment.
type Appointment struct {
	Origin
	What    string
	Status  Status
	Start   Time
	End     Time
	Place   string
	People  []Participant
	Reason  string
	Comment string
	numbers []string // by which the source calls it, each with its system
}

// classes are the keys of the words for encounter classes.
//
// Source: http://terminology.hl7.org/CodeSystem/v3-ActCode (ActEncounterCode);
// HL7 v2.5.1 table 0004.
var classes = map[string]string{
	"AMB": "class.ambulatory", "EMER": "class.emergency", "FLD": "class.field", "HH": "class.home", "IMP": "class.inpatient", "ACUTE": "class.acute",
	"NONAC": "class.non-acute", "OBSENC": "class.observation", "PRENC": "class.pre-admission", "SS": "class.short-stay", "VR": "class.virtual",
	"E": "class.emergency", "I": "class.inpatient", "O": "class.outpatient", "P": "class.pre-admission", "R": "class.recurring", "B": "class.obstetrics",
}

func (c *Chart) classOf(k Code) string {
	if key, ok := classes[k.Code]; ok {
		return c.say(key)
	}
	return cmp.Or(k.Display, k.Code)
}

// inside are the keys of the words for places in a ward.
//
// Source: http://terminology.hl7.org/CodeSystem/location-physical-type.
var inside = map[string]string{"wa": "place.ward", "ro": "place.room", "bd": "place.bed"}

func (c *Chart) readVisits() {
	for _, x := range c.src.Of("Encounter") {
		r := x.Content()
		class := coding(r.Get("class"))
		v := Visit{
			Origin: originOf(x), Class: c.classOf(class), Kind: names(concepts(r.Get("type"))),
			Status: Status(r.Get("status").Text()), Period: span(r.Get("period")), Reason: names(concepts(r.Get("reasonCode"))),
			Service: concept(r.Get("serviceType")).Name(), Left: concept(r.Get("hospitalization").Get("dischargeDisposition")).Name(),
		}
		v.Place, v.Before = c.stays(x)
		if org := c.called(r.Get("serviceProvider")); org != "" && !strings.HasSuffix(v.Place, org) {
			v.Place = strings.TrimPrefix(v.Place+", "+org, ", ")
		}
		for p := range r.Get("participant").Items() {
			if name := c.called(p.Get("individual")); name != "" {
				v.People = append(v.People, Participant{name, names(concepts(p.Get("type")))})
			}
		}
		c.Visits = append(c.Visits, v)
	}
	slices.SortStableFunc(c.Visits, func(a, b Visit) int {
		return cmp.Or(newer(a.Period.Start, b.Period.Start), b.Received.Compare(a.Received), cmp.Compare(a.Ref.ID, b.Ref.ID))
	})
	for _, x := range c.src.Of("Appointment") {
		r := x.Content()
		a := Appointment{
			Origin: originOf(x), Status: Status(r.Get("status").Text()), Start: ParseTime(r.Get("start").Text()), End: ParseTime(r.Get("end").Text()),
			Reason: names(concepts(r.Get("reasonCode"))), Comment: r.Get("comment").Text(),
		}
		a.What = cmp.Or(names(concepts(r.Get("serviceType"))), concept(r.Get("appointmentType")).Name(), names(concepts(r.Get("specialty"))), r.Get("description").Text())
		for p := range r.Get("participant").Items() {
			name, of := c.called(p.Get("actor")), ref(p.Get("actor")).Type
			switch {
			case name == "" || of == "Patient":
			case of == "Location":
				a.Place = c.placeOf(p.Get("actor"))
			default:
				a.People = append(a.People, Participant{name, names(concepts(p.Get("type")))})
			}
		}
		for id := range r.Get("identifier").Items() {
			if n := id.Get("value").Text(); n != "" {
				a.numbers = append(a.numbers, cmp.Or(id.Get("system").Text(), a.Source)+"|"+n)
			}
		}
		c.Appointments = append(c.Appointments, a)
	}
	c.Appointments = withoutAnswered(c.Appointments)
	slices.SortStableFunc(c.Appointments, func(a, b Appointment) int {
		return cmp.Or(newer(a.Start, b.Start), cmp.Compare(a.Ref.ID, b.Ref.ID))
	})
}

// withoutAnswered is all without the requests of which something came: an appointment
// that carries the request's number, which is no request itself. FHIR has the two apart,
// for sources call them by different numbers; on a page they are one.
func withoutAnswered(all []Appointment) []Appointment {
	booked := map[string]bool{}
	for _, a := range all {
		if a.Status != "proposed" {
			for _, n := range a.numbers {
				booked[n] = true
			}
		}
	}
	return slices.DeleteFunc(all, func(a Appointment) bool {
		return a.Status == "proposed" && slices.ContainsFunc(a.numbers, func(n string) bool { return booked[n] })
	})
}

// placeOf names a place with those it lies in: "Ward 4W, room 412, bed 1,
// General Hospital".
func (c *Chart) placeOf(n fhir.Node) string {
	var within, around []string // room and bed read best from the ward inwards, what holds them after
	seen := 0
	for r := ref(n); seen < 8; seen++ {
		x, ok := c.src.Get(r)
		if !ok || r.Type != "Location" {
			break
		}
		name := x.Content().Get("name").Text()
		switch kind := concept(x.Content().Get("physicalType")).First(); {
		case name == "":
		case inside[kind] != "":
			if word := c.say(inside[kind]); !strings.Contains(strings.ToLower(name), strings.ToLower(word)) {
				name = word + " " + name
			}
			within = append([]string{name}, within...)
		case kind == "" && len(within) > 0 && len(around) == 0:
			within = append([]string{name}, within...) // what holds a room and is nothing else: a ward
		default:
			around = append(around, name)
		}
		r = ref(x.Content().Get("partOf"))
	}
	if all := strings.Join(append(within, around...), ", "); all != "" {
		first, n := utf8.DecodeRuneInString(all)
		return string(unicode.ToUpper(first)) + all[n:]
	}
	return c.called(n)
}

// Expected tells whether the appointment lies ahead and still stands.
func (a Appointment) Expected(now time.Time) bool {
	switch a.Status {
	case "cancelled", "noshow", "entered-in-error", "fulfilled", "checked-in":
		return false
	}
	return a.Start.At.After(now)
}

// Coming are the appointments that lie ahead, soonest first.
func (c *Chart) Coming() []Appointment {
	var all []Appointment
	for _, a := range slices.Backward(c.Appointments) {
		if a.Expected(c.now) {
			all = append(all, a)
		}
	}
	return all
}
