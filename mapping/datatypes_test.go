package mapping

import (
	"encoding/json"
	"testing"
	"time"

	"firebreak/adapters/hl7"
	"firebreak/inbox"
)

// field parses a value as the first field of a message of feed "test".
func field(t *testing.T, f *Feed, value string) (*build, hl7.Field) {
	t.Helper()
	m := inbox.Message{Source: "test", Kind: inbox.HL7v2, Body: []byte("MSH|^~\\&|||||20260101\rZZZ|" + value + "\r")}
	msg, err := hl7.Parse(m.Body)
	if err != nil {
		t.Fatal(err)
	}
	if f == nil {
		f = &Feed{Source: "test"}
	}
	return &build{feed: f, in: m, msg: msg}, msg.Segment("ZZZ").Field(1)
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestMoment(t *testing.T) {
	toronto, err := time.LoadLocation("America/Toronto")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		sent string
		zone *time.Location
		want string
	}{
		{"2026", nil, "2026"},
		{"202601", nil, "2026-01"},
		{"20260131", nil, "2026-01-31"},
		{"20260131+0500", nil, "2026-01-31"},
		{"2026013108", nil, "2026-01-31"}, // FHIR has no hour alone
		{"202601310805", nil, "2026-01-31T08:05:00+00:00"},
		{"202601310805", toronto, "2026-01-31T08:05:00-05:00"},
		{"20260731080559", toronto, "2026-07-31T08:05:59-04:00"},
		{"20260731080559.10", nil, "2026-07-31T08:05:59.10+00:00"},
		{"198808181126+0215", toronto, "1988-08-18T11:26:00+02:15"},
		{"20261101013000", toronto, "2026-11-01"}, // twice that night
		{"20260308023000", toronto, "2026-03-08"}, // never that night
		{"20260230", nil, ""},
		{"2026-01-31", nil, ""},
		{"20260131T0805", nil, ""},
		{"31012026", nil, ""},
		{"yesterday", nil, ""},
	} {
		f := Feed{Zone: c.zone}
		m, ok := f.moment(c.sent)
		if m.text != c.want || ok != (c.want != "") {
			t.Errorf("%s: %q, want %q", c.sent, m.text, c.want)
		}
	}
}

func TestAuthorities(t *testing.T) {
	declared := &Feed{Source: "test", Authority: "HERE", Systems: map[string]string{"MERCY": "https://mercy.example/mrn"}}
	for _, c := range []struct {
		feed     *Feed
		hd, want string
	}{
		{nil, "MERCY", "urn:hl7v2:test:MERCY"},
		{nil, "SIMULATOR MRN", "urn:hl7v2:test:SIMULATOR%20MRN"},
		{nil, "MERCY&1.2.840.113619&ISO", "urn:oid:1.2.840.113619"},
		{nil, "&2.16.840.1.113883.3.9&ISO", "urn:oid:2.16.840.1.113883.3.9"},
		{nil, "&2.16.840.1.113883.3.9", "urn:oid:2.16.840.1.113883.3.9"},
		{nil, "&0.MERCY&ISO", "urn:hl7v2:test:0.MERCY"},
		{nil, "&C6EE0B5B-5BBC-4ABC-9D6F-3D2C3F7B8C1A&UUID", "urn:uuid:c6ee0b5b-5bbc-4abc-9d6f-3d2c3f7b8c1a"},
		{nil, "&https://ids.example/x&URI", "https://ids.example/x"},
		{nil, "", ""},
		{declared, "MERCY&1.2.3.4.5&ISO", "https://mercy.example/mrn"},
		{declared, "", "urn:hl7v2:test:HERE"},
	} {
		b, f := field(t, c.feed, "1^^^"+c.hd)
		if got := b.feed.issuer(first(f).in(4)); got != c.want {
			t.Errorf("%s: %q, want %q", c.hd, got, c.want)
		}
	}
}

func TestCodingSystems(t *testing.T) {
	f := &Feed{Source: "test", Systems: map[string]string{"WinPath": "https://lab.example/winpath"}}
	for name, want := range map[string]string{
		"LN": "http://loinc.org", "ln": "http://loinc.org", "SCT": sct, "SNM3": sct,
		"I10": "http://hl7.org/fhir/sid/icd-10", "I10C": "http://hl7.org/fhir/sid/icd-10-cm",
		"HL70001": v2System + "0001", "hl70487": v2System + "0487",
		"2.16.840.1.113883.6.96": "urn:oid:2.16.840.1.113883.6.96",
		"WinPath":                "https://lab.example/winpath",
		"99LAB":                  "urn:hl7v2:test:99LAB", "L": "urn:hl7v2:test:L", "": "",
	} {
		if got := f.coding(name, ""); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	if got := f.coding("99LAB", "1.2.3.4.5"); got != "urn:oid:1.2.3.4.5" {
		t.Errorf("an unknown name with an OID: %q", got)
	}
}

func TestConcept(t *testing.T) {
	for _, c := range []struct{ name, cwe, table, want string }{
		{"as sent", "2160-0^Creatinine^LN^CREA^Kreatinin^99LAB^2.74^1^creatinine, serum", "",
			`{"coding":[{"system":"http://loinc.org","version":"2.74","code":"2160-0","display":"Creatinine"},{"system":"urn:hl7v2:test:99LAB","version":"1","code":"CREA","display":"Kreatinin"}],"text":"creatinine, serum"}`},
		{"by the field's table, the sent code behind", "S^Single", "MaritalStatus",
			`{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-MaritalStatus","code":"S","display":"Never Married"},{"system":"http://terminology.hl7.org/CodeSystem/v2-0002","code":"S","display":"Single"}]}`},
		{"once where the map gives the table itself", "CAR", "HospitalService",
			`{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0069","code":"CAR","display":"Cardiac Service"}]}`},
		{"not by the table when it names another system", "S^^99MINE", "MaritalStatus",
			`{"coding":[{"system":"urn:hl7v2:test:99MINE","code":"S"}]}`},
		{"outside the table", "28b", "AdmissionType", `{"coding":[{"code":"28b"}]}`},
		{"words alone are text", "^Chest pain", "", `{"text":"Chest pain"}`},
		{"what cannot be a code is text", "two  blanks", "", `{"text":"two  blanks"}`},
		{"the alternate alone", "^^^I21.4^NSTEMI^I10", "", `{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10","code":"I21.4","display":"NSTEMI"}]}`},
		{"null", `""`, "", `null`},
		{"nothing but separators", "^^^^", "", `null`},
		{"escapes", `A\T\B^Ham \F\ eggs`, "", `{"coding":[{"code":"A\u0026B","display":"Ham | eggs"}]}`},
	} {
		b, f := field(t, nil, c.cwe)
		if got := asJSON(t, b.concept(first(f), c.table)); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestTelecom(t *testing.T) {
	for _, c := range []struct{ name, xtn, use, want string }{
		{"as one string", "(613)555-0101", "home", `{"value":"(613)555-0101","use":"home"}`},
		{"the field's use only where none is sent", "555^WPN", "home", `{"value":"555","use":"work"}`},
		{"FHIR's own word", "555^HOME", "", `{"value":"555","use":"home"}`},
		{"a use of no table", "555^XYZ", "home", `{"value":"555"}`},
		{"e-mail by type", "^NET^Internet^a@b.example", "", `{"system":"email","value":"a@b.example"}`},
		{"e-mail by its place", "^^^a@b.example", "", `{"system":"email","value":"a@b.example"}`},
		{"a pager", "555^^BP", "", `{"system":"pager","value":"555"}`},
		{"a mobile", "555^^CP", "", `{"system":"phone","value":"555","use":"mobile"}`},
		{"unformatted", "^^PH^^^^^^^^^5550101", "", `{"system":"phone","value":"5550101"}`},
		{"nothing", "^PRN^PH", "home", "null"},
	} {
		b, f := field(t, nil, c.xtn)
		if got := asJSON(t, b.telecom(first(f), c.use)); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestVisitStatus(t *testing.T) {
	for _, c := range []struct {
		trigger, class string
		ended          bool
		want           string
	}{
		{"A01", "I", false, "in-progress"},
		{"A01", "I", true, "finished"},
		{"A01", "P", false, "planned"},
		{"A03", "I", false, "finished"},
		{"A04", "O", false, "in-progress"},
		{"A04", "EMERGENCY", false, "planned"},
		{"A05", "O", false, "planned"},
		{"A08", "I", false, "in-progress"},
		{"A08", "LOCAL", false, "unknown"},
		{"A08", "U", false, "unknown"},
		{"A11", "I", true, "cancelled"},
		{"A13", "I", false, "in-progress"},
		{"A21", "I", false, "onleave"},
		{"A23", "I", true, "entered-in-error"},
		{"A38", "P", false, "cancelled"},
		{"A52", "I", false, "in-progress"},
		{"A53", "I", false, "onleave"},
		{"", "I", false, "in-progress"},
		{"", "LOCAL", true, "finished"},
		{"", "LOCAL", false, ""},
		{"A06", "LOCAL", false, ""},
	} {
		if got, ok := visitStatus(c.trigger, c.class, c.ended); got != c.want || ok != (c.want != "") {
			t.Errorf("%s %s ended=%v: %q, want %q", c.trigger, c.class, c.ended, got, c.want)
		}
	}
}
