package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"

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

// members is an Event as it is written: who, what kind, which patient and
// which resources.
type members struct {
	Time     string   `json:"time"`
	Action   Action   `json:"action"`
	Refused  bool     `json:"refused,omitzero"`
	Audience string   `json:"audience,omitzero"`
	Issuer   string   `json:"issuer,omitzero"`
	Subject  string   `json:"subject,omitzero"`
	Client   string   `json:"client,omitzero"`
	Person   string   `json:"person,omitzero"`
	Role     string   `json:"role,omitzero"`
	Worksite string   `json:"worksite,omitzero"`
	For      string   `json:"for,omitzero"` // person acted for
	Purpose  string   `json:"purpose,omitzero"`
	Patient  string   `json:"patient,omitzero"`
	Entities []string `json:"entities,omitzero"`
	Detail   string   `json:"detail,omitzero"`
	Address  string   `json:"address,omitzero"`
	Request  string   `json:"request,omitzero"`
}

// encode is the event's members, from the comma before the first, without the
// closing brace.
func (e Event) encode() []byte {
	m := members{
		Time:    e.Time.UTC().Format(time.RFC3339Nano),
		Action:  e.Action,
		Refused: e.Refused,
		Subject: e.Subject,
		Detail:  e.Detail,
		Address: e.Address,
		Request: e.Request,
		Patient: reference(e.Patient),
	}
	if c := e.Caller; !c.IsZero() {
		id := c.Identity()
		m.Audience, m.Issuer, m.Subject, m.Client = string(c.Audience()), id.Issuer(), id.Subject(), id.Client()
		m.Person, m.Role, m.Worksite, m.Purpose = c.Person(), string(c.Role()), c.Worksite().ID, c.Purpose()
		if by, ok := c.OnBehalfOf(); ok {
			m.For = by.Person
		}
	}
	for _, ref := range e.Entities {
		m.Entities = append(m.Entities, reference(ref))
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // strings and booleans only: cannot happen
	}
	b[0] = ','
	return b[:len(b)-1]
}

func reference(r fhir.Ref) string {
	if r.IsZero() {
		return ""
	}
	return r.String()
}
