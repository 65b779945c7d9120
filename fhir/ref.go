package fhir

import (
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
	holder Node // the object it stands in: a Reference, an Attachment, ...
	value  Node
}

// refSites calls f for every string that R4 uses as an address of another
// resource: Reference.reference, the url of whatever is not an extension
// (Attachment.url names a Binary), and the valueUri and valueUrl of extensions.
// Contained resources are looked through too.
func refSites(r Resource, f func(refSite)) {
	var walk func(n Node, extension bool)
	walk = func(n Node, extension bool) {
		switch k := n.Kind(); k {
		case '{':
			for c := n.open(k); c.next(); {
				v := c.value()
				switch v.Kind() {
				case '"':
					if refName(&c, extension) {
						f(refSite{holder: n, value: v})
					}
				case '{', '[':
					walk(v, c.nameIs("extension") || c.nameIs("modifierExtension"))
				}
			}
		case '[':
			for c := n.open(k); c.next(); {
				walk(c.value(), extension)
			}
		}
	}
	walk(r.Root(), false)
}

// refName tells whether the current member's string is an address.
func refName(c *cursor, extension bool) bool {
	switch {
	case c.nameIs("reference"), c.nameIs("valueUri"), c.nameIs("valueUrl"):
		return true
	case c.nameIs("url"):
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
