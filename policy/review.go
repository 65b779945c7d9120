package policy

import (
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"firebreak/access"
	"firebreak/chart"
	"firebreak/fhir"
	"firebreak/label"
)

// release says when an audience sees results: after an event, never after a
// time (MY-18, MY-19).
type release struct {
	About string `json:"about"`
	After string `json:"after"` // "clinician-review"
	// Override are labels that are withheld but for what a clinician discussed
	// with the patient, who then asked for it online.
	Override []string `json:"override"`
}

const clinicianReview = "clinician-review"

func (r *release) check(f *file, at jsontext.Pointer, name string) (jsontext.Pointer, string) {
	at = at.AppendToken("release")
	if name == string(access.Provider) || name == string(access.Backend) || name == string(access.Source) {
		return at, "is for patients and their proxies"
	}
	if r.After != clinicianReview {
		return at.AppendToken("after"), `must be "` + clinicianReview + `"`
	}
	for _, l := range r.Override {
		if _, ok := f.Labels[l]; !ok || l == string(label.Psychotherapy) {
			return at.AppendToken("override"), "holds what is no label, or psychotherapy notes"
		}
	}
	return "", ""
}

// TaskSystem is of the codes of the Tasks by which an EHR tells what became of a
// result: Task.status is completed, Task.focus the result or its report.
const TaskSystem = "urn:firebreak:task"

const (
	taskReviewed  = "reviewed"                // a clinician looked at it
	taskTold      = "told"                    // the patient was told, at a visit or by telephone
	taskRequested = "discussed-and-requested" // and wishes to see it online
)

// results are what waits for review.
var results = map[string]bool{"DiagnosticReport": true, "Observation": true, "ImagingStudy": true, "Media": true, "DocumentReference": true}

// final statuses are those of what a clinician can have reviewed for good.
var final = map[string]bool{"final": true, "amended": true, "corrected": true, "appended": true, "available": true, "completed": true, "current": true}

// reviews are the Tasks of a chart about its results: for each what was done,
// and when last.
type reviews map[fhir.Ref]map[string]time.Time

// reviewsOf reads them. What is said of a report is said of its results.
func reviewsOf(ch chart.Chart) reviews {
	all := reviews{}
	note := func(ref fhir.Ref, code string, at time.Time) {
		if all[ref] == nil {
			all[ref] = map[string]time.Time{}
		}
		if all[ref][code].Before(at) {
			all[ref][code] = at
		}
	}
	members := map[fhir.Ref][]fhir.Ref{}
	for _, h := range ch.Histories {
		r := h[0].Resource()
		if h[0].Deleted {
			continue
		}
		for _, l := range h[0].Links() {
			if l.Element == "result" || l.Element == "hasMember" {
				members[r.Ref()] = append(members[r.Ref()], l.To)
			}
		}
		if r.Type() != "Task" || !r.Get("status").Is("completed") {
			continue
		}
		focus, ok := fhir.ParseRef(r.Get("focus").Get("reference").Text())
		for c := range r.All("code.coding") {
			if ok && c.Get("system").Is(TaskSystem) {
				note(focus, c.Get("code").Text(), h[0].Recorded)
			}
		}
	}
	var down func(from fhir.Ref, code string, at time.Time, depth int)
	down = func(from fhir.Ref, code string, at time.Time, depth int) {
		for _, to := range members[from] {
			note(to, code, at)
			if depth > 0 {
				down(to, code, at, depth-1)
			}
		}
	}
	for _, from := range sortedRefs(all) {
		for code, at := range all[from] {
			down(from, code, at, 4)
		}
	}
	return all
}

func sortedRefs(m reviews) []fhir.Ref {
	out := make([]fhir.Ref, 0, len(m))
	for r := range m {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b fhir.Ref) int { return compare(a.String(), b.String()) })
	return out
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// done tells whether something was done about a version, since it came.
func (r reviews) done(x *chart.Version, codes ...string) bool {
	at := r[x.Resource().Ref()]
	return slices.ContainsFunc(codes, func(c string) bool { return !at[c].IsZero() && !at[c].Before(x.Recorded) })
}

// reviewed tells whether a result may be seen: it is final, and was reviewed as
// it is now.
func (r reviews) reviewed(x *chart.Version) bool {
	return final[x.Resource().Get("status").Text()] && r.done(x, taskReviewed, taskTold, taskRequested)
}

// requested tells whether only labels that may be overridden withhold a version,
// and the patient asked for it.
func (s *sight) requested(r reviews, x *chart.Version) bool {
	return r.done(x, taskRequested) && !slices.ContainsFunc(x.Labels(), func(l label.Label) bool { return s.holds(l) && !slices.Contains(s.override, l) })
}

// Waiting is a result that its patient does not know of yet.
type Waiting struct {
	Ref   fhir.Ref
	Since time.Time // when it came
	Held  bool      // withheld by a label: the patient is to be told at a visit or by telephone
}

// ReviewDays are the days in which results are usually reviewed (MY-19); what
// waits longer is overdue. Nothing is released by it.
const ReviewDays = 12

// Waiting lists the final results of a chart that no clinician has reviewed, and
// those withheld from the patient of which nobody said that the patient was told
// (MY-19, MY-23), oldest first. It is for care teams and the privacy officer.
func (p *Policy) Waiting(ch chart.Chart) []Waiting {
	a := p.file.Audiences["patient"]
	var s sight
	s.add(a.narrowing)
	r := reviewsOf(ch)
	var all []Waiting
	for _, h := range ch.Histories {
		x := &h[0]
		ref := x.Resource().Ref()
		if x.Deleted || ref.Type != "DiagnosticReport" && ref.Type != "Observation" || !final[x.Resource().Get("status").Text()] {
			continue
		}
		switch held := s.withholds(x); {
		case held && !r.done(x, taskTold, taskRequested), !held && !r.reviewed(x):
			all = append(all, Waiting{ref, x.Recorded, held})
		}
	}
	slices.SortStableFunc(all, func(a, b Waiting) int { return a.Since.Compare(b.Since) })
	return all
}
