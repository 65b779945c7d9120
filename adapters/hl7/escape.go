package hl7

import (
	"encoding/hex"
	"strconv"
	"strings"

	"golang.org/x/text/encoding/japanese"
)

// unescape decodes the escape sequences of text.
//
//	\F\ \S\ \T\ \R\ \E\ \P\      the delimiters (\P\ only where one is declared)
//	\Xhh..\                      bytes, in the message's character set
//	\.br\ \.sp n\ \.ce\          line breaks; \.sk n\ n blanks
//	\.fi\ \.nf\ \.in n\ \.ti n\  \H\ \N\   layout and highlighting: dropped
//	\Cxxyy\ \Mxxyyzz\            change of character set: followed for JIS X 0208, else dropped
//	\Z..\                        locally defined: left as sent
//
// What is none of these, such as the backslashes of a file name, is left as
// sent. The result is valid UTF-8 and never longer than twice the text.
//
// Source: HL7 v2.9 chapter 2.7, Use of escape sequences in text fields.
func (m *Message) unescape(s string) string {
	if m == nil || m.delims.Escape == 0 {
		return s
	}
	esc := m.delims.Escape
	i := strings.IndexByte(s, esc)
	if i < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	var bytes []byte // of \X..\ sequences that touch, which may share a character
	flush := func() {
		if bytes != nil {
			b.WriteString(m.decodeBytes(string(bytes)))
			bytes = nil
		}
	}
	for i >= 0 {
		if i > 0 {
			flush()
			b.WriteString(s[:i])
			s = s[i:]
		}
		end := strings.IndexByte(s[1:], esc)
		if end < 0 {
			break
		}
		body := s[1 : 1+end]
		rest := s[2+end:]
		switch text, kind := m.sequence(body); kind {
		case seqText:
			flush()
			b.WriteString(text)
		case seqBytes:
			bytes = append(bytes, text...)
		case seqKanji:
			flush()
			text, rest = kanji(body, rest, esc)
			b.WriteString(text)
		case seqLocal:
			flush()
			b.WriteString(s[:2+end])
		default: // no sequence begins here
			flush()
			b.WriteByte(esc)
			rest = s[1:]
		}
		s = rest
		i = strings.IndexByte(s, esc)
	}
	flush()
	b.WriteString(s)
	return b.String()
}

type seqKind int

const (
	seqNone seqKind = iota
	seqText
	seqBytes
	seqKanji
	seqLocal
)

// sequence decodes what stands between two escape characters.
func (m *Message) sequence(body string) (text string, kind seqKind) {
	if body == "" {
		return "", seqNone
	}
	if len(body) == 1 {
		var c byte
		switch body[0] {
		case 'F':
			c = m.delims.Field
		case 'S':
			c = m.delims.Component
		case 'T':
			c = m.delims.Subcomponent
		case 'R':
			c = m.delims.Repetition
		case 'E':
			c = m.delims.Escape
		case 'P':
			c = m.delims.Truncation
		case 'H', 'N':
			return "", seqText
		}
		if c != 0 {
			return string(rune(c)), seqText
		}
	}
	switch body[0] {
	case 'X':
		if b, err := hex.DecodeString(body[1:]); err == nil && len(b) > 0 {
			return string(b), seqBytes
		}
	case 'C':
		if isHex(body[1:], 4, 4) {
			return "", seqText
		}
	case 'M':
		if isHex(body[1:], 4, 6) {
			if strings.HasPrefix(body, "M2442") || strings.HasPrefix(body, "M2440") {
				return "", seqKanji
			}
			return "", seqText
		}
	case 'Z':
		if len(body) > 1 || body == "Z" {
			return "", seqLocal
		}
	case '.':
		return layout(body[1:])
	}
	return "", seqNone
}

func isHex(s string, least, most int) bool {
	_, err := hex.DecodeString(s)
	return err == nil && least <= len(s) && len(s) <= most
}

// maxSkip bounds \.sp\ and \.sk\, so that text cannot grow without bound.
const maxSkip = 100

// layout decodes the formatting commands of the FT data type.
func layout(body string) (string, seqKind) {
	if len(body) < 2 {
		return "", seqNone
	}
	command, arg := strings.ToLower(body[:2]), strings.TrimSpace(body[2:])
	n, err := strconv.Atoi(arg)
	if arg != "" && err != nil {
		return "", seqNone
	}
	switch command {
	case "br", "ce":
		if arg == "" {
			return "\n", seqText
		}
	case "sp":
		return strings.Repeat("\n", min(max(n, 1), maxSkip)), seqText
	case "sk":
		return strings.Repeat(" ", min(max(n, 1), maxSkip)), seqText
	case "in", "ti":
		return "", seqText
	case "fi", "nf":
		if arg == "" {
			return "", seqText
		}
	}
	return "", seqNone
}

// kanji decodes the two-byte characters of JIS X 0208 that follow \M2442\ (or
// \M2440\), up to the next escape sequence.
func kanji(body, rest string, esc byte) (text, after string) {
	chars := first(rest, esc)
	after = rest[len(chars):]
	set, _ := hex.DecodeString(body[1:5])
	decoded, err := japanese.ISO2022JP.NewDecoder().String("\x1b" + string(set) + chars)
	if err != nil {
		return chars, after
	}
	return decoded, after
}

// Encode encodes text for a field, component or subcomponent: delimiters as
// \F\ and so on, "\n" as \.br\, other control characters in hex, and the two
// quotation marks that would read as the HL7 null in hex.
//
// Without an escape character delimiters and control characters cannot be
// sent; they become blanks.
func (d Delimiters) Encode(text string) string {
	if text == `""` && d.Escape != 0 {
		return string([]byte{d.Escape}) + "X2222" + string([]byte{d.Escape})
	}
	i := 0
	for i < len(text) && !d.special(text[i]) {
		i++
	}
	if i == len(text) {
		return text
	}
	b := append(make([]byte, 0, len(text)+16), text[:i]...)
	for ; i < len(text); i++ {
		c := text[i]
		if !d.special(c) {
			b = append(b, c)
			continue
		}
		if d.Escape == 0 {
			b = append(b, ' ')
			continue
		}
		b = append(b, d.Escape)
		switch c {
		case 0: // also what stands for a delimiter that is not declared
			b = append(b, "X00"...)
		case d.Field:
			b = append(b, 'F')
		case d.Component:
			b = append(b, 'S')
		case d.Subcomponent:
			b = append(b, 'T')
		case d.Repetition:
			b = append(b, 'R')
		case d.Escape:
			b = append(b, 'E')
		case d.Truncation:
			b = append(b, 'P')
		case '\n':
			b = append(b, ".br"...)
		default:
			const digits = "0123456789ABCDEF"
			b = append(b, 'X', digits[c>>4], digits[c&15])
		}
		b = append(b, d.Escape)
	}
	return string(b)
}

// special reports whether c cannot stand in text as it is.
func (d Delimiters) special(c byte) bool {
	return c < ' ' && c != '\t' || c == 0x7f || d.separates(c) || c == d.Escape && c != 0 || c == d.Truncation && c != 0
}
