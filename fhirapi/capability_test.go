package fhirapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"firebreak/fhir"
	"firebreak/fhir/r4def"
	"firebreak/search"
)

// What the CapabilityStatement says is so: each interaction of each type is
// called, and each search parameter with a value of its type.
func TestCapabilityStatementIsTrue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.get("", "/metadata").want(t, 200)
	statement := got.resource(t)
	if p := r4def.Check(statement); len(p) > 0 {
		t.Error(p)
	}
	if statement.Get("fhirVersion").Text() != "4.0.1" || statement.Root().At("implementation.url").Text() != base || statement.Root().At("software.version").Text() != "test" {
		t.Errorf("%.300s", got.body)
	}
	system := texts(statement, "rest.interaction.code")
	for _, code := range system {
		w.do(ask{method: http.MethodPost, path: "", token: w.backend(), body: bundle(code)}).want(t, 200)
	}
	if strings.Join(system, " ") != "transaction batch" {
		t.Errorf("system: %v", system)
	}
	token := w.backend()
	var types, params atomic.Int64
	var group errgroup.Group
	group.SetLimit(16)
	check := func(r fhir.Node) {
		types.Add(1)
		typ := r.Get("type").Text()
		res := `{"resourceType":"` + typ + `","id":"x"}`
		for i := range r.All("interaction") {
			// Of a resource that is not there or not whole: the answer must be
			// that of the interaction, not that there is no such interaction.
			var a ask
			status := http.StatusNotFound
			switch i.Get("code").Text() {
			case "read":
				a = ask{method: http.MethodGet, path: "/" + typ + "/x"}
			case "vread":
				a = ask{method: http.MethodGet, path: "/" + typ + "/x/_history/1"}
			case "history-instance":
				a = ask{method: http.MethodGet, path: "/" + typ + "/x/_history"}
			case "search-type":
				a, status = ask{method: http.MethodGet, path: "/" + typ + "?_count=1"}, http.StatusOK
			case "create":
				a, status = ask{method: http.MethodPost, path: "/" + typ, body: res}, http.StatusCreated
			case "update":
				a, status = ask{method: http.MethodPut, path: "/" + typ + "/y", body: strings.Replace(res, `"x"`, `"y"`, 1)}, http.StatusCreated
			case "delete":
				a, status = ask{method: http.MethodDelete, path: "/" + typ + "/none"}, http.StatusNoContent
			default:
				t.Errorf("%s: %s is not known here", typ, i.Raw())
				continue
			}
			a.token = token
			if got := w.do(a); got.Code != status && !(status == http.StatusCreated && got.Code == http.StatusUnprocessableEntity && required(t, typ)) {
				t.Errorf("%s %s: %d %s", typ, i.Get("code").Text(), got.Code, got.body)
			}
		}
		for o := range r.All("operation") {
			got := w.do(ask{method: http.MethodPost, path: "/" + typ + "/$" + o.Get("name").Text(), token: w.physician(), body: res})
			if got.Code != http.StatusOK || !strings.HasPrefix(o.Get("definition").Text(), "http://hl7.org/fhir/OperationDefinition/") {
				t.Errorf("%s: %s answers %d %s", typ, o.Raw(), got.Code, got.body)
			}
		}
		if r.Get("conditionalCreate").Text() != "true" || r.Get("conditionalUpdate").Text() != "true" || r.Get("conditionalDelete").Text() != "single" {
			t.Errorf("%s: what can be conditional is %.300s", typ, r.Raw())
		}
		without := `{"resourceType":"` + typ + `"}` // made where it is not there, or refused for what R4 wants of it besides
		for _, a := range []ask{
			{method: http.MethodPost, path: "/" + typ, body: without, headers: []string{"If-None-Exist: _id=none"}},
			{method: http.MethodPut, path: "/" + typ + "?_id=none", body: without},
			{method: http.MethodDelete, path: "/" + typ + "?_id=none"},
		} {
			a.token = token
			got, want := w.do(a), http.StatusCreated
			if a.method == http.MethodDelete {
				want = http.StatusNoContent
			}
			if got.Code != want && !(want == http.StatusCreated && got.Code == http.StatusUnprocessableEntity && required(t, typ)) {
				t.Errorf("%s %s: %d %s", a.method, a.path, got.Code, got.body)
			}
		}
		for p := range r.All("searchParam") {
			params.Add(1)
			name := p.Get("name").Text()
			value, ok := map[string]string{
				"token": "http://loinc.org|2823-3", "string": "oak", "date": "ge2026-01", "reference": "Patient/x", "quantity": "gt5|http://unitsofmeasure.org|mg", "number": "3",
				"uri": "http://example.org/x", "composite": "http://loinc.org|2823-3$5", "special": "x",
			}[p.Get("type").Text()]
			if !ok {
				t.Errorf("%s.%s: %s", typ, name, p.Raw())
			}
			values := []string{value}
			if p.Get("type").Is("composite") { // its parts differ; one of these is right
				values = []string{value, "2823-3$ge2026", "2823-3$gt5", "2823-3$x", "2823-3$http://example.org/x", "Patient/x$2823-3", "5$5", "http://example.org/x$x", "x$5$5"}
			}
			understood := false
			for _, v := range values {
				got := w.get(token, "/"+typ+"?"+url.QueryEscape(name)+"="+url.QueryEscape(v))
				understood = understood || got.Code == 200
			}
			if !understood {
				t.Errorf("%s?%s= is announced and refused", typ, name)
			}
			for m := range strings.SplitSeq(strings.TrimPrefix(p.Get("documentation").Text(), "Modifiers: "), ", ") {
				v := map[string]string{"missing": "true", "identifier": "http://x.test|1", "of-type": "http://x.test|MR|1"}[m]
				if v == "" {
					v = value
				}
				if m != "" {
					w.get(token, "/"+typ+"?"+url.QueryEscape(name+":"+m)+"="+url.QueryEscape(v)).want(t, 200)
				}
			}
		}
		for _, kind := range []string{"searchInclude", "searchRevInclude"} {
			all := texts2(r, kind)
			if len(all) > 8 { // every one of 148 types by hundreds would take minutes
				all = append(all[:4:4], all[len(all)-4:]...)
			}
			for _, v := range all {
				w.get(token, "/"+typ+"?_count=1&"+map[string]string{"searchInclude": "_include", "searchRevInclude": "_revinclude"}[kind]+"="+url.QueryEscape(v)).want(t, 200)
			}
		}
	}
	for r := range statement.All("rest.resource") {
		group.Go(func() error { check(r); return nil })
	}
	must(t, group.Wait())
	if n := int(types.Load()); n != len(search.Types()) || n < 140 || params.Load() < 1000 {
		t.Errorf("%d types, %d parameters", n, params.Load())
	}
	// HEAD, and who may not.
	w.do(ask{method: http.MethodHead, path: "/metadata"}).want(t, 200)
	w.do(ask{method: http.MethodPost, path: "/metadata", body: `{}`}).want(t, 405)
}

// required tells whether R4 wants elements of a type that an empty one lacks.
func required(t *testing.T, typ string) bool {
	r, err := fhir.Parse([]byte(`{"resourceType":"` + typ + `","id":"x"}`))
	must(t, err)
	return len(r4def.Check(r)) > 0
}

func texts(r fhir.Resource, path string) []string { return texts2(r.Root(), path) }

func texts2(n fhir.Node, path string) (out []string) {
	for v := range n.All(path) {
		out = append(out, v.Text())
	}
	return out
}

func TestSmartConfiguration(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.get("", "/.well-known/smart-configuration").want(t, 200)
	if got.Header().Get("Content-Type") != "application/json" || string(got.body) != `{"issuer":"https://issuer.test"}` {
		t.Errorf("%v %s", got.Header(), got.body)
	}
}
