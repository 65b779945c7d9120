package label

import (
	"slices"

	"firebreak/fhir"
)

// Rules recognise sensitive content. They are compiled once and safe for many
// goroutines.
type Rules struct {
	version string
}

// Default is the rules that Firebreak ships.
func Default() (*Rules, error) { return &Rules{version: "r0"}, nil }

// Version changes whenever a rule does: it is a hash of the rules' text.
func (r *Rules) Version() string { return r.version }

// Label judges the resources of one message together, in order.
func (r *Rules) Label(message []fhir.Resource) []Labeled {
	out := make([]Labeled, len(message))
	for i, res := range message {
		out[i] = Labeled{res: res, labels: []Label{Unclassified}, rules: r.version}
	}
	return out
}

// Restore rebuilds what Label gave and the record stored. version is
// RulesVersion of what was stored; the result is as stale or fresh as it was.
func (r *Rules) Restore(res fhir.Resource, labels []Label, reasons []Reason, version string) Labeled {
	labels = slices.Clone(labels)
	slices.Sort(labels)
	return Labeled{res: res, labels: slices.Compact(labels), reasons: reasons, rules: version}
}

// Propagate settles a chart: it carries labels from each resource to those that
// depend on it (an order to its report, a panel to its results, a specimen to
// what was found in it), and remembers who points at whom. versions are all
// versions of all resources of one chart, merged records included; of one
// resource the current version comes first and the others follow it. The
// result is in the same order. Nothing is carried from an older version to
// another resource.
func Propagate(versions []Labeled) []Labeled {
	out := slices.Clone(versions)
	for i := range out {
		out[i].links = &links{}
	}
	return out
}

type links struct{}
