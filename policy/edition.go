package policy

import (
	"slices"

	"firebreak/chart"
	"firebreak/fhir"
	"firebreak/label"
)

// A document that was replaced says nothing any more; but only to those who may
// know of the one that replaces it. Whoever sees nothing of that, for all that it
// is about is withheld, sees the old one as if there were no other.

// replaced tells which editions say nothing in this view, nil when there are none.
func (v *View) replaced(ch chart.Chart) []bool {
	if len(ch.Editions) == 0 || v.sight.nobody {
		return nil
	}
	known := make([]bool, len(ch.Editions))
	for i := range v.entries {
		e := &v.entries[i]
		if e.state != visible || label.Support(e.ref.Type) {
			continue
		}
		h := ch.Histories[i]
		for n := e.first; n < len(h); n++ {
			if n > e.first && !v.sight.sees(&h[n]) {
				continue
			}
			for _, k := range h[n].Editions {
				known[k] = true
			}
		}
	}
	var gone []bool
	for i, e := range ch.Editions {
		if slices.ContainsFunc(e.Replaced, func(k int) bool { return known[k] }) {
			if gone == nil {
				gone = make([]bool, len(ch.Editions))
			}
			gone[i] = true
		}
	}
	return gone
}

// minus is the chart without what only those editions say.
func minus(ch chart.Chart, gone []bool) chart.Chart {
	var left []chart.History
	for _, h := range ch.Histories {
		if only := func(x chart.Version) bool {
			return !x.Besides && len(x.Editions) > 0 && !slices.ContainsFunc(x.Editions, func(k int) bool { return !gone[k] })
		}; slices.ContainsFunc(h, only) {
			if h = slices.DeleteFunc(slices.Clone(h), only); len(h) == 0 {
				continue
			}
		}
		left = append(left, h)
	}
	ch.Histories = left
	return ch
}

// wholes are what keeps these editions whole, and no edition that stays.
func wholes(ch chart.Chart, gone []bool) map[fhir.Ref]bool {
	all := map[fhir.Ref]bool{}
	for i, e := range ch.Editions {
		if gone[i] {
			all[e.Whole] = true
		}
	}
	for i, e := range ch.Editions {
		if !gone[i] {
			delete(all, e.Whole)
		}
	}
	return all
}
