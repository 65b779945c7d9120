package fhirapi

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"firebreak/fhir"
	"firebreak/search"
)

// released is CapabilityStatement.date: when what it states last changed.
const released = "2026-11-22"

type object = map[string]any

// capability is the CapabilityStatement: the route table, and the search
// parameters that the evaluator compiles, said in FHIR.
func capability(c Config) ([]byte, error) {
	var typeLevel, systemLevel, operations []object
	for _, i := range interactions {
		switch {
		case i.operation():
			if op := (object{"name": i.name[1:], "definition": "http://hl7.org/fhir/OperationDefinition/Resource-" + i.name[1:]}); !slices.ContainsFunc(operations, func(o object) bool { return o["name"] == op["name"] }) {
				operations = append(operations, op)
			}
		case i.name == "" || strings.HasPrefix(i.name, conditional) || i.writes() && c.Push == nil:
		case i.name == "transaction":
			systemLevel = append(systemLevel, object{"code": "transaction"}, object{"code": "batch"})
		default:
			typeLevel = append(typeLevel, object{"code": i.name})
		}
	}
	deletes := "not-supported"
	if c.Push != nil {
		deletes = "single"
	}
	var resources []object
	for _, typ := range search.Types() {
		r := object{
			"type": typ, "interaction": typeLevel, "operation": operations, "versioning": "versioned", "readHistory": true,
			"updateCreate": c.Push != nil, "conditionalCreate": c.Push != nil, "conditionalRead": "full-support",
			"conditionalUpdate": c.Push != nil, "conditionalDelete": deletes, "referencePolicy": []string{"literal", "local"},
		}
		if list := search.Includes(typ); len(list) > 0 {
			r["searchInclude"] = list
		}
		if list := search.RevIncludes(typ); len(list) > 0 {
			r["searchRevInclude"] = list
		}
		var params []object
		for _, p := range search.Params(typ) {
			param := object{"name": p.Name, "type": p.Type}
			if p.Definition != "" {
				param["definition"] = p.Definition
			}
			if len(p.Modifiers) > 0 {
				param["documentation"] = "Modifiers: " + strings.Join(p.Modifiers, ", ")
			}
			params = append(params, param)
		}
		if len(params) > 0 {
			r["searchParam"] = params
		}
		resources = append(resources, r)
	}
	software := object{"name": "Firebreak"}
	if c.Version != "" {
		software["version"] = c.Version
	}
	statement := object{
		"resourceType": "CapabilityStatement", "status": "active", "date": released, "kind": "instance",
		"software":       software,
		"implementation": object{"description": "Firebreak FHIR gateway. Answers hold what the caller may see; what is withheld and what is absent look alike.", "url": c.Base},
		"fhirVersion":    "4.0.1", "format": []string{"application/fhir+json", "json", "application/fhir+xml", "xml"},
		"rest": []object{{
			"mode":          "server",
			"documentation": "A person's token may search inside one patient's record, or find a patient by identifier or by family name and birth date. A system token may search across patients. Sources read and change what they sent; transactions and batches take POST, PUT and DELETE. A source may create, update, delete and refer to (Type?search, anywhere in what it pushes) what it sent by a search: it names an identifier with its value, or _id, and whatever other parameters of the type beside them, without chains; nothing that others sent is looked at, and more than one match is refused. Histories take _since, _at and _count. Merged records are found under either id.",
			"security": object{
				"cors": true,
				"service": []object{{"coding": []object{{
					"system": "http://terminology.hl7.org/CodeSystem/restful-security-service", "code": "SMART-on-FHIR"}}}},
				"description": "Bearer tokens; see " + c.Base + "/.well-known/smart-configuration",
			},
			"resource": resources, "interaction": systemLevel,
		}},
	}
	b, err := json.Marshal(statement, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("fhirapi: capability statement: %w", err)
	}
	if _, err := fhir.Parse(b); err != nil {
		return nil, fmt.Errorf("fhirapi: capability statement: %w", err)
	}
	return b, nil
}
