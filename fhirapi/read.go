package fhirapi

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"firebreak/access"
	"firebreak/adapters/rest"
	"firebreak/fhir"
	"firebreak/policy"
	"firebreak/search"
	"firebreak/web"
)

func target(r *http.Request) fhir.Ref {
	v := mux.Vars(r)
	return fhir.Ref{Type: v["type"], ID: v["id"]}
}

func (a *api) read(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	if asFile(r) {
		return a.file(w, r, c)
	}
	ref := target(r)
	q, err := projection(ref.Type, r)
	if err != nil {
		return err
	}
	if ok, err := a.define(w, r, ref, q); ok || err != nil {
		return err
	}
	if c.Audience() == access.Auditor {
		return a.readLog(w, r, c, ref, q)
	}
	if isUser(c, ref) {
		return a.user(w, r, c, ref, q)
	}
	got, err := a.Reader.Get(r.Context(), a.ask(r, c, ref.Type), ref)
	if err != nil {
		return err
	}
	return a.show(w, r, got, q)
}

func (a *api) vread(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	ref := target(r)
	q, err := projection(ref.Type, r)
	if err != nil {
		return err
	}
	got, err := a.Reader.VRead(r.Context(), a.ask(r, c, ref.Type), ref, mux.Vars(r)["version"])
	if err != nil {
		return err
	}
	return a.show(w, r, got, q)
}

// projection reads _summary and _elements of a read; other parameters are none of its.
func projection(typ string, r *http.Request) (search.Query, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return search.Query{}, badQuery()
	}
	for name, v := range values {
		switch name {
		case "_summary":
			if v[0] == "count" {
				return search.Query{}, &fhir.Error{Status: http.StatusBadRequest, Code: "value", Text: "Parameter _summary: count is for searches."}
			}
		case "_elements", "_format", "_pretty":
		default:
			if preference(r, "handling") != "lenient" {
				return search.Query{}, unknown(name)
			}
			delete(values, name)
		}
	}
	return search.ParseQuery(typ, values)
}

// unknown refuses a parameter that an interaction does not have.
func unknown(name string) error {
	return &fhir.Error{Status: http.StatusBadRequest, Code: "not-supported", Text: "There is no such parameter here.", Expression: "http." + printable(name)}
}

// printable keeps what a caller typed from being more than a name in an answer.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("_-.:", c) {
			return c
		}
		return -1
	}, s[:min(len(s), 64)])
}

// show answers with one resource. The validators are those of what this caller sees.
func (a *api) show(w http.ResponseWriter, r *http.Request, got policy.Released, q search.Query) error {
	body, err := q.Project(got.Resource())
	if err != nil {
		return err
	}
	whole := q.Summary == search.SummaryNone && len(q.Elements) == 0
	if whole {
		validators(w, got)
		if unchanged(r, got) {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	return web.Resource(w, r, http.StatusOK, body.JSON())
}

// validators are the headers that a later conditional request sends back.
func validators(w http.ResponseWriter, got policy.Released) {
	w.Header().Set("ETag", etag(got))
	w.Header().Set("Last-Modified", got.Recorded().UTC().Format(http.TimeFormat))
}

func etag(got policy.Released) string { return `W/"` + got.VersionID() + `"` }

// unchanged follows RFC 9110 section 13.2.2: If-None-Match first, and
// If-Modified-Since only without it.
func unchanged(r *http.Request, got policy.Released) bool {
	if match := r.Header.Values("If-None-Match"); len(match) > 0 {
		return rest.Names(strings.Join(match, ","), got.VersionID())
	}
	text := r.Header.Get("If-Modified-Since")
	if text == "" {
		return false
	}
	since, err := http.ParseTime(text)
	return err == nil && !got.Recorded().Truncate(time.Second).After(since)
}
