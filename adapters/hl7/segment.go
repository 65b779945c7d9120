package hl7

import (
	"iter"
	"strings"
)

// A Segment is one segment of a message, cheap to copy. The zero Segment is
// one that is not there: all it answers is empty.
type Segment struct {
	m *Message // nil: the message has none of that name
	i int      // which of m's; without m the three letters of the name
}

// absent is the segment of that name in a message that has none.
func absent(name string) Segment {
	s := Segment{}
	for i := range min(len(name), 3) {
		s.i = s.i<<8 | int(name[i])
	}
	return s
}

// Exists reports whether the message has the segment.
func (s Segment) Exists() bool { return s.m != nil }

// Name gives "PID", also for a segment that was asked for and is not there.
func (s Segment) Name() string {
	if s.m == nil {
		if s.i == 0 {
			return ""
		}
		return string([]byte{byte(s.i >> 16), byte(s.i >> 8), byte(s.i)})
	}
	return s.m.segs[s.i].text[:3]
}

// Index gives which segment of the message this is, counted from 1.
func (s Segment) Index() int {
	if s.m == nil {
		return 0
	}
	if s.m.numbers != nil {
		return s.m.numbers[s.i]
	}
	return s.i + 1
}

// Occurrence gives which of the message's segments with this name it is,
// counted from 1.
func (s Segment) Occurrence() int {
	if s.m == nil {
		return 0
	}
	return s.m.segs[s.i].nth
}

// Text gives the whole segment as sent, decoded to UTF-8, escapes untouched,
// without its end.
func (s Segment) Text() string {
	if s.m == nil {
		return ""
	}
	return s.m.segs[s.i].text
}

// Broken reports whether line ends lie inside the segment: the sender broke a
// text without escaping the break, or something that is no segment follows it.
func (s Segment) Broken() bool { return s.m != nil && s.m.segs[s.i].broken }

// Message gives the message the segment belongs to, nil for one that is not there.
func (s Segment) Message() *Message { return s.m }

// isHeader: field 1 of these segments is the separator itself.
func isHeader(name string) bool { return name == "MSH" || name == "FHS" || name == "BHS" }

// Field gives field n, counted from 1 as HL7 does: PID-3 is Field(3), also in
// MSH, whose field 1 is the separator. A field that was not sent is empty.
func (s Segment) Field(n int) Field {
	if s.m == nil || n < 1 {
		return Field{}
	}
	seg := &s.m.segs[s.i]
	f := Field{node{m: s.m, seg: int32(s.i), field: uint16(min(n, maxFields))}}
	if isHeader(seg.text[:3]) {
		if n == 1 {
			f.s = seg.text[3:min(4, len(seg.text))]
			return f
		}
		n--
	}
	f.s = seg.field(n, s.m.delims.Field)
	return f
}

// Fields gives the number of the last field that was sent.
func (s Segment) Fields() int {
	if s.m == nil {
		return 0
	}
	text := s.m.segs[s.i].text
	n := strings.Count(text, string(rune(s.m.delims.Field)))
	if isHeader(text[:3]) {
		n++
	}
	return n
}

// Err gives an error that names the segment and, above 0, field and component.
func (s Segment) Err(field, component int, reason string) *FieldError {
	return &FieldError{Segment: s.Name(), Index: s.Index(), Occurrence: s.Occurrence(),
		Field: field, Component: component, Reason: reason}
}

// nth gives part n, counted from 0, of text cut at sep.
func nth(text string, sep byte, n int) (string, bool) {
	for ; n > 0; n-- {
		i := strings.IndexByte(text, sep)
		if i < 0 || sep == 0 {
			return "", false
		}
		text = text[i+1:]
	}
	return first(text, sep), true
}

// first gives what stands before the first sep.
func first(text string, sep byte) string {
	if sep == 0 {
		return text
	}
	if i := strings.IndexByte(text, sep); i >= 0 {
		return text[:i]
	}
	return text
}

// Segment gives the first segment of that name.
func (m *Message) Segment(name string) Segment {
	for i := range m.segs {
		if m.segs[i].text[:3] == name {
			return Segment{m, i}
		}
	}
	return absent(name)
}

// Require gives the first segment of that name, or the *FieldError that says
// it is missing.
func (m *Message) Require(name string) (Segment, error) {
	if s := m.Segment(name); s.m != nil {
		return s, nil
	}
	return Segment{}, &FieldError{Segment: name, Code: SegmentSequence, Reason: "the message has no such segment"}
}

// All gives each segment of that name, in order.
func (m *Message) All(name string) iter.Seq[Segment] {
	return func(yield func(Segment) bool) {
		for i := range m.segs {
			if m.segs[i].text[:3] == name && !yield(Segment{m, i}) {
				return
			}
		}
	}
}
