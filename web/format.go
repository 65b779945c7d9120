package web

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"firebreak/fhir"
	"firebreak/fhir/fhirxml"
)

// format is what an answer of the FHIR API is written as: its media type.
type format string

const (
	inJSON format = "application/fhir+json; charset=utf-8"
	inXML  format = "application/fhir+xml; charset=utf-8"
)

// Negotiate settles what the request's answer is written as, by what it asks
// for: JSON, where nothing is said or anything will do, or XML. asked are the
// parameters of the address or the form of a _search: _format wins over Accept. Asking for neither is a 406. With _pretty=true it is
// written for people.
//
// Source: R4 http.html#mime-type, http.html#pretty; RFC 9110 section 12.5.1.
func Negotiate(r *http.Request, asked url.Values) error {
	all := asked["_format"]
	if len(all) == 0 {
		all = r.Header.Values("Accept")
	}
	best, quality := inJSON, 0.0
	for _, line := range all {
		for part := range strings.SplitSeq(line, ",") {
			if f, q := formatOf(part); q > quality {
				best, quality = f, q
			}
		}
	}
	if len(all) > 0 && quality == 0 {
		return &fhir.Error{Status: http.StatusNotAcceptable, Code: "not-supported", Text: "Answers are application/fhir+json or application/fhir+xml, FHIR 4.0.1, only."}
	}
	t := tripOf(r)
	t.format, t.pretty, t.chosen = best, asked.Get("_pretty") == "true", ""
	for _, name := range []string{"_format", "_pretty"} {
		if asked.Has(name) {
			t.chosen += "&" + name + "=" + url.QueryEscape(asked.Get(name))
		}
	}
	return nil
}

// Chosen is what the request's parameters say of the format, to be appended to the
// address of the next page: whoever follows that sends no other.
func Chosen(r *http.Request) string { return tripOf(r).chosen }

// formatOf reads a media range, or one of FHIR's short names; quality 0: it
// allows nothing that is written here.
func formatOf(s string) (f format, quality float64) {
	if s == "application/fhir+json" { // what nearly everyone sends
		return inJSON, 1
	}
	s = plus.Replace(strings.TrimSpace(s))
	name, params, err := mime.ParseMediaType(s)
	if err != nil {
		return "", 0
	}
	if v := params["fhirversion"]; v != "" && v != "4.0" && v != "4.0.1" {
		return "", 0
	}
	quality = 1
	if q := params["q"]; q != "" {
		if quality, err = strconv.ParseFloat(q, 64); err != nil || quality > 1 {
			return "", 0
		}
	}
	switch name {
	case "json", "application/json", "application/fhir+json", "text/json", "*/*", "application/*":
		return inJSON, quality
	case "xml", "application/xml", "application/fhir+xml", "text/xml", "text/*":
		return inXML, quality
	}
	return "", 0
}

// plus puts a "+" back that the query turned into a blank.
var plus = strings.NewReplacer("fhir json", "fhir+json", "fhir xml", "fhir+xml")

// Resource sends a resource as the request asked for it: see Negotiate. body is
// its JSON.
func Resource(w http.ResponseWriter, r *http.Request, status int, body []byte) error {
	w.Header().Add("Vary", "Accept")
	pretty := tripOf(r).pretty
	if tripOf(r).format != inXML {
		if pretty {
			var b bytes.Buffer
			if err := json.Indent(&b, body, "", "  "); err != nil {
				return err
			}
			body = b.Bytes()
		}
		return Write(w, r, status, string(inJSON), body)
	}
	write := fhirxml.Write
	if pretty {
		write = fhirxml.WriteIndented
	}
	res, err := fhir.Parse(body)
	if err == nil {
		body, err = write(res)
	}
	if err != nil {
		tripOf(r).format = inJSON // the error cannot be said in XML either, for all we know
		return &fhir.Error{Status: http.StatusNotAcceptable, Code: "not-supported", Text: "This answer cannot be written as XML. Ask for application/fhir+json.", Err: err}
	}
	return Write(w, r, status, string(inXML), body)
}
