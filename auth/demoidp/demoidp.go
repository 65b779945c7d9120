// Package demoidp is an OpenID provider for the demo and for tests: it shows
// its people's passwords on the sign-in page. It is never part of serve.
//
// What it does, it does by the book, so that sign-in and tokens are tried for
// real: authorization code with PKCE (S256, required), client credentials with
// client_secret_basic, client_secret_post and private_key_jwt, signed access
// tokens, key rotation, RP-initiated logout.
//
// It is our own small code over go-jose rather than a module, because of what
// the demo needs at one client and one place: several ways to authenticate one
// client, scopes cut down instead of refused, codes redeemed once under
// concurrency, and an ID token hint that still counts when it has expired.
//
// Source: OpenID Connect Core 1.0, Discovery 1.0, RP-Initiated Logout 1.0;
// RFC 6749, 7523, 7636, 8252, 9068, 9207, 9700; SMART App Launch 2.2.0.
package demoidp

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Config is what the provider is made from.
type Config struct {
	Base      string   // address of the server it is mounted on; the issuer is Base + "/idp"
	Audience  string   // the FHIR API that access tokens are for
	Redirect  string   // where the gateway takes sign-ins back
	SignedOut string   // where the gateway wants people back after signing out
	People    []Person // passwords are made here when empty
	Clients   []Client // besides the gateway, demo-app and demo-backend
	Dir       string   // folder that keeps keys, passwords and secrets; empty: memory alone
	Now       func() time.Time
}

// Person is somebody who can sign in, as demo.json lists them. The username is
// the subject of tokens.
type Person struct {
	Username   string `json:"username"`
	Password   string `json:"password"`
	Name       string `json:"name"`
	Role       string `json:"role"`     // for the page alone
	Worksite   string `json:"worksite"` // name, for the page alone
	WorksiteID string `json:"-"`        // claim "worksite" of access tokens
}

// Client is an application, as demo.json lists it.
type Client struct {
	ID           string          `json:"id"`
	Secret       string          `json:"secret,omitempty"`
	PrivateJWK   json.RawMessage `json:"privateJwk,omitempty"`
	Grants       []string        `json:"grants"`
	Scope        string          `json:"scope"` // the most it gets
	RedirectURIs []string        `json:"redirectUris"`

	// Keys are public keys for private_key_jwt besides that of PrivateJWK.
	Keys []jose.JSONWebKey `json:"-"`
	// SignedOut are addresses to return to after signing out.
	SignedOut []string `json:"-"`
}

func (c Client) public() bool { return c.Secret == "" && len(c.Keys) == 0 }

// Ids of the clients that are always there.
const (
	Gateway = "firebreak"    // the gateway's own pages
	App     = "demo-app"     // any app on this machine: public, PKCE, loopback redirect
	Backend = "demo-backend" // a system: client credentials
)

const (
	codeGrant   = "authorization_code"
	clientGrant = "client_credentials"
)

// Life times.
const (
	tokenLife   = 30 * time.Minute
	idTokenLife = 5 * time.Minute
	codeLife    = time.Minute
	pageLife    = 10 * time.Minute // of a sign-in page
)

// Provider is the demo's OpenID provider, an http.Handler to be mounted at
// "/idp/" with its prefix left on.
type Provider struct {
	config  Config
	issuer  string
	now     func() time.Time
	people  map[string]Person
	order   []string
	clients map[string]Client
	listed  []string
	mux     *http.ServeMux

	keys     keyring
	pending  *once[request] // by the handle on the sign-in page
	codes    *once[grant]   // by code
	spent    *once[bool]    // assertion ids
	throttle *throttle
}

// New makes the provider, with what Dir kept of the last time.
//
// Passwords, secrets and keys are random and belong to one data folder: no
// credential stands in the program, so none of a demo opens anything else.
func New(c Config) (*Provider, error) {
	if c.Base == "" || c.Audience == "" || c.Redirect == "" {
		return nil, errors.New("demoidp: a provider needs a base, an audience and a redirect address")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	p := &Provider{
		config: c, issuer: c.Base + "/idp", now: c.Now,
		people: map[string]Person{}, clients: map[string]Client{},
		pending: newOnce[request](), codes: newOnce[grant](), spent: newOnce[bool](), throttle: newThrottle(c.Now),
	}
	kept, err := load(c.Dir)
	if err != nil {
		return nil, err
	}
	if err := p.fill(kept); err != nil {
		return nil, err
	}
	if err := p.save(); err != nil {
		return nil, err
	}
	p.routes()
	return p, nil
}

// Issuer is the provider's issuer.
func (p *Provider) Issuer() string { return p.issuer }

// People are those who can sign in, with their passwords.
func (p *Provider) People() []Person {
	var all []Person
	for _, name := range p.order {
		all = append(all, p.people[name])
	}
	return all
}

// Clients are the applications, with their secrets.
func (p *Provider) Clients() []Client {
	var all []Client
	for _, id := range p.listed {
		all = append(all, p.clients[id])
	}
	return all
}

// Client is one of Clients; zero if there is none of that id.
func (p *Provider) Client(id string) Client { return p.clients[id] }

func (p *Provider) fill(k kept) error {
	p.keys.set(k.Keys)
	if len(k.Keys) == 0 {
		if err := p.keys.rotate(); err != nil {
			return err
		}
	}
	for _, person := range p.config.People {
		if person.Username == "" || p.people[person.Username].Username != "" {
			return fmt.Errorf("demoidp: username %q is empty or there twice", person.Username)
		}
		person.Password = first(person.Password, k.Passwords[person.Username], newPassword())
		p.people[person.Username] = person
		p.order = append(p.order, person.Username)
	}
	backend := Client{
		ID: Backend, Secret: first(k.Secrets[Backend], newSecret()), PrivateJWK: k.Private[Backend],
		Grants: []string{clientGrant}, Scope: "system/*.cruds", RedirectURIs: []string{},
	}
	if backend.PrivateJWK == nil {
		var err error
		if backend.PrivateJWK, err = newPrivateJWK(); err != nil {
			return err
		}
	}
	all := append([]Client{
		{
			ID: Gateway, Secret: first(k.Secrets[Gateway], newSecret()), Grants: []string{codeGrant},
			Scope: "openid profile", RedirectURIs: []string{p.config.Redirect}, SignedOut: []string{p.config.SignedOut},
		},
		{
			ID: App, Grants: []string{codeGrant}, Scope: "openid profile user/*.rs",
			RedirectURIs: []string{"http://127.0.0.1/callback", "http://[::1]/callback", "http://localhost/callback"},
		},
		backend,
	}, p.config.Clients...)
	for _, c := range all {
		if err := p.add(c); err != nil {
			return err
		}
	}
	return nil
}

func (p *Provider) add(c Client) error {
	if c.ID == "" || p.clients[c.ID].ID != "" {
		return fmt.Errorf("demoidp: client id %q is empty or there twice", c.ID)
	}
	if c.PrivateJWK != nil {
		var key jose.JSONWebKey
		if err := key.UnmarshalJSON(c.PrivateJWK); err != nil {
			return fmt.Errorf("demoidp: key of client %q: %w", c.ID, err)
		}
		c.Keys = append(c.Keys, key.Public())
	}
	p.clients[c.ID] = c
	p.listed = append(p.listed, c.ID)
	return nil
}

func first(all ...string) string {
	for _, s := range all {
		if s != "" {
			return s
		}
	}
	return ""
}

func (p *Provider) routes() {
	m := http.NewServeMux()
	m.HandleFunc("GET /idp/.well-known/openid-configuration", p.discovery)
	m.HandleFunc("GET /idp/keys", p.serveKeys)
	m.HandleFunc("GET /idp/authorize", p.authorize)
	m.HandleFunc("POST /idp/authorize", p.authorize)
	m.HandleFunc("POST /idp/login", p.login)
	m.HandleFunc("POST /idp/token", p.token)
	m.HandleFunc("OPTIONS /idp/token", func(w http.ResponseWriter, _ *http.Request) {
		open(w)
		w.WriteHeader(http.StatusNoContent)
	})
	m.HandleFunc("GET /idp/end-session", p.endSession)
	m.HandleFunc("POST /idp/end-session", p.endSession)
	m.HandleFunc("GET /idp/style.css", serveStyle)
	p.mux = m
}

// ServeHTTP serves everything below /idp/.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache") // RFC 6749 section 5.1
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	p.mux.ServeHTTP(w, r)
}

// open lets apps in a browser read answers that carry no cookie's authority.
func open(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
	h.Set("Access-Control-Allow-Methods", "POST")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the connection is gone if this fails
}

func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	open(w)
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                                           p.issuer,
		"authorization_endpoint":                           p.issuer + "/authorize",
		"token_endpoint":                                   p.issuer + "/token",
		"jwks_uri":                                         p.issuer + "/keys",
		"end_session_endpoint":                             p.issuer + "/end-session",
		"response_types_supported":                         []string{"code"},
		"response_modes_supported":                         []string{"query"},
		"grant_types_supported":                            []string{codeGrant, clientGrant},
		"subject_types_supported":                          []string{"public"},
		"id_token_signing_alg_values_supported":            []string{string(jose.ES256)},
		"scopes_supported":                                 strings.Fields("openid profile user/*.rs system/*.cruds"),
		"claims_supported":                                 strings.Fields("iss sub aud exp iat auth_time nonce acr amr at_hash name preferred_username"),
		"acr_values_supported":                             []string{acr},
		"code_challenge_methods_supported":                 []string{"S256"},
		"token_endpoint_auth_methods_supported":            []string{"client_secret_basic", "client_secret_post", "private_key_jwt", "none"},
		"token_endpoint_auth_signing_alg_values_supported": assertionAlgorithms,
		"authorization_response_iss_parameter_supported":   true,
		"claims_parameter_supported":                       false,
		"request_parameter_supported":                      false,
		"request_uri_parameter_supported":                  false,
	})
}
