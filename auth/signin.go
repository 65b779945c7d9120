package auth

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"firebreak/internal/sqldb"
)

// ErrSignIn is every reason why a sign-in did not succeed that is not our or
// the provider's failure. The person may simply begin again.
var ErrSignIn = errors.New("auth: sign-in refused")

// signInTime is how long a person has at the provider's pages.
const signInTime = 10 * time.Minute

// SignInConfig is the gateway as a client of the provider.
type SignInConfig struct {
	ClientID     string
	ClientSecret string   // empty: a public client; PKCE is used in any case
	Redirect     string   // address where Complete is served, as registered with the provider
	SignedOut    string   // address to return to after signing out, as registered
	Scopes       []string // besides openid; nil: profile
	ACR          []string // the provider must vouch for one of these, if any are named
}

// SignIn is the relying party: it sends a browser to the provider, takes it
// back, and opens a session.
//
// Source: OpenID Connect Core 1.0 section 3.1; RFC 7636 (PKCE, S256);
// RFC 9207 (issuer in the response); RFC 9700; RP-Initiated Logout 1.0.
type SignIn struct {
	provider *Provider
	sessions *Sessions
	config   SignInConfig
}

// NewSignIn checks the configuration.
func NewSignIn(p *Provider, s *Sessions, c SignInConfig) (*SignIn, error) {
	if p == nil || s == nil || c.ClientID == "" {
		return nil, errors.New("auth: sign-in needs a provider, sessions and a client id")
	}
	for _, u := range []string{c.Redirect, c.SignedOut} {
		if err := checkURL(u, true); err != nil {
			return nil, fmt.Errorf("auth: redirect address: %w", err)
		}
	}
	if c.Scopes == nil {
		c.Scopes = []string{"profile"}
	}
	return &SignIn{provider: p, sessions: s, config: c}, nil
}

const insertSignIn = `INSERT INTO auth_signin (state, browser, verifier, nonce, back, expires) VALUES ($1, $2, $3, $4, $5, $6)`

// Begin sends the browser to the provider. back is where it goes afterwards;
// anything but a path of our own becomes "/".
func (s *SignIn) Begin(w http.ResponseWriter, r *http.Request, back string) error {
	ctx := r.Context()
	client, _, err := s.client(ctx)
	if err != nil {
		return err
	}
	state, nonce, verifier := newSecret(), newSecret(), oauth2.GenerateVerifier()
	browser := s.sessions.read(r, signInCookie) // several tabs may sign in at once
	if browser == "" {
		browser = newSecret()
	}
	expires := s.provider.now().Add(signInTime)
	err = s.sessions.db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, insertSignIn, hashed(state), hashed(browser), verifier, nonce, LocalPath(back), expires.UnixMicro())
		return err
	})
	if err != nil {
		return fmt.Errorf("auth: begin sign-in: %w", err)
	}
	cookie := s.sessions.cookie(signInCookie, browser)
	cookie.MaxAge = int(signInTime / time.Second)
	http.SetCookie(w, cookie)
	options := []oauth2.AuthCodeOption{oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)}
	if len(s.config.ACR) > 0 {
		options = append(options, oauth2.SetAuthURLParam("acr_values", strings.Join(s.config.ACR, " ")))
	}
	http.Redirect(w, r, client.AuthCodeURL(state, options...), http.StatusSeeOther)
	return nil
}

// client is us as the oauth2 library sees it. How we prove who we are is taken
// from discovery: trying both ways would spend the code.
func (s *SignIn) client(ctx context.Context) (*oauth2.Config, Metadata, error) {
	m, err := s.provider.Metadata(ctx)
	if err != nil {
		return nil, Metadata{}, err
	}
	style := oauth2.AuthStyleInHeader
	if s.config.ClientSecret == "" || len(m.TokenAuthMethods) > 0 && !slices.Contains(m.TokenAuthMethods, "client_secret_basic") {
		style = oauth2.AuthStyleInParams
	}
	return &oauth2.Config{
		ClientID: s.config.ClientID, ClientSecret: s.config.ClientSecret, RedirectURL: s.config.Redirect,
		Endpoint: oauth2.Endpoint{AuthURL: m.AuthorizationEndpoint, TokenURL: m.TokenEndpoint, AuthStyle: style},
		Scopes:   append([]string{oidc.ScopeOpenID}, s.config.Scopes...),
	}, m, nil
}

// attempt is one sign-in under way.
type attempt struct {
	browser, verifier, nonce, back string
	expires                        int64
}

const takeSignIn = `DELETE FROM auth_signin WHERE state = $1 RETURNING browser, verifier, nonce, back, expires`

// Complete serves the redirect address: it takes the provider's answer and
// opens a session with a new id. It returns the local path to go to.
//
// The state works once, for ten minutes, in the browser that began.
func (s *SignIn) Complete(w http.ResponseWriter, r *http.Request) (Session, string, error) {
	ctx := r.Context()
	a, err := s.take(ctx, r)
	if err != nil {
		return Session{}, "", err
	}
	http.SetCookie(w, s.sessions.expired(signInCookie))
	client, m, err := s.client(ctx)
	if err != nil {
		return Session{}, "", err
	}
	q := r.URL.Query()
	if err := s.checkAnswer(q, m); err != nil {
		return Session{}, "", err
	}
	token, err := client.Exchange(context.WithValue(ctx, oauth2.HTTPClient, s.provider.client), q.Get("code"), oauth2.VerifierOption(a.verifier))
	if err != nil {
		return Session{}, "", exchangeError(err)
	}
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return Session{}, "", fmt.Errorf("%w: no ID token", ErrSignIn)
	}
	id, err := s.identity(ctx, raw, token.AccessToken, a.nonce)
	if err != nil {
		return Session{}, "", err
	}
	session, err := s.sessions.start(ctx, w, r, id, raw)
	if err != nil {
		return Session{}, "", err
	}
	return session, a.back, nil
}

// take spends the state of r and checks that this browser began with it.
func (s *SignIn) take(ctx context.Context, r *http.Request) (attempt, error) {
	state, browser := r.URL.Query()["state"], s.sessions.read(r, signInCookie)
	if len(state) != 1 || len(state[0]) != secretLen || browser == "" {
		return attempt{}, fmt.Errorf("%w: no state, or not begun in this browser", ErrSignIn)
	}
	var a attempt
	err := s.sessions.db.Write(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow(ctx, takeSignIn, hashed(state[0])).Scan(&a.browser, &a.verifier, &a.nonce, &a.back, &a.expires)
	})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return attempt{}, fmt.Errorf("%w: state unknown, or used", ErrSignIn)
	case err != nil:
		return attempt{}, fmt.Errorf("auth: complete sign-in: %w", err)
	case !equal(a.browser, hashed(browser)):
		return attempt{}, fmt.Errorf("%w: begun in another browser", ErrSignIn)
	case s.provider.now().UnixMicro() >= a.expires:
		return attempt{}, fmt.Errorf("%w: state expired", ErrSignIn)
	}
	return a, nil
}

func (s *SignIn) checkAnswer(q url.Values, m Metadata) error {
	switch {
	case q.Has("iss") && q.Get("iss") != s.provider.issuer, m.IssuerInResponse && !q.Has("iss"):
		return fmt.Errorf("%w: answer of another provider", ErrSignIn)
	case q.Has("error"):
		return fmt.Errorf("%w: by the provider", ErrSignIn)
	case len(q["code"]) != 1 || q.Get("code") == "":
		return fmt.Errorf("%w: no code", ErrSignIn)
	}
	return nil
}

// exchangeError tells a refusal of the code from a provider that is away. What
// the provider wrote is left out: it may hold anything.
func exchangeError(err error) error {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && refused.Response.StatusCode < 500 && refused.Response.StatusCode != http.StatusTooManyRequests {
		return fmt.Errorf("%w: code not accepted (status %d)", ErrSignIn, refused.Response.StatusCode)
	}
	if errors.As(err, &refused) {
		return fmt.Errorf("%w: token endpoint answered %d", ErrUnavailable, refused.Response.StatusCode)
	}
	var network *url.Error
	if errors.As(err, &network) {
		return fmt.Errorf("%w: token endpoint not reached", ErrUnavailable)
	}
	return fmt.Errorf("%w: answer of the token endpoint not understood", ErrSignIn)
}

// identity checks the ID token: all that claims checks, and that it answers
// this very request.
func (s *SignIn) identity(ctx context.Context, raw, access, nonce string) (Identity, error) {
	c, err := s.provider.claims(ctx, raw, s.config.ClientID)
	if err != nil {
		if errors.Is(err, ErrToken) {
			return Identity{}, fmt.Errorf("%w: ID token: %w", ErrSignIn, err)
		}
		return Identity{}, err
	}
	switch {
	case c.kind != "" && c.kind != "jwt":
		return Identity{}, fmt.Errorf("%w: not an ID token by its typ", ErrSignIn)
	case !equal(c.Nonce, nonce):
		return Identity{}, fmt.Errorf("%w: another nonce", ErrSignIn)
	case c.Party != "" && c.Party != s.config.ClientID, len(c.audience) > 1 && c.Party == "":
		return Identity{}, fmt.Errorf("%w: ID token made for another client", ErrSignIn)
	case len(s.config.ACR) > 0 && !slices.Contains(s.config.ACR, c.ACR):
		return Identity{}, fmt.Errorf("%w: signed in more weakly than is required", ErrSignIn)
	case c.token.AccessTokenHash != "" && c.token.VerifyAccessToken(access) != nil:
		return Identity{}, fmt.Errorf("%w: access token does not belong to the ID token", ErrSignIn)
	}
	name := c.Name
	if name == "" {
		name = c.Username
	}
	return Identity{issuer: s.provider.issuer, subject: c.Subject, name: name}, nil
}

// End ends the browser's session and returns the address to go to next: the
// provider's sign-out, which leads back to SignedOut, or SignedOut itself when
// the provider has none or is away.
func (s *SignIn) End(w http.ResponseWriter, r *http.Request) (string, error) {
	ctx := r.Context()
	f, err := s.sessions.Find(ctx, r)
	if err != nil {
		return "", err
	}
	if err := s.sessions.End(ctx, w, f); err != nil {
		return "", err
	}
	m, err := s.provider.Metadata(ctx)
	if f.IsZero() || err != nil || m.EndSessionEndpoint == "" {
		return s.config.SignedOut, nil
	}
	to, err := url.Parse(m.EndSessionEndpoint)
	if err != nil {
		return s.config.SignedOut, nil
	}
	q := to.Query()
	q.Set("client_id", s.config.ClientID)
	q.Set("id_token_hint", f.idToken)
	q.Set("post_logout_redirect_uri", s.config.SignedOut)
	to.RawQuery = q.Encode()
	return to.String(), nil
}

const maxPath = 1024 // bytes of a path to return to

// LocalPath is path when it names a place on this server, otherwise "/". What a
// browser could take for another host's address is no local path: "//host",
// "/\host", a scheme, control characters, and every detour (".", "..", empty
// segments) by which one could be made.
func LocalPath(path string) string {
	if len(path) > maxPath || !strings.HasPrefix(path, "/") || strings.ContainsFunc(path, func(c rune) bool { return c <= ' ' || c == 0x7f || c == '\\' }) {
		return "/"
	}
	u, err := url.Parse(path)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return "/"
	}
	for segment := range strings.SplitSeq(strings.TrimPrefix(strings.TrimSuffix(u.Path, "/"), "/"), "/") {
		if u.Path != "/" && (segment == "" || segment == "." || segment == ".." || strings.ContainsAny(segment, "\\")) {
			return "/"
		}
	}
	u.Fragment, u.RawFragment = "", ""
	return u.RequestURI()
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
