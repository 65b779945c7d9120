package clinical

import (
	"fmt"
	"strings"
	"testing"
)

// A visit tells where the patient is, and where before, from what each message told:
// the ward of now though the one of before stands behind it, and a bed that is
// reserved is none yet; a transfer that was taken back never was.
func TestAVisitTellsWhereThePatientWas(t *testing.T) {
	ward := func(name, status, from, to string) string {
		return fmt.Sprintf(`{"location":{"reference":"Location/%s"},"status":%q,"period":{"start":%q,"end":%q}}`, name, status, from, to)
	}
	const t1, t2, t3 = "2026-11-20T08:00:00Z", "2026-11-21T08:00:00Z", "2026-11-22T08:00:00Z"
	clean := strings.NewReplacer(`,"end":""`, "", `"start":"",`, "", `,"period":{"start":""}`, "").Replace
	rows := []struct {
		name     string
		versions []string // places of each, first told first
		want     string   // latest first
	}{
		{"admitted", []string{ward("W1", "active", "", "")}, "W1"},
		{"moved", []string{ward("W1", "active", t1, ""), ward("W2", "active", t2, "") + "," + ward("W1", "completed", "", t2)}, "W2, before W1 from " + t1},
		{"moved twice", []string{ward("W1", "active", t1, ""), ward("W2", "active", t2, "") + "," + ward("W1", "completed", "", t2), ward("W3", "active", t3, "") + "," + ward("W2", "completed", "", t3)},
			"W3, before W2 from " + t2 + ", before W1 from " + t1},
		{"moved and told again", []string{ward("W1", "active", "", ""), ward("W2", "active", "", ""), ward("W2", "active", "", "")}, "W2, before W1"},
		{"transfer taken back", []string{ward("W1", "active", "", ""), ward("W2", "active", t2, "") + "," + ward("W1", "completed", "", t2), ward("W1", "active", "", "")}, "W1"},
		{"moved there and back", []string{ward("W1", "active", t1, ""), ward("W2", "active", t2, ""), ward("W1", "active", t3, "")}, "W1, before W2 from " + t2 + ", before W1 from " + t1},
		{"ended", []string{ward("W1", "active", t1, ""), ward("W2", "completed", "", "") + "," + ward("W1", "completed", "", t2)}, "W2, before W1 from " + t1},
		{"a bed is reserved", []string{ward("W2", "reserved", "", "") + "," + ward("W1", "active", "", "")}, "W1"},
		{"by another source, in any order", []string{ward("W1", "completed", t1, t2) + "," + ward("W2", "completed", t2, t3)}, "W2"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			var all []sent
			for _, name := range []string{"W1", "W2", "W3"} {
				all = append(all, sent{"ward", 9000, fmt.Sprintf(`{"resourceType":"Location","id":%q,"name":%q}`, name, name)})
			}
			for i, places := range row.versions {
				all = append(all, sent{"ward", 100 - i, clean(`{"resourceType":"Encounter","id":"e","status":"in-progress","class":{"code":"IMP"},"subject":{"reference":"Patient/p"},"location":[` + places + `]}`)})
			}
			c := readChart(t, all...)
			if len(c.Visits) != 1 {
				t.Fatalf("%d visits", len(c.Visits))
			}
			got := c.Visits[0].Place
			for _, b := range c.Visits[0].Before {
				got += ", before " + b.Place
				if !b.From.IsZero() {
					got += " from " + b.From.Sent
				}
			}
			if got != row.want {
				t.Errorf("%s, want %s", got, row.want)
			}
		})
	}
}
