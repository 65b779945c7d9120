package proof_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
)

// dresses are how a canary may stand in an answer: as it is, in base64 at any
// offset, in hexadecimal; and the dates and numbers that only secrets have.
var dresses = func() []string {
	all := []string{mark, hex.EncodeToString([]byte(mark)), strings.ToUpper(hex.EncodeToString([]byte(mark))), "1994-02-", "-Feb-1994", "73911."}
	for shift := range 3 {
		b := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + mark))
		// The first and last characters depend on what stands beside.
		all = append(all, b[(shift*8+5)/6:len(mark)*8/6-1])
	}
	return all
}()

// canary says which canary stands in an answer, in any dress; "" when none.
func canary(a answer) string {
	body := a.body
	if a.header.Get("Content-Encoding") == "gzip" {
		body = unpack(gzip.NewReader(bytes.NewReader(body)))
	}
	if s := canaryIn(body); s != "" {
		return s
	}
	for name, values := range a.header {
		if s := canaryIn([]byte(strings.Join(values, " "))); s != "" {
			return "header " + name + ": " + s
		}
	}
	return ""
}

func canaryIn(b []byte) string {
	for _, d := range dresses {
		if i := bytes.Index(b, []byte(d)); i >= 0 {
			return fmt.Sprintf("a canary: ...%s...", b[max(0, i-40):min(i+60, len(b))])
		}
	}
	for _, m := range embedded.FindAllSubmatch(b, -1) {
		file, err := base64.StdEncoding.DecodeString(string(m[1]))
		if err == nil && bytes.HasPrefix(file, []byte("%PDF")) {
			if s := canaryInPDF(file); s != "" {
				return "in a PDF: " + s
			}
		}
	}
	if bytes.HasPrefix(b, []byte("%PDF")) {
		return canaryInPDF(b)
	}
	return ""
}

var (
	embedded = regexp.MustCompile(`"data":"([A-Za-z0-9+/=]{64,})"`)
	streams  = regexp.MustCompile(`(?s)stream\r?\n(.*?)\r?\nendstream`)
)

func canaryInPDF(b []byte) string {
	for _, m := range streams.FindAllSubmatch(b, -1) {
		if s := canaryIn(unpack(zlib.NewReader(bytes.NewReader(m[1])))); s != "" {
			return s
		}
	}
	return ""
}

func unpack[R io.Reader](r R, err error) []byte {
	if err != nil {
		return nil
	}
	b, _ := io.ReadAll(io.LimitReader(r, 16<<20))
	return b
}

// names tells whether somebody named a canary, so that it may be repeated.
func names(q question) bool {
	for _, d := range dresses {
		if strings.Contains(q.target, d) || strings.Contains(q.form, d) {
			return true
		}
	}
	return false
}

// TestCanariesAreSeen holds the scan to what it promises.
func TestCanariesAreSeen(t *testing.T) {
	word := mark + "42"
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write([]byte("<p>" + word))
	_ = z.Close()
	b64 := base64.StdEncoding.EncodeToString
	for name, a := range map[string]answer{
		"plain":            {body: []byte("x " + word)},
		"gzip":             {header: map[string][]string{"Content-Encoding": {"gzip"}}, body: packed.Bytes()},
		"base64":           {body: []byte(b64([]byte(word)))},
		"base64, one in":   {body: []byte(b64([]byte("a" + word)))},
		"base64, two in":   {body: []byte(b64([]byte("ab" + word)))},
		"hexadecimal":      {body: []byte(hex.EncodeToString([]byte(word)))},
		"PDF":              {body: pdf("Report", word)},
		"PDF in base64":    {body: []byte(`{"data":"` + b64(pdf("Report", word)) + `"}`)},
		"a header":         {header: map[string][]string{"Location": {"/x/" + word}}},
		"a date":           {body: []byte(`"1994-02-11"`)},
		"a date on a page": {body: []byte(`17-Feb-1994`)},
	} {
		if canary(a) == "" {
			t.Errorf("not seen: %s", name)
		}
	}
	if s := canary(answer{body: append(pdf("Report"), b64([]byte("Zqxj and kvwq"))...)}); s != "" {
		t.Errorf("seen where none is: %s", s)
	}
}
