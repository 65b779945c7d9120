package fhirapi

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/gorilla/mux"

	"firebreak/access"
	"firebreak/auth"
	"firebreak/fhir"
	"firebreak/fhir/r4def"
	"firebreak/policy"
	"firebreak/search"
	"firebreak/web"
)

// cursorParam carries where the page before ended, sealed by the record.
const cursorParam = "_cursor"

func (a *api) search(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	values, err := parameters(r)
	if err != nil {
		return err
	}
	if err := web.Negotiate(r, values); err != nil {
		return err
	}
	cursor := values.Get(cursorParam)
	for _, own := range []string{cursorParam, "_format", "_pretty"} {
		values.Del(own)
	}
	options := []search.Option{search.Base(a.Base), search.At(a.Now()), search.Codes(a.Reader.Codes())}
	if preference(r, "handling") == "lenient" {
		options = append(options, search.Lenient())
	}
	q, address, err := a.query(r, values, options)
	if err != nil {
		return err
	}
	if definitional[q.Type] {
		index, err := a.defined(q.Type)
		if err != nil {
			return err
		}
		return a.searchDefinitions(w, r, index, q, address, cursor)
	}
	if q.Type == subscription && a.Subscribing != nil && mux.Vars(r)["focus"] == "" {
		index, err := a.subscriptions(r, c)
		if err != nil {
			return err
		}
		return a.searchDefinitions(w, r, index, q, address, cursor)
	}
	if q.Type == "AuditEvent" && c.Audience() == access.Auditor {
		return a.searchLog(w, r, c, q, address, cursor)
	}
	if q.Type == "" && q.Named() { // those that are not named are passed over where the token does not reach
		for _, typ := range q.Types() {
			if c.May(auth.Search, typ) == auth.Nothing {
				return a.beyond(w, r, c, "search", typ)
			}
		}
	}
	page, err := a.Reader.Search(r.Context(), a.ask(r, c, ""), q, cursor)
	if err != nil {
		return err
	}
	b := newBundle("searchset")
	if page.Total != nil {
		b.total(*page.Total)
	}
	self := q.Values()
	b.link("self", join(address, self, cursor))
	if page.Next != "" {
		b.next(r, join(address, self, page.Next))
	}
	if q.Summary == search.SummaryCount {
		return b.send(w, r)
	}
	for _, item := range page.Matches {
		if err := a.found(b, &q, item, "match"); err != nil {
			return err
		}
	}
	for _, item := range page.Includes {
		if err := a.found(b, &q, item, "include"); err != nil {
			return err
		}
	}
	b.ignored(q)
	return b.send(w, r)
}

// query reads what the address and the parameters ask for, and gives the address
// without the parameters: /Type, /Focus/id/Type and /Focus/id/* of a
// compartment, or the base for a search over several types.
func (a *api) query(r *http.Request, values url.Values, options []search.Option) (q search.Query, address string, err error) {
	vars := mux.Vars(r)
	address = a.Base
	if vars["focus"] != "" {
		address += "/" + vars["focus"] + "/" + vars["id"]
		options = append(options, search.Within(fhir.Ref{Type: vars["focus"], ID: vars["id"]}))
	}
	if vars["type"] != "" {
		address += "/" + vars["type"]
	}
	if typ := vars["type"]; typ != "" && typ != "*" {
		q, err = search.ParseQuery(typ, values, options...)
	} else {
		q, err = search.ParseTypes(values, options...)
	}
	return q, address, err
}

// compartment tells whether a type has one; so does no type.
func compartment(focus string) bool { return focus == "" || r4def.Compartment(focus) != nil }

func (a *api) found(b *bundle, q *search.Query, item policy.Released, mode string) error {
	shown, err := q.Project(item.Resource())
	if err != nil {
		return err
	}
	b.found(a.Base, shown, mode)
	return nil
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
	if !isForm(r) || !plain(r) {
		return nil, &fhir.Error{Status: http.StatusUnsupportedMediaType, Code: "invalid", Text: "_search takes application/x-www-form-urlencoded."}
	}
	if err := r.ParseForm(); err != nil {
		if tooLong, ok := errors.AsType[*http.MaxBytesError](err); ok {
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

// join is an address with its parameters, the cursor last.
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
