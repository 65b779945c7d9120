package policy

import (
	"fmt"
	"iter"
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
	// On are, by feed, the events besides a Task that mean that a clinician of
	// the hospital has reviewed what the feed sent. None by default: HL7 v2 has
	// words for a laboratory's verification and for the signature below a
	// document, and none for the review by whoever treats the patient, so that
	// only the hospital knows what its statuses stand for.
	On map[string][]event `json:"on"`
	// Override are labels that are withheld but for what a clinician discussed
	// with the patient, who then asked for it online.
	Override []string `json:"override"`
}

const clinicianReview = "clinician-review"

// event is what a feed may say of what it sends.
type event string

const (
	// A document is authenticated, and somebody is named who did or is to: TXA-17
	// AU or LA (table 0271) with TXA-22 or TXA-10, DocumentReference.docStatus
	// final with an authenticator. It says nothing of results.
	authenticated event = "document-authenticated"
	// A report is final and names its principal interpreter, OBR-32,
	// DiagnosticReport.resultsInterpreter. It speaks for the report's results.
	interpreted event = "result-interpreted"
	// The feed sends nothing final before the review: OBR-25 and OBX-11 F.
	sentFinal event = "result-final"
)

func (r *release) check(f *file, at jsontext.Pointer, name string) (jsontext.Pointer, string) {
	at = at.AppendToken("release")
	if name == string(access.Provider) || name == string(access.Backend) || name == string(access.Source) {
		return at, "is for patients and their proxies"
	}
	if r.After != clinicianReview {
		return at.AppendToken("after"), `must be "` + clinicianReview + `"`
	}
	for _, source := range sortedNames(r.On) {
		for _, e := range r.On[source] {
			if e != authenticated && e != interpreted && e != sentFinal {
				return at.AppendToken("on").AppendToken(source), fmt.Sprintf("holds %q; there are %q, %q and %q", e, authenticated, interpreted, sentFinal)
			}
		}
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

// reviews are what a chart says about its results: for each what was done, and
// when last.
type reviews map[fhir.Ref]map[string]time.Time

// statement is a current version as far as reviews are read from it.
type statement struct {
	res      fhir.Resource
	recorded time.Time
	source   string
	members  []fhir.Ref // results of a report or panel
}

func chartSays(ch chart.Chart) iter.Seq[statement] {
	return func(yield func(statement) bool) {
		for _, h := range ch.Histories {
			if h[0].Deleted {
				continue
			}
			x := statement{res: h[0].Resource(), recorded: h[0].Recorded, source: h[0].Source}
			for _, l := range h[0].Links() {
				if membership(l.Element) {
					x.members = append(x.members, l.To)
				}
			}
			if !yield(x) {
				return
			}
		}
	}
}

// memberDepth is how far below a report's results what is said of it reaches.
const memberDepth = 4

func membership(element string) bool { return element == "result" || element == "hasMember" }

// reviewsOf reads them. What is said of a report is said of its results. on is
// release.On.
func reviewsOf(all iter.Seq[statement], on map[string][]event) reviews {
	done := reviews{}
	note := func(ref fhir.Ref, code string, at time.Time) {
		if done[ref] == nil {
			done[ref] = map[string]time.Time{}
		}
		if done[ref][code].Before(at) {
			done[ref][code] = at
		}
	}
	members := map[fhir.Ref][]fhir.Ref{}
	for x := range all {
		ref := x.res.Ref()
		if x.members != nil {
			members[ref] = x.members
		}
		if slices.ContainsFunc(on[x.source], x.shows) {
			note(ref, taskReviewed, x.recorded)
		}
		if ref.Type != "Task" || !x.res.Get("status").Is("completed") {
			continue
		}
		focus, ok := fhir.ParseRef(x.res.Get("focus").Get("reference").Text())
		for c := range x.res.All("code.coding") {
			if ok && c.Get("system").Is(TaskSystem) {
				note(focus, c.Get("code").Text(), x.recorded)
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
	for _, from := range sortedRefs(done) {
		for code, at := range done[from] {
			down(from, code, at, memberDepth)
		}
	}
	return done
}

// shows tells whether an event stands in a version itself.
func (x statement) shows(e event) bool {
	ref := x.res.Ref()
	if !results[ref.Type] || !final[x.res.Get("status").Text()] {
		return false
	}
	document := ref.Type == "DocumentReference"
	whole := !document || final[x.res.Get("docStatus").Text()] // "current" is no status of the content
	switch e {
	case authenticated:
		return document && x.res.Get("docStatus").Is("final") && !x.res.Get("authenticator").IsZero()
	case interpreted:
		return ref.Type == "DiagnosticReport" && x.res.Get("resultsInterpreter").Len() > 0
	case sentFinal:
		return whole
	}
	return false
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

// done tells whether something was done about what was recorded then, since.
func (r reviews) done(ref fhir.Ref, recorded time.Time, codes ...string) bool {
	at := r[ref]
	return slices.ContainsFunc(codes, func(c string) bool { return !at[c].IsZero() && !at[c].Before(recorded) })
}

// reviewed tells whether a result may be seen: it is final, and was reviewed as
// it is now.
func (r reviews) reviewed(res fhir.Resource, recorded time.Time) bool {
	return final[res.Get("status").Text()] && r.done(res.Ref(), recorded, taskReviewed, taskTold, taskRequested)
}

// requested tells whether only labels that may be overridden withhold a version,
// and the patient asked for it.
func (s *sight) requested(r reviews, x *chart.Version) bool {
	return r.done(x.Resource().Ref(), x.Recorded, taskRequested) &&
		!slices.ContainsFunc(x.Labels(), func(l label.Label) bool { return s.holds(l) && !slices.Contains(s.override, l) })
}
