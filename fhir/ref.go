package fhir

import (
	"bytes"
	"slices"
	"strings"
)

// ParseRef reads a relative literal reference, "Patient/abc" or
// "Patient/abc/_history/3" (the version is dropped). Absolute addresses,
// fragments, urn: and conditional references are not local: false.
func ParseRef(s string) (Ref, bool) {
	typ, id, ok := strings.Cut(s, "/")
	if !ok || !IsType(typ) {
		return Ref{}, false
	}
	if base, version, has := strings.Cut(id, "/_history/"); has {
		if !ValidID(version) {
			return Ref{}, false
		}
		id = base
	}
	if !ValidID(id) {
		return Ref{}, false
	}
	return Ref{Type: typ, ID: id}, true
}

// refSite is a string in a resource that may hold a reference.
type refSite struct {
	holder  int  // where the object begins that it stands in: a Reference, an Attachment, ...
	literal bool // it is a Reference.reference
	value   Node
}

// refSites calls f for every string that R4 uses as an address of another
// resource: Reference.reference, the url of whatever is not an extension
// (Attachment.url names a Binary), and the valueUri and valueUrl of extensions.
// Contained resources are looked through too. It reads r once, without
// recursion, for it runs over whole charts.
func refSites(r Resource, f func(refSite)) {
	type level struct {
		start     int
		object    bool
		extension bool // an extension, or an array of them
	}
	var (
		b      = r.json
		levels = make([]level, 0, 16)
		name   []byte // of the current member, with quotes
		valued bool   // its colon was read
	)
	for i := 0; i < len(b); {
		switch b[i] {
		case '{', '[':
			in := level{start: i, object: b[i] == '{'}
			if n := len(levels); n > 0 {
				in.extension = levels[n-1].extension && !levels[n-1].object || levels[n-1].object && isExtension(name)
			}
			levels = append(levels, in)
			valued = false
		case '}', ']':
			levels = levels[:len(levels)-1]
			valued = false
		case ',':
			valued = false
		case ':':
			valued = true
		case '"':
			end := skipString(b, i)
			switch at := &levels[len(levels)-1]; {
			case !at.object:
			case !valued:
				name = b[i:end]
			case isAddress(name, at.extension):
				f(refSite{holder: at.start, literal: Node{name}.Is("reference"), value: Node{b[i:end]}})
			}
			i = end
			continue
		}
		i++
	}
}

func isExtension(name []byte) bool {
	n := Node{name}
	return n.Is("extension") || n.Is("modifierExtension")
}

// isAddress tells whether a member's string is an address.
func isAddress(name []byte, extension bool) bool {
	switch n := (Node{name}); {
	case n.Is("reference"), n.Is("valueUri"), n.Is("valueUrl"):
		return true
	case n.Is("url"):
		return !extension
	}
	return false
}

// References are the resources of this server that r names by literal
// reference, without doubles, in the order they first occur.
func (r Resource) References() []Ref {
	var refs []Ref
	refSites(r, func(s refSite) {
		if ref, ok := ParseRef(s.value.Text()); ok && !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	})
	return refs
}

// Conditional are the conditional references of r, "Patient?identifier=1", each
// once, in the order they first occur. base is the address of this server, with
// which they may begin.
//
// Source: R4 http.html#trules.
func (r Resource) Conditional(base string) []string {
	var all []string
	refSites(r, func(s refSite) {
		if !s.literal || bytes.IndexByte(s.value.b, '?') < 0 {
			return
		}
		text := s.value.Text()
		if _, _, ok := ParseConditional(base, text); ok && !slices.Contains(all, text) {
			all = append(all, text)
		}
	})
	return all
}

// ParseConditional reads a conditional reference.
func ParseConditional(base, s string) (typ, query string, ok bool) {
	if rest, local := strings.CutPrefix(s, base+"/"); local && base != "" {
		s = rest
	}
	typ, query, ok = strings.Cut(s, "?")
	return typ, query, ok && IsType(typ)
}

// RewriteReferences replaces each reference string s by f(s), whatever its
// form ("Patient/1", "urn:uuid:...", "https://..."), and nothing else.
func (r Resource) RewriteReferences(f func(string) string) (Resource, error) {
	e := editor{r: r}
	refSites(r, func(s refSite) {
		old := s.value.Text()
		if now := f(old); now != old {
			e.replace(s.value, quote(now))
		}
	})
	return e.apply()
}
