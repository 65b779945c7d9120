package web

import (
	"errors"
	"net/http"

	"firebreak/auth"
)

// Accounts is signing in and out by browser: auth's sessions and its sign-in
// at the OpenID provider, seen from the pages.
type Accounts struct {
	Sessions *auth.Sessions
	SignIn   *auth.SignIn
}

// Session is the session r's cookie belongs to.
func (a Accounts) Session(r *http.Request, use bool) (Session, error) {
	f, err := a.Sessions.Find(r.Context(), r)
	if err != nil {
		return Session{}, err
	}
	if use {
		f = a.Sessions.Touch(f)
	}
	if f.IsZero() {
		return Session{}, nil
	}
	s := Session{Key: f.Key(), Identity: f.Identity(), Left: a.Sessions.Remaining(f)}
	if f.Purpose() == auth.Treatment { // a choice that stated no purpose is none
		s.Worksite, s.For = f.Worksite(), f.ActingFor()
	}
	return s, nil
}

// Begin sends the browser to the provider's sign-in page.
func (a Accounts) Begin(w http.ResponseWriter, r *http.Request) error {
	return a.SignIn.Begin(w, r, "")
}

// Complete takes the provider's answer and opens a session. refused tells that
// the person was not signed in and may begin again.
func (a Accounts) Complete(w http.ResponseWriter, r *http.Request) (id auth.Identity, refused bool, err error) {
	f, _, err := a.SignIn.Complete(w, r)
	if errors.Is(err, auth.ErrSignIn) {
		return auth.Identity{}, true, nil
	}
	return f.Identity(), false, err
}

// End ends the session and tells where to go next: the provider's sign-out.
func (a Accounts) End(w http.ResponseWriter, r *http.Request) (next string, err error) {
	return a.SignIn.End(w, r)
}

// Choose sets the worksite, and whom the person acts for, in this session.
func (a Accounts) Choose(r *http.Request, worksite, actingFor string) error {
	f, err := a.Sessions.Find(r.Context(), r)
	if err != nil {
		return err
	}
	_, err = a.Sessions.Choose(r.Context(), f, worksite, actingFor)
	return err
}
