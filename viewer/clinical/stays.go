package clinical

import (
	"slices"
	"time"

	"firebreak/fhir"
	"firebreak/policy"
)

// Stay is a place where a patient was in the course of a visit.
type Stay struct {
	Place string
	From  Time      // as told; zero where the source told no time of the movement
	Said  time.Time // when the source said it
}

// present is where one version of an Encounter says that the patient is, or was
// last: the place that is active, else the one that is the visit's own and neither
// reserved nor planned, and of several that have ended the one that ended last.
func present(r fhir.Resource) (at fhir.Node, from Time) {
	best := -1
	var until Time
	for l := range r.Get("location").Items() {
		rank := 2
		switch l.Get("status").Text() {
		case "active":
			rank = 3
		case "reserved", "planned":
			rank = 0
		case "completed":
			rank = 1
		}
		end := ParseTime(l.At("period.end").Text())
		if end.IsZero() && rank == 1 { // the last one of a visit that has ended
			rank = 2
		}
		if rank > best || rank == 1 && best == 1 && end.At.After(until.At) {
			best, at, from, until = rank, l.Get("location"), ParseTime(l.At("period.start").Text()), end
		}
	}
	return at, from
}

// stays are where a patient is and was, read from the versions of the Encounter that
// may be shown. Each message tells but the present place, and one before it: a version
// that told all of them would depend on which message came first. Who is back, without a
// movement's time, where he was before was never moved (A12). A place that only results
// repeat (versions from before anything was said) counts where nothing else is said.
func (c *Chart) stays(x policy.Released) (place string, before []Stay) {
	node, _ := present(x.Content())
	if !node.IsZero() {
		place = c.placeOf(node)
	}
	var all []Stay
	for _, v := range slices.Backward(c.src.History(x.Ref())) {
		node, from := present(v.Content())
		if node.IsZero() || v.At().Year() < 1900 {
			continue
		}
		name := c.placeOf(node)
		switch n := len(all); {
		case name == "" || n > 0 && all[n-1].Place == name:
		case n > 1 && all[n-2].Place == name && from.IsZero():
			all = all[:n-1]
		default:
			all = append(all, Stay{name, from, v.At()})
		}
	}
	if n := len(all); n > 0 && all[n-1].Place == place {
		all = all[:n-1]
	}
	slices.Reverse(all)
	return place, all
}
