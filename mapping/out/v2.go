package out

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"firebreak/adapters/hl7"
	"firebreak/fhir"
	"firebreak/inbox"
)

// HL7v2 makes v2.5.1 messages. The zero value of each field is fit to use but
// for Source.
type HL7v2 struct {
	Source      string            // the receiver's feed
	Application string            // MSH-3, who we are
	Facility    string            // MSH-4
	Receiver    string            // MSH-5
	At          string            // MSH-6
	Systems     map[string]string // URIs by the name that the receiver uses, as mapping.Feed has them
	Zone        *time.Location    // of MSH-7, EVN-2 and TXA-4; nil: UTC
	Notify      bool              // appointments as SIU instead of SRM
	Results     bool              // messages as ORU^R01 instead of MDM^T02
}

// Types are the resource types that have a message.
func Types() []string { return []string{"Appointment", "Communication", "Patient", "Task"} }

// Namespace is of the numbers that we give: SCH-1, ARQ-1 and TXA-12, second
// component.
const Namespace = "FIREBREAK"

var errNoMessage = errors.New("there is no HL7 v2 message for this type of resource")

// Message is a letter as an HL7 v2 message. The same letter makes the same bytes.
//
//	Appointment    SRM^S01; a later version S03; cancelled S04 (or SIU^S12, S14, S15)
//	Communication  MDM^T02 (or ORU^R01)
//	Task           as Communication
//	Patient        ADT^A08
//
// What has no place in the message is an error that names it: content that is
// only referred to, or an appointment without a time.
//
// Source: HL7 v2.5.1 chapters 3.3.8, 7.3.1, 9.6.3, 10.3 and 10.4.
func (c HL7v2) Message(l inbox.Letter, r fhir.Resource) ([]byte, error) {
	who, err := Patient(r)
	if err != nil {
		return nil, err
	}
	m := message{HL7v2: c, l: l, r: r, who: who}
	switch r.Type() {
	case "Appointment":
		err = m.appointment()
	case "Communication", "Task":
		err = m.words()
	case "Patient":
		m.begin("ADT", "A08", "ADT_A01")
		m.event()
		m.patient()
		m.Segment("PV1", hl7.Fields{2: "N"})
	default:
		err = errNoMessage
	}
	return m.Bytes(), err
}

// message is one on its way.
type message struct {
	HL7v2
	hl7.Writer
	l   inbox.Letter
	r   fhir.Resource
	who Who
}

func (m *message) now() string {
	zone := m.Zone
	if zone == nil {
		zone = time.UTC
	}
	return m.l.Entered.In(zone).Format("20060102150405-0700")
}

func (m *message) begin(code, trigger, structure string) {
	m.Segment("MSH", hl7.Fields{3: m.Application, 4: m.Facility, 5: m.Receiver, 6: m.At, 7: m.now(), 9: hl7.Parts{code, trigger, structure}, 10: m.l.Control, 11: "P", 12: "2.5.1"})
}

func (m *message) event() { m.Segment("EVN", hl7.Fields{2: m.now()}) }

// number is the request's, an EI.
func (m *message) number() hl7.Parts { return hl7.Parts{m.l.Number, Namespace} }

// name is the patient's in one string, or that it is the patient.
func (m *message) name() string {
	if m.who.Display != "" {
		return m.who.Display
	}
	return "Patient"
}

// patient writes PID: all that a Patient says of itself, else number and name.
func (m *message) patient() {
	pid := hl7.Fields{1: "1", 3: hl7.Reps{m.cx(m.who.System, m.who.Value, "MR")}, 5: hl7.Parts{m.name()}}
	if m.r.Type() == "Patient" {
		ids, names, addresses, phones := hl7.Reps{}, hl7.Reps{}, hl7.Reps{}, hl7.Reps{}
		for id := range m.r.All("identifier") {
			if v := id.Get("value").Text(); v != "" {
				kind := id.At("type.coding.code").Text()
				if len(ids) == 0 {
					kind = orElse(kind, "MR")
				}
				ids = append(ids, m.cx(id.Get("system").Text(), v, kind))
			}
		}
		for n := range m.r.All("name") {
			given := texts(n, "given")
			middle := ""
			if len(given) > 1 {
				middle = strings.Join(given[1:], " ")
				given = given[:1]
			}
			names = append(names, hl7.Parts{n.Get("family").Text(), strings.Join(given, " "), middle, strings.Join(texts(n, "suffix"), " "), strings.Join(texts(n, "prefix"), " "), "", nameTypes[n.Get("use").Text()]})
		}
		for a := range m.r.All("address") {
			line := texts(a, "line")
			other := ""
			if len(line) > 1 {
				other = strings.Join(line[1:], ", ")
				line = line[:1]
			}
			addresses = append(addresses, hl7.Parts{strings.Join(line, ""), other, a.Get("city").Text(), a.Get("state").Text(), a.Get("postalCode").Text(), a.Get("country").Text(), addressTypes[a.Get("use").Text()]})
		}
		for t := range m.r.All("telecom") {
			v := t.Get("value").Text()
			switch system, use := t.Get("system").Text(), t.Get("use").Text(); {
			case v == "":
			case system == "email":
				phones = append(phones, hl7.Parts{"", "NET", "Internet", v})
			case system == "fax":
				phones = append(phones, hl7.Parts{v, phoneUses[use], "FX"})
			case use == "mobile":
				phones = append(phones, hl7.Parts{v, "PRN", "CP"})
			default:
				phones = append(phones, hl7.Parts{v, phoneUses[use], "PH"})
			}
		}
		pid[3], pid[5], pid[11], pid[13] = ids, names, addresses, phones
		pid[7], _ = stamp(m.r.Get("birthDate").Text())
		pid[8] = sexes[m.r.Get("gender").Text()]
	}
	m.Segment("PID", pid)
}

// Tables 0200, 0190, 0201 and 0001, as far as FHIR has the code.
var (
	nameTypes    = map[string]string{"official": "L", "usual": "D", "maiden": "M", "nickname": "N", "old": "", "temp": "TEMP", "anonymous": "S"}
	addressTypes = map[string]string{"home": "H", "work": "B", "temp": "C", "billing": "BI", "old": "BA"}
	phoneUses    = map[string]string{"home": "PRN", "work": "WPN", "": "PRN", "temp": "VHN"}
	sexes        = map[string]string{"female": "F", "male": "M", "other": "O", "unknown": "U"}
)

// cx is an identifier as the receiver writes it.
func (m *message) cx(system, value, kind string) hl7.Parts {
	var authority hl7.Parts
	local, _ := strings.CutPrefix(system, "urn:hl7v2:"+url.PathEscape(m.Source)+":")
	oid, isOID := strings.CutPrefix(system, "urn:oid:")
	switch name := m.named(system); {
	case name != "":
		authority = hl7.Parts{name}
	case local != system:
		if name, err := url.PathUnescape(local); err == nil {
			authority = hl7.Parts{name}
		}
	case isOID:
		authority = hl7.Parts{"", oid, "ISO"}
	case system != "":
		authority = hl7.Parts{"", system, "URI"}
	}
	return hl7.Parts{value, "", "", authority, kind}
}

// named is what the receiver calls a system; of several names the first.
func (m *message) named(system string) string {
	var all []string
	for name, uri := range m.Systems {
		if uri == system {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return strings.Join(all[:min(len(all), 1)], "")
}

func orElse(s, or string) string {
	if s == "" {
		return or
	}
	return s
}

func texts(n fhir.Node, name string) (all []string) {
	for v := range n.Get(name).Items() {
		if s := v.Text(); s != "" {
			all = append(all, s)
		}
	}
	return all
}

// stamp is a FHIR date, dateTime or instant as a TS of the same precision.
func stamp(s string) (ts string, err error) {
	for _, f := range []struct{ fhir, hl7 string }{
		{time.RFC3339Nano, "20060102150405-0700"}, {"2006-01-02", "20060102"}, {"2006-01", "200601"}, {"2006", "2006"},
	} {
		if t, err := time.Parse(f.fhir, s); err == nil {
			return t.Format(f.hl7), nil
		}
	}
	return "", errors.New("not a time")
}

// concept is a CodeableConcept as a CE.
func concept(n fhir.Node) hl7.Parts {
	text := n.Get("text").Text()
	for c := range n.All("coding") {
		return hl7.Parts{c.Get("code").Text(), orElse(c.Get("display").Text(), text), codeSystems[c.Get("system").Text()]}
	}
	return hl7.Parts{"", text}
}

// codeSystems are those of table 0396 that are written by name.
var codeSystems = map[string]string{
	"http://loinc.org": "LN", "http://snomed.info/sct": "SCT", "http://hl7.org/fhir/sid/icd-10-cm": "I10C", "http://hl7.org/fhir/sid/icd-10": "I10",
	"http://terminology.hl7.org/CodeSystem/v2-0276": "HL70276", "http://terminology.hl7.org/CodeSystem/v2-0277": "HL70277",
}

var errNoStart = errors.New("no time is asked for, in Appointment.start or requestedPeriod")

// appointment writes SRM or SIU: when, why, what and with whom, as far as the
// other side can know them: places and people with an identifier or a name.
func (m *message) appointment() error {
	start, end := m.r.Get("start").Text(), m.r.Get("end").Text()
	if start == "" {
		p := m.r.Root().At("requestedPeriod")
		start, end = p.Get("start").Text(), p.Get("end").Text()
	}
	from, err := stamp(start)
	if err != nil {
		return errNoStart
	}
	to, _ := stamp(end)
	cancelled := m.r.Get("status").Is("cancelled")
	trigger := func(first, later, cancel string) string {
		switch {
		case cancelled:
			return cancel
		case m.l.Later:
			return later
		}
		return first
	}
	reason, kind := concept(m.r.Root().At("reasonCode")), concept(m.r.Get("appointmentType"))
	minutes, unit := m.r.Get("minutesDuration").Text(), hl7.Parts{"min"}
	if minutes == "" {
		unit = nil
	}
	person := hl7.Parts{"", m.name()}
	if m.Notify {
		m.begin("SIU", trigger("S12", "S14", "S15"), "SIU_S12")
		status := map[string]string{"proposed": "Pending", "pending": "Pending", "booked": "Booked", "cancelled": "Cancelled"}[m.r.Get("status").Text()]
		m.Segment("SCH", hl7.Fields{1: m.number(), 6: hl7.Parts{orElse(status, "Pending")}, 7: reason, 8: kind, 9: minutes, 10: unit, 11: hl7.Parts{"", "", "", from, to}, 16: person, 20: person, 25: status})
	} else {
		m.begin("SRM", trigger("S01", "S03", "S04"), "SRM_S01")
		m.Segment("ARQ", hl7.Fields{1: m.number(), 7: reason, 8: kind, 9: minutes, 10: unit, 11: hl7.Parts{from, to}, 15: person, 19: person})
	}
	if words := strings.Join(append(texts(m.r.Root(), "comment"), texts(m.r.Root(), "patientInstruction")...), "\n"); words != "" {
		m.Segment("NTE", hl7.Fields{1: "1", 3: words})
	}
	m.patient()
	m.Segment("RGS", hl7.Fields{1: "1"})
	n := map[string]int{}
	resource := func(name string, fields hl7.Fields) {
		n[name]++
		fields[1] = strconv.Itoa(n[name])
		m.Segment(name, fields)
	}
	for s := range m.r.All("serviceType") {
		resource("AIS", hl7.Fields{3: concept(s), 4: from})
	}
	for p := range m.r.All("participant.actor") {
		id, name := p.At("identifier.value").Text(), p.Get("display").Text()
		ref, _ := fhir.ParseRef(p.Get("reference").Text())
		switch typ := orElse(p.Get("type").Text(), ref.Type); {
		case isPatient(p), id == "" && name == "":
		case typ == "Location":
			resource("AIL", hl7.Fields{3: hl7.Parts{orElse(id, name)}})
		case typ == "Practitioner", typ == "PractitionerRole":
			resource("AIP", hl7.Fields{3: hl7.Parts{id, name}})
		default:
			resource("AIG", hl7.Fields{3: hl7.Parts{id, name}})
		}
	}
	return nil
}

// content is one piece of what is said: text, or a file.
type content struct {
	text       string
	mime, data string
}

var (
	errNoContent = errors.New("there is no content to send")
	errReferred  = errors.New("content that is only referred to has no place in HL7 v2")
)

// contents are the payload of a Communication, or what a Task asks for.
func (m *message) contents() (all []content, err error) {
	say := func(s string) {
		if s != "" {
			all = append(all, content{text: s})
		}
	}
	if m.r.Type() == "Task" {
		say(orElse(m.r.Root().At("code.text").Text(), m.r.Root().At("code.coding.display").Text()))
		say(m.r.Get("description").Text())
		for n := range m.r.All("note.text") {
			say(n.Text())
		}
	} else {
		say(m.r.Root().At("topic.text").Text())
		for p := range m.r.All("payload") {
			if f := p.Get("contentAttachment"); !f.Get("data").IsZero() {
				all = append(all, content{mime: f.Get("contentType").Text(), data: f.Get("data").Text()})
			} else if p.Get("contentString").IsZero() {
				return nil, errReferred
			}
			say(p.Get("contentString").Text())
		}
	}
	if len(all) == 0 {
		return nil, errNoContent
	}
	return all, nil
}

// words writes what a patient says as a document, or as a result.
func (m *message) words() error {
	all, err := m.contents()
	if err != nil {
		return err
	}
	sent := m.now()
	for _, name := range []string{"sent", "authoredOn"} {
		if ts, err := stamp(m.r.Get(name).Text()); err == nil {
			sent = ts
		}
	}
	if m.Results {
		m.begin("ORU", "R01", "ORU_R01")
		m.patient()
		m.Segment("OBR", hl7.Fields{1: "1", 2: m.number(), 3: m.number(), 4: hl7.Parts{"", patientMessage}, 7: sent, 22: sent, 25: "F"})
	} else {
		m.begin("MDM", "T02", "MDM_T02")
		m.event()
		m.patient()
		m.Segment("PV1", hl7.Fields{2: "N"})
		m.Segment("TXA", hl7.Fields{1: "1", 2: patientMessage, 3: "TX", 4: sent, 12: m.number(), 17: "DO"})
	}
	for i, c := range all {
		obx := hl7.Fields{1: strconv.Itoa(i + 1), 2: "TX", 3: hl7.Parts{"", patientMessage}, 4: strconv.Itoa(i + 1), 5: c.text, 11: "F"}
		if c.data != "" {
			typ, sub, _ := strings.Cut(c.mime, "/")
			obx[2], obx[5] = "ED", hl7.Parts{"", typ, sub, "Base64", c.data}
		}
		m.Segment("OBX", obx)
	}
	return nil
}

// patientMessage is what the documents and results are called.
const patientMessage = "Patient message"
