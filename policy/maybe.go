package policy

import (
	"strings"
	"time"

	"firebreak/fhir"
)

// maybe is what is known of a condition. What cannot be understood is unsure:
// it counts as yes where something is denied, and as no where it is permitted.
type maybe uint8

const (
	no maybe = iota
	unsure
	yes
)

func (m maybe) and(o maybe) maybe { return min(m, o) }
func (m maybe) or(o maybe) maybe  { return max(m, o) }

func sure(b bool) maybe {
	if b {
		return yes
	}
	return no
}

// during is a period of time. Its ends may be said to the day, month or year
// only, and in no zone: then each is somewhere in a span.
type during struct {
	from, to span // zero: no bound
	broken   bool // an end cannot be read
}

// span is somewhere between two moments.
type span struct{ early, late time.Time }

// readDuring reads a Period; its end is inclusive.
func readDuring(n fhir.Node) during {
	var d during
	if s := n.Get("start"); !s.IsZero() {
		from, _, ok := readDate(s.Text())
		d.from, d.broken = from, !ok
	}
	if s := n.Get("end"); !s.IsZero() {
		_, to, ok := readDate(s.Text())
		d.to, d.broken = to, d.broken || !ok
	}
	return d
}

// holds tells whether what happened between two moments lies in the period.
func (d during) holds(a, b time.Time) maybe {
	switch {
	case d.broken:
		return unsure
	case !d.from.early.IsZero() && b.Before(d.from.early), !d.to.late.IsZero() && !a.Before(d.to.late):
		return no
	case (d.from.late.IsZero() || !a.Before(d.from.late)) && (d.to.early.IsZero() || !b.After(d.to.early)):
		return yes
	}
	return unsure
}

// Zones reach from UTC-12 to UTC+14.
const (
	farEast = 14 * time.Hour
	farWest = 12 * time.Hour
)

// readDate reads when a date, dateTime or instant begins and when it is over.
func readDate(s string) (begins, ends span, ok bool) {
	if strings.Contains(s, "T") {
		t, err := time.Parse(time.RFC3339, s)
		over := t.Add(time.Second)
		return span{t, t}, span{over, over}, err == nil
	}
	for _, form := range []struct {
		layout              string
		years, months, days int
	}{{"2006-01-02", 0, 0, 1}, {"2006-01", 0, 1, 0}, {"2006", 1, 0, 0}} {
		if t, err := time.Parse(form.layout, s); err == nil {
			u := t.AddDate(form.years, form.months, form.days)
			return span{t.Add(-farEast), t.Add(farWest)}, span{u.Add(-farEast), u.Add(farWest)}, true
		}
	}
	return span{}, span{}, false
}
