package label

import (
	"os"
	"strings"
	"testing"

	"firebreak/fhir"
)

// TestShorthand: a note in the words and abbreviations of wards and practices,
// in three languages, is recognised, and its look-alikes are not.
func TestShorthand(t *testing.T) {
	r := rules(t)
	b, err := os.ReadFile("testdata/shorthand.txt")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(b)) {
		want, words, ok := strings.Cut(strings.TrimSpace(line), " | ")
		if !ok {
			continue
		}
		n++
		l := r.Label("lab", []fhir.Resource{resource(t, obj{"resourceType": "Observation", "code": text("Comment"), "note": arr{text(words)}})})[0]
		if want == "none" && len(l.Labels()) > 0 || want != "none" && !l.Has(Label(want)) {
			t.Errorf("%q: %v %v, want %s", words, l.Labels(), l.Reasons(), want)
		}
	}
	if n < 400 {
		t.Errorf("%d lines", n)
	}
}
