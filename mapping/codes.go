package mapping

import (
	_ "embed"
	"encoding/json"
	"strings"
	"sync"
	"unicode"

	"firebreak/adapters/hl7"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// tables holds the concept maps of HL7's v2-to-FHIR guide, a line a code: map,
// v2 code, its HL7 table, FHIR code, display, system, tab between. Maps to SNOMED CT are left
// out: their content may not be shipped.
//
// Source: HL7/v2-to-fhir, commit 8c9b414be1, mappings/codesystems, Apache-2.0.
// TestTables compares it with them, and with -update rewrites it.
//
//go:embed codes.tsv
var tables string

// code is what a v2 code means in FHIR.
type code struct {
	code, display, system string
	source                string // URI of the v2 table; "" where the guide names none
}

var concepts = sync.OnceValue(func() map[string]map[string]code {
	all := make(map[string]map[string]code, 80)
	for line := range strings.Lines(tables) {
		c := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(c) != 6 {
			continue
		}
		m := all[c[0]]
		if m == nil {
			m = make(map[string]code)
			all[c[0]] = m
		}
		if _, twice := m[c[1]]; !twice {
			m[c[1]] = code{code: c[3], display: c[4], system: c[5]}
			if c[2] != "" {
				m[c[1]] = code{code: c[3], display: c[4], system: c[5], source: v2System + c[2]}
			}
		}
	}
	return all
})

// lookup looks a v2 code up in one of the guide's concept maps, named as there
// ("MaritalStatus", "PatientClass[EncounterClass]").
func lookup(table, v2 string) (code, bool) {
	c, ok := concepts()[table][v2]
	return c, ok
}

// fhirCode reads a v2 code into one of samply's enumerations: by the concept
// map, or by its own name where a feed sends FHIR's word itself ("HOME"). The
// code is left out when it is neither: FHIR binds these elements to its list.
func fhirCode(table, v2 string, into json.Unmarshaler) bool {
	if v2 == "" {
		return false
	}
	word := strings.ToLower(v2)
	if c, ok := lookup(table, v2); ok {
		word = c.code
	}
	return into.UnmarshalJSON([]byte(`"`+word+`"`)) == nil
}

// one is a concept of one coding.
func one(c r4.Coding) *r4.CodeableConcept {
	return &r4.CodeableConcept{Coding: []r4.Coding{c}}
}

// fixed is a coding of ours, not the message's.
func fixed(system, code, display string) r4.Coding {
	return r4.Coding{System: &system, Code: &code, Display: p(display)}
}

// concept maps a CWE, CE, CNE or CF; nil when it says nothing. table names the
// concept map for its code, "" where the guide has none: what the map gives
// comes first, what was sent follows with its letters kept.
//
// A code that cannot be a FHIR code (blanks in a row) and a description without
// a code become the text.
//
// Source: v2-to-FHIR, CWE[CodeableConcept], CE[CodeableConcept].
func (b *build) concept(cwe data, table string) *r4.CodeableConcept {
	if !cwe.present() {
		return nil
	}
	c := &r4.CodeableConcept{Text: p(cwe.at(9))}
	var source string // the table that a code without a system is of
	if m, ok := lookup(table, cwe.at(1)); ok && fromTable(cwe.at(3)) {
		c.Coding = append(c.Coding, r4.Coding{System: p(m.system), Code: p(m.code), Display: p(m.display)})
		source = m.source
	}
	for _, part := range [...][5]int{{1, 2, 3, 7, 14}, {4, 5, 6, 8, 17}, {10, 11, 12, 13, 20}} {
		sent, words := cwe.at(part[0]), cwe.at(part[1])
		if !isCode(sent) {
			if c.Text == nil {
				if words == "" {
					words = sent
				}
				c.Text = p(words)
			}
			continue
		}
		coding := r4.Coding{
			System:  p(b.feed.coding(cwe.at(part[2]), cwe.at(part[4]))),
			Code:    &sent,
			Display: p(words),
			Version: p(cwe.at(part[3])),
		}
		if coding.System == nil && part[0] == 1 {
			coding.System = p(source)
		}
		if !hasCoding(c.Coding, coding) {
			c.Coding = append(c.Coding, coding)
		}
	}
	if c.Coding == nil && c.Text == nil {
		return nil
	}
	return c
}

// fromTable tells whether a CWE.3 leaves room for the field's own HL7 table:
// it names an HL7 table or nothing.
func fromTable(system string) bool {
	return system == "" || strings.HasPrefix(strings.ToUpper(system), "HL7")
}

func hasCoding(all []r4.Coding, c r4.Coding) bool {
	for i := range all {
		if same(all[i].System, c.System) && same(all[i].Code, c.Code) {
			return true
		}
	}
	return false
}

// concepts maps the repetitions of a field.
func (b *build) concepts(f hl7.Field, table string) []r4.CodeableConcept {
	var all []r4.CodeableConcept
	for _, cwe := range each(f) {
		if c := b.concept(cwe, table); c != nil {
			all = append(all, *c)
		}
	}
	return all
}

// coding maps a CWE to the one coding an element has room for.
//
// Source: v2-to-FHIR, CWE[Coding].
func (b *build) coding(cwe data, table string) *r4.Coding {
	if c := b.concept(cwe, table); c != nil && len(c.Coding) > 0 {
		return &c.Coding[0]
	}
	return nil
}

// isCode tells whether s may be a FHIR code: no blanks but single ones inside
// (R4 2.24.0.1, type code).
func isCode(s string) bool {
	blank := true
	for _, r := range s {
		if unicode.IsSpace(r) {
			if blank || r != ' ' {
				return false
			}
			blank = true
			continue
		}
		blank = false
	}
	return s != "" && !blank
}
