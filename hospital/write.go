package hospital

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

const (
	hospitalID = "GENERAL"
	labID      = "VALLEYLAB"
)

// writer collects one person's messages.
type writer struct {
	h     *Hospital
	p     Person
	r     *rand.Rand
	index int
	out   []Message
	order int
}

func stamp(t time.Time) string  { return t.Format("20060102150405-0700") }
func minute(t time.Time) string { return t.Format("200601021504-0700") }

// controlID stands where MSH-10 goes until History numbers its messages.
const controlID = "\x00"

// send adds one message; segments come without their CR.
func (w *writer) send(at time.Time, from, event, structure string, segments ...string) {
	if at.After(w.h.now) {
		at = w.h.now
	}
	all := append([]string{strings.Join([]string{"MSH", `^~\&`, "EHR", from, "FIREBREAK", "GATEWAY", stamp(at), "", event + "^" + structure,
		controlID, "P", "2.5.1", "", "", "AL", "NE", "CAN", "UNICODE UTF-8"}, "|")}, segments...)
	w.out = append(w.out, Message{At: at, From: from, Body: []byte(strings.Join(all, "\r") + "\r")})
}

func (w *writer) pid() string {
	p := w.p
	return strings.Join([]string{"PID", "1", "", p.MRN + "^^^GENERAL^MR~" + p.PHN + "^^^BCPHN^JHN", "",
		p.Family + "^" + p.Given + "^^^^^L", "", p.Born.Format("20060102"), p.Sex, "", "",
		p.Street + "^^" + p.City + "^BC^V5K 0A1^CAN^H", "", p.Phone + "^PRN^PH^^1^604^" + p.Phone[3:], "", "en"}, "|")
}

func (w *writer) pv1(class, place, doctor, visit string, from, to time.Time) string {
	f := make([]string, 46)
	f[0], f[1], f[2], f[3], f[7], f[10], f[19] = "PV1", "1", class, place, doctor, "MED", visit+"^^^GENERAL^VN"
	f[44] = minute(from)
	if !to.IsZero() {
		f[45] = minute(to)
	}
	return strings.TrimRight(strings.Join(f, "|"), "|")
}

func (w *writer) register() {
	at := w.h.now.AddDate(-3, 0, -w.r.IntN(200))
	segments := []string{"EVN|A28|" + stamp(at), w.pid(),
		"PD1||||" + doctors[w.index%len(doctors)],
		"NK1|1|" + w.p.Family + "^" + w.p.Kin + "|SPO^Spouse^HL70063|" + w.p.Street + "^^" + w.p.City + "^BC|6045559" + fmt.Sprintf("%03d", w.index%1000) + "^PRN^PH"}
	if w.index == 0 || w.r.IntN(3) == 0 {
		for n := range 1 + w.r.IntN(2) {
			a := allergies[(w.index+n)%len(allergies)]
			segments = append(segments, fmt.Sprintf("AL1|%d|DA^Drug allergy^HL70127|%s^%s^RXNORM|%s|%s|%s", n+1, a.code, a.text, a.severity, a.reaction, at.Format("20060102")))
		}
	}
	w.send(at, hospitalID, "ADT^A28", "ADT_A05", segments...)
}

// stay is an admission with a transfer and, when it is over, a discharge.
func (w *writer) stay(at time.Time) {
	at = w.hour(at, 0, 24)
	visit := fmt.Sprintf("V%05d%s", w.index, at.Format("060102"))
	doctor, ward := pick(w.r, doctors), pick(w.r, wards)
	why := pick(w.r, reasons)
	dg1 := fmt.Sprintf("DG1|1||%s^%s^I10C|%s|%s|A", why.code, why.text, why.text, minute(at))
	w.send(at, hospitalID, "ADT^A01", "ADT_A01", "EVN|A01|"+stamp(at), w.pid(), w.pv1("I", "ED^^^General Hospital", doctor, visit, at, time.Time{}), dg1)
	moved := at.Add(5 * time.Hour)
	w.send(moved, hospitalID, "ADT^A02", "ADT_A02", "EVN|A02|"+stamp(moved), w.pid(), w.pv1("I", ward, doctor, visit, at, time.Time{}))
	w.measure(moved.Add(time.Hour), hospitalID, vitals, 1, "F", doctor)
	left := w.hour(at.AddDate(0, 0, 2+w.r.IntN(5)), 10, 6)
	if left.Before(w.h.now) {
		w.send(left, hospitalID, "ADT^A03", "ADT_A03", "EVN|A03|"+stamp(left), w.pid(), w.pv1("I", ward, doctor, visit, at, left), dg1)
		w.note(left.Add(time.Hour), "DS^Discharge summary", doctor, visit,
			"Admitted with "+strings.ToLower(why.text)+".", "Treated on the ward and improved steadily.", "Discharged home; family doctor to review in two weeks.")
	}
}

// hour moves at to a time of its day between from and from+span o'clock.
func (w *writer) hour(at time.Time, from, span int) time.Time {
	return time.Date(at.Year(), at.Month(), at.Day(), from+w.r.IntN(span), w.r.IntN(60), 0, 0, w.h.zone)
}

// bloods is one visit to the laboratory; round 1 is the oldest.
func (w *writer) bloods(at time.Time, round int) {
	at = w.hour(at, 7, 4)
	doctor := doctors[w.index%len(doctors)]
	for i, p := range panels {
		if i > 1 && round%2 == i%2 {
			continue
		}
		if w.r.IntN(4) == 0 && i == 0 { // preliminary first, then final, now and then corrected
			order := w.order
			w.measure(at, labID, p, round, "P", doctor)
			w.order = order
		}
		w.measure(at, labID, p, round, "F", doctor)
	}
}

// measure sends one panel of results. The same order number and time make the
// values of a preliminary and a final report agree.
func (w *writer) measure(at time.Time, from string, p panel, round int, status, doctor string) {
	w.order++
	number := fmt.Sprintf("%s%05d%04d", from[:1], w.index, w.order)
	reported := at.Add(3 * time.Hour)
	if status == "P" {
		reported = at.Add(time.Hour)
	}
	code := p.code + "^" + p.name + "^LN"
	if p.code == "" {
		code = "P" + strconv.Itoa(len(p.name)) + "^" + p.name + "^L"
	}
	segments := []string{w.pid(), "ORC|RE|" + number + "|" + number + "F", obr(number, code, at, reported, status, doctor)}
	for i, a := range p.tests {
		r := w.h.random(w.index, uint64(at.Unix())*64+uint64(i))
		value := a.mean + a.spread*(0.75*r.NormFloat64()+0.5*math.Sin(float64(w.index+i)+float64(round)/3))
		if w.index == 0 && a.loinc == "2823-3" && round == 24 {
			value = 6.2
		}
		segments = append(segments, obx(i+1, a, math.Max(value, a.mean/10), status, at))
	}
	segments = append(segments, "SPM|1|"+number+"S^"+number+"S||BLD^Whole blood^HL70487|||||||||||||"+minute(at))
	w.send(reported, from, "ORU^R01", "ORU_R01", segments...)
}

func obr(number, code string, at, reported time.Time, status, doctor string) string {
	f := make([]string, 26)
	f[0], f[1], f[2], f[3], f[4], f[7], f[16], f[22], f[25] = "OBR", "1", number, number+"F", code, minute(at), doctor, minute(reported), status
	return strings.Join(f, "|")
}

func obx(n int, a analyte, value float64, status string, at time.Time) string {
	text := strconv.FormatFloat(value, 'f', a.digits, 64)
	value, _ = strconv.ParseFloat(text, 64)
	flag, interval := "", ""
	switch {
	case a.low > 0 && a.high > 0:
		interval = strconv.FormatFloat(a.low, 'f', a.digits, 64) + "-" + strconv.FormatFloat(a.high, 'f', a.digits, 64)
	case a.high > 0:
		interval = "<" + strconv.FormatFloat(a.high, 'f', a.digits, 64)
	case a.low > 0:
		interval = ">=" + strconv.FormatFloat(a.low, 'f', a.digits, 64)
	}
	switch {
	case a.high > 0 && value > a.high*1.2 && a.critical:
		flag = "HH"
	case a.high > 0 && value > a.high:
		flag = "H"
	case a.low > 0 && value < a.low*0.8 && a.critical:
		flag = "LL"
	case a.low > 0 && value < a.low:
		flag = "L"
	}
	return fmt.Sprintf("OBX|%d|NM|%s^%s^LN||%s|%s^%s^UCUM|%s|%s|||%s|||%s", n, a.loinc, a.name, text, a.unit, a.unit, interval, flag, status, minute(at))
}

func (w *writer) imaging(at time.Time) {
	at = w.hour(at, 8, 9)
	w.order++
	number := fmt.Sprintf("R%05d%04d", w.index, w.order)
	doctor := pick(w.r, doctors)
	w.send(at.Add(4*time.Hour), hospitalID, "ORU^R01", "ORU_R01", w.pid(), "ORC|RE|"+number+"|"+number+"F",
		obr(number, "36643-5^Chest X-ray 2 views^LN", at, at.Add(4*time.Hour), "F", doctor),
		"OBX|1|TX|36643-5^Chest X-ray 2 views^LN|1|Clinical history: cough for two weeks.||||||F",
		"OBX|2|TX|36643-5^Chest X-ray 2 views^LN|1|The lungs are clear. The heart is not enlarged.||||||F",
		"OBX|3|TX|36643-5^Chest X-ray 2 views^LN|1|Impression: no acute disease.||||||F")
}

func (w *writer) note(at time.Time, kind, doctor, visit string, lines ...string) {
	w.order++
	id := fmt.Sprintf("DOC%05d%04d", w.index, w.order)
	f := make([]string, 20)
	f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[9], f[12], f[17] = "TXA", "1", kind, "TX", minute(at), doctor, minute(at), doctor, id+"^EHR", "AU"
	segments := []string{"EVN|T02|" + stamp(at), w.pid(), w.pv1("O", "CLINIC^^^General Hospital", doctor, visit, at, time.Time{}), strings.Join(f, "|")}
	for i, line := range lines {
		segments = append(segments, fmt.Sprintf("OBX|%d|TX|%s^L||%s||||||F", i+1, kind, line))
	}
	w.send(at, hospitalID, "MDM^T02", "MDM_T02", segments...)
}

// letter is a report that comes as a PDF inside OBX-5.
func (w *writer) letter(at time.Time) {
	at = w.hour(at, 8, 9)
	w.order++
	number := fmt.Sprintf("L%05d%04d", w.index, w.order)
	w.send(at, hospitalID, "ORU^R01", "ORU_R01", w.pid(), "ORC|RE|"+number+"|"+number+"F",
		obr(number, "11524-6^EKG study^LN", at, at, "F", pick(w.r, doctors)),
		"OBX|1|ED|11524-6^EKG study^LN||EHR^application^pdf^Base64^"+pdf("Electrocardiogram", "Sinus rhythm, 72 per minute.", "Normal axis. No acute changes.")+"||||||F")
}

func (w *writer) appointments() {
	for i, when := range []time.Time{w.h.now.AddDate(0, 0, 3+w.r.IntN(30)), w.h.now.AddDate(0, 0, -(30 + w.r.IntN(60)))} {
		start := time.Date(when.Year(), when.Month(), when.Day(), 9+w.r.IntN(7), 30*w.r.IntN(2), 0, 0, w.h.zone)
		id := fmt.Sprintf("A%05d%d", w.index, i)
		booked := start.AddDate(0, 0, -35)
		clinic := pick(w.r, []string{"Cardiology", "Family practice", "Orthopaedics", "Diabetes education"})
		event, status := "SIU^S12", "Booked"
		w.send(booked, hospitalID, event, "SIU_S12",
			"SCH|"+id+"^EHR|"+id+"F^EHR|||||ROUTINE^Routine^HL70276|FOLLOWUP^Follow-up visit^HL70277|30|min^^UCUM|^^30^"+minute(start)+"^"+minute(start.Add(30*time.Minute))+"|||||"+doctors[w.index%len(doctors)]+"||||"+doctors[w.index%len(doctors)]+"|||||"+status,
			w.pid(), "RGS|1", "AIP|1||"+doctors[w.index%len(doctors)], "AIL|1||"+strings.ToUpper(clinic)+"^^^General Hospital|"+"CLI^"+clinic+"^L")
	}
}
