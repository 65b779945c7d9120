package demoidp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/go-jose/go-jose/v4"
)

// keyring holds the signing keys: the newest signs, the one before still
// verifies what it signed.
type keyring struct {
	mu   sync.Mutex
	keys []jose.JSONWebKey // newest first; private
}

func (k *keyring) set(keys []jose.JSONWebKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys = keys
}

func (k *keyring) all() []jose.JSONWebKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]jose.JSONWebKey(nil), k.keys...)
}

func (k *keyring) rotate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("demoidp: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys = append([]jose.JSONWebKey{{Key: key, KeyID: newSecret()[:8], Algorithm: string(jose.ES256), Use: "sig"}}, k.keys...)
	k.keys = k.keys[:min(len(k.keys), 2)]
	return nil
}

// Rotate makes a new signing key. Tokens of the key before stay valid; those of
// the one before that do not.
func (p *Provider) Rotate() error {
	if err := p.keys.rotate(); err != nil {
		return err
	}
	return p.save()
}

func (p *Provider) serveKeys(w http.ResponseWriter, _ *http.Request) {
	open(w)
	writeJSON(w, http.StatusOK, p.public())
}

func (p *Provider) public() jose.JSONWebKeySet {
	var set jose.JSONWebKeySet
	for _, k := range p.keys.all() {
		set.Keys = append(set.Keys, k.Public())
	}
	return set
}

// sign is a compact JWT of claims with this typ.
func (p *Provider) sign(typ string, claims map[string]any) (string, error) {
	body, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("demoidp: sign: %w", err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: p.keys.all()[0]},
		(&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		return "", fmt.Errorf("demoidp: sign: %w", err)
	}
	jws, err := signer.Sign(body)
	if err != nil {
		return "", fmt.Errorf("demoidp: sign: %w", err)
	}
	return jws.CompactSerialize()
}

// ours are the claims of a JWT that we signed, expired or not.
func (p *Provider) ours(token string) (map[string]any, error) {
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return nil, errors.New("demoidp: not a JWT of ours")
	}
	for _, k := range p.public().Keys {
		if k.KeyID != jws.Signatures[0].Header.KeyID {
			continue
		}
		body, err := jws.Verify(k.Key)
		if err != nil {
			break
		}
		var claims map[string]any
		if err := json.Unmarshal(body, &claims); err != nil || claims["iss"] != p.issuer {
			break
		}
		return claims, nil
	}
	return nil, errors.New("demoidp: not a JWT of ours")
}

// halfHash is at_hash: the left half of the hash that ES256 signs over.
//
// Source: OpenID Connect Core 1.0 section 3.1.3.6.
func halfHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
