package fhirapi

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"firebreak/access"
	"firebreak/fhir"
	"firebreak/web"
)

const (
	pixPath   = `/{type:Patient}/$ihe-pix`
	maxMerges = 4 // merges of one record that $ihe-pix follows, one after another
)

// crossReference is $ihe-pix: by what other numbers, and under which ids, the
// Patient is known who has a number. All is as the caller sees it: a number, or a
// whole domain of numbers, that stands in withheld messages alone is as unknown
// as one that nobody has. So there is one 404 for both, where the profile has 400
// for a domain, and a targetSystem of which there is nothing is no error.
//
// Source: IHE PIXm 3.0.4, ITI-83.
func (a *api) crossReference(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	asked, _, err := given(r, "sourceIdentifier", "targetSystem")
	if err != nil {
		return err
	}
	source := asked.Get("sourceIdentifier")
	if source == "" {
		return &fhir.Error{Status: http.StatusBadRequest, Code: "required", Text: "It takes a number with its domain, as SYSTEM|VALUE.", Expression: "http.sourceIdentifier"}
	}
	system, value, _ := strings.Cut(source, "|")
	if system == "" || value == "" {
		return &fhir.Error{Status: http.StatusBadRequest, Code: "code-invalid", Text: "sourceIdentifier Assigning Authority not found", Expression: "http.sourceIdentifier"}
	}
	v, id := url.Values{}, ""
	if system == a.Base { // the id of a Patient here is a number too
		ref, _ := fhir.ParseRef(value)
		if id = ref.ID; ref.Type != "Patient" {
			return &fhir.Error{Status: http.StatusBadRequest, Code: "code-invalid", Text: "sourceIdentifier Assigning Authority not found", Expression: "http.sourceIdentifier"}
		}
		v.Set("_id", id)
	} else {
		v.Set("identifier", literally(system)+"|"+literally(value))
	}
	type number struct {
		system, value string
		whole         jsontext.Value
	}
	var numbers []number
	var ids, others []string
	for range maxMerges {
		others = nil
		patients, err := a.weighed(r, c, "$ihe-pix", v)
		if err != nil {
			return err
		}
		for _, m := range patients {
			if slices.Contains(ids, m.Resource().ID()) {
				continue
			}
			ids = append(ids, m.Resource().ID())
			for n := range m.Resource().All("identifier") {
				x := number{n.Get("system").Text(), n.Get("value").Text(), jsontext.Value(n.Raw())}
				if x.system != "" && x.value != "" && !slices.ContainsFunc(numbers, func(y number) bool { return x.system == y.system && x.value == y.value }) {
					numbers = append(numbers, x)
				}
			}
			for link := range m.Resource().All("link.other") { // merged records
				if ref, ok := fhir.ParseRef(link.Get("reference").Text()); ok && ref.Type == "Patient" {
					others = append(others, ref.ID)
				}
			}
		}
		if others = slices.DeleteFunc(others, func(id string) bool { return slices.Contains(ids, id) }); len(others) == 0 {
			break
		}
		v = url.Values{"_id": {strings.Join(others, ",")}}
	}
	if len(ids) == 0 {
		return &fhir.Error{Status: http.StatusNotFound, Code: "not-found", Text: "sourceIdentifier Patient Identifier not found"}
	}
	wanted := func(system string) bool {
		return !asked.Has("targetSystem") || slices.Contains(asked["targetSystem"], system)
	}
	slices.SortFunc(numbers, func(x, y number) int { return cmp.Or(cmp.Compare(x.system, y.system), cmp.Compare(x.value, y.value)) })
	slices.Sort(ids)
	var out []object
	for _, x := range numbers {
		if wanted(x.system) && (x.system != system || x.value != value) {
			out = append(out, object{"name": "targetIdentifier", "valueIdentifier": x.whole})
		}
	}
	for _, x := range ids {
		if wanted(a.Base) && x != id {
			out = append(out, object{"name": "targetId", "valueReference": object{"reference": "Patient/" + x}})
		}
	}
	answer := object{"resourceType": "Parameters"}
	if out != nil {
		answer["parameter"] = out
	}
	b, err := json.Marshal(answer, json.Deterministic(true))
	if err != nil {
		return err
	}
	return web.Resource(w, r, http.StatusOK, b)
}
