package auth

import (
	"slices"
	"strings"

	"firebreak/fhir"
	"firebreak/search"
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
	Query   string // a restriction such as category=laboratory, as it was spelled; empty when none

	only search.Query // Query, read
}

// Granular tells whether the scope is of some resources of its type alone.
func (s Scope) Granular() bool { return s.Query != "" }

// grants are the interactions that the scope opens. One with a restriction lets
// nothing be written: what a resource says is known when it is there, and it may
// say something else afterwards.
func (s Scope) grants() Interaction {
	if s.Granular() {
		return s.May & (Read | Search)
	}
	return s.May
}

func (s Scope) covers(context Context, typ string, in Interaction) bool {
	return s.Context == context && s.grants()&in == in && in != 0 && (s.Type == "*" || s.Type == typ)
}

// Scopes are the clinical scopes of a token.
type Scopes []Scope

// ParseScopes reads a space separated scope list. What is not a clinical scope
// of version 1 (.read .write .*) or 2 (.cruds, letters in that order) is left out, so it
// grants nothing; openid, launch and the like are not errors. Nor does one with a
// restriction that is not enforced, see [ParseScope].
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

// ParseScope reads one clinical scope, of a type of R4 or of all ("*"). A restriction is one of version 2, of one
// type that lies in charts, and what [search.ParseRestriction] reads.
func ParseScope(word string) (Scope, bool) {
	word, query, restricted := strings.Cut(word, "?")
	context, rest, ok := strings.Cut(word, "/")
	typ, action, ok2 := strings.Cut(rest, ".")
	s := Scope{Context: Context(context), Type: typ}
	if !ok || !ok2 || !slices.Contains([]Context{Patient, User, System}, s.Context) || typ != "*" && !fhir.IsType(typ) {
		return Scope{}, false
	}
	if s.May, ok = interactions(action); !ok {
		return Scope{}, false
	}
	if !restricted {
		return s, true
	}
	if s.only, ok = search.ParseRestriction(typ, query); !ok || action == "read" || action == "*" || typ == "Subscription" || typ == "AuditEvent" {
		return Scope{}, false
	}
	s.Query = query
	if s.grants() == 0 {
		return Scope{}, false
	}
	return s, true
}

// Unenforced is the first of the words that is a scope with a restriction and
// would be none as it is spelled; empty when there is none. It is to be refused:
// left out, the app would not know why, and granted without it, it would be more.
func Unenforced(list string) string {
	for word := range strings.FieldsSeq(list) {
		bare, _, restricted := strings.Cut(word, "?")
		if !restricted {
			continue
		}
		if _, clinical := ParseScope(bare); !clinical {
			continue
		}
		if _, ok := ParseScope(word); !ok {
			return word
		}
	}
	return ""
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

// Allows tells whether the scopes grant in on every resource of typ.
func (all Scopes) Allows(context Context, typ string, in Interaction) bool {
	return slices.ContainsFunc(all, func(s Scope) bool { return !s.Granular() && s.covers(context, typ, in) })
}

// opens tells whether the scopes grant in on some resources of typ at least.
func (all Scopes) opens(context Context, typ string, in Interaction) bool {
	return slices.ContainsFunc(all, func(s Scope) bool { return s.covers(context, typ, in) })
}

// has tells whether the scopes grant in on what s is restricted to.
func (all Scopes) has(s Scope, typ string, in Interaction) bool {
	return all.Allows(s.Context, typ, in) || s.Granular() && slices.ContainsFunc(all, func(l Scope) bool {
		return l.Query == s.Query && l.covers(s.Context, typ, in)
	})
}

// Grant is the part of what was asked that is also allowed: the words for the
// token. Clinical scopes are cut down to the interactions that allowed has for
// them, one with a restriction where allowed has the type without one, or with the
// same; other words must stand in allowed as they are. The order is that of asked.
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
				if s.grants()&in != 0 && limit.has(s, typ, in) {
					may |= in
				}
			}
			if may == s.May && typ == s.Type {
				add(word) // as it was spelled, with its query
			} else {
				add(Scope{Context: s.Context, Type: typ, May: may, Query: s.Query}.String())
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
		if l.Context == s.Context && !l.Granular() && !slices.Contains(types, l.Type) {
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
	if s.Granular() {
		b.WriteString("?" + s.Query)
	}
	return b.String()
}
