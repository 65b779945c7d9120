package gateway

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"firebreak/adapters"
	"firebreak/adapters/send"
	"firebreak/inbox"
)

func hours(t testing.TB, texts ...string) (all []Hours) {
	t.Helper()
	for _, text := range texts {
		var h Hours
		if err := h.UnmarshalText([]byte(text)); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		all = append(all, h)
	}
	return all
}

// Hours are by the clocks of the feed's zone; days are those on which they begin.
func TestHours(t *testing.T) {
	for _, row := range []struct {
		hours, at string
		open      bool
	}{
		{"08:00-12:00", "2026-03-04 07:59", false},
		{"08:00-12:00", "2026-03-04 08:00", true},
		{"08:00-12:00", "2026-03-04 11:59", true},
		{"08:00-12:00", "2026-03-04 12:00", false},
		{"20:00-06:00", "2026-03-04 23:30", true},
		{"20:00-06:00", "2026-03-04 05:59", true},
		{"20:00-06:00", "2026-03-04 06:00", false},
		{"18:00-24:00", "2026-03-04 23:59", true},
		{"fri 20:00-06:00", "2026-03-06 20:00", true},  // a Friday
		{"fri 20:00-06:00", "2026-03-07 05:00", true},  // the night goes on
		{"fri 20:00-06:00", "2026-03-07 20:00", false}, // Saturday
		{"fri 20:00-06:00", "2026-03-06 05:00", false}, // the night of Thursday
		{"sat-mon 00:00-24:00", "2026-03-09 12:00", true},
		{"sat-mon 00:00-24:00", "2026-03-10 00:00", false},
		{"02:00-03:00", "2026-03-08 03:10", false}, // the clocks go from 2:00 to 3:00: not on that day
		{"01:00-02:00", "2026-11-01 01:30", true},  // and twice on this
	} {
		f := Feed{Zone: "America/Vancouver", Hours: hours(t, row.hours)}
		zone, _ := time.LoadLocation(f.Zone)
		at, err := time.ParseInLocation("2006-01-02 15:04", row.at, zone)
		if err != nil {
			t.Fatal(err)
		}
		if f.open(at.UTC()) != row.open {
			t.Errorf("%s at %s: open is %v", row.hours, row.at, !row.open)
		}
	}
	for _, bad := range []string{"", "8:00-12:00", "08:00", "08:00-08:00", "24:00-06:00", "08:00-25:00", "mo 08:00-12:00", "mon-xyz 08:00-12:00", "mon  08:00-12:00"} {
		if new(Hours).UnmarshalText([]byte(bad)) == nil {
			t.Errorf("%q are hours", bad)
		}
	}
}

// noted is what a feed did, and when.
type noted struct {
	did  chan string
	zone *time.Location
}

func (n noted) Put(_ context.Context, m inbox.Message) (inbox.Receipt, error) {
	n.did <- "took at " + time.Now().In(n.zone).Format("Mon 15:04")
	return inbox.Receipt{ID: 1}, nil
}

func (n noted) Deliver(context.Context, inbox.Letter) (string, error) {
	n.did <- "sent at " + time.Now().In(n.zone).Format("Mon 15:04")
	return "", nil
}

// oneLetter has one letter that is due until it is settled.
type oneLetter struct{ due bool }

func (l *oneLetter) Turn(ctx context.Context, _ string, work func(context.Context, int64)) error {
	work(ctx, 1)
	return ctx.Err()
}

func (l *oneLetter) Ready(context.Context, string, time.Time, int) ([]inbox.Letter, error) {
	if l.due {
		return []inbox.Letter{{ID: 1}}, nil
	}
	return nil, nil
}

func (l *oneLetter) Settle(context.Context, int64, inbox.Letter, inbox.Outcome) error {
	l.due = false
	return nil
}

// A file and a letter that are there on Friday at noon wait for the feed's hours:
// the one for the night, the other for Monday's.
func TestFeedsBeginInTheirHours(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		zone, err := time.LoadLocation("America/Vancouver")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Until(time.Date(2026, 3, 6, 12, 0, 0, 0, zone)))
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		n := noted{make(chan string, 9), zone}
		night := Feed{Zone: zone.String(), Hours: hours(t, "20:00-06:00")}
		workdays := Feed{Zone: zone.String(), Hours: hours(t, "mon-fri 08:00-11:30")}
		path := filepath.Join(dir, "one.hl7")
		if err := os.WriteFile(path, []byte("MSH|^~\\&|A|B|||20260306||ADT^A08|1|P|2.5\rPID|1||1^^^B^MR\r"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Now(), time.Now()); err != nil {
			t.Fatal(err)
		}
		folder := &adapters.Folder{HL7: adapters.HL7{Source: "night", Sink: n, Now: time.Now}, Dir: dir, Settle: time.Second, Every: 5 * time.Second, Open: night.awaitOpen(time.Now)}
		letter := &send.Feed{To: "day", Receiver: n, Store: &oneLetter{due: true}, Now: time.Now, Open: workdays.awaitOpen(time.Now)}
		go folder.Run(ctx)
		go letter.Run(ctx)
		var did []string
		for range 2 {
			did = append(did, <-n.did)
		}
		if want := []string{"took at Fri 20:00", "sent at Mon 08:00"}; !slices.Equal(did, want) {
			t.Errorf("%s; want %s", strings.Join(did, ", "), strings.Join(want, ", "))
		}
		stop()
		synctest.Wait()
	})
}
