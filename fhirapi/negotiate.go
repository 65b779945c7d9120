package fhirapi

import (
	"mime"
	"net/http"
	"strings"

	"firebreak/fhir"
)

const mediaType = "application/fhir+json; charset=utf-8"

// acceptable refuses what asks for anything but JSON (R4 http.html#mime-type).
// _format wins over Accept; formats are its values, from the address or the
// form of a _search.
func acceptable(r *http.Request, formats []string) error {
	if len(formats) > 0 {
		return jsonAmong(formats)
	}
	return jsonAmong(r.Header.Values("Accept"))
}

// jsonAmong takes a list that is empty or names JSON.
func jsonAmong(all []string) error {
	for _, line := range all {
		for part := range strings.SplitSeq(line, ",") {
			if isJSON(part) {
				return nil
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	return &fhir.Error{Status: http.StatusNotAcceptable, Code: "not-supported", Text: "Answers are application/fhir+json, FHIR 4.0.1, only."}
}

// isJSON tells whether a media range, or one of FHIR's short names, allows
// FHIR R4 in JSON.
func isJSON(s string) bool {
	if s == "application/fhir+json" { // what nearly everyone sends
		return true
	}
	s = strings.ReplaceAll(strings.TrimSpace(s), "fhir json", "fhir+json") // a "+" that the query turned into a blank
	name, params, err := mime.ParseMediaType(s)
	if err != nil {
		return false
	}
	if v := params["fhirversion"]; v != "" && v != "4.0" && v != "4.0.1" {
		return false
	}
	if q := params["q"]; q != "" && strings.Trim(q, "0.") == "" {
		return false
	}
	switch name {
	case "json", "application/json", "application/fhir+json", "text/json", "*/*", "application/*":
		return true
	}
	return false
}

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
