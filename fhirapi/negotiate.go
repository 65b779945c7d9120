package fhirapi

import (
	"mime"
	"net/http"
	"strings"
)

func isForm(r *http.Request) bool {
	name, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && name == "application/x-www-form-urlencoded"
}

// preference is the value of one word of the Prefer header (RFC 7240), such as
// "handling"; empty when it was not sent.
func preference(r *http.Request, name string) string {
	for _, line := range r.Header.Values("Prefer") {
		for part := range strings.FieldsFuncSeq(line, func(c rune) bool { return c == ',' || c == ';' }) {
			k, v, _ := strings.Cut(part, "=")
			if strings.EqualFold(strings.TrimSpace(k), name) {
				return strings.Trim(strings.TrimSpace(v), `"`)
			}
		}
	}
	return ""
}
