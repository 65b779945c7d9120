package search

import (
	"errors"
	"slices"
	"strings"

	"firebreak/fhir"
	"firebreak/fhir/terminology"
)

// sets are the codes that one value of :in, :not-in, :above or :below stands for:
// a value set by its canonical address or as ValueSet/id, or system|code. A code
// alone is of the system that the parameter's elements are bound to.
//
// What is not known here is refused however leniently it is asked: without it the
// parameter would be another question.
//
// Source: http://hl7.org/fhir/R4/search.html#modifiers
func (r *reader) sets(p *param, f filter, s string) (sets []*terminology.Set, err error) {
	firmly := func(code, text string) ([]*terminology.Set, error) {
		r.firm, r.unknown = true, refuse(code, f.name, text)
		return nil, r.unknown
	}
	add := func(set *terminology.Set, err error) error {
		sets = append(sets, set)
		return err
	}
	if f.modifier == "in" || f.modifier == "not-in" {
		err = add(r.valueSet(plain(s)))
	} else {
		t := tokenOf(s)
		systems := []string{t.System}
		if t.AnySystem {
			systems = p.systems(t.Code)
		}
		if t.AnyCode || len(systems) == 0 || systems[0] == "" {
			return firmly("value", "It is written system|code.")
		}
		of := r.options.codes.Below
		if f.modifier == "above" {
			of = r.options.codes.Above
		}
		for _, system := range systems {
			err = errors.Join(err, add(of(system, t.Code)))
		}
	}
	if e, ok := errors.AsType[*terminology.Error](err); ok && e.Unknown {
		return firmly("not-found", e.Text)
	} else if ok {
		return firmly("not-supported", e.Text)
	}
	return sets, err
}

func (r *reader) valueSet(s string) (*terminology.Set, error) {
	if base := r.options.base; base != "" {
		s = strings.TrimPrefix(s, base+"/")
	}
	if ref, ok := fhir.ParseRef(s); ok && ref.Type == "ValueSet" {
		if res, ok := r.options.codes.Get(ref); ok {
			s = res.Get("url").Text()
		}
	}
	return r.options.codes.Set(s)
}

// systems are the code systems that a code is of by the required bindings of what
// p looks at.
func (p *param) systems(code string) (all []string) {
	for _, x := range p.paths {
		if system := x.leaf.element.System(code); system != "" && !slices.Contains(all, system) {
			all = append(all, system)
		}
	}
	return all
}

// ofSets gives the rows with a code that one of the sets has: each code that there
// is in the column is looked up, however large the sets are.
func (c *column) ofSets(sets []*terminology.Set) []int32 {
	var lists [][]int32
	for have, rows := range c.tokens.rows {
		if have.AnySystem || have.AnyCode {
			continue
		}
		if slices.ContainsFunc(sets, func(s *terminology.Set) bool { return s.Has(have.System, have.Code) }) {
			lists = append(lists, rows)
		}
	}
	return union(lists)
}
