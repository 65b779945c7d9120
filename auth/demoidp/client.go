package demoidp

import (
	"net/http"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// assertionAlgorithms are those that SMART backends must be able to use.
var assertionAlgorithms = []jose.SignatureAlgorithm{jose.ES384, jose.RS384}

const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	assertionLife = 5 * time.Minute // SMART: exp no more than five minutes ahead
	assertionSkew = 30 * time.Second
)

// authenticate proves the client, in exactly one way.
//
// Source: RFC 6749 section 2.3, RFC 7523, SMART Backend Services.
func (p *Provider) authenticate(r *http.Request) (Client, *refusal) {
	form := r.PostForm
	id, secret, basic := r.BasicAuth()
	post, assertion := form.Has("client_secret"), form.Has("client_assertion")
	if (basic && post) || (basic && assertion) || (post && assertion) {
		return Client{}, refuse("invalid_request", "the client authenticates in more than one way")
	}
	no := &refusal{Error: "invalid_client", status: http.StatusUnauthorized}
	switch {
	case assertion:
		return p.asserted(r, no)
	case basic:
		var err1, err2 error
		id, err1 = url.QueryUnescape(id) // RFC 6749 section 2.3.1
		secret, err2 = url.QueryUnescape(secret)
		if err1 != nil || err2 != nil || form.Has("client_id") && form.Get("client_id") != id {
			return Client{}, no
		}
	case r.Header.Get("Authorization") != "":
		return Client{}, no
	default:
		id, secret = form.Get("client_id"), form.Get("client_secret")
	}
	client, known := p.clients[id]
	if client.public() && known && !basic && !post {
		return client, nil
	}
	if !matches(client.Secret, secret) || !known {
		return Client{}, no
	}
	return client, nil
}

// asserted checks private_key_jwt: signed by a key registered for the client,
// for this endpoint, short-lived, and shown for the first time.
func (p *Provider) asserted(r *http.Request, no *refusal) (Client, *refusal) {
	if r.PostForm.Get("client_assertion_type") != assertionType {
		return Client{}, no
	}
	token, err := jwt.ParseSigned(r.PostForm.Get("client_assertion"), assertionAlgorithms)
	if err != nil || len(token.Headers) != 1 {
		return Client{}, no
	}
	var unproven jwt.Claims
	if token.UnsafeClaimsWithoutVerification(&unproven) != nil {
		return Client{}, no
	}
	client := p.clients[unproven.Subject]
	if id := r.PostForm.Get("client_id"); id != "" && id != client.ID {
		return Client{}, no
	}
	claims, ok := client.proved(token)
	now := p.now()
	if !ok || claims.ID == "" || len(claims.ID) > 256 || claims.Expiry == nil ||
		claims.Expiry.Time().After(now.Add(assertionLife+assertionSkew)) ||
		claims.ValidateWithLeeway(jwt.Expected{
			Issuer: client.ID, Subject: client.ID, AnyAudience: jwt.Audience{p.issuer + "/token", p.issuer}, Time: now,
		}, assertionSkew) != nil {
		return Client{}, no
	}
	if !p.spent.put(client.ID+" "+claims.ID, true, now, claims.Expiry.Time().Add(assertionSkew+time.Second)) {
		return Client{}, no
	}
	return client, nil
}

// proved are the claims, if a key of the client made the signature. Only its
// registered keys are tried, by kid when the header has one.
func (c Client) proved(token *jwt.JSONWebToken) (jwt.Claims, bool) {
	header := token.Headers[0]
	for _, key := range c.Keys {
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

// String tells a client's id and kind; its secrets stay out of logs.
func (c Client) String() string {
	if c.public() {
		return c.ID + " (public)"
	}
	return c.ID + " (confidential)"
}
