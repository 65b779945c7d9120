package mapping_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"firebreak/mapping"
)

// FuzzMap: whatever comes in, Map gives FHIR or an *Error that names a place,
// twice the same, and PatientKey agrees with it.
func FuzzMap(f *testing.F) {
	seen := map[string]bool{}
	messages(f, func(name string, body []byte) {
		if folder, _, _ := strings.Cut(name, "/"); len(body) < 4000 && !seen[folder+string(body[:min(60, len(body))])] && len(seen) < 200 {
			seen[folder+string(body[:min(60, len(body))])] = true
			f.Add(body)
		}
	})
	ours, _ := filepath.Glob(filepath.Join("testdata", "*.hl7"))
	for _, file := range ours {
		f.Add(read(f, strings.TrimSuffix(filepath.Base(file), ".hl7")))
	}
	for _, found := range []string{
		"MSH|^!#$|0|0|||1000||ORM^0|0!\nPID|||0^^^0^0||^0||0001|A\nOBR||0||0^0^0\nOBX||NM|0^0^0|$0000000000000",
		"MSH|^|||||||ADT^A01|  \nPID||0",
		"MSH|^|||||||MDM^T01\nPID||0\nTXA",
	} {
		f.Add([]byte(found))
	}
	k := mapping.NewKeys(secret)
	f.Fuzz(func(t *testing.T, body []byte) {
		m := message(body)
		r, err := mapping.Map(k, m)
		key, keyErr := mapping.PatientKey(k, m)
		if err != nil {
			var at *mapping.Error
			if !errors.As(err, &at) || at.Segment == "" {
				t.Fatalf("no place: %v", err)
			}
			if strings.Contains(at.Reason, "not FHIR") {
				t.Fatal(err)
			}
			return
		}
		if keyErr != nil || key != r.Patient.ID {
			t.Fatal("PatientKey differs from Map")
		}
		sound(t, r)
		again, _ := mapping.Map(k, m)
		if !bytes.Equal(mapping.Bundle(r), mapping.Bundle(again)) {
			t.Error("twice is not the same")
		}
	})
}
