package mapping

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"firebreak/adapters/rest"
	"firebreak/fhir"
	"firebreak/inbox"
)

const copyBase = "https://ehr.test/fhir"

func copyOf(source, resource string) inbox.Message {
	r, err := fhir.Parse([]byte(resource))
	if err != nil {
		panic(err)
	}
	c := rest.Copy{Type: r.Type(), ID: r.ID(), At: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC), Base: copyBase, Resource: []byte(resource)}
	return inbox.Message{Source: source, Kind: inbox.Copy, Body: c.Encode()}
}

func goneOf(source, typ, id, patient string) inbox.Message {
	c := rest.Copy{Type: typ, ID: id, At: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC), Patient: patient}
	return inbox.Message{Source: source, Kind: inbox.Copy, Body: c.Encode()}
}

func mappedCopy(t *testing.T, m inbox.Message) Resource {
	t.Helper()
	out, err := Map(pushKeys, m)
	if err != nil {
		t.Fatal(err)
	}
	key, err := PatientKey(pushKeys, m)
	if err != nil || key != out.Patient.ID {
		t.Errorf("PatientKey says %q, %v; Map says %q", key, err, out.Patient.ID)
	}
	if len(out.Resources) != 1 {
		t.Fatalf("%d resources", len(out.Resources))
	}
	return out.Resources[0]
}

func TestCopiesOfOnePatientLieTogether(t *testing.T) {
	patient := mappedCopy(t, copyOf("a", `{"resourceType":"Patient","id":"1","generalPractitioner":[{"reference":"Practitioner/1"}]}`))
	doctor := mappedCopy(t, copyOf("a", `{"resourceType":"Practitioner","id":"1"}`))
	visit := mappedCopy(t, copyOf("a", `{"resourceType":"Encounter","id":"1","status":"finished","class":{"code":"AMB"},"subject":{"reference":"`+copyBase+`/Patient/1"}}`))
	result := mappedCopy(t, copyOf("a", `{"resourceType":"Observation","id":"1","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/1/_history/3"},"encounter":{"reference":"Encounter/1"},"performer":[{"reference":"Practitioner/1"}],"derivedFrom":[{"reference":"urn:uuid:1"},{"reference":"https://elsewhere.test/fhir/Observation/1"}]}`))
	for name, same := range map[string]bool{
		"a Patient's id is its chart":            patient.ID() == patient.Chart && ourPatient.MatchString(patient.ID()),
		"a visit lies in it":                     visit.Chart == patient.ID() && strings.HasPrefix(visit.ID(), patient.ID()+"-"),
		"so does a result":                       result.Chart == patient.ID() && !result.Given,
		"it names the patient":                   result.Root().At("subject.reference").Text() == "Patient/"+patient.ID(),
		"it names the visit":                     result.Root().At("encounter.reference").Text() == "Encounter/"+visit.ID(),
		"it names the doctor":                    result.Root().At("performer.reference").Text() == "Practitioner/"+doctor.ID(),
		"so does the patient":                    patient.Root().At("generalPractitioner.reference").Text() == "Practitioner/"+doctor.ID(),
		"the doctor is in the directory":         doctor.Given && doctor.Stays && doctor.Chart != patient.ID(),
		"what is not the server's is left":       bytes.Contains(result.JSON(), []byte(`"urn:uuid:1"`)) && bytes.Contains(result.JSON(), []byte(`"https://elsewhere.test/fhir/Observation/1"`)),
		"the time is the server's":               result.At.Equal(time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)),
		"another source's 1 is another":          mappedCopy(t, copyOf("b", `{"resourceType":"Patient","id":"1"}`)).ID() != patient.ID(),
		"a deletion is of the same":              mappedCopy(t, goneOf("a", "Observation", "1", "1")).ID() == result.ID() && mappedCopy(t, goneOf("a", "Observation", "1", "1")).Chart == patient.ID(),
		"so is a patient's":                      mappedCopy(t, goneOf("a", "Patient", "1", "1")).ID() == patient.ID(),
		"a doctor's keeps no chart":              mappedCopy(t, goneOf("a", "Practitioner", "1", "")).ID() == doctor.ID() && mappedCopy(t, goneOf("a", "Practitioner", "1", "")).Chart == "",
		"what names nobody is nobody's":          mappedCopy(t, copyOf("a", `{"resourceType":"Observation","id":"1","status":"final","code":{"text":"x"}}`)).Chart != patient.ID(),
		"what names two is neither's":            !strings.HasPrefix(mappedCopy(t, copyOf("a", `{"resourceType":"Appointment","id":"1","status":"booked","participant":[{"status":"accepted","actor":{"reference":"Patient/1"}},{"status":"accepted","actor":{"reference":"Patient/2"}}]}`)).ID(), patient.ID()),
		"an id of ours is the server's, no more": mappedCopy(t, copyOf("a", `{"resourceType":"Patient","id":"`+patient.ID()+`"}`)).ID() != patient.ID(),
	} {
		if !same {
			t.Errorf("not so: %s", name)
		}
	}
}

func TestCopiesThatAreHeld(t *testing.T) {
	for name, m := range map[string]inbox.Message{
		"nothing":                 {Source: "a", Kind: inbox.Copy},
		"words":                   {Source: "a", Kind: inbox.Copy, Body: []byte("hello")},
		"a resource without id":   {Source: "a", Kind: inbox.Copy, Body: []byte(`{"resourceType":"Patient"}`)},
		"a part of a resource":    copyOf("a", `{"resourceType":"Patient","id":"1","meta":{"tag":[{"code":"SUBSETTED"}]}}`),
		"what R4 does not know":   copyOf("a", `{"resourceType":"Patient","id":"1","colour":"secret"}`),
		"a result without a code": copyOf("a", `{"resourceType":"Observation","id":"1","status":"final"}`),
	} {
		_, err := Map(pushKeys, m)
		if e, ok := err.(*Error); !ok || strings.Contains(err.Error(), "secret") || e.Reason == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzCopy(f *testing.F) {
	f.Add(copyOf("a", `{"resourceType":"Observation","id":"1","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/1"}}`).Body)
	f.Add(goneOf("a", "Patient", "1", "1").Body)
	f.Fuzz(func(t *testing.T, b []byte) {
		m := inbox.Message{Source: "a", Kind: inbox.Copy, Body: b}
		out, err := Map(pushKeys, m)
		if err != nil {
			return
		}
		key, err := PatientKey(pushKeys, m)
		if err != nil || key != out.Patient.ID {
			t.Fatalf("PatientKey says %q, %v; Map says %q", key, err, out.Patient.ID)
		}
		for _, r := range out.Resources {
			if r.IsZero() || !fhir.ValidID(r.ID()) || (r.Chart == "") != (r.Deleted && r.Given) {
				t.Fatalf("%+v", r)
			}
		}
	})
}
