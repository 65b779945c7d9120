package search

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"firebreak/fhir"
	"firebreak/fhir/r4def"
)

// path is one way from a resource (or another object) to values of one type,
// as an expression of a search parameter gives it: choices are spelt out, so
// "Observation.value as Quantity" is the member valueQuantity.
type path struct {
	steps []step
	leaf  leaf

	// A choice that a parameter takes in several types is read at once: the
	// members of the last step, and what each of them holds.
	names  []string
	leaves []leaf
}

// leaf is what is known of a path's values without looking.
type leaf struct {
	typ     string         // R4 type
	element *r4def.Element // for the system that a code implies
	// exists is set for a boolean that is true when any of these leads to
	// something other than false (Patient.deceased).
	exists []path
}

type step struct {
	name  string
	index int // of an array's items the one to take; -1: all
	conds []cond
}

// cond keeps some of a step's values.
type cond struct {
	kind  condKind
	name  string // condEquals: member
	value string // condEquals: its text; condResolves: type; condExtension: url
}

type condKind int

const (
	condEquals    condKind = iota // where(name = 'value')
	condResolves                  // where(resolve() is value)
	condExtension                 // where(hasExtension('value'))
)

// each calls f for every value that p leads to from n.
func (p *path) each(n fhir.Node, f func(fhir.Node, *leaf)) {
	if p.leaf.exists != nil {
		f(n, &p.leaf)
		return
	}
	p.walk(n, 0, f)
}

func (p *path) walk(n fhir.Node, at int, f func(fhir.Node, *leaf)) {
	if at == len(p.steps) {
		if p.leaves == nil {
			f(n, &p.leaf)
		} else if i, v := n.First(p.names); i >= 0 {
			for item := range v.Items() {
				f(item, &p.leaves[i])
			}
		}
		return
	}
	s := &p.steps[at]
	i := 0
	for v := range n.Get(s.name).Items() {
		if (s.index < 0 || s.index == i) && s.keeps(v) {
			p.walk(v, at+1, f)
		}
		i++
	}
}

func (s *step) keeps(v fhir.Node) bool {
	for _, c := range s.conds {
		switch c.kind {
		case condEquals:
			if !v.Get(c.name).Is(c.value) {
				return false
			}
		case condResolves:
			if resolvesTo(v) != c.value {
				return false
			}
		case condExtension:
			found := false
			for x := range v.Get("extension").Items() {
				found = found || x.Get("url").Is(c.value)
			}
			if !found {
				return false
			}
		}
	}
	return true
}

// resolvesTo tells the type of a Reference's target by how it is written:
// no resource is looked up.
func resolvesTo(v fhir.Node) string {
	if v.Kind() != '{' {
		return ""
	}
	s := v.Get("reference").Text()
	if head, _, ok := strings.Cut(s, "/_history/"); ok {
		s = head
	}
	if i := strings.LastIndexByte(s, '/'); i > 0 {
		if typ := s[strings.LastIndexByte(s[:i], '/')+1 : i]; fhir.IsType(typ) {
			return typ
		}
	}
	typ := v.Get("type").Text()
	return typ[strings.LastIndexByte(typ, '/')+1:]
}

// compile reads an expression for resources (or other objects) of the type
// context. Branches for other types are left out; no path at all is an error,
// as is anything outside the language that R4's search parameters use:
// paths, |, as, ofType, [n], extension(url), where with equality, resolve() is,
// or hasExtension, and "x.exists() and x != false".
func compile(expression, context string) ([]path, error) {
	p := parser{rest: expression, context: context}
	paths, err := p.union()
	if err == nil && strings.TrimSpace(p.rest) != "" {
		err = fmt.Errorf("unread: %q", p.rest)
	}
	if err == nil && len(paths) == 0 {
		err = fmt.Errorf("leads nowhere from %s", context)
	}
	if err != nil {
		return nil, fmt.Errorf("search: expression %q: %w", expression, err)
	}
	return paths, nil
}

type parser struct {
	rest    string
	context string
}

func (p *parser) take(token string) bool {
	s := strings.TrimLeft(p.rest, " \t\r\n")
	after, ok := strings.CutPrefix(s, token)
	if !ok {
		return false
	}
	if isName(token[len(token)-1]) && after != "" && isName(after[0]) {
		return false // only the beginning of a longer word
	}
	p.rest = after
	return true
}

func isName(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

func (p *parser) name() string {
	s := strings.TrimLeft(p.rest, " \t\r\n")
	i := 0
	for i < len(s) && isName(s[i]) {
		i++
	}
	p.rest = s[i:]
	return s[:i]
}

func (p *parser) literal() (string, error) {
	s := strings.TrimLeft(p.rest, " \t\r\n")
	if !strings.HasPrefix(s, "'") {
		return "", fmt.Errorf("no string at %q", s)
	}
	text, after, ok := strings.Cut(s[1:], "'")
	if !ok {
		return "", fmt.Errorf("a string without end")
	}
	p.rest = after
	return text, nil
}

func (p *parser) expect(token string) error {
	if !p.take(token) {
		return fmt.Errorf("no %q at %q", token, p.rest)
	}
	return nil
}

func (p *parser) union() ([]path, error) {
	var all []path
	for {
		paths, err := p.term()
		if err != nil {
			return nil, err
		}
		all = append(all, paths...)
		if !p.take("|") {
			return all, nil
		}
	}
}

// term is a path, possibly cast, or the one boolean form.
func (p *parser) term() ([]path, error) {
	paths, err := p.chain()
	if err != nil {
		return nil, err
	}
	if p.take("as") {
		paths = ofType(paths, p.name())
	}
	if !p.take("and") {
		return paths, nil
	}
	// x.exists() and x != false
	other, err := p.chain()
	if err != nil {
		return nil, err
	}
	if err := p.expect("!="); err != nil {
		return nil, err
	}
	if err := p.expect("false"); err != nil {
		return nil, err
	}
	return []path{{leaf: leaf{typ: "boolean", exists: other}}}, nil
}

func ofType(paths []path, typ string) []path {
	return slices.DeleteFunc(slices.Clone(paths), func(x path) bool { return x.leaf.typ != typ })
}

func (p *parser) chain() ([]path, error) {
	var paths []path
	if p.take("(") {
		inner, err := p.union()
		if err != nil {
			return nil, err
		}
		if err := p.expect(")"); err != nil {
			return nil, err
		}
		paths = inner
	} else {
		name := p.name()
		root := path{leaf: leaf{typ: p.context}}
		switch {
		case name == "":
			return nil, fmt.Errorf("no path at %q", p.rest)
		case name == p.context, (name == "Resource" || name == "DomainResource") && fhir.IsType(p.context):
			paths = []path{root}
		case r4def.Lookup(name) != nil: // another type's branch
		default:
			var err error
			if paths, err = child([]path{root}, name); err != nil {
				return nil, err
			}
		}
	}
	for {
		var err error
		switch {
		case p.take("["):
			n, e := strconv.Atoi(p.name())
			if e != nil {
				return nil, fmt.Errorf("no index at %q", p.rest)
			}
			err = p.expect("]")
			paths = last(paths, func(s *step) { s.index = n })
		case p.take("."):
			paths, err = p.member(paths)
		default:
			return paths, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// member reads what follows a dot.
func (p *parser) member(paths []path) ([]path, error) {
	name := p.name()
	if !p.take("(") {
		return child(paths, name)
	}
	switch name {
	case "as", "ofType":
		paths = ofType(paths, p.name())
	case "exists":
	case "extension":
		url, err := p.literal()
		if err != nil {
			return nil, err
		}
		if paths, err = child(paths, "extension"); err != nil {
			return nil, err
		}
		paths = last(paths, func(s *step) { s.conds = append(s.conds, cond{condEquals, "url", url}) })
	case "where":
		c, err := p.condition()
		if err != nil {
			return nil, err
		}
		paths = last(paths, func(s *step) { s.conds = append(s.conds, c) })
	default:
		return nil, fmt.Errorf("function %s is not known", name)
	}
	return paths, p.expect(")")
}

func (p *parser) condition() (cond, error) {
	if p.take("resolve()") {
		if err := p.expect("is"); err != nil {
			return cond{}, err
		}
		return cond{kind: condResolves, value: p.name()}, nil
	}
	if p.take("hasExtension(") {
		url, err := p.literal()
		if err != nil {
			return cond{}, err
		}
		return cond{kind: condExtension, value: url}, p.expect(")")
	}
	name := p.name()
	if err := p.expect("="); err != nil {
		return cond{}, err
	}
	value, err := p.literal()
	return cond{condEquals, name, value}, err
}

// child goes one element down; choices become a path each.
func child(paths []path, name string) ([]path, error) {
	var out []path
	for _, from := range paths {
		t := r4def.Lookup(from.leaf.typ)
		if t == nil {
			continue
		}
		for _, m := range t.Members(name) {
			steps := append(slices.Clone(from.steps), step{name: m.Name, index: -1})
			out = append(out, path{steps: steps, leaf: leaf{typ: m.Type, element: m.Element}})
		}
	}
	if len(paths) > 0 && len(out) == 0 {
		return nil, fmt.Errorf("there is no element %s", name)
	}
	return out, nil
}

// merged joins paths that differ only in the type of one choice element.
func merged(paths []path) []path {
	var out []path
	for _, x := range paths {
		n := len(x.steps) - 1
		if n < 0 || x.leaf.element == nil || !x.leaf.element.Choice || x.steps[n].index >= 0 || x.steps[n].conds != nil {
			out = append(out, x)
			continue
		}
		stem := x.steps[:n]
		i := slices.IndexFunc(out, func(y path) bool {
			return y.leaves != nil && y.leaf.element == x.leaf.element &&
				slices.EqualFunc(y.steps, stem, func(a, b step) bool {
					return a.name == b.name && a.index == b.index && slices.Equal(a.conds, b.conds)
				})
		})
		if i < 0 {
			i = len(out)
			out = append(out, path{steps: stem, leaf: x.leaf, leaves: []leaf{}})
		}
		out[i].names = append(out[i].names, x.steps[n].name)
		out[i].leaves = append(out[i].leaves, x.leaf)
	}
	return out
}

// last changes the last step of each path.
func last(paths []path, change func(*step)) []path {
	out := make([]path, 0, len(paths))
	for _, x := range paths {
		if len(x.steps) > 0 {
			x.steps = slices.Clone(x.steps)
			s := &x.steps[len(x.steps)-1]
			s.conds = slices.Clone(s.conds)
			change(s)
		}
		out = append(out, x)
	}
	return out
}
