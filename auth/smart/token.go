package smart

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"firebreak/auth"
	"firebreak/internal/sqldb"
)

// Access tokens begin so, which no JWT does: whose token it is shows.
const accessPrefix = "fb_"

// grant is a family of tokens.
type grant struct {
	id, client, issuer, subject, person, name, worksite, actingFor, scope, patient, encounter, nonce string
	offline                                                                                          bool
	ends                                                                                             time.Time
}

// isSystem tells a grant to a client itself: no person gave it.
func (g grant) isSystem() bool { return g.person == "" }

// Token is the token endpoint.
func (s *Server) Token(w http.ResponseWriter, r *http.Request) error {
	why := readForm(r)
	if why != nil {
		return why.write(w, r)
	}
	wait, err := s.Clients.asksToken(r.Context(), claimed(r), from(r))
	if err != nil {
		return err
	}
	if wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		return (&refusal{http.StatusTooManyRequests, "temporarily_unavailable", "too many requests for tokens; wait a little"}).write(w, r)
	}
	who := s.authenticate
	if unnamed(r) {
		who = s.bearer
	}
	c, why, err := who(r)
	if err != nil {
		return err
	}
	if why != nil {
		return why.write(w, r)
	}
	key, err := s.keys.signer(r.Context(), c.IDTokens) // before any transaction: it may need one
	if err != nil {
		return err
	}
	var answer map[string]any
	switch r.PostForm.Get("grant_type") {
	case "authorization_code":
		answer, why, err = s.exchange(r, c, key)
	case "refresh_token":
		answer, why, err = s.refresh(r, c, key)
	case "client_credentials":
		answer, why, err = s.system(r, c)
	default:
		why = refuse("unsupported_grant_type", "grant_type is authorization_code, refresh_token or client_credentials")
	}
	if err != nil {
		return err
	}
	if why != nil {
		return why.write(w, r)
	}
	return tell(w, answer)
}

// claimed is the client that a request says to be of; nothing is proven.
func claimed(r *http.Request) string {
	if id, _, ok := r.BasicAuth(); ok {
		id, _ = url.QueryUnescape(id)
		return id
	}
	if assertion := r.PostForm.Get("client_assertion"); assertion != "" {
		var says jwt.Claims
		if token, err := jwt.ParseSigned(assertion, []jose.SignatureAlgorithm{jose.ES384, jose.RS384}); err == nil && token.UnsafeClaimsWithoutVerification(&says) == nil {
			return says.Subject
		}
	}
	return r.PostForm.Get("client_id")
}

// unnamed tells a refresh token that comes alone: RFC 6749 asks a public client
// for its client_id with a code only, and fhirclient leaves it out here.
//
// Source: RFC 6749 sections 3.2.1 and 6.
func unnamed(r *http.Request) bool {
	f := r.PostForm
	return f.Get("grant_type") == "refresh_token" && r.Header.Get("Authorization") == "" &&
		!f.Has("client_id") && !f.Has("client_secret") && !f.Has("client_assertion") && !f.Has("client_assertion_type")
}

// bearer is the public client that a refresh token was given to. A confidential
// one must prove itself.
func (s *Server) bearer(r *http.Request) (*client, *refusal, error) {
	const holder = `SELECT g.client FROM smart_token t JOIN smart_grant g ON g.id = t.grant_id WHERE t.id = $1 AND t.kind = 'refresh'`
	id := ""
	err := s.DB.QueryRow(r.Context(), holder, hashed(r.PostForm.Get("refresh_token"))).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, badGrant, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("smart: whose token: %w", err)
	}
	if c, err := s.Clients.client(r.Context(), id); err != nil || c != nil && c.public() {
		return c, nil, err
	}
	return nil, badClient, nil
}

func tell(w http.ResponseWriter, body map[string]any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("smart: answer: %w", err)
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	return answer(w, http.StatusOK, b)
}

const selectSpent = `SELECT t.used, t.expires, t.scope, t.redirect, t.challenge, g.revoked, g.ends, g.id, g.issuer, g.subject, g.person, g.name,
g.worksite, g.acting_for, g.scope, g.patient, g.encounter, g.nonce, g.offline
FROM smart_token t JOIN smart_grant g ON g.id = t.grant_id WHERE t.id = $1 AND t.kind = $2 AND g.client = $3`

const spend = `UPDATE smart_token SET used = $2 WHERE id = $1 AND used = 0`

const revokeGrant = `UPDATE smart_grant SET revoked = $2 WHERE id = $1 AND revoked = 0`

// spent is a code or refresh token that is now used, and its family.
type spent struct {
	grant
	scope, redirect, challenge string // of the token
}

var badGrant = refuse("invalid_grant", "the code or refresh token is not valid, or no longer")

// take uses up a code or a refresh token of the client's. One that was used
// before ends its family: either the first or the second was a thief. then goes
// on in the same transaction; a refusal of its own leaves the token used.
//
// Source: RFC 9700 sections 4.13 and 4.14.2, RFC 6749 section 4.1.2.
func (s *Server) take(ctx context.Context, c *client, kind, secret string, then func(*sqldb.Tx, spent) (*refusal, error)) (*refusal, error) {
	if secret == "" || len(secret) > 128 {
		return badGrant, nil
	}
	var why *refusal
	err := s.DB.Write(ctx, func(tx *sqldb.Tx) error {
		why = badGrant
		if err := s.sweep(ctx, tx); err != nil {
			return err
		}
		now := s.Now().UnixMicro()
		won, err := tx.Exec(ctx, spend, hashed(secret), now)
		if err != nil {
			return err
		}
		var t spent
		var used, expires, revoked, ends, offline int64
		err = tx.QueryRow(ctx, selectSpent, hashed(secret), kind, c.ID).Scan(&used, &expires, &t.scope, &t.redirect, &t.challenge, &revoked, &ends,
			&t.id, &t.issuer, &t.subject, &t.person, &t.name, &t.worksite, &t.actingFor, &t.grant.scope, &t.patient, &t.encounter, &t.nonce, &offline)
		if errors.Is(err, sql.ErrNoRows) {
			return errUnspent // of nobody, or of another client
		}
		if err != nil {
			return err
		}
		t.client, t.offline, t.ends = c.ID, offline == 1, time.UnixMicro(ends)
		switch {
		case won == 0:
			_, err := tx.Exec(ctx, revokeGrant, t.id, now)
			return err
		case expires <= now || ends <= now || revoked != 0:
			return nil
		}
		if why, err = then(tx, t); err == nil && why != nil && why.code == "invalid_scope" {
			return errUnspent // the client may ask for less
		}
		return err
	})
	if errors.Is(err, errUnspent) {
		return why, nil
	}
	if err != nil {
		return nil, fmt.Errorf("smart: redeem: %w", err)
	}
	return why, nil
}

// errUnspent leaves a code or token as it was.
var errUnspent = errors.New("smart: not spent")

// exchange makes tokens of a code.
func (s *Server) exchange(r *http.Request, c *client, key signing) (answer map[string]any, why *refusal, err error) {
	form := r.PostForm
	why, err = s.take(r.Context(), c, "code", form.Get("code"), func(tx *sqldb.Tx, t spent) (*refusal, error) {
		sum := sha256.Sum256([]byte(form.Get("code_verifier")))
		proof := base64.RawURLEncoding.EncodeToString(sum[:])
		if t.redirect != form.Get("redirect_uri") || len(form.Get("code_verifier")) < 43 || subtle.ConstantTimeCompare([]byte(proof), []byte(t.challenge)) != 1 {
			return refuse("invalid_grant", "the code was given for another request"), nil
		}
		var err error
		answer, err = s.issue(r.Context(), tx, c, key, t.grant, t.grant.scope)
		if err == nil && t.encounter != "" { // now and never again: the person may not see the visit for ever
			answer["encounter"] = t.encounter
		}
		if err == nil && c.Intent != "" && has(t.grant.scope, "launch") {
			answer["intent"] = c.Intent
		}
		return nil, err
	})
	return answer, why, err
}

// refresh makes tokens of a refresh token, and another refresh token.
func (s *Server) refresh(r *http.Request, c *client, key signing) (answer map[string]any, why *refusal, err error) {
	form := r.PostForm
	why, err = s.take(r.Context(), c, "refresh", form.Get("refresh_token"), func(tx *sqldb.Tx, t spent) (*refusal, error) {
		scope := t.grant.scope
		if asked := form.Get("scope"); asked != "" { // fewer, never more
			if scope = auth.Grant(asked, t.grant.scope); scope == "" {
				return refuse("invalid_scope", "that was not granted"), nil
			}
		}
		var err error
		answer, err = s.issue(r.Context(), tx, c, key, t.grant, scope)
		return nil, err
	})
	return answer, why, err
}

// issue is the answer with an access token, and whatever the scope calls for.
func (s *Server) issue(ctx context.Context, tx *sqldb.Tx, c *client, key signing, g grant, scope string) (map[string]any, error) {
	now := s.Now()
	life := accessLife
	if g.isSystem() {
		life = systemLife
	}
	expires := now.Add(life)
	if g.ends.Before(expires) {
		expires = g.ends
	}
	access := accessPrefix + s.newSecret()
	if _, err := tx.Exec(ctx, insertToken, hashed(access), g.id, "access", scope, "", "", now.UnixMicro(), expires.UnixMicro()); err != nil {
		return nil, err
	}
	answer := map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": int64(expires.Sub(now) / time.Second), "scope": scope}
	if g.isSystem() {
		return answer, nil
	}
	answer["need_patient_banner"], answer["smart_style_url"] = true, s.Base+StylePath
	if g.patient != "" {
		answer["patient"] = g.patient
	}
	if has(g.scope, "offline_access") || has(g.scope, "online_access") {
		next := s.newSecret()
		if _, err := tx.Exec(ctx, insertToken, hashed(next), g.id, "refresh", g.scope, "", "", now.UnixMicro(), g.ends.UnixMicro()); err != nil {
			return nil, err
		}
		answer["refresh_token"] = next
	}
	if has(scope, "openid") {
		claims := map[string]any{"iss": s.Base, "sub": subject(g), "aud": c.ID, "iat": now.Unix(), "exp": now.Add(idLife).Unix()}
		if g.nonce != "" {
			claims["nonce"] = g.nonce
		}
		if has(scope, "fhirUser") {
			claims["fhirUser"] = s.fhirUser(g)
		}
		token, err := key.sign(c.IDTokens, claims)
		if err != nil {
			return nil, err
		}
		answer["id_token"] = token
	}
	return answer, nil
}

// subject names a person to apps: neither the provider's word nor the registry's.
func subject(g grant) string { return hashed("subject", g.issuer, g.subject) }

func (s *Server) fhirUser(g grant) string {
	return s.Base + "/fhir/Practitioner/" + auth.UserID(g.person)
}

// system is a token for a backend service itself.
//
// Source: SMART App Launch 2.2.0, "Backend Services".
func (s *Server) system(r *http.Request, c *client) (answer map[string]any, why *refusal, err error) {
	if !r.PostForm.Has("client_assertion") {
		return nil, refuse("unauthorized_client", "a backend service proves itself by private_key_jwt"), nil
	}
	if auth.Unenforced(r.PostForm.Get("scope")) != "" {
		return nil, refuse("invalid_scope", unenforced), nil
	}
	var asked []string
	for word := range strings.FieldsSeq(r.PostForm.Get("scope")) {
		if sc, ok := auth.ParseScope(word); ok && sc.Context == auth.System {
			asked = append(asked, word)
		}
	}
	scope := auth.Grant(strings.Join(asked, " "), c.Scopes)
	if scope == "" {
		return nil, refuse("invalid_scope", "nothing of that may be granted to this client"), nil
	}
	now := s.Now()
	g := grant{id: s.newSecret(), client: c.ID, issuer: s.Issuer, subject: c.ID, scope: scope, ends: now.Add(systemLife)}
	err = s.DB.Write(r.Context(), func(tx *sqldb.Tx) error {
		if err := s.sweep(r.Context(), tx); err != nil {
			return err
		}
		if _, err := tx.Exec(r.Context(), insertGrant, g.id, g.client, g.issuer, g.subject, "", c.Name, "", "", scope, "", "", "", "", int64(0),
			now.UnixMicro(), g.ends.UnixMicro()); err != nil {
			return err
		}
		answer, err = s.issue(r.Context(), tx, c, signing{}, g, scope)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("smart: system token: %w", err)
	}
	return answer, nil, nil
}

// words in common of a token's scopes with what its client may have now.
func (s *Server) narrowed(c *client, scope string) string {
	return auth.Grant(scope, c.Scopes+" "+strings.Join(plainScopes, " "))
}
