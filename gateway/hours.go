package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// Hours are a part of the day in which a feed may begin to ask, to look into its
// folder or to send: "20:00-06:00", or with the days on which it begins
// "mon-fri 20:00-06:00". What is begun is finished. They are of the feed's zone,
// by its clocks on the wall.
type Hours struct {
	text     string
	days     [7]bool // by time.Weekday
	from, to int     // minutes of the day; 1440 is its end
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

func (h *Hours) UnmarshalText(b []byte) error {
	*h = Hours{text: string(b)}
	days, clock, some := strings.Cut(h.text, " ")
	if !some {
		days, clock = "sun-sat", h.text
	}
	first, last, span := strings.Cut(days, "-")
	if !span {
		last = first
	}
	i, j := slices.Index(weekdays, first), slices.Index(weekdays, last)
	from, to, both := strings.Cut(clock, "-")
	var fine [2]bool
	h.from, fine[0] = minuteOf(from)
	h.to, fine[1] = minuteOf(to)
	if i < 0 || j < 0 || !both || !fine[0] || !fine[1] || h.from == h.to || h.from == dayMinutes {
		return errors.New(`hours are written "20:00-06:00" or "mon-fri 20:00-06:00"`)
	}
	for ; ; i = (i + 1) % 7 {
		h.days[i] = true
		if i == j {
			return nil
		}
	}
}

const dayMinutes = 24 * 60

func minuteOf(s string) (minute int, ok bool) {
	if s == "24:00" {
		return dayMinutes, true
	}
	t, err := time.Parse("15:04", s)
	return t.Hour()*60 + t.Minute(), err == nil && len(s) == len("15:04")
}

// has tells whether a moment, in the feed's zone, is in them.
func (h Hours) has(t time.Time) bool {
	minute, day := t.Hour()*60+t.Minute(), t.Weekday()
	if h.from < h.to {
		return h.days[day] && h.from <= minute && minute < h.to
	}
	return h.days[day] && minute >= h.from || h.days[(day+6)%7] && minute < h.to
}

// open tells whether a feed may begin something now; one without hours always may.
func (f Feed) open(now time.Time) bool {
	zone, err := time.LoadLocation(f.Zone)
	return err == nil && (len(f.Hours) == 0 || slices.ContainsFunc(f.Hours, func(h Hours) bool { return h.has(now.In(zone)) }))
}

// hours are the feed's, in words; empty when it has none.
func (f Feed) hours() string {
	var all []string
	for _, h := range f.Hours {
		all = append(all, h.text)
	}
	return strings.Join(all, ", ")
}

// within says so in an explanation.
func (f Feed) within() string {
	if len(f.Hours) == 0 {
		return ""
	}
	return ", begun " + f.hours() + " in " + f.Zone
}

// awaitOpen waits until the feed may begin something.
func (f Feed) awaitOpen(now func() time.Time) func(context.Context) error {
	return func(ctx context.Context) error {
		for ctx.Err() == nil && !f.open(now()) {
			t := now()
			select { // hours begin with a minute
			case <-time.After(t.Truncate(time.Minute).Add(time.Minute).Sub(t)):
			case <-ctx.Done():
			}
		}
		return ctx.Err()
	}
}

// checkHours refuses hours of what others send when they like.
func (f Feed) checkHours() error {
	if len(f.Hours) > 0 && f.Pull == nil && f.Folder == nil && f.Send == nil {
		return errors.New("hours: the feed is sent to: its sender decides when (pause it, if need be)")
	}
	return nil
}
