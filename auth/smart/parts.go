package smart

import (
	"slices"

	"firebreak/auth"
)

// parts are the categories of the types of which a person may let an app have some
// instead of all.
//
// Source: 45 CFR 170.315(g)(10), Certification Companion Guide, on permission-v2;
// imaging and procedure are what reports of services become here besides.
var parts = map[string][]string{
	"Condition": {
		"http://terminology.hl7.org/CodeSystem/condition-category|problem-list-item",
		"http://terminology.hl7.org/CodeSystem/condition-category|encounter-diagnosis",
		"http://hl7.org/fhir/us/core/CodeSystem/condition-category|health-concern",
	},
	"Observation": {
		"http://terminology.hl7.org/CodeSystem/observation-category|laboratory",
		"http://terminology.hl7.org/CodeSystem/observation-category|vital-signs",
		"http://terminology.hl7.org/CodeSystem/observation-category|imaging",
		"http://terminology.hl7.org/CodeSystem/observation-category|procedure",
		"http://hl7.org/fhir/us/core/CodeSystem/us-core-observation-category|clinical-test",
		"http://terminology.hl7.org/CodeSystem/observation-category|survey",
		"http://terminology.hl7.org/CodeSystem/observation-category|social-history",
		"http://hl7.org/fhir/us/core/CodeSystem/us-core-category|sdoh",
	},
}

// Parts are the scopes of which a person may grant some in place of word, one of those
// asked, which is all Conditions or Observations; none for any other. Nor has one parts
// beside another scope that opens the type as well: what is chosen would not be all that
// the app gets. A scope of version 1 has none: its app would not know what it got.
func Parts(word string, asked []string) (all []string) {
	s, ok := auth.ParseScope(word)
	if !ok || s.Granular() || s.String() != word || s.May&^(auth.Read|auth.Search) != 0 {
		return nil
	}
	if slices.ContainsFunc(asked, func(other string) bool {
		o, ok := auth.ParseScope(other)
		return ok && other != word && (o.Type == s.Type || o.Type == "*")
	}) {
		return nil
	}
	for _, category := range parts[s.Type] {
		s.Query = "category=" + category
		all = append(all, s.String())
	}
	return all
}

// chosen is what a person grants of one of the asked scopes, by the words that they kept:
// some parts of it, if any is kept, else all or nothing.
func chosen(word string, asked, kept []string) []string {
	some := slices.DeleteFunc(Parts(word, asked), func(part string) bool { return !slices.Contains(kept, part) })
	if len(some) == 0 && (word == "launch/patient" || word == "launch" || slices.Contains(kept, word)) {
		return []string{word}
	}
	return some
}
