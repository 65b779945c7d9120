package record_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firebreak/inbox"
	"firebreak/record"
)

func TestWhatASourceWasKnownToHave(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		a := w.Asked()
		at := func(minute int) time.Time { return noon.Add(time.Duration(minute) * time.Minute) }
		state, err := a.State(ctx, "up", "Patient")
		must(t, err)
		if state != nil {
			t.Errorf("of a source nobody asked: %q", state)
		}
		must(t, a.Expect(ctx, 0, "up", "Patient", 1, []inbox.Known{{ID: "1", Owner: "1"}, {ID: "2", Owner: "2"}}))
		must(t, a.Keep(ctx, 0, "up", "Patient", []byte("one"), inbox.Asked{Type: "Patient", Round: 1, Have: []inbox.Known{{ID: "1", Owner: "1", Updated: at(5)}, {ID: "3", Owner: "3", Updated: at(7)}}}))
		must(t, a.Keep(ctx, 0, "other", "Patient", []byte("theirs"), inbox.Asked{Type: "Patient", Round: 1, Have: []inbox.Known{{ID: "1", Updated: at(1)}}}))
		// An older copy changes neither time nor owner; an expected owner counts at once.
		must(t, a.Keep(ctx, 0, "up", "Patient", []byte("two"), inbox.Asked{Type: "Patient", Round: 2, Have: []inbox.Known{{ID: "1", Owner: "9", Updated: at(4)}}}))
		must(t, a.Expect(ctx, 0, "up", "Patient", 2, []inbox.Known{{ID: "3", Owner: "8"}}))
		state, err = a.State(ctx, "up", "Patient")
		must(t, err)
		if string(state) != "two" {
			t.Errorf("the state is %q", state)
		}
		known, err := a.Known(ctx, "up", "Patient", []string{"1", "2", "3", "4"})
		must(t, err)
		want := map[string]inbox.Known{"1": {ID: "1", Owner: "1", Updated: at(5)}, "2": {ID: "2", Owner: "2"}, "3": {ID: "3", Owner: "8", Updated: at(7)}}
		if diff := cmp.Diff(want, known); diff != "" {
			t.Error(diff)
		}
		for _, c := range []struct {
			from, to time.Time
			want     int
		}{{time.Time{}, time.Time{}, 3}, {at(5), time.Time{}, 2}, {time.Time{}, at(7), 2}, {at(5), at(7), 1}} {
			n, err := a.Count(ctx, "up", "Patient", c.from, c.to)
			must(t, err)
			if n != c.want {
				t.Errorf("from %v to %v: %d, want %d", c.from, c.to, n, c.want)
			}
		}
		must(t, a.Keep(ctx, 0, "up", "Patient", []byte("two"), inbox.Asked{Type: "Patient", Round: 2, Seen: []string{"3", "unknown"}}))
		unseen, err := a.Unseen(ctx, "up", "Patient", 2, "", 10)
		must(t, err)
		if diff := cmp.Diff([]inbox.Known{want["2"]}, unseen); diff != "" {
			t.Error(diff)
		}
		must(t, a.Keep(ctx, 0, "up", "Patient", []byte("two"), inbox.Asked{Type: "Patient", Round: 3, Gone: []string{"2"}}))
		unseen, err = a.Unseen(ctx, "up", "Patient", 3, "1", 10)
		must(t, err)
		if diff := cmp.Diff([]inbox.Known{want["3"]}, unseen); diff != "" {
			t.Error(diff)
		}
	})
}

// TestOneNodeAsks: of several nodes one asks a source; another takes over when it
// ends or shows no sign of life, and then the first can write nothing more. A source
// of the same name that is sent to has a turn of its own.
func TestOneNodeAsks(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		if !w.Postgres() { // one process, which is the one that asks
			asked := false
			must(t, w.Asked().Turn(ctx, "up", func(_ context.Context, turn int64) { asked = turn == 0 }))
			if !asked {
				t.Error("nobody asks")
			}
			return
		}
		one, two := w.HurriedAsked(), w.beside().HurriedAsked()
		first, stop := context.WithCancel(ctx)
		has, lost := make(chan int64), make(chan int64)
		var work sync.WaitGroup
		work.Go(func() {
			_ = one.Turn(first, "up", func(ctx context.Context, turn int64) { has <- turn; <-ctx.Done() })
		})
		turn := <-has
		must(t, one.Keep(ctx, turn, "up", "Patient", []byte("one"), inbox.Asked{Type: "Patient"}))
		sends := false
		must(t, w.Hurried().Turn(ctx, "up", func(context.Context, int64) { sends = true }))
		if !sends {
			t.Error("who asks keeps others from sending")
		}
		work.Go(func() {
			_ = two.Turn(ctx, "up", func(_ context.Context, turn int64) { lost <- turn })
		})
		select {
		case <-lost:
			t.Fatal("two nodes ask at once")
		case <-time.After(100 * time.Millisecond):
		}
		stop()
		if next := <-lost; next <= turn {
			t.Errorf("turn %d after %d", next, turn)
		}
		if err := one.Keep(ctx, turn, "up", "Patient", []byte("late"), inbox.Asked{Type: "Patient"}); !errors.Is(err, record.ErrTurn) {
			t.Errorf("kept after the turn was lost: %v", err)
		}
		if err := one.Expect(ctx, turn, "up", "Patient", 1, nil); !errors.Is(err, record.ErrTurn) {
			t.Errorf("expected after the turn was lost: %v", err)
		}
		state, err := two.State(ctx, "up", "Patient")
		must(t, err)
		if string(state) != "one" {
			t.Errorf("kept %q", state)
		}
		work.Wait()
	})
}
