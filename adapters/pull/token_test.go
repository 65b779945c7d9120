package pull

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

var madeKey = sync.OnceValues(func() (jose.JSONWebKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	return jose.JSONWebKey{Key: key, KeyID: "k1", Algorithm: "ES384"}, err
})

func privateKey(t testing.TB) []byte {
	t.Helper()
	key, err := madeKey()
	if err != nil {
		t.Fatal(err)
	}
	b, err := key.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return b
}
