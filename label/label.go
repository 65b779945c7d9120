// Package label recognises sensitive content and marks it. It is pure.
package label

import (
	"slices"

	"firebreak/fhir"
)

// Label names a kind of sensitivity as the policy file does: "hiv",
// "reproductive", "cancer", ..., "unclassified".
type Label string

// Reason says why a label was given; for the privacy officer only.
type Reason struct {
	Label    Label  `json:"label"`
	Rule     string `json:"rule"`
	Element  string `json:"element"`  // FHIRPath-like place, "Observation.code.coding[0]"
	Evidence string `json:"evidence"` // the words or code that matched
}

// Labeled is a resource whose labels are known. Only Rules makes one.
type Labeled struct {
	res     fhir.Resource
	labels  []Label // sorted, no doubles
	reasons []Reason
	rules   string // version of the rules that judged it
}

func (l Labeled) Resource() fhir.Resource { return l.res }

// Labels are sorted; the caller must not change them.
func (l Labeled) Labels() []Label   { return l.labels }
func (l Labeled) Reasons() []Reason { return l.reasons }

// RulesVersion is the version of the rules that judged it.
func (l Labeled) RulesVersion() string { return l.rules }

func (l Labeled) Has(x Label) bool { _, ok := slices.BinarySearch(l.labels, x); return ok }
