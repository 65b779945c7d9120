package fhirapi

import (
	"mime"
	"net/http"
	"net/url"

	"github.com/gorilla/mux"

	"firebreak/access"
	"firebreak/auth"
	"firebreak/fhir"
	"firebreak/policy"
	"firebreak/search"
	"firebreak/web"
)

// cursorParam carries the sealed cursor of a next page.
const cursorParam = "_cursor"

func (a *api) search(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	typ := mux.Vars(r)["type"]
	values, err := parameters(r)
	if err != nil {
		return err
	}
	cursor := values.Get(cursorParam)
	for _, own := range []string{cursorParam, "_format", "_pretty"} {
		values.Del(own)
	}
	if c.May(auth.Search, typ) == auth.OnePatient {
		confine(typ, values, c.Identity().Patient())
	}
	options := []search.Option{search.Base(a.Base), search.At(a.Now())}
	if preference(r, "handling") == "lenient" {
		options = append(options, search.Lenient())
	}
	q, err := search.ParseQuery(typ, values, options...)
	if err != nil {
		return err
	}
	page, err := a.Reader.Search(r.Context(), a.ask(r, c, typ), q, cursor)
	if err != nil {
		return err
	}
	b := newBundle("searchset", len(page.Matches)+len(page.Includes))
	if page.Total != nil {
		b.total(*page.Total)
	}
	address := a.Base + "/" + typ
	self := q.Values()
	b.link("self", join(address, self, cursor))
	if page.Next != "" {
		b.link("next", join(address, self, page.Next))
	}
	if q.Summary == search.SummaryCount {
		return web.Write(w, r, http.StatusOK, mediaType, b.bytes())
	}
	add := func(all []policy.Released, mode string) error {
		for _, item := range all {
			if mode == "include" && c.May(auth.Read, item.Resource().Type()) == auth.Nothing {
				continue
			}
			shown, err := q.Project(item.Resource())
			if err != nil {
				return err
			}
			b.found(a.Base, shown, mode)
		}
		return nil
	}
	if err := add(page.Matches, "match"); err != nil {
		return err
	}
	if err := add(page.Includes, "include"); err != nil {
		return err
	}
	return web.Write(w, r, http.StatusOK, mediaType, b.bytes())
}

// parameters are those of the address, and of the form when there is one (R4
// search.html#post).
func parameters(r *http.Request) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badQuery()
	}
	if r.Method != http.MethodPost {
		return values, nil
	}
	if name, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || name != "application/x-www-form-urlencoded" {
		return nil, &fhir.Error{Status: http.StatusUnsupportedMediaType, Code: "invalid", Text: "_search takes application/x-www-form-urlencoded."}
	}
	if err := r.ParseForm(); err != nil {
		if tooLong, ok := err.(*http.MaxBytesError); ok {
			return nil, tooLong
		}
		return nil, badQuery()
	}
	for name, more := range r.PostForm {
		values[name] = append(values[name], more...)
	}
	return values, nil
}

func badQuery() error {
	return &fhir.Error{Status: http.StatusBadRequest, Code: "invalid", Text: "The parameters are not a valid query string."}
}

// confine limits a search to the token's patient, whatever else it asks.
func confine(typ string, v url.Values, patient string) {
	if typ == "Patient" {
		v.Add("_id", patient)
		return
	}
	v.Add("patient", "Patient/"+patient)
}

func join(address string, v url.Values, cursor string) string {
	q := v.Encode()
	if cursor != "" {
		if q != "" {
			q += "&"
		}
		q += cursorParam + "=" + url.QueryEscape(cursor)
	}
	if q == "" {
		return address
	}
	return address + "?" + q
}
