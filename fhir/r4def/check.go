// Package r4def judges resources by the official R4 definitions.
package r4def

import "firebreak/fhir"

// Problem is one way a resource departs from R4. It quotes no data.
type Problem struct {
	Path string // FHIRPath-like, "Observation.component[1].code"
	Text string
}

// Check judges the structure of r. No problems: nil.
func Check(r fhir.Resource) []Problem { return nil }

// Dangling lists references between resources of the set that lead nowhere.
func Dangling(set []fhir.Resource) []Problem { return nil }
