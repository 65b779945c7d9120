package fhirapi

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"firebreak/access"
	"firebreak/fhir"
	"firebreak/fhir/terminology"
	"firebreak/search"
	"firebreak/web"
)

// The operations here look at value sets and code systems, which are the same for
// everyone, and at nothing that a source sent.

// asked are the arguments of such an operation: of the address, and by POST of the
// Parameters besides, where those that are a Coding or CodeableConcept come to codings.
func asked(r *http.Request, known ...string) (v url.Values, codings []fhir.Node, err error) {
	if v, _, err = arguments(r, known...); err != nil || r.Method != http.MethodPost {
		return v, nil, err
	}
	in, err := body(r)
	if err != nil {
		return nil, nil, err
	}
	refuse := func(text, name string) error {
		return &fhir.Error{Status: http.StatusBadRequest, Code: "invalid", Text: text, Expression: "Parameters.parameter.where(name = '" + printable(name) + "')"}
	}
	if in.Type() != "Parameters" {
		return nil, nil, refuse("Send Parameters.", "")
	}
	for p := range in.All("parameter") {
		name := p.Get("name").Text()
		_, value := p.First([]string{"valueUri", "valueString", "valueCode", "valueBoolean", "valueInteger", "valueCanonical", "valueCoding", "valueCodeableConcept"})
		switch {
		case name == "coding" && value.Kind() == '{' && slices.Contains(known, name):
			codings = append(codings, value)
		case name == "codeableConcept" && value.Kind() == '{' && slices.Contains(known, name):
			for c := range value.Get("coding").Items() {
				codings = append(codings, c)
			}
		case !slices.Contains(known, name) || value.Text() == "":
			return nil, nil, refuse("There is no such parameter here.", name)
		case v.Has(name):
			return nil, nil, refuse("It is given twice.", name)
		default:
			v.Set(name, value.Text())
		}
	}
	return v, codings, nil
}

// valueSet is the value set that an operation is asked of: the address's own, or
// that of url.
func (a *api) valueSet(r *http.Request, v url.Values) (*terminology.Set, fhir.Resource, error) {
	canonical := v.Get("url")
	if ref := target(r); ref.ID != "" {
		res, ok := a.Reader.Codes().Get(ref)
		if !ok {
			return nil, res, fhir.NotFound()
		}
		canonical = res.Get("url").Text()
	} else if canonical == "" {
		return nil, fhir.Resource{}, &fhir.Error{Status: http.StatusBadRequest, Code: "required", Text: "Name a value set.", Expression: "http.url"}
	}
	if version := v.Get("valueSetVersion"); version != "" && !strings.Contains(canonical, "|") {
		canonical += "|" + version
	}
	set, err := a.Reader.Codes().Set(canonical)
	if err != nil {
		return nil, fhir.Resource{}, unknownTerms(err)
	}
	res, _ := a.Reader.Codes().Find("ValueSet", set.URL)
	return set, res, nil
}

// unknownTerms is what is not known here as an answer.
func unknownTerms(err error) error {
	e, ok := errors.AsType[*terminology.Error](err)
	switch {
	case ok && e.Unknown:
		return &fhir.Error{Status: http.StatusNotFound, Code: "not-found", Text: e.Text}
	case ok:
		return &fhir.Error{Status: http.StatusUnprocessableEntity, Code: "not-supported", Text: e.Text}
	}
	return err
}

// expand is $expand: the codes of a value set, those whose code or display has all
// words of filter, in the order of the definition, in pages by offset and count.
//
// Source: R4 valueset-operation-expand.
func (a *api) expand(w http.ResponseWriter, r *http.Request, _ access.Caller) error {
	v, _, err := asked(r, "url", "valueSetVersion", "filter", "activeOnly", "offset", "count")
	if err != nil {
		return err
	}
	set, res, err := a.valueSet(r, v)
	if err != nil {
		return err
	}
	words := strings.Fields(search.Fold(v.Get("filter")))
	var found []terminology.Code
	for _, c := range set.Codes {
		text := search.Fold(c.Code + " " + c.Display)
		if v.Get("activeOnly") == "true" && c.Inactive || slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) }) {
			continue
		}
		found = append(found, c)
	}
	page, parameters := [2]int{0, len(found)}, []object{}
	for i, name := range []string{"offset", "count"} {
		if !v.Has(name) {
			continue
		}
		n, err := strconv.Atoi(v.Get(name))
		if err != nil || n < 0 {
			return &fhir.Error{Status: http.StatusBadRequest, Code: "value", Text: "It is not a number of codes.", Expression: "http." + name}
		}
		page[i] = n
		parameters = append(parameters, object{"name": name, "valueInteger": n})
	}
	if v.Has("filter") {
		parameters = append(parameters, object{"name": "filter", "valueString": v.Get("filter")})
	}
	expansion := object{"timestamp": a.Now().UTC().Format(time.RFC3339), "total": len(found)}
	if len(parameters) > 0 {
		expansion["parameter"] = parameters
	}
	if v.Has("offset") {
		expansion["offset"] = page[0]
	}
	from := min(page[0], len(found))
	var contains []object
	for _, c := range found[from:min(len(found), from+min(page[1], len(found)))] {
		o := object{"system": c.System, "code": c.Code}
		for name, text := range map[string]string{"version": c.Version, "display": c.Display} {
			if text != "" {
				o[name] = text
			}
		}
		for name, is := range map[string]bool{"abstract": c.Abstract, "inactive": c.Inactive} {
			if is {
				o[name] = true
			}
		}
		contains = append(contains, o)
	}
	if contains != nil {
		expansion["contains"] = contains
	}
	out := object{"resourceType": "ValueSet", "expansion": expansion}
	for _, name := range []string{"id", "url", "version", "name", "title", "status", "copyright"} {
		if text := res.Get(name).Text(); text != "" {
			out[name] = text
		}
	}
	return answer(w, r, out)
}

// validateCode is $validate-code: whether a code, or one of several, is of a value
// set.
//
// Source: R4 valueset-operation-validate-code.
func (a *api) validateCode(w http.ResponseWriter, r *http.Request, _ access.Caller) error {
	v, codings, err := asked(r, "url", "valueSetVersion", "code", "system", "coding", "codeableConcept")
	if err != nil {
		return err
	}
	set, _, err := a.valueSet(r, v)
	if err != nil {
		return err
	}
	pairs := [][2]string{}
	if v.Has("code") {
		pairs = append(pairs, [2]string{v.Get("system"), v.Get("code")})
	}
	for _, c := range codings {
		pairs = append(pairs, [2]string{c.Get("system").Text(), c.Get("code").Text()})
	}
	if len(pairs) == 0 || v.Has("code") && v.Get("system") == "" {
		return &fhir.Error{Status: http.StatusBadRequest, Code: "required", Text: "Name a code and its system.", Expression: "http.code"}
	}
	for _, p := range pairs {
		if i := slices.IndexFunc(set.Codes, func(c terminology.Code) bool { return c.System == p[0] && c.Code == p[1] && !c.Abstract }); i >= 0 {
			out := []object{{"name": "result", "valueBoolean": true}}
			if display := set.Codes[i].Display; display != "" {
				out = append(out, object{"name": "display", "valueString": display})
			}
			return answer(w, r, object{"resourceType": "Parameters", "parameter": out})
		}
	}
	return answer(w, r, object{"resourceType": "Parameters", "parameter": []object{{"name": "result", "valueBoolean": false}, {"name": "message", "valueString": "It is no code of this value set."}}})
}

// lookUp is $lookup: what a code system says of a code.
//
// Source: R4 codesystem-operation-lookup.
func (a *api) lookUp(w http.ResponseWriter, r *http.Request, _ access.Caller) error {
	v, codings, err := asked(r, "code", "system", "version", "coding")
	if err != nil {
		return err
	}
	url, code := v.Get("system"), v.Get("code")
	if len(codings) == 1 && url == "" && code == "" {
		url, code = codings[0].Get("system").Text(), codings[0].Get("code").Text()
	}
	if url == "" || code == "" {
		return &fhir.Error{Status: http.StatusBadRequest, Code: "required", Text: "Name a code and its system.", Expression: "http.code"}
	}
	system, err := a.Reader.Codes().System(url)
	if err != nil {
		return unknownTerms(err)
	}
	c, ok := system.Lookup(code)
	if version := v.Get("version"); !ok || version != "" && version != system.Version {
		return &fhir.Error{Status: http.StatusNotFound, Code: "not-found", Text: "The code system that is here has no such code."}
	}
	out := []object{{"name": "name", "valueString": system.Name}}
	if system.Version != "" {
		out = append(out, object{"name": "version", "valueString": system.Version})
	}
	out = append(out, object{"name": "display", "valueString": cmp.Or(c.Display, c.Code)})
	property := func(name, typ, value string) {
		out = append(out, object{"name": "property", "part": []object{{"name": "code", "valueCode": name}, {"name": "value", typ: value}}})
	}
	if c.Definition != "" {
		property("definition", "valueString", c.Definition)
	}
	for _, p := range system.Parents(code) {
		property("parent", "valueCode", p)
	}
	for _, p := range system.Children(code) {
		property("child", "valueCode", p)
	}
	for _, p := range c.Properties {
		if p.Code != "parent" && p.Code != "child" && p.Value != "" {
			property(p.Code, "valueString", p.Value)
		}
	}
	return answer(w, r, object{"resourceType": "Parameters", "parameter": out})
}

// answer gives what was made for one answer.
func answer(w http.ResponseWriter, r *http.Request, o object) error {
	res, err := made(o)
	if err != nil {
		return err
	}
	return web.Resource(w, r, http.StatusOK, res.JSON())
}
