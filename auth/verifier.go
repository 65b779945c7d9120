package auth

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// ErrToken is every reason not to take a token. The reason after it is for the
// log: it never quotes the token.
var ErrToken = errors.New("auth: token refused")

// Verifier proves bearer tokens: signed JWT access tokens of one provider for
// one audience.
//
// A token's signature is checked once: the outcome is kept until it expires,
// or until the provider's keys change, in a cache of bounded size.
//
// Source: RFC 9068, RFC 8725 (best current practice), SMART App Launch 2.2.0.
type Verifier struct {
	provider *Provider
	audience string
	seen     *cache
}

// cachedTokens is how many tokens a Verifier remembers, some 1 kB each.
const cachedTokens = 4096

// NewVerifier accepts tokens of p whose audience is exactly audience, the base
// address of the FHIR API.
func NewVerifier(p *Provider, audience string) (*Verifier, error) {
	if p == nil || audience == "" {
		return nil, errors.New("auth: a verifier needs a provider and an audience")
	}
	return &Verifier{provider: p, audience: audience, seen: newCache(cachedTokens / 2)}, nil
}

// Verify is the identity that token proves now: an error that is ErrToken for
// a token that proves nothing, ErrUnavailable while the provider's keys cannot
// be had.
func (v *Verifier) Verify(ctx context.Context, token string) (Identity, error) {
	if len(token) > maxTokenBytes {
		return Identity{}, fmt.Errorf("%w: longer than %d bytes", ErrToken, maxTokenBytes)
	}
	_, version, err := v.provider.keys.get(ctx)
	if err != nil {
		return Identity{}, err
	}
	hash := sha256.Sum256([]byte(token))
	now := v.provider.now()
	if id, ok := v.seen.get(hash, version); ok {
		if !now.Before(id.expires) {
			return Identity{}, fmt.Errorf("%w: expired", ErrToken)
		}
		return id, nil
	}
	c, err := v.provider.claims(ctx, token, v.audience)
	if err != nil {
		return Identity{}, err
	}
	id, err := v.identity(c)
	if err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	if _, version, err = v.provider.keys.get(ctx); err == nil { // the check may have fetched newer keys
		v.seen.put(hash, version, id)
	}
	return id, nil
}

func (v *Verifier) identity(c claims) (Identity, error) {
	switch {
	case c.kind != "" && c.kind != "jwt" && c.kind != "at+jwt":
		return Identity{}, errors.New("not an access token by its typ")
	case c.Nonce != "":
		return Identity{}, errors.New("an ID token, not an access token")
	case c.Confirmation != nil:
		return Identity{}, errors.New("bound to a key that a bearer does not prove to have") // RFC 9449 section 7.2
	}
	client := c.Client
	if client == "" {
		client = c.Party
	}
	if client == "" {
		return Identity{}, errors.New("names no client")
	}
	scopes := slices.Compact(slices.Sorted(slices.Values(append(strings.Fields(string(c.Scope)), strings.Fields(string(c.Scopes))...))))
	return Identity{
		issuer: v.provider.issuer, subject: c.Subject, client: client,
		scopes: scopes, granted: ParseScopes(strings.Join(scopes, " ")),
		name: c.Name, patient: c.Patient, worksite: c.Worksite, purposes: slices.Concat(c.Purpose, c.Extensions.B2B.Purpose, c.Extensions.IUA.Purpose), expires: c.expires,
	}.limited(), nil
}

// claims are those in use, of ID tokens and access tokens.
type claims struct {
	Subject      string          `json:"sub"`
	Client       string          `json:"client_id"`
	Party        string          `json:"azp"`
	Scope        words           `json:"scope"`
	Scopes       words           `json:"scp"` // where some providers keep them
	Name         string          `json:"name"`
	Username     string          `json:"preferred_username"`
	Patient      string          `json:"patient"`
	Worksite     string          `json:"worksite"`
	Nonce        string          `json:"nonce"`
	ACR          string          `json:"acr"`
	NotBefore    *float64        `json:"nbf"`
	Confirmation json.RawMessage `json:"cnf"`

	Purpose    purposes `json:"purpose_of_use"`
	Extensions struct {
		B2B stated `json:"hl7-b2b"`
		IUA stated `json:"ihe_iua"`
	} `json:"extensions"`

	kind     string // typ of the header, lower case, without "application/"
	audience []string
	expires  time.Time
	token    *oidc.IDToken
}

// words is a space separated string, or an array of strings.
type words string

func (w *words) UnmarshalJSON(b []byte) error {
	var list []string
	if err := json.Unmarshal(b, &list); err == nil {
		*w = words(strings.Join(list, " "))
		return nil
	}
	return json.Unmarshal(b, (*string)(w))
}

const maxSubject = 255 // bytes; OpenID Connect Core 1.0 section 2

// claims checks what ID tokens and access tokens have in common: signature,
// algorithm, issuer, audience, expiry, times not ahead of ours, a subject.
func (p *Provider) claims(ctx context.Context, token, audience string) (claims, error) {
	keys := &signatures{p: p}
	t, err := oidc.NewVerifier(p.issuer, keys, &oidc.Config{
		ClientID: audience, SupportedSigningAlgs: names(p.algorithms), Now: p.now,
	}).Verify(ctx, token)
	if errors.Is(keys.err, ErrUnavailable) {
		return claims{}, keys.err
	}
	if err != nil {
		return claims{}, fmt.Errorf("%w: %s", ErrToken, reason(err, keys.err, audience))
	}
	var c claims
	if err := t.Claims(&c); err != nil {
		return claims{}, fmt.Errorf("%w: claims of the wrong kind", ErrToken)
	}
	now := p.now()
	latest := now.Add(p.skew)
	switch {
	case t.Issuer != p.issuer: // go-oidc makes an exception for one provider
		return claims{}, fmt.Errorf("%w: another issuer", ErrToken)
	case !now.Before(t.Expiry):
		return claims{}, fmt.Errorf("%w: expired", ErrToken)
	case t.IssuedAt.After(latest):
		return claims{}, fmt.Errorf("%w: issued in the future", ErrToken)
	case c.NotBefore != nil && time.Unix(int64(*c.NotBefore), 0).After(latest):
		return claims{}, fmt.Errorf("%w: not valid yet", ErrToken)
	case t.Subject == "" || len(t.Subject) > maxSubject:
		return claims{}, fmt.Errorf("%w: no subject", ErrToken)
	}
	c.kind = strings.TrimPrefix(strings.ToLower(keys.kind), "application/")
	c.audience, c.expires, c.token = t.Audience, t.Expiry, t
	return c, nil
}

// signatures is the key set of one verification; it keeps what the library's
// error would hide.
type signatures struct {
	p    *Provider
	err  error
	kind string
}

func (s *signatures) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	jws, err := s.p.parse(token)
	if err == nil {
		s.kind, _ = jws.Signatures[0].Header.ExtraHeaders[jose.HeaderType].(string)
		var payload []byte
		if payload, err = s.p.verifySignature(ctx, jws); err == nil {
			return payload, nil
		}
	}
	s.err = err
	return nil, err
}

// reason says in our words why the library refused: its own may quote claims.
func reason(err, signature error, audience string) string {
	var expired *oidc.TokenExpiredError
	switch {
	case signature != nil:
		return strings.TrimPrefix(signature.Error(), "auth: ")
	case errors.As(err, &expired):
		return "expired"
	case strings.Contains(err.Error(), "different provider"):
		return "another issuer"
	case strings.Contains(err.Error(), "expected audience"):
		return "not for the audience " + audience
	case strings.Contains(err.Error(), "not before"):
		return "not valid yet"
	}
	return "not a JWT signed with an allowed algorithm"
}

func names(algorithms []jose.SignatureAlgorithm) []string {
	out := make([]string, len(algorithms))
	for i, a := range algorithms {
		out[i] = string(a)
	}
	return out
}

// cache remembers identities by the hash of their token in two generations:
// when the young one is full it becomes the old one, and the old one is
// forgotten. What is used moves to the young one.
type cache struct {
	half int

	mu         sync.Mutex // guards what follows
	young, old map[[32]byte]proven
}

type proven struct {
	id      Identity
	version uint64 // of the provider's keys
}

func newCache(half int) *cache {
	return &cache{half: half, young: map[[32]byte]proven{}}
}

func (c *cache) get(hash [32]byte, version uint64) (Identity, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, ok := c.young[hash]
	if !ok {
		if p, ok = c.old[hash]; ok {
			c.add(hash, p)
		}
	}
	return p.id, ok && p.version == version
}

func (c *cache) put(hash [32]byte, version uint64, id Identity) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(hash, proven{id, version})
}

func (c *cache) add(hash [32]byte, p proven) {
	if len(c.young) >= c.half {
		c.old, c.young = c.young, make(map[[32]byte]proven, c.half)
	}
	c.young[hash] = p
}
