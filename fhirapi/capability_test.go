package fhirapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"firebreak/fhir"
	"firebreak/fhir/fhirpath"
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
		if path := map[string]string{"search-system": "?_count=1", "history-system": "/_history?_count=1"}[code]; path != "" {
			w.get(w.backend(), path).want(t, 200)
			continue
		}
		w.do(ask{method: http.MethodPost, path: "", token: w.backend(), body: bundle(code)}).want(t, 200)
	}
	if strings.Join(system, " ") != "history-system search-system batch transaction" {
		t.Errorf("system: %v", system)
	}
	for _, definition := range texts(statement, "rest.compartment") {
		name := definition[strings.LastIndexByte(definition, '/')+1:]
		w.get(w.backend(), "/"+strings.ToUpper(name[:1])+name[1:]+"/x/*").want(t, 200)
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
			case "history-type":
				a, status = ask{method: http.MethodGet, path: "/" + typ + "/_history?_count=1&_since=2030-01-01T00:00:00Z"}, http.StatusOK
			case "search-type":
				a, status = ask{method: http.MethodGet, path: "/" + typ + "?_count=1"}, http.StatusOK
			case "create":
				a, status = ask{method: http.MethodPost, path: "/" + typ, body: res}, http.StatusCreated
			case "update":
				a, status = ask{method: http.MethodPut, path: "/" + typ + "/y", body: strings.Replace(res, `"x"`, `"y"`, 1)}, http.StatusCreated
			case "patch":
				a, status = ask{method: http.MethodPatch, path: "/" + typ + "/none", body: `[]`, headers: []string{"Content-Type: application/json-patch+json"}}, http.StatusNotFound
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
			if o.Get("name").Is("export") { // asynchronous, see TestBulkExport
				path := map[string]string{"Patient": "/Patient", "Group": "/Group/exported"}[typ]
				if path == "/Group/exported" {
					w.put(w.backend(), strings.Replace(patientX, `"x"`, `"member"`, 1))
					w.put(w.backend(), `{"resourceType":"Group","id":"exported","type":"person","actual":true,"member":[{"entity":{"reference":"Patient/member"}}]}`)
				}
				w.get(w.backend(), path+"/$export?_type=Basic", async).want(t, http.StatusAccepted)
				continue
			}
			if o.Get("name").Is("match") {
				w.do(post(w.backend(), "/Patient/$match", `{"resourceType":"Patient","identifier":[{"value":"none"}]}`)).want(t, http.StatusOK)
				continue
			}
			if path := map[string]string{"everything": "/Patient/whole/$everything", "summary": "/Patient/whole/$summary", "lastn": "/Observation/$lastn?patient=x", "expand": "/ValueSet/administrative-gender/$expand", "lookup": "/CodeSystem/$lookup?system=http://hl7.org/fhir/administrative-gender&code=male", "validate-code": "/ValueSet/administrative-gender/$validate-code?system=http://hl7.org/fhir/administrative-gender&code=male", "docref": "/DocumentReference/$docref?patient=x", "ihe-pix": "/Patient/$ihe-pix?sourceIdentifier=" + url.QueryEscape(base+"|Patient/whole")}[o.Get("name").Text()]; path != "" {
				w.put(w.backend(), strings.Replace(patientX, `"x"`, `"whole"`, 1))
				w.get(w.backend(), path).want(t, http.StatusOK)
				continue
			}
			got := w.do(ask{method: http.MethodPost, path: "/" + typ + "/$" + o.Get("name").Text(), token: w.physician(), body: res})
			if got.Code != http.StatusOK || !strings.HasPrefix(o.Get("definition").Text(), "http://hl7.org/fhir/OperationDefinition/") {
				t.Errorf("%s: %s answers %d %s", typ, o.Raw(), got.Code, got.body)
			}
		}
		takes := "true"
		if typ == "Subscription" { // see TestNobodySubscribes
			takes = "false"
		}
		if r.Get("conditionalCreate").Text() != takes || r.Get("conditionalUpdate").Text() != takes || r.Get("updateCreate").Text() != takes || r.Get("conditionalDelete").Text() != "single" {
			t.Errorf("%s: what can be conditional is %.300s", typ, r.Raw())
		}
		without := `{"resourceType":"` + typ + `"}` // made where it is not there, or refused for what R4 wants of it besides
		for _, a := range []ask{
			{method: http.MethodPost, path: "/" + typ, body: without, headers: []string{"If-None-Exist: _id=none"}},
			{method: http.MethodPut, path: "/" + typ + "?_id=none", body: without},
			{method: http.MethodDelete, path: "/" + typ + "?_id=none"},
		} {
			if typ == "Subscription" && a.method != http.MethodDelete {
				continue
			}
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
			if name == "near" {
				values = []string{"49.3|-123.1|5|km"}
			}
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
				terms := map[string]string{"in": "http://hl7.org/fhir/ValueSet/administrative-gender", "not-in": "ValueSet/administrative-gender"}
				if p.Get("type").Is("token") {
					terms["above"], terms["below"] = "http://terminology.hl7.org/CodeSystem/condition-clinical|active", "http://terminology.hl7.org/CodeSystem/condition-clinical|active"
				}
				v := terms[m]
				if v == "" {
					v = map[string]string{"missing": "true", "identifier": "http://x.test|1", "of-type": "http://x.test|MR|1", "above": "http://x.test", "below": "http://x.test"}[m]
				}
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

// Every definition that the CapabilityStatement names is served, whole and as R4
// wants it, and found by what it is of.
func TestDefinitionsAreServed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	statement := w.get("", "/metadata").want(t, 200).resource(t)
	served := map[string]string{}
	for _, typ := range []string{"SearchParameter", "StructureDefinition", "OperationDefinition"} {
		for next := "/" + typ + "?_count=500"; next != ""; {
			page := w.get(w.physician(), next).want(t, 200)
			for r := range page.resource(t).All("entry.resource") {
				res, err := fhir.Parse(r.Raw())
				must(t, err)
				if p := r4def.Check(res); len(p) > 0 {
					t.Errorf("%s: %v", res.ID(), p)
				}
				if typ == "OperationDefinition" || res.ID() == "Observation" { // the rules are slow to judge over a thousand
					for _, v := range fhirpath.Invariants(res) {
						t.Errorf("%s: %v", res.ID(), v)
					}
				}
				served[r.Get("url").Text()] = res.ID()
			}
			next = page.link(t, "next")
		}
	}
	for _, path := range []string{"rest.resource.searchParam.definition", "rest.resource.profile", "rest.resource.operation.definition", "rest.operation.definition"} {
		n := 0
		for d := range statement.All(path) {
			n++
			if served[d.Text()] == "" && fhir.ValidID(d.Text()[strings.LastIndexByte(d.Text(), '/')+1:]) {
				t.Errorf("%s is not served", d.Text())
			}
		}
		if n == 0 {
			t.Errorf("%s names nothing", path)
		}
	}
	if len(served) < 1100 {
		t.Errorf("%d are served", len(served))
	}
	for query, want := range map[string]string{
		"StructureDefinition?type=Patient":                                                       "StructureDefinition/Patient",
		"OperationDefinition?code=lastn":                                                         "OperationDefinition/Observation-lastn",
		"OperationDefinition?instance=true&code=export":                                          "OperationDefinition/group-export",
		"OperationDefinition?system=true&code=export":                                            "OperationDefinition/export",
		"CodeSystem?url=http://hl7.org/fhir/administrative-gender":                               "CodeSystem/administrative-gender",
		"CodeSystem?code=active&system=http://terminology.hl7.org/CodeSystem/condition-clinical": "CodeSystem/condition-clinical",
		"ValueSet?url=http://hl7.org/fhir/ValueSet/observation-vitalsignresult":                  "ValueSet/observation-vitalsignresult",
		"ValueSet?_id=administrative-gender":                                                     "ValueSet/administrative-gender",
		"ValueSet?name=AdministrativeGender":                                                     "ValueSet/administrative-gender",
		"ValueSet?code=8867-4":                                                                   "ValueSet/observation-vitalsignresult",
		"OperationDefinition?instance=true&type=false":                                           "OperationDefinition/Patient-everything OperationDefinition/group-export OperationDefinition/summary",
		"StructureDefinition?base=http://hl7.org/fhir/StructureDefinition/Resource":              "StructureDefinition/Binary StructureDefinition/Bundle StructureDefinition/Parameters",
	} {
		if got := w.get(w.physician(), "/"+query).want(t, 200).ids(t, "match"); strings.Join(got, " ") != want {
			t.Errorf("%s found %v", query, got)
		}
	}
	// A definition says what a resource is judged by: the same elements, as often.
	observation := w.get(w.physician(), "/StructureDefinition/Observation").want(t, 200).resource(t)
	said := map[string]string{}
	for e := range observation.All("differential.element") {
		said[e.Get("path").Text()] = e.Get("min").Text() + ".." + e.Get("max").Text() + " " + strings.Join(texts2(e, "type.code"), " ") + e.Get("contentReference").Text()
	}
	for path, want := range map[string]string{
		"Observation": "0..* ", "Observation.status": "1..1 code", "Observation.component": "0..* BackboneElement", "Observation.component.code": "1..1 CodeableConcept",
		"Observation.component.referenceRange": "0..* #Observation.referenceRange", "Observation.effective[x]": "0..1 dateTime Period Timing instant", "Observation.text": "", "Observation.component.id": "",
	} {
		if said[path] != want {
			t.Errorf("%s is %q, want %q", path, said[path], want)
		}
	}
	if got := w.get(w.physician(), "/SearchParameter?base=Patient&code=birthdate").want(t, 200).ids(t, "match"); strings.Join(got, " ") != "SearchParameter/individual-birthdate" {
		t.Errorf("found %v", got)
	}
	r := w.get(w.physician(), "/SearchParameter/individual-birthdate").want(t, 200).resource(t)
	if !strings.Contains(r.Get("expression").Text(), "Patient.birthDate") || r.Get("code").Text() != "birthdate" {
		t.Errorf("%s", r.JSON())
	}
	w.get(w.physician(), "/SearchParameter/none").want(t, 404)
}
