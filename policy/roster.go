package policy

import (
	"bytes"
	"iter"

	"github.com/go-json-experiment/json/jsontext"

	"firebreak/access"
	"firebreak/chart"
	"firebreak/fhir"
	"firebreak/label"
)

// A Group lies by itself, in no patient's record. Its source sees it as it sent it;
// who looks across patients, as if those of its members had never been in it who are
// not known to them; and nobody else.

// Shown tells of a patient whether the Patient is visible, to whom a roster is shown,
// and as who: merged records are their survivor.
type Shown func(patient string) (now string, ok bool)

// roster is what a view of a Group goes by.
type roster struct{ shown Shown }

func (r *roster) survivor(reference string) string {
	if ref, ok := fhir.ParseRef(reference); ok && ref.Type == "Patient" {
		if now, ok := r.shown(ref.ID); ok {
			return "Patient/" + now
		}
	}
	return reference
}

// Roster is the view of a Group's chart: the versions of the Group that are in it, the
// current first, and what they name in a directory. Of others than its source only the
// current state is for, as old as the first of the versions before it that say the same
// to them: it does not tell of changes of which they see nothing.
// older gives the versions before the current one, newest first, each settled; it is
// read no further than that needs.
func (p *Policy) Roster(c access.Caller, ch chart.Chart, shown Shown, older iter.Seq[chart.Version]) *View {
	s := p.standing(Intact, c).sight
	s.roster = &roster{shown}
	v := p.viewAll(s, subjectsOf(c), c.Admitted(), ch)
	for i := range v.entries {
		if e := &v.entries[i]; e.ref.Type == "Group" && e.state == visible && !s.owns(e.current()) {
			e.settleAge(older)
		}
	}
	return v.within(c.Identity().Limits())
}

// Owns tells whether the caller sees what a source sent as that sent it.
func (p *Policy) Owns(c access.Caller, source string) bool {
	s := p.standing(Intact, c).sight
	return !s.nobody && s.own != "" && s.own == source
}

// LooksAcross tells whether the caller may see Groups that others sent.
func (p *Policy) LooksAcross(c access.Caller) bool {
	s := p.standing(Intact, c).sight
	return !s.nobody && s.across
}

// settleAge makes the one version that is shown.
func (e *entry) settleAge(older iter.Seq[chart.Version]) {
	x := e.current()
	now := shown{recorded: x.Recorded, at: x.At, source: x.Source}
	var err error
	if now.res, err = e.view.release(e, x); err != nil {
		now.res = bareOf(e.ref)
	}
	for x := range older {
		if !e.view.sight.sees(&x) {
			continue
		}
		res, err := e.view.release(e, &x)
		if err != nil || !bytes.Equal(res.JSON(), now.res.JSON()) {
			break
		}
		if x.Recorded.Before(now.recorded) {
			now.recorded = x.Recorded
		}
		now.at = x.At
	}
	e.history = nil
	e.made.Store(&made{newest: now})
}

// known gives a Group without what tells of members who are not shown: who they are,
// and what is said in general: how many, and in words. Of those who are shown it says
// who they are, since when and until when.
func (v *View) known(x *chart.Version) (fhir.Resource, error) {
	res := x.Resource()
	withheld := map[int]bool{}
	for _, r := range x.Reasons() {
		if n, ok := label.Member(r.Element); ok && v.sight.holds(r.Label) {
			withheld[n] = true
		}
	}
	b := []byte{'{'}
	for name, value := range res.Root().Members() {
		raw := value.Raw()
		switch name {
		case "text", "quantity", "_quantity", "_member":
			continue
		case "member":
			if raw = v.members(value, withheld); raw == nil {
				continue
			}
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		var err error
		if b, err = jsontext.AppendQuote(b, name); err != nil {
			return res, err
		}
		b = append(append(b, ':'), raw...)
	}
	return fhir.Take(append(b, '}'))
}

func (v *View) members(list fhir.Node, withheld map[int]bool) []byte {
	b, n := []byte{'['}, -1
	said := map[string]bool{}
	for m := range list.Items() {
		n++
		ref, ok := fhir.ParseRef(m.At("entity.reference").Text())
		if !ok || ref.Type != "Patient" || withheld[n] {
			continue
		}
		now, ok := v.sight.roster.shown(ref.ID)
		if !ok {
			continue
		}
		one := `{"entity":{"reference":"Patient/` + now + `"}`
		period := ""
		for _, end := range []string{"start", "end"} {
			if at := m.Get("period").Get(end).Text(); isDate(at) {
				period += `,"` + end + `":"` + at + `"`
			}
		}
		if period != "" {
			one += `,"period":{` + period[1:] + `}`
		}
		if in := m.Get("inactive"); in.Is("true") || in.Is("false") {
			one += `,"inactive":` + in.Text()
		}
		if one += "}"; said[one] {
			continue
		}
		said[one] = true
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(b, one...)
	}
	if len(b) == 1 {
		return nil
	}
	return append(b, ']')
}

func isDate(s string) bool { _, _, ok := readDate(s); return ok }
