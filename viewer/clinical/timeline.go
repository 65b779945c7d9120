package clinical

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"firebreak/fhir"
)

// Event is one line of the timeline.
type Event struct {
	Origin
	When Time
	Kind EventKind
	What string
	More string
}

// EventKind says what sort of thing happened; the page has the words.
type EventKind string

const (
	ResultsEvent     EventKind = "results"
	ReportEvent      EventKind = "report"
	DocumentEvent    EventKind = "document"
	VisitEvent       EventKind = "visit"
	AppointmentEvent EventKind = "appointment"
	ProblemEvent     EventKind = "problem"
	MedicineEvent    EventKind = "medicine"
	VaccineEvent     EventKind = "vaccine"
	ProcedureEvent   EventKind = "procedure"
)

// Timeline is everything that has a time, newest first. Results that no report
// holds stand together, one line for a moment.
func (c *Chart) Timeline() []Event {
	var all []Event
	add := func(o Origin, when Time, kind EventKind, what, more string) {
		if !when.IsZero() {
			all = append(all, Event{o, when, kind, what, more})
		}
	}
	for _, r := range c.Reports {
		add(r.Origin, r.Date(), ReportEvent, r.Name, string(r.Status))
	}
	for _, d := range c.Documents {
		if !d.Gone {
			add(d.Origin, d.When, DocumentEvent, d.Name, d.Author)
		}
	}
	for _, v := range c.Visits {
		add(v.Origin, v.Period.Start, VisitEvent, strings.Trim(v.Class+", "+v.Kind, ", "), v.Place)
	}
	for _, a := range c.Appointments {
		if !a.Status.Withdrawn() {
			add(a.Origin, a.Start, AppointmentEvent, a.What, string(a.Status))
		}
	}
	for _, p := range c.Problems {
		add(p.Origin, p.Since(), ProblemEvent, p.Name, p.Status)
	}
	for _, m := range c.Medicines {
		add(m.Origin, m.When, MedicineEvent, m.Name, m.Dose)
	}
	for _, v := range c.Vaccines {
		if !v.Status.Withdrawn() {
			add(v.Origin, v.When, VaccineEvent, v.Name, string(v.Status))
		}
	}
	for _, p := range c.Procedures {
		if !p.Status.Withdrawn() {
			add(p.Origin, p.When, ProcedureEvent, p.Name, string(p.Status))
		}
	}
	all = append(all, c.moments()...)
	slices.SortStableFunc(all, func(a, b Event) int {
		return cmp.Or(newer(a.When, b.When), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.What, b.What), cmp.Compare(a.Ref.String(), b.Ref.String()))
	})
	return all
}

// moments gathers the results outside reports by the time they were taken.
func (c *Chart) moments() []Event {
	type group struct {
		Event
		names []string
	}
	groups := map[string]*group{}
	var order []*group
	for _, t := range c.Tests {
		for _, r := range t.Results {
			if _, reported := c.reported[r.Ref]; reported || !r.Counts() || r.When.IsZero() {
				continue
			}
			key := r.When.Sent + "|" + r.Source
			g := groups[key]
			if g == nil {
				g = &group{Event: Event{Origin: r.Origin, When: r.When, Kind: ResultsEvent}}
				g.Ref = fhir.Ref{}
				groups[key] = g
				order = append(order, g)
			}
			if !containsFold(g.names, t.Name) {
				g.names = append(g.names, t.Name)
			}
		}
	}
	all := make([]Event, len(order))
	for i, g := range order {
		g.What = strings.Join(g.names[:min(3, len(g.names))], ", ")
		if more := len(g.names) - 3; more > 0 {
			g.What += fmt.Sprintf(" and %d more", more)
		}
		all[i] = g.Event
	}
	return all
}
