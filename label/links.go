package label

import (
	"bytes"
	"slices"

	"firebreak/fhir"
)

// Link is a reference from a resource to another of this server: a literal one,
// or one by an identifier that the other carries.
type Link struct {
	Element string // the top element it stands in: "result", "subject"
	To      fhir.Ref
}

// Links are the references that l's resource makes, in document order, those by
// identifier last; nil until l is settled. The caller must not change them.
func (l Labeled) Links() []Link {
	if l.links == nil {
		return nil
	}
	return l.links.all
}

type links struct {
	all     []Link
	literal int      // how many of all are
	named   []naming // by identifier
}

var noLinks = &links{}

// names of members whose string may be the address of a resource.
var addresses = [][]byte{[]byte(`"reference"`), []byte(`"url"`), []byte(`"valueUri"`), []byte(`"valueUrl"`)}

// linksOf finds the references that fhir.Resource.References does, and where
// they stand, without decoding the resource.
func linksOf(r fhir.Resource) *links {
	var room [8]Link
	out := room[:0]
	var named []naming
	for name, v := range r.Root().Members() {
		b := v.Raw()
		if k := v.Kind(); k != '{' && k != '[' {
			continue
		}
		if carrying[name] && bytes.Contains(b, []byte(`"identifier"`)) {
			named = append(named, namings(name, v)...)
		}
		if bytes.Contains(b, []byte(`\u`)) { // a name may be written in escapes
			v.Each(func(member string, x fhir.Node) bool {
				switch {
				case x.Kind() != '"':
				case member == "reference" || member == "url" || member == "valueUri" || member == "valueUrl":
					if to, ok := fhir.ParseRef(x.Text()); ok {
						out = append(out, Link{name, to})
					}
				}
				return true
			})
			continue
		}
		for _, key := range addresses {
			for rest := b; ; {
				i := bytes.Index(rest, key)
				if i < 0 {
					break
				}
				rest = bytes.TrimLeft(rest[i+len(key):], " \t\r\n")
				if len(rest) == 0 || rest[0] != ':' {
					continue // a text, not the name of a member
				}
				rest = bytes.TrimLeft(rest[1:], " \t\r\n")
				if len(rest) == 0 || rest[0] != '"' {
					continue
				}
				end := bytes.IndexByte(rest[1:], '"')
				if end < 0 {
					break
				}
				if to, ok := fhir.ParseRef(string(rest[1 : 1+end])); ok {
					out = append(out, Link{name, to})
				}
			}
		}
	}
	if len(out) == 0 && named == nil {
		return noLinks
	}
	return &links{slices.Clone(out), len(out), named}
}
