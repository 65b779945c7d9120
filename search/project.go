package search

import (
	"slices"
	"strings"

	"firebreak/fhir"
	"firebreak/fhir/r4def"
)

// subsetted marks a resource that is not whole
// (http://terminology.hl7.org/CodeSystem/v3-ObservationValue).
const subsetted = `{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}`

// Project gives r as _summary and _elements ask: a subset with every literal as
// it was, tagged SUBSETTED; or r itself when neither asks for less. Besides
// what was asked for a subset has id, meta, and what R4 requires or could
// change the meaning of the rest.
//
// Of a Patient that was sought by the systems of its identifiers alone,
// identifier=urn:oid:1.2|,urn:oid:1.3|, only those of these systems are given.
//
// Source: R4 search.html#summary; IHE PDQm ITI-78, Populating Which Domains are
// Returned.
func (q Query) Project(r fhir.Resource) (fhir.Resource, error) {
	if systems := q.systems(); systems != nil && r.Type() == "Patient" {
		var err error
		if r, err = ofSystems(r, systems); err != nil {
			return r, err
		}
	}
	if len(q.Elements) == 0 && q.Summary != SummaryTrue && q.Summary != SummaryText && q.Summary != SummaryData {
		return r, nil
	}
	t := r4def.Lookup(r.Type())
	if t == nil {
		return r, nil
	}
	keep := func(e *r4def.Element) bool {
		if len(q.Elements) > 0 {
			if q.asks(r.Type()) && slices.Contains(q.Elements, e.Name) {
				return true
			}
			if !q.asks(r.Type()) { // includes come whole, unless a summary is asked for as well
				return q.Summary == SummaryNone
			}
			return e.Min > 0 || e.Modifier
		}
		switch q.Summary {
		case SummaryData:
			return e.Name != "text"
		case SummaryText:
			return e.Name == "text" || e.Min > 0 || e.Modifier
		}
		return e.Summary || e.Min > 0 || e.Modifier
	}
	if len(q.Elements) > 0 && !q.asks(r.Type()) && q.Summary == SummaryNone {
		return r, nil
	}
	deep := len(q.Elements) == 0 && q.Summary == SummaryTrue
	out := append([]byte(`{"resourceType":"`), r.Type()...)
	out = append(out, '"')
	tagged := false
	for name, v := range r.Root().Members() {
		if name == "resourceType" {
			continue
		}
		m, ok := t.Member(trimUnderscore(name))
		if !ok || name != "id" && name != "meta" && !keep(m.Element) {
			continue
		}
		mark := len(out)
		out = append(out, ',', '"')
		out = append(out, name...)
		out = append(out, '"', ':')
		switch {
		case name == "meta" && v.Kind() == '{':
			out = tag(out, v)
			tagged = true
		case deep:
			before := len(out)
			if out = summarise(out, m.Type, v); len(out) == before {
				out = out[:mark]
			}
		default:
			out = append(out, v.Raw()...)
		}
	}
	if !tagged {
		out = append(out, `,"meta":{"tag":[`+subsetted+`]}`...)
	}
	return fhir.Parse(append(out, '}'))
}

// systems are those whose identifiers are asked for, nil for all.
func (q Query) systems() (all []string) {
	for i := range q.filters {
		f := &q.filters[i]
		if q.Type != "Patient" || f.param == nil || f.param.code != "identifier" || f.chain != nil || f.missing != 0 || f.modifier != "" {
			continue
		}
		if !slices.ContainsFunc(f.values, func(v value) bool { return !v.token.AnyCode || v.token.System == "" }) {
			for _, v := range f.values {
				all = append(all, v.token.System)
			}
		}
	}
	return all
}

// ofSystems leaves out identifiers of other systems.
func ofSystems(r fhir.Resource, systems []string) (fhir.Resource, error) {
	var kept []string
	n := 0
	for id := range r.All("identifier") {
		if n++; slices.Contains(systems, id.Get("system").Text()) {
			kept = append(kept, string(id.Raw()))
		}
	}
	if len(kept) == n {
		return r, nil
	}
	out := []byte(`{"resourceType":"Patient"`)
	for name, v := range r.Root().Members() {
		if name == "resourceType" || name == "meta" || name == "identifier" {
			continue
		}
		out = append(append(out, `,"`+name+`":`...), v.Raw()...)
	}
	if len(kept) > 0 {
		out = append(out, `,"identifier":[`+strings.Join(kept, ",")+`]`...)
	}
	out = append(out, `,"meta":`...)
	if meta := r.Get("meta"); meta.Kind() == '{' {
		out = tag(out, meta)
	} else {
		out = append(out, `{"tag":[`+subsetted+`]}`...)
	}
	return fhir.Parse(append(out, '}'))
}

func trimUnderscore(name string) string {
	if name != "" && name[0] == '_' {
		return name[1:]
	}
	return name
}

// tag writes a meta with the tag SUBSETTED among its tags.
func tag(out []byte, meta fhir.Node) []byte {
	out = append(out, '{')
	for name, v := range meta.Members() {
		if _, known := r4def.Lookup("Meta").Member(trimUnderscore(name)); !known || name == "tag" {
			continue
		}
		out = append(out, '"')
		out = append(out, name...)
		out = append(out, '"', ':')
		out = append(append(out, v.Raw()...), ',')
	}
	out = append(out, `"tag":[`...)
	for v := range meta.Get("tag").Items() {
		if !v.Get("code").Is("SUBSETTED") {
			out = append(append(out, v.Raw()...), ',')
		}
	}
	return append(append(out, subsetted...), "]}"...)
}

// summarise writes the parts of v that are marked for summaries at every
// level; nothing, when none is.
func summarise(out []byte, typ string, v fhir.Node) []byte {
	start := len(out)
	switch t := r4def.Lookup(typ); {
	case v.Kind() == '[':
		out = append(out, '[')
		for item := range v.Slots() {
			before := len(out)
			if before > start+1 {
				out = append(out, ',')
			}
			comma := len(out)
			if out = summarise(out, typ, item); len(out) == comma {
				out = out[:before]
			}
		}
		if len(out) == start+1 {
			return out[:start]
		}
		return append(out, ']')
	case v.Kind() != '{' || t == nil || t.Resource:
		return append(out, v.Raw()...)
	default:
		out = append(out, '{')
		for name, child := range v.Members() {
			m, ok := t.Member(trimUnderscore(name))
			if !ok || name != "id" && !m.Element.Summary && m.Element.Min == 0 && !m.Element.Modifier {
				continue
			}
			mark := len(out)
			if mark > start+1 {
				out = append(out, ',')
			}
			out = append(out, '"')
			out = append(out, name...)
			out = append(out, '"', ':')
			before := len(out)
			if out = summarise(out, m.Type, child); len(out) == before {
				out = out[:mark]
			}
		}
		if len(out) == start+1 {
			return out[:start]
		}
		return append(out, '}')
	}
}
