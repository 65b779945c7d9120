package mapping

import (
	"encoding/json"
	"strings"

	"firebreak/adapters/hl7"
)

// number reads s as an HL7 NM. Its JSON literal has the digits that were sent;
// same is false where JSON's grammar asked for another spelling (".5", "+7",
// "007"), so that the caller keeps the text too.
func number(s string) (n json.Number, same, ok bool) {
	v, ok := hl7.ParseNumber(s)
	return json.Number(v), string(v) == strings.TrimSpace(s), ok
}

// comparators are those of FHIR's Quantity, longest first
// (http://hl7.org/fhir/R4/valueset-quantity-comparator.html).
var comparators = []string{"<=", ">=", "<", ">"}

// compared reads "<5", ">= 60": a comparator and a number.
func compared(s string) (comparator string, n json.Number, same, ok bool) {
	s = strings.TrimSpace(s)
	for _, c := range comparators {
		if rest, found := strings.CutPrefix(s, c); found {
			n, same, ok = number(rest)
			return c, n, same, ok
		}
	}
	return "", "", false, false
}
