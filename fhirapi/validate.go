package fhirapi

import (
	"net/http"

	"github.com/go-json-experiment/json"

	"firebreak/access"
	"firebreak/fhir"
	"firebreak/fhir/fhirpath"
	"firebreak/fhir/r4def"
	"firebreak/web"
)

// validate is $validate: what a resource departs from, of the structure that R4
// defines and the invariants it states. It looks at nothing but what was sent;
// that a resource is valid does not say that this caller may push it.
//
// The answer is 200 with an OperationOutcome, whatever is found: an error for
// what a push would be refused for, a warning for slight departures, invariants
// and best practice.
//
// Source: R4 resource-operation-validate.
func (a *api) validate(w http.ResponseWriter, r *http.Request, _ access.Caller) error {
	res, err := body(r)
	if err != nil {
		return err
	}
	mode, profile := r.URL.Query().Get("mode"), r.URL.Query().Get("profile")
	if res.Type() == "Parameters" && target(r).Type != "Parameters" {
		if res, mode, profile, err = validation(res); err != nil {
			return err
		}
	}
	if mode != "" && mode != "create" && mode != "update" {
		return &fhir.Error{Status: http.StatusBadRequest, Code: "not-supported", Text: "The mode must be create or update.", Expression: "Parameters.parameter.where(name = 'mode')"}
	}
	if profile != "" && profile != "http://hl7.org/fhir/StructureDefinition/"+res.Type() {
		return &fhir.Error{Status: http.StatusBadRequest, Code: "not-supported", Text: "Resources are judged by the base definitions of R4 only.", Expression: "Parameters.parameter.where(name = 'profile')"}
	}
	var found []object
	note := func(severity, code, text, place string) {
		if len(found) < maxProblems {
			found = append(found, object{"severity": severity, "code": code, "diagnostics": text, "expression": []string{place}})
		}
	}
	if res.Type() != target(r).Type {
		note("error", "invalid", "The resource is not of the address's type.", res.Type())
	}
	if id := target(r).ID; mode == "update" && id != "" && res.ID() != id {
		note("error", "invalid", "The resource's id is not the address's.", res.Type()+".id")
	}
	for _, p := range r4def.Check(res) {
		severity := "error"
		if p.Slight {
			severity = "warning"
		}
		note(severity, "structure", p.Path+" "+p.Text+".", p.Path)
	}
	for _, v := range fhirpath.Invariants(res) {
		note("warning", "invariant", v.Rule.Key+": "+v.Rule.Human, v.Path)
	}
	if len(found) == 0 {
		return web.Resource(w, r, http.StatusOK, informed("information", "informational", "Nothing departs from the definitions of R4."))
	}
	b, err := json.Marshal(object{"resourceType": "OperationOutcome", "issue": found}, json.Deterministic(true))
	if err != nil {
		return err
	}
	return web.Resource(w, r, http.StatusOK, b)
}

// validation reads the Parameters of $validate.
func validation(in fhir.Resource) (res fhir.Resource, mode, profile string, err error) {
	for p := range in.All("parameter") {
		switch p.Get("name").Text() {
		case "resource":
			if inner := p.Get("resource"); !inner.IsZero() {
				res, err = fhir.Parse(inner.Raw())
			}
		case "mode":
			mode = p.Get("valueCode").Text()
		case "profile":
			_, v := p.First([]string{"valueUri", "valueCanonical"})
			profile = v.Text()
		}
	}
	if err == nil && res.IsZero() {
		err = &fhir.Error{Status: http.StatusBadRequest, Code: "required", Text: "There is no resource to validate.", Expression: "Parameters.parameter.where(name = 'resource')"}
	}
	return res, mode, profile, err
}
