package terminology

import (
	"slices"
	"strings"

	"firebreak/fhir"
)

// System is a code system of which every code is known.
type System struct {
	URL, Version, Name string
	concepts           []Concept
	at                 map[string][]int32 // by code in lower case
	up, down           [][]int32
	properties         map[string]bool // those that are declared or used
}

// Concept is one code of a System.
type Concept struct {
	Code, Display, Definition string
	Abstract                  bool // a group of codes, not to be used itself
	Inactive                  bool
	Properties                []Property
}

// Property is what a code system says of a code.
type Property struct{ Code, Value string }

// Len is the number of codes.
func (s *System) Len() int { return len(s.concepts) }

// readSystem reads a CodeSystem. An *Error says that it does not hold all codes.
func readSystem(r fhir.Resource) (*System, error) {
	s := &System{URL: r.Get("url").Text(), Version: r.Get("version").Text(), Name: r.Get("name").Text(), at: map[string][]int32{}, properties: map[string]bool{}}
	if content := r.Get("content").Text(); content != "complete" {
		return nil, refuse("Of the code system " + shown(s.URL) + " not all codes are here: its content is " + content + ".")
	}
	for p := range r.All("property") {
		s.properties[p.Get("code").Text()] = true
	}
	var links [][2]string // code above, code below
	s.read(r.Root(), -1, &links)
	for _, link := range links {
		for _, above := range s.exactly(link[0]) {
			for _, below := range s.exactly(link[1]) {
				s.link(above, below)
			}
		}
	}
	switch r.Get("hierarchyMeaning").Text() {
	case "", "is-a":
	default: // what is part of another, or filed under it, is no kind of it
		clear(s.up)
		clear(s.down)
	}
	return s, nil
}

var valueNames = strings.Fields("valueCode valueString valueBoolean valueInteger valueDecimal valueDateTime valueCoding")

func (s *System) read(n fhir.Node, parent int32, links *[][2]string) {
	for c := range n.Get("concept").Items() {
		x := Concept{Code: c.Get("code").Text(), Display: c.Get("display").Text(), Definition: c.Get("definition").Text()}
		for p := range c.Get("property").Items() {
			code := p.Get("code").Text()
			_, v := p.First(valueNames)
			value := v.Text()
			if v.Kind() == '{' {
				value = v.Get("code").Text()
			}
			s.properties[code] = true
			switch code {
			case "parent", "subsumedBy":
				*links = append(*links, [2]string{value, x.Code})
			case "child":
				*links = append(*links, [2]string{x.Code, value})
			case "notSelectable", "abstract":
				x.Abstract = x.Abstract || value == "true"
			case "inactive":
				x.Inactive = x.Inactive || value == "true"
			case "status":
				x.Inactive = x.Inactive || value == "retired" || value == "inactive"
			}
			x.Properties = append(x.Properties, Property{code, value})
		}
		i := int32(len(s.concepts))
		s.concepts = append(s.concepts, x)
		s.up, s.down = append(s.up, nil), append(s.down, nil)
		s.at[strings.ToLower(x.Code)] = append(s.at[strings.ToLower(x.Code)], i)
		if parent >= 0 {
			s.link(parent, i)
		}
		s.read(c, i, links)
	}
}

func (s *System) link(above, below int32) {
	if above != below && !slices.Contains(s.up[below], above) {
		s.up[below], s.down[above] = append(s.up[below], above), append(s.down[above], below)
	}
}

// exactly are the places of a code as it is written.
func (s *System) exactly(code string) (all []int32) {
	for _, i := range s.at[strings.ToLower(code)] {
		if s.concepts[i].Code == code {
			all = append(all, i)
		}
	}
	return all
}

// Lookup is a code of s, as it is written.
func (s *System) Lookup(code string) (Concept, bool) {
	for _, i := range s.exactly(code) {
		return s.concepts[i], true
	}
	return Concept{}, false
}

// Parents and Children are the codes next to one in the hierarchy.
func (s *System) Parents(code string) []string { return s.next(code, s.up) }

// Children: see [System.Parents].
func (s *System) Children(code string) []string { return s.next(code, s.down) }

func (s *System) next(code string, to [][]int32) (all []string) {
	for _, i := range s.exactly(code) {
		for _, j := range to[i] {
			all = append(all, s.concepts[j].Code)
		}
	}
	return all
}

// below are the places of a code, however its letters are written, and of all
// under it; above of all over it.
func (s *System) below(code string) []int32 { return s.walk(s.at[strings.ToLower(code)], s.down) }
func (s *System) above(code string) []int32 { return s.walk(s.at[strings.ToLower(code)], s.up) }

func (s *System) walk(from []int32, to [][]int32) []int32 {
	all := slices.Clone(from)
	seen := map[int32]bool{}
	for _, i := range all {
		seen[i] = true
	}
	for n := 0; n < len(all); n++ {
		for _, i := range to[all[n]] {
			if !seen[i] {
				seen[i] = true
				all = append(all, i)
			}
		}
	}
	return all
}
