// Package label recognises sensitive content and marks it. It is pure.
//
// Labels are given twice. Rules.Label judges the resources of one message
// when it is applied; what it finds is stored beside each resource. Propagate
// then settles a whole chart each time it is loaded, so that an order, a panel,
// a specimen or a note carries its label to what depends on it in whatever
// order the messages came. Only what is settled can be released.
package label

import (
	"slices"
	"strings"

	"firebreak/fhir"
)

// Label names a kind of sensitivity as the policy file does: "hiv",
// "reproductive", "cancer", ..., "unclassified".
//
// One more kind is internal: what a message merely brings along (its Patient,
// practitioners, visit) carries a label that begins with "context:" when every
// matter of the message is sensitive. It is stored like any other, never shown,
// and part of what makes a version: see Labeled.Context.
type Label string

// The labels that the rules give; a policy may know more ("masked").
const (
	HIV             Label = "hiv"
	Reproductive    Label = "reproductive"
	Cancer          Label = "cancer"
	STI             Label = "sti"
	ViralHepatitis  Label = "viral-hepatitis"
	SubstanceUse    Label = "substance-use"
	Part2           Label = "part2"
	MentalHealth    Label = "mental-health"
	Psychotherapy   Label = "psychotherapy"
	Genetic         Label = "genetic"
	Violence        Label = "violence"
	GenderAffirming Label = "gender-affirming"
	Masked          Label = "masked"
	Unclassified    Label = "unclassified"
)

// Unjudged is what Restore adds where other rules judged than today's. It runs as
// other labels do, so that what depends on what is not judged waits with it. It is
// never stored, no policy names it, and every policy withholds it.
const Unjudged Label = "~unjudged"

// context begins the label of what a wholly sensitive message brought along.
// After it stand the labels of the message's matters: "context:cancer|hiv+sti"
// says that one was cancer, another hiv and sti, and that there was none besides.
const context = "context:"

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
	links   *links // what Propagate found it to point at; nil until settled
	use     *Use   // see Use
}

func (l Labeled) Resource() fhir.Resource { return l.res }

// Labels are sorted; the caller must not change them.
func (l Labeled) Labels() []Label   { return l.labels }
func (l Labeled) Reasons() []Reason { return l.reasons }

// RulesVersion is the version of the rules that judged it.
func (l Labeled) RulesVersion() string { return l.rules }

func (l Labeled) Has(x Label) bool { _, ok := slices.BinarySearch(l.labels, x); return ok }

// Settled tells whether Propagate has seen l. What it has not seen may depend
// on something sensitive, so policy withholds it.
func (l Labeled) Settled() bool { return l.links != nil }

// With is l with labels besides, none of them internal.
func (l Labeled) With(labels []Label) Labeled {
	for _, x := range labels {
		if !x.Internal() {
			l.labels = sorted(l.labels, x)
		}
	}
	return l
}

// Context is l's label that begins with "context:", or "". A message about
// sensitive matters alone brings a Patient, a practitioner or a visit along that
// nobody may know of, or in a newer state, who may see none of those matters.
//
// The same content brought by another message, without that label, is another
// version: it is known from then on, and not earlier. So whoever stores
// versions compares Context as well as the content.
func (l Labeled) Context() Label {
	for _, x := range l.labels {
		if x.Internal() {
			return x
		}
	}
	return ""
}

// Internal tells whether x is bookkeeping of this package and no sensitivity.
func (x Label) Internal() bool { return strings.HasPrefix(string(x), context) }

// Matters are the labels of each of the matters that an internal label stands
// for; nil for any other label. What carries x is hidden from whoever may see
// none of these matters.
func (x Label) Matters() [][]Label {
	rest, ok := strings.CutPrefix(string(x), context)
	if !ok {
		return nil
	}
	var all [][]Label
	for matter := range strings.SplitSeq(rest, "|") {
		var labels []Label
		for name := range strings.SplitSeq(matter, "+") {
			labels = append(labels, Label(name))
		}
		all = append(all, labels)
	}
	return all
}
