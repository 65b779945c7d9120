package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"firebreak/fhir"
)

// A line is {"n":17,<members of the event>,"hash":"<64 hex digits>"}. Its hash
// is SHA-256 over the hash of the line before (64 hex digits; zeros before the
// first) and the line's text up to the comma before "hash".

const (
	hashHead = `,"hash":"`
	hashTail = `"}`
	tailSize = len(hashHead) + 2*sha256.Size + len(hashTail)
)

var genesis = Anchor{Hash: strings.Repeat("0", 2*sha256.Size)}

// appendLine adds to b the line that follows the entry at.
func appendLine(b []byte, at Anchor, event []byte) ([]byte, Anchor) {
	start := len(b)
	at.N++
	b = append(b, `{"n":`...)
	b = strconv.AppendInt(b, at.N, 10)
	b = append(b, event...)
	at.Hash = chain(at.Hash, b[start:])
	b = append(b, hashHead...)
	b = append(b, at.Hash...)
	return append(b, hashTail+"\n"...), at
}

func chain(previous string, text []byte) string {
	h := sha256.New()
	h.Write([]byte(previous))
	h.Write(text)
	return hex.EncodeToString(h.Sum(nil))
}

// follows tells whether line (without its newline) is the entry after at, and
// what it then is.
func (at Anchor) follows(line []byte) (Anchor, bool) {
	cut := len(line) - tailSize
	if cut < 0 {
		return at, false
	}
	next := Anchor{N: at.N + 1, Hash: chain(at.Hash, line[:cut])}
	ok := string(line[cut:]) == hashHead+next.Hash+hashTail &&
		strings.HasPrefix(string(line[:cut]), `{"n":`+strconv.FormatInt(next.N, 10)+`,`)
	return next, ok
}

// encode is the event's members, from the comma before the first, without the
// closing brace: who, what kind, which patient and which resources. What is
// empty is left out.
func (e Event) encode() []byte {
	b := make([]byte, 0, 512+64*len(e.Entities))
	b = append(b, `,"time":"`...)
	b = append(e.Time.UTC().AppendFormat(b, time.RFC3339Nano), '"')
	b = member(b, "action", string(e.Action))
	if e.Refused {
		b = append(b, `,"refused":true`...)
	}
	if c := e.Caller; c.IsZero() {
		b = member(b, "subject", e.Subject)
	} else {
		id := c.Identity()
		b = member(b, "audience", string(c.Audience()))
		b = member(b, "issuer", id.Issuer())
		b = member(b, "subject", id.Subject())
		b = member(b, "client", id.Client())
		b = member(b, "person", c.Person())
		b = member(b, "name", c.Name())
		b = member(b, "role", string(c.Role()))
		b = member(b, "worksite", c.Worksite().ID)
		b = member(b, "place", c.Worksite().Name)
		if by, ok := c.OnBehalfOf(); ok {
			b = member(b, "for", by.Person) // acted for
			b = member(b, "forName", by.Name)
		}
		b = member(b, "purpose", c.Purpose())
	}
	if !e.Patient.IsZero() {
		b = reference(append(b, `,"patient":`...), e.Patient)
	}
	for i, ref := range e.Entities {
		if i == 0 {
			b = append(b, `,"entities":[`...)
		} else {
			b = append(b, ',')
		}
		b = reference(b, ref)
	}
	if len(e.Entities) > 0 {
		b = append(b, ']')
	}
	b = member(b, "detail", e.Detail)
	b = member(b, "address", e.Address)
	return member(b, "request", e.Request)
}

func member(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, `,"`...)
	b = append(b, name...)
	b = append(b, `":`...)
	b, _ = jsontext.AppendQuote(b, value) // what is no UTF-8 is replaced
	return b
}

// reference quotes a reference. An id that was asked for may hold anything.
func reference(b []byte, r fhir.Ref) []byte {
	if fhir.ValidID(r.Type) && fhir.ValidID(r.ID) {
		b = append(append(b, '"'), r.Type...)
		b = append(append(b, '/'), r.ID...)
		return append(b, '"')
	}
	b, _ = jsontext.AppendQuote(b, r.String())
	return b
}
