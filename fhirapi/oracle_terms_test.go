package fhirapi_test

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"firebreak/fhir"
	"firebreak/fhir/fhirpath"
	"firebreak/fhir/r4def"
	"firebreak/search"
)

// concepts are R4's value sets and code systems as the oracle reads them: decoded
// JSON, without package terminology. It knows the simple definitions alone.
type concepts struct {
	sets   map[string]map[[2]string]bool // by address
	of     map[[2]string][]string        // the addresses of those that a code is in
	kinds  map[[2]string][][2]string     // what is next below a code
	groups map[[2]string][][2]string     // what is next above it
	known  map[string]bool               // systems of which all codes are
}

type oracleConcept struct {
	Code     string
	Concept  []oracleConcept
	Property []struct {
		Code, ValueCode string
		ValueBoolean    bool
	}
}

var published = sync.OnceValue(func() *concepts {
	c := &concepts{map[string]map[[2]string]bool{}, map[[2]string][]string{}, map[[2]string][][2]string{}, map[[2]string][][2]string{}, map[string]bool{}}
	all, abstract := map[string][]string{}, map[[2]string]bool{}
	read := func(term r4def.Term, v any) {
		r, err := term.Resource()
		if err == nil {
			err = json.Unmarshal(r.JSON(), v)
		}
		if err != nil {
			panic(err)
		}
	}
	for _, term := range r4def.Terms() {
		if term.Ref.Type != "CodeSystem" {
			continue
		}
		var s struct {
			URL, Content string
			Concept      []oracleConcept
		}
		read(term, &s)
		if s.Content != "complete" {
			continue
		}
		c.known[s.URL] = true
		link := func(above, below string) {
			up, down := [2]string{s.URL, strings.ToLower(above)}, [2]string{s.URL, strings.ToLower(below)}
			c.kinds[up], c.groups[down] = append(c.kinds[up], down), append(c.groups[down], up)
		}
		var walk func([]oracleConcept)
		walk = func(list []oracleConcept) {
			for _, x := range list {
				all[s.URL] = append(all[s.URL], x.Code)
				for _, p := range x.Property {
					abstract[[2]string{s.URL, x.Code}] = abstract[[2]string{s.URL, x.Code}] || (p.Code == "notSelectable" || p.Code == "abstract") && p.ValueBoolean
					if p.Code == "child" {
						link(x.Code, p.ValueCode)
					}
				}
				for _, y := range x.Concept {
					link(x.Code, y.Code)
				}
				walk(x.Concept)
			}
		}
		walk(s.Concept)
	}
	for _, term := range r4def.Terms() {
		if term.Ref.Type != "ValueSet" {
			continue
		}
		var s struct {
			URL     string
			Compose struct {
				Inactive *bool
				Exclude  []any
				Include  []struct {
					System, Version string
					Concept         []struct{ Code string }
					ValueSet        []string
					Filter          []struct{ Property, Op, Value string }
				}
			}
		}
		read(term, &s)
		set, simple := map[[2]string]bool{}, s.Compose.Inactive == nil && len(s.Compose.Exclude) == 0
		for _, inc := range s.Compose.Include {
			codes := all[inc.System]
			switch {
			case len(inc.ValueSet) > 0 || len(inc.Filter) > 1 || len(inc.Concept) == 0 && (!c.known[inc.System] || inc.Version != ""):
				simple = false
			case len(inc.Concept) > 0:
				for _, x := range inc.Concept {
					set[[2]string{inc.System, strings.ToLower(x.Code)}] = true
				}
				continue
			case len(inc.Filter) == 1 && inc.Filter[0].Op == "is-a":
				in := c.reach([2]string{inc.System, strings.ToLower(inc.Filter[0].Value)}, c.kinds)
				codes = slices.DeleteFunc(slices.Clone(codes), func(code string) bool { return !in[[2]string{inc.System, strings.ToLower(code)}] })
			case len(inc.Filter) == 1:
				simple = false
			}
			for _, code := range codes {
				if !abstract[[2]string{inc.System, code}] {
					set[[2]string{inc.System, strings.ToLower(code)}] = true
				}
			}
		}
		if simple {
			c.sets[s.URL] = set
			for code := range set {
				c.of[code] = append(c.of[code], s.URL)
			}
		}
	}
	for _, list := range c.of {
		slices.Sort(list)
	}
	return c
})

// reach are a code and all that links lead to from it.
func (c *concepts) reach(from [2]string, links map[[2]string][][2]string) map[[2]string]bool {
	all, list := map[[2]string]bool{from: true}, [][2]string{from}
	for len(list) > 0 {
		next := links[list[0]]
		list = list[1:]
		for _, x := range next {
			if !all[x] {
				all[x] = true
				list = append(list, x)
			}
		}
	}
	return all
}

// byTerms asks by a value set that the code t is in or is not in, or by a code that
// it is below or above of. ok is false where the oracle does not know enough.
func (o *oracle) byTerms(g *rand.Rand, typ string, p search.Param, t [2]string) (q question, ok bool) {
	if !slices.Contains(p.Modifiers, "in") {
		return q, false
	}
	for _, r := range o.byType[typ] { // what a plain code is a code of is told by bindings
		if slices.ContainsFunc(o.values(r, p.Name), func(v fhirpath.Value) bool {
			return slices.ContainsFunc(tokens(v), func(t [2]string) bool { return t[0] == "?" })
		}) {
			return q, false
		}
	}
	c := published()
	code := [2]string{t[0], strings.ToLower(t[1])}
	var in map[[2]string]bool
	switch modifier := []string{"in", "not-in", "below", "above"}[g.IntN(4)]; modifier {
	case "in", "not-in":
		of := c.of[code]
		if len(of) == 0 || g.IntN(4) == 0 {
			of = []string{"http://hl7.org/fhir/ValueSet/observation-vitalsignresult", "http://hl7.org/fhir/ValueSet/condition-clinical", "http://terminology.hl7.org/ValueSet/v3-ActEncounterCode"}
		}
		url := of[g.IntN(len(of))]
		if c.sets[url] == nil {
			return q, false
		}
		q.name, q.value, in = p.Name+":"+modifier, escape(url), c.sets[url]
	default:
		there, back := c.kinds, c.groups
		if modifier == "above" {
			there, back = back, there
		}
		if !c.known[code[0]] {
			return q, false
		}
		from := slices.SortedFunc(maps.Keys(c.reach(code, back)), func(a, b [2]string) int { return strings.Compare(a[1], b[1]) })
		asked := from[g.IntN(len(from))]
		q.name, q.value, in = p.Name+":"+modifier, escape(asked[0])+"|"+escape(asked[1]), c.reach(asked, there)
	}
	q.holds = func(r fhir.Resource) bool {
		found := slices.ContainsFunc(o.values(r, p.Name), func(v fhirpath.Value) bool {
			return slices.ContainsFunc(tokens(v), func(h [2]string) bool { return in[[2]string{h[0], strings.ToLower(h[1])}] })
		})
		return found != strings.HasSuffix(q.name, ":not-in")
	}
	return q, true
}
