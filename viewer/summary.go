package viewer

import (
	"html/template"
	"net/http"
	"time"

	"firebreak/viewer/clinical"
)

const (
	attentionPeriod = 90 * 24 * time.Hour // "needs a look"
	recentPeriod    = 90 * 24 * time.Hour // "coming and recent"
	summaryTests    = 8
	summaryPapers   = 5
	summaryLines    = 8
)

// summaryModel is the first page of a chart.
type summaryModel struct {
	*frame
	Look      []*clinical.Test
	MoreLook  int
	Coming    []clinical.Appointment
	Visits    []clinical.Visit
	Latest    []*clinical.Test
	Papers    []paper
	Problems  []clinical.Problem
	Past      []clinical.Problem
	Medicines []clinical.Medicine
	Related   []clinical.Related
}

// paper is a report or a document, in one list.
type paper struct {
	What, Kind, Link string
	When             clinical.Time
	Mark             string
	Origin           clinical.Origin
}

func (v *Viewer) summary(w http.ResponseWriter, r *http.Request, f *frame) error {
	if err := v.Desk.Opened(r.Context(), f.Caller.Person(), f.Caller.Worksite().ID, f.Person.Ref.ID); err != nil {
		return err
	}
	return v.render(w, r, http.StatusOK, "summary", f.summary())
}

// summary is the model of the page; the print view has it too.
func (f *frame) summary() *summaryModel {
	c := f.Chart
	m := &summaryModel{frame: f, Look: c.Attention(attentionPeriod), Latest: first(c.Latest(), summaryTests), Related: first(c.Related, summaryLines)}
	m.MoreLook = max(0, len(m.Look)-summaryLines)
	m.Look = first(m.Look, summaryLines)
	m.Coming = first(c.Coming(), 3)
	for _, x := range c.Visits {
		if x.Status != "entered-in-error" && x.Status != "cancelled" && len(m.Visits) < 3 {
			m.Visits = append(m.Visits, x)
		}
	}
	for _, p := range c.Problems {
		if p.Active() {
			m.Problems = append(m.Problems, p)
		} else {
			m.Past = append(m.Past, p)
		}
	}
	for _, x := range c.Medicines {
		if x.Current() && len(m.Medicines) < summaryLines {
			m.Medicines = append(m.Medicines, x)
		}
	}
	m.Papers = f.papers(summaryPapers)
	return m
}

// papers are the newest reports and documents in one list.
func (f *frame) papers(n int) []paper {
	var all []paper
	rs, ds := f.Chart.Reports, f.Chart.Documents
	for len(all) < n && (len(rs) > 0 || len(ds) > 0) {
		if len(ds) == 0 || len(rs) > 0 && !rs[0].Date().At.Before(ds[0].When.At) {
			x := rs[0]
			all = append(all, paper{x.Name, x.Kind, f.ReportLink(x), x.Date(), f.Mark(x.Status), x.Origin})
			rs = rs[1:]
			continue
		}
		x := ds[0]
		if !x.Gone {
			all = append(all, paper{x.Name, x.Kind, f.DocumentLink(x), x.When, f.Mark(x.Status), x.Origin})
		}
		ds = ds[1:]
	}
	return all
}

// PaperLines are the papers as the template draws them.
func (m *summaryModel) PaperLines() []paperLine {
	lines := make([]paperLine, len(m.Papers))
	for i, p := range m.Papers {
		lines[i] = paperLine{p.What, p.Link, p.Mark, m.Source(p.Origin), m.Short(p.When)}
	}
	return lines
}

type paperLine struct {
	What, Link, Mark, Source string
	When                     template.HTML
}

func first[T any](all []T, n int) []T { return all[:min(n, len(all))] }
