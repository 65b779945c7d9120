package viewer

import (
	"net/http"

	"github.com/gorilla/mux"

	"firebreak/access"
	"firebreak/audit"
	"firebreak/fhir"
	"firebreak/record"
	"firebreak/web"
)

// chartHandler draws one page of one patient's chart. What it is given holds
// only what the caller may see.
type chartHandler func(http.ResponseWriter, *http.Request, *frame) error

// chartPage opens the chart that the address names, as the caller may see it.
// page names the page to the audit log. A handle of another session, of nobody
// and of a patient who may not be seen are the same 404.
func (v *Viewer) chartPage(page string, action audit.Action, h chartHandler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request, caller access.Caller) error {
		handle := mux.Vars(r)["h"]
		patient, ok := v.handles.open(web.SessionOf(r).Key, handle)
		if !ok {
			return fhir.NotFound()
		}
		view, err := v.Reader.Chart(r.Context(), v.ask(r, caller, action, page), patient)
		if err != nil {
			return err
		}
		f := v.frame(r, page, caller)
		f.Chart = v.models.of(view, f.now)
		f.Person = &f.Chart.Person
		f.Base, f.Tab, f.patient, f.view = "/p/"+handle, page, patient, view
		if v.Apps != nil {
			if f.Gallery, err = v.Apps.Gallery(r.Context(), string(caller.Role())); err != nil {
				return err
			}
		}
		if f.Glass, err = v.Reader.Glass(r.Context(), caller, patient); err != nil {
			return err
		}
		doubles, err := v.Reader.Doubles(r.Context(), caller, patient)
		if err != nil {
			return err
		}
		for _, other := range doubles {
			f.Doubles = append(f.Doubles, "/p/"+v.handles.patient(f.session.Key, other))
		}
		f.readFeeds(v.Reader.Freshness(r.Context()))
		return h(w, r, f)
	}
}

func (v *Viewer) ask(r *http.Request, caller access.Caller, action audit.Action, page string) record.Ask {
	return record.Ask{Caller: caller, Action: action, Detail: page, Address: web.Address(r), Request: web.RequestID(r)}
}
