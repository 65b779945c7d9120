package hl7

import (
	"iter"
	"strings"
)

// A Group is a run of segments that belong together, in message order.
type Group []Segment

// Segment gives the group's first segment of that name, or the zero Segment.
func (g Group) Segment(name string) Segment {
	for _, s := range g {
		if s.Name() == name {
			return s
		}
	}
	return absent(name)
}

// All gives each of the group's segments of that name, in order.
func (g Group) All(name string) iter.Seq[Segment] {
	return func(yield func(Segment) bool) {
		for _, s := range g {
			if s.Name() == name && !yield(s) {
				return
			}
		}
	}
}

// Groups cuts the message into runs that begin with one of heads; see
// Group.Groups.
func (m *Message) Groups(heads ...string) []Group { return m.Segments().Groups(heads...) }

// Before gives the message's segments before the first one named; see
// Group.Before.
func (m *Message) Before(names ...string) Group { return m.Segments().Before(names...) }

// Groups cuts the group into runs, each beginning with one of heads and
// reaching to the next. What stands before the first head is in none of them.
//
// A head of several names, such as "ORC OBR", is a chain: a run may begin with
// any of them, and a later name goes on with a run that an earlier one began.
// So Groups("ORC OBR") gives one run for ORC, OBR and their results, one for
// an OBR without ORC, and a new one for each further OBR. Separate heads, as in
// Groups("OBX", "SPM"), always begin a new run.
//
// This is looser than HL7's abstract message syntax on purpose: feeds leave
// out, repeat and reorder segments.
func (g Group) Groups(heads ...string) []Group {
	var runs []Group
	start, chain, last := -1, -1, -1
	for i, s := range g {
		c, p := headOf(heads, s.Name())
		if c < 0 {
			continue
		}
		if start >= 0 && c == chain && p > last {
			last = p
			continue
		}
		if start >= 0 {
			runs = append(runs, g[start:i:i])
		}
		start, chain, last = i, c, p
	}
	if start >= 0 {
		runs = append(runs, g[start:len(g):len(g)])
	}
	return runs
}

// headOf gives which head names the segment, and at which offset of its chain.
func headOf(heads []string, name string) (chain, place int) {
	for c, head := range heads {
		for p := 0; p+3 <= len(head); p += 4 {
			if head[p:p+3] == name {
				return c, p
			}
		}
	}
	return -1, -1
}

// Before gives the segments before the first one that bears one of the names;
// all of them when none does.
func (g Group) Before(names ...string) Group {
	for i, s := range g {
		for _, name := range names {
			if strings.EqualFold(s.Name(), name) {
				return g[:i:i]
			}
		}
	}
	return g
}
