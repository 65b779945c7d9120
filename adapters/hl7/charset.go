package hl7

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
)

// Charset says in what character set a message was declared and read.
type Charset struct {
	Declared string // MSH-18, first repetition, as sent; may be empty
	Used     string // "ASCII", "UTF-8", "ISO-8859-1", "windows-1252", "GB18030", ...; "mixed" where none fits
}

// Charset gives how the message's bytes were read. The bytes decide, because
// declarations are often wrong:
//
//   - bytes below 0x80 only: ASCII, whatever is declared (ISO 2022 escapes are
//     followed where one of the Japanese sets is declared);
//   - a declared multi-byte set that reads every byte is believed;
//   - valid UTF-8 is UTF-8: text in a single-byte set is so only by rare accident;
//   - a declared single-byte set that gives every byte a meaning is believed; bytes
//     0x80 to 0x9F, which are no letters in ISO 8859, make it windows-1252;
//   - otherwise the message is mixed: what is valid UTF-8 is read so, and each
//     other byte as windows-1252. A UTF-8 text cut off in the middle of a
//     character, or one field in another set, costs no other text.
//
// Message.Bytes stays what was received in every case.
func (m *Message) Charset() Charset { return m.charset }

// Names as HL7 writes them, without blanks and punctuation; the rest is what
// systems send instead.
//
// Source: HL7 table 0211, Alternate character sets. CNS 11643-1992 is read as
// undeclared.
var singleByte = map[string]*charmap.Charmap{
	"88591": charmap.ISO8859_1, "88592": charmap.ISO8859_2, "88593": charmap.ISO8859_3,
	"88594": charmap.ISO8859_4, "88595": charmap.ISO8859_5, "88596": charmap.ISO8859_6,
	"88597": charmap.ISO8859_7, "88598": charmap.ISO8859_8, "88599": charmap.ISO8859_9,
	"885915": charmap.ISO8859_15, "LATIN1": charmap.ISO8859_1, "LATIN9": charmap.ISO8859_15,
	"WINDOWS1252": charmap.Windows1252, "CP1252": charmap.Windows1252, "1252": charmap.Windows1252,
}

type multiByteSet struct {
	name string
	enc  encoding.Encoding
}

var multiByte = map[string]multiByteSet{
	"GB180302000": {"GB18030", simplifiedchinese.GB18030},
	"GB18030":     {"GB18030", simplifiedchinese.GB18030},
	"BIG5":        {"Big5", traditionalchinese.Big5},
	"KSX1001":     {"EUC-KR", korean.EUCKR},
	"IR13":        {"Shift_JIS", japanese.ShiftJIS}, // half-width katakana
	"IR14":        {"ISO-2022-JP", japanese.ISO2022JP},
	"IR87":        {"ISO-2022-JP", japanese.ISO2022JP},
	"IR159":       {"ISO-2022-JP", japanese.ISO2022JP},
	"JAS2020":     {"ISO-2022-JP", japanese.ISO2022JP},
}

// plainName reduces a declaration to letters and digits: "ISO-8859-1" and
// "8859/1" both give "88591".
func plainName(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		}
		return -1
	}, s)
	return strings.TrimPrefix(s, "ISO")
}

// decode fills the segments' text from the message's bytes.
func (m *Message) decode() {
	f := m.header().Field(18)
	m.charset.Declared = f.Rep(0).Raw()
	if m.charset.Used != "" { // UTF-16 or UTF-32, decoded already
		return
	}
	if isASCII(m.raw) {
		m.charset.Used = "ASCII"
		if strings.IndexByte(m.raw, 0x1b) >= 0 {
			for r := range f.Reps() {
				if set := multiByte[plainName(r.Raw())]; set.name == "ISO-2022-JP" && m.decodeMulti(set) {
					return
				}
			}
		}
		return
	}
	name := plainName(m.charset.Declared)
	if set, ok := multiByte[name]; ok && m.decodeMulti(set) {
		return
	}
	if utf8.ValidString(m.raw) {
		m.charset.Used = "UTF-8"
		return
	}
	if set, ok := singleByte[name]; ok {
		if set != charmap.Windows1252 && hasC1(m.raw) {
			set = charmap.Windows1252
		}
		if m.decodeSingle(set) {
			return
		}
	}
	m.charset.Used = "mixed"
	for i := range m.segs {
		s := &m.segs[i]
		s.text = decodeMixed(m.raw[s.start:s.end])
	}
}

func (m *Message) decodeSingle(set *charmap.Charmap) bool {
	for i := range m.segs {
		s := &m.segs[i]
		text, ok := decodeCharmap(m.raw[s.start:s.end], set)
		if !ok {
			return false
		}
		s.text = text
	}
	switch set {
	case charmap.Windows1252:
		m.charset.Used = "windows-1252"
	default:
		m.charset.Used = strings.Replace(set.String(), " ", "-", 1)
	}
	return true
}

func (m *Message) decodeMulti(set multiByteSet) bool {
	texts := make([]string, len(m.segs))
	for i := range m.segs {
		s := &m.segs[i]
		text, err := set.enc.NewDecoder().String(m.raw[s.start:s.end])
		if err != nil || strings.ContainsRune(text, utf8.RuneError) || len(text) < 3 || text[:3] != m.raw[s.start:s.start+3] {
			return false
		}
		texts[i] = text
	}
	for i := range m.segs {
		m.segs[i].text = texts[i]
	}
	m.charset.Used = set.name
	return true
}

func decodeCharmap(s string, set *charmap.Charmap) (string, bool) {
	if isASCII(s) {
		return s, true
	}
	var b strings.Builder
	b.Grow(len(s) + len(s)/8 + 4)
	for i := 0; i < len(s); i++ {
		r := set.DecodeByte(s[i])
		if r == utf8.RuneError {
			if set != charmap.Windows1252 {
				return "", false
			}
			r = rune(s[i])
		}
		b.WriteRune(r)
	}
	return b.String(), true
}

// decodeMixed reads what is valid UTF-8 as UTF-8 and each other byte as
// windows-1252, which gives every byte a character.
func decodeMixed(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + len(s)/8 + 4)
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			if r = charmap.Windows1252.DecodeByte(s[i]); r == utf8.RuneError {
				r = rune(s[i])
			}
		}
		b.WriteRune(r)
		i += n
	}
	return b.String()
}

// decodeBytes reads bytes that stood in an \X..\ escape.
func (m *Message) decodeBytes(s string) string {
	if isASCII(s) {
		return s
	}
	name := plainName(m.charset.Declared)
	if set, ok := singleByte[name]; ok && !utf8.ValidString(s) {
		if hasC1(s) {
			set = charmap.Windows1252
		}
		if text, ok := decodeCharmap(s, set); ok {
			return text
		}
	}
	if set, ok := multiByte[name]; ok {
		if text, err := set.enc.NewDecoder().String(s); err == nil && !strings.ContainsRune(text, utf8.RuneError) {
			return text
		}
	}
	return decodeMixed(s)
}

func isASCII(s string) bool {
	for len(s) >= 8 {
		if (s[0]|s[1]|s[2]|s[3]|s[4]|s[5]|s[6]|s[7])&0x80 != 0 {
			return false
		}
		s = s[8:]
	}
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func hasC1(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i]&0xe0 == 0x80 {
			return true
		}
	}
	return false
}

// wide are the character sets whose bytes hold no ASCII delimiters. MLLP cannot
// carry them; files may.
var wide = map[string]encoding.Encoding{
	"UTF-16LE": unicode.UTF16(unicode.LittleEndian, unicode.UseBOM),
	"UTF-16BE": unicode.UTF16(unicode.BigEndian, unicode.UseBOM),
	"UTF-32LE": utf32.UTF32(utf32.LittleEndian, utf32.UseBOM),
	"UTF-32BE": utf32.UTF32(utf32.BigEndian, utf32.UseBOM),
}

// wideKind tells UTF-16 and UTF-32 by their byte order mark or by the zeros
// around the first letter; "" otherwise.
func wideKind(s string) string {
	switch {
	case len(s) < 4, s[0] != 0 && s[1] != 0 && s[0] != 0xff && s[0] != 0xfe:
		return ""
	case s[:4] == "\xff\xfe\x00\x00", s[0] != 0 && s[1:4] == "\x00\x00\x00":
		return "UTF-32LE"
	case s[:4] == "\x00\x00\xfe\xff", s[:3] == "\x00\x00\x00":
		return "UTF-32BE"
	case s[:2] == "\xff\xfe", s[0] != 0 && s[1] == 0:
		return "UTF-16LE"
	case s[:2] == "\xfe\xff", s[0] == 0 && s[1] != 0:
		return "UTF-16BE"
	}
	return ""
}
