package clinical

import (
	"fmt"
	"testing"
)

// A request for an appointment and what came of it are two resources with one number;
// a page shows what came of it, and the request as long as nothing did.
func TestARequestIsShownUntilItIsAnswered(t *testing.T) {
	said := func(id, status, system, number string) string {
		return fmt.Sprintf(`{"resourceType":"Appointment","id":%q,"status":%q,"identifier":[{"system":%q,"value":%q}],"participant":[{"actor":{"reference":"Patient/p"},"status":"accepted"}]}`, id, status, system, number)
	}
	request := sent{"ehr", 100, said("asked", "proposed", "urn:ehr", "A1")}
	for _, row := range []struct {
		name string
		more []sent
		want []string
	}{
		{"not yet", nil, []string{"asked"}},
		{"booked", []sent{{"ehr", 90, said("booked", "booked", "urn:ehr", "A1")}}, []string{"booked"}},
		{"refused, told before it came", []sent{{"ehr", 110, said("refused", "cancelled", "urn:ehr", "A1")}}, []string{"refused"}},
		{"another number", []sent{{"ehr", 90, said("booked", "booked", "urn:ehr", "A2")}}, []string{"asked", "booked"}},
		{"another's number", []sent{{"ehr", 90, said("booked", "booked", "urn:clinic", "A1")}}, []string{"asked", "booked"}},
		{"asked twice", []sent{{"ehr", 90, said("asked-again", "proposed", "urn:ehr", "A1")}}, []string{"asked", "asked-again"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var got []string
			for _, a := range readChart(t, append(row.more, request)...).Appointments {
				got = append(got, a.Ref.ID)
			}
			if fmt.Sprint(got) != fmt.Sprint(row.want) {
				t.Errorf("%v, want %v", got, row.want)
			}
		})
	}
}
