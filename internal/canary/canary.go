// Package canary finds planted words in answers, whatever form they were put
// into: as they are, in any case, in base64 at any offset, in hex,
// percent-encoded, or inside gzip and zlib streams.
package canary

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// Words are what must not be found. They should be six letters or longer.
type Words struct{ forms []form }

type form struct {
	word   string
	needle []byte
	exact  bool // compared with its case
}

// New prepares words to look for.
func New(words ...string) *Words {
	w := &Words{}
	for _, word := range words {
		w.forms = append(w.forms,
			form{word, []byte(strings.ToLower(word)), false},
			form{word, []byte(hex.EncodeToString([]byte(word))), false},
			form{word, []byte(percent(word)), false},
		)
		for offset := range 3 {
			w.forms = append(w.forms, form{word, inBase64(word, offset), true})
		}
	}
	return w
}

// inBase64 is what of the word's base64 does not depend on what stands around
// it, when it begins offset bytes into a group of three. The two alphabets
// differ for bytes that words do not have.
func inBase64(word string, offset int) []byte {
	all := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", offset) + word))
	all = strings.TrimRight(all, "=")
	from := []int{0, 2, 3}[offset]
	if (offset+len(word))%3 != 0 {
		all = all[:len(all)-1]
	}
	return []byte(all[from:])
}

func percent(word string) string {
	var b strings.Builder
	for _, c := range []byte(word) {
		fmt.Fprintf(&b, "%%%02x", c)
	}
	return b.String()
}

// In gives the first word that is in b, or "".
func (w *Words) In(b []byte) string {
	lower := bytes.ToLower(b)
	for _, f := range w.forms {
		in := lower
		if f.exact {
			in = b
		}
		if bytes.Contains(in, f.needle) {
			return f.word
		}
	}
	return w.packed(b)
}

// packed looks inside what may be compressed: a whole gzip body, the streams of a PDF.
func (w *Words) packed(b []byte) string {
	if bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
		if z, err := gzip.NewReader(bytes.NewReader(b)); err == nil {
			return w.unpacked(z)
		}
	}
	for rest := b; ; {
		_, after, ok := bytes.Cut(rest, []byte("stream"))
		if !ok {
			return ""
		}
		rest = after
		if z, err := zlib.NewReader(bytes.NewReader(bytes.TrimLeft(after, "\r\n"))); err == nil {
			if word := w.unpacked(z); word != "" {
				return word
			}
		}
	}
}

func (w *Words) unpacked(r io.Reader) string {
	inner, _ := io.ReadAll(io.LimitReader(r, 16<<20)) // what can be read of a broken stream counts too
	return w.In(inner)
}
