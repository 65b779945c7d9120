package mapping

import (
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// status says a status: by the guide's concept map, else "unknown", which the
// value sets of R4 that this is used with have. A code that the map does not
// turn into FHIR stays beside the status, as the guide does with the "X" of
// table 0085, so that nothing is made up and nothing lost.
//
// Source: v2-to-FHIR, OBX-11, TXA-19; R4 http://hl7.org/fhir/R4/codesystem-observation-status.html.
func status(path, table, v2, v2Table string) []fhir.Set {
	c, ok := lookup(table, v2)
	if !ok {
		c.code = "unknown"
	}
	say := []fhir.Set{{Path: path, Value: c.code}}
	if !ok && v2 != "" || v2Table == "0085" && v2 == "X" {
		say = append(say, fhir.Set{Path: "_" + path, Value: asSent(tableCode(v2, v2Table))})
	}
	return say
}

// unsaid is a required code that the message has none for and whose value set
// has no "unknown": the source's own code beside an empty place, if it sent one.
func unsaid(path, v2, v2Table string) fhir.Set {
	if v2 == "" {
		return fhir.Set{Path: path, Value: absent("unknown")}
	}
	return fhir.Set{Path: path, Value: asSent(tableCode(v2, v2Table))}
}

// tableCode is a code of a v2 table as it was sent.
func tableCode(v2, v2Table string) *r4.CodeableConcept {
	if !isCode(v2) {
		return &r4.CodeableConcept{Text: &v2}
	}
	return one(fixed(v2System+v2Table, v2, ""))
}

// instant tells whether a moment may stand where FHIR wants an instant: it has
// a time of day and an offset, which one in the hour that a change of the clocks
// repeats has not.
func (m moment) instant() bool { return len(m.text) > len("2006-01-02") }
