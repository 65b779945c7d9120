package auth_test

import (
	"slices"
	"testing"

	"firebreak/auth"
)

// TestPurposes: a token may state its purpose of use in the ways of several
// profiles; what cannot be read is stated all the same.
func TestPurposes(t *testing.T) {
	f := newFake(t, newClock())
	v := newVerifier(t, f)
	type obj = map[string]any
	rows := []struct {
		name   string
		claims obj
		want   []string
	}{
		{"none", obj{}, nil},
		{"null", obj{"purpose_of_use": nil}, nil},
		{"a code", obj{"purpose_of_use": "TREAT"}, []string{"TREAT"}},
		{"a code after its system", obj{"purpose_of_use": []any{"urn:oid:2.16.840.1.113883.5.8#TREAT"}}, []string{"TREAT"}},
		{"a coding", obj{"purpose_of_use": obj{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HRESCH"}}, []string{"HRESCH"}},
		{"several", obj{"purpose_of_use": []any{"TREAT", obj{"code": "HMARKT"}}}, []string{"TREAT", "HMARKT"}},
		{"by UDAP", obj{"extensions": obj{"hl7-b2b": obj{"purpose_of_use": []any{"urn:oid:2.16.840.1.113883.5.8#HPAYMT"}}}}, []string{"HPAYMT"}},
		{"by IUA", obj{"purpose_of_use": "TREAT", "extensions": obj{"ihe_iua": obj{"purpose_of_use": []any{obj{"code": "PATRQT"}}}}}, []string{"TREAT", "PATRQT"}},
		{"nothing that can be read", obj{"purpose_of_use": 7}, []string{""}},
		{"an empty coding", obj{"purpose_of_use": []any{obj{}}}, []string{""}},
	}
	for _, row := range rows {
		id, err := v.Verify(t.Context(), f.sign(t, with(f.tokenClaims(), row.claims), nil))
		if err != nil || !slices.Equal(id.Purposes(), row.want) {
			t.Errorf("%s: %q, %v; want %q", row.name, id.Purposes(), err, row.want)
		}
	}
	for stated, want := range map[string]string{"TREAT": auth.Treatment, " TREAT ": auth.Treatment, "urn:oid:2.16.840.1.113883.5.8:TREAT": auth.Treatment, "http://x|HRESCH": "HRESCH", "": "", "TREAT|": "TREAT|", "treat": "treat",
		"HPAYMT TREAT": "HPAYMT TREAT", "HPAYMT|TREAT": "HPAYMT|TREAT", "HPAYMT:TREAT": "HPAYMT:TREAT", "urn:x#HPAYMT TREAT": "HPAYMT TREAT"} {
		if got := auth.Purpose(stated); got != want {
			t.Errorf("Purpose(%q) = %q, want %q", stated, got, want)
		}
	}
}
