package fhirapi

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"firebreak/access"
	"firebreak/fhir"
	"firebreak/record"
	"firebreak/search"
)

// history answers with the versions of one resource, newest first (R4
// http.html#history). What the caller may not see neither began nor ended anything.
func (a *api) history(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	ref := target(r)
	q, err := readHistory(r)
	if err != nil {
		return err
	}
	all, err := a.Reader.History(r.Context(), a.ask(r, c, ref.Type), ref)
	if err != nil {
		return err
	}
	kept := q.Kept(all)
	total := len(kept)
	if q.after != "" {
		at := slices.IndexFunc(kept, func(i int) bool { return all[i].VersionID() == q.after })
		if at < 0 {
			return &fhir.Error{Status: http.StatusBadRequest, Code: "invalid", Text: "This page link does not belong to this history. Ask again."}
		}
		kept = kept[at+1:]
	}
	more := q.count > 0 && len(kept) > q.count
	if q.count >= 0 && len(kept) > q.count {
		kept = kept[:q.count]
	}
	b := newBundle("history")
	b.total(total)
	address := a.Base + "/" + ref.String() + "/_history"
	b.link("self", join(address, q.values, q.after))
	if more {
		b.next(r, join(address, q.values, all[kept[len(kept)-1]].VersionID()))
	}
	for _, i := range kept {
		b.history(a.Base, all[i], i == len(all)-1)
	}
	return b.send(w, r)
}

// histories answers with the versions of all resources of a type, or of all
// types, the last recorded first. What is withheld has no entry, nor has what
// was deleted but for who sent and deleted it.
func (a *api) histories(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	h, err := readHistory(r)
	if err != nil {
		return err
	}
	address := a.Base
	var q search.Query
	if typ := target(r).Type; typ != "" {
		address += "/" + typ
		q, err = search.ParseQuery(typ, nil)
	} else {
		q, err = search.ParseTypes(nil)
	}
	if err != nil {
		return err
	}
	page, err := a.Reader.Past(r.Context(), a.ask(r, c, ""), q, h.Period, h.count, h.after)
	if err != nil {
		return err
	}
	b := newBundle("history")
	b.total(page.Total)
	b.link("self", join(address+"/_history", h.values, h.after))
	if page.Next != "" {
		b.next(r, join(address+"/_history", h.values, page.Next))
	}
	for _, v := range page.Versions {
		b.history(a.Base, v.Released, v.First)
	}
	return b.send(w, r)
}

// historyQuery is what a history may be asked for.
type historyQuery struct {
	record.Period
	count  int    // of a page; -1: not said
	after  string // where the page before ended
	values url.Values
}

func readHistory(r *http.Request) (historyQuery, error) {
	q := historyQuery{count: -1}
	var err error
	if q.values, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		return q, badQuery()
	}
	for name, list := range q.values {
		v, ok := list[0], len(list) == 1
		switch name {
		case "_count":
			q.count, err = strconv.Atoi(v)
			ok = ok && err == nil && q.count >= 0
		case "_since":
			q.Since, err = time.Parse(time.RFC3339Nano, v)
			ok = ok && err == nil
		case "_at":
			var understood bool
			q.From, q.Until, understood = moment(v)
			ok = ok && understood
		case cursorParam:
			q.after = v
			ok = ok && v != ""
		case "_format", "_pretty":
			ok = true
		default:
			if preference(r, "handling") != "lenient" {
				return q, unknown(name)
			}
			ok = true
		}
		if !ok {
			return q, &fhir.Error{Status: http.StatusBadRequest, Code: "value", Text: "Parameter " + name + ": it cannot be read, or is given twice."}
		}
		if name != "_count" && name != "_since" && name != "_at" {
			delete(q.values, name)
		}
	}
	return q, nil
}

// moment is the time [from, until) that a FHIR date or dateTime covers; without
// a zone it is in UTC.
func moment(s string) (from, until time.Time, ok bool) {
	for _, form := range []struct {
		layout              string
		years, months, days int
	}{{"2006", 1, 0, 0}, {"2006-01", 0, 1, 0}, {time.DateOnly, 0, 0, 1}} {
		if t, err := time.Parse(form.layout, s); err == nil {
			return t, t.AddDate(form.years, form.months, form.days), true
		}
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if strings.Contains(s, ".") {
		return t, t.Add(time.Millisecond), err == nil
	}
	return t, t.Add(time.Second), err == nil
}
