package inbox

import (
	"bytes"
	"strings"
	"unicode"
)

// headFields is how many fields of MSH are nobody's: who sends what to whom,
// under which number and version.
//
// Source: HL7 v2.9 chapter 2.13.9.
const headFields = 12

// Masked is the message's text for somebody who looks for a fault in it: every
// letter is "x" and every digit "9", in a v2 message but for the names of
// segments and the head of MSH. What separates fields and parts stays where it
// is, and so does each line.
func (m Message) Masked() string {
	text := strings.ToValidUTF8(string(m.Body), "x")
	field, ok := separator(text)
	if m.Kind != HL7v2 || !ok {
		return Mask(text)
	}
	var b strings.Builder
	head := true // only the first line is MSH
	for line := range strings.SplitAfterSeq(strings.ReplaceAll(text, "\n", "\r"), "\r") {
		keep := 0
		switch {
		case head && strings.HasPrefix(strings.TrimPrefix(line, "\ufeff"), "MSH"):
			keep, head = fields(line, field, headFields-1), false
		case segmentName(line, field):
			keep = 3
		}
		b.WriteString(line[:keep] + Mask(line[keep:]))
	}
	return b.String()
}

// Type is what a v2 message says it is, "ADT^A08", or else its kind. A beginning
// of the body is enough.
func (m Message) Type() string {
	text := string(m.Body)
	field, ok := separator(text)
	if m.Kind != HL7v2 || !ok {
		return string(m.Kind)
	}
	line, _, _ := strings.Cut(strings.TrimLeft(strings.TrimPrefix(text, "\ufeff"), "\r\n"), "\r")
	all := strings.SplitN(line, string(field), 10)
	if len(all) < 9 || len(all[1]) == 0 {
		return string(m.Kind)
	}
	parts := strings.SplitN(all[8], all[1][:1], 3)
	name := strings.Join(parts[:min(2, len(parts))], "^")
	if len(name) > 20 || strings.ContainsFunc(name, func(r rune) bool { return r != '^' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		return string(m.Kind)
	}
	return name
}

// separator is what a v2 message puts between fields.
func separator(text string) (byte, bool) {
	text = strings.TrimLeft(strings.TrimPrefix(text, "\ufeff"), "\r\n")
	if !strings.HasPrefix(text, "MSH") || len(text) < 8 || bytes.IndexByte([]byte("\r\n\x00"), text[3]) >= 0 || text[3] >= 0x80 {
		return 0, false
	}
	return text[3], true
}

// segmentName tells whether a line begins with a segment's name.
func segmentName(line string, field byte) bool {
	if len(line) < 4 || line[3] != field {
		return false
	}
	for i, c := range []byte(line[:3]) {
		if (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// fields is how long the first n fields of a line are, with its name.
func fields(line string, field byte, n int) int {
	for i := range len(line) {
		if line[i] == field {
			if n--; n < 0 {
				return i
			}
		}
	}
	return len(line)
}

// Mask is a text with every letter as "x" and every digit as "9".
func Mask(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsDigit(r):
			return '9'
		case r >= 0x80 || unicode.IsLetter(r):
			return 'x'
		}
		return r
	}, s)
}
