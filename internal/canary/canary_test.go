package canary

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
	"testing"
)

func TestFound(t *testing.T) {
	w := New("HIV-CANARY", "56888-1")
	for _, word := range []string{"HIV-CANARY", "56888-1"} {
		for pad := range 6 {
			text := strings.Repeat("a", pad) + word + strings.Repeat("b", 5-pad)
			var zipped, deflated bytes.Buffer
			g := gzip.NewWriter(&zipped)
			g.Write([]byte(text))
			g.Close()
			z := zlib.NewWriter(&deflated)
			z.Write([]byte(text))
			z.Close()
			var percent strings.Builder
			for _, c := range []byte(text) {
				percent.WriteString("%" + hex.EncodeToString([]byte{c}))
			}
			for form, b := range map[string]string{
				"plain": text, "lower": strings.ToLower(text), "hex": hex.EncodeToString([]byte(text)), "base64": base64.StdEncoding.EncodeToString([]byte(text)),
				"base64 URL": base64.RawURLEncoding.EncodeToString([]byte(text)), "percent": percent.String(), "query": url.QueryEscape(text), "gzip": zipped.String(),
				"PDF": "%PDF-1.4\nstream\r\n" + deflated.String() + "endstream", "base64 in a line": `{"data":"` + base64.StdEncoding.EncodeToString([]byte(text)) + `"}`,
			} {
				if got := w.In([]byte(b)); got != word {
					t.Errorf("%s %s at %d: found %q", word, form, pad, got)
				}
			}
		}
	}
	for _, text := range []string{"", "HIV-CANAR", "5688-81", "stream stream", "\x1f\x8b", strings.Repeat("stream\n", 20)} {
		if got := w.In([]byte(text)); got != "" {
			t.Errorf("%q: found %s", text, got)
		}
	}
}
