package viewer

import (
	"net/http"

	"firebreak/access"
	"firebreak/web"
)

func (v *Viewer) account(w http.ResponseWriter, r *http.Request, caller access.Caller) error {
	sites, err := v.sites(r.Context(), web.SessionOf(r))
	if err != nil {
		return err
	}
	return v.render(w, r, http.StatusOK, "account", struct {
		*frame
		Sites []site
		Saved bool
		Apps  bool // there are some to let in
	}{v.frame(r, "account", caller), sites, r.URL.Query().Has("saved"), v.Apps != nil})
}

// saveAccount keeps how the person wants pages.
func (v *Viewer) saveAccount(w http.ResponseWriter, r *http.Request, caller access.Caller) error {
	s := settings{Roomy: r.PostFormValue("density") == "roomy", Keys: r.PostFormValue("keys") != "off"}
	if t := r.PostFormValue("theme"); t == "light" || t == "dark" {
		s.Theme = t
	}
	if err := v.Desk.Keep(r.Context(), caller.Person(), s.String()); err != nil {
		return err
	}
	http.Redirect(w, r, "/account?saved", http.StatusSeeOther)
	return nil
}

func (v *Viewer) help(w http.ResponseWriter, r *http.Request) error {
	return v.render(w, r, http.StatusOK, "help", v.frame(r, "help", access.Caller{}))
}

// status tells whether the service is up; the feeds only to those signed in.
func (v *Viewer) status(w http.ResponseWriter, r *http.Request) error {
	f := v.frame(r, "status", access.Caller{})
	f.readFeeds(v.Reader.Freshness(r.Context()))
	return v.render(w, r, http.StatusOK, "status", f)
}

// HelpGroups are the groups of the help page, in order.
func (f *frame) HelpGroups() []string {
	return []string{"signin", "find", "results", "flags", "missing", "documents", "print", "time", "privacy"}
}

// HelpKeys are the keyboard shortcuts, in order.
func (f *frame) HelpKeys() []string {
	return []string{"/", "g s", "g r", "g d", "[", "]", "t", "p", "h", "q q", "?"}
}
