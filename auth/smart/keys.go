package smart

import (
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"firebreak/internal/sqldb"
)

// keyAge is how long a key signs. The key before it is published as long again.
const keyAge = 30 * 24 * time.Hour

// keyring holds the keys that sign ID tokens: one of each algorithm in a slot of
// time. Nodes that make the same one at once agree on whichever came first.
type keyring struct {
	db   *sqldb.DB
	now  func() time.Time
	seal []byte

	mu   sync.Mutex // guards made
	made map[string]signing
}

// signing is a key and its id.
type signing struct {
	id  string
	key crypto.Signer
}

func (k *keyring) slot() int64 { return k.now().Unix() / int64(keyAge/time.Second) }

const selectKey = `SELECT sealed FROM smart_key WHERE id = $1`

// signer is the key that signs now, made when the slot has none yet.
func (k *keyring) signer(ctx context.Context, alg string) (signing, error) {
	return k.of(ctx, alg, k.slot(), true)
}

func (k *keyring) of(ctx context.Context, alg string, slot int64, make bool) (signing, error) {
	id := alg + "-" + strconv.FormatInt(slot, 36)
	k.mu.Lock()
	defer k.mu.Unlock()
	if s, ok := k.made[id]; ok {
		return s, nil
	}
	var sealed []byte
	err := k.db.QueryRow(ctx, selectKey, id).Scan(&sealed)
	if errors.Is(err, sql.ErrNoRows) && make {
		if sealed, err = k.create(alg, id); err != nil {
			return signing{}, err
		}
		err = k.db.Write(ctx, func(tx *sqldb.Tx) error {
			if _, err := tx.Exec(ctx, `INSERT INTO smart_key (id, slot, sealed) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING`, id, slot, sealed); err != nil {
				return err
			}
			return tx.QueryRow(ctx, selectKey, id).Scan(&sealed)
		})
	}
	if err != nil {
		return signing{}, fmt.Errorf("smart: signing key: %w", err)
	}
	key, err := k.open(id, sealed)
	if err != nil {
		return signing{}, err
	}
	k.made[id] = signing{id, key}
	return k.made[id], nil
}

func (k *keyring) create(alg, id string) ([]byte, error) {
	var key any
	var err error
	if alg == rs384 {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	}
	if err != nil {
		return nil, fmt.Errorf("smart: signing key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("smart: signing key: %w", err)
	}
	a, err := k.cipher()
	if err != nil {
		return nil, err
	}
	return a.Seal(nil, nil, der, []byte(id)), nil
}

func (k *keyring) open(id string, sealed []byte) (crypto.Signer, error) {
	a, err := k.cipher()
	if err != nil {
		return nil, err
	}
	der, err := a.Open(nil, nil, sealed, []byte(id))
	if err != nil {
		return nil, errors.New("smart: a signing key was sealed with another key: the gateway's has changed")
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("smart: signing key: %w", err)
	}
	return key.(crypto.Signer), nil
}

func (k *keyring) cipher() (cipher.AEAD, error) {
	block, err := aes.NewCipher(k.seal)
	if err != nil {
		return nil, fmt.Errorf("smart: signing key: %w", err)
	}
	a, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("smart: signing key: %w", err)
	}
	return a, nil
}

// public are the keys that tokens may still be signed by.
func (k *keyring) public(ctx context.Context, algorithms []string) (jose.JSONWebKeySet, error) {
	var set jose.JSONWebKeySet
	for _, alg := range algorithms {
		for _, back := range []int64{0, 1} {
			s, err := k.of(ctx, alg, k.slot()-back, back == 0)
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
			if err != nil {
				return set, err
			}
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: s.key.Public(), KeyID: s.id, Algorithm: alg, Use: "sig"})
		}
	}
	return set, nil
}

// sign is a compact JWT of claims.
func (s signing) sign(alg string, claims map[string]any) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: jose.JSONWebKey{Key: s.key, KeyID: s.id}},
		(&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", fmt.Errorf("smart: sign: %w", err)
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("smart: sign: %w", err)
	}
	jws, err := signer.Sign(body)
	if err != nil {
		return "", fmt.Errorf("smart: sign: %w", err)
	}
	return jws.CompactSerialize()
}
