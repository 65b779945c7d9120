package rtf

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"firebreak/internal/corpus"
)

func TestText(t *testing.T) {
	rows := []struct{ name, in, want string }{
		{"plain", `{\rtf1\ansi Hello}`, "Hello"},
		{"paragraphs and lines", `{\rtf1 a\par b\line c\par}`, "a\nb\nc"},
		{"formatting is left out", `{\rtf1 \b bold\b0  and {\i italic}}`, "bold and italic"},
		{"fonts, colours and styles are no text", `{\rtf1{\fonttbl{\f0 Arial;}}{\colortbl;\red0;}{\stylesheet{\s0 Normal;}}x}`, "x"},
		{"ignorable destinations", `{\rtf1{\*\generator Word 16;}x{\*\bkmkstart b}y}`, "xy"},
		{"pictures", `{\rtf1 a{\pict\pngblip 89504e47}b}`, "ab"},
		{"binary data", "{\\rtf1 a{\\pict\\bin4 {}{}}b}", "ab"},
		{"bytes of the code page", `{\rtf1\ansi\ansicpg1252 caf\'e9 \'80}`, "café €"},
		{"another code page", `{\rtf1\ansicpg1251 \'cf\'f0}`, "Пр"},
		{"the old Macintosh", `{\rtf1\mac caf\'8e}`, "café"},
		{"Unicode with its fallback", `{\rtf1\uc1 2.5\u160?mg \u8226?x}`, "2.5\u00a0mg •x"},
		{"a fallback in hex", `{\rtf1\uc1 \u233\'e9t\u233\'e9}`, "été"},
		{"no fallback", `{\rtf1\uc0 \u233 t\u233 }`, "été"},
		{"a longer fallback, inside its group", `{\rtf1{\uc2 \u233ab}c}`, "éc"},
		{"surrogate pairs", `{\rtf1\uc1\u-10179?\u-8704?!}`, "😀!"},
		{"half a surrogate pair", `{\rtf1\uc1\u-10179?x}`, "x"},
		{"special characters", `{\rtf1 a\~b\_c\emdash d\{e\}\\f}`, "a b-c—d{e}\\f"},
		{"tables", `{\rtf1\trowd Na\cell 140\cell\row\trowd K\cell 6.2\cell\row}`, "Na\t140\t\nK\t6.2"},
		{"line ends of the file are none of the text", "{\\rtf1 a\r\nb\n}", "ab"},
		{"fields keep their result", `{\rtf1{\field{\*\fldinst HYPERLINK "http://x"}{\fldrslt site}}}`, "site"},
		{"what follows the document is not read", `{\rtf1 a}secret`, "a"},
		{"cut short", `{\rtf1 a{\b b`, "ab"},
		{"control characters are left out", "{\\rtf1 a\x01\x1bb}", "ab"},
		{"an empty document", `{\rtf1}`, ""},
	}
	for _, row := range rows {
		if got, err := Text([]byte(row.in)); err != nil || got != row.want {
			t.Errorf("%s: %q, %v, want %q", row.name, got, err, row.want)
		}
	}
	for _, in := range []string{"", "plain", `{\b x}`, `{rtf1 x}`} {
		if _, err := Text([]byte(in)); err == nil {
			t.Errorf("%q was taken for RTF", in)
		}
	}
}

// The RTF documents of the corpus read as text.
func TestCorpus(t *testing.T) {
	all := corpus.Read(t, corpus.Dir(t, "corpus", "hl7v2", "simhospital", "notes.hl7.gz"))
	n := 0
	unescape := strings.NewReplacer(`\E\`, `\`, `\F\`, "|", `\S\`, "^", `\T\`, "&", `\R\`, "~", `\.br\`, "\n")
	for _, m := range regexp.MustCompile(`\^rtf\^\^([^|^\r\n]*)`).FindAllSubmatch(all, -1) {
		n++
		text, err := Text([]byte(unescape.Replace(string(m[1]))))
		if err != nil || len(strings.Fields(text)) < 20 || strings.ContainsAny(text, `{}\`) || strings.Contains(text, "Times New Roman") {
			t.Errorf("document %d reads %q, %v", n, text, err)
		}
	}
	if n == 0 {
		t.Error("no RTF document was found")
	}
}

func FuzzText(f *testing.F) {
	f.Add([]byte(`{\rtf1\ansi\ansicpg1252\uc1 a\par\'e9\u233?{\*\x y}{\pict\bin3 abc}\tab z}`))
	f.Add([]byte(`{\rtf1` + strings.Repeat("{", 400) + "x" + strings.Repeat("}", 400)))
	f.Fuzz(func(t *testing.T, b []byte) {
		text, err := Text(b)
		if err != nil {
			return
		}
		if !utf8.ValidString(text) || len(text) > maxText+8 {
			t.Errorf("not a text: %q", text)
		}
		for _, c := range text {
			if c < ' ' && c != '\n' && c != '\t' {
				t.Errorf("control character %q", c)
			}
		}
	})
}
