package hl7

import (
	"strings"
	"time"
)

// Precision says to which part a time was sent.
type Precision uint8

const (
	NoTime Precision = iota
	Year
	Month
	Day
	Hour
	Minute
	Second
	Fraction // of a second; Time.Digits tells how many
)

// A Time is a point in time as sent: never more precise than the sender was,
// with the zone it gave or none. The zero Time is none.
type Time struct {
	Precision Precision
	Zoned     bool // an offset was sent
	Digits    int  // of the fraction, 0 to 9

	year, month, day, hour, minute, second, nanos int // second may be 60
	offset                                        int // minutes east of UTC
	negative                                      bool
}

// ParseTime reads a DTM, TS or DT value: YYYY[MM[DD[HH[MM[SS[.S...]]]]]][+/-ZZZZ].
// reason is empty when it is one. Blanks around it are allowed; up to nine
// digits of a fraction are (HL7 has four).
//
// Source: HL7 v2.9 chapter 2A.3.21 DT, 2A.3.22 DTM.
func ParseTime(s string) (t Time, reason string) {
	s = strings.Trim(s, " ")
	digits := s
	if i := strings.IndexAny(s, "+-"); i >= 0 {
		digits = s[:i]
		if t.offset, t.negative, reason = zone(s[i:]); reason != "" {
			return Time{}, reason
		}
		t.Zoned = true
	}
	digits, frac, point := strings.Cut(digits, ".")
	if !allDigits(digits) || digits == "" {
		return Time{}, "not a time: something other than digits"
	}
	switch len(digits) {
	case 4:
		t.Precision = Year
	case 6:
		t.Precision = Month
	case 8:
		t.Precision = Day
	case 10:
		t.Precision = Hour
	case 12:
		t.Precision = Minute
	case 14:
		t.Precision = Second
	default:
		return Time{}, "not a time: a wrong number of digits"
	}
	two := func(at int) int {
		if len(digits) < at+2 {
			return 0
		}
		return int(digits[at]-'0')*10 + int(digits[at+1]-'0')
	}
	t.year, t.month, t.day = two(0)*100+two(2), two(4), two(6)
	t.hour, t.minute, t.second = two(8), two(10), two(12)
	if point {
		if t.Precision != Second {
			return Time{}, "not a time: a fraction without seconds"
		}
		if t.nanos, t.Digits, reason = fraction(frac); reason != "" {
			return Time{}, reason
		}
		t.Precision = Fraction
	}
	return t, t.check()
}

func (t *Time) check() string {
	reason := ""
	switch {
	case t.year == 0:
		reason = "no such year"
	case t.Precision >= Month && (t.month < 1 || t.month > 12):
		reason = "no such month"
	case t.Precision >= Day && (t.day < 1 || t.day > daysIn(t.year, t.month)):
		reason = "no such day"
	case t.hour > 23:
		reason = "no such hour"
	case t.minute > 59:
		reason = "no such minute"
	case t.second > 60:
		reason = "no such second"
	default:
		return ""
	}
	*t = Time{}
	return "not a time: " + reason
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// zone reads +HHMM or -HHMM, at most 14 hours.
func zone(s string) (minutes int, negative bool, reason string) {
	if len(s) != 5 || !allDigits(s[1:]) {
		return 0, false, "not a time: the zone is not +HHMM or -HHMM"
	}
	h, m := int(s[1]-'0')*10+int(s[2]-'0'), int(s[3]-'0')*10+int(s[4]-'0')
	if m > 59 || h*60+m > 14*60 {
		return 0, false, "not a time: no such zone"
	}
	minutes = h*60 + m
	if s[0] == '-' {
		return -minutes, true, ""
	}
	return minutes, false, ""
}

func fraction(s string) (nanos, digits int, reason string) {
	if s == "" || len(s) > 9 || !allDigits(s) {
		return 0, 0, "not a time: the fraction is not one to nine digits"
	}
	for i := range 9 {
		nanos *= 10
		if i < len(s) {
			nanos += int(s[i] - '0')
		}
	}
	return nanos, len(s), ""
}

// IsZero reports whether there is no time.
func (t Time) IsZero() bool { return t.Precision == NoTime }

// Date gives a FHIR date: "2026", "2026-01" or "2026-01-31"; a time of day is
// left out. Empty for the zero Time.
func (t Time) Date() string {
	b := make([]byte, 0, 10)
	return string(t.appendDate(b))
}

func (t Time) appendDate(b []byte) []byte {
	if t.Precision >= Year {
		b = append(pair(b, t.year/100), byte('0'+t.year/10%10), byte('0'+t.year%10))
	}
	if t.Precision >= Month {
		b = pair(append(b, '-'), t.month)
	}
	if t.Precision >= Day {
		b = pair(append(b, '-'), t.day)
	}
	return b
}

func pair(b []byte, n int) []byte { return append(b, byte('0'+n/10), byte('0'+n%10)) }

// DateTime gives a FHIR dateTime with the sent precision and offset. loc is the
// source's zone for times sent without one; nil when it is not known.
//
// FHIR takes no time of day without an offset, so one is left out, and the date
// kept, where there is neither offset nor loc, where loc's clock showed that
// time twice or never (daylight saving), and where only the hour was sent.
// Seconds that were not sent are 00, which FHIR asks for and tells receivers to
// ignore.
//
// Source: FHIR R4 datatypes, dateTime.
func (t Time) DateTime(loc *time.Location) string {
	b := make([]byte, 0, 35)
	b = t.appendDate(b)
	if t.Precision < Minute {
		return string(b)
	}
	offset, negative := t.offset, t.negative
	if !t.Zoned {
		if loc == nil {
			return string(b)
		}
		at, n := t.in(loc)
		if n != 1 {
			return string(b)
		}
		_, seconds := at.Zone()
		if seconds%60 != 0 { // local mean time, before standard zones
			return string(b)
		}
		offset, negative = seconds/60, seconds < 0
	}
	b = t.appendClock(append(b, 'T'))
	sign := byte('+')
	if negative {
		sign, offset = '-', -offset
	}
	b = pair(append(b, sign), offset/60)
	return string(pair(append(b, ':'), offset%60))
}

// Instant gives a FHIR instant under the same conditions as DateTime; empty
// when there is none, or no seconds were sent.
func (t Time) Instant(loc *time.Location) string {
	if t.Precision < Second {
		return ""
	}
	if s := t.DateTime(loc); len(s) > len("2006-01-02") {
		return s
	}
	return ""
}

// appendClock gives hh:mm:ss and the fraction's digits as sent.
func (t Time) appendClock(b []byte) []byte {
	b = pair(append(pair(append(pair(b, t.hour), ':'), t.minute), ':'), t.second)
	if t.Precision == Fraction {
		b = append(b, '.')
		for i, div := 0, 100_000_000; i < t.Digits; i, div = i+1, div/10 {
			b = append(b, byte('0'+t.nanos/div%10))
		}
	}
	return b
}

// Start gives the first instant that the value covers, for ordering: a month
// begins on its first day. Without an offset it is read in loc (UTC when nil).
// Where loc's clock showed the time twice, the first is meant; where never, the
// time as if the clock had not been put forward.
func (t Time) Start(loc *time.Location) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	if t.Zoned {
		loc = time.FixedZone("", t.offset*60)
	} else if loc == nil {
		loc = time.UTC
	}
	at, _ := t.in(loc)
	return at
}

// in reads the value on loc's clock. n says how often the clock showed it: once
// as a rule, twice when it was put back, never when it was put forward.
func (t Time) in(loc *time.Location) (first time.Time, n int) {
	wall := time.Date(t.year, time.Month(max(t.month, 1)), max(t.day, 1), t.hour, t.minute, t.second, t.nanos, time.UTC)
	const day = 24 * time.Hour
	_, before := wall.Add(-day).In(loc).Zone()
	_, after := wall.Add(day).In(loc).Zone()
	a := wall.Add(-time.Duration(before) * time.Second).In(loc)
	if before == after {
		return a, 1
	}
	b := wall.Add(-time.Duration(after) * time.Second).In(loc)
	_, atA := a.Zone()
	_, atB := b.Zone()
	switch {
	case atA == before && atB == after:
		if b.Before(a) {
			a = b
		}
		return a, 2
	case atB == after:
		return b, 1
	case atA == before:
		return a, 1
	}
	return a, 0
}

// Time reads a DTM or TS value; the zero Time when nothing was sent or the
// HL7 null. The old second component of TS, which tells the precision, is
// followed. The *FieldError names the place.
//
// Source: HL7 v2.9 chapter 2A.3.22 DTM; v2.3 chapter 2.8.42 TS.
func (n node) Time() (Time, error) {
	s := n.String()
	if s == "" {
		return Time{}, nil
	}
	t, reason := ParseTime(s)
	if reason != "" {
		return Time{}, n.Err(reason)
	}
	if n.comp == 0 && n.sub == 0 {
		t = t.limit((Repetition{n}).degree())
	}
	return t, nil
}

// Clock reads a TM value; ok is false when nothing was sent.
func (n node) Clock() (c Clock, ok bool, err error) {
	s := n.String()
	if s == "" {
		return Clock{}, false, nil
	}
	c, reason := ParseClock(s)
	if reason != "" {
		return Clock{}, false, n.Err(reason)
	}
	return c, true, nil
}

// degree reads TS.2 of the first repetition in r.
func (r Repetition) degree() Precision {
	if r.rep == 0 {
		r.s = first(r.s, r.m.delims.Repetition)
	}
	switch r.Component(2).Raw() {
	case "Y":
		return Year
	case "L":
		return Month
	case "D":
		return Day
	case "H":
		return Hour
	case "M":
		return Minute
	}
	return Fraction
}

func (t Time) limit(p Precision) Time {
	if p >= t.Precision {
		return t
	}
	parts := [...]*int{Month: &t.month, Day: &t.day, Hour: &t.hour, Minute: &t.minute, Second: &t.second, Fraction: &t.nanos}
	for q := p + 1; q <= Fraction; q++ {
		*parts[q] = 0
	}
	t.Precision, t.Digits = p, 0
	return t
}

// A Clock is a time of day as sent.
type Clock struct{ t Time }

// ParseClock reads a TM value: HH[MM[SS[.S...]]][+/-ZZZZ]; reason is empty when
// it is one.
//
// Source: HL7 v2.9 chapter 2A.3.75, TM.
func ParseClock(s string) (c Clock, reason string) {
	t, reason := ParseTime("20000101" + strings.Trim(s, " "))
	if reason == "" && t.Precision < Hour {
		reason = "not a time: a wrong number of digits"
	}
	if reason != "" {
		return Clock{}, reason
	}
	return Clock{t}, ""
}

// Precision tells to which part the time of day was sent.
func (c Clock) Precision() Precision { return c.t.Precision }

// Time gives a FHIR time, which has no zone and whose seconds are 00 where they
// were not sent; empty where only the hour was.
//
// Source: FHIR R4 datatypes, time.
func (c Clock) Time() string {
	if c.t.Precision < Minute {
		return ""
	}
	return string(c.t.appendClock(nil))
}
