package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/hashicorp/go-retryablehttp"
)

// Algorithms are the signature algorithms accepted when the configuration
// names none. There is no symmetric one and no "none": a verifier that holds
// public keys only must never be talked into another kind of key.
var Algorithms = []string{"ES256", "ES384", "ES512", "EdDSA", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"}

// ProviderConfig says which OpenID provider is trusted and how it is asked.
type ProviderConfig struct {
	// Issuer is compared exactly, with discovery and with every token. It is
	// an https URL; http is accepted for a loopback host.
	Issuer string
	// Algorithms narrows the accepted signatures; empty: the package's list.
	Algorithms []string
	// Skew is how far the provider's clock may run ahead of ours; zero: one minute.
	// It never prolongs a token.
	Skew time.Duration
	// Now is the clock; nil: time.Now. Proofs of identity are made on other
	// machines, so this stays the real time where a demo shifts the gateway's.
	Now func() time.Time
	// Client makes the requests to the provider; nil: one that retries and times out.
	Client *http.Client
	// Logger hears about retries; nil: nobody does.
	Logger *slog.Logger
}

// Provider is one trusted OpenID provider: its metadata and keys, found by
// discovery when first needed. Safe for many goroutines.
type Provider struct {
	issuer     string
	algorithms []jose.SignatureAlgorithm
	skew       time.Duration
	now        func() time.Time
	client     *http.Client
	metadata   *kept[Metadata]
	keys       *kept[[]jose.JSONWebKey]
}

// Metadata is the part of the provider's discovery document in use.
//
// Source: OpenID Connect Discovery 1.0 section 3, RFC 8414, RFC 9207,
// OpenID Connect RP-Initiated Logout 1.0.
type Metadata struct {
	Issuer                string   `json:"issuer"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	KeysEndpoint          string   `json:"jwks_uri"`
	EndSessionEndpoint    string   `json:"end_session_endpoint"`
	IntrospectionEndpoint string   `json:"introspection_endpoint"`
	RevocationEndpoint    string   `json:"revocation_endpoint"`
	RegistrationEndpoint  string   `json:"registration_endpoint"`
	Scopes                []string `json:"scopes_supported"`
	Claims                []string `json:"claims_supported"`
	ResponseTypes         []string `json:"response_types_supported"`
	GrantTypes            []string `json:"grant_types_supported"`
	TokenAuthMethods      []string `json:"token_endpoint_auth_methods_supported"`
	TokenAuthAlgorithms   []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	ChallengeMethods      []string `json:"code_challenge_methods_supported"`
	IssuerInResponse      bool     `json:"authorization_response_iss_parameter_supported"`
}

const (
	metadataAge = time.Hour
	keysAge     = 15 * time.Minute // a withdrawn key stops counting within this time
)

// NewProvider checks the configuration; it asks the provider nothing yet, since
// the demo's provider is served by the process that is starting.
func NewProvider(c ProviderConfig) (*Provider, error) {
	if err := checkURL(c.Issuer, true); err != nil {
		return nil, fmt.Errorf("auth: issuer: %w", err)
	}
	p := &Provider{issuer: c.Issuer, skew: c.Skew, now: c.Now, client: c.Client}
	names := c.Algorithms
	if len(names) == 0 {
		names = Algorithms
	}
	for _, name := range names {
		if !slices.Contains(Algorithms, name) {
			return nil, fmt.Errorf("auth: algorithm %q is not one of %s", name, strings.Join(Algorithms, " "))
		}
		p.algorithms = append(p.algorithms, jose.SignatureAlgorithm(name))
	}
	if p.skew == 0 {
		p.skew = time.Minute
	}
	if p.now == nil {
		p.now = time.Now
	}
	if p.client == nil {
		p.client = newClient(c.Logger)
	}
	p.metadata = keep(p.now, metadataAge, p.discover)
	p.keys = keep(p.now, keysAge, p.fetchKeys)
	return p, nil
}

// NewFixedProvider is a provider whose keys, a JSON Web Key Set, are known
// beforehand. Nothing is ever fetched: it serves a Verifier, not a SignIn.
func NewFixedProvider(c ProviderConfig, keys []byte) (*Provider, error) {
	fixed, err := parseKeys(keys)
	if err != nil {
		return nil, err
	}
	p, err := NewProvider(c)
	if err != nil {
		return nil, err
	}
	p.keys = keep(p.now, keysAge, func(context.Context) ([]jose.JSONWebKey, error) { return fixed, nil })
	p.metadata = keep(p.now, metadataAge, func(context.Context) (Metadata, error) {
		return Metadata{}, errors.New("auth: this provider has no discovery")
	})
	return p, nil
}

// Issuer is the issuer every proof must name.
func (p *Provider) Issuer() string { return p.issuer }

// Metadata is the provider's discovery document; ErrUnavailable until it could
// be fetched once.
func (p *Provider) Metadata(ctx context.Context) (Metadata, error) {
	m, _, err := p.metadata.get(ctx)
	return m, err
}

func (p *Provider) discover(ctx context.Context) (Metadata, error) {
	found, err := oidc.NewProvider(oidc.ClientContext(ctx, p.client), p.issuer) // compares the issuer
	if err != nil {
		return Metadata{}, fmt.Errorf("auth: discovery: %w", err)
	}
	var m Metadata
	if err := found.Claims(&m); err != nil {
		return Metadata{}, fmt.Errorf("auth: discovery: %w", err)
	}
	for name, e := range map[string]struct {
		url      string
		required bool
	}{
		"authorization_endpoint": {m.AuthorizationEndpoint, true},
		"token_endpoint":         {m.TokenEndpoint, true},
		"jwks_uri":               {m.KeysEndpoint, true},
		"end_session_endpoint":   {m.EndSessionEndpoint, false},
	} {
		if e.url == "" && !e.required {
			continue
		}
		if err := checkURL(e.url, false); err != nil {
			return Metadata{}, fmt.Errorf("auth: discovery: %s: %w", name, err)
		}
	}
	return m, nil
}

// checkURL wants https, or http to this machine. An issuer has no query.
//
// Source: OpenID Connect Core 1.0 section 2 (iss).
func checkURL(s string, issuer bool) error {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return errors.New("not a URL")
	case u.Host == "" || u.User != nil || u.Fragment != "" || issuer && (u.RawQuery != "" || u.ForceQuery):
		return errors.New("not an absolute URL without user and fragment")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	}
	return errors.New("neither https nor on this machine")
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// newClient asks the provider with short time-outs and a few retries. It
// follows no redirect: the addresses come from configuration and discovery.
func newClient(log *slog.Logger) *http.Client {
	c := retryablehttp.NewClient()
	c.Logger = nil
	if log != nil {
		c.Logger = log
	}
	c.RetryMax, c.RetryWaitMin, c.RetryWaitMax = 2, 100*time.Millisecond, time.Second
	c.CheckRetry = retry
	c.ErrorHandler = retryablehttp.PassthroughErrorHandler
	c.HTTPClient.Timeout = 4 * time.Second
	c.HTTPClient.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client := c.StandardClient()
	client.CheckRedirect = c.HTTPClient.CheckRedirect
	return client
}

// retry repeats what is safe to repeat: a GET by the usual rules, a POST (a code
// that counts once) only when it never left, or was refused unread.
func retry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if resp != nil && resp.Request.Method != http.MethodGet {
		return ctx.Err() == nil && (resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable), ctx.Err()
	}
	var failed *url.Error
	if errors.As(err, &failed) && failed.Op != "Get" {
		var op *net.OpError
		return ctx.Err() == nil && errors.As(err, &op) && op.Op == "dial", ctx.Err()
	}
	return retryablehttp.DefaultRetryPolicy(ctx, resp, err)
}
