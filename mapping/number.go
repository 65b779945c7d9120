package mapping

import (
	"encoding/json"
	"strings"
)

// number reads s as an HL7 NM: an optional sign, digits, an optional decimal
// point (v2.9 2A.2.47). Its JSON literal has the digits that were sent,
// trailing zeros included; only what JSON's grammar forbids is changed: a plus
// sign and leading zeros go, a zero comes before a leading point, a trailing
// point goes. same is false if so, and the caller should keep the text too.
// Exponents, commas and blanks inside are not NM.
func number(s string) (n json.Number, same, ok bool) {
	s = strings.TrimSpace(s)
	digits, sign := s, ""
	switch {
	case strings.HasPrefix(s, "-"):
		digits, sign = s[1:], "-"
	case strings.HasPrefix(s, "+"):
		digits = s[1:]
	}
	whole, fraction, point := strings.Cut(digits, ".")
	if whole+fraction == "" || !isDigits(whole) || !isDigits(fraction) {
		return "", false, false
	}
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	out := sign + whole
	if point && fraction != "" {
		out += "." + fraction
	}
	return json.Number(out), out == s, true
}

func isDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// comparators are those of FHIR's Quantity
// (http://hl7.org/fhir/R4/valueset-quantity-comparator.html), longest first.
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
