package out_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firebreak/adapters/hl7"
	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/mapping"
	"firebreak/mapping/out"
)

var update = flag.Bool("update", false, "rewrite the messages in testdata")

var systems = map[string]string{"BCPHN": "urn:phn", "WEST": "urn:west"}

const (
	who         = `{"reference":"Patient/p1","identifier":{"system":"urn:west","value":"7|7"},"display":"Jane & Co"}`
	appointment = `{"resourceType":"Appointment","id":"a","status":"proposed","reasonCode":[{"text":"Cough"}],"appointmentType":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0276","code":"FOLLOWUP","display":"A follow up visit"}]},
		"serviceType":[{"coding":[{"system":"http://snomed.info/sct","code":"11429006","display":"Consultation"}]}],"requestedPeriod":[{"start":"2026-03-02T09:00:00-08:00","end":"2026-03-02T12:00:00-08:00"}],
		"minutesDuration":20,"comment":"mornings only\nplease","participant":[{"actor":` + who + `,"status":"accepted"},{"actor":{"type":"Practitioner","identifier":{"value":"D9"},"display":"Hall"},"status":"needs-action"},{"actor":{"type":"Location","display":"Room 4"},"status":"needs-action"}]}`
	booked        = `{"resourceType":"Appointment","id":"a","status":"booked","start":"2026-03-02T09:00:00-08:00","end":"2026-03-02T09:20:00-08:00","participant":[{"actor":` + who + `,"status":"accepted"}]}`
	communication = `{"resourceType":"Communication","id":"c","status":"completed","sent":"2026-03-01T12:00:00Z","subject":` + who + `,"payload":[{"contentString":"Two lines\nwith | and ^ and é"},{"contentAttachment":{"contentType":"image/png","data":"iVBORw0="}}]}`
	task          = `{"resourceType":"Task","id":"t","status":"requested","intent":"order","code":{"text":"Renew a prescription"},"description":"The blue ones","for":` + who + `,"authoredOn":"2026-03-01"}`
	patient       = `{"resourceType":"Patient","id":"p1","identifier":[{"system":"urn:west","value":"7|7"},{"system":"urn:oid:1.2.3","value":"8","type":{"coding":[{"code":"PI"}]}},{"system":"urn:hl7v2:west:OLD%20ONE","value":"9"}],"name":[{"use":"official","family":"O'Roe","given":["Jane","Ann"]}],"gender":"female","birthDate":"1980-05-06",
		"telecom":[{"system":"phone","value":"604-555-0101","use":"home"},{"system":"phone","value":"604-555-0102","use":"mobile"},{"system":"email","value":"jane@example.org"}],"address":[{"use":"home","line":["1 Oak St","Unit 2"],"city":"Victoria","state":"BC","postalCode":"V8V 1A1","country":"CA"}]}`
)

func parse(t testing.TB, s string) fhir.Resource {
	t.Helper()
	r, err := fhir.Parse([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func letter(later bool) inbox.Letter {
	return inbox.Letter{ID: 1, To: "west", Number: "abcdefghijklmnop", Control: "ponmlkjihgfedcba", Later: later, Entered: time.Date(2026, 3, 1, 20, 0, 0, 0, time.UTC)}
}

func west() out.HL7v2 {
	return out.HL7v2{Source: "west", Application: "FIREBREAK", Facility: "GW", Receiver: "EHR", At: "WEST", Systems: systems, Zone: time.FixedZone("PST", -8*3600)}
}

// Each kind of letter, as the message that leaves.
func TestMessages(t *testing.T) {
	siu, oru := west(), west()
	siu.Notify, oru.Results = true, true
	cancelled := strings.Replace(appointment, "proposed", "cancelled", 1)
	for name, c := range map[string]struct {
		conf  out.HL7v2
		body  string
		later bool
	}{
		"srm-s01": {west(), appointment, false}, "srm-s03": {west(), appointment, true}, "srm-s04": {west(), cancelled, true},
		"siu-s12": {siu, booked, false}, "siu-s14": {siu, appointment, true}, "siu-s15": {siu, cancelled, true},
		"mdm-t02": {west(), communication, false}, "oru-r01": {oru, communication, false}, "mdm-t02-task": {west(), task, false},
		"adt-a08": {west(), patient, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.conf.Message(letter(c.later), parse(t, c.body))
			if err != nil {
				t.Fatal(err)
			}
			text := strings.ReplaceAll(string(got), "\r", "\n")
			path := filepath.Join("testdata", name+".hl7")
			if *update {
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), text); diff != "" {
				t.Error(diff)
			}
			m, err := hl7.Parse(got)
			if err != nil {
				t.Fatal(err)
			}
			if string(m.Bytes()) != string(got) || m.ControlID() != "ponmlkjihgfedcba" {
				t.Errorf("it is read as %q", m.Bytes())
			}
		})
	}
}

// What our own mapping reads in a message is what was written.
func TestMappedBackItIsTheSame(t *testing.T) {
	notify := west()
	notify.Notify = true
	keys := mapping.NewKeys([]byte("a secret of the tests"), mapping.Feed{Source: "west", Zone: time.UTC, Systems: systems})
	for name, c := range map[string]struct {
		body, typ string
		want      map[string]string // values by path
	}{
		"an appointment": {booked, "Appointment", map[string]string{
			"status": "booked", "start": "2026-03-02T09:00:00-08:00", "end": "2026-03-02T09:20:00-08:00", "identifier.value": "abcdefghijklmnop",
		}},
		"one asked for": {appointment, "Appointment", map[string]string{
			"status": "pending", "start": "2026-03-02T09:00:00-08:00", "end": "2026-03-02T12:00:00-08:00", "reasonCode.text": "Cough", "appointmentType.coding.code": "FOLLOWUP",
			"serviceType.coding.code": "11429006", "serviceType.coding.system": "http://snomed.info/sct", "minutesDuration": "20", "comment": "mornings only\nplease", "identifier.value": "abcdefghijklmnop",
		}},
		"a message": {communication, "Communication", map[string]string{
			"sent": "2026-03-01T12:00:00+00:00", "payload.contentString": "Two lines\nwith | and ^ and é", "identifier.value": "abcdefghijklmnop", "payload.contentAttachment.contentType": "image/png",
		}},
		"a wish": {task, "Communication", map[string]string{"payload.contentString": "Renew a prescription\nThe blue ones", "sent": "2026-03-01"}},
		"a patient": {patient, "Patient", map[string]string{
			"identifier.value": "7|7", "identifier.system": "urn:west", "name.family": "O'Roe", "name.given": "Jane", "gender": "female", "birthDate": "1980-05-06",
			"telecom.value": "604-555-0101", "telecom.use": "home", "address.line": "1 Oak St", "address.city": "Victoria", "address.postalCode": "V8V 1A1", "address.use": "home", "address.country": "CA",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := notify.Message(letter(false), parse(t, c.body))
			if err != nil {
				t.Fatal(err)
			}
			result, err := mapping.Map(keys, inbox.Message{Source: "west", Kind: inbox.HL7v2, Received: time.Unix(0, 0), Body: b})
			if err != nil {
				t.Fatal(err)
			}
			if want := keys.Patient("west", "WEST", "7|7"); result.Patient.ID != want {
				t.Errorf("the patient is %s, want %s", result.Patient.ID, want)
			}
			for _, r := range result.Resources {
				if r.Type() != c.typ {
					continue
				}
				got := map[string]string{}
				for path := range c.want {
					got[path] = r.Root().At(path).Text()
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Error(diff)
				}
				return
			}
			t.Errorf("there is no %s", c.typ)
		})
	}
}

func TestWhatHasNoMessage(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"no time":       {`{"resourceType":"Appointment","status":"proposed","participant":[{"actor":` + who + `}]}`, "no time is asked for, in Appointment.start or requestedPeriod"},
		"nothing said":  {`{"resourceType":"Communication","status":"completed","subject":` + who + `}`, "there is no content to send"},
		"referred to":   {`{"resourceType":"Communication","status":"completed","subject":` + who + `,"payload":[{"contentReference":{"reference":"DocumentReference/1"}}]}`, "content that is only referred to has no place in HL7 v2"},
		"another type":  {`{"resourceType":"ServiceRequest","subject":` + who + `}`, "there is no HL7 v2 message for this type of resource"},
		"nobody's":      {`{"resourceType":"Communication","status":"completed"}`, "no reference to the patient has an identifier that the receiver knows"},
		"a bad patient": {`{"resourceType":"Patient","name":[{"family":"Roe"}]}`, "no reference to the patient has an identifier that the receiver knows"},
	} {
		_, err := west().Message(letter(false), parse(t, c.body))
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// No resource makes a message that cannot be read, nor FHIR that is none.
func FuzzOut(f *testing.F) {
	for _, s := range []string{appointment, booked, communication, task, patient} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := fhir.Parse(b)
		if err != nil {
			return
		}
		if m, err := west().Message(letter(false), r); err == nil {
			if _, err := hl7.Parse(m); err != nil {
				t.Fatalf("%q: %v", m, err)
			}
		}
		if x := out.FHIR(r, "abcdefghijklmnop", "", "Patient/1"); true {
			if _, err := fhir.Parse(x); err != nil {
				t.Fatalf("%q: %v", x, err)
			}
		}
	})
}
