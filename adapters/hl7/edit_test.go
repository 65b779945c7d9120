package hl7

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestWith(t *testing.T) {
	const msg = "MSH|^~\\&|A|B\rPID|1||1^^^X&Y~2||Doe^Ann\r\nPV1|1\n"
	for _, c := range []struct{ path, text, want string }{
		{"PID-5.1", "Roe", "MSH|^~\\&|A|B\rPID|1||1^^^X&Y~2||Roe^Ann\r\nPV1|1\n"},
		{"PID-5", "Roe", "MSH|^~\\&|A|B\rPID|1||1^^^X&Y~2||Roe\r\nPV1|1\n"},
		{"PID-5.3", "M", "MSH|^~\\&|A|B\rPID|1||1^^^X&Y~2||Doe^Ann^M\r\nPV1|1\n"},
		{"PID-3.4.2", "Z", "MSH|^~\\&|A|B\rPID|1||1^^^X&Z~2||Doe^Ann\r\nPV1|1\n"},
		{"PID-3[2].4.2", "Z", "MSH|^~\\&|A|B\rPID|1||1^^^X&Y~2^^^&Z||Doe^Ann\r\nPV1|1\n"},
		{"PID-3[4]", "4", "MSH|^~\\&|A|B\rPID|1||1^^^X&Y~2~~4||Doe^Ann\r\nPV1|1\n"},
		{"PID-8", "F", "MSH|^~\\&|A|B\rPID|1||1^^^X&Y~2||Doe^Ann|||F\r\nPV1|1\n"},
		{"PV1-3.2", "a|b&c\n", "MSH|^~\\&|A|B\rPID|1||1^^^X&Y~2||Doe^Ann\r\nPV1|1||^a\\F\\b\\T\\c\\.br\\\n"},
		{"MSH-3", "C", "MSH|^~\\&|C|B\rPID|1||1^^^X&Y~2||Doe^Ann\r\nPV1|1\n"},
		{"MSH-10", "9", "MSH|^~\\&|A|B||||||9\rPID|1||1^^^X&Y~2||Doe^Ann\r\nPV1|1\n"},
	} {
		m, err := parse(t, msg).With(c.path, c.text)
		if err != nil {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		if got := string(m.Bytes()); got != c.want {
			t.Errorf("%s:\n%q, want\n%q", c.path, got, c.want)
		}
	}
	if m, err := parse(t, msg).WithRaw("PID-5", `""`); err != nil || !m.Segment("PID").Field(5).Null() {
		t.Error(err)
	}
	if m, err := parse(t, msg).WithRaw("PID-5", `a^b~c`); err != nil || m.Segment("PID").Field(5).Len() != 2 {
		t.Error(err)
	}
}

func TestWithRefuses(t *testing.T) {
	for _, c := range []struct{ msg, path, text string }{
		{"MSH|^~\\&|A", "PID-1", "x"},
		{"MSH|^~\\&|A", "MSH-1", "x"},
		{"MSH|^~\\&|A", "MSH-2", "x"},
		{"MSH|^~\\&|A", "nonsense", "x"},
		{"MSH|^|A\rPID|1", "PID-3[2]", "x"},
		{"MSH|^|A\rPID|1", "PID-3.1.2", "x"},
		{"MSH|^|A\rPID|1", "PID-3", "a|b"},
		{withCharset("8859/1", "M\xfcller"), "PID-5", "山"},
		{withCharset("ASCII", "Muller"), "PID-5", "Müller"},
		{withCharset("BIG-5", "Muller"), "PID-5", "Ł\U0001F600"},
	} {
		if m, err := parse(t, c.msg).With(c.path, c.text); err == nil {
			t.Errorf("%s in %q gives %q", c.path, c.msg, m.Bytes())
		}
	}
	if m, err := parse(t, "MSH|^~\\&|A").WithRaw("MSH-3", "a\rPID|1"); err == nil {
		t.Errorf("a line end gives %q", m.Bytes())
	}
}

func TestWithKeepsTheCharacterSet(t *testing.T) {
	for _, c := range []struct{ declared, name, text, want string }{
		{"8859/1", "M\xfcller", "Jürgen", "J\xfcrgen"},
		{"8859/1", "Muller", "Jürgen", "J\xfcrgen"},
		{"8859/15", "M\xfcller", "5 €", "5 \xa4"},
		{"8859/1", "\x93M\x94", "€", "\x80"},
		{"", "Muller", "Jürgen", "Jürgen"},
		{"UNICODE UTF-8", "Müller", "Jürgen", "Jürgen"},
		{"UNICODE UTF-8", "M\xfcller", "Jürgen", "Jürgen"},
		{"BIG-5", "\xb3\x5c", "許功蓋", "\xb3\x5c\xa5\x5c\xbb\x5c"},
		{"BIG-5", "Hsu", "許", "\xb3\x5c"},
	} {
		m, err := parse(t, withCharset(c.declared, c.name)).With("PID-9", c.text)
		if err != nil {
			t.Errorf("%s: %v", c.declared, err)
			continue
		}
		want := strings.TrimSuffix(withCharset(c.declared, c.name), "\r") + "||||" + c.want + "\r"
		if got := string(m.Bytes()); got != want {
			t.Errorf("%s: %q, want %q", c.declared, got, want)
		}
	}
}

// What With writes, Get reads, and nothing else changes.
func TestWithThenGet(t *testing.T) {
	value := rapid.StringOf(rapid.OneOf(
		rapid.RuneFrom([]rune(`|^~\&#".XFSTREPZ`)), rapid.RuneFrom([]rune("ab é山\n\r\t\v\x1c\x00\x7f"))))
	rapid.Check(t, func(t *rapid.T) {
		fields := rapid.SliceOfN(rapid.StringMatching(`[a-z^~&]{0,6}`), 0, 6).Draw(t, "fields")
		p := Path{Segment: "ZZZ", Occurrence: 1,
			Field: rapid.IntRange(1, 9).Draw(t, "field"), Repetition: rapid.IntRange(1, 3).Draw(t, "repetition"),
			Component: rapid.IntRange(0, 3).Draw(t, "component")}
		if p.Component > 0 {
			p.Subcomponent = rapid.IntRange(0, 3).Draw(t, "subcomponent")
		}
		in := "MSH|^~\\&|A\nZZZ|" + strings.Join(fields, "|") + "\r\nPV1|1"
		m, err := Parse([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		e := FieldError{Segment: p.Segment, Field: p.Field, Repetition: p.Repetition, Component: p.Component, Subcomponent: p.Subcomponent}
		text := value.Draw(t, "text")
		edited, err := m.With(e.Place(), text)
		if err != nil {
			t.Fatal(err)
		}
		if got := edited.Get(e.Place()); got != text {
			t.Fatalf("%s is %q, want %q", e.Place(), got, text)
		}
		out := string(edited.Bytes())
		if !strings.HasPrefix(out, "MSH|^~\\&|A\nZZZ|") || !strings.HasSuffix(out, "\r\nPV1|1") {
			t.Fatalf("more than the segment changed: %q", out)
		}
		for n := 1; n <= 9; n++ {
			if n != p.Field && edited.Segment("ZZZ").Field(n).Raw() != m.Segment("ZZZ").Field(n).Raw() {
				t.Fatalf("field %d changed too", n)
			}
		}
	})
}

func TestWire(t *testing.T) {
	for in, want := range map[string]string{
		"MSH|^~\\&|A\rPID|1\r":                      "MSH|^~\\&|A\rPID|1\r",
		bom + "\nMSH|^~\\&|A\r\nPID|1\n\n":          "MSH|^~\\&|A\rPID|1\r",
		"MSH|^~\\&|A\nOBX|1|TX|||one\ntwo\nNTE|1":   "MSH|^~\\&|A\rOBX|1|TX|||one\ntwo\rNTE|1\r",
		withCharset("8859/1", "M\xfcller") + "\r\n": withCharset("8859/1", "M\xfcller"),
	} {
		if got := string(parse(t, in).Wire()); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
