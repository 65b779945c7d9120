// Package terminology knows value sets and code systems: R4's own, and those that
// an operator brings. It expands what can be expanded completely and says of
// everything else why not; it never guesses at codes.
//
// What sources push as ValueSet or CodeSystem is data, and not looked at here: an
// answer that depended on it would tell that somebody sent it.
//
// Source: http://hl7.org/fhir/R4/valueset.html, codesystem.html
package terminology

import (
	"slices"
	"strings"
	"sync"

	"firebreak/fhir"
	"firebreak/fhir/r4def"
)

// Library is the value sets and code systems that are known. A nil Library knows
// R4's own. It is safe for many goroutines, and what it gives is not to be changed.
type Library struct {
	own     []fhir.Resource // of an operator, sorted by type, then id
	byURL   map[fhir.Ref]fhir.Resource
	byRef   map[fhir.Ref]fhir.Resource
	sets    cache[*Set]
	systems cache[*System]
}

// published is the Library of those who have none: R4's own.
var published Library

func (l *Library) or() *Library {
	if l == nil {
		return &published
	}
	return l
}

// cache holds what was last made of definitions, so many codes at most: when one
// more is too many, it begins anew.
type cache[T interface{ Len() int }] struct {
	mu   sync.Mutex
	keep map[string]T // as long as the Library lives
	late map[string]T
	held int
}

// mostHeld bounds the codes of a cache; R4's largest sets have some 3,000.
const mostHeld = 20_000

func (c *cache[T]) get(key string) (T, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v, ok := c.keep[key]; ok {
		return v, true
	}
	v, ok := c.late[key]
	return v, ok
}

func (c *cache[T]) put(key string, v T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held += v.Len(); c.late == nil || c.held > mostHeld {
		c.late, c.held = map[string]T{}, v.Len()
	}
	c.late[key] = v
}

func (c *cache[T]) fix(key string, v T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keep == nil {
		c.keep = map[string]T{}
	}
	c.keep[key] = v
}

// Error tells why codes cannot be judged by a value set or code system. Its text
// names that and quotes no codes.
type Error struct {
	Unknown bool // there is none of that address
	Text    string
}

func (e *Error) Error() string { return "terminology: " + e.Text }

func refuse(text string) *Error { return &Error{Text: text} }

// shown is an address in a text, if it can be one: what else a caller wrote is not
// repeated.
func shown(address string) string {
	begins := func(prefix string) bool { return strings.HasPrefix(address, prefix) }
	if !begins("http://") && !begins("https://") && !begins("urn:") && !begins("ValueSet/") || len(address) > 300 || strings.ContainsFunc(address, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune("\"<>`", c) }) {
		return "(no address)"
	}
	return address
}

// Get is the ValueSet or CodeSystem of an id.
func (l *Library) Get(ref fhir.Ref) (fhir.Resource, bool) {
	l = l.or()
	if r, ok := l.byRef[ref]; ok {
		return r, true
	}
	if t, ok := r4def.TermAt(ref); ok {
		if _, replaced := l.byURL[fhir.Ref{Type: t.Ref.Type, ID: t.URL}]; !replaced {
			return resourceOf(t), true
		}
	}
	return fhir.Resource{}, false
}

// All are the definitions of a type, ValueSet or CodeSystem.
func (l *Library) All(typ string) (all []fhir.Resource) {
	l = l.or()
	for _, r := range l.own {
		if r.Type() == typ {
			all = append(all, r)
		}
	}
	for _, t := range r4def.Terms() {
		if _, replaced := l.byURL[fhir.Ref{Type: typ, ID: t.URL}]; t.Ref.Type == typ && !replaced {
			all = append(all, resourceOf(t))
		}
	}
	return all
}

// Find is the ValueSet or CodeSystem of a canonical address, "URL" or
// "URL|version", of which the version must be the one that is here.
func (l *Library) Find(typ, canonical string) (fhir.Resource, bool) {
	l = l.or()
	if r, ok := l.at(typ, canonical); ok {
		return r, true
	}
	url, version, _ := strings.Cut(canonical, "|")
	r, ok := l.at(typ, url)
	return r, ok && r.Get("version").Is(version)
}

// at is the ValueSet or CodeSystem of an address, as it is written.
func (l *Library) at(typ, url string) (fhir.Resource, bool) {
	if r, ok := l.byURL[fhir.Ref{Type: typ, ID: url}]; ok {
		return r, true
	}
	if t, ok := r4def.TermOf(typ, url); ok {
		return resourceOf(t), true
	}
	return fhir.Resource{}, false
}

func resourceOf(t r4def.Term) fhir.Resource {
	r, err := t.Resource()
	if err != nil {
		panic("terminology: the embedded " + t.Ref.String() + " is broken: " + err.Error())
	}
	return r
}

// Set is the value set of a canonical address, expanded. An *Error says that there
// is none, or that its codes are not all known.
func (l *Library) Set(canonical string) (*Set, error) { return l.or().set(canonical, nil) }

func (l *Library) set(canonical string, within []string) (*Set, error) {
	if s, ok := l.sets.get(canonical); ok {
		return s, nil
	}
	r, ok := l.Find("ValueSet", canonical)
	if !ok {
		return nil, &Error{Unknown: true, Text: "There is no value set " + shown(canonical) + " here."}
	}
	url := r.Get("url").Text()
	if slices.Contains(within, url) {
		return nil, refuse("The value set " + shown(url) + " is part of itself.")
	}
	if s, ok := l.sets.get(url); ok {
		return s, nil
	}
	s, err := l.expand(r, append(slices.Clip(within), url))
	if err != nil {
		return nil, err
	}
	l.sets.put(url, s)
	return s, nil
}

// System is the code system of an address, as far as all its codes are known. An
// *Error says that they are not.
func (l *Library) System(url string) (*System, error) {
	l = l.or()
	if s, ok := l.systems.get(url); ok {
		return s, nil
	}
	r, ok := l.at("CodeSystem", url)
	if !ok {
		return nil, &Error{Unknown: true, Text: "The codes of " + shown(url) + " are not known here."}
	}
	s, err := readSystem(r)
	if err != nil {
		return nil, err
	}
	l.systems.put(url, s)
	return s, nil
}

// Below is a code with all that are a kind of it; Above with all that it is a kind
// of. A code that its system does not have, or that has no hierarchy, is alone.
// An *Error says that the system is not known.
func (l *Library) Below(system, code string) (*Set, error) {
	return l.kin(system, code, (*System).below)
}

// Above: see [Library.Below].
func (l *Library) Above(system, code string) (*Set, error) {
	return l.kin(system, code, (*System).above)
}

func (l *Library) kin(system, code string, of func(*System, string) []int32) (*Set, error) {
	s, err := l.System(system)
	if err != nil {
		return nil, err
	}
	set := newSet(system, s.Version)
	set.add(Code{System: system, Code: code})
	for _, i := range of(s, code) {
		set.add(Code{System: system, Code: s.concepts[i].Code})
	}
	return set, nil
}
