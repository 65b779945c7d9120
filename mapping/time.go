package mapping

import (
	"time"

	"firebreak/adapters/hl7"
)

// moment is a time as FHIR says it, with the precision and offset it was sent in.
type moment struct {
	text string    // a dateTime: "2026", "2026-01", "2026-01-31", "2026-01-31T08:05:00.12+02:15"
	time time.Time // its first instant
	sent hl7.Time
}

// date is the moment as a FHIR date, the day as its own clock had it.
func (m moment) date() string { return m.sent.Date() }

// after is the moment some minutes later, by its own clock.
func (m moment) after(minutes int) string {
	return m.time.Add(time.Duration(minutes) * time.Minute).Format("2006-01-02T15:04:05-07:00")
}

// clocked tells whether a time of day was sent, to the minute at least.
func (m moment) clocked() bool { return m.sent.Precision >= hl7.Minute }

// moment reads a time as it stands; ok is false when it is none.
func (f *Feed) moment(s string) (m moment, ok bool) {
	t, reason := hl7.ParseTime(s)
	if reason != "" {
		return moment{}, false
	}
	return f.from(t), true
}

func (f *Feed) from(t hl7.Time) moment {
	return moment{text: t.DateTime(f.zone()), time: t.Start(f.zone()), sent: t}
}
