package rest

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"firebreak/fhir"
)

// Plan is an interaction, read: what it changes, and what of its source's it
// leaves to be found by a search, or expects. What was found is a list of ids: first
// one for each change, then one for each of Refs; "" where nothing was, or nothing was
// looked for. Where versions are expected, one thing more stands at its end, or
// alone: see Decided.
//
// Source: FHIR R4 http.html, conditional create, update and delete, transaction
// processing rules, conditional references, managing resource contention.
type Plan struct {
	Changes []Change
	Refs    []string // conditional references, each once; only where the interaction Looks
	Base    string
	Whole   bool // a transaction: references among its entries resolve
}

// Change is one resource that is created, updated or deleted.
type Change struct {
	Method   string
	Ref      fhir.Ref      // its address; of what is created, or updated and not found, the id it gets; no id: there is none unless it is found
	Named    bool          // Ref.ID was given by the source: an update that finds another contradicts it
	Query    string        // the search by which it is found; "" none
	Resource fhir.Resource // zero for DELETE, and where there is none
	Expects  Expects
	FullURL  string
	At       string // "Bundle.entry[3]"; "" outside of Bundles
}

// Condition is where the search of a change stands.
func (c Change) Condition() string {
	switch {
	case c.At == "" && c.Method == http.MethodPost:
		return "http.If-None-Exist"
	case c.At == "":
		return c.Ref.Type
	case c.Method == http.MethodPost:
		return c.At + ".request.ifNoneExist"
	}
	return c.At + ".request.url"
}

// Body is where its resource stands.
func (c Change) Body() string {
	if c.At == "" {
		return c.Ref.Type
	}
	return c.At + ".resource"
}

// Looks tells whether anything is to be found, or expected.
func (p Plan) Looks() bool {
	return len(p.Refs) > 0 || p.Expects() || slices.ContainsFunc(p.Changes, func(c Change) bool { return c.Query != "" })
}

// Expects tells whether any change depends on a version.
func (p Plan) Expects() bool {
	return slices.ContainsFunc(p.Changes, func(c Change) bool { return c.Expects.Any() })
}

// Refers tells which conditional references a change has.
func (p Plan) Refers(c Change) []string {
	if c.Resource.IsZero() || c.Method == http.MethodDelete || c.Resource.Type() == "Bundle" { // in which they are not ours to follow
		return nil
	}
	return c.Resource.Conditional(p.Base)
}

// Look makes the plan and notes in i whether it looks for anything. at is where
// a change stands that is no Bundle.
func (i *Interaction) Look(at string) (Plan, error) {
	i.Looks = true
	p, err := i.Plan()
	if err == nil && !p.Whole {
		p.Changes[0].At = at
	}
	i.Looks = p.Looks()
	return p, err
}

// Plan reads the interaction. The error is that it is not a Bundle where it should.
func (i Interaction) Plan() (p Plan, err error) {
	p = Plan{Base: i.Base, Whole: i.Method == http.MethodPost && i.Path == ""}
	if p.Whole {
		err = p.entries(i)
	} else {
		p.single(i)
	}
	if err != nil || !i.Looks {
		return p, err
	}
	known := map[string]bool{}
	for _, c := range p.Changes {
		for _, s := range p.Refers(c) {
			if !known[s] {
				known[s] = true
				p.Refs = append(p.Refs, s)
			}
		}
	}
	return p, nil
}

func (p *Plan) single(i Interaction) {
	c := Change{Method: i.Method, Query: i.None, Expects: i.Expects}
	assigned := ""
	if len(i.Assigned) == 1 {
		assigned = i.Assigned[0]
	}
	if len(i.Resource) > 0 {
		c.Resource, _ = fhir.Parse(i.Resource)
	}
	p.add(c, i.Path, assigned)
}

func (p *Plan) entries(i Interaction) error {
	b, err := fhir.Parse(i.Resource)
	if err != nil || b.Type() != "Bundle" {
		return errors.New("rest: not a Bundle")
	}
	for e := range b.All("entry") {
		n := len(p.Changes)
		c := Change{Method: e.At("request.method").Text(), Query: e.At("request.ifNoneExist").Text(), FullURL: e.Get("fullUrl").Text(), At: fmt.Sprintf("Bundle.entry[%d]", n)}
		c.Expects = Expects{Match: e.At("request.ifMatch").Text(), None: e.At("request.ifNoneMatch").Text()}
		if raw := e.Get("resource").Raw(); len(raw) > 0 {
			c.Resource, _ = fhir.Parse(raw)
		}
		assigned := ""
		if n < len(i.Assigned) {
			assigned = i.Assigned[n]
		}
		p.add(c, e.At("request.url").Text(), assigned)
	}
	return nil
}

// add reads a change's address.
func (p *Plan) add(c Change, address, assigned string) {
	address, query, conditional := strings.Cut(address, "?")
	c.Ref.Type, c.Ref.ID, _ = strings.Cut(address, "/")
	switch {
	case c.Method == http.MethodPost:
		c.Ref.ID = assigned
	case conditional:
		if c.Query = query; c.Method == http.MethodPut {
			if c.Ref.ID = c.Resource.ID(); c.Ref.ID == "" {
				c.Ref.ID = assigned
			} else {
				c.Named = true
			}
		}
	}
	p.Changes = append(p.Changes, c)
}
