package label

import (
	"testing"

	"firebreak/fhir"
)

// TestMasked: what its sender masks to professionals is masked with all that is
// beside it; what the message brought along is not known from it.
func TestMasked(t *testing.T) {
	r := rules(t)
	flag := func(value obj) obj {
		o := obj{"resourceType": "Observation", "id": "f", "status": "final", "code": obj{"coding": arr{obj{"code": "MASQUE_PS"}}}}
		for k, v := range value {
			o[k] = v
		}
		return o
	}
	said := func(code string) obj { return obj{"valueCodeableConcept": obj{"coding": arr{obj{"code": code}}}} }
	for _, row := range []struct {
		flag   obj
		masked bool
	}{
		{flag(said("Y")), true}, {flag(said("N")), false}, {flag(said("?")), true}, {flag(obj{}), true},
		{flag(obj{"valueString": "N"}), false}, {flag(obj{"valueString": "Y"}), true},
		{obj{"resourceType": "Observation", "id": "f", "code": obj{"coding": arr{obj{"code": "INVISIBLE_PATIENT"}}}, "valueString": "Y"}, false},
	} {
		message := []fhir.Resource{
			resource(t, obj{"resourceType": "Patient", "id": "p"}), resource(t, obj{"resourceType": "Encounter", "id": "e"}),
			resource(t, obj{"resourceType": "ServiceRequest", "id": "o", "code": local("Sodium")}),
			resource(t, obj{"resourceType": "DocumentReference", "id": "d", "type": local("Letter")}),
			resource(t, row.flag),
		}
		want := []Label{"", "", "", "", ""}
		if row.masked {
			want = []Label{"context:masked", "context:masked", "context:masked", Masked, Masked}
		}
		for i, l := range r.Label("lab", message) {
			if want[i] == "" && (l.Has(Masked) || l.Context() != "") || want[i] != "" && !l.Has(want[i]) {
				t.Errorf("%s: %s has %v", row.flag, l.Resource().Type(), l.Labels())
			}
		}
	}
}
