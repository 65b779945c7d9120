package mapping_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"firebreak/mapping"
)

// TestWhatIsRememberedIsWhatIsMapped: the same message gives the same under keys
// that have mapped everything else before, twice, as under new ones.
func TestWhatIsRememberedIsWhatIsMapped(t *testing.T) {
	used := mapping.NewKeys(secret)
	n := 0
	messages(t, func(name string, body []byte) {
		n++
		fresh, freshErr := mapping.Map(mapping.NewKeys(secret), message(body))
		for range 2 {
			again, err := mapping.Map(used, message(body))
			var a, b *mapping.Error
			if errors.As(freshErr, &a) != errors.As(err, &b) || a != nil && *a != *b {
				t.Fatalf("%s: %v, with new keys %v", name, err, freshErr)
			}
			if again.Patient != fresh.Patient || !again.At.Equal(fresh.At) || !slices.Equal(again.Notes, fresh.Notes) || !slices.EqualFunc(again.Links, fresh.Links, func(a, b mapping.Link) bool {
				return a.From == b.From && a.Into == b.Into && a.At.Equal(b.At) && a.Undo == b.Undo
			}) {
				t.Fatalf("%s: %d notes and %d links, with new keys %d and %d", name, len(again.Notes), len(again.Links), len(fresh.Notes), len(fresh.Links))
			}
			if !slices.EqualFunc(again.Resources, fresh.Resources, func(a, b mapping.Resource) bool {
				return bytes.Equal(a.JSON(), b.JSON()) && a.At.Equal(b.At) && a.Chart == b.Chart && a.Deleted == b.Deleted && a.Given == b.Given && a.Stays == b.Stays
			}) {
				t.Fatalf("%s: other resources than with new keys", name)
			}
		}
	})
	if n < 3000 {
		t.Errorf("only %d messages", n)
	}
}
