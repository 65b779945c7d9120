package record_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"firebreak/access/accesstest"
	"firebreak/audit"
	"firebreak/inbox"
	"firebreak/record"
)

// operations are what an operator does in a world without a pipeline.
func (w *world) operations() *record.Operations {
	return w.reader.Operations(w, func(ctx context.Context, ids ...inbox.ID) error { return w.Queue().Release(ctx, ids...) }, func(context.Context, inbox.ID) error { return nil })
}

func shift(t testing.TB) record.Shift {
	return record.Shift{Operator: accesstest.Operator(t), Request: "r"}
}

// TestFeedStates: what came is counted once, by feed and hour, whichever node
// took it in; what waits and what is held are told apart.
func TestFeedStates(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		now := time.Now().UTC().Truncate(time.Hour)
		n := 0
		put := func(w *world, source string, at time.Time, times int) (last inbox.ID) {
			for range times {
				n++
				m := inbox.Message{Source: source, Kind: inbox.HL7v2, ControlID: fmt.Sprint(n), Received: at, Body: fmt.Append(nil, n)}
				for range 2 { // the same again is no other message
					r, err := w.Put(ctx, m)
					must(t, err)
					last = r.ID
				}
			}
			return last
		}
		put(w, "lab", now.Add(-30*time.Hour), 4)
		put(w, "lab", now.Add(-5*time.Hour), 3)
		held := put(w, "lab", now.Add(-2*time.Hour), 2)
		put(w, "ward", now, 1)
		put(w, inbox.Own, now, 1)
		must(t, w.Queue().Hold(ctx, held, "PID-3 in segment 2: no identifier"))
		other := w.another()
		put(other, "lab", now, 5)

		all, most, err := other.operations().Feeds(ctx, shift(t), now.Add(-3*time.Hour))
		must(t, err)
		var got []string
		for _, f := range all {
			sum := 0
			for _, n := range f.Course {
				sum += n
			}
			got = append(got, fmt.Sprintf("%s today %d lately %d day %d waiting %d held %d", f.Source, f.Today, f.Lately, sum, f.Waiting, f.Held))
		}
		want := "[firebreak today 0 lately 0 day 0 waiting 1 held 0 lab today 7 lately 5 day 10 waiting 13 held 1 ward today 1 lately 1 day 1 waiting 1 held 0]"
		if fmt.Sprint(got) != want || most {
			t.Errorf("got  %v\nwant %s", got, want)
		}
		if lab := all[1]; !lab.Oldest.Equal(now.Add(-30*time.Hour)) || !lab.Last.Equal(now) {
			t.Errorf("the oldest is of %v, the last of %v", lab.Oldest, lab.Last)
		}
		entries, _, err := other.log.Find(ctx, audit.About{Action: audit.Operate}, 10)
		must(t, err)
		if len(entries) != 1 || entries[0].Detail != "ops feeds" || entries[0].Role != "operator" {
			t.Errorf("audited %+v", entries)
		}
		if _, _, err := other.operations().Feeds(ctx, record.Shift{}, now); err == nil {
			t.Error("nobody sees feeds")
		}
	})
}
