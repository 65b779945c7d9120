package fhirapi

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"firebreak/fhir"
	"firebreak/fhir/r4def"
	"firebreak/search"
)

// released is CapabilityStatement.date: when what it states last changed.
const released = "2026-11-23"

type object = map[string]any

// instantiated are what others want of a server of this kind, as far as
// docs/conformance.md does not say otherwise. The package conformance asks for
// what each wants.
var instantiated = []string{
	"http://hl7.org/fhir/us/core/CapabilityStatement/us-core-server",
	"http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data",
	"https://profiles.ihe.net/ITI/PDQm/CapabilityStatement/IHE.PDQm.PatientDemographicsSupplierMatch",
	"https://profiles.ihe.net/ITI/PIXm/CapabilityStatement/IHE.PIXm.Manager",
	"https://profiles.ihe.net/ITI/MHD/CapabilityStatement/IHE.MHD.DocumentResponder",
}

// listed tells whether an operation stands among others already.
func listed(all []object, op object) bool {
	return slices.ContainsFunc(all, func(o object) bool { return o["name"] == op["name"] })
}

// capability is the CapabilityStatement: the route table, and the search
// parameters that the evaluator compiles, said in FHIR.
func capability(c Config) ([]byte, error) {
	var typeLevel, systemLevel, operations []object
	of := map[string][]object{}
	for _, i := range interactions {
		at, one := defined[i.name]
		switch {
		case one:
			if op := (object{"name": i.name[1:], "definition": at.definition}); !listed(of[at.typ], op) {
				of[at.typ] = append(of[at.typ], op)
			}
		case i.operation():
			if op := (object{"name": i.name[1:], "definition": ofAnyType(i.name)}); !listed(operations, op) {
				operations = append(operations, op)
			}
		case i.name == "" || strings.HasPrefix(i.name, conditional) || i.writes() && c.Push == nil:
		case i.name == "search-system", i.name == "history-system":
			systemLevel = append(systemLevel, object{"code": i.name})
		case i.name == "transaction":
			if systemLevel = append(systemLevel, object{"code": "batch"}); c.Push != nil {
				systemLevel = append(systemLevel, object{"code": "transaction"})
			}
		default:
			typeLevel = append(typeLevel, object{"code": i.name})
		}
	}
	for _, x := range exports {
		of[x.at] = append(of[x.at], object{"name": exportName[1:], "definition": x.definition})
	}
	deletes := "not-supported"
	if c.Push != nil {
		deletes = "single"
	}
	var compartments []string
	for _, name := range r4def.Compartments() {
		compartments = append(compartments, "http://hl7.org/fhir/CompartmentDefinition/"+strings.ToLower(name[:1])+name[1:])
	}
	var resources []object
	for _, typ := range search.Types() {
		does, takes := typeLevel, c.Push != nil && typ != unserved
		if typ == unserved {
			does = slices.DeleteFunc(slices.Clone(typeLevel), func(o object) bool { return slices.Contains([]any{"create", "update", "patch"}, o["code"]) })
		}
		r := object{
			"type": typ, "profile": structureOf(typ), "interaction": does, "operation": slices.Concat(operations, of[typ]), "versioning": "versioned", "readHistory": true,
			"updateCreate": takes, "conditionalCreate": takes, "conditionalRead": "full-support",
			"conditionalUpdate": takes, "conditionalDelete": deletes, "referencePolicy": []string{"literal", "local"},
		}
		if typ == subscription && c.Subscribing != nil {
			r = c.Subscribing.capability(c.Base, slices.Concat(operations, of[typ]))
		}
		if list := combinations(typ); len(list) > 0 {
			r["extension"] = list
		}
		if list := supported[typ]; len(list) > 0 {
			r["supportedProfile"] = list
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
	security := object{
		"cors": true,
		"service": []object{{"coding": []object{{
			"system": "http://terminology.hl7.org/CodeSystem/restful-security-service", "code": "SMART-on-FHIR"}}}},
		"description": "Bearer tokens; see " + c.Base + "/.well-known/smart-configuration",
	}
	if len(c.OAuth) > 0 {
		endpoints := []object{}
		for _, name := range slices.Sorted(maps.Keys(c.OAuth)) {
			endpoints = append(endpoints, object{"url": name, "valueUri": c.OAuth[name]})
		}
		security["extension"] = []object{{"url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris", "extension": endpoints}}
	}
	statement := object{
		"resourceType": "CapabilityStatement", "status": "active", "date": released, "kind": "instance",
		"software":       software,
		"instantiates":   instantiated,
		"implementation": object{"description": "Firebreak FHIR gateway. Answers hold what the caller may see; what is withheld and what is absent look alike.", "url": c.Base},
		"fhirVersion":    "4.0.1", "format": []string{"application/fhir+json", "json", "application/fhir+xml", "xml"}, "patchFormat": patchFormats,
		"rest": []object{{
			"mode":          "server",
			"documentation": "A person's token may search inside one patient's record, named by patient= or patient.identifier=, or find a patient by identifier or by family name and birth date. A system token may search across patients. Sources read and change what they sent, by JSON Patch and FHIRPath Patch too; transactions take POST, PUT and DELETE, batches GET too, of anyone. A source may create, update, delete and refer to (Type?search, anywhere in what it pushes) what it sent by a search: it names an identifier with its value, or _id, and whatever other parameters of the type beside them, without chains; nothing that others sent is looked at, and more than one match is refused. A search without a type takes _type; one in a compartment (Type/id/Type or Type/id/*) looks into the one record that the compartment's own resource lies in. _text and _content take words, phrases in quotes, AND, OR, NOT, parentheses and word*; _list takes the id of a List; _has nests and chains go through four references. :in and :not-in take the canonical address of a value set, or ValueSet/id; :above and :below of codes take system|code; by the ValueSets and CodeSystems that are served here, and no others: what is not among them, or cannot be expanded, is refused, as is any modifier that is not listed, also with Prefer: handling=lenient. Operations that read ($everything, $lastn, $docref, $summary, $ihe-pix) are asked by GET, or by POST of Parameters; all but $summary and $ihe-pix page as searches do. A Binary is answered as the file that it holds unless application/fhir+json, application/fhir+xml or application/json is accepted. Histories take _since, _at and _count, not _list; that of a type or of the system is for a token that is for one patient, of that patient's record, and for a system, across up to 1,000 records with something in it; what was deleted has no entry, but for the clients of the source that sent and deleted it: its deletion, and 410 in place of 404. Merged records are found under either id. AuditEvent is the log of this server for a client that is registered as its auditor (by patient or date=ge, newest first, not counted), for others what sources sent of the type.",
			"security":      security,
			"resource":      resources, "interaction": systemLevel, "operation": of[""], "compartment": compartments,
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
