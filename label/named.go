package label

import (
	"slices"

	"firebreak/fhir"
)

// A source may name an order by its number only, and several may share it: an
// appointment for "P1", a reflex test that came of "P1". Such a reference leads
// to all of the chart that carry the number, so that none of them is less
// protected for not being named by its address.

// naming is a reference by identifier.
//
// Source: R4 references.html#logical.
type naming struct {
	element string // the top element it stands in
	typ     string // "" when not told
	identifier
}

type identifier struct{ system, value string }

// carrying are the elements along which labels run, and which may name by identifier.
var carrying = set("basedOn", "partOf", "hasMember", "result", "derivedFrom", "focus", "specimen", "request", "authorizingPrescription", "about", "service")

func namings(element string, v fhir.Node) (all []naming) {
	add := func(n fhir.Node) {
		id := n.Get("identifier")
		if n.Kind() == '{' && n.Get("reference").IsZero() && id.Kind() == '{' && id.Get("value").Text() != "" {
			all = append(all, naming{element, n.Get("type").Text(), identifierOf(id)})
		}
	}
	if v.Kind() == '{' {
		add(v)
	}
	for item := range v.Items() {
		add(item)
	}
	return all
}

func identifierOf(n fhir.Node) identifier {
	return identifier{n.Get("system").Text(), n.Get("value").Text()}
}

// resolve finds what is named by identifier.
func resolve(all []Labeled) {
	wanted := map[identifier]bool{}
	for i := range all {
		for _, n := range all[i].links.named {
			wanted[n.identifier] = true
		}
	}
	if len(wanted) == 0 {
		return
	}
	carriers := map[identifier][]fhir.Ref{}
	for i := range all {
		ref := all[i].res.Ref()
		if !clinical[ref.Type] {
			continue
		}
		ids := all[i].res.Get("identifier")
		each := func(n fhir.Node) {
			if id := identifierOf(n); wanted[id] && !slices.Contains(carriers[id], ref) {
				carriers[id] = append(carriers[id], ref)
			}
		}
		if ids.Kind() == '{' {
			each(ids)
		}
		for n := range ids.Items() {
			each(n)
		}
	}
	for i := range all {
		l := all[i].links
		if l.named == nil {
			continue
		}
		to := &links{all: slices.Clone(l.all[:l.literal]), literal: l.literal, named: l.named}
		for _, n := range l.named {
			for _, ref := range carriers[n.identifier] {
				if n.typ == "" || n.typ == ref.Type {
					to.all = append(to.all, Link{n.element, ref})
				}
			}
		}
		all[i].links = to
	}
}
