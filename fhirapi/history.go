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
)

// history answers with the versions of one resource, newest first (R4
// http.html#history). Each version began when it was recorded and held until
// the next; what the caller may not see neither began nor ended anything.
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
	var kept []int // into all
	for i, v := range all {
		from, until := v.Recorded(), time.Time{}
		if i > 0 {
			until = all[i-1].Recorded()
		}
		if !from.Before(q.since) && (q.until.IsZero() || from.Before(q.until) && (until.IsZero() || until.After(q.from))) {
			kept = append(kept, i)
		}
	}
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
		b.link("next", join(address, q.values, all[kept[len(kept)-1]].VersionID()))
	}
	for _, i := range kept {
		b.history(a.Base, all[i], i == len(all)-1)
	}
	return b.send(w, r)
}

// historyQuery is what a history may be asked for.
type historyQuery struct {
	since       time.Time // recorded at or after
	from, until time.Time // held at some time in [from, until); zero until: whenever
	count       int       // of a page; -1: all
	after       string    // version that the page before ended with
	values      url.Values
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
			q.since, err = time.Parse(time.RFC3339Nano, v)
			ok = ok && err == nil
		case "_at":
			var understood bool
			q.from, q.until, understood = moment(v)
			ok = ok && understood
		case cursorParam:
			q.after = v
			ok = ok && fhir.ValidID(v)
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
