package fhirapi

import (
	"net/http"
	"sync"
	"weak"

	"github.com/go-json-experiment/json"

	"firebreak/fhir"
	"firebreak/fhir/r4def"
	"firebreak/search"
	"firebreak/web"
)

// definition is a resource that tells what this server does. It is of nobody's
// record and the same for everyone.
type definition struct{ r fhir.Resource }

func (d definition) Resource() fhir.Resource { return d.r }

// definitional are their types. They are searched here and nowhere else; what a
// source pushed of them is read by its id alone.
var definitional = map[string]bool{"SearchParameter": true, "StructureDefinition": true, "OperationDefinition": true, "ValueSet": true, "CodeSystem": true}

// shelf holds an index while somebody uses it, and as long after as the memory is
// not needed for something else: R4's value sets and code systems are 8 MB.
type shelf struct {
	mu sync.Mutex
	of map[string]weak.Pointer[search.Index[definition]]
}

func (s *shelf) get(typ string, make func() []fhir.Resource) *search.Index[definition] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if index := s.of[typ].Value(); index != nil {
		return index
	}
	var all []definition
	for _, r := range make() {
		all = append(all, definition{r})
	}
	index := search.NewIndex(all)
	if s.of == nil {
		s.of = map[string]weak.Pointer[search.Index[definition]]{}
	}
	s.of[typ] = weak.Make(index)
	return index
}

// defined are the definitions of a type.
func (a *api) defined(typ string) (*search.Index[definition], error) {
	if typ == "ValueSet" || typ == "CodeSystem" {
		return a.terms.get(typ, func() []fhir.Resource { return a.Reader.Codes().All(typ) }), nil
	}
	return a.definitions()
}

// definition finds one by its id.
func (a *api) definition(ref fhir.Ref) (d definition, ok bool, err error) {
	if ref.Type == "ValueSet" || ref.Type == "CodeSystem" {
		d.r, ok = a.Reader.Codes().Get(ref)
		return d, ok, nil
	}
	index, err := a.definitions()
	if err == nil {
		d, ok = index.Get(ref)
	}
	return d, ok, err
}

// allDefinitions are the SearchParameters, StructureDefinitions and
// OperationDefinitions that the CapabilityStatement names, made of the tables by
// which searches are answered and resources judged.
func allDefinitions() (*search.Index[definition], error) {
	official := map[string]r4def.SearchParam{}
	for _, p := range search.Definitions() {
		official[p.Definition()] = p
	}
	served := map[string]bool{}
	var all []definition
	for _, typ := range search.Types() {
		for _, p := range search.Params(typ) {
			def, ok := official[p.Definition]
			if !ok || served[def.ID] || !fhir.ValidID(def.ID) {
				continue
			}
			served[def.ID] = true
			r, err := searchParameter(def, p)
			if err != nil {
				return nil, err
			}
			all = append(all, definition{r})
		}
	}
	for _, typ := range search.Types() {
		r, err := structure(r4def.Lookup(typ))
		if err != nil {
			return nil, err
		}
		all = append(all, definition{r})
	}
	for _, op := range operationDefinitions() {
		r, err := made(op)
		if err != nil {
			return nil, err
		}
		all = append(all, definition{r})
	}
	return search.NewIndex(all), nil
}

// made is a definition as a resource.
func made(o object) (fhir.Resource, error) {
	b, err := json.Marshal(o, json.Deterministic(true))
	if err != nil {
		return fhir.Resource{}, err
	}
	return fhir.Parse(b)
}

func searchParameter(def r4def.SearchParam, p search.Param) (fhir.Resource, error) {
	o := object{
		"resourceType": "SearchParameter", "id": def.ID, "url": def.Definition(), "name": def.Code, "status": "active",
		"description": "The parameter " + def.Code + ", as this server answers it.", "code": def.Code, "base": def.Base, "type": def.Type,
	}
	if o["publisher"] = "IHE"; def.Canonical == "" {
		o["publisher"], o["version"] = "HL7", "4.0.1"
	}
	if def.Expression != "" {
		o["expression"], o["xpathUsage"] = def.Expression, "normal"
	}
	if len(def.Target) > 0 {
		o["target"] = def.Target
	}
	var modifiers []string
	for _, m := range p.Modifiers {
		if m == "of-type" { // as R4 spells the code
			m = "ofType"
		}
		modifiers = append(modifiers, m)
	}
	if len(p.Target) > 0 {
		modifiers = append(modifiers, "type")
	}
	if len(modifiers) > 0 {
		o["modifier"] = modifiers
	}
	if def.Type == "date" || def.Type == "number" || def.Type == "quantity" {
		o["comparator"] = []string{"eq", "ne", "gt", "ge", "lt", "le", "sa", "eb", "ap"}
	}
	o["multipleOr"], o["multipleAnd"] = true, true
	var components []object
	for _, c := range def.Component {
		components = append(components, object{"definition": "http://hl7.org/fhir/SearchParameter/" + c.ID, "expression": c.Expression})
	}
	if components != nil {
		o["component"] = components
	}
	return made(o)
}

// define answers a read of a definition; ok is false when it is none.
func (a *api) define(w http.ResponseWriter, r *http.Request, ref fhir.Ref, q search.Query) (ok bool, err error) {
	if !definitional[ref.Type] {
		return false, nil
	}
	d, ok, err := a.definition(ref)
	if err != nil || !ok {
		return false, err
	}
	body, err := q.Project(d.r)
	if err != nil {
		return false, err
	}
	return true, web.Resource(w, r, http.StatusOK, body.JSON())
}

// searchDefinitions answers a search for what is of nobody's record: definitions, or a
// caller's own subscriptions. What comes next is not sealed: the caller may see all of it.
func (a *api) searchDefinitions(w http.ResponseWriter, r *http.Request, index *search.Index[definition], q search.Query, address, cursor string) error {
	all := index.Matches(q)
	b := newBundle("searchset")
	if q.Total != search.TotalNone {
		b.total(len(all))
	}
	if cursor != "" {
		all = search.After(q, all, cursor)
	}
	count := min(q.Count, 500)
	if count < 0 {
		count = 50
	}
	if q.Summary == search.SummaryCount {
		count = 0
	}
	values := q.Values()
	page := all[:min(count, len(all))]
	b.link("self", join(address, values, cursor))
	if len(page) > 0 && len(page) < len(all) {
		b.next(r, join(address, values, q.Place(page[len(page)-1].r)))
	}
	found := make([]fhir.Resource, len(page))
	for i, d := range page {
		found[i] = d.r
	}
	if err := b.matches(a.Base, q, found); err != nil {
		return err
	}
	return b.send(w, r)
}
