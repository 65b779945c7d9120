package viewer

import (
	"net/http"
	"slices"

	"firebreak/auth/smart"
	"firebreak/fhir"
	"firebreak/policy"
	"firebreak/web"
)

// gallery offers the apps for the patient of the chart.
func (v *Viewer) gallery(w http.ResponseWriter, r *http.Request, f *frame) error {
	all := f.Gallery
	if len(all) == 0 {
		return fhir.NotFound()
	}
	for _, app := range all {
		web.FormTo(w, app.Launch)
	}
	return v.render(w, r, http.StatusOK, "gallery", f)
}

// launch takes the browser to an app with the patient, and with the visit that is
// under way if the reader sees exactly one. Of an app that is not offered it is 404.
func (v *Viewer) launch(w http.ResponseWriter, r *http.Request, f *frame) error {
	all := f.Gallery
	i := slices.IndexFunc(all, func(a smart.App) bool { return a.ID == r.PostFormValue("app") })
	if i < 0 {
		return fhir.NotFound()
	}
	to, err := v.Apps.Launch(r.Context(), all[i], f.session.Key, f.patient.ID, underway(f.view))
	if err != nil {
		return err
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// underway is the visit that is under way, of those that are shown; "" when there is
// none, or more than one.
func underway(view *policy.View) (id string) {
	for _, e := range view.Of("Encounter") {
		switch e.Resource().Root().At("status").Text() {
		case "arrived", "triaged", "in-progress", "onleave":
			if id != "" {
				return ""
			}
			id = e.Resource().ID()
		}
	}
	return id
}
