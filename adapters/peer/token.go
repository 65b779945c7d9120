package peer

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/go-json-experiment/json"
)

// Auth is a registration with the server's authorization server.
//
// Source: SMART Backend Services (HL7 SMART App Launch 2.2), RFC 7523.
type Auth struct {
	ClientID string
	Key      []byte // private, P-384 or RSA: a JWK, or PEM (PKCS #8)
	Token    string // address of the token endpoint; empty: as the server's smart-configuration says, if it is of the server's origin
	Scope    string // empty: system/Type.rs of what is asked for and system/Type.cu of what is sent, or .read and .write where the server knows no other

	Types []string // asked for
	Sends []string // types sent
}

// assertionTime is how long a proof of identity holds: five minutes at most.
const assertionTime = 4 * time.Minute

// tokens keeps the access token in use.
type tokens struct {
	auth   Auth
	server *Client
	signer jose.Signer
	client *http.Client
	token  string
	until  time.Time
}

func (a Auth) open(s *Client) (*tokens, error) {
	key, err := parseKey(a.Key)
	if err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(key.Algorithm), Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, errors.New("peer: the private key cannot sign")
	}
	client := *s.client.HTTPClient
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client.Timeout = HeaderTime
	return &tokens{auth: a, server: s, signer: signer, client: &client}, nil
}

// parseKey reads a private key and says which signature it makes.
func parseKey(b []byte) (key jose.JSONWebKey, err error) {
	if p, _ := pem.Decode(b); p != nil {
		private, err := x509.ParsePKCS8PrivateKey(p.Bytes)
		if err != nil {
			return key, errors.New("peer: the private key is no PKCS #8")
		}
		key.Key = private
	} else if err := key.UnmarshalJSON(b); err != nil {
		return key, errors.New("peer: the private key is neither a JWK nor PEM")
	}
	switch k := key.Key.(type) {
	case *ecdsa.PrivateKey:
		if k.Curve == elliptic.P384() {
			key.Algorithm = string(jose.ES384)
			break
		}
		return key, errors.New("peer: the private key is of another curve than P-384")
	case *rsa.PrivateKey:
		key.Algorithm = string(jose.RS384)
	default:
		return key, errors.New("peer: the private key is neither of P-384 nor RSA")
	}
	if key.KeyID == "" {
		thumb, err := key.Thumbprint(crypto.SHA256)
		if err != nil {
			return key, errors.New("peer: the private key has no thumbprint")
		}
		key.KeyID = base64.RawURLEncoding.EncodeToString(thumb)
	}
	return key, nil
}

func (t *tokens) drop() { t.token = "" }

// get gives a token that holds for a while yet.
func (t *tokens) get(ctx context.Context) (string, error) {
	if t.token != "" && t.server.now().Before(t.until) {
		return t.token, nil
	}
	endpoint, scope, err := t.endpoint(ctx)
	if err != nil {
		return "", err
	}
	now := time.Now() // proofs of identity are made for another machine's clock
	proof, err := jwt.Signed(t.signer).Claims(jwt.Claims{
		Issuer: t.auth.ClientID, Subject: t.auth.ClientID, Audience: jwt.Audience{endpoint}, ID: rand.Text(),
		IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(assertionTime)),
	}).Serialize()
	if err != nil {
		return "", errors.New("peer: the private key cannot sign")
	}
	form := url.Values{
		"grant_type": {"client_credentials"}, "scope": {scope}, "client_assertion": {proof},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	}
	if err := t.server.limit.Wait(ctx); err != nil {
		return "", err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return "", errors.New("peer: the token endpoint is no address")
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	answer, err := t.client.Do(r)
	if err != nil {
		return "", fmt.Errorf("peer: the token endpoint cannot be asked: %w", bare(err))
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	var got struct {
		Token   string  `json:"access_token"`
		Type    string  `json:"token_type"`
		Expires float64 `json:"expires_in"`
		Error   string  `json:"error"`
	}
	if err == nil {
		err = json.Unmarshal(body, &got)
	}
	switch {
	case answer.StatusCode != http.StatusOK:
		why := ""
		if slices.Contains([]string{"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope"}, got.Error) {
			why = " (" + got.Error + ")"
		}
		return "", fmt.Errorf("peer: the token endpoint answered with status %d%s", answer.StatusCode, why)
	case err != nil, got.Token == "", !strings.EqualFold(got.Type, "bearer"), strings.ContainsAny(got.Token, " \r\n"):
		return "", errors.New("peer: the token endpoint gave no bearer token")
	}
	life := time.Duration(got.Expires * float64(time.Second))
	if life <= 0 {
		life = 5 * time.Minute
	}
	t.token, t.until = got.Token, t.server.now().Add(life-min(life/4, 30*time.Second))
	return t.token, nil
}

// endpoint is where tokens are given, and what is asked for there.
func (t *tokens) endpoint(ctx context.Context) (address, scope string, err error) {
	address, scope = t.auth.Token, t.auth.Scope
	if address != "" && scope != "" {
		return address, scope, nil
	}
	u, err := t.server.Link(t.server.At(".well-known/smart-configuration", nil))
	if err != nil {
		return "", "", err
	}
	r, err := t.server.send(ctx, http.MethodGet, u, http.Header{"Accept": {"application/json"}}, nil)
	if err != nil {
		return "", "", fmt.Errorf("peer: .well-known/smart-configuration: %w", err)
	}
	defer r.Body.Close()
	var conf struct {
		Token        string   `json:"token_endpoint"`
		Capabilities []string `json:"capabilities"`
	}
	if err := json.UnmarshalRead(io.LimitReader(r.Body, 1<<20), &conf); err != nil {
		return "", "", errors.New("peer: .well-known/smart-configuration is not what it should be")
	}
	if address == "" {
		u, err := t.server.Link(conf.Token)
		if err != nil || conf.Token == "" {
			return "", "", errors.New("peer: the token endpoint is of another origin than the server: name it as auth.token")
		}
		address = u.String()
	}
	if scope == "" {
		may, write := ".read", ".write"
		if slices.Contains(conf.Capabilities, "permission-v2") {
			may, write = ".rs", ".cu"
		}
		var all []string
		for _, typ := range t.auth.Types {
			all = append(all, "system/"+typ+may)
		}
		for _, typ := range t.auth.Sends {
			all = append(all, "system/"+typ+write)
		}
		scope = strings.Join(all, " ")
	}
	return address, scope, nil
}
