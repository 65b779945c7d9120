package hl7

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// frames reads everything and tells what came: contents, and errors by name.
func frames(r io.Reader, limit int) (got []string, junk int64) {
	f := NewFrameReader(r, limit)
	for {
		content, err := f.Next()
		switch {
		case err == nil:
			got = append(got, string(content))
		case errors.Is(err, ErrFrameTooLong):
			got = append(got, fmt.Sprintf("too long: %.4s", content))
		case errors.Is(err, ErrFrameBroken):
			got = append(got, "broken: "+string(content))
		case err == io.EOF:
			return got, f.Junk
		default:
			return append(got, err.Error()+": "+string(content)), f.Junk
		}
	}
}

func TestFrames(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want []string
		junk int64
	}{
		"one":                         {"\vMSH|1\r\x1c\r", []string{"MSH|1\r"}, 0},
		"joined":                      {"\va\x1c\r\vb\x1c\r\v\x1c\r", []string{"a", "b", ""}, 0},
		"blanks between":              {"\r\n\va\x1c\r\r\n \t\x00\vb\x1c\r\n", []string{"a", "b"}, 0},
		"junk between":                {"GET /\r\n\va\x1c\rxyz\vb\x1c\r!", []string{"a", "b"}, 8},
		"no CR, another follows":      {"\va\x1c\vb\x1c\r", []string{"a", "b"}, 0},
		"no CR, end of connection":    {"\va\x1c", []string{"a"}, 0},
		"an end block inside":         {"\va\x1cb\x1c\r", []string{"a\x1cb"}, 0},
		"a start block inside":        {"\va\vb\x1c\r", []string{"a\vb"}, 0},
		"cut off by the next":         {"\vMSH|1\r\vMSH|2\r\x1c\r", []string{"broken: MSH|1\r", "MSH|2\r"}, 0},
		"cut off by a batch":          {"\vMSH|1\r\vBHS|2\r\x1c\r", []string{"broken: MSH|1\r", "BHS|2\r"}, 0},
		"cut off by the end":          {"\vMSH|1", []string{"unexpected EOF: MSH|1"}, 0},
		"only a start":                {"\v", []string{"unexpected EOF: "}, 0},
		"start block twice":           {"\v\vMSH|1\x1c\r", []string{"broken: ", "MSH|1"}, 0},
		"too long, then another":      {"\v" + strings.Repeat("x", 41) + "\x1c\r\vb\x1c\r", []string{"too long: xxxx", "b"}, 0},
		"just not too long":           {"\v" + strings.Repeat("x", 40) + "\x1c\r", []string{strings.Repeat("x", 40)}, 0},
		"too long, then cut off":      {"\v" + strings.Repeat("x", 50) + "\vMSH|2\x1c\r", []string{"broken: " + strings.Repeat("x", 40), "MSH|2"}, 0},
		"too long for its end blocks": {"\v" + strings.Repeat("x", 40) + "\x1cy\x1c\r", []string{"too long: xxxx"}, 0},
		"only junk":                   {"hello", nil, 5},
		"nothing":                     {"", nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			for how, r := range map[string]io.Reader{
				"whole":         strings.NewReader(c.in),
				"byte by byte":  iotest.OneByteReader(strings.NewReader(c.in)),
				"end with data": iotest.DataErrReader(strings.NewReader(c.in)),
			} {
				got, junk := frames(r, 40)
				if diff := cmp.Diff(c.want, got); diff != "" || junk != c.junk {
					t.Errorf("%s: %d bytes of junk, want %d; %s", how, junk, c.junk, diff)
				}
			}
		})
	}
}

func TestConnectionErrorsComeThrough(t *testing.T) {
	broken := errors.New("reset")
	for _, in := range []string{"", "\va", "\va\x1c", "\va\v"} {
		f := NewFrameReader(io.MultiReader(strings.NewReader(in), iotest.ErrReader(broken)), 0)
		if _, err := f.Next(); !errors.Is(err, broken) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// Whatever is framed comes out, in order, however the stream is cut.
func TestFramesWrittenAreRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stream bytes.Buffer
		var want []string
		for range rapid.IntRange(0, 5).Draw(t, "frames") {
			content := rapid.StringMatching(`(MSH\||[a-z\r\n])[a-zA-Z|^~&\r\n\x80-\xff]{0,60}`).Draw(t, "content")
			want = append(want, content)
			if err := WriteFrame(&stream, []byte(content)); err != nil {
				t.Fatal(err)
			}
			stream.WriteString(rapid.StringMatching(`[\r\n ]{0,3}`).Draw(t, "between"))
		}
		cut := rapid.IntRange(1, 40).Draw(t, "cut")
		got, junk := frames(&chunkReader{stream.Bytes(), cut}, 0)
		if diff := cmp.Diff(want, got); diff != "" || junk != 0 {
			t.Fatal(diff, junk)
		}
	})
}

// chunkReader gives at most n bytes a call.
type chunkReader struct {
	b []byte
	n int
}

func (c *chunkReader) Read(p []byte) (int, error) {
	if len(c.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.n)], c.b)
	c.b = c.b[n:]
	return n, nil
}
