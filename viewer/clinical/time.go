package clinical

import (
	"cmp"
	"fmt"
	"time"
)

// Time is a moment as its source told it, with its precision and zone: a FHIR
// date, dateTime or instant. It is never moved to another zone. The zero Time
// is one that was not told.
type Time struct {
	Sent string    // as sent
	At   time.Time // its beginning, in the zone sent; for order and for the axis of a chart
	part part
}

// part is the smallest part of a time that was told.
type part uint8

const (
	unread part = iota // could not be read: shown as sent
	year
	month
	day
	minute
)

// ParseTime reads a FHIR date, dateTime or instant. What cannot be read keeps
// its text and sorts before everything else.
//
// Source: http://hl7.org/fhir/R4/datatypes.html#dateTime.
func ParseTime(s string) Time {
	layouts := []struct {
		layout string
		part   part
	}{
		{"2006-01-02T15:04:05Z07:00", minute}, {"2006-01-02", day}, {"2006-01", month}, {"2006", year},
		{"2006-01-02T15:04Z07:00", minute},
	}
	for _, l := range layouts {
		if at, err := time.Parse(l.layout, s); err == nil {
			return Time{s, at, l.part}
		}
	}
	return Time{Sent: s}
}

// IsZero tells whether no time was told.
func (t Time) IsZero() bool { return t.Sent == "" }

// Date is "22-Nov-2026", "Nov-2026" or "2026", as precise as was told.
func (t Time) Date() string {
	switch t.part {
	case year:
		return t.At.Format("2006")
	case month:
		return t.At.Format("Jan-2006")
	case day, minute:
		return t.At.Format("02-Jan-2006")
	}
	return t.Sent
}

// Short is Date without its year when the day lies within half a year of now
// and so cannot be mistaken.
func (t Time) Short(now time.Time) string {
	if t.part >= day && t.At.Sub(now).Abs() < 180*24*time.Hour {
		return t.At.Format("02-Jan")
	}
	return t.Date()
}

// Clock is "08:10", empty when only a date was told.
func (t Time) Clock() string {
	if t.part != minute {
		return ""
	}
	return t.At.Format("15:04")
}

// Zone names the zone the time was told in: "PST" when place, the facility's
// zone, has that offset at that moment; else "UTC-8", "UTC+5:45", "UTC".
// Empty when no time of day was told.
func (t Time) Zone(place *time.Location) string {
	if t.part != minute {
		return ""
	}
	return zone(t.At, place)
}

func zone(t time.Time, place *time.Location) string {
	_, offset := t.Zone()
	if place != nil {
		local := t.In(place)
		if name, o := local.Zone(); o == offset && name != "" && name[0] != '+' && name[0] != '-' {
			return name
		}
	}
	if offset == 0 {
		return "UTC"
	}
	sign := '+'
	if offset < 0 {
		sign, offset = '−', -offset
	}
	if m := offset / 60 % 60; m != 0 {
		return fmt.Sprintf("UTC%c%d:%02d", sign, offset/3600, m)
	}
	return fmt.Sprintf("UTC%c%d", sign, offset/3600)
}

// Moment is a time of this program's own, such as when a message arrived.
func Moment(t time.Time, place *time.Location) Time {
	if t.IsZero() {
		return Time{}
	}
	if place != nil {
		t = t.In(place)
	}
	t = t.Truncate(time.Second)
	return Time{t.Format(time.RFC3339), t, minute}
}

// Machine is the value of an HTML time element's datetime.
func (t Time) Machine() string {
	if t.part == unread {
		return ""
	}
	return t.Sent
}

// newer orders times newest first, the unknown last.
func newer(a, b Time) int { return b.At.Compare(a.At) }

// same tells whether two times are one moment told equally precisely.
func (t Time) same(o Time) bool {
	return t.part == o.part && t.At.Equal(o.At) && (t.part != unread || t.Sent == o.Sent)
}

// Span is a period, open at either end when that was not told.
type Span struct{ Start, End Time }

func (s Span) IsZero() bool { return s.Start.IsZero() && s.End.IsZero() }

// age is a person's age on a day: "55 y", "17 mo" below two years, "9 d" below
// two months; "about 55 y" when the birth date is not told to the day.
func age(birth Time, on time.Time, say Words) string {
	if birth.part == unread || birth.At.After(on) {
		return ""
	}
	exact := birth.part >= day
	y, m, d := on.Date()
	by, bm, bd := birth.At.Date()
	months := (y-by)*12 + int(m-bm)
	if d < bd {
		months--
	}
	switch {
	case exact && months < 2:
		days := int(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Sub(time.Date(by, bm, bd, 0, 0, 0, 0, time.UTC)).Hours() / 24)
		return say("age.days", days)
	case months < 24 && birth.part != year:
		return about(say("age.months", months), exact, say)
	}
	return about(say("age.years", months/12), exact, say)
}

func about(age string, exact bool, say Words) string {
	if exact {
		return age
	}
	return say("age.about", age)
}

func byText[T any](of func(T) string) func(a, b T) int {
	return func(a, b T) int { return cmp.Compare(of(a), of(b)) }
}
