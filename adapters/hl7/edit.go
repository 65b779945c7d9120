package hl7

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/text/encoding/charmap"
)

// With gives a copy of the message with text at a path, escaped as needed and
// in the message's character set. Fields, repetitions and components before it
// are added empty; every other byte stays as it was. A path without component
// sets the whole repetition.
//
// It fails when the segment is missing, a delimiter that the path needs is not
// declared, or the character set has no such character. MSH-1 and MSH-2 cannot
// be changed.
func (m *Message) With(path, text string) (*Message, error) {
	edited, p, err := m.with(path, m.delims.Encode(text))
	if err != nil {
		return nil, err
	}
	if edited.at(p).String() != text {
		return nil, fmt.Errorf("hl7: %s: the text cannot be written in this message", path)
	}
	return edited, nil
}

// WithRaw is With for text that is already encoded: it may hold delimiters
// below the path's level, or be the HL7 null `""`.
func (m *Message) WithRaw(path, raw string) (*Message, error) {
	edited, _, err := m.with(path, raw)
	return edited, err
}

func (m *Message) with(path, value string) (*Message, Path, error) {
	p, err := ParsePath(path)
	if err != nil {
		return nil, p, err
	}
	fail := func(why string) (*Message, Path, error) { return nil, p, fmt.Errorf("hl7: %s: %s", path, why) }
	if m.draft {
		return fail("a draft has no bytes of its own")
	}
	if isHeader(p.Segment) && p.Field <= 2 {
		return fail("declares the delimiters and cannot be changed")
	}
	if strings.ContainsAny(value, "\r\n") {
		return fail("a line end must be escaped")
	}
	i := m.find(p.Segment, p.Occurrence)
	if i < 0 {
		return fail("the message has no such segment")
	}
	s := &m.segs[i]
	line := m.raw[s.start:s.end]
	set, multi := m.multiByte()
	if multi {
		line = s.text // its bytes may look like delimiters
	} else if value, err = m.encode(value); err != nil {
		return fail(err.Error())
	}
	if line, err = splice(line, m.delims, p, value); err != nil {
		return fail(err.Error())
	}
	if multi {
		if line, err = set.enc.NewEncoder().String(line); err != nil {
			return fail("the character set has no such character")
		}
	}
	raw := m.raw[:s.start] + line + m.raw[s.end:]
	if m.wide != "" {
		ok := false
		if raw, ok = encodeWide(strings.TrimPrefix(raw, bom), m.charset.Used); !ok {
			return fail("the character set has no such character")
		}
	}
	edited, err := Limits{Bytes: len(raw) + 1, Segments: len(m.segs) + 1, Fields: maxFields}.Parse([]byte(raw))
	if err != nil {
		return nil, p, err
	}
	if was := m.charset.Used; was != "ASCII" && edited.charset.Used != was && !(isHeader(p.Segment) && p.Field == 18) {
		return fail("the message could not be read in its character set any more")
	}
	return edited, p, nil
}

func (m *Message) find(name string, occurrence int) int {
	for i := range m.segs {
		if m.segs[i].nth == occurrence && m.segs[i].text[:3] == name {
			return i
		}
	}
	return -1
}

// multiByte gives the set the message was read in, where its bytes can look
// like ASCII.
func (m *Message) multiByte() (multiByteSet, bool) {
	for _, set := range multiByte {
		if set.name == m.charset.Used {
			return set, true
		}
	}
	return multiByteSet{}, false
}

var errNoCharacter = errors.New("the character set has no such character")

// encode writes UTF-8 text in the message's character set.
func (m *Message) encode(text string) (string, error) {
	if isASCII(text) || m.wide != "" {
		return text, nil
	}
	name := plainName(m.charset.Declared)
	var set *charmap.Charmap
	switch m.charset.Used {
	case "UTF-8", "mixed":
		return text, nil
	case "windows-1252":
		set = charmap.Windows1252
	case "ASCII":
		if declared, ok := multiByte[name]; ok {
			return declared.enc.NewEncoder().String(text)
		}
		if name == "ASCII" {
			return "", errNoCharacter
		}
		if set = singleByte[name]; set == nil {
			return text, nil
		}
	default:
		set = singleByte[name]
	}
	b := make([]byte, 0, len(text))
	for _, r := range text {
		c, ok := set.EncodeRune(r)
		if !ok {
			return "", errNoCharacter
		}
		b = append(b, c)
	}
	return string(b), nil
}

// splice puts value at p into a segment's line; repetition 0 is the whole field.
func splice(line string, d Delimiters, p Path, value string) (string, error) {
	field := p.Field
	if isHeader(p.Segment) {
		field--
	}
	type level struct {
		sep byte
		n   int
	}
	levels := []level{{d.Field, field}}
	if p.Repetition > 0 {
		levels = append(levels, level{d.Repetition, p.Repetition - 1})
	}
	if p.Component > 0 {
		levels = append(levels, level{d.Component, p.Component - 1})
	}
	if p.Subcomponent > 0 {
		levels = append(levels, level{d.Subcomponent, p.Subcomponent - 1})
	}
	at, end := 0, len(line)
	for _, l := range levels {
		if l.n > 0 && l.sep == 0 {
			return "", errors.New("the message declares no delimiter for this")
		}
		for n := l.n; n > 0; n-- {
			i := strings.IndexByte(line[at:end], l.sep)
			if i < 0 {
				more := strings.Repeat(string(rune(l.sep)), n)
				line = line[:end] + more + line[end:]
				end += len(more)
				at = end
				break
			}
			at += i + 1
		}
		end = at + len(first(line[at:end], l.sep))
	}
	return line[:at] + value + line[end:], nil
}

// Wire gives the message as MLLP and the standard want it: segments end in CR,
// no byte order mark, no blank lines, UTF-16 and UTF-32 turned into UTF-8 with
// MSH-18 saying so. A message that is so already is returned unchanged.
//
// Source: HL7 v2.9 chapter 2.5.2, Segments; MLLP release 1.
func (m *Message) Wire() []byte {
	if m.wide != "" {
		if declared, err := m.narrow().WithRaw("MSH-18", "UNICODE UTF-8"); err == nil {
			m = declared
		}
	}
	b := make([]byte, 0, len(m.raw)+1)
	for i := range m.segs {
		b = append(append(b, m.raw[m.segs[i].start:m.segs[i].end]...), '\r')
	}
	return b
}

// narrow is the message as if it had come in UTF-8.
func (m *Message) narrow() *Message {
	n := *m
	n.wide, n.charset.Used = "", "UTF-8"
	if isASCII(n.raw) {
		n.charset.Used = "ASCII"
	}
	return &n
}
