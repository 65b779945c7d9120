package record_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/record"
)

func TestSameMessageIsStoredOnceHoweverItComes(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		worlds := []*world{w, w}
		if w.Postgres() {
			worlds[1] = w.beside()
		}
		m := inbox.Message{Source: "ward", Kind: inbox.HL7v2, ControlID: "7", Received: noon, Body: []byte("the same")}
		var mu sync.Mutex
		firsts, ids := 0, map[inbox.ID]bool{}
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				r, err := worlds[i%2].Put(ctx, m)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				ids[r.ID] = true
				if !r.Duplicate {
					firsts++
				}
				if r.Flagged {
					t.Error("the same content was flagged")
				}
			})
		}
		wg.Wait()
		if firsts != 1 || len(ids) != 1 {
			t.Errorf("stored %d times under %d numbers", firsts, len(ids))
		}
		for name, c := range map[string]struct {
			change             func(*inbox.Message)
			duplicate, flagged bool
		}{
			"later, from elsewhere":        {func(m *inbox.Message) { m.Received, m.Peer = noon.Add(time.Hour), "p" }, true, false},
			"another source":               {func(m *inbox.Message) { m.Source = "lab" }, false, false},
			"the same id, other content":   {func(m *inbox.Message) { m.Body = []byte("other") }, false, true},
			"no id, the same content":      {func(m *inbox.Message) { m.ControlID = "" }, false, false},
			"another id, the same content": {func(m *inbox.Message) { m.ControlID = "8" }, false, false},
		} {
			m := m
			c.change(&m)
			r, err := w.Put(ctx, m)
			must(t, err)
			if r.Duplicate != c.duplicate || r.Flagged != c.flagged {
				t.Errorf("%s: duplicate %v, flagged %v", name, r.Duplicate, r.Flagged)
			}
			again, err := w.Put(ctx, m)
			must(t, err)
			if !again.Duplicate || again.ID != r.ID || again.Flagged != r.Flagged {
				t.Errorf("%s, again: %+v after %+v", name, again, r)
			}
		}
	})
}

func TestQueueKeepsMessagesWholeAndInOrder(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		var all []record.Stored
		for range 5 {
			all = append(all, w.put(said{}))
		}
		q := w.Queue()
		must(t, w.commit(all[0], said{Resources: []fhir.Resource{patient(t, "a", "Ash", "1980-01-02", "1")}}))
		must(t, q.Hold(ctx, all[1].ID, "PID-3 in segment 2: no identifier"))
		pending, err := q.Pending(ctx, "ward", 0, 10)
		must(t, err)
		var ids []inbox.ID
		for _, p := range pending {
			ids = append(ids, p.ID)
		}
		if want := []inbox.ID{all[2].ID, all[3].ID, all[4].ID}; !slices.Equal(ids, want) {
			t.Errorf("pending %v, want %v", ids, want)
		}
		if p := pending[0]; string(p.Body) != string(all[2].Body) || !p.Received.Equal(all[2].Received) || p.Source != "ward" || p.ControlID != all[2].ControlID {
			t.Errorf("came back as %+v", p)
		}
		for i, want := range []record.State{record.Done, record.OnHold, record.Pending} {
			got, _, err := w.State(ctx, all[i].ID)
			must(t, err)
			if got != want {
				t.Errorf("message %d is %s, want %s", i, got, want)
			}
		}
		held, err := w.Held(ctx, 0, 10)
		must(t, err)
		if len(held) != 1 || held[0].ID != all[1].ID || !strings.HasPrefix(held[0].Reason, "PID-3") {
			t.Errorf("held %+v", held)
		}
		must(t, q.Release(ctx, all[0].ID, all[1].ID, 999))
		s, err := w.Stats(ctx)
		must(t, err)
		if s.Pending != 5 || s.Held != 0 || s.Last != all[4].ID {
			t.Errorf("%+v", s)
		}
		if _, err := q.Message(ctx, 999); err != record.ErrUnknown {
			t.Errorf("an unknown message: %v", err)
		}
		if st, _, _ := w.State(ctx, 999); st != record.Unknown {
			t.Errorf("an unknown message is %s", st)
		}
	})
}

func TestFreshnessIsPerFeed(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.say(said{Source: "lab"})
		last := w.say(said{Source: "ward"})
		feeds, err := w.reader.Freshness(ctx)
		must(t, err)
		if len(feeds) != 2 || feeds[0].Source != "lab" || feeds[1].Source != "ward" || !feeds[1].Last.Equal(last.Received) {
			t.Errorf("%+v", feeds)
		}
	})
}
