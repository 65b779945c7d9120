// Package rtf reads the text of a Rich Text Format document. Letters and
// reports come as RTF from many systems; shown as text they need no program on
// the reader's machine and can run nothing.
//
// Source: Rich Text Format (RTF) Specification, version 1.9.1.
package rtf

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf16"

	"golang.org/x/text/encoding/charmap"
)

// ErrNotRTF is returned for what does not begin as RTF.
var ErrNotRTF = errors.New("rtf: not an RTF document")

const (
	maxDepth = 256     // groups within groups
	maxText  = 4 << 20 // bytes of text; the rest is cut
)

// Text is the text of an RTF document: paragraphs and lines end in "\n", table
// cells are set apart by tabs. Pictures, fonts, styles, field instructions and
// other destinations that hold no text of the document are left out. A
// document that ends early gives the text it has.
func Text(b []byte) (string, error) {
	if !bytes.HasPrefix(b, []byte(`{\rtf`)) {
		return "", ErrNotRTF
	}
	p := parser{b: b, state: state{decoder: charmap.Windows1252, skip: 1}}
	p.run()
	text := strings.TrimRight(p.out.String(), " \t\n")
	return strings.TrimLeft(text, "\n"), nil
}

// state is what a group inherits and gives back at its end.
type state struct {
	silent  bool             // inside a destination that is not shown
	decoder *charmap.Charmap // of \'hh bytes
	skip    int              // \ucN: fallback characters after \u
}

type parser struct {
	b     []byte
	at    int
	state state
	stack []state
	out   strings.Builder
	drop  int  // fallback characters still to drop
	high  rune // first half of a surrogate pair
	mute  bool // the next control word may begin an ignorable destination (\*)
	fresh bool // the group has just begun
	over  int  // groups beyond maxDepth
}

func (p *parser) run() {
	for p.at < len(p.b) && p.out.Len() < maxText {
		c := p.b[p.at]
		p.at++
		switch c {
		case '{':
			if len(p.stack) >= maxDepth {
				p.over++
				break
			}
			p.stack = append(p.stack, p.state)
			p.drop, p.fresh = 0, true
			continue
		case '}':
			switch {
			case p.over > 0:
				p.over--
			case len(p.stack) > 0:
				p.state = p.stack[len(p.stack)-1]
				p.stack = p.stack[:len(p.stack)-1]
				if len(p.stack) == 0 {
					return
				}
			}
			p.drop = 0
		case '\\':
			p.control()
			continue
		case '\r', '\n', 0:
			continue
		default:
			p.text(p.state.decoder.DecodeByte(c))
		}
		p.fresh, p.mute = false, false
	}
}

// control reads what follows a backslash.
func (p *parser) control() {
	if p.at >= len(p.b) {
		return
	}
	c := p.b[p.at]
	if !letter(c) {
		p.at++
		switch c {
		case '*':
			p.mute = p.fresh
			return
		case '\'':
			p.hex()
		case '~':
			p.text(' ')
		case '_':
			p.text('-')
		case '\\', '{', '}':
			p.text(rune(c))
		case '\r', '\n':
			p.text('\n')
		}
		p.fresh, p.mute = false, false
		return
	}
	start := p.at
	for p.at < len(p.b) && letter(p.b[p.at]) && p.at-start < 32 {
		p.at++
	}
	word := string(p.b[start:p.at])
	n, has := p.number()
	if p.at < len(p.b) && p.b[p.at] == ' ' {
		p.at++
	}
	p.word(word, n, has)
	p.fresh, p.mute = false, false
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func (p *parser) number() (n int, ok bool) {
	negative := false
	i := p.at
	if i < len(p.b) && p.b[i] == '-' {
		negative = true
		i++
	}
	for ; i < len(p.b) && p.b[i] >= '0' && p.b[i] <= '9' && i-p.at < 11; i++ {
		n = n*10 + int(p.b[i]-'0')
		ok = true
	}
	if !ok {
		return 0, false
	}
	p.at = i
	if negative {
		n = -n
	}
	return n, true
}

// silentWords begin destinations whose text is not the document's.
var silentWords = map[string]bool{
	"fonttbl": true, "colortbl": true, "stylesheet": true, "info": true, "pict": true, "object": true, "themedata": true,
	"colorschememapping": true, "datastore": true, "latentstyles": true, "listtable": true, "listoverridetable": true,
	"rsidtbl": true, "generator": true, "fldinst": true, "xmlnstbl": true, "mmathPr": true, "filetbl": true, "revtbl": true,
	"bkmkstart": true, "bkmkend": true, "nonshppict": true, "pntext": false, "header": false, "footer": false,
}

// marks are control words that stand for a character.
var marks = map[string]rune{
	"par": '\n', "line": '\n', "sect": '\n', "page": '\n', "row": '\n', "nestrow": '\n', "tab": '\t', "cell": '\t', "nestcell": '\t',
	"emdash": '—', "endash": '–', "bullet": '•', "lquote": '‘', "rquote": '’', "ldblquote": '“', "rdblquote": '”',
	"emspace": ' ', "enspace": ' ', "qmspace": ' ',
}

func (p *parser) word(word string, n int, has bool) {
	if p.mute || silentWords[word] {
		p.state.silent = true
		return
	}
	if c, ok := marks[word]; ok {
		p.text(c)
		return
	}
	switch word {
	case "u":
		p.unicode(n)
	case "uc":
		if has && n >= 0 && n < 16 {
			p.state.skip = n
		}
	case "bin": // n bytes that are no RTF
		if n > 0 {
			p.at = min(len(p.b), p.at+n)
		}
	case "ansicpg":
		if d, ok := codePages[n]; ok {
			p.state.decoder = d
			for i := range p.stack {
				p.stack[i].decoder = d
			}
		}
	case "mac":
		p.state.decoder = charmap.Macintosh
	case "pc":
		p.state.decoder = charmap.CodePage437
	case "pca":
		p.state.decoder = charmap.CodePage850
	}
}

var codePages = map[int]*charmap.Charmap{
	437: charmap.CodePage437, 850: charmap.CodePage850, 852: charmap.CodePage852, 866: charmap.CodePage866, 874: charmap.Windows874,
	1250: charmap.Windows1250, 1251: charmap.Windows1251, 1252: charmap.Windows1252, 1253: charmap.Windows1253, 1254: charmap.Windows1254,
	1255: charmap.Windows1255, 1256: charmap.Windows1256, 1257: charmap.Windows1257, 1258: charmap.Windows1258, 10000: charmap.Macintosh,
	28591: charmap.ISO8859_1, 28605: charmap.ISO8859_15,
}

// unicode writes \uN, a signed 16-bit unit; the fallback that follows is dropped.
func (p *parser) unicode(n int) {
	if n < 0 {
		n += 1 << 16
	}
	p.drop = 0
	c := rune(n)
	switch {
	case n < 0 || n > 0xffff:
	case utf16.IsSurrogate(c) && p.high == 0:
		p.high = c
	case p.high != 0:
		if pair := utf16.DecodeRune(p.high, c); pair != encodingError {
			c = pair
		}
		p.high = 0
		p.text(c)
	default:
		p.text(c)
	}
	p.drop = p.state.skip
}

const encodingError = '\ufffd'

// hex writes \'hh, a byte of the document's character set.
func (p *parser) hex() {
	if p.at+2 > len(p.b) {
		p.at = len(p.b)
		return
	}
	high, ok1 := digit(p.b[p.at])
	low, ok2 := digit(p.b[p.at+1])
	p.at += 2
	if ok1 && ok2 {
		p.text(p.state.decoder.DecodeByte(high<<4 | low))
	}
}

func digit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// text writes one character of the document. Other control characters than
// those that shape text are left out.
func (p *parser) text(c rune) {
	if p.drop > 0 {
		p.drop--
		return
	}
	if p.state.silent || c < ' ' && c != '\n' && c != '\t' || c == 0x7f {
		return
	}
	p.out.WriteRune(c)
}
