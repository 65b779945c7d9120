package r4def

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"firebreak/fhir"
)

// Problem is one way a resource departs from R4. It quotes no data.
type Problem struct {
	Path string // FHIRPath-like, "Observation.component[1].code"
	Text string

	// Slight problems mislead no reader: inside an element something required
	// is missing, or a reference leads to a type that it may not. The
	// specification's own examples have some.
	Slight bool
}

func (p Problem) String() string { return p.Path + " " + p.Text }

// Check judges the structure of r by the base definitions of R4: unknown
// elements, cardinality, choices, formats of primitives, codes of required
// bindings, targets of references, contained resources, extensions, and that
// no element is empty. It knows no profiles and no invariants beyond ele-1,
// ext-1, dom-2 to dom-5. No problems: nil.
func Check(r fhir.Resource) []Problem {
	c := checker{}
	c.resource(r.Type(), r.Root(), nil)
	return c.problems
}

type checker struct {
	problems []Problem
	held     *container // of the resource being walked
}

// container is a resource with its contained ones.
type container struct {
	types map[string]string // id of a contained resource to its type
	used  map[string]bool   // ids that something refers to
	typ   string            // of the resource itself, what "#" means
	up    *container        // for a contained resource, the one that holds it
}

func (c *checker) report(path, format string, args ...any) {
	c.add(Problem{Path: path, Text: fmt.Sprintf(format, args...)})
}

func (c *checker) add(p Problem) {
	if len(c.problems) < 1000 {
		c.problems = append(c.problems, p)
	}
}

// resource checks a whole resource. up is its container if it is contained.
func (c *checker) resource(path string, n fhir.Node, up *container) {
	name := n.Get("resourceType").Text()
	t := Lookup(name)
	if n.Kind() != '{' || t == nil || !t.Resource {
		c.report(path, "is not a resource of R4")
		return
	}
	before := c.held
	c.held = &container{types: map[string]string{}, used: map[string]bool{}, typ: name, up: up}
	defer func() { c.held = before }()
	for inner := range n.Get("contained").Items() {
		id := inner.Get("id").Text()
		if _, twice := c.held.types[id]; twice && id != "" {
			c.report(path+".contained", "holds an id twice")
		}
		c.held.types[id] = inner.Get("resourceType").Text()
	}
	c.object(path, t, n)
	i := 0
	for inner := range n.Get("contained").Items() {
		at := index(path+".contained", i)
		i++
		if up != nil {
			c.report(at, "is contained in a contained resource")
			break
		}
		meta := inner.Get("meta")
		switch id := inner.Get("id").Text(); {
		case id == "":
			c.report(at, "has no id")
		case !c.held.used[id] && !refersOut(inner):
			c.report(at, "is referred to by nothing")
		}
		for _, not := range []string{"versionId", "lastUpdated", "security"} {
			if !meta.Get(not).IsZero() {
				c.report(at+".meta."+not, "is not allowed in a contained resource")
			}
		}
	}
}

// refersOut tells whether a contained resource refers to its container.
func refersOut(n fhir.Node) (yes bool) {
	n.Each(func(name string, v fhir.Node) bool {
		yes = yes || name == "reference" && v.Is("#")
		return true
	})
	return yes
}

// object checks the members of an object against its type.
func (c *checker) object(path string, t *Type, n fhir.Node) {
	seen := map[*Element]string{} // the member by which an element is there
	content := false
	for name, v := range n.Members() {
		bare, extension := strings.CutPrefix(name, "_")
		if name == "resourceType" && t.Resource {
			continue
		}
		m, ok := t.Member(bare)
		if !ok || extension && !IsPrimitive(m.Type) {
			c.report(path, "has an element R4 does not know: %s", printable(name))
			content = true
			continue
		}
		content = content || bare != "id"
		if other, twice := seen[m.Element]; twice && other != bare {
			c.report(path+"."+m.Element.Name+"[x]", "is given in two types")
		}
		seen[m.Element] = bare
		if extension && !n.Get(bare).IsZero() {
			continue // checked with its value
		}
		c.member(path+"."+bare, t, m, n, v, extension)
	}
	if !content && !t.Resource {
		c.report(path, "is empty")
	}
	for i := range t.Elements {
		e := &t.Elements[i]
		if _, there := seen[e]; e.Min > 0 && !there {
			name := e.Name
			if e.Choice {
				name += "[x]"
			}
			c.add(Problem{path + "." + name, "is missing", !t.Resource})
		}
	}
	switch t.Name {
	case "Extension":
		value := slices.ContainsFunc(t.Elements, func(e Element) bool { return e.Choice && hasAny(t, n, e) })
		if nested := !n.Get("extension").IsZero(); nested == value {
			c.report(path, "must have a value or extensions, and not both")
		}
	case "Reference":
		c.reference(path, n)
	}
}

func hasAny(t *Type, n fhir.Node, e Element) bool {
	return slices.ContainsFunc(t.Members(e.Name), func(m Member) bool {
		return !n.Get(m.Name).IsZero() || !n.Get("_"+m.Name).IsZero()
	})
}

// member checks one member: a single value or an array, with the extensions of
// primitives beside it.
func (c *checker) member(path string, t *Type, m Member, in, v fhir.Node, extension bool) {
	many := m.Element.Max != 1
	if many != (v.Kind() == '[') {
		if many {
			c.report(path, "must be an array")
		} else {
			c.report(path, "must not be an array")
		}
		return
	}
	if !IsPrimitive(m.Type) {
		if !many {
			c.value(path, t, m, v)
			return
		}
		for i, item := range all(v) {
			c.value(index(path, i), t, m, item)
		}
		c.count(path, m, v.Len())
		return
	}
	beside := in.Get("_" + m.Name)
	if extension {
		beside, v = v, fhir.Node{}
	}
	if !many {
		if v.Kind() == 'n' || beside.Kind() == 'n' { // only arrays have holes
			c.report(path, "is null")
			return
		}
		c.primitive(path, m, v, beside)
		return
	}
	if !beside.IsZero() && beside.Kind() != '[' {
		c.report(path, "has extensions that are not an array")
		return
	}
	values, extensions := all(v), all(beside)
	n := max(len(values), len(extensions))
	if len(values) > 0 && len(extensions) > 0 && len(values) != len(extensions) {
		c.report(path, "has more or fewer values than extensions")
	}
	for i := range n {
		c.primitive(index(path, i), m, at(values, i), at(extensions, i))
	}
	c.count(path, m, n)
}

func (c *checker) count(path string, m Member, n int) {
	switch {
	case n == 0:
		c.report(path, "is an empty array")
	case n < m.Element.Min:
		c.report(path, "has fewer than %d items", m.Element.Min)
	case m.Element.Max > 0 && n > m.Element.Max:
		c.report(path, "has more than %d items", m.Element.Max)
	}
}

// primitive checks a primitive value and the object of its id and extensions;
// one of them may be absent or null, not both.
func (c *checker) primitive(path string, m Member, v, beside fhir.Node) {
	if k := v.Kind(); k == 0 || k == 'n' {
		if k := beside.Kind(); k == 0 || k == 'n' {
			c.report(path, "is null")
			return
		}
	} else if wrong := primitive(m.Type, v); wrong != "" {
		c.report(path, "%s", wrong)
	} else if m.Element.codes != nil && m.Type == "code" && !has(m.Element.codes, "", v.Text()) {
		c.report(path, "is not a code of the required value set")
	}
	if id, local := strings.CutPrefix(v.Text(), "#"); local && (m.Type == "canonical" || m.Type == "uri" || m.Type == "url") {
		c.use(id)
	}
	if k := beside.Kind(); k == 0 || k == 'n' {
		return
	} else if k != '{' {
		c.report(path, "has extensions that are not an object")
		return
	}
	if k := v.Kind(); k != 0 && k != 'n' && beside.Len() == 1 && beside.Get("id").Kind() == '"' {
		return // an id beside a value is enough
	}
	c.object(path, Lookup("Element"), beside)
}

// value checks an object of a complex type, or a resource.
func (c *checker) value(path string, _ *Type, m Member, v fhir.Node) {
	if v.Kind() != '{' {
		c.report(path, "must be an object")
		return
	}
	if m.Type == "Resource" {
		up := c.held
		if m.Name != "contained" {
			up = nil
		}
		c.resource(path, v, up)
		return
	}
	t := Lookup(m.Type)
	if t == nil {
		c.report(path, "is of a type R4 does not know")
		return
	}
	c.object(path, t, v)
	if m.Element.codes != nil {
		c.bound(path, m, v)
	}
	if m.Type == "Reference" && len(m.Targets) > 0 {
		c.target(path, m.Targets, v)
	}
}

// bound checks a Coding, CodeableConcept or Quantity of a required binding.
func (c *checker) bound(path string, m Member, v fhir.Node) {
	switch m.Type {
	case "Coding", "Quantity":
		if code := v.Get("code"); !code.IsZero() && !has(m.Element.codes, v.Get("system").Text(), code.Text()) {
			c.report(path, "is not a code of the required value set")
		}
	case "CodeableConcept":
		for coding := range v.Get("coding").Items() {
			if has(m.Element.codes, coding.Get("system").Text(), coding.Get("code").Text()) {
				return
			}
		}
		// Text alone, or an extension in place of the code, says that the
		// right code is not known; a foreign code alone does not.
		if !v.Get("coding").IsZero() {
			c.report(path, "has no code of the required value set")
		}
	}
}

func has(sets []codes, system, code string) bool {
	return slices.ContainsFunc(sets, func(s codes) bool {
		return (system == "" || s.system == system) && s.codes[code]
	})
}

// reference notes which contained resources are referred to.
func (c *checker) reference(path string, n fhir.Node) {
	id, local := strings.CutPrefix(n.Get("reference").Text(), "#")
	if local && id != "" && !c.use(id) {
		c.report(path, "names a contained resource that is not there")
	}
}

func (c *checker) use(id string) bool {
	for h := c.held; h != nil; h = h.up {
		if _, ok := h.types[id]; ok {
			h.used[id] = true
			return true
		}
	}
	return false
}

// target checks that a reference names a type it may.
func (c *checker) target(path string, targets []string, n fhir.Node) {
	typ := ""
	switch s := n.Get("reference").Text(); {
	case s == "#" && c.held.up != nil:
		typ = c.held.up.typ
	case s == "#":
		typ = c.held.typ
	case strings.HasPrefix(s, "#"):
		for h := c.held; h != nil && typ == ""; h = h.up {
			typ = h.types[s[1:]]
		}
	case strings.HasPrefix(s, "urn:"):
	default:
		if head, _, ok := strings.Cut(s, "/_history/"); ok {
			s = head
		}
		parts := strings.Split(s, "/")
		if len(parts) >= 2 && fhir.IsType(parts[len(parts)-2]) {
			typ = parts[len(parts)-2]
		} else if head, _, ok := strings.Cut(s, "?"); ok && fhir.IsType(head) {
			typ = head
		} else if s != "" && !strings.Contains(s, ":") {
			c.report(path+".reference", "is not a reference")
		}
	}
	for _, typ := range []string{typ, n.Get("type").Text()} {
		if fhir.IsType(typ) && !slices.Contains(targets, typ) {
			c.add(Problem{path, "may not refer to " + typ, true})
			return
		}
	}
}

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// all are an array's items with its holes.
func all(n fhir.Node) (items []fhir.Node) {
	for v := range n.Slots() {
		items = append(items, v)
	}
	return items
}

func at(list []fhir.Node, i int) fhir.Node {
	if i < len(list) {
		return list[i]
	}
	return fhir.Node{}
}

// printable is a member's name if it can be an element's; names of unknown
// elements may hold anything.
func printable(name string) string {
	if len(name) > 64 || strings.IndexFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_')
	}) >= 0 {
		return "(a name that no element has)"
	}
	return name
}
