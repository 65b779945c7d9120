package record

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"strconv"

	"firebreak/internal/sqldb"
	"firebreak/label"
)

// keys are made from one secret, each for one purpose.
type keys struct {
	version []byte      // of version ids
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
	k := keys{version: derive("version"), seal: derive("seal")}
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
	h := hmac.New(sha256.New, k.version)
	h.Write([]byte(typ + "/" + id + " " + strconv.FormatBool(deleted) + " " + string(context) + " "))
	h.Write(json)
	return lower.EncodeToString(h.Sum(nil)[:10])
}

// again names a later run of the same content.
func (k keys) again(version string, m mark) string {
	h := hmac.New(sha256.New, k.version)
	h.Write([]byte(version + " again " + strconv.FormatInt(m.at, 10) + " " + strconv.FormatInt(m.seq, 10)))
	return lower.EncodeToString(h.Sum(nil)[:10])
}
