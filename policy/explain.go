package policy

import (
	"firebreak/access"
	"firebreak/chart"
	"firebreak/fhir"
	"firebreak/label"
)

// Verdict says what became of one resource for one caller, and why. It holds
// what is withheld: it is for the privacy officer alone.
type Verdict struct {
	Ref     fhir.Ref
	Kept    bool
	Changed bool   // shown, but with something taken out
	Why     string // one of a few fixed sentences
	Labels  []label.Label
	Reasons []label.Reason
}

// Explain goes through a whole chart and says of each resource, in the order
// of the chart, what View does with it.
func (p *Policy) Explain(c access.Caller, ch chart.Chart) []Verdict {
	v := p.View(c, ch)
	out := make([]Verdict, 0, len(ch.Histories))
	for i, h := range ch.Histories {
		d := Verdict{Ref: h[0].Resource().Ref(), Labels: h[0].Labels(), Reasons: h[0].Reasons()}
		if v.sight.nobody {
			d.Why = "the caller sees nothing"
			out = append(out, d)
			continue
		}
		e := &v.entries[i]
		x := &h[e.first]
		d.Kept = e.state == visible
		switch {
		case e.state == visible && v.sight.owns(x):
			d.Why = "the caller sent it"
		case e.state == visible:
			d.Why = "nothing withheld"
			if res, err := v.release(e, x); err == nil && len(res.JSON()) != len(x.Resource().JSON()) {
				d.Changed, d.Why = true, "shown without what is withheld or internal"
			}
		case e.state == waiting:
			d.Why = "nothing visible names it"
		case e.state == absent:
			d.Why = "deleted, or another source's"
		case !h[0].Settled():
			d.Why = "its chart was not settled"
		case !h[0].Current:
			d.Why = "judged by other rules than today's"
		case v.sight.withholds(&h[0]):
			d.Why = "a label is withheld"
		case v.sight.sees(&h[0]):
			d.Why = "it would tell of something withheld"
		default:
			d.Why = "known only from a withheld message"
		}
		out = append(out, d)
	}
	return out
}
