package fhirapi

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"firebreak/access"
	"firebreak/fhir"
	"firebreak/policy"
	"firebreak/search"
)

const (
	matchPath    = `/{type:Patient}/$match`
	maxSought    = 10  // identifiers, and family names, that one $match looks for
	maxWeighed   = 100 // candidates that one search of it weighs
	defaultMatch = 20  // answers, when count says nothing
)

// weighed are the Patients that a search of an operation finds.
func (a *api) weighed(r *http.Request, c access.Caller, operation string, v url.Values) ([]policy.Released, error) {
	v.Set("_count", strconv.Itoa(maxWeighed))
	q, err := search.ParseQuery("Patient", v)
	if err != nil {
		return nil, err
	}
	page, err := a.Reader.Search(r.Context(), a.ask(r, c, "Patient "+operation), q, "")
	return page.Matches, err
}

// grade is how well a Patient matches.
//
// Source: http://hl7.org/fhir/R4/codesystem-match-grade.html
type grade struct{ code, score string }

var (
	certain  = grade{"certain", "0.99"}
	probable = grade{"probable", "0.8"}
	possible = grade{"possible", "0.5"}
)

// likely is $match: who a Patient that is sent may be. Candidates are those that
// the same caller finds by one of its identifiers, or by family name and birth
// date; what is not said of them counts neither for nor against.
//
// Source: R4 patient-operation-match.
func (a *api) likely(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	in, err := body(r)
	if err != nil {
		return err
	}
	sought, count, only, err := matching(in)
	if err != nil {
		return err
	}
	var queries []url.Values
	var numbers, families []string
	for id := range sought.All("identifier") {
		if value := id.Get("value").Text(); value != "" && len(numbers) < maxSought {
			number := literally(value)
			if system := id.Get("system").Text(); system != "" {
				number = literally(system) + "|" + number
			}
			numbers = append(numbers, number)
		}
	}
	for name := range sought.All("name") {
		if family := name.Get("family").Text(); search.Fold(family) != "" && len(families) < maxSought {
			families = append(families, literally(family))
		}
	}
	born := sought.Get("birthDate").Text()
	if len(numbers) > 0 {
		queries = append(queries, url.Values{"identifier": {strings.Join(numbers, ",")}})
	}
	if len(families) > 0 && born != "" {
		queries = append(queries, url.Values{"family": {strings.Join(families, ",")}, "birthdate": {born}})
	}
	if len(queries) == 0 {
		return &fhir.Error{Status: http.StatusBadRequest, Code: "required", Text: "It takes an identifier, or a family name and a birth date.", Expression: "Patient"}
	}
	type graded struct {
		policy.Released
		grade
	}
	var found []graded
	for _, v := range queries {
		patients, err := a.weighed(r, c, "$match", v)
		if err != nil {
			return err
		}
		for _, m := range patients {
			known := slices.ContainsFunc(found, func(x graded) bool { return x.Resource().Ref() == m.Resource().Ref() })
			if g, ok := gradeOf(sought, m.Resource()); ok && !known {
				found = append(found, graded{m, g})
			}
		}
	}
	sure := 0
	for _, x := range found {
		if x.grade == certain {
			sure++
		}
	}
	for i := range found {
		if found[i].grade == certain && sure > 1 { // none of them is, when several are
			found[i].grade = probable
		}
	}
	if only {
		found = slices.DeleteFunc(found, func(x graded) bool { return x.grade != certain })
	}
	slices.SortFunc(found, func(x, y graded) int {
		return cmp.Or(cmp.Compare(y.score, x.score), cmp.Compare(x.Resource().ID(), y.Resource().ID()))
	})
	b := newBundle("searchset")
	b.total(len(found))
	for _, x := range found[:min(count, len(found))] {
		b.graded(a.Base, x.Resource(), x.code, x.score)
	}
	return b.send(w, r)
}

// literally is a value as a search takes it.
var literally = strings.NewReplacer(`\`, `\\`, ",", `\,`, "|", `\|`, "$", `\$`).Replace

// matching reads the Parameters of $match, or a Patient alone.
func matching(in fhir.Resource) (sought fhir.Resource, count int, only bool, err error) {
	sought, count = in, defaultMatch
	if in.Type() == "Parameters" {
		sought = fhir.Resource{}
		for p := range in.All("parameter") {
			switch p.Get("name").Text() {
			case "resource":
				if sought, err = fhir.Parse(p.Get("resource").Raw()); err != nil {
					return sought, 0, false, err
				}
			case "count":
				if count, err = strconv.Atoi(p.Get("valueInteger").Text()); err != nil || count < 0 {
					return sought, 0, false, &fhir.Error{Status: http.StatusBadRequest, Code: "value", Text: "It is not a number of Patients.", Expression: "Parameters.parameter.where(name = 'count')"}
				}
			case "onlyCertainMatches":
				only = p.Get("valueBoolean").Is("true") || p.Get("valueBoolean").Kind() == 't'
			}
		}
	}
	if sought.IsZero() || sought.Type() != "Patient" {
		err = &fhir.Error{Status: http.StatusBadRequest, Code: "required", Text: "There is no Patient to look for.", Expression: "Parameters.parameter.where(name = 'resource')"}
	}
	return sought, count, only, err
}

// gradeOf weighs what two Patients say of themselves; ok is false for one that is
// nobody's match.
func gradeOf(sought, have fhir.Resource) (g grade, ok bool) {
	number, born, family, given := sameNumber(sought, have), compared(sought, have, "birthDate"), sameName(sought, have, "family"), sameName(sought, have, "given")
	against := born < 0 || family < 0 || compared(sought, have, "gender") < 0
	switch {
	case number && !against && (born > 0 || family > 0 && given > 0):
		return certain, true
	case number && !against, family > 0 && born > 0 && given > 0 && !against:
		return probable, true
	case number, family > 0 && born > 0 && given >= 0:
		return possible, true
	}
	return grade{}, false
}

// sameNumber tells whether an identifier is the same, with its system when both
// tell one.
func sameNumber(a, b fhir.Resource) bool {
	for x := range a.All("identifier") {
		for y := range b.All("identifier") {
			s, t := x.Get("system").Text(), y.Get("system").Text()
			if v := x.Get("value").Text(); v != "" && v == y.Get("value").Text() && (s == t || s == "") {
				return true
			}
		}
	}
	return false
}

// compared is 1 when two say the same of an element, -1 when they differ, and 0
// when one of them says nothing. A date may be part of another.
func compared(a, b fhir.Resource, element string) int {
	x, y := a.Get(element).Text(), b.Get(element).Text()
	switch {
	case x == "" || y == "" || element == "gender" && (x == "unknown" || y == "unknown"):
		return 0
	case strings.HasPrefix(x, y) || strings.HasPrefix(y, x):
		return 1
	}
	return -1
}

// sameName compares a part of the names as strings are compared in searches.
func sameName(a, b fhir.Resource, part string) int {
	some := false
	for x := range a.All("name." + part) {
		for y := range b.All("name." + part) {
			if some = true; search.Fold(x.Text()) == search.Fold(y.Text()) {
				return 1
			}
		}
	}
	if some {
		return -1
	}
	return 0
}
