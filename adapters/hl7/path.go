package hl7

import (
	"fmt"
	"strconv"
	"strings"
)

// A Path names a part of a message: "PID-3", "PID-3.4.1", "OBX[2]-5[3].1".
// Numbers count from 1; those left out are 1, except the component and
// subcomponent, which mean the whole then.
type Path struct {
	Segment                 string
	Occurrence              int
	Field, Repetition       int
	Component, Subcomponent int
}

// ParsePath reads a path.
func ParsePath(s string) (Path, error) {
	p := Path{Occurrence: 1, Repetition: 1}
	bad := fmt.Errorf("hl7: %q is not a path such as PID-3.4.1 or OBX[2]-5[3].1", s)
	seg, rest, ok := strings.Cut(s, "-")
	if !ok || len(seg) < 3 || !isName(seg[:3]) {
		return Path{}, bad
	}
	p.Segment = seg[:3]
	if p.Occurrence, ok = bracketed(seg[3:]); !ok {
		return Path{}, bad
	}
	field, rest, dotted := strings.Cut(rest, ".")
	number := field
	if i := strings.IndexByte(field, '['); i >= 0 {
		number = field[:i]
		if p.Repetition, ok = bracketed(field[i:]); !ok {
			return Path{}, bad
		}
	}
	if p.Field, ok = counted(number); !ok {
		return Path{}, bad
	}
	if dotted {
		component, sub, deeper := strings.Cut(rest, ".")
		if p.Component, ok = counted(component); !ok {
			return Path{}, bad
		}
		if deeper {
			if p.Subcomponent, ok = counted(sub); !ok {
				return Path{}, bad
			}
		}
	}
	return p, nil
}

func bracketed(s string) (int, bool) {
	if s == "" {
		return 1, true
	}
	if s[0] != '[' || s[len(s)-1] != ']' {
		return 0, false
	}
	return counted(s[1 : len(s)-1])
}

func counted(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && 1 <= n && n <= maxFields && allDigits(s)
}

// Get gives the value at a path as String does; "" where nothing was sent or
// the path is none. Mappings use the typed accessors.
func (m *Message) Get(path string) string {
	p, err := ParsePath(path)
	if err != nil {
		return ""
	}
	return m.at(p).String()
}

func (m *Message) at(p Path) node {
	for s := range m.All(p.Segment) {
		if s.Occurrence() != p.Occurrence {
			continue
		}
		r := s.Field(p.Field).Rep(p.Repetition - 1)
		switch {
		case p.Component == 0:
			return r.node
		case p.Subcomponent == 0:
			return r.Component(p.Component).node
		}
		return r.Component(p.Component).Sub(p.Subcomponent).node
	}
	return node{}
}
