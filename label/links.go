package label

import (
	"bytes"
	"strings"

	"firebreak/fhir"
)

// Link is a literal reference from a resource to another of this server.
type Link struct {
	Element string // the top element it stands in: "result", "subject"
	To      fhir.Ref
}

// Links are the references that l's resource makes, in document order; nil
// until l is settled. The caller must not change them.
func (l Labeled) Links() []Link {
	if l.links == nil {
		return nil
	}
	return l.links.all
}

type links struct{ all []Link }

var noLinks = &links{}

// linksOf finds the references of a resource, and addresses of Binaries in
// attachments, without decoding it.
func linksOf(r fhir.Resource) *links {
	raw := r.JSON()
	if !bytes.Contains(raw, []byte(`"reference"`)) && !bytes.Contains(raw, []byte(`Binary/`)) && !bytes.Contains(raw, []byte(`\u`)) {
		return noLinks
	}
	var out []Link
	for name, v := range r.Root().Members() {
		b := v.Raw()
		if k := v.Kind(); k != '{' && k != '[' {
			continue
		}
		if bytes.Contains(b, []byte(`\u`)) { // a name may be written in escapes
			v.Each(func(member string, x fhir.Node) bool {
				if x.Kind() == '"' && (member == "reference" || member == "url" && strings.Contains(x.Text(), "Binary/")) {
					if to, ok := parseRef(x.Text()); ok {
						out = append(out, Link{name, to})
					}
				}
				return true
			})
			continue
		}
		for _, key := range []string{`"reference"`, `"url"`} {
			for rest := b; ; {
				i := bytes.Index(rest, []byte(key))
				if i < 0 {
					break
				}
				rest = bytes.TrimLeft(rest[i+len(key):], " \t\r\n")
				if len(rest) == 0 || rest[0] != ':' {
					continue // the text, not the name of a member
				}
				rest = bytes.TrimLeft(rest[1:], " \t\r\n")
				if len(rest) == 0 || rest[0] != '"' {
					continue
				}
				end := bytes.IndexByte(rest[1:], '"')
				if end < 0 {
					break
				}
				text := rest[1 : 1+end]
				if key == `"url"` && !bytes.Contains(text, []byte("Binary/")) {
					continue
				}
				if to, ok := parseRef(string(text)); ok {
					out = append(out, Link{name, to})
				}
			}
		}
	}
	if out == nil {
		return noLinks
	}
	return &links{out}
}

// parseRef reads "Type/id", with or without "/_history/version".
func parseRef(s string) (fhir.Ref, bool) {
	typ, rest, ok := strings.Cut(s, "/")
	if !ok || typ == "" || typ[0] < 'A' || typ[0] > 'Z' {
		return fhir.Ref{}, false
	}
	id, _, _ := strings.Cut(rest, "/")
	if !fhir.ValidID(id) {
		return fhir.Ref{}, false
	}
	return fhir.Ref{Type: typ, ID: id}, true
}
