package fhirapi

import (
	"bytes"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"firebreak/fhir"
	"firebreak/policy"
)

// bundle writes a Bundle around resources whose bytes go out as they are. It
// has no id and no timestamp: it is a function of the view and the request.
type bundle struct {
	b       bytes.Buffer
	links   int
	entries int
}

func newBundle(typ string, entries int) *bundle {
	b := &bundle{}
	b.b.Grow(256 + entries*1400)
	b.b.WriteString(`{"resourceType":"Bundle","type":"` + typ + `"`)
	return b
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

func (b *bundle) text(s string) {
	var room [128]byte
	quoted, _ := jsontext.AppendQuote(room[:0], s)
	b.b.Write(quoted)
}

// entry begins an entry; all links must be written before the first.
func (b *bundle) entry(fullURL string) {
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
	if fullURL != "" {
		b.b.WriteString(`"fullUrl":`)
		b.text(fullURL)
	}
}

// found adds a search result; mode is match, include or outcome.
func (b *bundle) found(base string, r fhir.Resource, mode string) {
	b.entry(base + "/" + r.Type() + "/" + r.ID())
	b.b.WriteString(`,"resource":`)
	b.b.Write(r.JSON())
	b.b.WriteString(`,"search":{"mode":"` + mode + `"}}`)
}

func (b *bundle) history(base string, v policy.Released, verb, status string) {
	r := v.Resource()
	b.entry(base + "/" + r.Type() + "/" + r.ID())
	b.b.WriteString(`,"resource":`)
	b.b.Write(r.JSON())
	path := r.Ref().String()
	if verb == "POST" {
		path = r.Type()
	}
	b.b.WriteString(`,"request":{"method":"` + verb + `","url":"` + path + `"},"response":{"status":"` + status + `","etag":"W/\"` + v.VersionID() + `\"","lastModified":"` + instant(v.Recorded()) + `"}}`)
}

// response adds an answer to one entry of a transaction or batch.
func (b *bundle) response(status, location, etag string, modified time.Time, outcome []byte) {
	b.entry("")
	b.b.WriteString(`"response":{"status":"` + status + `"`)
	if location != "" {
		b.b.WriteString(`,"location":`)
		b.text(location)
	}
	if etag != "" {
		b.b.WriteString(`,"etag":`)
		b.text(`W/"` + etag + `"`)
	}
	if !modified.IsZero() {
		b.b.WriteString(`,"lastModified":"` + instant(modified) + `"`)
	}
	if outcome != nil {
		b.b.WriteString(`,"outcome":`)
		b.b.Write(outcome)
	}
	b.b.WriteString(`}}`)
}

func (b *bundle) bytes() []byte {
	if b.links > 0 || b.entries > 0 {
		b.b.WriteByte(']')
	}
	b.b.WriteByte('}')
	return b.b.Bytes()
}

func instant(t time.Time) string { return t.UTC().Format(fhir.InstantFormat) }
