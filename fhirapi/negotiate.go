package fhirapi

import (
	"mime"
	"net/http"
	"strings"

	"firebreak/fhir"
)

const mediaType = "application/fhir+json; charset=utf-8"

// acceptable refuses what asks for anything but JSON (R4 http.html#mime-type).
// _format wins over Accept.
func acceptable(r *http.Request) error {
	if f := r.URL.Query().Get("_format"); f != "" {
		if jsonType(f) {
			return nil
		}
		return notAcceptable()
	}
	accept := r.Header.Values("Accept")
	if len(accept) == 0 {
		return nil
	}
	for _, line := range accept {
		for part := range strings.SplitSeq(line, ",") {
			if jsonType(strings.TrimSpace(part)) {
				return nil
			}
		}
	}
	return notAcceptable()
}

func jsonType(s string) bool {
	name, params, err := mime.ParseMediaType(strings.ReplaceAll(s, " ", "+")) // "+" arrives as a blank in a query
	if err != nil {
		name = s
	}
	if v := params["fhirversion"]; v != "" && v != "4.0" && v != "4.0.1" {
		return false
	}
	switch name {
	case "json", "application/json", "application/fhir+json", "text/json", "*/*", "application/*":
		return params["q"] != "0"
	}
	return false
}

func notAcceptable() error {
	return &fhir.Error{Status: http.StatusNotAcceptable, Code: "not-supported", Text: "Answers are application/fhir+json, FHIR 4.0.1, only."}
}

// preference is one word of the Prefer header (RFC 7240), such as "handling".
func preference(r *http.Request, name string) string {
	for _, line := range r.Header.Values("Prefer") {
		for part := range strings.FieldsFuncSeq(line, func(c rune) bool { return c == ',' || c == ';' }) {
			k, v, _ := strings.Cut(strings.TrimSpace(part), "=")
			if strings.EqualFold(k, name) {
				return strings.Trim(v, `"`)
			}
		}
	}
	return ""
}
