package search

import (
	"cmp"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// decimal is an exact number, sign * 0.DIGITS * 10^exp, where the digits begin
// and end with other than '0'. Zero has no digits. Comparing needs no
// arithmetic, so a literal of any length or exponent is as cheap as another.
type decimal struct {
	sign   int
	digits string
	exp    int
}

// infinite ends of ranges.
var (
	lowest  = decimal{sign: -1, digits: "1", exp: math.MaxInt}
	highest = decimal{sign: 1, digits: "1", exp: math.MaxInt}
)

// parseDecimal reads a JSON number, or in queries one with a plus sign.
func parseDecimal(s string) (decimal, bool) {
	coefficient, exp, ok := split(s)
	if !ok {
		return decimal{}, false
	}
	sign := 1
	if coefficient[0] == '-' {
		sign, coefficient = -1, coefficient[1:]
	}
	digits := strings.TrimLeft(coefficient, "0")
	exp += len(digits)
	digits = strings.TrimRight(digits, "0")
	if digits == "" {
		return decimal{}, true
	}
	return decimal{sign, digits, exp}, true
}

// split gives a number as an integer, with all its zeroes, and a power of ten.
func split(s string) (coefficient string, exp int, ok bool) {
	if len(s) > 200 {
		return "", 0, false
	}
	s = strings.TrimPrefix(s, "+")
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		n, err := strconv.ParseInt(strings.TrimPrefix(s[i+1:], "+"), 10, 32)
		if err != nil {
			return "", 0, false
		}
		s, exp = s[:i], int(n)
	}
	whole, fraction, pointed := strings.Cut(s, ".")
	if pointed && fraction == "" || strings.TrimPrefix(whole, "-") == "" {
		return "", 0, false
	}
	s = whole + fraction
	for _, c := range []byte(strings.TrimPrefix(s, "-")) {
		if c < '0' || c > '9' {
			return "", 0, false
		}
	}
	return s, exp - len(fraction), true
}

func (a decimal) cmp(b decimal) int {
	if a.digits == "" || b.digits == "" || a.sign != b.sign {
		return cmp.Compare(a.signum(), b.signum())
	}
	if c := cmp.Compare(a.exp, b.exp); c != 0 {
		return c * a.sign
	}
	return strings.Compare(a.digits, b.digits) * a.sign
}

func (a decimal) signum() int {
	if a.digits == "" {
		return 0
	}
	return a.sign
}

// numbers is a stored number or range, ends included.
type numbers struct{ low, high decimal }

// wanted is a searched number: itself, and the range that its digits stand for
// ("100" is [99.5, 100.5), http://hl7.org/fhir/R4/search.html#number) or, for
// ap, a tenth to either side.
type wanted struct {
	exact     decimal
	low, high decimal
}

func parseWanted(s string, approximate bool) (wanted, bool) {
	coefficient, exp, ok := split(s)
	if !ok {
		return wanted{}, false
	}
	n, _ := new(big.Int).SetString(coefficient, 10)
	margin := big.NewInt(5)
	n.Mul(n, big.NewInt(10))
	if approximate {
		n.Mul(n, big.NewInt(10))
		margin.Abs(new(big.Int).Div(n, big.NewInt(10)))
		exp--
	}
	at := func(n *big.Int) decimal {
		d, _ := parseDecimal(n.String())
		if d.digits != "" {
			d.exp += exp - 1
		}
		return d
	}
	return wanted{at(n), at(new(big.Int).Sub(n, margin)), at(new(big.Int).Add(n, margin))}, true
}

func (have numbers) matches(prefix string, want wanted) bool {
	within := func() bool { return have.low.cmp(want.low) >= 0 && have.high.cmp(want.high) < 0 }
	switch prefix {
	case "eq":
		return within()
	case "ne":
		return !within()
	case "gt":
		return have.high.cmp(want.exact) > 0
	case "lt":
		return have.low.cmp(want.exact) < 0
	case "ge":
		return have.high.cmp(want.exact) >= 0
	case "le":
		return have.low.cmp(want.exact) <= 0
	case "sa":
		return have.low.cmp(want.exact) > 0
	case "eb":
		return have.high.cmp(want.exact) < 0
	case "ap":
		return have.low.cmp(want.high) <= 0 && have.high.cmp(want.low) >= 0
	}
	return false
}
