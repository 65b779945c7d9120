package fhirapi

import (
	"io"
	"mime"
	"net/http"
	"strings"

	"firebreak/access"
	"firebreak/adapters/hl7"
	"firebreak/audit"
	"firebreak/auth"
	"firebreak/fhir"
	"firebreak/web"
)

// hl7Media is what HL7 v2 is called over HTTP, in the encoding with bars.
const hl7Media = "application/hl7-v2"

// statuses answer those who read no more than a status: 503 is sent again.
var statuses = map[hl7.Verdict]int{hl7.Accepted: http.StatusOK, hl7.Failed: http.StatusServiceUnavailable, hl7.Rejected: http.StatusBadRequest}

// messages takes one HL7 v2 message, or a batch of them, from the client of a
// feed that has no MLLP. It is answered with the acknowledgements that MLLP would
// give, when the messages are on disk.
func (a *api) messages(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	for _, typ := range fhir.Types() { // a message may become anything
		if c.May(auth.Create, typ) == auth.Nothing {
			return a.beyond(w, r, c, "create", typ)
		}
	}
	feed := a.Push.HL7[c.Client().Source]
	if feed == nil {
		if err := a.note(r, c, audit.Write, "HL7 v2 messages: not of such a feed"); err != nil {
			return err
		}
		return &fhir.Error{Status: http.StatusForbidden, Code: "forbidden", Text: "Your source is no feed that posts HL7 v2."}
	}
	name, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || name != hl7Media && name != "x-application/hl7-v2+er7" || !plain(r) {
		return &fhir.Error{Status: http.StatusUnsupportedMediaType, Code: "invalid", Text: "Send " + hl7Media + ", not compressed. The character set is what MSH-18 says."}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	e := audit.Event{Time: a.Now(), Action: audit.Write, Caller: c, Detail: "HL7 v2 messages", Address: web.Address(r), Request: web.RequestID(r)}
	if err := a.Audit.Append(r.Context(), e); err != nil {
		return err
	}
	answer, v := feed.Answer(r.Context(), hl7.Peer{Name: c.Client().ID}, body)
	if charset := params["charset"]; charset != "" { // the answer is in the sender's
		name += "; charset=" + strings.ToLower(charset)
	}
	return web.Write(w, r, statuses[v], name, answer)
}
