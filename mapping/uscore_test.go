package mapping_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/internal/corpus"
	"firebreak/mapping"
)

// needed is an element that US Core marks as must support, and why no message of the
// corpus fills it, "" where one does.
type needed struct {
	typ, element, why string
	filled            int
}

// mustSupport reads testdata/uscore.tsv.
func mustSupport(t testing.TB) (all []needed) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "uscore.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		c := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(c) != 3 {
			t.Fatalf("uscore.tsv: %q is not type, element and reason", line)
		}
		all = append(all, needed{typ: c[0], element: c[1], why: c[2]})
	}
	return all
}

// TestMustSupport counts in how many of the corpus' resources each element that US
// Core marks as must support is filled: some message or document fills it, or uscore.tsv says why
// none does.
func TestMustSupport(t *testing.T) {
	all := mustSupport(t)
	byType, of := map[string][]*needed{}, map[string]int{}
	for i := range all {
		byType[all[i].typ] = append(byType[all[i].typ], &all[i])
	}
	k := mapping.NewKeys(secret)
	count := func(m inbox.Message) {
		r, _ := mapping.Map(k, m)
		for _, res := range r.Resources {
			of[res.Type()]++
			for _, n := range byType[res.Type()] {
				if says(res.Root(), n.element) {
					n.filled++
				}
			}
		}
	}
	messages(t, func(_ string, body []byte) { count(message(body)) })
	for _, body := range corpus.CCDA(t) {
		count(clinical(body))
	}
	for i, n := range all {
		if i == 0 || n.typ != all[i-1].typ {
			ever := 0
			for _, m := range byType[n.typ] {
				if m.filled > 0 {
					ever++
				}
			}
			t.Logf("%s: %d of %d elements are filled, in %d resources", n.typ, ever, len(byType[n.typ]), of[n.typ])
		}
		t.Logf("%6.1f%% %s.%s", 100*float64(n.filled)/float64(max(1, of[n.typ])), n.typ, n.element)
		switch {
		case n.filled == 0 && n.why == "":
			t.Errorf("%s.%s: no message of the corpus fills it, and uscore.tsv does not say why", n.typ, n.element)
		case n.filled > 0 && n.why != "":
			t.Errorf("%s.%s: is filled; uscore.tsv says that it is not", n.typ, n.element)
		}
	}
}

// says tells whether n has the element, by path; "value[x]" is any of its types.
func says(n fhir.Node, path string) bool {
	name, rest, deeper := strings.Cut(path, ".")
	choice, isChoice := strings.CutSuffix(name, "[x]")
	for member, v := range n.Members() {
		if member != name && !(isChoice && strings.HasPrefix(member, choice) && len(member) > len(choice) && unicode.IsUpper(rune(member[len(choice)]))) {
			continue
		}
		if !deeper {
			return true
		}
		if v.Kind() != '[' {
			return says(v, rest)
		}
		for item := range v.Items() {
			if says(item, rest) {
				return true
			}
		}
	}
	return false
}
