package policy

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"firebreak/chart"
	"firebreak/fhir"
	"firebreak/label"
)

// Waiting is a result that its patient does not know of yet. It tells of what is
// withheld: it is for care teams and the privacy officer.
type Waiting struct {
	Ref    fhir.Ref
	Since  time.Time     // when it came, as it is now
	Held   bool          // withheld by a label: the patient is to be told at a visit or by telephone
	Labels []label.Label // that withhold it, sorted; none unless Held
	Number string        // of the patient, as the source writes it; may be empty
	Order  string        // the order's or the report's; may be empty
}

// ReviewDays are the days in which results are usually reviewed (MY-19); what
// waits longer is overdue. Nothing is released by it.
const ReviewDays = 12

// patients is what the policy says of patients, whether or not they can come in.
func (p *Policy) patients() (s sight) {
	a := p.file.Audiences["patient"]
	if a.As != "" {
		a = p.file.Audiences[a.As]
	}
	s.add(a.narrowing)
	if cmp.Or(a.Unclassified, p.file.Unclassified) != "release" {
		s.withhold = append(s.withhold, label.Unclassified)
	}
	if a.Release != nil {
		s.reviewed, s.on = true, a.Release.On
	}
	return s
}

// WaitingKey changes when another policy may find other results waiting.
func (p *Policy) WaitingKey() string {
	s := p.patients()
	slices.Sort(s.withhold)
	b, err := json.Marshal([]any{s.everything, s.withhold, s.reviewed, s.on})
	if err != nil {
		panic(err) // strings only: cannot happen
	}
	return digest(b)
}

// Waiting lists the final results of a chart that no clinician has reviewed, and
// those withheld from the patient of which nobody said that the patient was told
// (MY-19, MY-23), oldest first. A report stands for those of its results that
// wait as it does. What waits for its review and holds a code nobody has
// classified waits for the review first.
func (p *Policy) Waiting(ch chart.Chart) []Waiting {
	s := p.patients()
	r := reviewsOf(chartSays(ch), s.on)
	found := map[fhir.Ref]*Waiting{}
	var all []*Waiting
	var number string
	for _, h := range ch.Histories {
		x := &h[0]
		res, ref := x.Resource(), x.Resource().Ref()
		if ref == ch.Patient && !x.Deleted {
			number = numberOf(res)
		}
		if x.Deleted || ref.Type != "DiagnosticReport" && ref.Type != "Observation" || !final[res.Get("status").Text()] {
			continue
		}
		unreviewed := s.reviewed && !r.reviewed(res, x.Recorded)
		w := &Waiting{Ref: ref, Since: x.Recorded}
		for _, l := range x.Labels() {
			if s.holds(l) && !(l == label.Unclassified && unreviewed) {
				w.Labels = append(w.Labels, l)
			}
		}
		w.Held = len(w.Labels) > 0
		switch {
		case w.Held && r.done(ref, x.Recorded, taskTold, taskRequested), !w.Held && !unreviewed:
			continue
		}
		w.Order = orderOf(res)
		found[ref] = w
		all = append(all, w)
	}
	members := map[fhir.Ref][]fhir.Ref{}
	for x := range chartSays(ch) {
		members[x.res.Ref()] = x.members
		for _, ref := range x.members { // most have the number of their report alone
			if w := found[ref]; w != nil && w.Order == "" && x.res.Type() == "DiagnosticReport" {
				w.Order = orderOf(x.res)
			}
		}
	}
	covered := map[fhir.Ref]bool{}
	var cover func(w *Waiting, of fhir.Ref, depth int)
	cover = func(w *Waiting, of fhir.Ref, depth int) {
		for _, ref := range members[of] {
			if x := found[ref]; x != nil && ref.Type == "Observation" && x.Held == w.Held && slices.Equal(x.Labels, w.Labels) {
				covered[ref] = true
			}
			if depth > 0 {
				cover(w, ref, depth-1)
			}
		}
	}
	for _, w := range all {
		if w.Ref.Type == "DiagnosticReport" { // which is nothing's member
			cover(w, w.Ref, memberDepth)
		}
	}
	out := make([]Waiting, 0, len(all))
	for _, w := range all {
		if !covered[w.Ref] {
			w.Number = number
			out = append(out, *w)
		}
	}
	slices.SortStableFunc(out, func(a, b Waiting) int { return a.Since.Compare(b.Since) })
	return out
}

// numberOf is the number by which a hospital finds a patient: a record number
// before any other that still holds.
func numberOf(patient fhir.Resource) string {
	number := ""
	for i := range patient.All("identifier") {
		if value := i.Get("value").Text(); value != "" && !i.Get("use").Is("old") {
			if number == "" {
				number = value
			}
			for c := range i.All("type.coding") {
				if c.Get("code").Is("MR") {
					return value
				}
			}
		}
	}
	return number
}

// orderOf is the number by which a laboratory or ward finds a result: the
// laboratory's before the ward's.
func orderOf(res fhir.Resource) string {
	number := ""
	for i := range res.All("identifier") {
		value := i.Get("value").Text()
		if number == "" {
			number = value
		}
		for c := range i.All("type.coding") {
			if c.Get("code").Is("FILL") && value != "" {
				return value
			}
		}
	}
	return number
}
