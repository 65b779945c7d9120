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
	version *sync.Pool  // of *namer, keyed for version ids
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
	k := keys{version: &sync.Pool{New: func() any { return &namer{hash: hmac.New(sha256.New, version)} }}, seal: derive("seal")}
	block, err := aes.NewCipher(k.seal)
	if err == nil {
		k.aead, err = cipher.NewGCM(block)
	}
	return k, err
}

var lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// namer makes version ids: a keyed hash, and room to put what it hashes together.
type namer struct {
	hash hash.Hash
	buf  []byte
}

// name hashes what buf holds and then rest.
func (n *namer) name(rest []byte) string {
	n.hash.Reset()
	n.hash.Write(n.buf)
	n.hash.Write(rest)
	n.buf = n.hash.Sum(n.buf[:0])
	n.buf = lower.AppendEncode(n.buf, n.buf[:10])
	return string(n.buf[sha256.Size:])
}

// versionID names a content of a resource. It is opaque, so that it tells
// neither how many versions there are nor what they hold.
func (k keys) versionID(typ, id string, deleted bool, context label.Label, json []byte) string {
	n := k.version.Get().(*namer)
	defer k.version.Put(n)
	n.buf = append(append(append(n.buf[:0], typ...), '/'), id...)
	n.buf = strconv.AppendBool(append(n.buf, ' '), deleted)
	n.buf = append(append(append(n.buf, ' '), context...), ' ')
	return n.name(json)
}

// again names a later run of the same content.
func (k keys) again(version string, m mark) string {
	n := k.version.Get().(*namer)
	defer k.version.Put(n)
	n.buf = append(append(n.buf[:0], version...), " again "...)
	n.buf = strconv.AppendInt(n.buf, m.at, 10)
	n.buf = strconv.AppendInt(append(n.buf, ' '), m.seq, 10)
	return n.name(nil)
}
