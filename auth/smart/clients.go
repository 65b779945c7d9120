package smart

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"firebreak/auth"
	"firebreak/internal/sqldb"
)

const es384, rs384 = string(jose.ES384), string(jose.RS384)

// Client is an app or a backend service, as registered. Without a secret and
// keys it is public.
type Client struct {
	ID   string `json:"id"`
	Name string `json:"name"` // as people are asked whether to let it in
	// Redirects are where it may be answered, each compared exactly. A backend has none.
	Redirects []string `json:"redirects,omitzero"`
	// Launch is where it is launched from a chart, and Roles are those of the people
	// who are offered it there, as the registry has them. Without roles: all.
	Launch string   `json:"launch,omitzero"`
	Roles  []string `json:"roles,omitzero"`
	// Intent is what it is launched for from a chart, as its maker calls that.
	Intent string `json:"intent,omitzero"`
	// SecretHash is the SHA-256 of its secret, in hex.
	SecretHash string `json:"secretHash,omitzero"`
	// Keys is its JSON Web Key Set, P-384 or RSA; KeysURL is where it publishes it.
	Keys    json.RawMessage `json:"keys,omitzero"`
	KeysURL string          `json:"keysUrl,omitzero"`
	// Scopes are the most it may be given.
	Scopes string `json:"scopes"`
	// IDTokens is the algorithm of its ID tokens: ES384, or RS384.
	IDTokens string `json:"idTokens,omitzero"`
	// Limits are its own; what is nought is as for all.
	Limits Limits `json:"limits,omitzero"`
}

// client is a Client that was checked.
type client struct {
	Client
	secret   []byte
	inline   []jose.JSONWebKey
	remote   *remoteKeys
	contacts []string // of one that registered itself
}

func (c *client) public() bool { return c.secret == nil && !c.signs() }
func (c *client) signs() bool  { return c.inline != nil || c.remote != nil }

// method is how it proves itself.
func (c *client) method() string {
	switch {
	case c.signs() && c.secret != nil:
		return "client_secret_basic, private_key_jwt"
	case c.signs():
		return "private_key_jwt"
	case c.secret != nil:
		return "client_secret_basic"
	}
	return "none"
}

func (c Client) checked() (*client, error) {
	known := &client{Client: c}
	if c.ID == "" || len(c.ID) > 128 || strings.ContainsFunc(c.ID, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return nil, errors.New("id must be a word of printable ASCII")
	}
	if c.Name == "" {
		return nil, errors.New("name is missing")
	}
	if c.Limits.API < 0 || c.Limits.Token < 0 || c.Limits.API > MaxLimit || c.Limits.Token > MaxLimit {
		return nil, fmt.Errorf("limits are from 0, for what holds for all, to %d", MaxLimit)
	}
	for _, r := range c.Redirects {
		if err := checkRedirect(r); err != nil {
			return nil, fmt.Errorf("redirects: %w", err)
		}
	}
	if c.Launch != "" {
		if err := secureURL(c.Launch); err != nil {
			return nil, fmt.Errorf("launch: %w", err)
		}
	}
	switch c.IDTokens {
	case "":
		known.IDTokens = es384
	case es384, rs384:
	default:
		return nil, fmt.Errorf("idTokens must be %s or %s", es384, rs384)
	}
	if c.SecretHash != "" {
		b, err := hex.DecodeString(c.SecretHash)
		if err != nil || len(b) != sha256.Size {
			return nil, errors.New("secretHash must be a SHA-256 in hex")
		}
		known.secret = b
	}
	if len(c.Keys) > 0 {
		var err error
		if known.inline, err = readKeys(c.Keys); err != nil {
			return nil, fmt.Errorf("keys: %w", err)
		}
	}
	if c.KeysURL != "" {
		if known.inline != nil {
			return nil, errors.New("keys and keysUrl are both set")
		}
		if err := secureURL(c.KeysURL); err != nil {
			return nil, fmt.Errorf("keysUrl: %w", err)
		}
		known.remote = &remoteKeys{url: c.KeysURL}
	}
	scopes := auth.ParseScopes(c.Scopes)
	system := slices.ContainsFunc(scopes, func(s auth.Scope) bool { return s.Context == auth.System })
	switch {
	case len(scopes) == 0:
		return nil, errors.New("scopes grant nothing")
	case slices.ContainsFunc(scopes, auth.Scope.Granular):
		return nil, errors.New("scopes with a query are asked for, not registered")
	case system && !known.signs():
		return nil, errors.New("a client with system scopes needs keys")
	case (!system || c.Launch != "") && len(c.Redirects) == 0:
		return nil, errors.New("redirects are missing")
	case len(c.Roles) > 0 && c.Launch == "":
		return nil, errors.New("roles are of those who launch it, and it has no launch")
	case c.Intent != "" && c.Launch == "":
		return nil, errors.New("an intent is of a launch, and it has none")
	}
	return known, nil
}

// checkRedirect wants https, http to this machine, or a scheme of the app's own
// with a dot in it (RFC 8252 section 7.1).
func checkRedirect(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.User != nil || strings.Contains(s, "#") || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return errors.New("not an absolute address without user and fragment")
	}
	if strings.Contains(u.Scheme, ".") && u.Host == "" {
		return nil
	}
	return secureURL(s)
}

func secureURL(s string) error {
	u, err := url.Parse(s)
	if err == nil && u.Host != "" && u.User == nil && u.Fragment == "" {
		ip, err := netip.ParseAddr(u.Hostname())
		if u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || err == nil && ip.IsLoopback()) {
			return nil
		}
	}
	return errors.New("neither https nor on this machine")
}

// readKeys keeps those public keys of a set that may sign assertions. A set
// that holds a private or symmetric key is refused whole.
func readKeys(b []byte) ([]jose.JSONWebKey, error) {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(b, &set); err != nil {
		return nil, errors.New("not a JSON Web Key Set")
	}
	all := []jose.JSONWebKey{}
	for _, k := range set.Keys {
		switch key := k.Key.(type) {
		case *ecdsa.PublicKey:
			if key.Curve == elliptic.P384() && k.Use != "enc" {
				all = append(all, k)
			}
		case *rsa.PublicKey:
			if key.N.BitLen() >= 2048 && k.Use != "enc" {
				all = append(all, k)
			}
		default:
			if !k.IsPublic() {
				return nil, errors.New("holds a key that is not public")
			}
		}
	}
	if len(all) == 0 || len(all) > 16 {
		return nil, errors.New("holds no P-384 or RSA key, or more than 16")
	}
	return all, nil
}

// refusal is an OAuth error. Its description is ours and quotes nothing.
type refusal struct {
	status int
	code   string
	text   string
}

func refuse(code, text string) *refusal { return &refusal{http.StatusBadRequest, code, text} }

var badClient = &refusal{http.StatusUnauthorized, "invalid_client", "the client is not proven"}

func (e *refusal) write(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	if e.status == http.StatusUnauthorized && r.Header.Get("Authorization") != "" {
		w.Header().Set("WWW-Authenticate", "Basic")
	}
	b, err := json.Marshal(map[string]string{"error": e.code, "error_description": e.text})
	if err != nil {
		return err
	}
	return answer(w, e.status, b)
}

// readForm takes a form from the body alone, each parameter once.
//
// Source: RFC 6749 section 3.2.
func readForm(r *http.Request) *refusal {
	if r.Method != http.MethodPost || r.URL.RawQuery != "" {
		return refuse("invalid_request", "the parameters belong in the body of a POST")
	}
	if err := r.ParseForm(); err != nil {
		return refuse("invalid_request", "the form cannot be read")
	}
	for _, values := range r.PostForm {
		if len(values) != 1 {
			return refuse("invalid_request", "a parameter is there twice")
		}
	}
	return nil
}

const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	assertionLife = 5 * time.Minute
	assertionSkew = 10 * time.Second // that a client's clock may be ahead of ours, or behind
)

// authenticate proves the client in exactly one way, one it is registered for.
//
// Source: RFC 6749 section 2.3, RFC 7523, SMART App Launch 2.2.0 "Client
// Authentication".
func (s *Server) authenticate(r *http.Request) (*client, *refusal, error) {
	form := r.PostForm
	id, secret, basic := r.BasicAuth()
	post, assertion := form.Has("client_secret"), form.Has("client_assertion") || form.Has("client_assertion_type")
	switch {
	case basic && (post || assertion), post && assertion:
		return nil, refuse("invalid_request", "the client authenticates in more than one way"), nil
	case assertion:
		return s.asserted(r)
	case basic:
		var err1, err2 error
		id, err1 = url.QueryUnescape(id) // RFC 6749 section 2.3.1
		secret, err2 = url.QueryUnescape(secret)
		if err1 != nil || err2 != nil || form.Has("client_id") && form.Get("client_id") != id {
			return nil, badClient, nil
		}
	case r.Header.Get("Authorization") != "":
		return nil, badClient, nil
	default:
		id, secret = form.Get("client_id"), form.Get("client_secret")
	}
	c, err := s.Clients.client(r.Context(), id)
	if err != nil {
		return nil, nil, err
	}
	if c != nil && c.public() && !basic && !post {
		return c, nil, nil
	}
	sum := sha256.Sum256([]byte(secret))
	if c == nil || c.secret == nil || subtle.ConstantTimeCompare(sum[:], c.secret) != 1 {
		return nil, badClient, nil
	}
	return c, nil, nil
}

// asserted checks private_key_jwt: signed by a registered key, for us, short
// of life, and shown for the first time. Keys that the token itself brings or
// points to are not looked at.
func (s *Server) asserted(r *http.Request) (*client, *refusal, error) {
	if r.PostForm.Get("client_assertion_type") != assertionType {
		return nil, badClient, nil
	}
	token, err := jwt.ParseSigned(r.PostForm.Get("client_assertion"), []jose.SignatureAlgorithm{jose.ES384, jose.RS384})
	if err != nil || len(token.Headers) != 1 {
		return nil, badClient, nil
	}
	var unproven jwt.Claims
	if token.UnsafeClaimsWithoutVerification(&unproven) != nil {
		return nil, badClient, nil
	}
	c, err := s.Clients.client(r.Context(), unproven.Subject) // before its keys are asked for: who waits has none fetched
	if err != nil {
		return nil, nil, err
	}
	if id := r.PostForm.Get("client_id"); c == nil || !c.signs() || id != "" && id != c.ID {
		return nil, badClient, nil
	}
	if at, points := token.Headers[0].ExtraHeaders["jku"]; points && c.remote != nil && at != c.remote.url {
		return nil, badClient, nil // SMART App Launch 2.2, Backend Services, "Signature Verification"
	}
	now := s.Now()
	h := s.HTTP
	if c.remote != nil && c.remote.outside {
		h = s.outside
	}
	keys, err := c.keysFor(r.Context(), h, now, token.Headers[0].KeyID)
	if err != nil {
		s.Logger.Warn("smart: keys of a client cannot be had", "client", c.ID, "error", err)
		return nil, badClient, nil
	}
	claims, ok := proved(token, keys)
	if !ok || claims.ID == "" || len(claims.ID) > 256 || claims.Expiry == nil ||
		claims.Expiry.Time().After(now.Add(assertionLife+assertionSkew)) || !claims.Expiry.Time().After(now) ||
		claims.ValidateWithLeeway(jwt.Expected{Issuer: c.ID, Subject: c.ID, AnyAudience: jwt.Audience{s.Base + TokenPath, s.Base}, Time: now}, assertionSkew) != nil {
		return nil, badClient, nil
	}
	first := false
	err = s.DB.Write(r.Context(), func(tx *sqldb.Tx) error {
		n, err := tx.Exec(r.Context(), `INSERT INTO smart_jti (id, expires) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`,
			hashed(c.ID, claims.ID), claims.Expiry.Time().Add(assertionSkew+time.Second).UnixMicro())
		first = n == 1
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("smart: note an assertion: %w", err)
	}
	if !first {
		return nil, badClient, nil
	}
	return c, nil, nil
}

// proved are the claims, if one of the keys made the signature.
func proved(token *jwt.JSONWebToken, keys []jose.JSONWebKey) (jwt.Claims, bool) {
	header := token.Headers[0]
	for _, key := range keys {
		if header.KeyID != "" && key.KeyID != "" && header.KeyID != key.KeyID || key.Algorithm != "" && key.Algorithm != header.Algorithm {
			continue
		}
		var claims jwt.Claims
		if token.Claims(key.Key, &claims) == nil {
			return claims, true
		}
	}
	return jwt.Claims{}, false
}

func (c *client) keysFor(ctx context.Context, h *http.Client, now time.Time, kid string) ([]jose.JSONWebKey, error) {
	if c.remote == nil {
		return c.inline, nil
	}
	return c.remote.get(ctx, h, now, kid)
}

// remoteKeys are those that a client publishes.
type remoteKeys struct {
	url     string
	outside bool // a stranger named it: only public addresses are asked

	mu    sync.Mutex // held while fetching: one fetch at a time
	keys  []jose.JSONWebKey
	until time.Time
	asked time.Time
	err   error
}

const (
	keysBytes = 64 << 10
	keysLeast = 10 * time.Second // between two fetches, whatever comes
	keysMost  = time.Hour
	keysUsual = 5 * time.Minute
)

// get is the client's keys, fetched anew when they are too old, or when a
// token names one that is not among them.
func (k *remoteKeys) get(ctx context.Context, h *http.Client, now time.Time, kid string) ([]jose.JSONWebKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	known := kid == "" || slices.ContainsFunc(k.keys, func(j jose.JSONWebKey) bool { return j.KeyID == kid })
	if known && now.Before(k.until) {
		return k.keys, nil
	}
	if now.Sub(k.asked).Abs() < keysLeast {
		if k.err == nil && now.Before(k.until) {
			return k.keys, nil
		}
		return nil, errors.New("asked for a moment ago")
	}
	k.asked = now
	var keys []jose.JSONWebKey
	var age time.Duration
	if keys, age, k.err = fetchKeys(ctx, h, k.url); k.err != nil {
		return nil, k.err
	}
	k.keys, k.until = keys, now.Add(age)
	return keys, nil
}

func fetchKeys(ctx context.Context, h *http.Client, address string) ([]jose.JSONWebKey, time.Duration, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, 0, err
	}
	r.Header.Set("Accept", "application/json")
	resp, err := h.Do(r)
	if err != nil {
		return nil, 0, errors.New("not reached")
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("answered %d", resp.StatusCode)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, keysBytes+1))
	if err != nil || len(b) > keysBytes {
		return nil, 0, errors.New("cut off, or too long")
	}
	keys, err := readKeys(b)
	return keys, cacheAge(resp.Header.Get("Cache-Control")), err
}

// cacheAge is how long an answer may be used, by its Cache-Control.
func cacheAge(header string) time.Duration {
	age := keysUsual
	for d := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(d)), "=")
		switch name {
		case "no-store", "no-cache":
			return keysLeast
		case "max-age":
			if n, err := strconv.Atoi(strings.Trim(value, `"`)); err == nil && n >= 0 {
				age = min(time.Duration(min(n, 1<<20))*time.Second, keysMost)
			}
		}
	}
	return max(age, keysLeast)
}
