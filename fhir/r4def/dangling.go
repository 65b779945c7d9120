package r4def

import (
	"strings"

	"firebreak/fhir"
)

// Dangling lists the references within a set that lead nowhere: relative ones
// to a resource that is not in the set, and urn:uuid: ones, which nothing in a
// set of resources can answer.
func Dangling(set []fhir.Resource) []Problem {
	there := map[fhir.Ref]bool{}
	for _, r := range set {
		there[r.Ref()] = true
	}
	var problems []Problem
	for _, r := range set {
		for _, ref := range r.References() {
			if !there[ref] {
				problems = append(problems, Problem{Path: r.Type(), Text: "refers to a " + ref.Type + " that is not in the set"})
			}
		}
		r.Root().Each(func(name string, v fhir.Node) bool {
			if name == "reference" && strings.HasPrefix(v.Text(), "urn:") {
				problems = append(problems, Problem{Path: r.Type(), Text: "refers by urn, which leads nowhere"})
			}
			return true
		})
	}
	return problems
}
