package mapping_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"firebreak/adapters/hl7"
	"firebreak/fhir"
	"firebreak/internal/corpus"
	"firebreak/mapping"
)

// of gives the resources of one type, by id.
func of(r mapping.Result, typ string) map[string]mapping.Resource {
	all := map[string]mapping.Resource{}
	for _, res := range r.Resources {
		if res.Type() == typ {
			all[res.ID()] = res
		}
	}
	return all
}

func keys(m map[string]mapping.Resource) []string {
	var all []string
	for k := range m {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

func mapped(t testing.TB, body string) mapping.Result {
	t.Helper()
	r, err := mapping.Map(mapping.NewKeys(secret), message([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// lines joins segments.
func lines(segs ...string) string { return strings.Join(segs, "\r") + "\r" }

const (
	header = `MSH|^~\&|LAB|MERCY|GW|GW|%s||%s|%s|P|2.5.1`
	person = `PID|1||12345^^^MERCY^MR||Roe^Jane`
)

// TestLaterStatusIsALaterVersion: preliminary, final, corrected, cancelled and
// deleted results of one order are versions of the same report and Observations,
// in the order of OBR-22, whatever OBX-1, the text of codes or a fraction of the
// panel does.
func TestLaterStatusIsALaterVersion(t *testing.T) {
	var was mapping.Result
	for i, state := range []string{"P", "F", "C", "X", "D"} {
		at := fmt.Sprintf("2026030212%02d00+0000", i)
		report := state
		if state == "D" {
			report = "C"
		}
		now := mapped(t, lines(
			fmt.Sprintf(header, at, "ORU^R01", fmt.Sprint("M", i)), person,
			"ORC|RE|P1^EHR|F1^LAB||CM",
			"OBR|1|P1^EHR|F1^LAB|24323-8^"+fmt.Sprint("Panel", i)+"^LN|||20260302|||||||||||||||"+at+"|||"+report,
			fmt.Sprintf("OBX|%d|NM|2345-7^Glucose^LN|1|5.%d|mmol/L|||||%s", i+1, i, state),
			fmt.Sprintf("OBX|%d|NM|2345-7^Glucose^LN|2|6.%d|mmol/L|||||%s", i+2, i, state),
			fmt.Sprintf("OBX|%d|ED|11488-4^Note^LN||^text^plain^A^Text %d||||||%s", i+3, i, state),
		))
		if i > 0 {
			for _, typ := range []string{"Observation", "DiagnosticReport", "ServiceRequest", "DocumentReference", "Binary"} {
				a, b := of(was, typ), of(now, typ)
				if !slices.Equal(keys(a), keys(b)) || len(a) == 0 {
					t.Errorf("%s: %s ids %v, then %v", state, typ, keys(a), keys(b))
				}
				for id := range b {
					if !b[id].At.After(a[id].At) {
						t.Errorf("%s: a %s is not later than before", state, typ)
					}
				}
			}
		}
		was = now
	}
}

// TestStreamSupersedes: Simulated Hospital sends a result as preliminary, final
// and corrected, some out of order. By its time, OBR-22, the last version is
// never the preliminary one, and no two results share an Observation.
func TestStreamSupersedes(t *testing.T) {
	type version struct {
		at     time.Time
		status string
	}
	k := mapping.NewKeys(secret)
	owner := map[string]string{}       // Observation id: order and code
	versions := map[string][]version{} // the same: what came, in order of arrival
	late := 0
	for _, body := range corpus.Stream(t) {
		msg, err := hl7.Parse(body)
		if err != nil || msg.Type().Code != "ORU" {
			continue
		}
		r, err := mapping.Map(k, message(body))
		if err != nil {
			t.Fatal(err)
		}
		obr := msg.Segment("OBR")
		order := r.Patient.ID + " " + obr.Field(2).Raw() + "/" + obr.Field(3).Raw() + " "
		for id, res := range of(r, "Observation") {
			what := order + res.Root().At("code.coding.code").Text()
			if was, ok := owner[id]; ok && was != what {
				t.Errorf("one Observation for %q and %q", was, what)
			}
			owner[id] = what
			v := version{res.At, res.Get("status").Text()}
			if n := len(versions[what]); n > 0 && v.at.Before(versions[what][n-1].at) {
				late++
			}
			versions[what] = append(versions[what], v)
		}
	}
	if len(owner) != len(versions) {
		t.Errorf("%d Observations for %d results", len(owner), len(versions))
	}
	thrice := 0
	for what, all := range versions {
		if len(all) < 3 {
			continue
		}
		thrice++
		top := slices.MaxFunc(all, func(a, b version) int { return a.at.Compare(b.at) })
		if top.status == "preliminary" {
			t.Errorf("%s: preliminary lies over final", what)
		}
	}
	if thrice < 50 || late == 0 {
		t.Errorf("%d results came three times, %d versions late", thrice, late)
	}
}

// TestNothingIsLost: every value that an OBX of the corpus brings is in a
// resource: as text, as the digits of a number, inside a Binary.
func TestNothingIsLost(t *testing.T) {
	k := mapping.NewKeys(secret)
	checked := 0
	messages(t, func(name string, body []byte) {
		msg, err := hl7.Parse(body)
		if err != nil || !strings.Contains(" ORU ORM OML MDM SIU ", " "+msg.Type().Code+" ") {
			return
		}
		r, err := mapping.Map(k, message(body))
		if err != nil {
			return
		}
		hay := words(r)
		for obx := range msg.All("OBX") {
			for rep := range obx.Field(5).Reps() {
				if !rep.Present() {
					continue
				}
				checked++
				if !found(hay, obx.Field(2).String(), rep) {
					t.Errorf("%s: OBX-5 of segment %d (%s) is in no resource", name, obx.Index(), obx.Field(2).String())
				}
			}
		}
	})
	if checked < 10_000 {
		t.Errorf("only %d values checked", checked)
	}
}

// words is all text of a message's resources, Binaries decoded.
func words(r mapping.Result) string {
	var b strings.Builder
	for _, res := range r.Resources {
		if res.Type() == "Binary" {
			data, err := base64.StdEncoding.DecodeString(res.Get("data").Text())
			if err != nil {
				return ""
			}
			b.Write(data)
			b.WriteString("\n" + res.Get("data").Text() + "\n")
			continue
		}
		res.Root().Each(func(_ string, v fhir.Node) bool {
			b.WriteString(v.Text() + "\n")
			return true
		})
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func found(hay, typ string, rep hl7.Repetition) bool {
	has := func(s string) bool {
		s = strings.Join(strings.Fields(s), " ")
		return s == "" || strings.Contains(hay, s)
	}
	switch typ {
	case "DT", "TS", "DTM", "DR", "TM":
		return has(rep.Component(1).String()) || has(rep.Component(1).String()[:4])
	case "CE", "CWE", "CNE", "IS", "SN", "NR", "VR":
		for i := 1; i <= min(rep.Components(), 4); i++ {
			if i != 3 && !has(rep.Component(i).String()) {
				return false
			}
		}
		return true
	case "ED", "RP", "":
		return has(rep.Text()) || has(rep.Component(5).Text()) || has(rep.Component(5).Text()+"=") || has(rep.Component(5).Text()+"==") || has(rep.Component(1).String()) && typ == "RP"
	}
	return has(rep.Text())
}

// TestOthersAreUntouched: without one of its results a message gives the same
// bytes for all others: no id, note or time of a result depends on its
// neighbours, so that a withheld one shows through none.
func TestOthersAreUntouched(t *testing.T) {
	for _, name := range []string{"oru-panel", "oru-value-types", "oru-documents", "oru-flags-ranges"} {
		body := read(t, name)
		whole := mapped(t, string(body))
		segs := strings.Split(strings.TrimSuffix(string(body), "\r"), "\r")
		for i, s := range segs {
			if !strings.HasPrefix(s, "OBX|") {
				continue
			}
			rest := slices.Delete(slices.Clone(segs), i, i+1)
			for i < len(rest) && strings.HasPrefix(rest[i], "NTE|") {
				rest = slices.Delete(rest, i, i+1)
			}
			for _, typ := range []string{"Observation", "DocumentReference", "Binary", "Specimen", "ServiceRequest", "Encounter", "Patient"} {
				all := of(whole, typ)
				for id, res := range of(mapped(t, lines(rest...)), typ) {
					if was, ok := all[id]; !ok || !bytes.Equal(was.JSON(), res.JSON()) || !was.At.Equal(res.At) {
						t.Errorf("%s without segment %d: a %s differs", name, i+1, typ)
					}
				}
			}
		}
	}
}

// TestOrderAndResultMeet: an order, its answer and its result are versions of
// one ServiceRequest; what only repeats it lies below. An ORC alone adds nothing;
// one that ends the order is another with the same number, for tests may share it.
func TestOrderAndResultMeet(t *testing.T) {
	order := mapped(t, lines(fmt.Sprintf(header, "20260302100000+0000", "ORM^O01", "1"), person, "ORC|NW|P1^EHR|||IP", "OBR|1|P1^EHR||G^Glucose^L"))
	answer := mapped(t, lines(fmt.Sprintf(header, "20260302100010+0000", "ORR^O02", "2"), "MSA|AA|1", person, "ORC|OK|P1^EHR|F1^LAB||IP", "OBR|1|P1^EHR|F1^LAB|G^Glucose^L"))
	repeats := mapped(t, lines(fmt.Sprintf(header, "20260302100010+0000", "ORR^O02", "2"), "MSA|AA|1", person, "ORC|OK|P1^EHR|F1^LAB||IP"))
	alone := mapped(t, lines(fmt.Sprintf(header, "20260302100010+0000", "ORM^O01", "2"), person, "ORC|CA|P1^EHR|F1^LAB||CA"))
	bare := mapped(t, lines(fmt.Sprintf(header, "20260302110000+0000", "ORU^R01", "3"), person, "ORC|RE|P1^EHR|F1^LAB||P", "OBR|1|P1^EHR|F1^LAB|G^Glucose^L|||20260302||||||||||||||||||P"))
	done := mapped(t, lines(fmt.Sprintf(header, "20260302120000+0000", "ORU^R01", "4"), person, "ORC|RE|P1^EHR|F1^LAB||CM", "OBR|1|P1^EHR|F1^LAB|G^Glucose^L|||20260302||||||||||||||||||F"))
	ids := keys(of(order, "ServiceRequest"))
	for _, r := range []mapping.Result{answer, bare, done} {
		if !slices.Equal(keys(of(r, "ServiceRequest")), ids) || len(ids) != 1 {
			t.Fatalf("%v, then %v", ids, keys(of(r, "ServiceRequest")))
		}
	}
	at := func(r mapping.Result) mapping.Resource { return of(r, "ServiceRequest")[ids[0]] }
	if len(of(repeats, "ServiceRequest")) != 0 || len(of(alone, "ServiceRequest")) != 1 {
		t.Error("an ORC alone is one order if it ends it, and none if not")
	}
	for id, x := range of(alone, "ServiceRequest") {
		var numbers []string
		for n := range x.All("identifier.value") {
			numbers = append(numbers, n.Text())
		}
		if id == ids[0] || !slices.Contains(numbers, "P1") {
			t.Errorf("an ORC alone is %s", x.JSON())
		}
	}
	if !at(bare).At.Before(at(order).At) {
		t.Error("what only repeats the order lies above it")
	}
	if !at(done).At.After(at(order).At) || !at(done).Get("status").Is("completed") {
		t.Error("the result does not complete the order")
	}
}

// TestDocumentVersions: a note that is edited is a later version, with its
// Binary; a notification without content lies below both.
func TestDocumentVersions(t *testing.T) {
	note := func(at, trigger, state string, obx ...string) mapping.Result {
		return mapped(t, lines(append([]string{fmt.Sprintf(header, at, "MDM^"+trigger, at), "EVN|" + trigger + "|" + at, person,
			"TXA|1|PN|TX|||||||||D1|||||" + state}, obx...)...))
	}
	text := func(s string) string { return "OBX|1|TX|N^Note^L||" + s + "||||||F" }
	first, edited := note("20260302100000+0000", "T02", "DO", text("one")), note("20260302110000+0000", "T08", "AU", text("two"))
	status, gone := note("20260302120000+0000", "T03", "LA"), note("20260302130000+0000", "T11", "LA")
	for _, typ := range []string{"DocumentReference", "Binary"} {
		a, b := of(first, typ), of(edited, typ)
		if !slices.Equal(keys(a), keys(b)) || len(a) != 1 {
			t.Errorf("%s: %v, then %v", typ, keys(a), keys(b))
		}
	}
	id := keys(of(first, "DocumentReference"))[0]
	at := func(r mapping.Result) mapping.Resource { return of(r, "DocumentReference")[id] }
	if !at(edited).At.After(at(first).At) || !at(status).At.Before(at(first).At) || !at(gone).At.After(at(edited).At) {
		t.Error("the versions do not follow each other")
	}
	if !at(gone).Get("status").Is("entered-in-error") {
		t.Error("a document taken back still stands")
	}
}

// TestAppointmentKeepsItsID from booking to no-show.
func TestAppointmentKeepsItsID(t *testing.T) {
	var ids []string
	for i, trigger := range []string{"S12", "S13", "S14", "S15", "S16", "S17", "S26"} {
		r := mapped(t, lines(fmt.Sprintf(header, fmt.Sprintf("202603021%d0000+0000", i), "SIU^"+trigger, trigger),
			"SCH|A1^EHR|B1^SCH||||||||||||||||||||||||Booked", person))
		now := keys(of(r, "Appointment"))
		if ids != nil && !slices.Equal(now, ids) || len(now) != 1 {
			t.Errorf("%s: %v, before %v", trigger, now, ids)
		}
		ids = now
	}
}

// BenchmarkORU maps a result message with five OBX.
func BenchmarkORU(b *testing.B) {
	segs := []string{fmt.Sprintf(header, "20260302120000+0000", "ORU^R01", "M1"), person,
		"PV1|1|I|W1^2^B^MERCY||||||||||||||||V77^^^MERCY^VN",
		"ORC|RE|P1^EHR|F1^LAB||CM", "OBR|1|P1^EHR|F1^LAB|24323-8^Panel^LN|||20260302103000+0000|||||||||||||||20260302114500+0000||CH|F"}
	for i := range 5 {
		segs = append(segs, fmt.Sprintf("OBX|%d|NM|234%d-7^Analyte %d^LN||5.4%d|mmol/L^mmol/L^UCUM|3.9 - 5.5|N|||F|||20260302103000+0000", i+1, i, i, i))
	}
	m := message([]byte(lines(segs...)))
	k := mapping.NewKeys(secret)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := mapping.Map(k, m); err != nil {
			b.Fatal(err)
		}
	}
}
