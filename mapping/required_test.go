package mapping_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/internal/corpus"
	"firebreak/mapping"
)

// required is an element that a profile asks for where R4 does not, and why not every
// resource of the corpus has it, "" where each does.
type required struct {
	typ, path, why string
	of, has        int
}

func readRequired(t testing.TB, name string) (all []*required) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		c := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(c) != 3 {
			t.Fatalf("%s: %q is not type, element and reason", name, line)
		}
		all = append(all, &required{typ: c[0], path: c[1], why: c[2]})
	}
	return all
}

// TestRequired counts how many of the corpus' resources have each element that CA
// Baseline and US Core ask for where R4 does not: all, or the table says why not.
func TestRequired(t *testing.T) {
	tables := map[string][]*required{"CA Baseline": readRequired(t, "cabaseline-required.tsv"), "US Core": readRequired(t, "uscore-required.tsv")}
	byType := map[string][]*required{}
	for _, table := range tables {
		for _, a := range table {
			byType[a.typ] = append(byType[a.typ], a)
		}
	}
	whole := map[string]map[string]int{} // by guide and type, the resources with all of it
	for guide := range tables {
		whole[guide] = map[string]int{}
	}
	k := mapping.NewKeys(secret)
	count := func(m inbox.Message) {
		r, _ := mapping.Map(k, m)
		for _, res := range r.Resources {
			lacks := map[*required]bool{}
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
					} else {
						lacks[a] = true
					}
				}
			}
			for guide, table := range tables {
				if !slices.ContainsFunc(table, func(a *required) bool { return lacks[a] }) {
					whole[guide][res.Type()]++
				}
			}
		}
	}
	messages(t, func(_ string, body []byte) { count(message(body)) })
	for _, body := range corpus.CCDA(t) {
		count(clinical(body))
	}
	for guide, table := range tables {
		t.Run(guide, func(t *testing.T) {
			never := map[string]bool{}
			for _, a := range table {
				never[a.typ] = never[a.typ] || a.has == 0
				t.Logf("%6.1f%% of %6d %s.%s", 100*float64(a.has)/float64(max(1, a.of)), a.of, a.typ, a.path)
				switch {
				case (a.has < a.of || a.of == 0) && a.why == "":
					t.Errorf("%s.%s: %d of %d do not have it, and the table does not say why", a.typ, a.path, a.of-a.has, a.of)
				case a.has == a.of && a.of > 0 && a.why != "":
					t.Errorf("%s.%s: all have it; the table says why not", a.typ, a.path)
				}
			}
			for typ, none := range never {
				if t.Logf("%6d %s have all of it", whole[guide][typ], typ); (whole[guide][typ] == 0) != none {
					t.Errorf("%s: %d resources have all that is asked for", typ, whole[guide][typ])
				}
			}
		})
	}
}
