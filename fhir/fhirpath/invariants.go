package fhirpath

import (
	"fmt"
	"strconv"
	"sync"

	"firebreak/fhir"
	"firebreak/fhir/r4def"
)

// rules are the compiled invariants of R4.
var rules = sync.OnceValue(func() map[*r4def.Invariant]*Expr {
	all := map[*r4def.Invariant]*Expr{}
	for _, rule := range r4def.Invariants() {
		e, err := Compile(rule.Expression)
		if err != nil {
			panic("fhirpath: invariant " + rule.Key + ": " + err.Error())
		}
		all[rule] = e
	}
	return all
})

// Violation is an invariant that does not hold, and where. It quotes no data.
type Violation struct {
	Path string // "Observation.component[1]"
	Rule *r4def.Invariant
}

func (v Violation) String() string {
	return fmt.Sprintf("%s: %s: %s", v.Path, v.Rule.Key, v.Rule.Human)
}

// Invariants judges a resource, and what it contains, by the invariants of the
// R4 definitions, best practices (Rule.Warning) too; [r4def.Check] judges its
// structure. What follows a reference is taken to hold.
func Invariants(r fhir.Resource) []Violation {
	j := judge{root: Of(r)}
	j.resource(r.Type(), j.root)
	return j.found
}

type judge struct {
	root  Value
	in    Value // the resource being judged
	found []Violation
}

func (j *judge) resource(path string, v Value) {
	before := j.in
	j.in = v
	j.element(path, v)
	j.in = before
}

func (j *judge) element(path string, v Value) {
	t := r4def.Lookup(v.typ)
	if t == nil {
		return
	}
	j.hold(path, v, t.Rules)
	for i := range t.Elements {
		e := &t.Elements[i]
		for n, child := range v.child(e.Name) {
			at := path + "." + e.Name
			if e.Max != 1 {
				at += "[" + strconv.Itoa(n) + "]"
			}
			j.hold(at, child, e.Rules)
			if inner := r4def.Lookup(child.typ); inner != nil && inner.Resource {
				j.resource(at, child)
				continue
			}
			j.element(at, child)
		}
	}
}

func (j *judge) hold(path string, v Value, all []*r4def.Invariant) {
	for _, rule := range all {
		if ok, err := rules()[rule].Holds(j.root, j.in, v); !ok || err != nil {
			j.found = append(j.found, Violation{path, rule})
		}
	}
}
