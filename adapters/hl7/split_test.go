package hl7

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestSplit(t *testing.T) {
	const a, b = "MSH|^~\\&|A\rPID|1\r", "MSH|^~\\&|B\rPID|2\r"
	for name, c := range map[string]struct {
		in   string
		want []string // kind and the message, or kind and line and what trailers say
	}{
		"nothing":                  {"", nil},
		"one":                      {a, []string{"message 1 " + a}},
		"two":                      {a + b, []string{"message 1 " + a, "message 3 " + b}},
		"LF":                       {"MSH|^~\\&|A\nPID|1\n\n\nMSH|^~\\&|B\n", []string{"message 1 MSH|^~\\&|A\nPID|1\n", "message 5 MSH|^~\\&|B\n"}},
		"CRLF":                     {"MSH|^~\\&|A\r\nPID|1\r\n\r\nMSH|^~\\&|B", []string{"message 1 MSH|^~\\&|A\r\nPID|1\r\n", "message 4 MSH|^~\\&|B"}},
		"CR, blank line LF LF":     {"MSH|^~\\&|A\rPID|1\r\n\nMSH|^~\\&|B\r\n\n", []string{"message 1 MSH|^~\\&|A\rPID|1\r\n", "message 4 MSH|^~\\&|B\r\n"}},
		"BOM":                      {bom + a, []string{"message 1 " + a}},
		"BOM in the middle":        {a + bom + b, []string{"message 1 " + a, "message 3 " + b}},
		"blank line in a message":  {"MSH|^~\\&|A\r\r\rPID|1\r", []string{"message 1 MSH|^~\\&|A\r\r\rPID|1\r"}},
		"framed":                   {"\v" + a + "\x1c\r\v" + b + "\x1c\r", []string{"message 1 " + a, "message 4 " + b}},
		"other delimiters":         {"MSH^~|\\&^A\rMSH!@%*+!B!C\r", []string{"message 1 MSH^~|\\&^A\r", "message 2 MSH!@%*+!B!C\r"}},
		"words that begin so":      {"MSH|^~\\&|A\rOBX|1|TX|||x\nMSH-9 is the type\nMSH was\nBHS\n", []string{"message 1 MSH|^~\\&|A\rOBX|1|TX|||x\nMSH-9 is the type\nMSH was\nBHS\n"}},
		"broken text":              {"MSH|^~\\&|A\rOBX|1|TX|||x\ny\n\nz\nNTE|1\r" + b, []string{"message 1 MSH|^~\\&|A\rOBX|1|TX|||x\ny\n\nz\nNTE|1\r", "message 7 " + b}},
		"comments":                 {"/*\n * x\n */\n" + a + "\r// a\nmore\n" + b, []string{"junk 1 /*\n * x\n */\n", "message 4 " + a, "junk 7 // a\nmore\n", "message 9 " + b}},
		"a comment at the end":     {a + "\r# done\n", []string{"message 1 " + a, "junk 4 # done\n"}},
		"a comment inside":         {"MSH|^~\\&|A\r\r# x\rPID|1\r", []string{"message 1 MSH|^~\\&|A\r\r# x\rPID|1\r"}},
		"no comment without blank": {"MSH|^~\\&|A\rOBX|1|TX|||x\n# 1\n", []string{"message 1 MSH|^~\\&|A\rOBX|1|TX|||x\n# 1\n"}},
		"no message":               {"hello\nPID|1\n", []string{"junk 1 hello\nPID|1\n"}},
		"only blank lines":         {"\r\n\r\n", []string{"blank 1"}},
		"batch": {"FHS|^~\\&|\rBHS|^~\\&|\r" + a + b + "BTS|2\rFTS|1\r", []string{"header 1 FHS|^~\\&|\r", "header 2 BHS|^~\\&|\r",
			"message 3 " + a, "message 5 " + b, "trailer 7 says 2, are 2", "trailer 8 says 1, are 1"}},
		"batches": {"FHS|^~\\&\rBHS|^~\\&\r" + a + "BTS\rBHS|^~\\&\r" + a + b + "BTS|3\rFTS|\r", []string{"header 1 FHS|^~\\&\r", "header 2 BHS|^~\\&\r",
			"message 3 " + a, "trailer 5 says -1, are 1", "header 6 BHS|^~\\&\r", "message 7 " + a, "message 9 " + b, "trailer 11 says 3, are 2", "trailer 12 says -1, are 2"}},
		"lines behind a batch": {"BHS|^~\\&|\r" + a + "BTS|1\rPID|9\r", []string{"header 1 BHS|^~\\&|\r", "message 2 " + a, "trailer 4 says 1, are 1", "junk 5 PID|9\r"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			joined := ""
			for p := range Split([]byte(c.in)) {
				joined += string(p.Bytes)
				switch {
				case p.Blank():
					got = append(got, fmt.Sprintf("blank %d", p.Line))
				case p.Kind == MessagePart:
					got = append(got, fmt.Sprintf("message %d %s", p.Line, p.Message()))
				case p.Kind == HeaderPart:
					got = append(got, fmt.Sprintf("header %d %s", p.Line, p.Message()))
				case p.Kind == TrailerPart:
					got = append(got, fmt.Sprintf("trailer %d says %d, are %d", p.Line, p.Declared, p.Seen))
				case p.Kind == JunkPart:
					got = append(got, fmt.Sprintf("junk %d %s", p.Line, p.Bytes))
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if joined != c.in {
				t.Errorf("joined: %q", joined)
			}
		})
	}
}

func TestScannerIsTheSameHoweverTheBytesCome(t *testing.T) {
	in := strings.Repeat(bom+oru+"\n\n// x\n", 3)
	var whole, single []Part
	for p := range Split([]byte(in)) {
		whole = append(whole, p)
	}
	s := NewScanner(iotest.OneByteReader(strings.NewReader(in)), 0)
	for s.Scan() {
		single = append(single, s.Part())
	}
	if diff := cmp.Diff(whole, single); diff != "" || s.Err() != nil {
		t.Error(diff, s.Err())
	}
}

func TestScannerStops(t *testing.T) {
	s := NewScanner(strings.NewReader("MSH|^~\\&|A\r"+strings.Repeat("NTE|1\r", 100)), 200)
	for s.Scan() {
		t.Errorf("a part of %d bytes", len(s.Part().Bytes))
	}
	if !errors.Is(s.Err(), ErrTooLong) || s.Err().Error() != "hl7: a message in the file is too long: more than 200 bytes from line 1 on" {
		t.Error(s.Err())
	}
	broken := errors.New("disk")
	s = NewScanner(iotest.ErrReader(broken), 0)
	if s.Scan() || !errors.Is(s.Err(), broken) {
		t.Error(s.Err())
	}
}

func TestFilesGoesOnBehindABadFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, s string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var errs, messages int
	for part, err := range Files(filepath.Join(dir, "none"), write("bad.gz", "\x1f\x8bno"), write("good", oru)) {
		if err != nil {
			errs++
		} else if part.Kind == MessagePart {
			messages++
		}
	}
	if errs != 2 || messages != 1 {
		t.Errorf("%d errors, %d messages", errs, messages)
	}
}

// However messages are put into a file, they come out again.
func TestMessagesJoinedSplitAgain(t *testing.T) {
	end := rapid.SampledFrom([]string{"\r", "\n", "\r\n"})
	rapid.Check(t, func(t *rapid.T) {
		var file strings.Builder
		var want []string
		for range rapid.IntRange(0, 6).Draw(t, "messages") {
			e := end.Draw(t, "end")
			m := "MSH|^~\\&|A" + e
			for range rapid.IntRange(0, 4).Draw(t, "segments") {
				m += rapid.StringMatching(`[A-LN-Z][A-Z][A-QT-Z1-9]\|[a-z0-9|^~&\\ ]{0,12}`).Draw(t, "segment") + e
			}
			want = append(want, m)
			file.WriteString(rapid.SampledFrom([]string{"", bom, "\v"}).Draw(t, "before"))
			file.WriteString(m)
			file.WriteString(rapid.SampledFrom([]string{"", "\r", "\r\n", "\n\n", "\x1c\r", "\r\n// note\n"}).Draw(t, "after"))
		}
		var got []string
		joined := ""
		for p := range Split([]byte(file.String())) {
			joined += string(p.Bytes)
			if p.Kind == MessagePart {
				got = append(got, strings.TrimRight(string(p.Message()), "\r\n"))
			}
		}
		for i := range want {
			want[i] = strings.TrimRight(want[i], "\r\n")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		if joined != file.String() {
			t.Fatalf("joined: %q, want %q", joined, file.String())
		}
	})
}
