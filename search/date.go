package search

import (
	"math"
	"time"
)

// span is a stretch of time [from, until) in microseconds since 1970, UTC.
// Every date of FHIR is one: "2026" is a year long, an instant with
// milliseconds one millisecond. An open end is always or never.
type span struct{ from, until int64 }

const (
	always = math.MinInt64
	never  = math.MaxInt64
)

// parseDate reads a date, dateTime or instant of any precision, and in queries
// also a time without seconds. Dates without a zone are taken as UTC.
func parseDate(s string) (span, bool) {
	num := func(from, to int) (n int, ok bool) {
		if len(s) < to {
			return 0, false
		}
		for _, c := range []byte(s[from:to]) {
			if c < '0' || c > '9' {
				return 0, false
			}
			n = n*10 + int(c-'0')
		}
		return n, true
	}
	year, ok := num(0, 4)
	if !ok {
		return span{}, false
	}
	if len(s) == 4 {
		return days(year, 1, 1, year+1, 1, 1), true
	}
	month, ok := num(5, 7)
	if !ok || s[4] != '-' || month < 1 || month > 12 {
		return span{}, false
	}
	if len(s) == 7 {
		return days(year, month, 1, year, month+1, 1), true
	}
	day, ok := num(8, 10)
	if !ok || s[7] != '-' || day < 1 || day > time.Date(year, time.Month(month+1), 0, 0, 0, 0, 0, time.UTC).Day() {
		return span{}, false
	}
	if len(s) == 10 {
		return days(year, month, day, year, month, day+1), true
	}
	hour, ok1 := num(11, 13)
	minute, ok2 := num(14, 16)
	if !ok1 || !ok2 || s[10] != 'T' || s[13] != ':' || hour > 23 || minute > 59 {
		return span{}, false
	}
	at := time.Date(year, time.Month(month), day, hour, minute, 0, 0, time.UTC).UnixMicro()
	width := int64(60_000_000)
	i := 16
	if i < len(s) && s[i] == ':' {
		second, ok := num(17, 19)
		if !ok || second > 60 {
			return span{}, false
		}
		at += int64(second) * 1_000_000
		width = 1_000_000
		i = 19
		if i < len(s) && s[i] == '.' {
			digits := 0
			for i++; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
				if digits++; digits <= 6 {
					width /= 10
					at += int64(s[i]-'0') * width
				}
			}
			if digits == 0 {
				return span{}, false
			}
		}
	}
	switch rest := s[i:]; {
	case rest == "" || rest == "Z":
	case len(rest) == 6 && (rest[0] == '+' || rest[0] == '-' || rest[0] == ' ') && rest[3] == ':':
		h, ok1 := num(i+1, i+3)
		m, ok2 := num(i+4, i+6)
		if !ok1 || !ok2 || h > 14 || m > 59 {
			return span{}, false
		}
		offset := int64(h*60+m) * 60_000_000
		if rest[0] == '-' {
			offset = -offset
		}
		at -= offset // a plus sign in a query may have become a space
	default:
		return span{}, false
	}
	return span{at, at + width}, true
}

func days(y1, m1, d1, y2, m2, d2 int) span {
	return span{
		time.Date(y1, time.Month(m1), d1, 0, 0, 0, 0, time.UTC).UnixMicro(),
		time.Date(y2, time.Month(m2), d2, 0, 0, 0, 0, time.UTC).UnixMicro(),
	}
}

// matches compares a stored span with a searched one
// (http://hl7.org/fhir/R4/search.html#prefix).
func (have span) matches(prefix string, want span) bool {
	switch prefix {
	case "eq":
		return want.from <= have.from && have.until <= want.until
	case "ne":
		return !(want.from <= have.from && have.until <= want.until)
	case "gt":
		return have.until > want.until
	case "lt":
		return have.from < want.from
	case "ge":
		return have.until > want.until || want.from <= have.from && have.until <= want.until
	case "le":
		return have.from < want.from || want.from <= have.from && have.until <= want.until
	case "sa":
		return have.from >= want.until
	case "eb":
		return have.until <= want.from
	case "ap": // want is wider by a tenth of its distance from now
		return have.from < want.until && want.from < have.until
	}
	return false
}

// widen makes want what "ap" looks for: 10% of the time between now and it,
// to either side.
func (want span) widen(now time.Time) span {
	if now.IsZero() {
		return want
	}
	at := now.UnixMicro()
	gap := max(want.from-at, at-want.until, 0) / 10
	return span{want.from - gap, want.until + gap}
}
