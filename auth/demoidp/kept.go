package demoidp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-jose/go-jose/v4"
)

// kept is the file in Dir.
type kept struct {
	Keys      []jose.JSONWebKey          `json:"keys"`      // newest first
	Passwords map[string]string          `json:"passwords"` // by username
	Secrets   map[string]string          `json:"secrets"`   // by client id
	Private   map[string]json.RawMessage `json:"private"`   // by client id
}

const keptFile = "idp.json"

func load(dir string) (kept, error) {
	k := kept{Passwords: map[string]string{}, Secrets: map[string]string{}, Private: map[string]json.RawMessage{}}
	if dir == "" {
		return k, nil
	}
	b, err := os.ReadFile(filepath.Join(dir, keptFile))
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err != nil {
		return kept{}, fmt.Errorf("demoidp: %w", err)
	}
	if err := json.Unmarshal(b, &k); err != nil {
		return kept{}, fmt.Errorf("demoidp: %s is damaged; delete it to have new passwords made", keptFile)
	}
	return k, nil
}

// save writes the file whole or not at all.
func (p *Provider) save() error {
	if p.config.Dir == "" {
		return nil
	}
	k := kept{Keys: p.keys.all(), Passwords: map[string]string{}, Secrets: map[string]string{}, Private: map[string]json.RawMessage{}}
	for name, person := range p.people {
		k.Passwords[name] = person.Password
	}
	for id, c := range p.clients {
		if c.Secret != "" {
			k.Secrets[id] = c.Secret
		}
		if c.PrivateJWK != nil {
			k.Private[id] = c.PrivateJWK
		}
	}
	b, err := json.Marshal(k) // as it came: indenting would change the keys within
	if err != nil {
		return fmt.Errorf("demoidp: %w", err)
	}
	path := filepath.Join(p.config.Dir, keptFile)
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return fmt.Errorf("demoidp: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("demoidp: %w", err)
	}
	return nil
}

// newPrivateJWK is an ES384 key, which SMART wants backends to have.
func newPrivateJWK() (json.RawMessage, error) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("demoidp: %w", err)
	}
	b, err := jose.JSONWebKey{Key: key, KeyID: newSecret()[:8], Algorithm: string(jose.ES384), Use: "sig"}.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("demoidp: %w", err)
	}
	return b, nil
}

// newPassword is 60 random bits that a person can copy: "k7fm-2xqp-9drt".
func newPassword() string {
	var b [8]byte
	rand.Read(b[:])
	s := base32.NewEncoding("abcdefghjkmnpqrstuvwxyz234567890").WithPadding(base32.NoPadding).EncodeToString(b[:])
	return s[:4] + "-" + s[4:8] + "-" + s[8:12]
}

func newSecret() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}
