package auth

import (
	"net/url"
	"slices"
	"strings"
)

// Context is the part of a SMART scope before the slash: on whose record it acts.
type Context string

const (
	Patient Context = "patient"
	User    Context = "user"
	System  Context = "system"
)

// Interaction is what a request does to a resource: one letter of a SMART v2
// scope. History and version reads are Read; a type-level history is Search.
type Interaction uint8

const (
	Create Interaction = 1 << iota
	Read
	Update
	Delete
	Search
)

const letters = "cruds" // in the order of the constants

// Scope is one clinical scope: `context/Type.interactions?query`.
type Scope struct {
	Context Context
	Type    string // resource type, or "*"
	May     Interaction
	Query   url.Values // a restriction such as category=laboratory; nil when none
}

// Scopes are the clinical scopes of a token.
type Scopes []Scope

// ParseScopes reads a space separated scope list. What is not a clinical scope
// of version 1 (.read .write .*) or 2 (.cruds, letters in that order) is left out, so it
// grants nothing; openid, launch and the like are not errors.
//
// Source: SMART App Launch 2.2.0, "Scopes for requesting FHIR Resources".
func ParseScopes(list string) Scopes {
	var all Scopes
	for word := range strings.FieldsSeq(list) {
		if s, ok := ParseScope(word); ok {
			all = append(all, s)
		}
	}
	return all
}

// ParseScope reads one clinical scope.
func ParseScope(word string) (Scope, bool) {
	word, query, restricted := strings.Cut(word, "?")
	context, rest, ok := strings.Cut(word, "/")
	typ, action, ok2 := strings.Cut(rest, ".")
	s := Scope{Context: Context(context), Type: typ}
	if !ok || !ok2 || !slices.Contains([]Context{Patient, User, System}, s.Context) || !isType(typ) {
		return Scope{}, false
	}
	if s.May, ok = interactions(action); !ok {
		return Scope{}, false
	}
	if restricted {
		q, err := url.ParseQuery(query)
		if err != nil || len(q) == 0 {
			return Scope{}, false
		}
		s.Query = q
	}
	return s, true
}

// interactions reads what stands after the dot. The letters keep their order
// and stand once, so that one grant has one spelling.
func interactions(s string) (Interaction, bool) {
	switch s {
	case "read":
		return Read | Search, true
	case "write":
		return Create | Update | Delete, true
	case "*":
		return Create | Read | Update | Delete | Search, true
	}
	var may Interaction
	at := 0
	for i := range len(s) {
		n := strings.IndexByte(letters[at:], s[i])
		if n < 0 {
			return 0, false
		}
		at += n + 1
		may |= 1 << (at - 1)
	}
	return may, may != 0
}

func isType(s string) bool {
	if s == "*" {
		return true
	}
	for i := range len(s) {
		c := s[i] | 0x20
		if c < 'a' || c > 'z' {
			return false
		}
	}
	return s != "" && s[0] >= 'A' && s[0] <= 'Z'
}

// Allows tells whether the scopes grant in on typ. A scope with a query grants
// nothing: the gateway does not enforce the restriction, and half a scope
// would be more than was given.
func (all Scopes) Allows(context Context, typ string, in Interaction) bool {
	for _, s := range all {
		if s.Query == nil && s.Context == context && s.May&in == in && in != 0 && (s.Type == "*" || s.Type == typ) {
			return true
		}
	}
	return false
}

// Grant is the part of what was asked that is also allowed: the words for the
// token. Clinical scopes are cut down to the interactions that allowed has for
// them; other words must stand in allowed as they are. The order is that of asked.
func Grant(asked, allowed string) string {
	limit, words := ParseScopes(allowed), strings.Fields(allowed)
	var out []string
	add := func(w string) {
		if w != "" && !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	for word := range strings.FieldsSeq(asked) {
		s, ok := ParseScope(word)
		if !ok {
			if slices.Contains(words, word) {
				add(word)
			}
			continue
		}
		for _, typ := range limit.types(s) {
			var may Interaction
			for in := Create; in <= Search; in <<= 1 {
				if s.May&in != 0 && limit.Allows(s.Context, typ, in) {
					may |= in
				}
			}
			if may == s.May && typ == s.Type {
				add(word) // as it was spelled, with its query
			} else {
				add(Scope{s.Context, typ, may, s.Query}.String())
			}
		}
	}
	return strings.Join(out, " ")
}

// types are the resource types to grant for s: itself where a wider or equal
// scope exists, else, when s asks for every type, those that the limit names.
func (all Scopes) types(s Scope) []string {
	if s.Type != "*" {
		return []string{s.Type}
	}
	types := []string{"*"}
	for _, l := range all {
		if l.Context == s.Context && l.Query == nil && !slices.Contains(types, l.Type) {
			types = append(types, l.Type)
		}
	}
	return types
}

// String spells the scope as version 2 does; a scope without interactions is
// the empty string.
func (s Scope) String() string {
	if s.May == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(string(s.Context) + "/" + s.Type + ".")
	for i := range len(letters) {
		if s.May&(1<<i) != 0 {
			b.WriteByte(letters[i])
		}
	}
	if s.Query != nil {
		b.WriteString("?" + s.Query.Encode())
	}
	return b.String()
}
