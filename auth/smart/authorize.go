package smart

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"firebreak/auth"
	"firebreak/internal/sqldb"
)

// ErrRequest is a request of an app that cannot be answered to the app: nobody
// proves that the address is the app's.
var ErrRequest = errors.New("smart: request of no known app, or to an address that is not its own")

// ErrWaits is a request of an app that nobody let in yet, and ErrSuspended of one
// that may do nothing for the time being. Neither is answered to the app.
var (
	ErrWaits     = errors.New("smart: the app is not let in yet")
	ErrSuspended = errors.New("smart: the app is suspended")
)

// ErrGone is a request that is over, was answered, or is another session's.
var ErrGone = errors.New("smart: the request has ended")

// cookieName is of the request that a browser came with last: it leads back
// here after sign-in and the choice of a worksite. It opens nothing without
// the session that answers.
func (s *Server) cookieName() string {
	if strings.HasPrefix(s.Base, "https://") {
		return "__Host-firebreak-app"
	}
	return "firebreak-app"
}

// Waiting is the request that the browser of r came with last, empty when none.
func (s *Server) Waiting(r *http.Request) string {
	found := r.CookiesNamed(s.cookieName())
	if len(found) != 1 {
		return ""
	}
	return found[0].Value
}

func (s *Server) setCookie(w http.ResponseWriter, value string, age int) {
	http.SetCookie(w, &http.Cookie{
		Name: s.cookieName(), Value: value, Path: "/", MaxAge: age, HttpOnly: true,
		Secure: strings.HasPrefix(s.Base, "https://"), SameSite: http.SameSiteLaxMode,
	})
}

// Forget takes the cookie of an answered request back.
func (s *Server) Forget(w http.ResponseWriter) { s.setCookie(w, "", -1) }

const maxParameter = 4096 // bytes of a parameter that is kept

var challengeForm = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`) // RFC 7636: a SHA-256 in base64url

// Authorize takes an app's request, by GET or POST, and gives where the browser
// goes next: on to next ("/apps/allow"), or back to the app with an error. It
// reads no session. ErrRequest, ErrWaits or ErrSuspended when there is no app to go back to.
func (s *Server) Authorize(w http.ResponseWriter, r *http.Request, next string) (string, error) {
	if err := r.ParseForm(); err != nil {
		return "", ErrRequest
	}
	q := r.Form // the query's and the body's: a parameter in both is there twice
	one := func(name string) string {
		if len(q[name]) != 1 {
			return ""
		}
		return q.Get(name)
	}
	e, _, err := s.Clients.entry(r.Context(), one("client_id"))
	switch {
	case err != nil:
		return "", err
	case e.state == Pending:
		return "", ErrWaits
	case e.state == Suspended:
		return "", ErrSuspended
	case e.state != Active:
		return "", ErrRequest
	}
	c := e.client
	if c == nil || !slices.Contains(c.Redirects, one("redirect_uri")) {
		return "", ErrRequest
	}
	p := pending{client: c.ID, redirect: one("redirect_uri"), nonce: one("nonce"), challenge: one("code_challenge")}
	p.state, p.stated = one("state"), len(q["state"]) == 1
	if why := s.check(q, p); why != nil {
		return s.back(p, url.Values{"error": {why.code}, "error_description": {why.text}}), nil
	}
	if auth.Unenforced(one("scope")) != "" {
		return s.back(p, url.Values{"error": {"invalid_scope"}, "error_description": {unenforced}}), nil
	}
	if p.scope = offer(one("scope"), c.Scopes); p.scope == "" {
		return s.back(p, url.Values{"error": {"invalid_scope"}, "error_description": {"nothing of that may be granted to this app"}}), nil
	}
	id, launch := s.newSecret(), one("launch")
	err = s.DB.Write(r.Context(), func(tx *sqldb.Tx) error {
		if err := s.sweep(r.Context(), tx); err != nil {
			return err
		}
		if launch != "" {
			if err := s.launched(r.Context(), tx, launch, &p); err != nil {
				return err
			}
		}
		_, err := tx.Exec(r.Context(), `INSERT INTO smart_request
(id, client, redirect, state, stated, scope, nonce, challenge, session, patient, encounter, expires) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
			hashed(id), p.client, p.redirect, p.state, flag(p.stated), p.scope, p.nonce, p.challenge, p.session, p.patient, p.encounter, s.Now().Add(requestLife).UnixMicro())
		return err
	})
	if errors.Is(err, errNoLaunch) {
		return s.back(p, url.Values{"error": {noLaunch.code}, "error_description": {noLaunch.text}}), nil
	}
	if err != nil {
		return "", fmt.Errorf("smart: keep a request: %w", err)
	}
	s.setCookie(w, id, int(requestLife/time.Second))
	return next, nil
}

// check looks at what the app may be told of.
func (s *Server) check(q url.Values, p pending) *refusal {
	for _, values := range q {
		if len(values) != 1 {
			return refuse("invalid_request", "a parameter is there twice")
		}
	}
	for _, v := range []string{p.state, p.nonce} {
		if len(v) > maxParameter || !utf8.ValidString(v) || strings.Contains(v, "\x00") {
			return refuse("invalid_request", "state or nonce is too long, or not text")
		}
	}
	switch {
	case q.Get("response_type") != "code":
		return refuse("unsupported_response_type", "response_type must be code")
	case q.Has("request"):
		return refuse("request_not_supported", "request objects are not read")
	case q.Has("request_uri"):
		return refuse("request_uri_not_supported", "request objects are not read")
	case q.Has("response_mode") && q.Get("response_mode") != "query":
		return refuse("invalid_request", "response_mode must be query")
	case q.Get("code_challenge_method") != "S256" || !challengeForm.MatchString(p.challenge):
		return refuse("invalid_request", "code_challenge by S256 is needed")
	case strings.TrimSuffix(q.Get("aud"), "/") != s.Base+"/fhir":
		return refuse("invalid_request", "aud must be the address of the FHIR API")
	case q.Has("launch") != has(q.Get("scope"), "launch"):
		return refuse("invalid_request", "launch is a parameter and a scope, or neither")
	case q.Has("launch") && (q.Get("launch") == "" || len(q.Get("launch")) > 128):
		return noLaunch
	case q.Get("prompt") == "none":
		return refuse("interaction_required", "a person has to answer")
	}
	return nil
}

// back is the app's address with an answer. iss says whose it is (RFC 9207).
func (s *Server) back(p pending, answer url.Values) string {
	answer.Set("iss", s.Base)
	if p.stated {
		answer.Set("state", p.state)
	}
	sep := "?"
	if strings.Contains(p.redirect, "?") {
		sep = "&"
	}
	return p.redirect + sep + answer.Encode()
}

// plainScopes are those that are not about data.
var plainScopes = []string{"openid", "fhirUser", "profile", "launch", "launch/patient", "online_access", "offline_access"}

// offer is what of the asked scopes a person can grant an app that may have
// allowed: plain ones and reads. A person never writes here, so nor does an app
// for a person, but that it may have itself told, by a scope that names just that.
func offer(asked, allowed string) string {
	var words []string
	for word := range strings.FieldsSeq(asked) {
		sc, clinical := auth.ParseScope(word)
		switch {
		case !clinical && slices.Contains(plainScopes, word):
			words = append(words, word)
		case !clinical || sc.Context == auth.System:
		case sc.May&^(auth.Read|auth.Search) == 0, sc.Type == "Subscription":
			words = append(words, word)
		default:
			sc.May &= auth.Read | auth.Search
			words = append(words, sc.String())
		}
	}
	return auth.Grant(strings.Join(words, " "), allowed+" "+strings.Join(plainScopes, " "))
}

const unenforced = "a restriction is of one type, by version 2 of the scopes, to values of token parameters of that type"

// pending is a request as it is kept.
type pending struct {
	client, redirect, state, scope, nonce, challenge, patient string
	stated                                                    bool
	session, encounter                                        string // of a launch from a chart
	app                                                       string // the client's name
}

// Request is an app's request that waits for a person.
type Request struct {
	App      string // its name
	Redirect string // where the answer goes
	Scopes   []string
	Patient  string // id of the chosen one
	// Encounter is the visit that a launch brought: the person may not see it any more.
	Encounter string
	Needs     bool // a patient, and none is chosen yet
}

// Asked is the request that id names, bound to the session from here on. It is
// ErrGone when there is none, or another session has it.
func (s *Server) Asked(ctx context.Context, id, session string) (Request, error) {
	p, err := s.bind(ctx, id, session, "")
	if err != nil {
		return Request{}, err
	}
	return Request{
		App: p.app, Redirect: p.redirect, Scopes: strings.Fields(p.scope), Patient: p.patient, Encounter: p.encounter,
		Needs: p.patient == "" && ofPatient(p.scope),
	}, nil
}

// ofPatient tells whether a grant needs a patient.
func ofPatient(scope string) bool {
	return has(scope, "launch/patient") || slices.ContainsFunc(auth.ParseScopes(scope), func(s auth.Scope) bool { return s.Context == auth.Patient })
}

// Choose sets whose record the request is about, once: what a launch brought stays.
// The caller has shown that the person may open it.
func (s *Server) Choose(ctx context.Context, id, session, patient string) error {
	_, err := s.bind(ctx, id, session, patient)
	return err
}

const bindRequest = `UPDATE smart_request SET session = $2, patient = CASE WHEN patient <> '' THEN patient ELSE $3 END
WHERE id = $1 AND expires > $4 AND session IN ('', $2)
RETURNING client, redirect, state, stated, scope, nonce, challenge, patient, encounter`

func (s *Server) bind(ctx context.Context, id, session, patient string) (pending, error) {
	return s.request(ctx, "bind", session, func(tx *sqldb.Tx) sqldb.Row {
		return tx.QueryRow(ctx, bindRequest, hashed(id), session, patient, s.Now().UnixMicro())
	}, nil)
}

const takeRequest = `DELETE FROM smart_request WHERE id = $1 AND session = $2 AND expires > $3
RETURNING client, redirect, state, stated, scope, nonce, challenge, patient, encounter`

// request reads one request by row, and does then in the same transaction.
func (s *Server) request(ctx context.Context, what, session string, row func(*sqldb.Tx) sqldb.Row, then func(*sqldb.Tx, pending) error) (p pending, err error) {
	if session == "" {
		return pending{}, ErrGone
	}
	clients, err := s.Clients.all(ctx) // before the transaction: it may have to read
	if err != nil {
		return pending{}, err
	}
	err = s.DB.Write(ctx, func(tx *sqldb.Tx) error {
		var stated int64
		p = pending{}
		if err := row(tx).Scan(&p.client, &p.redirect, &p.state, &stated, &p.scope, &p.nonce, &p.challenge, &p.patient, &p.encounter); err != nil {
			return err
		}
		p.stated = stated == 1
		e := clients[p.client]
		if e.client == nil || e.state != Active { // it was taken out of the configuration, or may not go on
			return sql.ErrNoRows
		}
		p.app = e.client.Name
		if then == nil {
			return nil
		}
		return then(tx, p)
	})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return pending{}, ErrGone
	case errors.Is(err, ErrGone):
		return pending{}, ErrGone
	case err != nil:
		return pending{}, fmt.Errorf("smart: %s a request: %w", what, err)
	}
	return p, nil
}

// Deny answers the app that the person said no, and gives where the browser goes.
func (s *Server) Deny(ctx context.Context, id, session string) (string, error) {
	p, err := s.request(ctx, "deny", session, func(tx *sqldb.Tx) sqldb.Row {
		return tx.QueryRow(ctx, takeRequest, hashed(id), session, s.Now().UnixMicro())
	}, nil)
	if err != nil {
		return "", err
	}
	return s.back(p, url.Values{"error": {"access_denied"}}), nil
}

// Person is who allows, as admitted, and until when the session lasts at most.
type Person struct {
	Identity auth.Identity
	ID       string // registry id
	Name     string
	Worksite string
	For      string // registry id of whom the person acts for
	// Encounter is the request's, if the person sees it now; only then it is handed on.
	Encounter string
}

// Allow grants the app those of the asked scopes that are in kept, or those of their
// [Parts] that are, and gives where the browser goes: back, with a code. launch/patient
// is no permission and cannot be unticked, nor can launch.
func (s *Server) Allow(ctx context.Context, id, session string, who Person, kept []string) (string, error) {
	code := s.newSecret()
	p, err := s.request(ctx, "allow", session, func(tx *sqldb.Tx) sqldb.Row {
		return tx.QueryRow(ctx, takeRequest, hashed(id), session, s.Now().UnixMicro())
	}, func(tx *sqldb.Tx, p pending) error {
		var granted []string
		asked := strings.Fields(p.scope)
		for _, word := range asked {
			granted = append(granted, chosen(word, asked, kept)...)
		}
		scope := strings.Join(granted, " ")
		if ofPatient(scope) && p.patient == "" {
			return ErrGone // the page asks for one first
		}
		patient, encounter := p.patient, p.encounter
		if encounter != who.Encounter {
			encounter = ""
		}
		if !ofPatient(scope) && !has(scope, "launch") {
			patient, encounter = "", ""
		}
		now := s.Now()
		ends, offline := now.Add(accessLife+codeLife), has(scope, "offline_access")
		switch {
		case offline:
			ends = now.Add(offlineLife)
		case has(scope, "online_access"):
			ends = who.Identity.Expires()
		}
		grant := s.newSecret()
		if _, err := tx.Exec(ctx, insertGrant, grant, p.client, who.Identity.Issuer(), who.Identity.Subject(), who.ID, who.Name, who.Worksite, who.For,
			scope, patient, encounter, p.nonce, session, flag(offline), now.UnixMicro(), ends.UnixMicro()); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, insertToken, hashed(code), grant, "code", scope, p.redirect, p.challenge, now.UnixMicro(), now.Add(codeLife).UnixMicro())
		return err
	})
	if err != nil {
		return "", err
	}
	return s.back(p, url.Values{"code": {code}}), nil
}

const insertGrant = `INSERT INTO smart_grant
(id, client, issuer, subject, person, name, worksite, acting_for, scope, patient, encounter, nonce, session, offline, started, ends, revoked)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 0)`

const insertToken = `INSERT INTO smart_token (id, grant_id, kind, scope, redirect, challenge, made, expires, used)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0)`

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
