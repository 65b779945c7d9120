package fhirapi

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"firebreak/access"
	"firebreak/auth"
	"firebreak/fhir"
	"firebreak/record"
	"firebreak/search"
	"firebreak/web"
)

// Operations that read are searches of a kind of their own: they are evaluated in
// the released view, bounded, paged and written down as any search is.

const (
	recordPath = `/{type:Patient}/{id:[A-Za-z0-9\-.]{1,64}}/$everything`
	lastnPath  = `/{type:Observation}/$lastn`
	docrefPath = `/{type:DocumentReference}/$docref`
)

// defined are the types at which they stand and the addresses of their definitions.
var defined = map[string]struct{ typ, definition string }{
	"$everything":    {"Patient", "http://hl7.org/fhir/OperationDefinition/Patient-everything"},
	"$summary":       {"Patient", "http://hl7.org/fhir/uv/ips/OperationDefinition/summary"},
	"$match":         {"Patient", "http://hl7.org/fhir/OperationDefinition/Patient-match"},
	"$ihe-pix":       {"Patient", "https://profiles.ihe.net/ITI/PIXm/OperationDefinition/IHE.PIXm.pix"},
	"$lastn":         {"Observation", "http://hl7.org/fhir/OperationDefinition/Observation-lastn"},
	"$expand":        {"ValueSet", "http://hl7.org/fhir/OperationDefinition/ValueSet-expand"},
	"$validate-code": {"ValueSet", "http://hl7.org/fhir/OperationDefinition/ValueSet-validate-code"},
	"$lookup":        {"CodeSystem", "http://hl7.org/fhir/OperationDefinition/CodeSystem-lookup"},
	"$docref":        {"DocumentReference", "http://hl7.org/fhir/us/core/OperationDefinition/docref"},
}

// given are the parameters of an operation that changes nothing, which may be asked by
// GET and by POST; as arguments.
//
// Source: R4 operations.html#request.
func given(r *http.Request, known ...string) (v url.Values, cursor string, err error) {
	if v, err = inputs(r); err != nil {
		return nil, "", err
	}
	return argumentsIn(r, v, known)
}

// arguments are the parameters of an operation that stand in its address, each at most
// once but for those that may be repeated, and the cursor of the page.
func arguments(r *http.Request, known ...string) (v url.Values, cursor string, err error) {
	if v, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		return nil, "", badQuery()
	}
	return argumentsIn(r, v, known)
}

func argumentsIn(r *http.Request, v url.Values, known []string) (_ url.Values, cursor string, err error) {
	if err := web.Negotiate(r, v); err != nil {
		return nil, "", err
	}
	cursor = v.Get(cursorParam)
	for _, own := range []string{cursorParam, "_format", "_pretty"} {
		v.Del(own)
	}
	for name, list := range v {
		if !slices.Contains(known, name) {
			if preference(r, "handling") != "lenient" {
				return nil, "", unknown(name)
			}
			delete(v, name)
		} else if len(list) > 1 && !slices.Contains([]string{"_type", "type", "targetSystem"}, name) {
			return nil, "", &fhir.Error{Status: http.StatusBadRequest, Code: "invalid", Text: "It is given twice.", Expression: "http." + printable(name)}
		}
	}
	return v, cursor, nil
}

// everything is $everything: all that the caller may see of a patient's record,
// with whoever and whatever it names. start and end are dates of care; what has
// none is there whatever they are.
//
// Source: R4 patient-operation-everything.
func (a *api) everything(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	asked, cursor, err := given(r, "start", "end", "_since", "_type", "_count")
	if err != nil {
		return err
	}
	patient := target(r)
	v := url.Values{}
	for _, name := range []string{"_type", "_count"} {
		if list := asked[name]; list != nil {
			v[name] = list
		}
	}
	if since := asked.Get("_since"); since != "" {
		v.Set("_lastUpdated", "ge"+since)
	}
	q, err := search.ParseTypes(v, search.Base(a.Base), search.At(a.Now()), search.RecordOf(patient, asked.Get("start"), asked.Get("end")))
	if err != nil {
		return err
	}
	if q.Named() {
		for _, typ := range q.Types() {
			if c.May(auth.Search, typ) == auth.Nothing {
				return a.beyond(w, r, c, "search", typ)
			}
		}
	}
	// The record is there when its Patient is, for whoever asks.
	if _, err := a.Reader.Get(r.Context(), a.ask(r, c, "Patient $everything"), patient); err != nil {
		return err
	}
	page, err := a.Reader.Search(r.Context(), a.ask(r, c, "Patient $everything"), q, cursor)
	if err != nil {
		return err
	}
	return a.pageOf(w, r, &q, page, a.Base+"/"+patient.String()+"/$everything", asked, cursor)
}

// lastn is $lastn: of each kind of Observation that a search finds the newest,
// one or as many as max says.
//
// Source: R4 observation-operation-lastn.
func (a *api) lastn(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	asked, err := inputs(r)
	if err != nil {
		return err
	}
	cursor := asked.Get(cursorParam)
	for _, own := range []string{cursorParam, "_format", "_pretty"} {
		asked.Del(own)
	}
	most := 1
	if text := asked.Get("max"); asked.Has("max") {
		if most, err = strconv.Atoi(text); err != nil || most < 1 || len(asked["max"]) > 1 {
			return &fhir.Error{Status: http.StatusBadRequest, Code: "value", Text: "It is one number, from 1.", Expression: "http.max"}
		}
	}
	v := maps.Clone(asked)
	v.Del("max")
	return a.latest(w, r, c, asked, v, cursor, "code", most, "/$lastn")
}

// docref is $docref: references to the documents of a patient, of the types and
// the time of care that are asked for; without a time the newest of each type.
//
// Source: US Core 3.1.1 docref; on-demand documents are not made here.
func (a *api) docref(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	asked, cursor, err := given(r, "patient", "start", "end", "type", "on-demand", "_count")
	if err != nil {
		return err
	}
	v := url.Values{}
	for _, name := range []string{"patient", "type", "_count"} {
		if list := asked[name]; list != nil {
			v[name] = list
		}
	}
	most := 1
	for name, prefix := range map[string]string{"start": "ge", "end": "le"} {
		if at := asked.Get(name); at != "" {
			v.Add("period", prefix+at)
			most = 0
		}
	}
	return a.latest(w, r, c, asked, v, cursor, "type", most, "/$docref")
}

// latest answers with the newest of each kind among what a search inside one
// patient's record finds; all of it when most is 0.
func (a *api) latest(w http.ResponseWriter, r *http.Request, c access.Caller, asked, v url.Values, cursor, by string, most int, name string) error {
	typ := target(r).Type
	options := []search.Option{search.Base(a.Base), search.At(a.Now()), search.Codes(a.Reader.Codes()), search.Latest(by, most)}
	q, err := search.ParseQuery(typ, v, options...)
	if err != nil {
		return err
	}
	if patients, ok := q.Patient(); !ok || len(patients) != 1 {
		return &fhir.Error{Status: http.StatusBadRequest, Code: "required", Text: "It is asked of one patient.", Expression: "http.patient"}
	}
	page, err := a.Reader.Search(r.Context(), a.ask(r, c, typ+" "+name[1:]), q, cursor)
	if err != nil {
		return err
	}
	return a.pageOf(w, r, &q, page, a.Base+"/"+typ+name, asked, cursor)
}

// pageOf answers with one page; self are the parameters as they were used.
func (a *api) pageOf(w http.ResponseWriter, r *http.Request, q *search.Query, page record.Page, address string, self url.Values, cursor string) error {
	b := newBundle("searchset")
	if page.Total != nil {
		b.total(*page.Total)
	}
	b.link("self", join(address, self, cursor))
	if page.Next != "" {
		b.next(r, join(address, self, page.Next))
	}
	for _, item := range page.Matches {
		if err := a.found(b, q, item, "match"); err != nil {
			return err
		}
	}
	for _, item := range page.Includes {
		if err := a.found(b, q, item, "include"); err != nil {
			return err
		}
	}
	return b.send(w, r)
}
