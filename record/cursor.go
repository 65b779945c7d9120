package record

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"

	"firebreak/fhir"
)

// cursor is where a page ended: the chart, and the place of the last resource
// that was shown of it (search.Query.Place).
type cursor struct{ chart, last string }

var errCursor = &fhir.Error{Status: http.StatusBadRequest, Code: "invalid", Text: "This page link does not belong to this search. Search again."}

// shut makes a cursor opaque, and of use only for the same search by callers
// who see the same. Equal cursors are sealed alike, so that equal requests
// have equal answers: the nonce is a hash of what is sealed.
func (k keys) shut(c cursor, bound string) string {
	plain := []byte(c.chart + "\n" + c.last)
	h := hmac.New(sha256.New, k.seal)
	h.Write([]byte(bound))
	h.Write([]byte{0})
	h.Write(plain)
	nonce := h.Sum(nil)[:k.aead.NonceSize()]
	return base64.RawURLEncoding.EncodeToString(k.aead.Seal(nonce, nonce, plain, []byte(bound)))
}

// open reads a cursor that shut made for the same search and audience.
func (k keys) open(s, bound string) (cursor, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) < k.aead.NonceSize() {
		return cursor{}, errCursor
	}
	plain, err := k.aead.Open(nil, b[:k.aead.NonceSize()], b[k.aead.NonceSize():], []byte(bound))
	if err != nil {
		return cursor{}, errCursor
	}
	chart, last, _ := strings.Cut(string(plain), "\n")
	return cursor{chart, last}, nil
}
