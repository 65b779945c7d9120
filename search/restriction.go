package search

import (
	"net/url"

	"firebreak/fhir"
)

// ParseRestriction reads what a SMART scope says after its question mark, of
// resources of one type: "category=laboratory" or "category=a,b&code=c". Each
// must hold, any of its values will do, each "code", "system|code" or "system|".
//
// Token parameters of the type are read, those that begin with _ apart, without
// modifiers and chains: what a resource itself says, and no source's tag or the
// gateway's own. ok is false for anything else.
//
// Source: SMART App Launch 2.2.0, "Finer-grained resource constraints using
// search parameters".
func ParseRestriction(typ, text string) (q Query, ok bool) {
	v, err := url.ParseQuery(text)
	if err != nil || len(v) == 0 || !fhir.IsType(typ) {
		return Query{}, false
	}
	for name := range v {
		if p := params().params[typ][name]; p == nil || p.kind != kindToken || name[0] == '_' {
			return Query{}, false
		}
	}
	q, err = ParseQuery(typ, v)
	return q, err == nil
}
