package terminology

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"firebreak/fhir"
)

// Set is the codes of a value set, all of them.
type Set struct {
	URL, Version string
	Codes        []Code // in the order of the definition
	members      map[pair]bool
	seen         map[pair]bool // while it is made
}

// Code is one code of a Set. Those that are abstract group others and are no members.
type Code struct {
	System, Version, Code, Display string
	Abstract, Inactive             bool
}

// pair is a code of a system, in lower case where it is a member: as all searches
// do, a Set does not tell letters apart by their case.
type pair struct{ system, code string }

func newSet(url, version string) *Set {
	return &Set{URL: url, Version: version, members: map[pair]bool{}, seen: map[pair]bool{}}
}

// Len is the number of codes.
func (s *Set) Len() int { return len(s.Codes) }

// Has tells whether a code is a member, however its letters are written.
func (s *Set) Has(system, code string) bool {
	return s.members[pair{system, strings.ToLower(code)}]
}

func (s *Set) add(c Code) {
	key := pair{c.System, c.Code}
	if s.seen[key] {
		return
	}
	s.seen[key] = true
	s.Codes = append(s.Codes, c)
	if !c.Abstract {
		s.members[pair{c.System, strings.ToLower(c.Code)}] = true
	}
}

// expand gives all codes of a ValueSet: by its definition, or where not all codes
// that this takes are known, by the expansion that it brings, if that is complete.
func (l *Library) expand(r fhir.Resource, within []string) (*Set, error) {
	url := r.Get("url").Text()
	set := newSet(url, r.Get("version").Text())
	err := l.compose(r, set, within)
	if err != nil {
		set = newSet(url, set.Version)
		if complete(r.Get("expansion"), set) {
			err = nil
		}
	}
	set.seen = nil
	if e, ok := err.(*Error); ok {
		return nil, refuse("The value set " + shown(url) + " cannot be expanded. " + e.Text)
	}
	return set, nil
}

func (l *Library) compose(r fhir.Resource, set *Set, within []string) error {
	compose := r.Get("compose")
	if compose.IsZero() {
		return refuse("It has no definition, and no expansion that is complete.")
	}
	if !r.Get("modifierExtension").IsZero() || !compose.Get("modifierExtension").IsZero() {
		return refuse("It has a modifierExtension.")
	}
	var all []Code
	for inc := range compose.Get("include").Items() {
		codes, err := l.selected(inc, within)
		if err != nil {
			return err
		}
		all = append(all, codes...)
	}
	out, systems := map[pair]bool{}, map[string]bool{}
	for exc := range compose.Get("exclude").Items() {
		if whole(exc) { // whatever codes it has
			systems[exc.Get("system").Text()] = true
			continue
		}
		codes, err := l.selected(exc, within)
		if err != nil {
			return err
		}
		for _, c := range codes {
			out[pair{c.System, c.Code}] = true
		}
	}
	activeOnly := compose.Get("inactive").Kind() == 'f'
	for _, c := range all {
		if !systems[c.System] && !out[pair{c.System, c.Code}] && (!activeOnly || !c.Inactive) {
			set.add(c)
		}
	}
	return nil
}

// whole tells whether an include or exclude is a code system and nothing more.
func whole(n fhir.Node) bool {
	return !n.Get("system").IsZero() && n.Get("concept").IsZero() && n.Get("filter").IsZero() && n.Get("valueSet").IsZero() && n.Get("version").IsZero()
}

// selected are the codes of one include or exclude. Of several value sets it is
// what any of them has, as R4 defines ValueSet.compose.include.valueSet.
func (l *Library) selected(n fhir.Node, within []string) (all []Code, err error) {
	if !n.Get("modifierExtension").IsZero() {
		return nil, refuse("It has a modifierExtension.")
	}
	system := n.Get("system").Text()
	if system != "" {
		if all, err = l.ofSystem(n, system); err != nil {
			return nil, err
		}
	}
	if n.Get("valueSet").IsZero() {
		if system == "" {
			return nil, refuse("A part of it names neither a code system nor a value set.")
		}
		return all, nil
	}
	var imported []*Set
	for v := range n.Get("valueSet").Items() {
		s, err := l.set(v.Text(), within)
		if err != nil {
			return nil, err
		}
		imported = append(imported, s)
	}
	if system == "" {
		for _, s := range imported {
			all = append(all, s.Codes...)
		}
		return all, nil
	}
	return slices.DeleteFunc(all, func(c Code) bool {
		return !slices.ContainsFunc(imported, func(s *Set) bool { return s.Has(c.System, c.Code) })
	}), nil
}

func (l *Library) ofSystem(n fhir.Node, url string) (all []Code, err error) {
	version := n.Get("version").Text()
	if !n.Get("concept").IsZero() {
		if !n.Get("filter").IsZero() {
			return nil, refuse("It has both concepts and filters.")
		}
		known, _ := l.System(url) // of one that is not, every code is taken to be active
		for c := range n.Get("concept").Items() {
			if c.Get("code").Text() == "" {
				return nil, refuse("A part of it has a concept without a code.")
			}
			x := Code{System: url, Version: version, Code: c.Get("code").Text(), Display: c.Get("display").Text()}
			if known != nil {
				have, _ := known.Lookup(x.Code)
				x.Inactive = have.Inactive
				if x.Display == "" {
					x.Display = have.Display
				}
			}
			all = append(all, x)
		}
		return all, nil
	}
	s, err := l.System(url)
	if err != nil {
		return nil, err
	}
	if version != "" && version != s.Version {
		return nil, refuse("It takes another version of " + shown(url) + " than is here.")
	}
	var tests []func(int32) bool
	for f := range n.Get("filter").Items() {
		test, err := s.filter(f.Get("property").Text(), f.Get("op").Text(), f.Get("value").Text())
		if err != nil {
			return nil, err
		}
		tests = append(tests, test)
	}
	for i, c := range s.concepts {
		if !slices.ContainsFunc(tests, func(test func(int32) bool) bool { return !test(int32(i)) }) {
			all = append(all, Code{System: url, Version: version, Code: c.Code, Display: c.Display, Abstract: c.Abstract, Inactive: c.Inactive})
		}
	}
	return all, nil
}

// filter is a filter of a value set's definition as a test of a concept's place.
// A regular expression stands for all of a value (RE2).
//
// Source: http://hl7.org/fhir/R4/valueset-filter-operator.html
func (s *System) filter(property, op, value string) (func(int32) bool, error) {
	named := property == "concept" || property == "code"
	if slices.Contains([]string{"is-a", "descendent-of", "is-not-a", "generalizes"}, op) {
		from := s.exactly(value)
		if !named || len(from) == 0 {
			return nil, refuse(fmt.Sprintf("A filter names no code of %s.", shown(s.URL)))
		}
		to := s.down
		if op == "generalizes" {
			to = s.up
		}
		in := map[int32]bool{}
		for _, i := range s.walk(from, to) {
			in[i] = true
		}
		if op == "descendent-of" {
			for _, i := range from {
				delete(in, i)
			}
		}
		return func(i int32) bool { return in[i] != (op == "is-not-a") }, nil
	}
	values := func(i int32) []string {
		switch {
		case named:
			return []string{s.concepts[i].Code}
		case property == "parent" || property == "child":
			var all []string
			for _, j := range map[string][][]int32{"parent": s.up, "child": s.down}[property][i] {
				all = append(all, s.concepts[j].Code)
			}
			return all
		}
		var all []string
		for _, p := range s.concepts[i].Properties {
			if p.Code == property {
				all = append(all, p.Value)
			}
		}
		return all
	}
	if !named && property != "parent" && property != "child" && !s.properties[property] {
		return nil, refuse(fmt.Sprintf("A filter is by what is not known of the codes of %s.", shown(s.URL)))
	}
	switch op {
	case "=":
		return func(i int32) bool { return slices.Contains(values(i), value) }, nil
	case "in", "not-in":
		var list []string
		for one := range strings.SplitSeq(value, ",") {
			list = append(list, strings.TrimSpace(one))
		}
		return func(i int32) bool {
			return slices.ContainsFunc(values(i), func(v string) bool { return slices.Contains(list, v) }) == (op == "in")
		}, nil
	case "exists":
		return func(i int32) bool { return len(values(i)) > 0 == (value == "true") }, nil
	case "regex":
		re, err := regexp.Compile("^(?:" + value + ")$")
		if err != nil {
			return nil, refuse("A filter's regular expression is not understood.")
		}
		return func(i int32) bool { return slices.ContainsFunc(values(i), re.MatchString) }, nil
	}
	return nil, refuse("A filter's operation is not understood.")
}

// complete takes the codes of an expansion into set; it tells whether these are
// all of the value set.
func complete(expansion fhir.Node, set *Set) bool {
	if expansion.IsZero() || !expansion.Get("modifierExtension").IsZero() {
		return false
	}
	for x := range expansion.Get("extension").Items() { // "valueset-unclosed", "valueset-toocostly"
		if url := x.Get("url").Text(); strings.HasSuffix(url, "unclosed") || strings.HasSuffix(url, "toocostly") {
			return false
		}
	}
	for p := range expansion.Get("parameter").Items() {
		if slices.Contains([]string{"filter", "count", "offset", "limitedExpansion"}, p.Get("name").Text()) {
			return false
		}
	}
	codes := 0
	var take func(fhir.Node)
	take = func(n fhir.Node) {
		for c := range n.Get("contains").Items() {
			if code := c.Get("code").Text(); code != "" {
				codes++
				set.add(Code{System: c.Get("system").Text(), Version: c.Get("version").Text(), Code: code, Display: c.Get("display").Text(), Abstract: c.Get("abstract").Kind() == 't', Inactive: c.Get("inactive").Kind() == 't'})
			}
			take(c)
		}
	}
	take(expansion)
	offset, total := expansion.Get("offset").Text(), expansion.Get("total").Text()
	return (offset == "" || offset == "0") && (total == "" && codes > 0 || total == strconv.Itoa(codes))
}
