package hl7

// Delimiters are the characters a message declares in MSH-1 and MSH-2.
// A zero byte stands for a delimiter that was not declared and so never occurs.
//
// Source: HL7 v2.9 chapter 2.5.4, Message delimiters.
type Delimiters struct {
	Field        byte // MSH-1, usually |
	Component    byte // usually ^
	Repetition   byte // usually ~
	Escape       byte // usually \
	Subcomponent byte // usually &
	Truncation   byte // since v2.7, usually #; 0 when not declared
}

// Standard are the delimiters HL7 recommends. They declare no truncation
// character, which is right for every version.
var Standard = Delimiters{'|', '^', '~', '\\', '&', 0}

// Encoding gives MSH-2.
func (d Delimiters) Encoding() string {
	b := make([]byte, 0, 5)
	for _, c := range [...]byte{d.Component, d.Repetition, d.Escape, d.Subcomponent, d.Truncation} {
		if c == 0 {
			break
		}
		b = append(b, c)
	}
	return string(b)
}

// in reports whether c is one of the delimiters that separate.
func (d Delimiters) separates(c byte) bool {
	return c != 0 && (c == d.Field || c == d.Component || c == d.Repetition || c == d.Subcomponent)
}

// delimiters reads MSH-1 and MSH-2 (or FHS-1.., BHS-1..) from a line that
// begins with a segment name. reason is empty when they are sound.
func delimiters(line string) (d Delimiters, reason string) {
	if len(line) < 4 {
		return d, "no field separator"
	}
	d.Field = line[3]
	if !canDelimit(d.Field) {
		return d, "the field separator is a letter, digit, blank or control character"
	}
	declared := line[4:]
	for i := 0; i < len(declared); i++ {
		if c := declared[i]; c == d.Field || c == '\r' || c == '\n' {
			declared = declared[:i]
			break
		}
	}
	if len(declared) > 5 {
		return d, "more than five encoding characters"
	}
	for i := 0; i < len(declared); i++ {
		c := declared[i]
		if !canDelimit(c) {
			return d, "an encoding character is a letter, digit, blank or control character"
		}
		for j := 0; j < i; j++ {
			if declared[j] == c {
				return d, "an encoding character is declared twice"
			}
		}
	}
	for i, p := range [...]*byte{&d.Component, &d.Repetition, &d.Escape, &d.Subcomponent, &d.Truncation} {
		if i < len(declared) {
			*p = declared[i]
		}
	}
	return d, ""
}

// canDelimit: printing ASCII, neither letter, digit nor the quotation mark,
// which would make the HL7 null unreadable.
func canDelimit(c byte) bool {
	return c > ' ' && c < 0x7f && c != '"' && !isLetter(c) && !isDigit(c)
}

func isLetter(c byte) bool { return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
