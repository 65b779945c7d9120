package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"firebreak/access"
	"firebreak/chart"
	"firebreak/label"
)

// breakGlass is what an audience may open of one patient's chart for a while,
// with a reason and in a privacy officer's sight (PX-10, PX-11).
type breakGlass struct {
	About         string   `json:"about"`
	Opens         []string `json:"opens"`         // labels
	EmergencyOnly []string `json:"emergencyOnly"` // labels, for the reason "emergency" alone
	Minutes       int      `json:"minutes"`
}

// Glass is how far a chart was opened.
type Glass uint8

const (
	Intact    Glass = iota
	Broken          // what the policy opens for a reason
	Emergency       // and what it opens in an emergency only
)

// maxMinutes is how long a chart may stay open (PX-10).
const maxMinutes = 60

// check tells what is wrong. Psychotherapy notes are never opened, and what a
// programme under 42 CFR Part 2 sent only in an emergency.
// Source: 45 CFR 164.508(a)(2); 42 CFR 2.51.
func (b *breakGlass) check(f *file, at jsontext.Pointer, name string) (jsontext.Pointer, string) {
	at = at.AppendToken("breakGlass")
	if name != string(access.Provider) {
		return at, "nobody but providers breaks the glass"
	}
	if b.Minutes < 1 || b.Minutes > maxMinutes {
		return at, fmt.Sprintf(`"minutes" must be 1 to %d`, maxMinutes)
	}
	if len(b.Opens) == 0 && len(b.EmergencyOnly) == 0 {
		return at, "opens nothing; leave it out"
	}
	for _, list := range []struct {
		name   string
		labels []string
	}{{"opens", b.Opens}, {"emergencyOnly", b.EmergencyOnly}} {
		for i, l := range list.labels {
			at := at.AppendToken(list.name).AppendToken(fmt.Sprint(i))
			switch _, ok := f.Labels[l]; {
			case !ok:
				return at, fmt.Sprintf("no label is called %q", l)
			case l == string(label.Psychotherapy):
				return at, "psychotherapy notes are never opened"
			case l == string(label.Part2) && list.name == "opens":
				return at, "42 CFR Part 2 data is opened in an emergency only"
			}
		}
	}
	return "", ""
}

// without is a narrowing less what the glass shows.
func (b *breakGlass) without(g Glass, n narrowing) narrowing {
	if b == nil || g == Intact {
		return n
	}
	n.Withhold = slices.DeleteFunc(slices.Clone(n.Withhold), func(l string) bool {
		return slices.Contains(b.Opens, l) || g == Emergency && slices.Contains(b.EmergencyOnly, l)
	})
	return n
}

// MayBreak tells whether c may break the glass of a chart, whichever it is, and
// for how long: a person at the pages in a clinical role of their own, where the
// policy allows it. What a role or worksite withholds besides stays withheld.
func (p *Policy) MayBreak(c access.Caller) (time.Duration, bool) {
	b := p.file.Audiences[string(access.Provider)].BreakGlass
	if b == nil || c.Audience() != access.Provider || c.Identity().Client() != "" || !c.Role().Authorizes() || p.sight(c).nobody {
		return 0, false
	}
	return time.Duration(b.Minutes) * time.Minute, true
}

// KeyThrough is Key for a caller to whom a chart was opened so far.
func (p *Policy) KeyThrough(g Glass, c access.Caller) string {
	key := p.standing(g, c).key
	if l := c.Identity().Limits(); l != nil {
		key += " within " + l.Key()
	}
	return key
}

// ViewThrough is View for a caller to whom the chart was opened so far. It is
// for the record, which knows who opened what.
func (p *Policy) ViewThrough(g Glass, c access.Caller, ch chart.Chart) *View {
	return p.view(p.standing(g, c).sight, subjectsOf(c), c.Admitted(), ch).within(c.Identity().Limits())
}
