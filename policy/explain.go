package policy

import (
	"maps"
	"strings"
	"time"

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

// Position is where somebody stands that a rule is tried for. It is no caller:
// nothing is shown to it.
type Position struct {
	Audience access.Audience `json:"audience"`
	Role     access.Role     `json:"role,omitzero"`     // of a provider
	Worksite string          `json:"worksite,omitzero"` // id of the registry
	Person   string          `json:"person,omitzero"`   // id of the registry
	App      bool            `json:"app,omitzero"`      // by an app with a token, not a page
	Source   string          `json:"source,omitzero"`   // that a client sends for
}

// Position is where c stands, whoever c acts for left out.
func PositionOf(c access.Caller) Position {
	at := positionOf(c)
	return Position{Audience: at.audience, Role: at.role, Worksite: at.site, Person: c.Person(), App: at.app, Source: at.source}
}

// Knows tells whether the policy says anything about the position: audience
// and role. What it does not know sees nothing.
func (p *Policy) Knows(at Position) bool {
	_, ok := p.file.Audiences[string(at.Audience)]
	return ok && (at.Audience != access.Provider || at.Role.Clinical())
}

// ToldOf are the resources of a chart that its patient may know of now, by the
// rules of the patient's audience, be it open or not: what of the log of looks
// may be told (PX-12).
func (p *Policy) ToldOf(ch chart.Chart, now time.Time) map[fhir.Ref]bool {
	open := Policy{version: p.version, file: p.file}
	open.file.Audiences = maps.Clone(p.file.Audiences)
	a := open.file.Audiences["patient"]
	a.Enabled = nil
	open.file.Audiences["patient"] = a
	told := map[fhir.Ref]bool{}
	for _, v := range open.Explain(Position{Audience: "patient"}, now, ch) {
		told[v.Ref] = told[v.Ref] || v.Kept
	}
	return told
}

// Explain goes through a whole chart and says of each resource, in the order
// of the chart, what a View for that position does with it.
func (p *Policy) Explain(at Position, now time.Time, ch chart.Chart) []Verdict {
	s := p.look(position{audience: at.Audience, role: at.Role, site: at.Worksite, app: at.App, source: at.Source})
	v, left := p.viewOf(s, []subject{{at.Person, at.Worksite, at.Role}}, now, ch)
	out := make([]Verdict, 0, len(ch.Histories))
	for _, h := range ch.Histories {
		d := Verdict{Ref: h[0].Resource().Ref(), Labels: h[0].Labels(), Reasons: h[0].Reasons()}
		if v.sight.nobody {
			d.Why = "the caller sees nothing"
			out = append(out, d)
			continue
		}
		i, stays := v.byRef[d.Ref]
		if !stays {
			d.Why = "a newer version of its document does not say it"
			out = append(out, d)
			continue
		}
		e := &v.entries[i]
		h = left.Histories[i]
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
		case v.said.tells(e.ref):
			d.Why = "the patient's directive, or the form it was made from" + notRead(v.said.unread, e.ref)
		case v.sight.mask.hides(&h[0]):
			d.Why = "the patient's directive denies it"
		case v.sight.withholds(&h[0]):
			d.Why = "a label is withheld"
		case v.sight.reviewed && results[e.ref.Type] && !v.reviews.reviewed(h[0].Resource(), h[0].Recorded):
			d.Why = "no clinician has reviewed it as it is now"
		case v.sight.sees(&h[0]):
			d.Why = "it would tell of something withheld"
		default:
			d.Why = "known only from a withheld message"
		}
		out = append(out, d)
	}
	return out
}

// notRead says which parts of a Consent were not understood.
func notRead(all []Unread, consent fhir.Ref) string {
	var paths []string
	for _, u := range all {
		if u.Consent == consent {
			paths = append(paths, u.Path)
		}
	}
	if paths == nil {
		return ""
	}
	return "; not understood, so it denies: " + strings.Join(paths, ", ")
}
