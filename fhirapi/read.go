package fhirapi

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"firebreak/access"
	"firebreak/audit"
	"firebreak/auth"
	"firebreak/fhir"
	"firebreak/policy"
	"firebreak/search"
	"firebreak/web"
)

func target(r *http.Request) fhir.Ref {
	v := mux.Vars(r)
	return fhir.Ref{Type: v["type"], ID: v["id"]}
}

// confined gives the one chart that a patient-level token may read, whole.
// There is nothing outside it for the handler to find.
func (a *api) confined(r *http.Request, c access.Caller, what audit.Action, typ string) (*policy.View, bool, error) {
	if c.May(auth.Read, typ) != auth.OnePatient {
		return nil, false, nil
	}
	ask := a.ask(r, c, typ)
	ask.Action = what
	view, err := a.Reader.Chart(r.Context(), ask, fhir.Ref{Type: "Patient", ID: c.Identity().Patient()})
	return view, true, err
}

func (a *api) read(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	ref := target(r)
	q, err := projection(ref.Type, r.URL.Query())
	if err != nil {
		return err
	}
	view, one, err := a.confined(r, c, audit.Read, ref.Type)
	if err != nil {
		return err
	}
	var got policy.Released
	if one {
		var ok bool
		if got, ok = view.Get(ref); !ok {
			return fhir.NotFound()
		}
	} else if got, err = a.Reader.Get(r.Context(), a.ask(r, c, ref.Type), ref); err != nil {
		return err
	}
	return a.show(w, r, got, q)
}

func (a *api) vread(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	ref, version := target(r), mux.Vars(r)["version"]
	q, err := projection(ref.Type, r.URL.Query())
	if err != nil {
		return err
	}
	view, one, err := a.confined(r, c, audit.VRead, ref.Type)
	if err != nil {
		return err
	}
	var got policy.Released
	if one {
		var ok bool
		if got, ok = view.Version(ref, version); !ok {
			return fhir.NotFound()
		}
	} else if got, err = a.Reader.VRead(r.Context(), a.ask(r, c, ref.Type), ref, version); err != nil {
		return err
	}
	return a.show(w, r, got, q)
}

// projection reads _summary and _elements of a read; other parameters are none of its.
func projection(typ string, v url.Values) (search.Query, error) {
	kept := url.Values{}
	for name, values := range v {
		switch name {
		case "_summary", "_elements":
			kept[name] = values
		case "_format", "_pretty":
		default:
			return search.Query{}, &fhir.Error{Status: http.StatusBadRequest, Code: "invalid", Text: "A read takes no parameter of this name.", Expression: "http." + printable(name)}
		}
	}
	return search.ParseQuery(typ, kept)
}

// printable keeps what a caller typed from being more than a name in an answer.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c > ' ' && c < 0x7f && !strings.ContainsRune(`"\<>&`, c) {
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
	h := w.Header()
	whole := q.Summary == search.SummaryNone && len(q.Elements) == 0
	if whole {
		h.Set("ETag", `W/"`+got.VersionID()+`"`)
		h.Set("Last-Modified", got.Recorded().UTC().Format(http.TimeFormat))
		if unchanged(r, got) {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	return web.Write(w, r, http.StatusOK, mediaType, body.JSON())
}

// unchanged follows RFC 9110 section 13.2.2: If-None-Match first, and
// If-Modified-Since only without it.
func unchanged(r *http.Request, got policy.Released) bool {
	if match := r.Header.Get("If-None-Match"); match != "" {
		for part := range strings.SplitSeq(match, ",") {
			part = strings.TrimPrefix(strings.TrimSpace(part), "W/")
			if part == "*" || part == `"`+got.VersionID()+`"` {
				return true
			}
		}
		return false
	}
	since, err := http.ParseTime(r.Header.Get("If-Modified-Since"))
	return err == nil && !got.Recorded().Truncate(time.Second).After(since)
}

func (a *api) history(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	ref := target(r)
	view, one, err := a.confined(r, c, audit.HistoryA, ref.Type)
	if err != nil {
		return err
	}
	var versions []policy.Released
	if one {
		if versions = view.History(ref); len(versions) == 0 {
			return fhir.NotFound()
		}
	} else if versions, err = a.Reader.History(r.Context(), a.ask(r, c, ref.Type), ref); err != nil {
		return err
	}
	b := newBundle("history", len(versions))
	b.total(len(versions))
	b.link("self", a.Base+"/"+ref.String()+"/_history")
	for i, v := range versions {
		verb, status := "PUT", "200"
		if i == len(versions)-1 {
			verb, status = "POST", "201"
		}
		b.history(a.Base, v, verb, status)
	}
	return web.Write(w, r, http.StatusOK, mediaType, b.bytes())
}
