// Package web is the door every request comes through. A Guard is the only
// maker of http.Handlers from Handlers: it proves who asks, has them admitted
// where they ask from, sets the headers, bounds what may be sent, and turns
// every error into a page or an OperationOutcome. What stands behind it gets
// an access.Caller and need not ask again.
//
// A handler that forgets something cannot forget this, for without a Guard it
// is no http.Handler at all.
package web

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/gorilla/mux"

	"firebreak/access"
	"firebreak/audit"
	"firebreak/auth"
	"firebreak/fhir"
)

// Handler answers one request of one admitted caller. It writes a whole answer
// and returns nil, or writes nothing and returns an error: a *fhir.Error is
// shown, anything else becomes a 500 without text.
type Handler func(http.ResponseWriter, *http.Request, access.Caller) error

// Overseer answers one request of one privacy officer, as a Handler does.
type Overseer func(http.ResponseWriter, *http.Request, access.Officer) error

// Runner answers one request of one operator, as a Handler does.
type Runner func(http.ResponseWriter, *http.Request, access.Operator) error

// Opener answers a request that needs no admitted caller: the sign-in page,
// help, the choice of a worksite. It must not reach for clinical data, and has
// no Caller to reach with.
type Opener func(http.ResponseWriter, *http.Request) error

// Session is a signed-in browser, as the guard found it. The zero Session is
// nobody's.
type Session struct {
	Key      string        // opaque and different for each session; what handles in addresses are bound to
	Identity auth.Identity //
	Worksite string        // registry id of the worksite chosen, empty before
	For      string        // registry id of the person acted for, empty for oneself
	Left     time.Duration // until it ends if nothing more is done
}

// Sessions tells who is signed in at the browser that sent r; Accounts does.
// use says whether the request is a use by a person: looking at the clock is
// none. Nobody, or a session that is over, is the zero Session and no error.
type Sessions interface {
	Session(r *http.Request, use bool) (Session, error)
}

// Tokens proves bearer tokens; auth.Verifier does.
type Tokens interface {
	Verify(ctx context.Context, token string) (auth.Identity, error)
}

// Door admits identities; registry.Registry does. An *access.Refusal refuses;
// any other error is our own failure.
type Door interface {
	// Person admits somebody signed in at the worksite, and for the person, that the session says.
	Person(ctx context.Context, id auth.Identity, worksite, actingFor string) (access.Caller, error)
	// Officer admits a privacy officer signed in at the worksite that the session says.
	Officer(ctx context.Context, id auth.Identity, worksite string) (access.Officer, error)
	// Operator admits an operator signed in at the worksite that the session says.
	Operator(ctx context.Context, id auth.Identity, worksite string) (access.Operator, error)
	// Token admits the bearer of a token: an app's user or a backend.
	Token(ctx context.Context, id auth.Identity) (access.Caller, error)
}

// Config is what a Guard needs. Sessions, Tokens, Door and Audit must be set;
// of the rest the zero value is the safe choice.
type Config struct {
	Sessions Sessions
	Tokens   Tokens
	Door     Door
	Audit    func(context.Context, audit.Event) error // audit.Log's Append; its failure fails the request

	Secure      bool     // served over TLS, by us or a proxy: tell browsers to insist on it
	FormTargets []string // origins a form may lead on to besides our own: the OpenID provider's
	PageRate    Rate     // per session, or per address before sign-in; 20 a second and 200 at once when zero
	APIRate     Rate     // per token's client and subject; no limit when zero
	// Meter counts a request with a token of the identity's client and says how long that
	// must wait; nought when it need not. None when nil.
	Meter    func(auth.Identity) time.Duration
	PageBody int64         // bytes; 64 kB when zero
	APIBody  int64         // bytes; 32 MB when zero
	Timeout  time.Duration // for one answer; 30 s when zero

	Now    func() time.Time // the real clock when nil
	Random io.Reader        // crypto/rand when nil
	Log    *slog.Logger     // slog.Default when nil

	// Observe, where set, is told of each answer: what the access log says too.
	// route is a template, and empty where no route was met; status 0 is no answer.
	Observe func(method, route string, status int, took time.Duration)
}

// Guard makes http.Handlers of Handlers.
type Guard struct {
	config Config
	fixed  fixed // headers of every answer
	cross  *http.CrossOriginProtection
	pages  *limiter
	api    *limiter
}

// New makes a Guard, or says what is missing.
func New(c Config) (*Guard, error) {
	if c.Sessions == nil || c.Tokens == nil || c.Door == nil || c.Audit == nil {
		return nil, errors.New("web: a guard needs Sessions, Tokens, Door and Audit")
	}
	if c.PageRate == (Rate{}) {
		c.PageRate = Rate{PerSecond: 20, Burst: 200}
	}
	if c.PageBody == 0 {
		c.PageBody = 64 << 10
	}
	if c.APIBody == 0 {
		c.APIBody = 32 << 20
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	policy := pagePolicy
	for _, origin := range c.FormTargets {
		policy += " " + origin
	}
	return &Guard{
		config: c, fixed: hardened(policy, c.Secure), cross: http.NewCrossOriginProtection(),
		pages: newLimiter(c.PageRate, c.Now), api: newLimiter(c.APIRate, c.Now),
	}, nil
}

// Wrap is the outermost handler: request id, headers, limits, the access log,
// and the last net under a panic. Everything the program serves goes in it.
//
// One line is logged for a request: method, route template, status, duration
// and request id. No address, no query, no person.
func (g *Guard) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t := newTrip(g.config.Random, g.config.Now())
		ctx, cancel := context.WithTimeout(t.into(r.Context()), g.config.Timeout)
		defer cancel()
		r = r.WithContext(ctx)
		ww := &watched{ResponseWriter: w, trip: t}
		h := ww.Header()
		g.fixed.set(h)
		h.Set("X-Request-Id", t.id)
		defer func() {
			took := g.config.Now().Sub(t.start)
			if g.config.Observe != nil {
				g.config.Observe(method(r.Method), t.route, t.status, took)
			}
			if !g.config.Log.Enabled(ctx, slog.LevelInfo) {
				return
			}
			g.config.Log.LogAttrs(ctx, slog.LevelInfo, "request",
				slog.String("method", method(r.Method)), slog.String("route", t.route), slog.Int("status", t.status),
				slog.Duration("took", took), slog.String("request", t.id))
		}()
		defer g.catch(ww, r, plain)
		next.ServeHTTP(ww, r)
	})
}

// method keeps what a stranger invents as a method out of the log.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

// enter prepares a request for its handler.
func (g *Guard) enter(w http.ResponseWriter, r *http.Request, body int64) {
	if route := mux.CurrentRoute(r); route != nil {
		if template, err := route.GetPathTemplate(); err == nil {
			tripOf(r).route = template
		}
	}
	r.Body = http.MaxBytesReader(w, r.Body, body)
}

// refuse audits that somebody was turned away, then returns why. When the
// audit fails, that failure is the answer.
func (g *Guard) refuse(r *http.Request, id auth.Identity, why *fhir.Error) error {
	e := audit.Event{
		Time: g.config.Now(), Action: audit.SignIn, Refused: true, Detail: tripOf(r).route, Address: Address(r), Request: RequestID(r),
	}
	if !id.IsZero() {
		e.Subject = id.Issuer() + " " + id.Subject()
	}
	var refusal *access.Refusal
	if errors.As(why, &refusal) {
		e.Detail += ", " + refusal.Error()
	}
	if err := g.config.Audit(r.Context(), e); err != nil {
		return err
	}
	return why
}

type sessionKey struct{}

// SessionOf is the session a page was asked for in; zero for an Opener's
// visitor who is not signed in, and for the API.
func SessionOf(r *http.Request) Session {
	s, _ := r.Context().Value(sessionKey{}).(Session)
	return s
}

func withSession(ctx context.Context, s Session) context.Context {
	return context.WithValue(ctx, sessionKey{}, s)
}
