package record_test

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"firebreak/fhir"
	"firebreak/internal/pgtest"
	"firebreak/label"
	"firebreak/record"
)

// Two processes on one PostgreSQL: what one writes the other shows at once.
func TestCacheIsDroppedByAnotherProcess(t *testing.T) {
	w := open(t, pgtest.DSN(t))
	other, me, ref := w.beside(), physician(t), thing("a", "Observation", "na")
	w.tell(patient(t, "a", "Ash", "1980-01-02", "1"), sodium(t, "a", "na", "140"))
	for i := range 5 {
		want := fmt.Sprint(141 + i)
		for _, r := range []*world{w, other} {
			r.value(me, ref) // now both hold it ready
		}
		writer := []*world{w, other}[i%2]
		writer.n = 10 + i
		writer.tell(sodium(t, "a", "na", want))
		for _, r := range []*world{w, other} {
			if got := r.value(me, ref); got != want {
				t.Errorf("shows %s after %s was written", got, want)
			}
		}
	}
}

// What is acknowledged is read by whoever asks from then on, however often and
// by whom the chart was read meanwhile.
func TestReadsAreNeverStale(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		const charts, writes = 3, 60
		var known [charts]atomic.Int64 // the value that was acknowledged
		name := func(i int) string { return fmt.Sprintf("p%d", i) }
		for i := range charts {
			w.tell(patient(t, name(i), "Ash", "1980-01-02", fmt.Sprint(i)), sodium(t, name(i), "na", "0"))
		}
		asks := []record.Ask{physician(t), backend(t)}
		done := make(chan struct{})
		var readers sync.WaitGroup
		for _, me := range asks {
			for i := range charts {
				readers.Go(func() {
					for last := int64(0); ; {
						select {
						case <-done:
							return
						default:
						}
						least := max(known[i].Load(), last) // nor does one reader go back
						got, err := strconv.ParseInt(w.value(me, thing(name(i), "Observation", "na")), 10, 64)
						if err != nil || got < least {
							t.Errorf("chart %d shows %d (%v) after %d", i, got, err, least)
							return
						}
						last = got
					}
				})
			}
		}
		for n := range writes {
			i := n % charts
			w.tell(sodium(t, name(i), "na", fmt.Sprint(n)))
			known[i].Store(int64(n))
		}
		close(done)
		readers.Wait()
	})
}

func TestRelabelWithholdsUntilJudged(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		me, ref := physician(t), thing("a", "Observation", "na")
		// Judged by rules of another version.
		s := said{Resources: []fhir.Resource{patient(t, "a", "Ash", "1980-01-02", "1"), sodium(t, "a", "na", "140"), hiv(t, "a", "hiv", "reactive")}}
		stored := w.put(s)
		var c record.Change
		for _, r := range s.Resources {
			c.Resources = append(c.Resources, record.Entry{Labeled: w.rules.Restore(r, nil, nil, "older rules"), Chart: key("a"), At: stored.Received})
		}
		must(t, w.Queue().Commit(ctx, stored, c))
		if got := w.value(me, ref); got != "absent" {
			t.Errorf("what older rules judged is %s", got)
		}
		n, err := w.Relabel(ctx)
		must(t, err)
		if n != 3 {
			t.Errorf("judged %d", n)
		}
		if got := w.value(me, ref); got != "140" {
			t.Errorf("after relabelling it is %s", got)
		}
		if got := w.value(me, thing("a", "Observation", "hiv")); got != "absent" {
			t.Errorf("HIV is %s", got)
		}
		if n, err := w.Relabel(ctx); n != 0 || err != nil {
			t.Errorf("again: %d, %v", n, err)
		}
	})
}

// What is judged sensitive in one message and not in another is sensitive.
func TestLabelsOfOneContentAddUp(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		me, ref := physician(t), thing("a", "Observation", "na")
		w.tell(patient(t, "a", "Ash", "1980-01-02", "1"), sodium(t, "a", "na", "140"))
		s := said{}
		stored := w.put(s)
		l := w.rules.Restore(sodium(t, "a", "na", "140"), []label.Label{label.HIV}, nil, w.rules.Version())
		must(t, w.Queue().Commit(ctx, stored, record.Change{Resources: []record.Entry{{Labeled: l, Chart: key("a"), At: stored.Received}}}))
		if got := w.value(me, ref); got != "absent" {
			t.Errorf("it is %s", got)
		}
		w.tell(sodium(t, "a", "na", "140"))
		if got := w.value(me, ref); got != "absent" {
			t.Errorf("said again without the label it is %s", got)
		}
	})
}
