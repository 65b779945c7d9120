package search_test

import (
	"testing"

	"firebreak/fhir"
	"firebreak/search"
)

// Who knows a merged record by its old id finds what it became.
func TestFollowing(t *testing.T) {
	x := indexOf(t,
		`{"resourceType":"Patient","id":"new","name":[{"family":"Oak"}]}`, `{"resourceType":"Patient","id":"old","name":[{"family":"Oak"}]}`,
		`{"resourceType":"Observation","id":"o","subject":{"reference":"Patient/new"},"performer":[{"reference":"Practitioner/old"}],"code":{"text":"x"}}`)
	now := func(ref fhir.Ref) fhir.Ref {
		if ref == (fhir.Ref{Type: "Patient", ID: "old"}) {
			ref.ID = "new"
		}
		return ref
	}
	for raw, want := range map[string]string{
		"Observation?patient=old":                                          "Observation/o",
		"Observation?patient=Patient/old":                                  "Observation/o",
		"Observation?patient=https://gw.test/Patient/old":                  "Observation/o",
		"Observation?subject=old":                                          "Observation/o",
		"Observation?patient=other,old":                                    "Observation/o",
		"Observation?patient=new":                                          "Observation/o",
		"Observation?patient=other":                                        "",
		"Observation?performer=Practitioner/old":                           "Observation/o",
		"Observation?performer=Practitioner/new":                           "",
		"Patient?_id=old":                                                  "Patient/old",
		"Patient?_has:Observation:patient:subject=old":                     "Patient/new",
		"Observation?subject:Patient._has:Observation:patient:patient=old": "Observation/o",
	} {
		typ, rest := cut(raw)
		q := query(t, typ, rest, search.Base("https://gw.test"))
		key := q.Key()
		moved := q.Following(now)
		if got := ids(x.Run(moved).Matches); got != want {
			t.Errorf("%s finds %q, want %q", raw, got, want)
		}
		if q.Key() != key || moved.Values().Encode() != q.Values().Encode() {
			t.Errorf("%s: the question itself changed", raw)
		}
	}
}

func cut(s string) (before, after string) {
	for i := range s {
		if s[i] == '?' {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}
