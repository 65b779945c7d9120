package web

import (
	"context"
	"errors"
	"net/http"

	"firebreak/access"
	"firebreak/fhir"
)

// Problem is an error as a page shows it.
type Problem struct {
	Status    int
	Text      string // safe to show; empty for our own faults
	Reference string // "7F3K-22", set for our own faults (5xx)
}

// Pages makes http.Handlers for one family of pages, which share how an error
// looks and where one goes to sign in.
type Pages struct {
	Guard  *Guard
	Show   func(http.ResponseWriter, *http.Request, Problem) // draws a problem
	SignIn string                                            // where to go when nobody is signed in
	Ended  string                                            // where to go when the session is over
	Choose string                                            // where to go when no worksite is chosen
}

// Page makes an http.Handler that a session at a worksite opens.
func (p Pages) Page(h Handler) http.Handler {
	return behind(p, h, func(ctx context.Context, s Session) (access.Caller, error) {
		return p.Guard.config.Door.Person(ctx, s.Identity, s.Worksite, s.For)
	})
}

// Officer makes an http.Handler that a privacy officer's session opens.
func (p Pages) Officer(h Overseer) http.Handler {
	return behind(p, h, func(ctx context.Context, s Session) (access.Officer, error) {
		return p.Guard.config.Door.Officer(ctx, s.Identity, s.Worksite)
	})
}

// Operator makes an http.Handler that an operator's session opens.
func (p Pages) Operator(h Runner) http.Handler {
	return behind(p, h, func(ctx context.Context, s Session) (access.Operator, error) {
		return p.Guard.config.Door.Operator(ctx, s.Identity, s.Worksite)
	})
}

// behind puts h behind the door that admits.
func behind[A any](p Pages, h func(http.ResponseWriter, *http.Request, A) error, admit func(context.Context, Session) (A, error)) http.Handler {
	return p.at(func(w http.ResponseWriter, r *http.Request, s Session) error {
		admitted, err := admit(r.Context(), s)
		if err != nil {
			return p.turnedAway(r, s, err)
		}
		return h(w, r, admitted)
	})
}

// at leads to the way in who is not signed in at a worksite.
func (p Pages) at(h func(http.ResponseWriter, *http.Request, Session) error) http.Handler {
	return p.serve(func(w http.ResponseWriter, r *http.Request) error {
		s := SessionOf(r)
		if s.Identity.IsZero() {
			return p.toSignIn(w, r)
		}
		if s.Worksite == "" {
			http.Redirect(w, r, p.Choose, http.StatusSeeOther)
			return nil
		}
		return h(w, r, s)
	}, true)
}

// turnedAway answers somebody whom the door did not admit.
func (p Pages) turnedAway(r *http.Request, s Session, err error) error {
	var refusal *access.Refusal
	if errors.As(err, &refusal) {
		return p.Guard.refuse(r, s.Identity, &fhir.Error{Status: http.StatusForbidden, Code: "forbidden", Text: refusal.Text(), Err: err})
	}
	return err
}

// SignedIn makes an http.Handler for somebody signed in who need not have
// chosen a worksite yet.
func (p Pages) SignedIn(h Opener) http.Handler {
	return p.serve(func(w http.ResponseWriter, r *http.Request) error {
		if SessionOf(r).Identity.IsZero() {
			return p.toSignIn(w, r)
		}
		return h(w, r)
	}, true)
}

// Open makes an http.Handler for anyone, signed in or not.
func (p Pages) Open(h Opener) http.Handler { return p.serve(h, true) }

// Watch is Open for a request that is no use of the session: the page asking
// how long it has left.
func (p Pages) Watch(h Opener) http.Handler { return p.serve(h, false) }

// Arrive makes an http.Handler for a request that an app's page may send, by
// link or by form. It belongs to no session, whoever's browser brings it, and is
// bounded by address.
func (p Pages) Arrive(h Opener) http.Handler {
	g := p.Guard
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.enter(w, r, g.config.PageBody)
		defer g.catch(w, r, p.problem)
		err := error(tooMany())
		if g.pages.allow(Address(r)) {
			err = h(w, r)
		}
		if err != nil {
			g.fail(w, r, err, p.problem)
		}
	})
}

func (p Pages) serve(h Opener, use bool) http.Handler {
	g := p.Guard
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.enter(w, r, g.config.PageBody)
		defer g.catch(w, r, p.problem)
		if err := g.cross.Check(r); err != nil {
			g.fail(w, r, &fhir.Error{Status: http.StatusForbidden, Code: "forbidden", Text: "That request came from another site.", Err: err}, p.problem)
			return
		}
		s, err := g.config.Sessions.Session(r, use)
		if err != nil {
			g.fail(w, r, err, p.problem)
			return
		}
		asker := s.Key
		if s.Identity.IsZero() {
			s, asker = Session{}, Address(r)
		}
		if use && !g.pages.allow(asker) {
			g.fail(w, r, tooMany(), p.problem)
			return
		}
		r = r.WithContext(withSession(r.Context(), s))
		if err := h(w, r); err != nil {
			g.fail(w, r, err, p.problem)
		}
	})
}

func (p Pages) toSignIn(w http.ResponseWriter, r *http.Request) error {
	to := p.SignIn
	if r.Header.Get("Cookie") != "" {
		to = p.Ended
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

func (p Pages) problem(w http.ResponseWriter, r *http.Request, e *fhir.Error) {
	show := Problem{Status: e.Status, Text: e.Text}
	if e.Status >= 500 {
		show.Text, show.Reference = "", tripOf(r).reference()
	}
	p.Show(w, r, show)
}
