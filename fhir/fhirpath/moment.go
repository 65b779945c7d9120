package fhirpath

import (
	"cmp"
	"strings"
	"time"
)

// moment is a date, dateTime, instant or time as FHIR writes it.
type moment string

// compare puts two moments in order; known is false when one is less precise
// than the other and they agree as far as it goes, or only one has an offset.
//
// Source: FHIRPath N1 6.2, comparison of dates and times.
func (m moment) compare(n moment) (order int, known bool) {
	a, aOff := m.parts()
	b, bOff := n.parts()
	if a == nil || b == nil {
		return cmp.Compare(m, n), m == n
	}
	if len(a) > 3 && len(b) > 3 && aOff != bOff {
		return 0, false
	}
	for i := range min(len(a), len(b)) {
		if c := cmp.Compare(a[i], b[i]); c != 0 {
			return c, true
		}
	}
	return 0, len(a) == len(b)
}

// parts are year, month, day, time of day to the minute, and second with its
// fraction, as far as they were said, in UTC where there is an offset.
func (m moment) parts() (all []string, offset bool) {
	s := string(m)
	if strings.Contains(s, "T") {
		if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
			s, offset = t.UTC().Format("2006-01-02T15:04:05.000000000"), true
		}
	} else if strings.Contains(s, ":") {
		return []string{"", "", "", s}, false
	}
	day, clock, timed := strings.Cut(s, "T")
	all = strings.Split(day, "-")
	if len(all) > 3 {
		return nil, false
	}
	if timed {
		all = append(all, clock)
	}
	return all, offset
}
