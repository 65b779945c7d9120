package mapping_test

import (
	"regexp"
	"strings"
	"testing"

	"firebreak/fhir"
	"firebreak/mapping"

	"pgregory.net/rapid"
)

var (
	chartForm    = regexp.MustCompile(`^[a-z2-7]{16}$`)
	resourceForm = regexp.MustCompile(`^[a-z2-7]{16}-[a-z2-7]{20}$`)
)

// TestKeys: ids have one form, tell their chart, and are equal only for equal
// names under one secret, however the names are cut.
func TestKeys(t *testing.T) {
	k, other := mapping.NewKeys(secret), mapping.NewKeys([]byte("another secret of tests"))
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.RuneFrom([]rune("ab|^\x00é")))
		source, system, value := text.Draw(t, "source"), text.Draw(t, "system"), text.Draw(t, "value")
		chart := k.Patient(source, system, value)
		if !chartForm.MatchString(chart) || chart != k.Patient(source, system, value) {
			t.Fatalf("chart %q", chart)
		}
		if chart == other.Patient(source, system, value) {
			t.Fatal("the secret does not matter")
		}
		parts := rapid.SliceOfN(text, 0, 4).Draw(t, "parts")
		id := k.ID(chart, source, "Encounter", parts...)
		if !resourceForm.MatchString(id) || !fhir.ValidID(id) || !strings.HasPrefix(id, chart+"-") {
			t.Fatalf("id %q", id)
		}
		second := rapid.SliceOfN(text, 0, 4).Draw(t, "other parts")
		same := strings.Join(parts, "\x01") == strings.Join(second, "\x01") && len(parts) == len(second)
		if (k.ID(chart, source, "Encounter", second...) == id) != same {
			t.Fatalf("%q and %q: one id", parts, second)
		}
		if k.ID(chart, source, "Condition", parts...) == id || k.ID(chart, source+"x", "Encounter", parts...) == id {
			t.Fatal("type or source does not matter")
		}
		if k.Patient(source, system+"a", value) == k.Patient(source, system, "a"+value) {
			t.Fatal("system and value run together")
		}
	})
}

// TestPatientIdentifier: which identifier names the chart.
func TestPatientIdentifier(t *testing.T) {
	k := mapping.NewKeys(secret, feeds()...)
	for _, c := range []struct{ name, source, pid, system, value string }{
		{"a medical record number before others", "a", "PID|||1^^^X^PI~2^^^Y^MR~3^^^Z", "Y", "2"},
		{"MRN is one", "a", "PID|||1^^^X^NHSNMBR~2^^^Y^MRN", "Y", "2"},
		{"an internal number before the rest", "a", "PID|||1^^^X^NH~2^^^Y^PI", "Y", "2"},
		{"an account last", "a", "PID|||1^^^X^AN~2^^^Y", "Y", "2"},
		{"the only one, of whatever type", "a", "PID|||1^^^X^AN", "X", "1"},
		{"among equals the authority by name", "a", "PID|||2^^^Y^MR~1^^^X^MR", "X", "1"},
		{"of one authority the first", "a", "PID|||2^^^X^MR~1^^^X^MR", "X", "2"},
		{"a universal id where there is no name", "a", "PID|||1^^^&1.2.3&ISO^MR", "1.2.3", "1"},
		{"the name before the universal id", "a", "PID|||1^^^X&1.2.3&ISO^MR", "X", "1"},
		{"without an authority", "a", "PID|||1", "", "1"},
		{"blanks around it do not matter", "a", "PID||| 1 ^^^ X ^MR", "X", "1"},
		{"an empty repetition is none", "a", `PID|||^^^X^MR~""^^^X^MR~1^^^Y^PI`, "Y", "1"},
		{"PID-2 where PID-3 has none", "a", "PID||7^^^X|^^^X||", "X", "7"},
		{"PID-4 where neither has one", "a", "PID||||8^^^X", "X", "8"},
		{"the declared authority, whatever the type", "toronto", "PID|||1^^^OHIP^MR~2^^^HOSP^U", "HOSP", "2"},
		{"the declared authority stands for none", "toronto", "PID|||2^^^^MR", "HOSP", "2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := message([]byte("MSH|^~\\&|A|B|||20260101||ADT^A28|1|P|2.5\r" + c.pid + "\r"))
			m.Source = c.source
			got, err := mapping.PatientKey(k, m)
			if err != nil {
				t.Fatal(err)
			}
			if want := k.Patient(c.source, c.system, c.value); got != want {
				t.Errorf("not the chart of %q of %q", c.value, c.system)
			}
		})
	}
}
