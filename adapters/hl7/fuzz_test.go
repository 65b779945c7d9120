package hl7

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"firebreak/internal/corpus"
)

// seeds adds messages of every kind.
func seeds(f *testing.F) {
	for _, s := range []string{oru, "", "MSH", "MSH|", "MSH||", "MSH|^~\\&#|A\rOBX|1|ST|||\\F\\\\X41\\\\.br\\\\Z1\\", bom + "MSH^~|\\&^A\n\nPID^1\r\n",
		"MSH|^~\\&|A\rOBX|1|TX|||a\nb", withCharset("8859/1", "M\xfcller"), withCharset("BIG-5", "\xb3\x5c"), "\xff\xfeM\x00S\x00H\x00|\x00",
		"FHS|^~\\&\rBHS|^~\\&\r" + oru + "BTS|1\rFTS|1", "// x\nMSH|^~\\&|A\n\n# y\n", "\vMSH|^~\\&|A\r\x1c\r"} {
		f.Add([]byte(s))
	}
	for _, name := range []string{"golevel7/msg4.hl7", "hapi/util/messages.txt", "latin1/03_message.hl7", "itk-nhs/A01_example.txt"} {
		f.Add(corpus.Read(f, corpus.Dir(f, "corpus", "hl7v2", name)))
	}
}

// What parses gives its bytes back, reads as valid UTF-8 everywhere, and can be
// acknowledged and put on the wire.
func FuzzParse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Limits{Bytes: 1 << 20}.Parse(b)
		if err != nil {
			if m != nil {
				t.Fatal("a message and an error")
			}
			if ack, err := Parse(Acknowledge(b, Ack{Code: AR, ID: "7", At: ackTime, Err: err})); err != nil || ack.Get("MSA-1") != "AR" {
				t.Fatalf("the answer to what cannot be parsed: %v", err)
			}
			return
		}
		if !bytes.Equal(m.Bytes(), b) {
			t.Fatal("the bytes changed")
		}
		for _, s := range m.Segments() {
			for n := 0; n <= s.Fields()+1; n++ {
				field := s.Field(n)
				reps := 0
				for r := range field.Reps() {
					if r != field.Rep(reps) {
						t.Fatalf("%s: repetition %d differs", r.Err("").Place(), reps)
					}
					reps++
					for c := range r.Components() {
						component := r.Component(c + 1)
						for sub := range component.Subs() {
							readable(t, component.Sub(sub+1).node)
						}
						readable(t, component.node)
					}
					readable(t, r.node)
				}
				if reps != field.Len() {
					t.Fatalf("%s: %d repetitions, Len is %d", field.Err("").Place(), reps, field.Len())
				}
				readable(t, field.node)
			}
		}
		if ack, err := Parse(m.Ack(Ack{Code: AE, ID: "7", At: ackTime, Err: m.Segment("MSH").Err(3, 1, "odd")})); err != nil || ack.Get("MSA-1") != "AE" {
			t.Fatalf("its acknowledgement: %v", err)
		}
		if _, err := Parse(m.Wire()); err != nil {
			t.Fatalf("on the wire: %v", err)
		}
	})
}

func readable(t *testing.T, n node) {
	if !utf8.ValidString(n.Raw()) || !utf8.ValidString(n.String()) || !utf8.ValidString(n.Text()) {
		t.Fatalf("%s is not valid UTF-8", n.Err("").Place())
	}
	if n.Null() && (n.String() != "" || n.Present()) || n.String() != "" && n.Empty() {
		t.Fatalf("%s: null, empty and present contradict", n.Err("").Place())
	}
	n.Number()
	n.Time()
	n.Clock()
}

// Encoded text comes back, and no text makes decoding fail or grow without bound.
func FuzzEscapes(f *testing.F) {
	for _, s := range []string{"", `a\F\b`, `\X41\`, `\X4`, `\.sp99\`, `\.br\`, `\M2442\F|\C2842\`, `C:\TEMP`, `""`, "|^~\\&#\r\n\x00\xff"} {
		f.Add(s)
	}
	m := parse(f, "MSH|^~\\&#|A")
	f.Fuzz(func(t *testing.T, s string) {
		out := m.unescape(s)
		if utf8.ValidString(s) && !utf8.ValidString(out) {
			t.Fatalf("%q gives invalid UTF-8 %q", s, out)
		}
		if len(out) > 100+40*len(s) {
			t.Fatalf("%d bytes give %d", len(s), len(out))
		}
		if !utf8.ValidString(s) {
			return
		}
		encoded := m.delims.Encode(s)
		if strings.ContainsAny(encoded, "|^~&#\r\n\v\x1c") || encoded == `""` {
			t.Fatalf("%q is encoded as %q", s, encoded)
		}
		if got := m.unescape(encoded); got != s {
			t.Fatalf("%q comes back as %q", s, got)
		}
	})
}

// A time that is taken gives valid FHIR, no more precise than it was.
func FuzzTimes(f *testing.F) {
	for _, s := range []string{"", "2026", "202601", "20260131", "2026013107", "202601310745", "20260131074501.1234-0500", "20261101013000", "198808181126+0215"} {
		f.Add(s)
	}
	toronto := zoneOf(f, "America/Toronto")
	f.Fuzz(func(t *testing.T, s string) {
		v, reason := ParseTime(s)
		if (reason == "") == v.IsZero() {
			t.Fatalf("%q: %q and zero %t", s, reason, v.IsZero())
		}
		if reason != "" {
			return
		}
		digits := strings.TrimSpace(s)
		plain := strings.NewReplacer("-", "", "T", "", ":", "")
		for _, got := range []string{v.Date(), v.DateTime(nil), v.DateTime(toronto)} {
			if v.second < 60 {
				layout := [...]string{4: "2006", 7: "2006-01", 10: time.DateOnly}
				var err error
				if len(got) < len(layout) && layout[len(got)] != "" {
					_, err = time.Parse(layout[len(got)], got)
				} else {
					_, err = time.Parse(time.RFC3339Nano, got)
				}
				if err != nil {
					t.Fatalf("%q gives %q: %v", s, got, err)
				}
			}
			if d := plain.Replace(got[:min(len(got), 16)]); !strings.HasPrefix(digits, d) {
				t.Fatalf("%q gives %q", s, got)
			}
		}
		start := v.Start(toronto)
		if start.Year() < v.year-1 || start.Year() > v.year+1 {
			t.Fatalf("%q starts in %d", s, start.Year())
		}
		if c, reason := ParseClock(digits[min(8, len(digits)):]); reason == "" && v.Precision >= Minute && !strings.HasPrefix(digits[8:], plain.Replace(c.Time()[:5])) {
			t.Fatalf("%q has the clock %q", s, c.Time())
		}
	})
}

func FuzzNumbers(f *testing.F) {
	for _, s := range []string{"", "1", "+1", "-.5", "007.50", "1.", "1e5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, ok := ParseNumber(s)
		if !ok {
			return
		}
		if again, ok := ParseNumber(string(n)); !ok || again != n {
			t.Fatalf("%q gives %q, that gives %q", s, n, again)
		}
		if d := strings.TrimLeft(string(n), "-"); d == "" || d[0] == '.' || len(d) > 1 && d[0] == '0' && d[1] != '.' || strings.HasSuffix(d, ".") {
			t.Fatalf("%q gives %q, which is no JSON number", s, n)
		}
	})
}

// The parts of a file joined are the file, and reading it byte by byte gives
// the same parts.
func FuzzSplit(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if wideKind(string(b[:min(4, len(b))])) != "" {
			for range Split(b) {
			}
			return
		}
		var joined []byte
		var parts []Part
		for p := range Split(b) {
			if len(p.Bytes) == 0 || p.Kind == MessagePart && !bytes.Contains(p.Message(), []byte("MSH")) {
				t.Fatalf("%+v", p)
			}
			joined = append(joined, p.Bytes...)
			parts = append(parts, p)
		}
		if !bytes.Equal(joined, b) {
			t.Fatalf("%q joined is %q", b, joined)
		}
		s := NewScanner(&chunkReader{b, 4}, len(b)+16)
		for i := 0; s.Scan(); i++ {
			if i >= len(parts) || !bytes.Equal(s.Part().Bytes, parts[i].Bytes) || s.Part().Kind != parts[i].Kind {
				t.Fatalf("part %d differs", i)
			}
		}
	})
}

// However a stream is cut, the same frames come out of it, and none is longer
// than the limit.
func FuzzFrames(f *testing.F) {
	for _, s := range []string{"", "\va\x1c\r", "x\va\x1c\vb\x1c\r", "\vMSH|\vMSH|\x1c\r", "\va\x1cb\x1c\r", "\v\v\x1c\x1c\r", "\v" + strings.Repeat("x", 70) + "\x1c\r"} {
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, b []byte, n uint8) {
		whole, junk := frames(bytes.NewReader(b), 64)
		cut, junk2 := frames(&chunkReader{b, int(n) + 1}, 64)
		if strings.Join(whole, "\x00") != strings.Join(cut, "\x00") || junk != junk2 {
			t.Fatalf("%q and %q", whole, cut)
		}
		r := NewFrameReader(bytes.NewReader(b), 64)
		for {
			content, err := r.Next()
			if len(content) > 64 {
				t.Fatalf("%d bytes", len(content))
			}
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				return
			}
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{"PID-3", "OBX[2]-5[3].1.2", "", "PID-", "MSH-1"} {
		f.Add(s, "x")
	}
	m := parse(f, oru)
	f.Fuzz(func(t *testing.T, path, text string) {
		p, err := ParsePath(path)
		if err != nil || p.Field > 100 || p.Repetition > 100 || p.Component > 100 || p.Subcomponent > 100 || !utf8.ValidString(text) {
			return
		}
		edited, err := m.With(path, text)
		if err != nil {
			return
		}
		if got := edited.Get(path); got != text {
			t.Fatalf("%s is %q, want %q", path, got, text)
		}
	})
}
