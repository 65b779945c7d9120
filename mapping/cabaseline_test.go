package mapping_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firebreak/fhir"
	"firebreak/mapping"
)

// TestCanadianBaseline counts how many of the corpus' resources have each element that
// CA Baseline asks for where R4 does not: all, or cabaseline.tsv says why not.
func TestCanadianBaseline(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("testdata", "cabaseline.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	type asked struct {
		typ, path, why string
		of, has        int
	}
	var all []*asked
	byType := map[string][]*asked{}
	for line := range strings.Lines(string(raw)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		c := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(c) != 3 {
			t.Fatalf("cabaseline.tsv: %q is not type, element and reason", line)
		}
		a := &asked{typ: c[0], path: c[1], why: c[2]}
		all, byType[a.typ] = append(all, a), append(byType[a.typ], a)
	}
	k := mapping.NewKeys(secret)
	messages(t, func(_ string, body []byte) {
		r, _ := mapping.Map(k, message(body))
		for _, res := range r.Resources {
			for _, a := range byType[res.Type()] {
				before, element, within := strings.Cut(a.path, ".*")
				places := []fhir.Node{res.Root()}
				if within {
					places = nil
					for n := range res.All(before) {
						places = append(places, n)
					}
				} else {
					element = a.path
				}
				for _, n := range places {
					a.of++
					if says(n, element) || says(n, "_"+element) { // or that it is not known
						a.has++
					}
				}
			}
		}
	})
	for _, a := range all {
		t.Logf("%6.1f%% of %6d %s.%s", 100*float64(a.has)/float64(max(1, a.of)), a.of, a.typ, a.path)
		switch {
		case (a.has < a.of || a.of == 0) && a.why == "":
			t.Errorf("%s.%s: %d of %d do not have it, and cabaseline.tsv does not say why", a.typ, a.path, a.of-a.has, a.of)
		case a.has == a.of && a.of > 0 && a.why != "":
			t.Errorf("%s.%s: all have it; cabaseline.tsv says why not", a.typ, a.path)
		}
	}
}
