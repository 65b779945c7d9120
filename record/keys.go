package record

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"hash"
	"strconv"
	"sync"

	"firebreak/internal/sqldb"
	"firebreak/label"
)

// keys are made from one secret, each for one purpose.
type keys struct {
	version *sync.Pool  // of hash.Hash, keyed for version ids
	seal    []byte      // of cursors
	aead    cipher.AEAD // made of seal
}

const (
	keepSecret = `INSERT INTO setting (name, value) VALUES ('secret', $1) ON CONFLICT (name) DO NOTHING`
	readSecret = `SELECT value FROM setting WHERE name = 'secret'`
)

// openKeys derives the keys from Config.Secret, or from a secret that the
// database keeps since its first opening.
func (r *Record) openKeys(ctx context.Context) (keys, error) {
	secret := r.c.Secret
	if len(secret) == 0 {
		fresh := make([]byte, 32)
		rand.Read(fresh)
		err := r.db.Write(ctx, func(tx *sqldb.Tx) error {
			if _, err := tx.Exec(ctx, keepSecret, fresh); err != nil {
				return err
			}
			return tx.QueryRow(ctx, readSecret).Scan(&secret)
		})
		if err != nil {
			return keys{}, failed("read the secret", err)
		}
	}
	derive := func(purpose string) []byte {
		h := hmac.New(sha256.New, secret)
		h.Write([]byte("firebreak record " + purpose))
		return h.Sum(nil)
	}
	version := derive("version")
	k := keys{version: &sync.Pool{New: func() any { return hmac.New(sha256.New, version) }}, seal: derive("seal")}
	block, err := aes.NewCipher(k.seal)
	if err == nil {
		k.aead, err = cipher.NewGCM(block)
	}
	return k, err
}

var lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// versionID names a content of a resource. It is opaque, so that it tells
// neither how many versions there are nor what they hold.
func (k keys) versionID(typ, id string, deleted bool, context label.Label, json []byte) string {
	return k.name(typ+"/"+id+" "+strconv.FormatBool(deleted)+" "+string(context)+" ", json)
}

// again names a later run of the same content.
func (k keys) again(version string, m mark) string {
	return k.name(version+" again "+strconv.FormatInt(m.at, 10)+" "+strconv.FormatInt(m.seq, 10), nil)
}

func (k keys) name(head string, rest []byte) string {
	h := k.version.Get().(hash.Hash)
	defer k.version.Put(h)
	h.Reset()
	var buf [256]byte
	h.Write(append(buf[:0], head...))
	h.Write(rest)
	var sum [sha256.Size]byte
	return lower.EncodeToString(h.Sum(sum[:0])[:10])
}
