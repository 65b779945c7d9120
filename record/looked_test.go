package record_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"firebreak/access"
	"firebreak/access/accesstest"
	"firebreak/audit"
	"firebreak/fhir"
	"firebreak/record"
)

// TestLooked: who looked at a record, in sittings, as its patient may be told;
// the same where there were secrets to look at and where there were none.
func TestLooked(t *testing.T) {
	want := `09:25–09:25 Privacy office Test privacy-officer: oversee
09:20–09:20 Test backend: Observation
08:00–08:00 Test physician through app: Observation
07:45–07:45 Test assistant for Test physician: summary
06:00–07:30 Test physician at Test Clinic: find summary results print
06:00–06:00 Test nurse at Test Clinic: summary
`
	for _, secrets := range []bool{true, false} {
		glazed(t, func(t *testing.T, w *world, now *time.Time) {
			w.tell(patient(t, "a", "Ash", "1980-01-02", "1001"), sodium(t, "a", "na", "140"))
			w.tell(patient(t, "b", "Birch", "1990-01-02", "2"), sodium(t, "b", "na", "141"))
			w.tell(about(t, "a", "reviewed", "na"))
			if secrets {
				w.tell(hiv(t, "a", "x", "Reactive"))
				w.tell(patient(t, "c", "Cedar", "1970-01-02", "3"), hiv(t, "c", "x", "Reactive"))
			}
			a, b := thing("a", "Patient", ""), thing("b", "Patient", "")
			doctor, nurse, aide := ask(accesstest.AtPages(t, access.Physician)), ask(accesstest.AtPages(t, access.Nurse)), ask(accesstest.AssistantTo(t, access.Physician))
			app, system := physician(t), backend(t)
			day := time.Date(2026, 11, 21, 6, 0, 0, 0, time.UTC)
			at := func(clock string) {
				of, err := time.Parse("15:04", clock)
				must(t, err)
				*now = time.Date(day.Year(), day.Month(), day.Day(), of.Hour(), of.Minute(), 0, 0, time.UTC)
			}
			open := func(a record.Ask, page string, patient fhir.Ref) {
				a.Detail = page
				_, err := w.reader.Chart(ctx, a, patient)
				must(t, err)
			}
			at("06:00")
			open(nurse, "summary", a)
			_, err := w.reader.Find(ctx, doctor, record.Find{Number: "1001"})
			must(t, err)
			at("06:29")
			open(doctor, "summary", a)
			open(doctor, "summary", b)
			at("06:40")
			open(doctor, "glass", a)
			must(t, w.reader.Break(ctx, doctor, a, record.InEmergency, "Found unconscious on the ward"))
			at("06:59")
			open(doctor, "results", a)
			w.value(doctor, thing("a", "Observation", "x"))
			must(t, w.reader.Mend(ctx, doctor, a))
			at("07:29")
			open(doctor, "results", a)
			at("07:30")
			p := doctor
			p.Action, p.Detail = audit.Print, "print"
			_, err = w.reader.Chart(ctx, p, a)
			must(t, err)
			at("07:45")
			open(aide, "summary", a)
			at("08:00")
			w.value(app, thing("a", "Observation", "na"))
			at("09:20")
			w.value(system, thing("a", "Observation", "na"))
			w.value(system, thing("a", "Observation", "x"))
			at("09:25")

			watch := record.Watch{Officer: accesstest.Officer(t), Page: "looked"}
			for _, held := range []bool{true, false} { // a list on which the patient may be
				_, err := w.reader.Office().Waiting(ctx, watch, held, 1)
				must(t, err)
			}
			all, older, err := w.reader.Office().Looked(ctx, watch, "1001", 0)
			must(t, err)
			var s strings.Builder
			for _, x := range all {
				fmt.Fprintf(&s, "%s–%s ", x.From.Format("15:04"), x.Until.Format("15:04"))
				if x.Role == access.PrivacyOfficer {
					s.WriteString("Privacy office ")
				}
				s.WriteString(x.Name)
				if x.For != "" {
					s.WriteString(" for " + x.For)
				} else if x.App != "" {
					s.WriteString(" through app")
				} else if x.Place != "" && x.Role != access.PrivacyOfficer {
					s.WriteString(" at " + x.Place)
				}
				s.WriteString(": " + strings.Join(x.What, " ") + "\n")
			}
			if got := s.String(); got != want || older != 0 {
				t.Errorf("with secrets %v, older %d:\n%s", secrets, older, got)
			}
			for _, nobody := range []string{"3", "4", ""} {
				if _, _, err := w.reader.Office().Looked(ctx, watch, nobody, 0); !absent(err) {
					t.Errorf("of %q: %v", nobody, err)
				}
			}
			if _, _, err := w.reader.Office().Looked(ctx, record.Watch{}, "1", 0); err == nil {
				t.Error("nobody is told")
			}
		})
	}
}

// about is a Task that says that something was done about a result.
func about(t testing.TB, chart, code, name string) fhir.Resource {
	return parse(t, `{"resourceType":"Task","id":%q,"status":"completed","intent":"order","code":{"coding":[{"system":"urn:firebreak:task","code":%q}]},"for":{"reference":"Patient/%s"},"focus":{"reference":%q}}`,
		thing(chart, "Task", code).ID, code, key(chart), thing(chart, "Observation", name).String())
}
