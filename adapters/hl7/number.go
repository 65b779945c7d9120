package hl7

import "strings"

// A Number is a JSON number literal with the digits that were sent: "1.50"
// stays "1.50", "+7" is "7", ".5" is "0.5", "007" is "7".
type Number string

// ParseNumber reads the NM data type: an optional sign, digits, and digits
// behind a point. Blanks around it are allowed. ok is false for anything else,
// exponents included.
//
// Source: HL7 v2.9 chapter 2A.3.46, NM.
func ParseNumber(s string) (n Number, ok bool) {
	s = strings.Trim(s, " ")
	sign := ""
	if s != "" && (s[0] == '+' || s[0] == '-') {
		if s[0] == '-' {
			sign = "-"
		}
		s = s[1:]
	}
	whole, frac, point := strings.Cut(s, ".")
	if !allDigits(whole) || !allDigits(frac) || whole == "" && frac == "" {
		return "", false
	}
	plain := whole != "" && (whole[0] != '0' || len(whole) == 1)
	if !plain {
		if whole = strings.TrimLeft(whole, "0"); whole == "" {
			whole = "0"
		}
	}
	if !point || frac == "" {
		return Number(sign + whole), true
	}
	if plain {
		return Number(sign + s), true
	}
	return Number(sign + whole + "." + frac), true
}

func allDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) {
			return false
		}
	}
	return true
}

// Number reads an NM value. The *FieldError names the place.
func (n node) Number() (Number, error) {
	if v, ok := ParseNumber(n.String()); ok {
		return v, nil
	}
	return "", n.Err("not a number")
}

// A Structured value is the SN data type.
//
// Source: HL7 v2.9 chapter 2A.3.66, SN.
type Structured struct {
	Comparator string // ">", "<", ">=", "<=", "=", "<>" or empty
	Num1       Number // may be empty when only Num2 was sent
	Separator  string // "-" range, "+" grade, "/" ratio, ":" ratio, "." or empty
	Num2       Number // may be empty
}

// Structured reads an SN value, such as <^10, ^1^:^128 or ^2^-^4. An SN whose
// number stands in the comparator's place (100) is read too.
func (r Repetition) Structured() (Structured, error) {
	v := Structured{
		Comparator: strings.Trim(r.Component(1).String(), " "),
		Separator:  strings.Trim(r.Component(3).String(), " "),
	}
	switch v.Comparator {
	case "", ">", "<", ">=", "<=", "=", "<>":
	default:
		n, ok := ParseNumber(v.Comparator)
		if !ok || r.Component(2).Present() {
			return Structured{}, r.Component(1).Err("not a comparator")
		}
		return Structured{Num1: n}, nil
	}
	switch v.Separator {
	case "", "-", "+", "/", ".", ":":
	default:
		return Structured{}, r.Component(3).Err("not a separator")
	}
	for i, to := range map[int]*Number{2: &v.Num1, 4: &v.Num2} {
		if c := r.Component(i); c.Present() {
			var err error
			if *to, err = c.Number(); err != nil {
				return Structured{}, err
			}
		}
	}
	if v.Num1 == "" && v.Num2 == "" {
		return Structured{}, r.Component(2).Err("not a number")
	}
	return v, nil
}

// Structured reads the first repetition.
func (f Field) Structured() (Structured, error) { return f.Rep(0).Structured() }
