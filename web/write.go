package web

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// smallest is the size below which compressing an answer gains nothing: it
// fits one packet either way.
const smallest = 1400

var compressors = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed+3)
	return z
}}

// Write sends a whole answer, compressed when the client can read that and it
// helps. Compression comes after filtering, so its size tells nothing that the
// answer does not. It is safe from chosen-text guessing (BREACH) because our
// cookies are SameSite and pages hold no secret beside what an asker typed.
func Write(w http.ResponseWriter, r *http.Request, status int, contentType string, body []byte) error {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Add("Vary", "Accept-Encoding")
	if len(body) >= smallest && acceptsGzip(r) {
		var packed bytes.Buffer
		packed.Grow(len(body) / 3)
		z := compressors.Get().(*gzip.Writer)
		z.Reset(&packed)
		_, err := z.Write(body)
		if err == nil {
			err = z.Close()
		}
		compressors.Put(z)
		if err != nil {
			return err
		}
		h.Set("Content-Encoding", "gzip")
		body = packed.Bytes()
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return nil
	}
	_, _ = w.Write(body) // the client went away: nobody is left to tell
	return nil
}

func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") && !refusedQuality(q) {
			return true
		}
	}
	return false
}

func refusedQuality(q string) bool {
	v, ok := strings.CutPrefix(strings.ReplaceAll(q, " ", ""), "q=")
	if !ok {
		return false
	}
	f, err := strconv.ParseFloat(v, 64)
	return err != nil || f <= 0
}

// WritePacked sends an answer that was compressed beforehand, as it is or
// packed, whichever the client can read.
func WritePacked(w http.ResponseWriter, r *http.Request, contentType string, body, packed []byte) error {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Add("Vary", "Accept-Encoding")
	if acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		body = packed
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
	return nil
}
