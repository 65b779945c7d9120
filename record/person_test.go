package record

import (
	"fmt"
	"testing"

	"firebreak/fhir"
)

// TestWhoMayBeOnePerson: two messages of one number, and whether they can be of
// one person; whichever came first.
func TestWhoMayBeOnePerson(t *testing.T) {
	patient := func(family, given, birth, sex, insurance string) person {
		r, err := fhir.Parse(fmt.Appendf(nil, `{"resourceType":"Patient","id":"p","identifier":[{"system":"urn:mrn","value":"1"},{"system":"urn:insurance","value":%q}],
			"name":[{"family":%q,"given":[%q]}],"gender":%q,"birthDate":%q}`, insurance, family, given, sex, birth))
		if err != nil {
			t.Fatal(err)
		}
		return readPatient(r)
	}
	jane := patient("Roe", "Jane", "1970-01-31", "female", "9")
	for name, row := range map[string]struct {
		other             person
		doubt, correcting string
	}{
		"the same":                              {jane, "", ""},
		"another birth date":                    {patient("Roe", "Jane", "1980-05-05", "female", "9"), otherBirth, ""},
		"another birth date and number":         {patient("Roe", "Jane", "1980-05-05", "female", "8"), otherBirth, otherBirth},
		"another birth date and name":           {patient("Doe", "Jane", "1980-05-05", "female", "9"), otherBirth, otherBirth},
		"another birth date and given name":     {patient("Roe", "Ann", "1980-05-05", "female", "9"), otherBirth, otherBirth},
		"another birth date and sex":            {patient("Roe", "Jane", "1980-05-05", "male", "9"), otherBirth, otherBirth},
		"one digit":                             {patient("Roe", "Jane", "1971-01-31", "female", "8"), "", ""},
		"one digit and another name":            {patient("Doe", "Jane", "1971-01-31", "female", "9"), otherBirth, otherBirth},
		"two digits":                            {patient("Roe", "Jane", "1970-01-13", "female", "9"), otherBirth, ""},
		"the year alone":                        {patient("Roe", "Jane", "1970", "female", "9"), "", ""},
		"another year alone":                    {patient("Roe", "Jane", "1971", "female", "9"), otherBirth, ""},
		"no birth date":                         {patient("Roe", "J", "", "female", "9"), "", ""},
		"no birth date, as registries write it": {patient("Roe", "Jane", "1900-01-01", "female", "9"), "", ""},
		"no birth date and another name":        {patient("Doe", "John", "", "female", "9"), otherName, ""},
		"married":                               {patient("Poe", "Jane", "1970-01-31", "female", "9"), "", ""},
		"another sex":                           {patient("Roe", "John", "1970-01-31", "male", "9"), "", ""},
		"another sex and family name":           {patient("Poe", "Jane", "1970-01-31", "male", "9"), otherSex, otherSex},
		"a sex that is not said":                {patient("Poe", "Jane", "1970-01-31", "unknown", "9"), "", ""},
		"accents, case and a double name":       {patient("ROÉ-Poe", "jane ann", "1970-01-31", "female", "9"), "", ""},
	} {
		for _, pair := range [][2]person{{jane, row.other}, {row.other, jane}} {
			if got, _ := pair[0].unlike(pair[1], false); got != row.doubt {
				t.Errorf("%s: %q, want %q", name, got, row.doubt)
			}
			if got, _ := pair[0].unlike(pair[1], true); got != row.correcting {
				t.Errorf("%s, in a correction: %q, want %q", name, got, row.correcting)
			}
		}
	}
	swapped := patient("Roe", "Jane", "1970-02-11", "female", "9")
	if !mistyped("1970-11-02", swapped.birth) || mistyped("1970-11-02", "1971-02-11") || mistyped("1970-11", "1970-12") {
		t.Error("day and month exchanged")
	}
}
