package search

import (
	"slices"
	"sort"
	"strings"
	"sync"

	"firebreak/fhir"
	"firebreak/fhir/r4def"
)

// kind is the type of a search parameter.
type kind string

const (
	kindToken     kind = "token"
	kindString    kind = "string"
	kindDate      kind = "date"
	kindReference kind = "reference"
	kindQuantity  kind = "quantity"
	kindNumber    kind = "number"
	kindURI       kind = "uri"
	kindComposite kind = "composite"
	kindSpecial   kind = "special" // _list, near
)

// leafTypes are the R4 types whose values a kind of parameter can be compared with.
var leafTypes = map[kind][]string{
	kindToken:     {"CodeableConcept", "Coding", "ContactPoint", "Identifier", "boolean", "canonical", "code", "id", "string", "uri", "uuid"},
	kindString:    {"Address", "HumanName", "code", "id", "markdown", "string"},
	kindDate:      {"Period", "Timing", "date", "dateTime", "instant"},
	kindReference: {"Reference", "canonical", "uri"},
	kindQuantity:  {"Age", "Count", "Distance", "Duration", "Money", "Quantity", "Range"},
	kindNumber:    {"Range", "decimal", "integer", "positiveInt", "unsignedInt"},
	kindURI:       {"canonical", "oid", "uri", "url", "uuid"},
}

// modifiers are what each kind takes after a colon, besides :missing.
// A reference also takes a type, a token that looks at identifiers :of-type.
var modifiers = map[kind][]string{
	kindToken:     {"not", "text"},
	kindString:    {"contains", "exact"},
	kindReference: {"identifier"},
	kindURI:       {"above", "below"},
}

// fullTexts are the parameters that look at the words of a whole resource.
var fullTexts = map[string]func(fhir.Node) string{"_text": narrativeWords, "_content": contentWords}

// param is a search parameter of one resource type, ready to be evaluated.
type param struct {
	def     r4def.SearchParam
	code    string
	kind    kind
	paths   []path
	targets []string               // of references: concrete types, sorted
	parts   []*param               // of composites: evaluated from what paths lead to
	words   func(fhir.Node) string // of _text and _content, which have no paths
	sounds  bool                   // names are compared by how they sound
}

// byTerms are the modifiers that need to know what codes there are.
var byTerms = []string{"above", "below", "in", "not-in"}

// codedTypes are those whose values are codes of a system.
var codedTypes = []string{"CodeableConcept", "Coding", "code"}

// modifiers are what p takes after a colon, but for types.
func (p *param) modifiers() []string {
	if p.words != nil || p.code == "_list" {
		return nil
	}
	if p.sounds {
		return []string{"missing"}
	}
	all := append([]string{"missing"}, modifiers[p.kind]...)
	if p.kind == kindToken && slices.ContainsFunc(p.paths, func(x path) bool { return x.leaf.typ == "Identifier" }) {
		all = append(all, "of-type")
	}
	if p.kind == kindToken && slices.ContainsFunc(p.paths, func(x path) bool { return slices.Contains(codedTypes, x.leaf.typ) }) {
		all = append(all, byTerms...)
	}
	sort.Strings(all)
	return all
}

type registry struct {
	params      map[string]map[string]*param // type, code
	unsupported map[string]map[string]string // type, code: why
}

// notServed are parameters that compile but cannot be answered as R4 means them.
var notServed = map[string]string{
	"_query":  "no named queries",
	"_filter": "no filter language",
}

var params = sync.OnceValue(func() registry {
	reg := registry{map[string]map[string]*param{}, map[string]map[string]string{}}
	byID := map[string]r4def.SearchParam{}
	for _, def := range Definitions() {
		byID[def.ID] = def
	}
	for _, typ := range fhir.Types() {
		// R4 defines _list in its search page alone, as it does _has.
		reg.params[typ], reg.unsupported[typ] = map[string]*param{"_list": {code: "_list", kind: kindSpecial}}, map[string]string{}
	}
	for _, def := range Definitions() {
		for _, base := range def.Base {
			types := []string{base}
			if base == "Resource" || base == "DomainResource" {
				types = fhir.Types()
			}
			for _, typ := range types {
				if _, ok := reg.params[typ]; !ok {
					continue
				}
				p, why := newParam(def, typ, byID)
				if why != "" {
					if reg.params[typ][def.Code] == nil {
						reg.unsupported[typ][def.Code] = why
					}
					continue
				}
				reg.params[typ][def.Code] = p
				delete(reg.unsupported[typ], def.Code)
			}
		}
	}
	return reg
})

func newParam(def r4def.SearchParam, typ string, byID map[string]r4def.SearchParam) (p *param, why string) {
	if why := notServed[def.Code]; why != "" {
		return nil, why
	}
	if words := fullTexts[def.Code]; words != nil {
		return &param{def: def, code: def.Code, kind: kind(def.Type), words: words}, ""
	}
	if def.Expression == "" {
		return nil, "no expression"
	}
	paths, err := compile(def.Expression, typ)
	if err != nil {
		return nil, err.Error()
	}
	p = &param{def: def, code: def.Code, kind: kind(def.Type), paths: paths, sounds: def.Code == "phonetic"}
	if p.kind == kindSpecial { // near, what _text and _content are is above
		return p, ""
	}
	if p.kind == kindComposite {
		for _, c := range def.Component {
			part, why := newPart(c, paths, byID)
			if why != "" {
				return nil, why
			}
			p.parts = append(p.parts, part)
		}
		return p, ""
	}
	if p.paths = usable(p.kind, paths); len(p.paths) == 0 { // some expressions end at an extension, and mean its value
		extensions := slices.DeleteFunc(slices.Clone(paths), func(x path) bool { return x.leaf.typ != "Extension" })
		if values, err := child(extensions, "value"); err == nil {
			p.paths = usable(p.kind, values)
		}
	}
	if len(p.paths) == 0 {
		return nil, "no values that can be compared"
	}
	if p.kind == kindReference {
		p.targets = targetsOf(def, p.paths)
	}
	p.paths = merged(p.paths)
	return p, ""
}

// newPart is a component of a composite, evaluated from each type that the
// composite's own expression leads to.
func newPart(c r4def.Component, bases []path, byID map[string]r4def.SearchParam) (*param, string) {
	def, ok := byID[c.ID]
	if !ok {
		return nil, "a component is not defined"
	}
	p := &param{def: def, code: def.Code, kind: kind(def.Type)}
	for _, base := range bases {
		paths, err := compile(c.Expression, base.leaf.typ)
		if err != nil {
			return nil, err.Error()
		}
		for _, x := range usable(p.kind, paths) {
			same := func(y path) bool {
				return slices.EqualFunc(x.steps, y.steps, func(a, b step) bool { return a.name == b.name })
			}
			if !slices.ContainsFunc(p.paths, same) { // Observation and its components read alike
				p.paths = append(p.paths, x)
			}
		}
	}
	if len(p.paths) == 0 {
		return nil, "no values that can be compared"
	}
	if p.kind == kindReference {
		p.targets = targetsOf(def, p.paths)
	}
	p.paths = merged(p.paths)
	return p, ""
}

func usable(k kind, paths []path) []path {
	return slices.DeleteFunc(slices.Clone(paths), func(x path) bool { return !slices.Contains(leafTypes[k], x.leaf.typ) })
}

// targetsOf are the types a reference may lead to: those that the definition
// lists, as far as the elements allow them.
func targetsOf(def r4def.SearchParam, paths []path) []string {
	all := map[string]bool{}
	for _, x := range paths {
		if x.leaf.typ != "Reference" {
			continue
		}
		allowed := fhir.Types()
		if x.leaf.element != nil {
			for _, r := range x.leaf.element.Types {
				if r.Type == "Reference" && len(r.Targets) > 0 {
					allowed = r.Targets
				}
			}
		}
		for _, c := range x.steps[len(x.steps)-1].conds {
			if c.kind == condResolves {
				allowed = []string{c.value}
			}
		}
		for _, t := range allowed {
			if len(def.Target) == 0 || slices.Contains(def.Target, t) || slices.Contains(def.Target, "Resource") {
				all[t] = true
			}
		}
	}
	var out []string
	for t := range all {
		out = append(out, t)
	}
	sort.Strings(out)
	return out
}

// Param is a search parameter as a CapabilityStatement lists it.
type Param struct {
	Name       string
	Type       string   // "token", "date", ...
	Definition string   // canonical address
	Target     []string // of references
	Modifiers  []string // without types
}

// Types are the resource types that can be searched, sorted.
func Types() []string { return fhir.Types() }

// Params are the search parameters of a type that are answered, sorted by name.
func Params(typ string) []Param {
	var out []Param
	for _, p := range params().params[typ] {
		out = append(out, Param{Name: p.code, Type: string(p.kind), Definition: p.def.Definition(), Target: p.targets, Modifiers: p.modifiers()})
	}
	slices.SortFunc(out, func(a, b Param) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Unsupported are the official parameters of a type that are not answered, with the reason.
func Unsupported(typ string) map[string]string { return params().unsupported[typ] }

// apart tells whether a reference leads out of what is searched as one: a Group lies in
// no record, and its members each in another.
func apart(typ, code string) bool { return typ == "Group" && code == "member" }

const errApart = "A Group's members lie in other records than the Group: search Group by member, and the members by their ids; Group/[id]/$export spans their records."

// Includes are the values that _include takes for a type, sorted.
func Includes(typ string) []string {
	var out []string
	for _, p := range params().params[typ] {
		if p.kind == kindReference && len(p.targets) > 0 && !apart(typ, p.code) {
			out = append(out, typ+":"+p.code)
		}
	}
	sort.Strings(out)
	return out
}

// referrers are the reference parameters "Source:param" that may lead to a type,
// sorted.
var referrers = sync.OnceValue(func() map[string][]string {
	to := map[string][]string{}
	for source, all := range params().params {
		for _, p := range all {
			if p.kind != kindReference || apart(source, p.code) {
				continue
			}
			for _, target := range p.targets {
				to[target] = append(to[target], source+":"+p.code)
			}
		}
	}
	for target, all := range to {
		sort.Strings(all)
		to[target] = slices.Compact(all)
	}
	return to
})

// RevIncludes are the values that _revinclude takes for a type, among
// parameters of the types given (all, when none are), sorted.
func RevIncludes(typ string, of ...string) []string {
	var out []string
	for _, s := range referrers()[typ] {
		if source, _, _ := strings.Cut(s, ":"); len(of) == 0 || slices.Contains(of, source) {
			out = append(out, s)
		}
	}
	return out
}
