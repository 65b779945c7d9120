package pipeline

import (
	"context"
	"errors"
	"testing"
	"time"

	"firebreak/inbox"
	"firebreak/record"
)

// A paused feed's messages are acknowledged and kept and not applied, through a
// restart and on another node, while other feeds go on; resumed, all are applied.
// What charts say data goes up to is when it was paused.
func TestWhatAPausedFeedSendsIsKeptAndAppliedLater(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		s := start(t, dsn, nil)
		ward := func(n int) inbox.Message {
			m := message(n)
			m.Source = "ward"
			return m
		}
		s.put(t, message(0))
		must(t, s.Pipeline.Pause(ctx, "lab", "somebody"))
		must(t, s.Pipeline.Pause(ctx, "lab", "another")) // changes nothing
		since := time.Now()
		kept := []inbox.ID{}
		keep := func(s *system, n int) {
			t.Helper()
			m := message(n)
			m.Received = since.Add(time.Hour)
			r, err := s.Put(ctx, m)
			must(t, err)
			kept = append(kept, r.ID)
			s.put(t, ward(n))
			if err := s.Applied(ctx, r.ID); !errors.Is(err, inbox.ErrPaused) {
				t.Errorf("message %d of a paused feed: %v", n, err)
			}
		}
		keep(s, patients)
		if !s.Postgres() {
			s.stop() // the next has the file to itself
		}
		next := start(t, dsn, nil)
		must(t, next.AwaitPaused(ctx, "ward", false))
		keep(next, 2*patients)
		must(t, next.Replay(ctx, kept[0])) // waits too

		paused, err := next.Record.Paused(ctx)
		must(t, err)
		if p := paused["lab"]; len(paused) != 1 || p.Who != "somebody" || p.Since.After(since) {
			t.Errorf("paused: %+v", paused)
		}
		reader, _ := next.ask(t)
		fresh, err := reader.Freshness(ctx)
		must(t, err)
		for _, f := range fresh {
			if f.Last.After(since) != (f.Source == "ward") {
				t.Errorf("%s: data up to %v, paused at %v", f.Source, f.Last, since)
			}
		}
		all, _, err := next.FeedStates(ctx, since)
		must(t, err)
		if lab := all[0]; lab.Waiting != 2 || lab.Paused == nil || all[1].Paused != nil || all[1].Waiting != 0 {
			t.Errorf("at a glance: %+v", all)
		}
		if n := len(next.chart(t, keyOf(t, next, message(0))).Of("Observation")); n != 1 {
			t.Errorf("%d results while paused", n)
		}
		must(t, next.Pipeline.Resume(ctx, "lab"))
		for _, id := range kept {
			must(t, next.Applied(ctx, id))
		}
		if n := len(next.chart(t, keyOf(t, next, message(0))).Of("Observation")); n != 3 {
			t.Errorf("%d results after it", n)
		}
	})
}

// Until it is known which feeds are paused, nothing is applied.
func TestNothingIsAppliedBeforeItIsKnownWhatIsPaused(t *testing.T) {
	s := start(t, t.TempDir()+"/record.db", nil)
	must(t, s.AwaitPaused(ctx, "lab", false))
	p := &pauses{changed: make(chan struct{})}
	if !p.has("lab") {
		t.Error("a feed of which nothing is known is open")
	}
	if !p.set(map[string]record.Pause{"lab": {}}) || !p.has("lab") || p.has("ward") {
		t.Error("what is known is not so")
	}
	if p.set(map[string]record.Pause{"lab": {}, "ward": {}}) || !p.set(map[string]record.Pause{"ward": {}}) {
		t.Error("it is not seen what is resumed")
	}
	gone, stop := context.WithCancel(ctx)
	stop()
	if err := s.AwaitPaused(gone, "lab", true); err == nil {
		t.Error("an open feed is taken for a paused one")
	}
	if err := s.AwaitPaused(gone, "lab", false); err == nil {
		t.Error("who has ended goes on, for the feed is open")
	}
}
