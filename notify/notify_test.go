package notify

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A notice leaves on the second, however long it took to make: what takes three
// milliseconds and what takes half a second leave at the same moment.
func TestNoticesLeaveOnTheDot(t *testing.T) {
	for _, row := range []struct{ took, left time.Duration }{
		{0, 0}, {3 * time.Millisecond, time.Second}, {500 * time.Millisecond, time.Second}, {time.Second, time.Second}, {1001 * time.Millisecond, 2 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			teller := &Teller{Every: time.Minute, Now: time.Now}
			moment := time.Now()
			time.Sleep(row.took)
			teller.dot(t.Context())
			if left := time.Since(moment); left != row.left {
				t.Errorf("what took %v left after %v, not %v", row.took, left, row.left)
			}
		})
	}
}

// The grid is of the clock, not of when the process began; what takes longer than a
// round misses some and goes on at a moment of the grid.
func TestTheGridIsTheClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		teller := &Teller{Every: time.Minute, Now: time.Now}
		time.Sleep(17 * time.Second)
		began := time.Now().Truncate(time.Minute)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		moments := make(chan time.Duration)
		n := 0
		go teller.each(ctx, "count", func(_ context.Context, at time.Time) error {
			if !at.Equal(time.Now()) {
				t.Errorf("the moment %v came at %v", at, time.Now())
			}
			moments <- at.Sub(began)
			if n++; n == 2 {
				time.Sleep(100 * time.Second)
			}
			return nil
		})
		for _, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 5 * time.Minute} {
			if got := <-moments; got != want {
				t.Errorf("a round after %v, not %v", got, want)
			}
		}
	})
}
