package label

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// words is a text cut into words as the rules know them: lower case, without
// accents, in plain Latin letters, letters and digits apart ("CD4" is "cd",
// "4"). Punctuation is gone but for "&" and "+", which tell D&C from D/C and ER+
// from ER. It is reused from text to text.
type words struct {
	buf   []byte
	list  []word
	lower bool // a lower-case letter was seen
	lines bool // a word ends one line and another begins the next
	camel bool // a capital follows a small letter inside a word
}

type word struct {
	from, to int32 // in buf
	upper    bool  // written in capitals
	newline  bool  // first of its line
	digit    bool
}

// hole stands for a letter that was lost on the way (U+FFFD).
const hole = 0x1a

func (w *words) text(x word) []byte { return w.buf[x.from:x.to] }

// cut splits s. What s held before is forgotten. With camel, a capital after a
// small letter begins a word: "UrineOutput".
func (w *words) cut(s string, camel bool) {
	w.buf, w.list, w.lower, w.lines, w.camel = w.buf[:0], w.list[:0], false, false, false
	if !ascii(s) {
		s = plain(s)
	}
	newline, capital := false, true
	from := -1
	var kind byte // of the word being read: 'a' letters, '0' digits
	end := func() {
		if from >= 0 {
			w.list = append(w.list, word{from: int32(from), to: int32(len(w.buf)), upper: capital && kind == 'a', newline: newline && len(w.list) > 0, digit: kind == '0'})
			if newline && len(w.list) > 1 {
				w.lines = true
			}
			newline = false
		}
		from, capital, kind = -1, true, 0
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z':
			w.lower, capital = true, false
		case c >= 'A' && c <= 'Z':
			if kind == 'a' && s[i-1] >= 'a' && s[i-1] <= 'z' {
				if w.camel = true; camel {
					end()
				}
			}
			c += 'a' - 'A'
		case c == hole:
		case c >= '0' && c <= '9':
			if kind != '0' {
				end()
				from, kind = len(w.buf), '0'
			}
			w.buf = append(w.buf, c)
			continue
		case c == '&' || c == '+':
			end()
			from, kind = len(w.buf), '&'
			w.buf = append(w.buf, c)
			end()
			continue
		case c == '\'' && kind == 'a': // Crohn's, l'hépatite: a word of its own follows
			end()
			continue
		default:
			end()
			if c == '\n' || c == '\r' {
				newline = true
			}
			continue
		}
		if kind != 'a' {
			upper := capital
			end()
			from, kind, capital = len(w.buf), 'a', upper
		}
		w.buf = append(w.buf, c)
	}
	end()
}

// join is w with words that stand at two ends of a line break made one, for a
// text whose words were broken over lines or segments.
func (w *words) join(from *words) {
	w.buf, w.list, w.lower, w.lines, w.camel = w.buf[:0], w.list[:0], from.lower, false, false
	for _, x := range from.list {
		start := int32(len(w.buf))
		w.buf = append(w.buf, from.text(x)...)
		if last := len(w.list) - 1; x.newline && last >= 0 && !x.digit && !w.list[last].digit {
			w.list[last].to = int32(len(w.buf))
			w.list[last].upper = w.list[last].upper && x.upper
			continue
		}
		x.from, x.to = start, int32(len(w.buf))
		w.list = append(w.list, x)
	}
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// plain writes s in ASCII as far as it is readable: compatibility forms undone
// (full-width letters), accents dropped, letters of other alphabets that look
// like Latin ones taken for those, UTF-8 that was read as Latin-1 mended.
func plain(s string) string {
	if strings.ContainsAny(s, "ÃÂ") {
		s = mended(s)
	}
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range norm.NFKD.String(s) {
		switch {
		case r < utf8.RuneSelf:
			b.WriteByte(byte(r))
		case r == utf8.RuneError:
			b.WriteByte(hole)
		case unicode.Is(unicode.Mn, r), r == 0x00ad, r >= 0x200b && r <= 0x200d, r == 0x2060, r == 0xfeff:
			// accents and what has no width
		default:
			if as, ok := latin[r]; ok {
				b.WriteString(as)
			} else {
				b.WriteByte(' ')
			}
		}
	}
	return b.String()
}

// mended undoes a reading of UTF-8 bytes as Latin-1 or Windows-1252.
func mended(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		switch {
		case r < 0x100:
			b = append(b, byte(r))
		case r == '€':
			b = append(b, 0x80)
		case r == '‰':
			b = append(b, 0x89)
		case r == 'Š':
			b = append(b, 0x8a)
		case r == 'š':
			b = append(b, 0x9a)
		default:
			return s
		}
	}
	if !utf8.Valid(b) {
		return s
	}
	return string(b)
}

// latin gives the Latin reading of letters that decompose to none.
var latin = map[rune]string{
	'ß': "ss", 'æ': "ae", 'Æ': "AE", 'œ': "oe", 'Œ': "OE", 'ø': "o", 'Ø': "O", 'ł': "l", 'Ł': "L", 'đ': "d", 'Đ': "D", 'ı': "i",
	// Cyrillic letters that look Latin
	'А': "A", 'В': "B", 'Е': "E", 'К': "K", 'М': "M", 'Н': "H", 'О': "O", 'Р': "P", 'С': "C", 'Т': "T", 'У': "Y", 'Х': "X", 'І': "I", 'Ј': "J", 'Ѕ': "S", 'Ѵ': "V", 'Ԁ': "D", 'Ԛ': "Q", 'Ԝ': "W",
	'а': "a", 'в': "b", 'е': "e", 'к': "k", 'м': "m", 'н': "h", 'о': "o", 'р': "p", 'с': "c", 'т': "t", 'у': "y", 'х': "x", 'і': "i", 'ј': "j", 'ѕ': "s", 'ѵ': "v", 'ԁ': "d", 'ԛ': "q", 'ԝ': "w", 'һ': "h", 'ӏ': "l",
	// Greek capitals that look Latin; small letters that stand for their names
	'Α': "A", 'Β': "B", 'Ε': "E", 'Ζ': "Z", 'Η': "H", 'Ι': "I", 'Κ': "K", 'Μ': "M", 'Ν': "N", 'Ο': "O", 'Ρ': "P", 'Τ': "T", 'Υ': "Y", 'Χ': "X",
	'α': " alpha ", 'β': " beta ", 'γ': " gamma ", 'δ': " delta ", 'ο': "o", 'ν': "v", 'ι': "i", 'μ': "u",
	'’': "'", 'ʼ': "'",
}
