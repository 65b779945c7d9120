package label

import (
	"bytes"
	"compress/lzw"
	"compress/zlib"
	"encoding/ascii85"
	"io"
	"strings"
)

// maxFonts bounds how many fonts of a file are tried on its text.
const maxFonts = 32

// pdfText is what a PDF's text layer, metadata, bookmarks and form fields say,
// as far as it can be read without drawing pages. It does not follow the file's
// structure, which may be broken: it opens every stream and reads every string.
// Text whose letters are numbered by a font is read through the file's ToUnicode
// tables, each string through each of them. "" when there is none (a scan), or when the file
// is encrypted.
//
// Source: ISO 32000-1, 7.3.4 strings, 7.4 filters, 9.4.3 text showing, 9.10.3 ToUnicode.
func pdfText(b []byte) string {
	if bytes.Contains(b, []byte("/Encrypt")) {
		return ""
	}
	var out strings.Builder
	var fonts []map[uint32]string // one ToUnicode table each
	var shown [][]byte
	left := maxFileText * 4
	outside := make([]byte, 0, min(len(b), maxFileText))
	for rest := b; ; {
		i := bytes.Index(rest, []byte("stream"))
		if i < 0 {
			outside = append(outside, rest...)
			break
		}
		outside = append(outside, rest[:i]...)
		dict := rest[max(0, i-2048):i]
		if k := bytes.LastIndex(dict, []byte(" obj")); k >= 0 {
			dict = dict[k:]
		}
		rest = rest[i+len("stream"):]
		rest = bytes.TrimPrefix(rest, []byte("\r"))
		rest = bytes.TrimPrefix(rest, []byte("\n"))
		end := bytes.Index(rest, []byte("endstream"))
		if end < 0 {
			end = len(rest)
		}
		body := rest[:end]
		rest = rest[end:]
		rest = bytes.TrimPrefix(rest, []byte("endstream"))
		if !bytes.Contains(dict, []byte("/Metadata")) && hasAny(dict, "/Image", "/Length1", "/Type1C", "/CIDFontType0C", "/OpenType", "/XRef") { // pictures, fonts
			continue
		}
		body = unfilter(dict, body, left)
		if left -= len(body); left <= 0 {
			break
		}
		switch {
		case bytes.Contains(body, []byte("beginbfchar")) || bytes.Contains(body, []byte("beginbfrange")):
			if len(fonts) < maxFonts {
				table := map[uint32]string{}
				toUnicode(body, table)
				fonts = append(fonts, table)
			}
		case bytes.Contains(body, []byte("<x:xmpmeta")) || bytes.Contains(dict, []byte("/Metadata")):
			out.WriteString(stripped(readable(body)))
			out.WriteByte('\n')
		case hasAny(dict, "/ObjStm", "/XFA") || hasAny(body, "Tj", "TJ", ")'", ") '", ">'", `"`):
			shown = append(shown, body)
		}
	}
	out.WriteString(pdfStrings(outside, nil))
	for _, body := range shown {
		out.WriteByte('\n')
		out.WriteString(pdfStrings(body, nil))
		for _, table := range fonts {
			out.WriteByte('\n')
			out.WriteString(pdfStrings(body, table))
			if out.Len() > maxFileText {
				return out.String()
			}
		}
	}
	return out.String()
}

func hasAny(b []byte, words ...string) bool {
	for _, w := range words {
		if bytes.Contains(b, []byte(w)) {
			return true
		}
	}
	return false
}

// unfilter undoes a stream's filters, as many as are known, up to max bytes.
func unfilter(dict, body []byte, max int) []byte {
	if i := bytes.Index(dict, []byte("/Filter")); i >= 0 {
		dict = dict[i+len("/Filter"):]
	} else {
		return body
	}
	for {
		i := bytes.IndexByte(dict, '/')
		if i < 0 {
			return body
		}
		name := dict[i+1:]
		k := 0
		for k < len(name) && letterOrDigit(name[k]) {
			k++
		}
		filter := string(name[:k])
		dict = name[k:]
		var r io.Reader
		switch filter {
		case "FlateDecode", "Fl":
			z, err := zlib.NewReader(bytes.NewReader(body))
			if err != nil {
				return body
			}
			r = z
		case "LZWDecode", "LZW":
			r = lzw.NewReader(bytes.NewReader(body), lzw.MSB, 8)
		case "ASCII85Decode", "A85":
			r = ascii85.NewDecoder(bytes.NewReader(bytes.TrimSuffix(bytes.TrimSpace(body), []byte("~>"))))
		case "ASCIIHexDecode", "AHx":
			body = hexBytes(body)
			continue
		default: // a parameter, or a filter of pictures
			return body
		}
		plain, _ := io.ReadAll(io.LimitReader(r, int64(max))) // what could be read before an error is text too
		body = plain
	}
}

func letterOrDigit(c byte) bool { return letter(c) || digit(c) }

func hexBytes(b []byte) []byte {
	out := make([]byte, 0, len(b)/2)
	high := -1
	for _, c := range b {
		if c == '>' {
			break
		}
		d := hexDigit(c)
		if d < 0 {
			continue
		}
		if high < 0 {
			high = d
		} else {
			out = append(out, byte(high<<4|d))
			high = -1
		}
	}
	if high >= 0 {
		out = append(out, byte(high<<4))
	}
	return out
}

// pdfStrings reads every string of a content stream or of a file's objects,
// twice when text is shown in it: once with each string by itself, and once with
// those of a line run together, for a word is often shown in pieces.
func pdfStrings(b []byte, table map[uint32]string) string {
	text := pdfRead(b, table, false)
	if hasAny(b, "Tj", "TJ") {
		text += "\n" + pdfRead(b, table, true)
	}
	return text
}

// pdfRead reads the strings of b in order. Strings of one TJ array belong
// together, but for a wide gap between; a new line parts words.
func pdfRead(b []byte, table map[uint32]string, together bool) string {
	var out strings.Builder
	array := false
	last := 0 // where the last number begins
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '%':
			for i < len(b) && b[i] != '\n' && b[i] != '\r' {
				i++
			}
		case c == '(':
			s, next := literal(b, i)
			i = next - 1
			out.WriteString(decoded(s, table))
			if !array && !together {
				out.WriteByte(' ')
			}
		case c == '<' && i+1 < len(b) && b[i+1] == '<':
			i++
		case c == '<':
			end := bytes.IndexByte(b[i:], '>')
			if end < 0 {
				return out.String()
			}
			out.WriteString(decoded(hexBytes(b[i+1:i+end]), table))
			i += end
			if !array && !together {
				out.WriteByte(' ')
			}
		case c == '[':
			array = true
		case c == ']':
			array = false
			if !together {
				out.WriteByte(' ')
			}
		case array && c == '-' && i+3 < len(b) && digit(b[i+1]) && digit(b[i+2]) && digit(b[i+3]): // a gap of 0.1 em or more
			out.WriteByte(' ')
		case (digit(c) || c == '-' || c == '.') && i > 0 && b[i-1] == ' ':
			last = i
		case c == 'T' && i+1 < len(b) && (b[i+1] == 'd' || b[i+1] == 'D'): // x y Td: to the right, or another line
			if !together || strings.Trim(string(b[last:i]), "0. \r\n") != "" {
				out.WriteByte('\n')
			}
		case c == 'T' && i+1 < len(b) && (b[i+1] == '*' || b[i+1] == 'm'):
			out.WriteByte('\n')
		}
	}
	return out.String()
}

// literal reads the string in parentheses that begins at i, and where it ends.
func literal(b []byte, i int) ([]byte, int) {
	var out []byte
	depth := 0
	for ; i < len(b); i++ {
		switch c := b[i]; c {
		case '(':
			if depth++; depth > 1 {
				out = append(out, c)
			}
		case ')':
			if depth--; depth == 0 {
				return out, i + 1
			}
			out = append(out, c)
		case '\\':
			if i++; i >= len(b) {
				return out, i
			}
			switch e := b[i]; {
			case e == 'n' || e == 'r':
				out = append(out, '\n')
			case e == 't':
				out = append(out, '\t')
			case e == '\r' || e == '\n':
			case e >= '0' && e <= '7':
				n := 0
				k := 0
				for ; k < 3 && i+k < len(b) && b[i+k] >= '0' && b[i+k] <= '7'; k++ {
					n = n*8 + int(b[i+k]-'0')
				}
				i += k - 1
				out = append(out, byte(n))
			case e == 'b' || e == 'f':
			default:
				out = append(out, e)
			}
		default:
			out = append(out, c)
		}
	}
	return out, i
}

// decoded is a string's text: through the tables when given, else UTF-16 with
// its mark or one byte a letter.
func decoded(s []byte, tables map[uint32]string) string {
	if tables == nil {
		if len(s) >= 2 && s[0] == 0xfe && s[1] == 0xff {
			return utf16Text(s[2:], true)
		}
		return latin1(bytes.ReplaceAll(s, []byte{0}, nil))
	}
	var out strings.Builder
	for i := 0; i < len(s); {
		if i+1 < len(s) {
			if t, ok := tables[0x10000|uint32(s[i])<<8|uint32(s[i+1])]; ok {
				out.WriteString(t)
				i += 2
				continue
			}
		}
		if t, ok := tables[uint32(s[i])]; ok {
			out.WriteString(t)
		}
		i++
	}
	return out.String()
}

// toUnicode reads a ToUnicode CMap into tables: codes of two bytes carry the
// bit 0x10000.
func toUnicode(b []byte, tables map[uint32]string) {
	const maxEntries = 200000
	var last [][]byte // the hex strings since the last operator
	ranges, inArray := false, false
	var base uint32
	for i := 0; i < len(b) && len(tables) < maxEntries; i++ {
		switch c := b[i]; {
		case c == '<' && i+1 < len(b) && b[i+1] != '<':
			end := bytes.IndexByte(b[i:], '>')
			if end < 0 {
				return
			}
			h := hexBytes(b[i+1 : i+end])
			i += end
			if inArray {
				tables[base] = utf16Text(h, true)
				base++
				continue
			}
			last = append(last, h)
			switch {
			case !ranges && len(last) == 2:
				tables[charCode(last[0])] = utf16Text(last[1], true)
				last = nil
			case ranges && len(last) == 3:
				from, to := charCode(last[0]), charCode(last[1])
				text := []rune(utf16Text(last[2], true))
				for k := from; k <= to && k-from < 65536 && len(text) > 0 && len(tables) < maxEntries; k++ {
					tables[k] = string(text)
					text[len(text)-1]++
				}
				last = nil
			}
		case c == '[' && ranges && len(last) == 2:
			base, inArray = charCode(last[0]), true
		case c == ']':
			inArray, last = false, nil
		case c == 'b' && bytes.HasPrefix(b[i:], []byte("beginbfrange")):
			ranges, last = true, nil
			i += len("beginbfrange") - 1
		case c == 'b' && bytes.HasPrefix(b[i:], []byte("begin")): // bfchar, codespacerange
			ranges, last = false, nil
			if bytes.HasPrefix(b[i:], []byte("begincodespacerange")) {
				if end := bytes.Index(b[i:], []byte("endcodespacerange")); end > 0 {
					i += end
				}
			}
		}
	}
}

func charCode(h []byte) uint32 {
	switch len(h) {
	case 0:
		return 0
	case 1:
		return uint32(h[0])
	}
	return 0x10000 | uint32(h[len(h)-2])<<8 | uint32(h[len(h)-1])
}
