package hl7

import "testing"

func TestEscapes(t *testing.T) {
	m := parse(t, "MSH|^~\\&#|A")
	latin := parse(t, "MSH|^~\\&|A|||||||||||||||8859/1")
	for _, c := range []struct {
		name string
		m    *Message
		in   string
		want string
	}{
		{"nothing to decode", m, "plain", "plain"},
		{"field", m, `a\F\b`, "a|b"},
		{"component", m, `a\S\b`, "a^b"},
		{"subcomponent", m, `a\T\b`, "a&b"},
		{"repetition", m, `a\R\b`, "a~b"},
		{"escape", m, `a\E\b`, `a\b`},
		{"truncation", m, `a\P\b`, "a#b"},
		{"truncation not declared", latin, `a\P\b`, `a\P\b`},
		{"own delimiters", parse(t, "MSH!@%*+!A"), `a*F*b*S*c*T*d*R*e*E*f\F\`, `a!b@c+d%e*f\F\`},
		{"several that touch", m, `\F\\S\\T\`, "|^&"},
		{"hex", m, `\X41\\X4243\`, "ABC"},
		{"hex in small letters", m, `\X6a\`, "j"},
		{"hex line end", m, `a\X0D\b\X0D0A\c`, "a\rb\r\nc"},
		{"hex in UTF-8", m, `\XC3A9\`, "é"},
		{"hex of one character in two", m, `\XC3\\XA9\`, "é"},
		{"hex in Latin-1", latin, `\XE9\`, "é"},
		{"hex of nobody's set", m, `\XE9\`, "é"},
		{"hex, odd", m, `\X4\`, `\X4\`},
		{"hex, empty", m, `\X\`, `\X\`},
		{"hex, other letters", m, `\XZZ\`, `\XZZ\`},
		{"line break", m, `a\.br\b`, "a\nb"},
		{"line breaks that touch", m, `a\.br\\.br\b`, "a\n\nb"},
		{"line break in capitals", m, `a\.BR\b`, "a\nb"},
		{"skip lines", m, `a\.sp\b\.sp3\c\.sp 2\d\.sp+1\e`, "a\nb\n\n\nc\n\nd\ne"},
		{"skip blanks", m, `a\.sk3\b\.sk 2\c`, "a   b  c"},
		{"skip without bound", m, `\.sp999999999\`, "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n"},
		{"centre", m, `\.ce\title`, "\ntitle"},
		{"layout", m, `\.fi\a\.nf\b\.in+4\c\.ti-2\d\.in 4\e`, "abcde"},
		{"highlighting", m, `a \H\loud\N\ b`, "a loud b"},
		{"locally defined", m, `a\Zab1\b\Z\c`, `a\Zab1\b\Z\c`},
		{"character sets dropped", m, `\C2842\a\C2D41\b\M2D4A\c`, "abc"},
		{"JIS X 0208", m, `\M2442\F|;3\C2842\ Taro`, "日山 Taro"},
		{"JIS X 0208, three bytes", m, `\M244200\F|;3`, "日山"},
		{"unknown", m, `a\Q\b`, `a\Q\b`},
		{"unknown layout", m, `a\.xx\b\.br3\c\.spx\d`, `a\.xx\b\.br3\c\.spx\d`},
		{"small letters are no sequence", m, `a\f\b`, `a\f\b`},
		{"lone", m, `a\b`, `a\b`},
		{"at the end", m, `a\`, `a\`},
		{"twice", m, `a\\b`, `a\\b`},
		{"file name, then a sequence", m, `C:\TEMP\F\x`, `C:\TEMP|x`},
		{"rich text", m, `{\E\rtf1\E\ansi \E\'e9}`, `{\rtf1\ansi \'e9}`},
		{"before a sequence", m, `\\F\`, `\|`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.m.unescape(c.in); got != c.want {
				t.Errorf("%q gives %q, want %q", c.in, got, c.want)
			}
		})
	}
}

func TestEncode(t *testing.T) {
	for _, c := range []struct {
		d        Delimiters
		in, want string
	}{
		{Standard, "plain ünï", "plain ünï"},
		{Standard, "a|b^c&d~e\\f#g", `a\F\b\S\c\T\d\R\e\E\f#g`},
		{Delimiters{'|', '^', '~', '\\', '&', '#'}, "a#", `a\P\`},
		{Standard, "a\nb\rc\x0bd\x1ce\tf\x7f", "a\\.br\\b\\X0D\\c\\X0B\\d\\X1C\\e\tf\\X7F\\"},
		{Standard, `""`, `\X2222\`},
		{Standard, `"`, `"`},
		{Delimiters{Field: '|', Component: '^'}, "a|b^c~d\ne", "a b c~d e"},
	} {
		if got := c.d.Encode(c.in); got != c.want {
			t.Errorf("%q gives %q, want %q", c.in, got, c.want)
		}
	}
}
