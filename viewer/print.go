package viewer

import (
	"net/http"

	"firebreak/fhir"
	"firebreak/viewer/clinical"
)

// printModel is what goes on paper: the part of the chart that was asked for,
// with who printed it, when and for whom. Asking for it is what is audited as
// a print; other pages leave nothing on paper but a line that says so.
type printModel struct {
	*frame
	Part    string // "summary", "results", "trend", "report"
	Summary *summaryModel
	Grid    *gridModel
	Trend   *trendModel
	Report  *reportModel
	Back    string // the page this is the paper of
}

func (v *Viewer) print(w http.ResponseWriter, r *http.Request, f *frame) error {
	f.Paper = true
	q := r.URL.Query()
	m := &printModel{frame: f, Part: q.Get("part"), Back: f.Base}
	switch m.Part {
	case "results":
		m.Grid = f.grid(readFilter(q))
		m.Back = address(f.Base+"/results", m.Grid.Filter.query())
	case "trend":
		for _, t := range f.Chart.Tests {
			if f.v.handles.item(f.session.Key, "test", t.Key) == q.Get("test") {
				m.Trend = f.trend(t, q.Get("period"))
				m.Back = f.TestLink(t)
			}
		}
		if m.Trend == nil {
			return fhir.NotFound()
		}
	case "report":
		i, err := f.findItem(q.Get("id"), len(f.Chart.Reports), func(i int) fhir.Ref { return f.Chart.Reports[i].Ref })
		if err != nil {
			return err
		}
		x := f.Chart.Reports[i]
		m.Report = &reportModel{f, x, f.Chart.ResultsOf(x), f.files(x.Files, f.ReportLink(x))}
		m.Back = f.ReportLink(x)
	default:
		m.Part = "summary"
		m.Summary = f.summary()
		m.Grid = f.grid(filter{})
	}
	return v.render(w, r, http.StatusOK, "print", m)
}

// PrintLink is the paper of the page this frame is around, for the link that
// every page of a chart has.
func (f *frame) PrintLink(part, key, value string) string {
	return address(f.Base+"/print", map[string]string{"part": part, key: value})
}

// PrintHere is the paper of the page one is on; of the summary where the page
// has none of its own.
func (f *frame) PrintHere() string {
	if f.paper != "" {
		return f.paper
	}
	return f.Base + "/print"
}

// PrintTest is the paper of a test's trend.
func (f *frame) PrintTest(t *clinical.Test) string {
	return f.PrintLink("trend", "test", f.v.handles.item(f.session.Key, "test", t.Key))
}

// PrintReport is the paper of a report.
func (f *frame) PrintReport(r *clinical.Report) string {
	return f.PrintLink("report", "id", f.v.handles.item(f.session.Key, r.Ref.Type, r.Ref.ID))
}
