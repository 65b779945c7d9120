package r4def

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"firebreak/fhir/r4def/internal/table"
)

//go:embed r4.json.gz
var packed []byte

// Type is a resource type, a datatype, or the type of a nested element, which
// is named by its path: "Patient.contact".
type Type struct {
	Name     string
	Resource bool
	Elements []Element // in the order of the definition
	Rules    []*Invariant
	members  map[string]Member
}

// Element is one element of a Type.
type Element struct {
	Name     string // "value" for value[x]
	Min      int
	Max      int // -1: unbounded
	Choice   bool
	Summary  bool // part of _summary=true
	Modifier bool // may change the meaning of what it stands in
	Types    []Ref
	Rules    []*Invariant
	codes    []codes // required binding; nil: none, or not enumerable
}

// Invariant is a rule that the definitions set for a type or an element, in
// FHIRPath; those that Check judges are left out. One rule is one pointer.
type Invariant struct {
	Key        string // "obs-6"
	Human      string
	Expression string
	Warning    bool // best practice, not a must
}

// Ref is a type that an element may have. Targets bound a Reference; none: any.
type Ref struct {
	Type    string
	Targets []string
}

// Member is how a JSON member is to be read: "valueQuantity" is the element
// value with type Quantity.
type Member struct {
	Element *Element
	Name    string // the JSON name, without the underscore of an extension
	Ref
}

// codes are the codes of one system in a value set.
type codes struct {
	system string
	codes  map[string]bool
}

// SearchParam is an official search parameter, or one that a profile adds.
type SearchParam struct {
	ID         string // http://hl7.org/fhir/SearchParameter/ID
	Canonical  string // where a profile defines it; empty for R4's own
	Code       string // as used in a query
	Type       string // token, string, date, reference, quantity, number, uri, composite, special
	Base       []string
	Expression string // FHIRPath over all of Base
	Target     []string
	Component  []Component
}

// Component is one part of a composite parameter: the ID of a parameter, and
// where it looks, relative to the composite's own expression.
type Component struct{ ID, Expression string }

// Definition is the parameter's canonical address; empty for the zero SearchParam.
func (p SearchParam) Definition() string {
	if p.ID == "" || p.Canonical != "" {
		return p.Canonical
	}
	return "http://hl7.org/fhir/SearchParameter/" + p.ID
}

type tables struct {
	types        map[string]*Type
	regex        map[string]*regexp.Regexp // of primitive types; nil for those without
	search       []SearchParam
	compartments map[string]map[string][]string
	invariants   []*Invariant
}

var load = sync.OnceValue(func() *tables {
	var t table.Tables
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err == nil {
		err = json.NewDecoder(z).Decode(&t)
	}
	if err != nil {
		panic("r4def: the embedded tables are broken: " + err.Error())
	}
	return unpack(t)
})

func unpack(t table.Tables) *tables {
	out := &tables{types: map[string]*Type{}, regex: map[string]*regexp.Regexp{}, compartments: t.Compartments}
	sets := make([][]codes, len(t.Sets))
	for i, set := range t.Sets {
		for _, c := range set {
			all := map[string]bool{}
			for code := range strings.SplitSeq(c.Codes, " ") {
				all[code] = true
			}
			sets[i] = append(sets[i], codes{c.System, all})
		}
	}
	for _, p := range t.Primitives {
		out.regex[p.Name] = nil
		if p.Regex != "" {
			out.regex[p.Name] = regexp.MustCompile(`^(?:` + p.Regex + `)$`)
		}
	}
	for _, in := range t.Invariants {
		rule := Invariant(in)
		out.invariants = append(out.invariants, &rule)
	}
	rules := func(indexes []int) (all []*Invariant) {
		for _, i := range indexes {
			all = append(all, out.invariants[i])
		}
		return all
	}
	for _, in := range t.Types {
		x := &Type{Name: in.Name, Resource: in.Kind == "r", Elements: make([]Element, len(in.Elements)), Rules: rules(in.Rules), members: map[string]Member{}}
		out.types[in.Name] = x
		for i, e := range in.Elements {
			el := &x.Elements[i]
			*el = Element{Name: e.Name, Min: e.Min, Max: e.Max, Choice: e.Choice, Summary: e.Summary, Modifier: e.Modifier, Rules: rules(e.Rules)}
			if e.Codes > 0 {
				el.codes = sets[e.Codes-1]
			}
			for _, r := range e.Types {
				el.Types = append(el.Types, Ref(r))
			}
			if e.Choice && len(el.Types) == 1 && el.Types[0].Type == "*" {
				el.Types = openTypes
			}
			for _, r := range el.Types {
				name := e.Name
				if e.Choice {
					name += strings.ToUpper(r.Type[:1]) + r.Type[1:]
				}
				x.members[name] = Member{el, name, r}
			}
		}
	}
	for _, s := range t.Search {
		p := SearchParam{ID: s.ID, Code: s.Code, Type: s.Type, Base: s.Base, Expression: s.Expression, Target: s.Target}
		for _, c := range s.Component {
			p.Component = append(p.Component, Component(c))
		}
		out.search = append(out.search, p)
	}
	return out
}

// openTypes are what "*" allows (http://hl7.org/fhir/R4/datatypes.html#open).
var openTypes = func() (all []Ref) {
	for name := range strings.FieldsSeq(`base64Binary boolean canonical code date dateTime decimal id instant
		integer markdown oid positiveInt string time unsignedInt uri url uuid Address Age Annotation
		Attachment CodeableConcept Coding ContactPoint Count Distance Duration HumanName Identifier Money
		Period Quantity Range Ratio Reference SampledData Signature Timing ContactDetail Contributor
		DataRequirement Expression ParameterDefinition RelatedArtifact TriggerDefinition UsageContext
		Dosage Meta`) {
		all = append(all, Ref{Type: name})
	}
	return all
}()

// Lookup is the definition of a resource type, datatype or nested type; nil
// for primitives and names that R4 does not have.
func Lookup(name string) *Type { return load().types[name] }

// IsPrimitive tells whether name is a primitive type.
func IsPrimitive(name string) bool { _, ok := load().regex[name]; return ok }

// System is the code system that a code of e belongs to by e's required
// binding; "" when it has none or the code is not in it.
func (e *Element) System(code string) string {
	if e == nil {
		return ""
	}
	for _, c := range e.codes {
		if c.codes[code] {
			return c.system
		}
	}
	return ""
}

// Member reads a JSON member's name, without a leading underscore.
func (t *Type) Member(name string) (Member, bool) { m, ok := t.members[name]; return m, ok }

// Members are the JSON members that an element may be written as: one, or for
// a choice one for each type.
func (t *Type) Members(element string) []Member {
	for i := range t.Elements {
		e := &t.Elements[i]
		if e.Name != element {
			continue
		}
		if !e.Choice {
			return []Member{t.members[e.Name]}
		}
		all := make([]Member, 0, len(e.Types))
		for _, r := range e.Types {
			name := e.Name + strings.ToUpper(r.Type[:1]) + r.Type[1:]
			all = append(all, t.members[name])
		}
		return all
	}
	return nil
}

// SearchParams are the official search parameters, sorted by ID. The caller
// must not change them.
func SearchParams() []SearchParam { return load().search }

// Invariants are the rules of all types. The caller must not change them.
func Invariants() []*Invariant { return load().invariants }

// Compartments are the types that have one, sorted.
func Compartments() []string { return slices.Sorted(maps.Keys(load().compartments)) }

// Compartment gives the search parameters by which each type belongs to the
// compartment of a Patient, Encounter, Practitioner, RelatedPerson or Device.
// The caller must not change it.
func Compartment(name string) map[string][]string { return load().compartments[name] }
