package mapping_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firebreak/fhir"
	"firebreak/fhir/r4def"
	"firebreak/internal/corpus"
	"firebreak/mapping"
)

// entries is the document of testdata with one entry of each kind; its patient is
// D-1001 of 1.2.3.4.5.1, born 1970-01-31.
func entries(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "ccda-entries.xml"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// mdm is a message that carries a document, about the patient of pid.
func mdm(pid string, doc []byte) []byte {
	return []byte("MSH|^~\\&|EHR|OAK|FB|FB|20260301090000+0000||MDM^T02^MDM_T02|M1|P|2.5.1\r" + pid + "\r" +
		"TXA|1|CN||20260228120000+0000||||||||DOC1||||||AV\r" +
		"OBX|1|ED|34133-9^Summary^LN||^text^xml^Base64^" + base64.StdEncoding.EncodeToString(doc) + "||||||F\r")
}

func ids(r mapping.Result, typ string) []string {
	var all []string
	for _, res := range r.Resources {
		if res.Type() == typ {
			all = append(all, res.ID())
		}
	}
	return all
}

func TestADocumentInAMessageIsMappedWhenItsPatientIsTheMessages(t *testing.T) {
	k := mapping.NewKeys(secret, mapping.Feed{Source: "test", Systems: map[string]string{"OAK": "urn:oid:1.2.3.4.5.1", "ELM": "urn:oid:1.2.3.4.5.99"}})
	const held = "mapping: ClinicalDocument/recordTarget/patientRole"
	for name, c := range map[string]struct{ pid, want string }{
		"the number and the declared system":    {"PID|1||D-1001^^^OAK^MR||Linden^Ada||19700131|F", ""},
		"the number and the root":               {"PID|1||X^^^Z&9.9^PI~D-1001^^^&1.2.3.4.5.1&ISO^MR||Linden^Ada||19700131|F", ""},
		"no birth date":                         {"PID|1||D-1001^^^OAK^MR||Linden^Ada", ""},
		"social security":                       {"PID|1||77^^^OTHER^MR||Linden^Ada||19700131|F|||||||||||111223333", ""},
		"the number of a name nobody declared":  {"PID|1||D-1001^^^LOCAL^MR||Linden^Ada||197001310815|F", ""},
		"and no birth date to make sure":        {"PID|1||D-1001^^^LOCAL^MR||Linden^Ada", held + "/id: not the message's patient"},
		"the number in another declared system": {"PID|1||D-1001^^^ELM^MR||Linden^Ada||19700131|F", held + "/id: not the message's patient"},
		"the number under another root":         {"PID|1||D-1001^^^&1.2.3.4.5.7&ISO^MR||Linden^Ada||19700131|F", held + "/id: not the message's patient"},
		"another number":                        {"PID|1||D-1002^^^OAK^MR||Linden^Ada||19700131|F", held + "/id: not the message's patient"},
		"another birth date":                    {"PID|1||D-1001^^^OAK^MR||Linden^Ada||19700201|F", held + "/patient/birthTime: not the birth date of the message's patient"},
	} {
		r, err := mapping.Map(k, message(mdm(c.pid, entries(t))))
		if c.want != "" {
			var at *mapping.Error
			if !errors.As(err, &at) || err.Error() != c.want {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var all []fhir.Resource
		whole := ""
		for _, res := range r.Resources {
			all = append(all, res.Resource)
			for _, p := range departures(res.Resource) {
				t.Errorf("%s: %s", name, p)
			}
			if !strings.HasPrefix(res.ID(), r.Patient.ID) {
				t.Errorf("%s: a %s outside the chart", name, res.Type())
			}
			if res.Type() == "DocumentReference" && strings.Contains(string(res.JSON()), ids(r, "Composition")[0]) {
				whole = res.ID()
			}
		}
		for _, p := range r4def.Dangling(all) {
			t.Errorf("%s: %s", name, p)
		}
		if len(ids(r, "Condition")) != 4 || len(ids(r, "Patient")) != 1 || len(ids(r, "Composition")) != 1 || whole == "" {
			t.Errorf("%s: %d Conditions, %d Compositions, whole %q", name, len(ids(r, "Condition")), len(ids(r, "Composition")), whole)
		}
	}
	// What cannot be read stays the file that it is.
	broken := bytes.Replace(entries(t), []byte("</section>"), nil, 1)
	r, err := mapping.Map(k, message(mdm("PID|1||D-1001^^^OAK^MR", broken)))
	if err != nil || len(ids(r, "Binary")) != 1 || len(ids(r, "Condition")) != 0 || !strings.Contains(strings.Join(r.Notes, "\n"), "cannot be read is kept as a file") {
		t.Errorf("%v %v", err, r.Notes)
	}
}

func TestAFactHasOneIdInEveryDocument(t *testing.T) {
	k := mapping.NewKeys(secret, mapping.Feed{Source: "test", Systems: map[string]string{"OAK": "urn:oid:1.2.3.4.5.1"}})
	first, err := mapping.Map(k, clinical(entries(t)))
	if err != nil {
		t.Fatal(err)
	}
	// A later document, other narrative, a section less: the same facts.
	later := bytes.ReplaceAll(entries(t), []byte(`extension="doc-1"`), []byte(`extension="doc-2"`))
	later = bytes.ReplaceAll(later, []byte("20260228120000-0500"), []byte("20260301120000-0500"))
	second, err := mapping.Map(k, clinical(later))
	if err != nil {
		t.Fatal(err)
	}
	inside, err := mapping.Map(k, message(mdm("PID|1||D-1001^^^OAK^MR", entries(t))))
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range []string{"Patient", "Condition", "AllergyIntolerance", "MedicationStatement", "MedicationRequest", "Immunization", "Procedure", "Device", "Observation", "DiagnosticReport", "Encounter", "Goal", "ServiceRequest", "Specimen", "Practitioner"} {
		a, b, c := strings.Join(ids(first, typ), " "), strings.Join(ids(second, typ), " "), strings.Join(ids(inside, typ), " ")
		if a == "" || a != b || a != c && typ != "Patient" && typ != "Observation" {
			t.Errorf("%s: %s, %s, in a message %s", typ, a, b, c)
		}
	}
	if !second.At.After(first.At) || ids(first, "Composition")[0] == ids(second, "Composition")[0] {
		t.Error("two documents are one")
	}
	if n := len(ids(first, "Observation")); n != 3 {
		t.Errorf("%d Observations of three under one number", n)
	}
}

func TestANumberThatIsNoneNamesNobody(t *testing.T) {
	k := mapping.NewKeys(secret)
	for id, want := range map[string]bool{
		`root="1.2.3" extension="7"`: true, `root="1.2.3" extension="Unknown"`: false, `root="1.2.3" extension="N/A"`: false, `root="1.2.3" extension="0000"`: false,
		`root="2.16.840.1.113883.4.1" extension="000-00-0000"`: false, `root="2.16.840.1.113883.4.1" extension="999999999"`: false, `root="2.16.840.1.113883.4.1" extension="xxx-xx-1234"`: false,
		`root="2.16.840.1.113883.4.1" extension="111-00-2330"`: true, `root="1.2.3"`: false, `nullFlavor="UNK"`: false, `root="67265ED2-35BB-43F8-B9DE-91C5935625E0"`: true,
	} {
		_, err := mapping.PatientKey(k, clinical([]byte(`<ClinicalDocument xmlns="urn:hl7-org:v3"><recordTarget><patientRole><id `+id+`/></patientRole></recordTarget></ClinicalDocument>`)))
		if (err == nil) != want {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// TestALargeDocumentTakesTimeByItsSize: what grows with the square of entries or sections
// would hold up the chart behind it.
func TestALargeDocumentTakesTimeByItsSize(t *testing.T) {
	k := mapping.NewKeys(secret)
	const head = `<ClinicalDocument xmlns="urn:hl7-org:v3"><recordTarget><patientRole><id root="1.2.3" extension="7"/></patientRole></recordTarget><component><structuredBody>`
	const tail = `</structuredBody></component></ClinicalDocument>`
	many := head + `<component><section><text>x</text>` + strings.Repeat(`<entry><act classCode="ACT" moodCode="EVN"/></entry>`, 100_000) + `</section></component>` + tail
	if r, err := mapping.Map(k, clinical([]byte(many))); err != nil || len(r.Notes) != 100_000 {
		t.Errorf("%v, %d notes", err, len(r.Notes))
	}
	sections := head + strings.Repeat(`<component><section/></component>`, 100_000) + tail
	if _, err := mapping.Map(k, clinical([]byte(sections))); err == nil || !strings.Contains(err.Error(), "more sections than a document has") {
		t.Error(err)
	}
	// One long part of the narrative, named by every entry.
	var entries strings.Builder
	for n := range 1000 {
		fmt.Fprintf(&entries, `<entry><observation classCode="OBS" moodCode="EVN"><code code="%d"/><text><reference value="#a"/></text></observation></entry>`, n)
	}
	long := head + `<component><section><text><content ID="a">` + strings.Repeat("word ", 20_000) + `</content></text>` + entries.String() + `</section></component>` + tail
	if _, err := mapping.Map(k, clinical([]byte(long))); err == nil || !strings.Contains(err.Error(), "come to more than a document can mean") {
		t.Error(err)
	}
}

// FuzzClinical: whatever comes in, a document gives FHIR or an *Error, twice the same,
// and PatientKey agrees with it.
func FuzzClinical(f *testing.F) {
	f.Add(entries(f))
	for _, b := range corpus.CCDA(f) {
		if len(b) < 8_000 {
			f.Add(named(b))
		}
	}
	k := mapping.NewKeys(secret)
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := mapping.Map(k, clinical(body))
		key, keyErr := mapping.PatientKey(k, clinical(body))
		if err != nil {
			var at *mapping.Error
			if !errors.As(err, &at) || at.Segment == "" {
				t.Fatalf("no place: %v", err)
			}
			if strings.Contains(at.Reason, "not FHIR") {
				t.Fatal(err)
			}
			return
		}
		if keyErr != nil || key != r.Patient.ID {
			t.Fatal("PatientKey differs from Map")
		}
		sound(t, r)
		again, _ := mapping.Map(k, clinical(body))
		if !bytes.Equal(mapping.Bundle(r), mapping.Bundle(again)) {
			t.Error("twice is not the same")
		}
	})
}
