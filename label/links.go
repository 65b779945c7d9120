package label

import (
	"bytes"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

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

// address tells whether a member of that name may be the address of a resource.
func address(name []byte) bool {
	switch string(name) {
	case "reference", "url", "valueUri", "valueUrl":
		return true
	}
	return false
}

// linksOf finds the references that fhir.Resource.References does, and where
// they stand, in one pass over the resource's bytes.
func linksOf(r fhir.Resource) *links {
	b := r.JSON()
	if bytes.Contains(b, []byte(`\u`)) { // a name may be written in escapes
		return linksDecoded(r)
	}
	var room [8]Link
	out := room[:0]
	var named []naming
	var namer string // the element that was looked through for them last
	depth := 0
	var top []byte     // name of the member of the resource that i stands in
	var element string // the same, once it is needed
	for i := 0; i < len(b); {
		switch b[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '"':
			text, next := quoted(b, i)
			i = next
			naming := string(text) == "identifier" && carrying[string(top)]
			if depth != 1 && !naming && !address(text) {
				continue
			}
			if next = blank(b, next); b[next] != ':' {
				continue // a text, not the name of a member
			}
			i = blank(b, next+1)
			if depth == 1 {
				top, element = text, ""
				continue
			}
			if naming {
				if string(top) != namer {
					namer = string(top)
					named = append(named, namings(namer, r.Get(namer))...)
				}
				continue
			}
			if b[i] != '"' {
				continue
			}
			if text, i = quoted(b, i); bytes.IndexByte(text, '\\') >= 0 { // "Patient\/1"
				text, _ = jsontext.AppendUnquote(nil, b[i-len(text)-2:i])
			}
			if to, ok := fhir.ParseRef(string(text)); ok {
				if element == "" {
					element = string(top)
				}
				out = append(out, Link{element, to})
			}
			continue
		}
		i++
	}
	return linksFrom(out, named)
}

func linksDecoded(r fhir.Resource) *links {
	var out []Link
	var named []naming
	for name, v := range r.Root().Members() {
		if k := v.Kind(); k != '{' && k != '[' {
			continue
		}
		if carrying[name] {
			named = append(named, namings(name, v)...)
		}
		v.Each(func(member string, x fhir.Node) bool {
			if x.Kind() == '"' && address([]byte(member)) {
				if to, ok := fhir.ParseRef(x.Text()); ok {
					out = append(out, Link{name, to})
				}
			}
			return true
		})
	}
	return linksFrom(out, named)
}

func linksFrom(all []Link, named []naming) *links {
	if len(all) == 0 && named == nil {
		return noLinks
	}
	return &links{slices.Clone(all), len(all), named}
}

// quoted is the text between the quotes of the string that begins at i, and
// where it ends. Of a resource's bytes it is known that there is an end.
func quoted(b []byte, i int) (text []byte, end int) {
	for end = i + 1; ; end++ {
		n := bytes.IndexByte(b[end:], '"')
		end += n
		escapes := 0
		for k := end - 1; k > i && b[k] == '\\'; k-- {
			escapes++
		}
		if escapes%2 == 0 {
			return b[i+1 : end], end + 1
		}
	}
}

// blank is the next place from i on that is no white space.
func blank(b []byte, i int) int {
	for b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n' {
		i++
	}
	return i
}
