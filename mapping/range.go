package mapping

import (
	"encoding/json"
	"strings"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// limits reads a reference range as laboratories write it: "49 - 92",
// "[ 0.38 - 0.52 ]", "3.5-5.5", ">=60", "<= 2.3". A bound is given only where
// the text cannot mean anything else: both are plain numbers written as JSON
// would, the lower first. FHIR's bounds include their value
// (http://hl7.org/fhir/R4/observation-definitions.html#Observation.referenceRange.low),
// so "<5" and ">1.5" have none: their text says it all.
func limits(text string) (low, high json.Number) {
	s := strings.TrimSpace(text)
	if strings.HasPrefix(s, "[") != strings.HasSuffix(s, "]") {
		return "", ""
	}
	s = strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if c, n, same, ok := compared(s); ok {
		switch {
		case !same:
		case c == ">=":
			return n, ""
		case c == "<=":
			return "", n
		}
		return "", ""
	}
	from := 0
	if strings.HasPrefix(s, "-") { // a negative lower bound
		from = 1
	}
	i := strings.IndexByte(s[from:], '-')
	if i < 0 {
		return "", ""
	}
	a, okA := exact(s[:from+i])
	b, okB := exact(s[from+i+1:])
	if !okA || !okB || strings.HasPrefix(string(b), "-") || !less(a, b) {
		return "", ""
	}
	return a, b
}

// exact is a number whose JSON literal is the text itself.
func exact(s string) (json.Number, bool) {
	n, same, ok := number(s)
	return n, ok && same
}

// less compares two decimals by their digits, without rounding.
func less(a, b json.Number) bool {
	x, y := string(a), string(b)
	nx, ny := strings.HasPrefix(x, "-"), strings.HasPrefix(y, "-")
	switch {
	case nx && ny:
		return magnitude(y[1:], x[1:]) < 0
	case nx != ny:
		return nx
	}
	return magnitude(x, y) < 0
}

// magnitude compares two unsigned decimals without leading zeros.
func magnitude(x, y string) int {
	xw, xf, _ := strings.Cut(x, ".")
	yw, yf, _ := strings.Cut(y, ".")
	if len(xw) != len(yw) {
		return len(xw) - len(yw)
	}
	if c := strings.Compare(xw, yw); c != 0 {
		return c
	}
	return strings.Compare(strings.TrimRight(xf, "0"), strings.TrimRight(yf, "0"))
}

// reversed tells whether two amounts are no range: the first is more than the second
// (R4 rng-2).
func reversed(low, high *r4.Quantity) bool {
	return low != nil && high != nil && low.Value != nil && high.Value != nil && less(*high.Value, *low.Value)
}
