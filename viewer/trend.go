package viewer

import (
	"html/template"
	"net/http"
	"slices"

	"github.com/gorilla/mux"

	"firebreak/fhir"
	"firebreak/viewer/clinical"
)

// trendModel is the page of one test.
type trendModel struct {
	*frame
	Test   *clinical.Test
	Period string
	Charts []chartView
	Words  []*clinical.Result
	Common []string // what holds for every result: specimen, method, laboratory
	Rows   []trendRow
	Empty  bool // nothing to draw in the period
}

// chartView is one series drawn twice: for wide and for narrow pages.
type chartView struct {
	Unit, Method string
	Wide, Narrow template.HTML
	Label        string
	Span         string // "14-Nov-2026 to 15-Nov-2026"
}

// trendRow is one line of the table: a result, or a value it had before.
type trendRow struct {
	*clinical.Result
	Old bool // replaced: struck through
}

func (v *Viewer) trend(w http.ResponseWriter, r *http.Request, f *frame) error {
	code := mux.Vars(r)["code"]
	for i, t := range f.Chart.Tests {
		if f.v.handles.item(f.session.Key, "test", t.Key) != code {
			continue
		}
		if i > 0 {
			f.Prev = f.TestLink(f.Chart.Tests[i-1])
		}
		if i+1 < len(f.Chart.Tests) {
			f.Next = f.TestLink(f.Chart.Tests[i+1])
		}
		f.paper = f.PrintTest(t)
		return v.render(w, r, http.StatusOK, "trend", f.trend(t, r.URL.Query().Get("period")))
	}
	return fhir.NotFound()
}

// trend is the model of the page for one test; the print view has it too.
func (f *frame) trend(t *clinical.Test, period string) *trendModel {
	m := &trendModel{frame: f, Test: t}
	if periods[period] > 0 {
		m.Period = period
	}
	from := since(f.now, m.Period)
	for _, s := range t.Series() {
		if s = s.From(from); len(s.Points) == 0 {
			continue
		}
		m.Charts = append(m.Charts, chartView{
			Unit: s.Unit, Method: s.Method,
			Wide: f.plot(s, wide), Narrow: f.plot(s, narrow), Label: f.plotLabel(t, s),
			Span: f.v.words.say("trend.span", s.Points[0].When.Date(), s.Points[len(s.Points)-1].When.Date()),
		})
	}
	for _, r := range t.Words() {
		if !r.When.At.Before(from) {
			m.Words = append(m.Words, r)
		}
	}
	m.Empty = len(m.Charts) == 0 && len(m.Words) == 0
	m.Common = f.common(t.Results)
	for _, r := range t.Results {
		m.Rows = append(m.Rows, trendRow{r, false})
		for _, old := range f.Chart.Earlier(r) {
			m.Rows = append(m.Rows, trendRow{old, true})
		}
	}
	return m
}

// details are the circumstances of a result, in words.
func (f *frame) details(r *clinical.Result) []string {
	var all []string
	say := func(key, value string) {
		if value != "" {
			all = append(all, f.v.words.say(key, value))
		}
	}
	say("specimen", r.Specimen)
	say("body", r.BodySite)
	say("method", r.Method)
	say("performer", r.Performer)
	return all
}

// common are the details that every result of a test shares.
func (f *frame) common(all []*clinical.Result) []string {
	if len(all) == 0 {
		return nil
	}
	shared := f.details(all[0])
	for _, r := range all[1:] {
		has := f.details(r)
		shared = slices.DeleteFunc(shared, func(d string) bool { return !slices.Contains(has, d) })
	}
	return shared
}

// Details are what a row of the table says beside its notes: what it does not
// share with all others.
func (m *trendModel) Details(r *clinical.Result) []string {
	return slices.DeleteFunc(m.details(r), func(d string) bool { return slices.Contains(m.Common, d) })
}

// Message is the id of the message that brought a result, as its source
// numbered it.
func (m *trendModel) Message(r *clinical.Result) string { return m.Chart.Message(r.Ref) }

// PeriodLink is the address of this page for another period.
func (m *trendModel) PeriodLink(period string) string {
	return address(m.TestLink(m.Test), map[string]string{"period": period})
}

// plotLabel tells in words what a chart shows.
func (f *frame) plotLabel(t *clinical.Test, s clinical.Series) string {
	first, last := s.Points[0], s.Points[len(s.Points)-1]
	return f.v.words.say("trend.label", t.Name, len(s.Points), first.When.Date(), last.When.Date(), last.Value.Text, s.Unit)
}
