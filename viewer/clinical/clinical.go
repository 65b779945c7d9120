// Package clinical reads a released view of a chart the way a clinician does:
// tests with their results over time, flags, reports, documents, visits,
// people. It is the one reading behind every page, so that no two pages can
// disagree about what the newest value is, or whether it counts.
//
// Nothing is guessed: numbers keep the digits that were sent, times their
// precision and zone, flags their letters; what is not known is left empty.
// A Chart is made from a policy.View alone and so holds only what may be shown.
package clinical

import (
	"time"

	"firebreak/fhir"
	"firebreak/policy"
)

// Chart is one patient's chart as one caller may see it. It is immutable and
// may be shared between requests of callers who see the same view.
type Chart struct {
	Person       Person
	Tests        []*Test  // by panel, newest panel first, then as the panel orders them
	Panels       []*Panel // the same tests, grouped
	Allergies    []Allergy
	Problems     []Problem
	Family       []Relative // what runs in the family
	Medicines    []Medicine
	Vaccines     []Vaccine
	Procedures   []Procedure
	Reports      []*Report     // newest first
	Documents    []*Document   // newest first
	Visits       []Visit       // newest first
	Appointments []Appointment // latest first
	Related      []Related     // family and other contacts
	Carers       []Carer       // who gives care, most recently seen first
	Coverages    []Coverage

	now      time.Time
	say      Words
	src      *policy.View
	results  map[fhir.Ref][]*Result
	reported map[fhir.Ref]place
	origin   origins
}

// ReadAt is the moment the chart was read at.
func (c *Chart) ReadAt() time.Time { return c.now }

// Words gives the text that a page's language has under a key, with args put in.
type Words func(key string, args ...any) string

// Of reads a view. now decides ages and what lies ahead; say the words for what
// sources send as codes.
func Of(v *policy.View, now time.Time, say Words) *Chart {
	c := &Chart{now: now, say: say, src: v, results: make(map[fhir.Ref][]*Result, len(v.Of("Observation")))}
	all := v.All()
	apart(len(all), func(i int) { all[i].Content() }) // it is made when first asked for
	c.readPerson()
	c.readReports()
	c.readTests()
	c.readHistory()
	c.readFamily()
	c.readDocuments()
	c.readVisits()
	c.readPeople()
	return c
}

// Origin is where one item came from.
type Origin struct {
	Source   string    // name of the feed, see record.Feed
	Received time.Time // when its message arrived
	Ref      fhir.Ref
}

func originOf(r policy.Released) Origin {
	return Origin{Source: r.Source(), Received: r.Recorded(), Ref: r.Ref()}
}
