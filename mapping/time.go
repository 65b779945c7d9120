package mapping

import (
	"strings"
	"time"
)

// moment is an HL7 time (DTM, TS, DT) with the precision and offset it was sent in.
type moment struct {
	text   string    // a FHIR dateTime: "2026", "2026-01", "2026-01-31", "2026-01-31T08:05:00.12+02:15"
	time   time.Time // its first instant
	digits int       // of precision sent: 4 year ... 14 second, more with a fraction
}

// date is the moment as a FHIR date, the day as its own clock had it.
func (m moment) date() string { return m.text[:min(len(m.text), len("2026-01-31"))] }

// hasTime tells whether the time of day was sent, to the minute at least.
func (m moment) hasTime() bool { return m.digits >= 12 }

// moment reads YYYY[MM[DD[HH[MM[SS[.S...]]]]]][+/-ZZZZ].
//
// FHIR cannot say an hour without minutes: such a time becomes its day. Seconds
// that were not sent are zero, as R4 asks (2.24.0.1, dateTime). A day has no
// offset in FHIR. ok is false for anything else than this form or a day the
// calendar does not have.
func (f *Feed) moment(s string) (m moment, ok bool) {
	s = strings.TrimSpace(s)
	if i := strings.IndexByte(s, '^'); i >= 0 { // TS.2, degree of precision, withdrawn
		s = s[:i]
	}
	body, offset := s, ""
	if i := strings.IndexAny(s, "+-"); i >= 0 {
		body, offset = s[:i], s[i:]
	}
	whole, fraction, dotted := strings.Cut(body, ".")
	if !isDigits(whole) || dotted && (len(whole) != 14 || fraction == "" || len(fraction) > 9 || !isDigits(fraction)) {
		return m, false
	}
	zone := f.zone()
	if offset != "" {
		if zone, ok = offsetZone(offset); !ok {
			return m, false
		}
	}
	n := func(from int) int { return int(whole[from]-'0')*10 + int(whole[from+1]-'0') }
	year, month, day, hour, minute, second := 0, 1, 1, 0, 0, 0
	switch m.digits = len(whole); m.digits {
	case 14:
		second = n(12)
		fallthrough
	case 12:
		minute = n(10)
		fallthrough
	case 10:
		hour = n(8)
		fallthrough
	case 8:
		day = n(6)
		fallthrough
	case 6:
		month = n(4)
		fallthrough
	case 4:
		year = n(0)*100 + n(2)
	default:
		return m, false
	}
	nanos := 0
	for i := range 9 {
		nanos *= 10
		if i < len(fraction) {
			nanos += int(fraction[i] - '0')
		}
	}
	if year == 0 || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 60 {
		return m, false
	}
	if day > time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day() {
		return m, false
	}
	m.time = time.Date(year, time.Month(month), day, hour, minute, second, nanos, zone)
	b := make([]byte, 0, 40)
	b = append(b, whole[:4]...)
	if m.digits >= 6 {
		b = append(append(b, '-'), whole[4:6]...)
	}
	if m.digits >= 8 {
		b = append(append(b, '-'), whole[6:8]...)
	}
	if m.digits >= 12 {
		b = append(append(b, 'T'), whole[8:10]...)
		b = append(append(b, ':'), whole[10:12]...)
		b = append(b, ':')
		if m.digits == 14 {
			b = append(b, whole[12:14]...)
		} else {
			b = append(b, "00"...)
		}
		if dotted {
			b = append(append(b, '.'), fraction...)
			m.digits += 1 + len(fraction)
		}
		if offset == "" {
			b = m.time.AppendFormat(b, "Z07:00")
		} else {
			b = append(append(append(b, offset[:3]...), ':'), offset[3:5]...)
		}
	}
	m.text = string(b)
	return m, true
}

// offsetZone reads +/-HHMM, within what FHIR can say.
func offsetZone(s string) (*time.Location, bool) {
	if len(s) != 5 || !isDigits(s[1:]) {
		return nil, false
	}
	hours, minutes := int(s[1]-'0')*10+int(s[2]-'0'), int(s[3]-'0')*10+int(s[4]-'0')
	if minutes > 59 || hours > 14 || hours == 14 && minutes > 0 {
		return nil, false
	}
	seconds := hours*3600 + minutes*60
	if s[0] == '-' {
		seconds = -seconds
	}
	return time.FixedZone("", seconds), true
}
