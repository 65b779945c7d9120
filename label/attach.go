package label

import (
	"bytes"
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"firebreak/fhir"
)

// attachment reads the file that an Attachment or Binary holds, as far as it
// has text. A file that cannot be read (a scan, a picture) is judged by what it
// is attached to.
func (j *judge) attachment(v fhir.Node) {
	data := v.Get("data")
	if data.Kind() != '"' {
		return
	}
	b, err := base64.StdEncoding.DecodeString(squeeze(data.Text()))
	if err != nil {
		return
	}
	j.path = append(j.path, step{"data", -1})
	defer func() { j.path = j.path[:len(j.path)-1] }()
	if text := fileText(v.Get("contentType").Text(), b); text != "" {
		j.read(text, inNote)
	}
	if bytes.Contains(b[:min(len(b), 8192)], []byte("ClinicalDocument")) || len(b) > 1 && (b[0] == 0xfe || b[0] == 0xff) {
		j.cdaCodes(readable(b))
	}
}

func squeeze(s string) string {
	if !strings.ContainsAny(s, " \r\n\t") {
		return s
	}
	return strings.NewReplacer(" ", "", "\r", "", "\n", "", "\t", "").Replace(s)
}

// maxFileText bounds how much text of one file is read, in bytes.
const maxFileText = 4 << 20

// fileText is the text of a file: of PDF its text layer and metadata, of RTF,
// HTML and XML what stands between the marks. "" when there is none to read.
// What the file is counts for more than what it says it is.
func fileText(contentType string, b []byte) string {
	head := string(b[:min(len(b), 1024)])
	switch {
	case strings.Contains(head, "%PDF-"):
		return pdfText(b)
	case strings.HasPrefix(strings.TrimSpace(head), `{\rtf`):
		return rtfText(b)
	}
	text := readable(b)
	if text == "" {
		return ""
	}
	if strings.Contains(contentType, "html") || strings.Contains(contentType, "xml") || strings.HasPrefix(strings.TrimSpace(head), "<") {
		return stripped(text)
	}
	return text
}

// readable is b as text, or "" when it is none: UTF-8, UTF-16 with its mark, or
// one byte a letter.
func readable(b []byte) string {
	b = b[:min(len(b), maxFileText)]
	if len(b) >= 2 && (b[0] == 0xfe && b[1] == 0xff || b[0] == 0xff && b[1] == 0xfe) {
		return utf16Text(b[2:], b[0] == 0xfe)
	}
	strange := 0
	for _, c := range b {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' && c != '\f' || c == 0x7f {
			strange++
		}
	}
	if strange*50 > len(b) {
		return ""
	}
	if utf8.Valid(b) {
		return string(b)
	}
	return latin1(b)
}

func latin1(b []byte) string {
	r := make([]rune, len(b))
	for i, c := range b {
		r[i] = rune(c)
	}
	return string(r)
}

func utf16Text(b []byte, big bool) string {
	var out strings.Builder
	for i := 0; i+1 < len(b); i += 2 {
		u := rune(b[i])<<8 | rune(b[i+1])
		if !big {
			u = rune(b[i+1])<<8 | rune(b[i])
		}
		if u >= 0xd800 && u < 0xe000 {
			u = utf8.RuneError
		}
		out.WriteRune(u)
	}
	return out.String()
}

// inline marks stand inside words; any other mark parts them.
var inline = map[string]bool{"b": true, "i": true, "u": true, "em": true, "strong": true, "span": true, "font": true, "sub": true, "sup": true, "a": true, "small": true, "big": true, "tt": true, "s": true, "mark": true, "wbr": true, "abbr": true, "content": true, "linkhtml": true}

var entities = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&quot;", `"`, "&apos;", "'", "&nbsp;", " ", "&#160;", " ", "&shy;", "", "&#173;", "", "&amp;", "&",
	"&aacute;", "á", "&eacute;", "é", "&iacute;", "í", "&oacute;", "ó", "&uacute;", "ú", "&egrave;", "è", "&agrave;", "à", "&ecirc;", "ê", "&ntilde;", "ñ", "&ccedil;", "ç")

// stripped is the text of XHTML or XML: tags out, attributes alt and title kept,
// entities resolved.
func stripped(s string) string {
	var out strings.Builder
	for {
		i := strings.IndexByte(s, '<')
		if i < 0 {
			out.WriteString(s)
			break
		}
		out.WriteString(s[:i])
		s = s[i:]
		if rest, ok := strings.CutPrefix(s, "<!--"); ok { // read comments too
			s = rest
			continue
		}
		end := strings.IndexByte(s, '>')
		if end < 0 {
			out.WriteString(s)
			break
		}
		tag := s[1:end]
		s = s[end+1:]
		name := strings.ToLower(strings.Trim(tag, "/ "))
		if k := strings.IndexAny(name, " \t\r\n/"); k >= 0 {
			for _, attr := range []string{"alt=", "title=", "content="} {
				if a := strings.Index(name, attr); a >= 0 {
					out.WriteString(" " + name[a+len(attr):] + " ")
				}
			}
			name = name[:k]
		}
		if !inline[name] {
			out.WriteByte('\n')
			out.WriteByte(' ')
		}
	}
	return numeric(entities.Replace(out.String()))
}

// numeric resolves &#72; and &#x48;.
func numeric(s string) string {
	if !strings.Contains(s, "&#") {
		return s
	}
	var out strings.Builder
	for {
		i := strings.Index(s, "&#")
		if i < 0 {
			out.WriteString(s)
			return out.String()
		}
		out.WriteString(s[:i])
		s = s[i+2:]
		base, digits := rune(10), s
		if len(s) > 0 && (s[0] == 'x' || s[0] == 'X') {
			base, digits = 16, s[1:]
		}
		n, k := rune(0), 0
		for ; k < len(digits) && k < 7; k++ {
			d := hexDigit(digits[k])
			if d < 0 || d >= int(base) {
				break
			}
			n = n*base + rune(d)
		}
		s = strings.TrimPrefix(digits[k:], ";")
		if k > 0 && utf8.ValidRune(n) {
			out.WriteRune(n)
		}
	}
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// rtfText is the text of a Rich Text Format file, hidden text and comments too.
// Source: RTF specification 1.9.1.
func rtfText(b []byte) string {
	var out strings.Builder
	b = b[:min(len(b), maxFileText)]
	for i := 0; i < len(b); {
		c := b[i]
		switch {
		case c == '{' || c == '}' || c == '\r' || c == '\n':
			i++
		case c != '\\':
			if c < 0x80 {
				out.WriteByte(c)
			} else {
				out.WriteRune(rune(c))
			}
			i++
		case i+1 >= len(b):
			i++
		case b[i+1] == '\'' && i+3 < len(b) && hexDigit(b[i+2]) >= 0 && hexDigit(b[i+3]) >= 0:
			out.WriteRune(rune(hexDigit(b[i+2])<<4 | hexDigit(b[i+3])))
			i += 4
		case b[i+1] == '-': // optional hyphen: inside a word
			i += 2
		case b[i+1] == '~' || b[i+1] == '_':
			out.WriteByte(' ')
			i += 2
		case !letter(b[i+1]):
			if b[i+1] == '\\' || b[i+1] == '{' || b[i+1] == '}' {
				out.WriteByte(b[i+1])
			}
			i += 2
		default:
			k := i + 1
			for k < len(b) && letter(b[k]) {
				k++
			}
			word := string(b[i+1 : k])
			from := k
			if k < len(b) && b[k] == '-' {
				k++
			}
			for k < len(b) && digit(b[k]) && k-from < 12 {
				k++
			}
			arg := string(b[from:k])
			if k < len(b) && b[k] == ' ' {
				k++
			}
			i = k
			switch word {
			case "par", "line", "cell", "row", "tab", "page", "sect", "intbl", "emdash", "endash":
				out.WriteByte('\n')
				out.WriteByte(' ')
			case "u":
				n := 0
				for _, d := range strings.TrimPrefix(arg, "-") {
					n = n*10 + int(d-'0')
				}
				if strings.HasPrefix(arg, "-") {
					n = 65536 - n
				}
				if utf8.ValidRune(rune(n)) {
					out.WriteRune(rune(n))
				}
				if i < len(b) && b[i] == '?' { // the stand-in for older readers
					i++
				} else if i+3 < len(b) && b[i] == '\\' && b[i+1] == '\'' {
					i += 4
				}
			case "bin":
				n := 0
				for _, d := range arg {
					if d >= '0' && d <= '9' {
						n = n*10 + int(d-'0')
					}
				}
				i = min(len(b), i+min(n, len(b)))
			}
		}
	}
	return out.String()
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
