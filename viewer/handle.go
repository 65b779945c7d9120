package viewer

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"errors"

	"firebreak/fhir"
)

// handles makes what stands in addresses in place of people and items.
//
// A patient's handle is the patient's reference, sealed for one session: to
// everyone but this server it is random, in another session it opens nothing,
// and the same patient has another handle there. Browser history, which keeps
// addresses, so tells nothing. Being sealed rather than kept in a table, it
// holds across restarts and nodes.
//
// An item's handle is a keyed hash. It opens nothing by itself: it is compared
// with the items of the caller's own view.
type handles struct {
	seal cipher.AEAD
	key  []byte
}

const minSecret = 16

func newHandles(secret []byte) (*handles, error) {
	if len(secret) < minSecret {
		return nil, errors.New("viewer: the secret for handles is too short")
	}
	block, err := aes.NewCipher(derive(secret, "viewer handles: seal"))
	if err != nil {
		return nil, err
	}
	seal, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &handles{seal, derive(secret, "viewer handles: hash")}, nil
}

func derive(key []byte, parts ...string) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write([]byte{byte(len(p) >> 8), byte(len(p))})
		h.Write([]byte(p))
	}
	return h.Sum(nil)
}

// patient is the handle of a patient in a session. The nonce is a keyed hash
// of what is sealed, so that one session gives one patient one handle and no
// nonce ever serves two texts.
func (h *handles) patient(session string, p fhir.Ref) string {
	nonce := derive(h.key, "nonce", session, p.ID)[:h.seal.NonceSize()]
	return base64.RawURLEncoding.EncodeToString(h.seal.Seal(nonce, nonce, []byte(p.ID), []byte(session)))
}

// open is the patient of a handle made in this session.
func (h *handles) open(session, handle string) (fhir.Ref, bool) {
	b, err := base64.RawURLEncoding.DecodeString(handle)
	if err != nil || len(b) < h.seal.NonceSize() || session == "" {
		return fhir.Ref{}, false
	}
	id, err := h.seal.Open(nil, b[:h.seal.NonceSize()], b[h.seal.NonceSize():], []byte(session))
	if err != nil {
		return fhir.Ref{}, false
	}
	return fhir.Ref{Type: "Patient", ID: string(id)}, true
}

var itemAlphabet = base32.NewEncoding("abcdefghijkmnpqrstuvwxyz23456789").WithPadding(base32.NoPadding)

// item is the handle of one thing of a chart: a test, a report, a document.
func (h *handles) item(session, kind, key string) string {
	return itemAlphabet.EncodeToString(derive(h.key, session, kind, key)[:10])
}
