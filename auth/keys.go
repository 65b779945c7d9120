package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

const (
	maxKeysBytes  = 1 << 18
	maxTokenBytes = 1 << 14 // of a compact JWT; servers cut headers at about this size too
	minRSABits    = 2048
)

// fetchKeys reads the provider's key set. Keys of kinds that cannot be used are
// passed over, so that a new kind does not end the old ones.
//
// Source: RFC 7517; OpenID Connect Core 1.0 section 10.1.
func (p *Provider) fetchKeys(ctx context.Context) ([]jose.JSONWebKey, error) {
	m, err := p.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.KeysEndpoint, nil)
	if err != nil {
		return nil, fmt.Errorf("auth: keys: %w", err)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("auth: keys: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("auth: keys: status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxKeysBytes+1))
	if err != nil {
		return nil, fmt.Errorf("auth: keys: %w", err)
	}
	if len(body) > maxKeysBytes {
		return nil, errors.New("auth: keys: more than 256 kB")
	}
	return parseKeys(body)
}

func parseKeys(body []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, errors.New("auth: keys: not a JSON Web Key Set")
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) == nil && usable(key) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("auth: keys: none that can be used")
	}
	return keys, nil
}

// usable tells whether key is public, for signatures and strong enough.
func usable(key jose.JSONWebKey) bool {
	if key.Use != "" && key.Use != "sig" || !key.Valid() {
		return false
	}
	switch k := key.Key.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= minRSABits
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false
}

// verifySignature checks a signature with the provider's own keys and returns
// the payload.
//
// Of the token's header only alg (from the allow-list) and kid count; a key, an
// address of one or a certificate in it is never looked at. An unknown kid
// makes the keys be fetched again, at a bounded rate.
func (p *Provider) verifySignature(ctx context.Context, jws *jose.JSONWebSignature) ([]byte, error) {
	keys, version, err := p.keys.get(ctx)
	if err != nil {
		return nil, err
	}
	if payload, ok := verify(jws, keys); ok {
		return payload, nil
	}
	if known(jws, keys) {
		return nil, errBadSignature
	}
	keys, newer, err := p.keys.renew(ctx, version)
	if err != nil {
		return nil, err
	}
	if newer != version {
		if payload, ok := verify(jws, keys); ok {
			return payload, nil
		}
	}
	return nil, errBadSignature
}

var errBadSignature = errors.New("auth: no key of the provider made this signature")

// known tells whether a key has the kid that the token names: then a new set of
// keys would not help.
func known(jws *jose.JSONWebSignature, keys []jose.JSONWebKey) bool {
	kid := jws.Signatures[0].Header.KeyID
	return kid != "" && slices.ContainsFunc(keys, func(k jose.JSONWebKey) bool { return k.KeyID == kid })
}

// parse accepts the compact form only, one signature, an allowed algorithm.
func (p *Provider) parse(token string) (*jose.JSONWebSignature, error) {
	if len(token) > maxTokenBytes || strings.Count(token, ".") != 2 {
		return nil, errors.New("auth: not a compact JWT")
	}
	jws, err := jose.ParseSignedCompact(token, p.algorithms)
	if err != nil {
		return nil, errors.New("auth: not a JWT signed with an allowed algorithm")
	}
	return jws, nil
}

// verify tries the key that the token names. A token that names none is taken
// only when there is no choice of keys.
func verify(jws *jose.JSONWebSignature, keys []jose.JSONWebKey) ([]byte, bool) {
	header := jws.Signatures[0].Header
	if header.KeyID == "" && len(keys) != 1 {
		return nil, false
	}
	for _, key := range keys {
		if header.KeyID != "" && key.KeyID != header.KeyID || key.Algorithm != "" && key.Algorithm != header.Algorithm {
			continue
		}
		if payload, err := jws.Verify(key.Key); err == nil {
			return payload, true
		}
	}
	return nil, false
}
