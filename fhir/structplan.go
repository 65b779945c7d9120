package fhir

import (
	"reflect"
	"slices"
	"strings"
	"sync"
)

// structPlan writes a struct by its json tags, in the order of its fields.
type structPlan struct {
	typ    reflect.Type
	once   sync.Once
	name   string // resource type, if it is one of samply's resources
	fields []field
	groups []string // required choices: "medication"
}

type field struct {
	index    int
	name     string
	label    string // `"name":`
	plan     plan
	nilable  bool // a pointer, slice, interface or string, which is nothing when empty
	omitZero bool // omitempty: zero numbers and booleans are not said
	required bool
	group    int // 1 + index into groups; 0 for none
}

// choiceTypes are the endings of choice elements that samply makes required
// all at once; a test holds them against the definitions.
var choiceTypes = []string{
	"Address", "Age", "Annotation", "Attachment", "Base64Binary", "Boolean", "Canonical", "Code",
	"CodeableConcept", "Coding", "ContactDetail", "ContactPoint", "Contributor", "Count",
	"DataRequirement", "Date", "DateTime", "Decimal", "Distance", "Dosage", "Duration", "Expression",
	"HumanName", "Id", "Identifier", "Instant", "Integer", "Markdown", "Meta", "Money", "Oid",
	"ParameterDefinition", "Period", "PositiveInt", "Quantity", "Range", "Ratio", "Reference",
	"RelatedArtifact", "SampledData", "Signature", "String", "Time", "Timing", "TriggerDefinition",
	"UnsignedInt", "Uri", "Url", "UsageContext", "Uuid",
}

func (p *structPlan) build() {
	t := p.typ
	if IsType(t.Name()) {
		p.name = t.Name()
	}
	for f := range t.Fields() {
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		if name == "resourceType" {
			p.name = ""
		}
		omit := strings.Contains(opts, "omitempty")
		p.fields = append(p.fields, field{
			index: f.Index[0], name: name, label: `"` + name + `":`, plan: planOf(f.Type),
			nilable: isNilable(f.Type.Kind()), omitZero: omit, required: !omit,
		})
	}
	alike := map[string]int{}
	for _, f := range p.fields {
		if stem, ok := choiceStem(f.name); ok && f.required {
			alike[stem]++
		}
	}
	for i := range p.fields {
		f := &p.fields[i]
		stem, ok := choiceStem(f.name)
		if !ok || !f.required || alike[stem] < 2 {
			continue
		}
		g := slices.Index(p.groups, stem)
		if g < 0 {
			g = len(p.groups)
			p.groups = append(p.groups, stem)
		}
		f.group, f.required = g+1, false
	}
}

// choiceStem is the element name without the type at its end.
func choiceStem(name string) (string, bool) {
	stem := ""
	for _, t := range choiceTypes {
		if s, ok := strings.CutSuffix(name, t); ok && s != "" && (stem == "" || len(s) < len(stem)) {
			stem = s
		}
	}
	return stem, stem != ""
}

func (p *structPlan) encode(e *encoder, v reflect.Value, o *overlay) (saying, *fault) {
	if o != nil && o.set {
		return e.any(o.value)
	}
	p.once.Do(p.build)
	start := len(e.b)
	e.b = append(e.b, '{')
	if p.name != "" {
		e.b = append(append(append(e.b, `"resourceType":"`...), p.name...), '"')
	}
	var (
		result  = nothing
		written = p.name != ""
		missing = -1 // first required field that nothing says
		chosen  uint64
	)
	for i := range p.fields {
		f := &p.fields[i]
		var at *overlay
		if o != nil {
			at = o.at(f.name)
		}
		value, mark, s := v.Field(f.index), len(e.b), nothing
		if at != nil || !f.nilable || !isNothing(value) {
			if written {
				e.b = append(e.b, ',')
			}
			e.b = append(e.b, f.label...)
			var err *fault
			if s, err = f.plan.encode(e, value, at); err != nil {
				return nothing, err.under("." + f.name)
			}
		}
		if s == zero && (f.omitZero || f.group > 0) && (at == nil || !at.set) {
			s = nothing
		}
		if s == nothing {
			e.b = e.b[:mark]
			if f.required && missing < 0 && o.at("_"+f.name) == nil {
				missing = i
			}
			continue
		}
		written = true
		if s == zero {
			continue
		}
		result = said
		if f.group > 0 {
			if chosen&(1<<f.group) != 0 {
				return nothing, &fault{path: "." + p.groups[f.group-1] + "[x]", code: "structure", text: "is said in two ways."}
			}
			chosen |= 1 << f.group
		}
	}
	if o != nil {
		taken := func(name string) bool {
			return slices.ContainsFunc(p.fields, func(f field) bool { return f.name == name })
		}
		more := written
		before := len(e.b)
		if err := e.extra(o, taken, &more); err != nil {
			return nothing, err
		}
		if len(e.b) > before {
			result = said
		}
	}
	if result == nothing && p.name == "" {
		e.b = e.b[:start]
		return nothing, nil
	}
	if missing >= 0 {
		return nothing, &fault{path: "." + p.fields[missing].name, code: "required", text: "is missing."}
	}
	for g, stem := range p.groups {
		if chosen&(1<<(g+1)) == 0 && !o.chooses(stem) {
			return nothing, &fault{path: "." + stem + "[x]", code: "required", text: "is missing."}
		}
	}
	e.b = append(e.b, '}')
	return said, nil
}

func isNilable(k reflect.Kind) bool {
	return k == reflect.Pointer || k == reflect.Slice || k == reflect.Interface || k == reflect.String
}

// isNothing tells that of a nilable value without a plan: most fields of most
// structs are empty.
func isNothing(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return v.IsNil()
	}
	return v.Len() == 0
}

// chooses tells whether a Set gives one of a choice's elements that no field has.
func (o *overlay) chooses(stem string) bool {
	if o == nil {
		return false
	}
	return slices.ContainsFunc(o.names, func(n string) bool {
		s, ok := choiceStem(strings.TrimPrefix(n, "_"))
		return ok && s == stem
	})
}
