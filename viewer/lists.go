package viewer

import (
	"net/http"

	"firebreak/viewer/clinical"
)

func (v *Viewer) visits(w http.ResponseWriter, r *http.Request, f *frame) error {
	return v.render(w, r, http.StatusOK, "visits", struct {
		*frame
		Visits []clinical.Visit
		pager
	}{f, page(f.Chart.Visits, r), pages(len(f.Chart.Visits), f.Base+"/visits", r)})
}

func (v *Viewer) appointments(w http.ResponseWriter, r *http.Request, f *frame) error {
	coming := f.Chart.Coming()
	var past []clinical.Appointment
	for _, a := range f.Chart.Appointments {
		if !a.Expected(f.now) {
			past = append(past, a)
		}
	}
	return v.render(w, r, http.StatusOK, "appointments", struct {
		*frame
		Coming, Past []clinical.Appointment
		pager
	}{f, coming, page(past, r), pages(len(past), f.Base+"/appointments", r)})
}

func (v *Viewer) medications(w http.ResponseWriter, r *http.Request, f *frame) error {
	var current, past []clinical.Medicine
	for _, m := range f.Chart.Medicines {
		if m.Current() {
			current = append(current, m)
		} else {
			past = append(past, m)
		}
	}
	return v.render(w, r, http.StatusOK, "medications", struct {
		*frame
		Current, Past []clinical.Medicine
		pager
	}{f, current, page(past, r), pages(len(past), f.Base+"/medications", r)})
}

func (v *Viewer) people(w http.ResponseWriter, r *http.Request, f *frame) error {
	return v.render(w, r, http.StatusOK, "people", struct{ *frame }{f})
}

// event is a line of the timeline with the page it leads to.
type event struct {
	clinical.Event
	Link string
}

func (v *Viewer) timeline(w http.ResponseWriter, r *http.Request, f *frame) error {
	all := f.Chart.Timeline()
	var events []event
	for _, e := range page(all, r) {
		x := event{Event: e}
		switch e.Kind {
		case clinical.ReportEvent:
			x.Link = f.ItemLink("reports", e.Ref)
		case clinical.DocumentEvent:
			x.Link = f.ItemLink("documents", e.Ref)
		case clinical.ResultsEvent:
			x.Link = f.Base + "/results"
		}
		events = append(events, x)
	}
	return v.render(w, r, http.StatusOK, "timeline", struct {
		*frame
		Events []event
		pager
	}{f, events, pages(len(all), f.Base+"/timeline", r)})
}

// KindWord is the word for a kind of event.
func (f *frame) KindWord(k clinical.EventKind) string { return f.v.words.say("event." + string(k)) }
