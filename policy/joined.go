package policy

import (
	"slices"

	"firebreak/access"
	"firebreak/chart"
	"firebreak/fhir"
)

// Unjoined are the links of a chart that somebody made at this gateway and that are not
// in force for the caller: one of the two records is withheld from them, so that they
// must not learn that it belongs to the other. What a source said of two records holds
// for everyone. A directive parts nothing: it governs all that is one person's. Nor does
// emergency access join anything: it opens the record that was asked for.
func (p *Policy) Unjoined(c access.Caller, ch chart.Chart) (all []chart.Link) {
	s := p.sight(c)
	known := func(patient fhir.Ref) bool {
		return slices.ContainsFunc(ch.Histories, func(h chart.History) bool {
			if h[0].Resource().Ref() != patient {
				return false
			}
			state, _ := s.first(h)
			return state == visible
		})
	}
	for _, l := range ch.Links {
		if l.Own && !(known(l.From) && known(l.Into)) {
			all = append(all, l)
		}
	}
	return all
}
