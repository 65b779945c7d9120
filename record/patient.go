package record

import (
	"slices"
	"strings"
	"unicode"

	"firebreak/fhir"
	"firebreak/search"
)

// person is what a patient is found and told apart by.
type person struct {
	identifiers []identifier
	families    []string // folded, whole and by their parts
	given       []string // the first of each name, folded
	birth       string
	sex         string   // male, female; empty when it is neither or not said
	contacts    []string // telephone numbers and postal codes, folded
}

type identifier struct{ system, value, kind string }

func readPatient(r fhir.Resource) person {
	p := person{birth: r.Get("birthDate").Text()}
	for i := range r.All("identifier") {
		if v := i.Get("value").Text(); v != "" {
			p.identifiers = append(p.identifiers, identifier{i.Get("system").Text(), v, i.At("type.coding.code").Text()})
		}
	}
	for n := range r.All("name") {
		for _, f := range families(n.Get("family").Text()) {
			if !slices.Contains(p.families, f) {
				p.families = append(p.families, f)
			}
		}
		if first := foldName(n.At("given").Text()); first != "" && !slices.Contains(p.given, first) {
			p.given = append(p.given, first)
		}
	}
	if sex := r.Get("gender").Text(); sex == "male" || sex == "female" {
		p.sex = sex
	}
	for t := range r.All("telecom") {
		if digits := onlyDigits(t.Get("value").Text()); len(digits) >= 7 {
			p.contacts = append(p.contacts, "telephone "+digits[len(digits)-7:])
		}
	}
	for a := range r.All("address") {
		if post := foldName(a.Get("postalCode").Text()); post != "" {
			p.contacts = append(p.contacts, "postal "+post)
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

func onlyDigits(s string) string {
	return strings.Map(func(c rune) rune {
		if c < '0' || c > '9' {
			return -1
		}
		return c
	}, s)
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
