package hl7

import (
	"bytes"
	"strings"
	"testing"
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

func encoded(t testing.TB, e encoding.Encoding, s string) string {
	t.Helper()
	b, err := e.NewEncoder().String(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func withCharset(declared, name string) string {
	return "MSH|^~\\&|A||||||ADT^A08|1|P|2.5||||||" + declared + "\rPID|1||1||" + name + "^x\r"
}

func TestCharacterSets(t *testing.T) {
	for _, c := range []struct {
		name, declared, bytes, want, used string
	}{
		{"ASCII", "ASCII", "Muller", "Muller", "ASCII"},
		{"nothing declared", "", "Muller", "Muller", "ASCII"},
		{"UTF-8", "UNICODE UTF-8", "Müller 山", "Müller 山", "UTF-8"},
		{"UTF-8 as 'UNICODE'", "UNICODE", "Müller", "Müller", "UTF-8"},
		{"UTF-8, not declared", "", "Müller", "Müller", "UTF-8"},
		{"UTF-8 declared as Latin-1", "8859/1", "Müller", "Müller", "UTF-8"},
		{"UTF-8 declared as ASCII", "ASCII", "Müller", "Müller", "UTF-8"},
		{"UTF-8 of an unknown name", "EBCDIC-7", "Müller", "Müller", "UTF-8"},
		{"Latin-1", "8859/1", "M\xfcller", "Müller", "ISO-8859-1"},
		{"Latin-1 by another name", "ISO-8859-1", "M\xfcller", "Müller", "ISO-8859-1"},
		{"Latin-1 declared as UTF-8", "UNICODE UTF-8", "M\xfcller", "Müller", "mixed"},
		{"Latin-1 declared as ASCII", "ASCII", "M\xfcller", "Müller", "mixed"},
		{"Latin-1, not declared", "", "M\xfcller", "Müller", "mixed"},
		{"Windows declared as Latin-1", "8859/1", "\x80 \x93M\xfcller\x94", "€ “Müller”", "windows-1252"},
		{"Windows", "WINDOWS-1252", "\x80\x81 M\xfcller", "€\u0081 Müller", "windows-1252"},
		{"Latin-9", "8859/15", "\xa4 M\xfcller", "€ Müller", "ISO-8859-15"},
		{"Latin-2", "8859/2", encoded(t, charmap.ISO8859_2, "Łódź"), "Łódź", "ISO-8859-2"},
		{"Cyrillic", "8859/5", encoded(t, charmap.ISO8859_5, "Иванов"), "Иванов", "ISO-8859-5"},
		{"Greek", "8859/7", encoded(t, charmap.ISO8859_7, "Αθήνα"), "Αθήνα", "ISO-8859-7"},
		{"Hebrew declared, but a byte it does not have", "8859/8", "\xd9x", "Ùx", "mixed"},
		{"two sets in one message", "UNICODE UTF-8", "Müller M\xfcller", "Müller Müller", "mixed"},
		{"a character cut off", "UNICODE UTF-8", "Müller M\xc3", "Müller MÃ", "mixed"},
		{"GB 18030", "GB 18030-2000", encoded(t, simplifiedchinese.GB18030, "山|"), "山|", "GB18030"},
		{"Big5 whose second bytes are delimiters", "BIG-5", encoded(t, traditionalchinese.Big5, "許功蓋餐愧"), "許功蓋餐愧", "Big5"},
		{"Korean", "KS X 1001", encoded(t, korean.EUCKR, "홍길동"), "홍길동", "EUC-KR"},
		{"Korean declared, UTF-8 sent", "KS X 1001", "홍길동", "홍길동", "UTF-8"},
		{"Japanese", "~ISO IR87", encoded(t, japanese.ISO2022JP, "山田太郎"), "山田太郎", "ISO-2022-JP"},
		{"half-width katakana", "ISO IR13", "\xd4\xcf\xc0\xde", "ﾔﾏﾀﾞ", "Shift_JIS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := withCharset(c.declared, strings.ReplaceAll(c.bytes, "|", `\F\`))
			m := parse(t, in)
			if got := m.Segment("PID").Field(5).Component(1).String(); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			if got := m.Segment("PID").Field(5).Component(2).String(); got != "x" {
				t.Errorf("the component behind it is %q", got)
			}
			if got := m.Charset().Used; got != c.used {
				t.Errorf("read as %s, want %s", got, c.used)
			}
			if string(m.Bytes()) != in {
				t.Error("the bytes changed")
			}
		})
	}
}

func TestUTF16AndUTF32(t *testing.T) {
	text := withCharset("UNICODE UTF-16", "Müller 山")
	for name, e := range map[string]encoding.Encoding{
		"UTF-16LE": unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), "UTF-16BE": unicode.UTF16(unicode.BigEndian, unicode.UseBOM),
		"UTF-32LE": utf32.UTF32(utf32.LittleEndian, utf32.UseBOM), "UTF-32BE": utf32.UTF32(utf32.BigEndian, utf32.UseBOM),
		"UTF-16LE without BOM": unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), "UTF-16BE without BOM": unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM),
		"UTF-32LE without BOM": utf32.UTF32(utf32.LittleEndian, utf32.IgnoreBOM), "UTF-32BE without BOM": utf32.UTF32(utf32.BigEndian, utf32.IgnoreBOM),
	} {
		t.Run(name, func(t *testing.T) {
			in := encoded(t, e, text)
			m := parse(t, in)
			if got := m.Segment("PID").Field(5).Component(1).String(); got != "Müller 山" {
				t.Errorf("%q", got)
			}
			if used := m.Charset().Used; !strings.HasPrefix(name, used) {
				t.Errorf("read as %s", used)
			}
			if string(m.Bytes()) != in {
				t.Error("the bytes changed")
			}
			edited, err := m.With("PID-8", "F")
			if err != nil {
				t.Fatal(err)
			}
			if again := parse(t, string(edited.Bytes())); again.Get("PID-8") != "F" || again.Get("PID-5") != "Müller 山" || again.Charset().Used != m.Charset().Used {
				t.Errorf("edited: %q, %q, %s", again.Get("PID-8"), again.Get("PID-5"), again.Charset().Used)
			}
			wire := m.Wire()
			if !utf8.Valid(wire) || bytes.Contains(wire, []byte{0}) || parse(t, string(wire)).Get("MSH-18") != "UNICODE UTF-8" {
				t.Errorf("on the wire: %q", wire)
			}
			for part := range Split([]byte(in + encoded(t, e, "\r")[:0])) {
				if part.Kind != MessagePart || parse(t, string(part.Message())).Get("PID-5") != "Müller 山" {
					t.Errorf("split: %d %q", part.Kind, part.Bytes)
				}
			}
		})
	}
}

func TestEveryByteIsRead(t *testing.T) {
	var all []byte
	for b := 0x80; b < 0x100; b++ {
		all = append(all, byte(b), 'x')
	}
	for _, declared := range []string{"", "ASCII", "UNICODE UTF-8", "8859/1", "8859/15", "8859/6", "8859/8", "WINDOWS-1252", "BIG-5", "GB 18030-2000", "KS X 1001", "ISO IR87", "nonsense"} {
		m := parse(t, withCharset(declared, string(all)))
		text := m.Segment("PID").Field(5).Component(1).String()
		if !utf8.ValidString(text) || strings.ContainsRune(text, utf8.RuneError) || utf8.RuneCountInString(text) != len(all) {
			t.Errorf("%s: %d characters of %d bytes, read as %s: %q", declared, utf8.RuneCountInString(text), len(all), m.Charset().Used, text)
		}
	}
}
