package record

import (
	"slices"
	"strings"
	"unicode"

	"firebreak/fhir"
	"firebreak/search"
)

// person is what a patient is found by.
type person struct {
	identifiers []identifier
	families    []string // folded, whole and by their parts
	birth       string
}

type identifier struct{ system, value string }

func readPatient(r fhir.Resource) person {
	p := person{birth: r.Get("birthDate").Text()}
	for i := range r.All("identifier") {
		if v := i.Get("value").Text(); v != "" {
			p.identifiers = append(p.identifiers, identifier{i.Get("system").Text(), v})
		}
	}
	for n := range r.All("name") {
		for _, f := range families(n.Get("family").Text()) {
			if !slices.Contains(p.families, f) {
				p.families = append(p.families, f)
			}
		}
	}
	return p
}

// families are the forms under which a family name is found: the whole and, of
// a double name, each part.
func families(name string) []string {
	whole := foldName(name)
	if whole == "" {
		return nil
	}
	all := []string{whole}
	for _, part := range strings.FieldsFunc(name, func(c rune) bool { return c == ' ' || c == '-' }) {
		if f := foldName(part); len(f) > 2 && f != whole {
			all = append(all, f)
		}
	}
	return all
}

// foldName makes names comparable: as search does, and letters and digits only.
func foldName(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsLetter(c) || unicode.IsDigit(c) {
			return c
		}
		return -1
	}, search.Fold(s))
}

// bareNumber is a number without the spaces and dashes people put into it.
func bareNumber(s string) string {
	return strings.Map(func(c rune) rune {
		if c == ' ' || c == '-' {
			return -1
		}
		return c
	}, s)
}
