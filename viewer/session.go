package viewer

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"firebreak/access"
	"firebreak/audit"
	"firebreak/auth"
	"firebreak/fhir"
	"firebreak/registry"
	"firebreak/web"
)

// home is the sign-in page; for someone signed in, the way onward.
func (v *Viewer) home(w http.ResponseWriter, r *http.Request) error {
	return v.render(w, r, http.StatusOK, "home", v.frame(r, "home", access.Caller{}))
}

// callback takes the browser back from the OpenID provider.
func (v *Viewer) callback(w http.ResponseWriter, r *http.Request) error {
	id, refused, err := v.Accounts.Complete(w, r)
	if err != nil {
		return err
	}
	if err := v.note(r, id, audit.SignIn, refused, "sign-in"); err != nil {
		return err
	}
	if refused {
		f := v.frame(r, "home", access.Caller{})
		return v.render(w, r, http.StatusForbidden, "refused", f)
	}
	http.Redirect(w, r, "/worksite", http.StatusSeeOther)
	return nil
}

// note writes down a sign-in, a sign-out or a choice of worksite.
func (v *Viewer) note(r *http.Request, id auth.Identity, action audit.Action, refused bool, detail string) error {
	e := audit.Event{Time: v.Now(), Action: action, Refused: refused, Detail: detail, Address: web.Address(r), Request: web.RequestID(r)}
	if !id.IsZero() {
		e.Subject = id.Issuer() + " " + id.Subject()
	}
	return v.Audit(r.Context(), e)
}

// signOut ends the session here and at the provider.
func (v *Viewer) signOut(w http.ResponseWriter, r *http.Request) error {
	s := web.SessionOf(r)
	if !s.Identity.IsZero() {
		if err := v.note(r, s.Identity, audit.SignOut, false, "sign-out"); err != nil {
			return err
		}
		if v.Apps != nil {
			if err := v.Apps.SignedOut(r.Context(), s.Key); err != nil {
				return err
			}
		}
	}
	next, err := v.Accounts.End(w, r)
	if err != nil {
		return err
	}
	// The provider may be slow or away; what this browser holds goes now.
	w.Header().Set("Clear-Site-Data", `"cache"`)
	http.Redirect(w, r, next, http.StatusSeeOther)
	return nil
}

// signedOut is where a page goes when its time is up. Another tab may have
// kept the session alive; then the page says so.
func (v *Viewer) signedOut(w http.ResponseWriter, r *http.Request) error {
	return v.render(w, r, http.StatusOK, "signed-out", v.frame(r, "signed-out", access.Caller{}))
}

// sessionLeft tells a page's script how many seconds the session has left. GET
// is no use of the session, POST is: "stay signed in".
func (v *Viewer) sessionLeft(w http.ResponseWriter, r *http.Request) error {
	s := web.SessionOf(r)
	if s.Identity.IsZero() {
		return web.Write(w, r, http.StatusOK, "application/json", []byte(`{"left":0}`))
	}
	return web.Write(w, r, http.StatusOK, "application/json", fmt.Appendf(nil, `{"left":%d}`, seconds(s.Left)))
}

// seconds rounds up: a page that is told nought leaves, so nought must mean
// that the session is over.
func seconds(left time.Duration) int {
	return int((left + time.Second - 1) / time.Second)
}

// site is one worksite to choose.
type site struct {
	access.Worksite
	Role    string
	Current bool
	home    string              // the first page there
	For     []access.Membership // those an assistant may act for there
}

const findPage = "/find"

// homeOf is the first page of somebody in that role.
func homeOf(r access.Role) string {
	switch r {
	case access.PrivacyOfficer:
		return "/officer"
	case access.SystemOperator:
		return opsAt
	}
	return findPage
}

// sites groups the places where the person would be admitted by worksite.
func (v *Viewer) sites(ctx context.Context, s web.Session) ([]site, error) {
	places, err := v.Registry.Choices(ctx, s.Identity)
	if err != nil {
		return nil, err
	}
	var all []site
	for _, p := range places {
		if n := len(all); n == 0 || all[n-1].ID != p.Site.ID {
			all = append(all, site{Worksite: p.Site, Role: v.words.or("role."+string(p.Role), string(p.Role)), Current: p.Site.ID == s.Worksite, home: homeOf(p.Role)})
		}
		last := &all[len(all)-1]
		if last.home != homeOf(p.Role) { // who treats there too begins with patients
			last.home = findPage
		}
		if p.For != nil {
			last.For = append(last.For, *p.For)
		}
	}
	return all, nil
}

// worksite asks where the person is. It is asked at every sign-in: the answer
// stands in every audit entry (CC-17).
func (v *Viewer) worksite(w http.ResponseWriter, r *http.Request) error {
	all, err := v.sites(r.Context(), web.SessionOf(r))
	if err != nil {
		return err
	}
	return v.render(w, r, http.StatusOK, "worksite", struct {
		*frame
		Name  string
		Sites []site
	}{v.frame(r, "worksite", access.Caller{}), web.SessionOf(r).Identity.Name(), all})
}

func (v *Viewer) chooseWorksite(w http.ResponseWriter, r *http.Request) error {
	s := web.SessionOf(r)
	all, err := v.sites(r.Context(), s)
	if err != nil {
		return err
	}
	if r.PostFormValue("purpose") != auth.Treatment {
		return v.notIncluded(r, access.ErrPurpose)
	}
	chosen := r.PostFormValue("worksite")
	for _, x := range all {
		if x.ID != chosen {
			continue
		}
		switch {
		case x.home != findPage || len(x.For) == 0:
			return v.choose(w, r, x.ID, "", x.home)
		case len(x.For) == 1:
			return v.choose(w, r, x.ID, x.For[0].Person, findPage)
		}
		return v.choose(w, r, x.ID, "", "/acting-for")
	}
	return v.notIncluded(r, access.ErrPlace)
}

// actingFor asks an assistant for whom; only those who authorise it here.
func (v *Viewer) actingFor(w http.ResponseWriter, r *http.Request) error {
	s := web.SessionOf(r)
	all, err := v.sites(r.Context(), s)
	if err != nil {
		return err
	}
	for _, x := range all {
		if x.ID == s.Worksite && len(x.For) > 0 {
			return v.render(w, r, http.StatusOK, "acting-for", struct {
				*frame
				Site   site
				Chosen string
			}{v.frame(r, "acting-for", access.Caller{}), x, s.For})
		}
	}
	http.Redirect(w, r, "/worksite", http.StatusSeeOther)
	return nil
}

func (v *Viewer) chooseActingFor(w http.ResponseWriter, r *http.Request) error {
	s := web.SessionOf(r)
	all, err := v.sites(r.Context(), s)
	if err != nil {
		return err
	}
	chosen := r.PostFormValue("for")
	for _, x := range all {
		for _, m := range x.For {
			if x.ID == s.Worksite && m.Person == chosen {
				return v.choose(w, r, x.ID, m.Person, findPage)
			}
		}
	}
	return v.notIncluded(r, access.ErrPlace)
}

// choose sets where, and for whom, the session acts. It is written down first.
func (v *Viewer) choose(w http.ResponseWriter, r *http.Request, worksite, actingFor, next string) error {
	detail := "worksite " + worksite + ", purpose " + auth.Treatment
	if actingFor != "" {
		detail += " for " + actingFor
	}
	if err := v.note(r, web.SessionOf(r).Identity, audit.SignIn, false, detail); err != nil {
		return err
	}
	if err := v.Accounts.Choose(r, worksite, actingFor); err != nil {
		return err
	}
	if next == findPage && v.Apps != nil && v.Apps.Waiting(r) != "" {
		next = consentAt // an app sent the person here
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
	return nil
}

// notIncluded refuses a choice that was not offered, and writes that down.
func (v *Viewer) notIncluded(r *http.Request, why *access.Refusal) error {
	if err := v.note(r, web.SessionOf(r).Identity, audit.SignIn, true, "worksite, "+why.Error()); err != nil {
		return err
	}
	return &fhir.Error{Status: http.StatusForbidden, Code: "forbidden", Text: why.Text()}
}

var _ Registry = (*registry.Registry)(nil)
