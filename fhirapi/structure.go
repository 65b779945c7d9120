package fhirapi

import (
	"slices"
	"strconv"
	"strings"

	"firebreak/fhir"
	"firebreak/fhir/r4def"
)

// structureOf is the canonical address of a type's base definition.
func structureOf(typ string) string { return "http://hl7.org/fhir/StructureDefinition/" + typ }

// inherited elements stand in the definition of what a resource, or an element
// with elements of its own, is based on.
var (
	ofResource = []string{"id", "meta", "implicitRules", "language"}
	ofDomain   = append(slices.Clip(ofResource), "text", "contained", "extension", "modifierExtension")
	ofBackbone = []string{"id", "extension", "modifierExtension"}
)

// structure is the StructureDefinition of a resource type as this server judges
// it. It holds the differential alone: a snapshot needs the words of the official
// definitions, which the tables leave out.
func structure(t *r4def.Type) (fhir.Resource, error) {
	base, inherited := "Resource", ofResource
	if _, narrated := t.Member("text"); narrated {
		base, inherited = "DomainResource", ofDomain
	}
	root := object{"id": t.Name, "path": t.Name, "min": 0, "max": "*"}
	if rules := constraints(t.Rules); rules != nil {
		root["constraint"] = rules
	}
	return made(object{
		"resourceType": "StructureDefinition", "id": t.Name, "url": structureOf(t.Name), "version": "4.0.1", "name": t.Name, "status": "active",
		"publisher": "HL7", "description": "The resource " + t.Name + " of FHIR R4, as this server judges it.", "fhirVersion": "4.0.1",
		"kind": "resource", "abstract": false, "type": t.Name, "baseDefinition": structureOf(base), "derivation": "specialization",
		"differential": object{"element": append([]object{root}, elements(t, inherited)...)},
	})
}

// elements are those of t, each followed by its own.
func elements(t *r4def.Type, inherited []string) (all []object) {
	for i := range t.Elements {
		e := &t.Elements[i]
		if slices.Contains(inherited, e.Name) {
			continue
		}
		path := t.Name + "." + e.Name
		if e.Choice {
			path += "[x]"
		}
		most := "*"
		if e.Max >= 0 {
			most = strconv.Itoa(e.Max)
		}
		o := object{"id": path, "path": path, "min": e.Min, "max": most}
		var types []object
		var nested *r4def.Type
		for _, r := range e.Types {
			code := object{"code": r.Type}
			switch {
			case r.Type == path:
				nested = r4def.Lookup(path)
				code["code"] = "BackboneElement"
			case strings.Contains(r.Type, "."): // as another element of the resource is
				o["contentReference"] = "#" + r.Type
				continue
			}
			for _, target := range r.Targets {
				targets, _ := code["targetProfile"].([]string)
				code["targetProfile"] = append(targets, structureOf(target))
			}
			types = append(types, code)
		}
		if types != nil {
			o["type"] = types
		}
		if e.Modifier {
			o["isModifier"], o["isModifierReason"] = true, "It may change the meaning of the element that it stands in."
		}
		if e.Summary {
			o["isSummary"] = true
		}
		if rules := constraints(e.Rules); rules != nil {
			o["constraint"] = rules
		}
		all = append(all, o)
		if nested != nil {
			all = append(all, elements(nested, ofBackbone)...)
		}
	}
	return all
}

func constraints(rules []*r4def.Invariant) (all []object) {
	for _, r := range rules {
		severity := "error"
		if r.Warning {
			severity = "warning"
		}
		all = append(all, object{"key": r.Key, "severity": severity, "human": r.Human, "expression": r.Expression})
	}
	return all
}

// arguments of operations, one a line of "name use min max type", and for a type
// of token the searchType.
var operationArguments = map[string][]string{
	"$everything":    {"start in 0 1 date", "end in 0 1 date", "_since in 0 1 instant", "_type in 0 * code", "_count in 0 1 integer", "return out 1 1 Bundle"},
	"$summary":       {"return out 1 1 Bundle"},
	"$lastn":         {"max in 0 1 positiveInt", "return out 1 1 Bundle"},
	"$docref":        {"patient in 1 1 id", "start in 0 1 dateTime", "end in 0 1 dateTime", "type in 0 * string token", "on-demand in 0 1 boolean", "_count in 0 1 integer", "return out 1 1 Bundle"},
	"$expand":        {"url in 0 1 uri", "valueSetVersion in 0 1 string", "filter in 0 1 string", "activeOnly in 0 1 boolean", "offset in 0 1 integer", "count in 0 1 integer", "return out 1 1 ValueSet"},
	"$validate-code": {"url in 0 1 uri", "valueSetVersion in 0 1 string", "code in 0 1 code", "system in 0 1 uri", "coding in 0 1 Coding", "codeableConcept in 0 1 CodeableConcept", "result out 1 1 boolean", "message out 0 1 string", "display out 0 1 string"},
	"$lookup":        {"code in 0 1 code", "system in 0 1 uri", "version in 0 1 string", "coding in 0 1 Coding", "name out 1 1 string", "version out 0 1 string", "display out 1 1 string", "property out 0 * BackboneElement"},
	"$match":         {"resource in 1 1 Resource", "onlyCertainMatches in 0 1 boolean", "count in 0 1 integer", "return out 1 1 Bundle"},
	"$ihe-pix":       {"sourceIdentifier in 1 1 string token", "targetSystem in 0 * uri", "targetIdentifier out 0 * Identifier", "targetId out 0 * Reference"},
	"$validate":      {"resource in 0 1 Resource", "mode in 0 1 code", "profile in 0 1 uri", "return out 1 1 OperationOutcome"},
	exportName:       {"_outputFormat in 0 1 string", "_since in 0 1 instant", "_type in 0 * string", "_typeFilter in 0 * string"},
}

// operationDefinitions are those of the operations that are served, one for each
// address of a definition, as the tables that route requests have them.
func operationDefinitions() (all []object) {
	at := map[string]object{}
	add := func(name, definition, path, typ string) {
		o := at[definition]
		if o == nil {
			o = object{
				"resourceType": "OperationDefinition", "id": definition[strings.LastIndexByte(definition, '/')+1:], "url": definition, "name": strings.ToUpper(name[1:2]) + strings.ReplaceAll(name[2:], "-", ""),
				"status": "active", "kind": "operation", "affectsState": false, "code": name[1:], "system": false, "type": false, "instance": false,
				"description": "The operation " + name + ", as this server answers it.",
			}
			if typ != "" {
				o["resource"] = []string{typ}
			}
			var arguments []object
			for _, line := range operationArguments[name] {
				f := append(strings.Fields(line), "")
				least, _ := strconv.Atoi(f[2])
				argument := object{"name": f[0], "use": f[1], "min": least, "max": f[3], "type": f[4]}
				if f[5] != "" {
					argument["searchType"] = f[5]
				}
				arguments = append(arguments, argument)
			}
			o["parameter"] = arguments
			at[definition] = o
			all = append(all, o)
		}
		level := "type"
		switch {
		case strings.Contains(path, "{id"):
			level = "instance"
		case typ == "":
			level = "system"
		}
		o[level] = true
	}
	for _, i := range interactions {
		if op, one := defined[i.name]; one {
			add(i.name, op.definition, i.path, op.typ)
		} else if i.operation() {
			add(i.name, ofAnyType(i.name), i.path, "Resource")
		}
	}
	for _, x := range exports {
		add(exportName, x.definition, x.path, x.at)
	}
	return all
}

// ofAnyType is the address of the definition of an operation that every type has.
func ofAnyType(name string) string {
	return "http://hl7.org/fhir/OperationDefinition/Resource-" + name[1:]
}
