package fhirapi

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"firebreak/fhir"
	"firebreak/policy"
	"firebreak/search"
	"firebreak/web"
)

// bundle writes a Bundle around resources whose bytes go out as they are. It
// has no id and no timestamp: it is a function of the view and the request.
type bundle struct {
	b       bytes.Buffer
	links   int
	entries int
	base    []byte // quoted, open at its end
}

// bundles are used again, up to a size: a page of results is most of what a
// search would leave to be collected.
var bundles = sync.Pool{New: func() any { return new(bundle) }}

const bundleKept = 1 << 20 // bytes

func newBundle(typ string) *bundle {
	b := bundles.Get().(*bundle)
	b.b.Reset()
	b.links, b.entries, b.base = 0, 0, nil
	b.b.WriteString(`{"resourceType":"Bundle","type":"` + typ + `"`)
	return b
}

// send ends the bundle and answers with it; it is not to be used after.
func (b *bundle) send(w http.ResponseWriter, r *http.Request) error {
	if b.links > 0 || b.entries > 0 {
		b.b.WriteByte(']')
	}
	b.b.WriteByte('}')
	err := web.Resource(w, r, http.StatusOK, b.b.Bytes())
	if b.b.Cap() <= bundleKept {
		bundles.Put(b)
	}
	return err
}

func (b *bundle) total(n int) {
	b.b.WriteString(`,"total":`)
	b.b.WriteString(strconv.Itoa(n))
}

func (b *bundle) link(relation, url string) {
	if b.links == 0 {
		b.b.WriteString(`,"link":[`)
	} else {
		b.b.WriteByte(',')
	}
	b.links++
	b.b.WriteString(`{"relation":"` + relation + `","url":`)
	b.text(url)
	b.b.WriteByte('}')
}

// next links to the next page, at an address that has a query.
func (b *bundle) next(r *http.Request, url string) { b.link("next", url+web.Chosen(r)) }

func (b *bundle) text(s string) {
	var room [128]byte
	quoted, _ := jsontext.AppendQuote(room[:0], s)
	b.b.Write(quoted)
}

// entry begins an entry; all links must be written before the first.
func (b *bundle) entry() {
	switch {
	case b.entries > 0:
		b.b.WriteByte(',')
	case b.links > 0:
		b.b.WriteString(`],"entry":[`)
	default:
		b.b.WriteString(`,"entry":[`)
	}
	b.entries++
	b.b.WriteByte('{')
}

// resource begins an entry with a resource, whose type and id need no quoting.
func (b *bundle) resource(base string, r fhir.Resource) {
	b.entry()
	if b.base == nil {
		b.base, _ = jsontext.AppendQuote(nil, base)
		b.base[len(b.base)-1] = '/'
	}
	b.b.WriteString(`"fullUrl":`)
	b.b.Write(b.base)
	b.b.WriteString(r.Type())
	b.b.WriteByte('/')
	b.b.WriteString(r.ID())
	b.b.WriteString(`","resource":`)
	b.b.Write(r.JSON())
}

// document says what a document is known by, and of when it is; before any entry.
func (b *bundle) document(id, at string) {
	b.b.WriteString(`,"identifier":{"system":"urn:ietf:rfc:3986","value":"` + id + `"},"timestamp":"` + at + `"`)
}

// whole adds an entry that stands nowhere else.
func (b *bundle) whole(address string, r fhir.Resource) {
	b.entry()
	b.b.WriteString(`"fullUrl":"` + address + `","resource":`)
	b.b.Write(r.JSON())
	b.b.WriteByte('}')
}

// found adds a search result; mode is match, include or outcome.
func (b *bundle) found(base string, r fhir.Resource, mode string) {
	b.resource(base, r)
	b.b.WriteString(`,"search":{"mode":"`)
	b.b.WriteString(mode)
	b.b.WriteString(`"}}`)
}

// matches adds what a search found as it asks to be shown, and what of it was not
// understood.
func (b *bundle) matches(base string, q search.Query, found []fhir.Resource) error {
	for _, r := range found {
		shown, err := q.Project(r)
		if err != nil {
			return err
		}
		b.found(base, shown, "match")
	}
	b.ignored(q)
	return nil
}

// ignored says what of a search was not understood.
func (b *bundle) ignored(q search.Query) {
	if len(q.Ignored) > 0 {
		b.outcome(informed("warning", "not-supported", "Not understood and left out: "+strings.Join(q.Ignored, ", ")+"."))
	}
}

// graded adds a Patient that may be who was looked for.
func (b *bundle) graded(base string, r fhir.Resource, code, score string) {
	b.resource(base, r)
	b.b.WriteString(`,"search":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/match-grade","valueCode":"` + code + `"}],"mode":"match","score":` + score + `}}`)
}

// outcome adds what is to be said about a search.
func (b *bundle) outcome(o []byte) {
	b.entry()
	b.b.WriteString(`"resource":`)
	b.b.Write(o)
	b.b.WriteString(`,"search":{"mode":"outcome"}}`)
}

// history adds a version, or a deletion; the first that there was came to be by a POST, as far
// as the caller can tell.
func (b *bundle) history(base string, v policy.Released, first bool) {
	r := v.Resource()
	if v.Deleted() {
		b.entry()
		b.b.WriteString(`"fullUrl":`)
		b.text(base + "/" + r.Ref().String())
		b.b.WriteString(`,"request":{"method":"DELETE","url":"` + r.Ref().String() + `"},"response":{"status":"204","etag":"W/\"` + v.VersionID() +
			`\"","lastModified":"` + instant(v.Recorded()) + `"}}`)
		return
	}
	b.resource(base, r)
	method, address, status := "PUT", r.Ref().String(), "200"
	if first {
		method, address, status = "POST", r.Type(), "201"
	}
	b.b.WriteString(`,"request":{"method":"` + method + `","url":"` + address + `"},"response":{"status":"` + status +
		`","etag":"W/\"` + v.VersionID() + `\"","lastModified":"` + instant(v.Recorded()) + `"}}`)
}

// response adds the answer to one entry of a transaction or batch. of is what
// the entry made; the zero Released when there is nothing to tell of it.
func (b *bundle) response(status int, location string, of policy.Released, outcome []byte) {
	b.entry()
	b.b.WriteString(`"response":{"status":"` + strconv.Itoa(status) + `"`)
	if location != "" {
		b.b.WriteString(`,"location":"` + location + `"`)
	}
	if !of.IsZero() {
		b.b.WriteString(`,"etag":"W/\"` + of.VersionID() + `\"","lastModified":"` + instant(of.Recorded()) + `"`)
	}
	if outcome != nil {
		b.b.WriteString(`,"outcome":`)
		b.b.Write(outcome)
	}
	b.b.WriteString(`}}`)
}

// answered adds what an address answered an entry that reads.
func (b *bundle) answered(status int, h http.Header, body []byte) {
	b.entry()
	if len(body) > 0 {
		b.b.WriteString(`"resource":`)
		b.b.Write(body)
		b.b.WriteByte(',')
	}
	b.b.WriteString(`"response":{"status":"` + strconv.Itoa(status) + `"`)
	if tag := h.Get("ETag"); tag != "" {
		b.b.WriteString(`,"etag":`)
		b.text(tag)
	}
	if at, err := http.ParseTime(h.Get("Last-Modified")); err == nil {
		b.b.WriteString(`,"lastModified":"` + instant(at) + `"`)
	}
	b.b.WriteString(`}}`)
}

func instant(t time.Time) string { return t.UTC().Format(fhir.InstantFormat) }

// informed is an OperationOutcome that is no error. text is our own.
func informed(severity, code, text string) []byte {
	b := []byte(`{"resourceType":"OperationOutcome","issue":[{"severity":"` + severity + `","code":"` + code + `","diagnostics":`)
	b, _ = jsontext.AppendQuote(b, text)
	return append(b, "}]}"...)
}
