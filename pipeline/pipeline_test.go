package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"context"

	"firebreak/access/accesstest"
	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/internal/corpus"
	"firebreak/mapping"
	"firebreak/policy"
	"firebreak/record"
)

func (s *system) ask(t testing.TB) (*record.Reader, record.Ask) {
	t.Helper()
	rule, err := policy.Load(policy.Demo())
	must(t, err)
	return s.Reader(rule), record.Ask{Caller: accesstest.Client(t, "", "system/*.rs")}
}

// put takes a message in and waits until it is applied.
func (s *system) put(t testing.TB, m inbox.Message) inbox.ID {
	t.Helper()
	r, err := s.Put(ctx, m)
	must(t, err)
	must(t, s.Applied(ctx, r.ID))
	return r.ID
}

func (s *system) chart(t testing.TB, key string) *policy.View {
	t.Helper()
	reader, ask := s.ask(t)
	v, err := reader.Chart(ctx, ask, fhir.Ref{Type: "Patient", ID: key})
	must(t, err)
	return v
}

// dump is all that is shown of a chart, for comparison.
func dump(v *policy.View) string {
	var b strings.Builder
	for _, r := range v.All() {
		fmt.Fprintf(&b, "%s\n", r.Resource().JSON())
		fmt.Fprintln(&b, len(v.History(r.Resource().Ref())))
	}
	return b.String()
}

// The whole of Simulated Hospital's stream, sent by many at once and then a
// fifth of it once more: nothing is held, lost or doubled, and no chart holds another's.
// PostgreSQL gets the first third.
func TestStreamGoesInOnceAndUnmixed(t *testing.T) {
	all := corpus.Stream(t)
	databases(t, func(t *testing.T, dsn string) {
		messages := all
		s := start(t, dsn, nil)
		if s.Postgres() {
			messages = all[:len(all)/3]
		}
		keys := mapping.NewKeys([]byte("keys of this test"))
		send := func(messages [][]byte) (duplicates int) {
			var mu sync.Mutex
			var wg sync.WaitGroup
			queue := make(chan []byte)
			for range 16 {
				wg.Go(func() {
					for m := range queue {
						r, err := s.Put(ctx, inbox.Message{Source: "simhospital", Kind: inbox.HL7v2, Received: time.Now(), Body: m})
						if err != nil {
							t.Error(err)
							continue
						}
						if err := s.Applied(ctx, r.ID); err != nil {
							t.Error(err)
						}
						mu.Lock()
						if r.Duplicate {
							duplicates++
						}
						mu.Unlock()
					}
				})
			}
			for _, m := range messages {
				queue <- m
			}
			close(queue)
			wg.Wait()
			return duplicates
		}
		once := send(messages)
		charts := map[string]string{}
		hidden := 0
		for _, m := range messages {
			key, err := mapping.PatientKey(keys, inbox.Message{Source: "simhospital", Kind: inbox.HL7v2, Body: m})
			must(t, err)
			if _, ok := charts[key]; ok {
				continue
			}
			reader, ask := s.ask(t)
			v, err := reader.Chart(ctx, ask, fhir.Ref{Type: "Patient", ID: key})
			if err != nil { // a patient of whom only withheld things are known
				hidden++
				charts[key] = ""
				continue
			}
			charts[key] = dump(v)
			var members []string
			for _, p := range v.Of("Patient") {
				members = append(members, p.Resource().ID())
			}
			for _, r := range v.All() {
				if patient, ok := fhir.PatientOf(r.Resource()); ok && !slices.Contains(members, patient.ID) {
					t.Fatalf("a %s of another patient", r.Resource().Type())
				}
			}
		}
		if hidden > len(charts)/10 {
			t.Errorf("%d of %d charts are hidden", hidden, len(charts))
		}
		stats, err := s.Stats(ctx)
		must(t, err)
		if stats.Held != 0 || stats.Pending != 0 {
			t.Errorf("%+v", stats)
		}
		var more [][]byte
		repeated := map[string]bool{}
		for i := 0; i < len(messages); i += 5 {
			key, err := mapping.PatientKey(keys, inbox.Message{Source: "simhospital", Kind: inbox.HL7v2, Body: messages[i]})
			must(t, err)
			repeated[key] = true
			more = append(more, messages[i])
		}
		if again := send(more); again != len(more) {
			t.Errorf("sent again, %d of %d are known; at first %d", again, len(more), once)
		}
		for key := range repeated {
			before := charts[key]
			if before != "" && dump(s.chart(t, key)) != before {
				t.Fatal("the second sending changed a chart")
			}
		}
	})
}

func TestOnePatientsMessagesAreAppliedInOrder(t *testing.T) {
	var mu sync.Mutex
	order := map[int][]string{}
	working := map[int]int{}
	s := start(t, t.TempDir()+"/record.db", nil, func(p *Pipeline) {
		apply := p.apply
		p.apply = func(k *mapping.Keys, m inbox.Message) (mapping.Result, error) {
			var n int
			fmt.Sscan(m.ControlID, &n)
			mu.Lock()
			order[n%patients] = append(order[n%patients], m.ControlID)
			if working[n%patients]++; working[n%patients] > 1 {
				t.Error("two messages of one patient at once")
			}
			mu.Unlock()
			defer func() { mu.Lock(); working[n%patients]--; mu.Unlock() }()
			return apply(k, m)
		}
	})
	var last inbox.Receipt
	for n := range 20 * patients {
		var err error
		last, err = s.Put(ctx, message(n))
		must(t, err)
	}
	must(t, s.Applied(ctx, last.ID))
	s.stop()
	for i := range patients {
		var want []string
		for n := i; n < 20*patients; n += patients {
			want = append(want, fmt.Sprint(n))
		}
		if !slices.Equal(order[i], want) {
			t.Errorf("patient %d: %v", i, order[i])
		}
	}
}

// A message that cannot be mapped, or meets a fault of ours, is held whole with
// a reason, stops nothing, and can be replayed after the fix.
func TestHoldAndReplay(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		var log bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&log, nil))
		var mu sync.Mutex
		fixed := false
		s := start(t, dsn, logger, func(p *Pipeline) {
			apply := p.apply
			p.apply = func(k *mapping.Keys, m inbox.Message) (mapping.Result, error) {
				mu.Lock()
				defer mu.Unlock()
				if m.ControlID == "3" && !fixed {
					panic("a fault over Family3 in " + string(m.Body))
				}
				return apply(k, m)
			}
		})
		poison := inbox.Message{Source: "lab", Kind: inbox.HL7v2, ControlID: "x", Received: time.Now(), Body: []byte("MSH|^~\\&|LAB||||||ORU^R01|x|T|2.3\rPID|1|||||Secretname\r")}
		held := map[string]inbox.ID{}
		for name, m := range map[string]inbox.Message{"poison": poison, "fault": message(3)} {
			m.Received = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
			r, err := s.Put(ctx, m)
			must(t, err)
			held[name] = r.ID
			var h *inbox.HeldError
			if err := s.Applied(ctx, r.ID); !errors.As(err, &h) {
				t.Errorf("%s: %v", name, err)
			} else if strings.Contains(h.Reason, "Secretname") || strings.Contains(h.Reason, "Family") {
				t.Errorf("%s: the reason is %q", name, h.Reason)
			}
		}
		for n := range 3 {
			s.put(t, message(n)) // the feed goes on
		}
		list, err := s.Held(ctx, 0, 10)
		must(t, err)
		for _, id := range held { // a sweep read it as pending, and comes late
			m, err := s.queue.Message(ctx, id)
			must(t, err)
			s.dispatch(ctx, job{record.Stored{ID: id, Message: m}, true})
			_ = s.Applied(ctx, id)
		}
		if len(list) != 2 || s.Counts().Held != 2 {
			t.Errorf("%d held, %d counted", len(list), s.Counts().Held)
		}
		for _, h := range list {
			if h.ID == held["poison"] && !strings.Contains(h.Reason, "PID-3") {
				t.Errorf("the reason names no place: %q", h.Reason)
			}
		}
		whole, err := s.queue.Message(ctx, held["poison"])
		must(t, err)
		if !bytes.Equal(whole.Body, poison.Body) {
			t.Error("it is not whole")
		}
		mu.Lock()
		fixed = true
		mu.Unlock()
		ids, err := s.ReplayHeld(ctx)
		must(t, err)
		if len(ids) != 2 {
			t.Errorf("replayed %v", ids)
		}
		must(t, s.Applied(ctx, held["fault"]))
		if err := s.Applied(ctx, held["poison"]); err == nil {
			t.Error("the poison was applied")
		}
		key, err := mapping.PatientKey(s.keys, message(3))
		must(t, err)
		v := s.chart(t, key)
		results := v.Of("Observation")
		if len(results) != 1 || !results[0].Recorded().Equal(time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)) {
			t.Errorf("%d results, recorded %v", len(results), results[0].Recorded())
		}
		before := dump(v)
		for range 2 {
			must(t, s.Replay(ctx, held["fault"]))
			must(t, s.Applied(ctx, held["fault"]))
		}
		if dump(s.chart(t, key)) != before {
			t.Error("a replay changed the chart")
		}
		if err := s.Replay(ctx, 99999); !errors.Is(err, record.ErrUnknown) {
			t.Errorf("replay of nothing: %v", err)
		}
		s.stop()
		for _, secret := range []string{"Secretname", "Family"} {
			if strings.Contains(log.String(), secret) {
				t.Errorf("the log holds %q", secret)
			}
		}
		if !strings.Contains(log.String(), "pipeline_test.go") && !strings.Contains(log.String(), "TestHoldAndReplay") {
			t.Errorf("the log does not say where the fault was:\n%s", log.String())
		}
	})
}

// What an earlier process left pending is applied by the next, in order.
func TestPendingMessagesAreTakenUp(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		s := start(t, dsn, nil)
		var left []inbox.ID
		for n := range 200 {
			r, err := s.Record.Put(ctx, message(n)) // stored, as if killed before it was dispatched
			must(t, err)
			left = append(left, r.ID)
		}
		s.stop()
		next := start(t, dsn, nil)
		for _, id := range left {
			must(t, next.Applied(ctx, id))
		}
		key, err := mapping.PatientKey(next.keys, message(0))
		must(t, err)
		if n := len(next.chart(t, key).Of("Observation")); n != (200+patients-1)/patients {
			t.Errorf("%d results", n)
		}
	})
}

// When nothing of a feed is applied its Put soon waits, so that memory stays
// bounded; a sender that goes away leaves its message stored.
func TestPutWaitsWhenThePipelineIsFull(t *testing.T) {
	gate := make(chan struct{})
	const room = 50
	s := start(t, t.TempDir()+"/record.db", nil, func(p *Pipeline) {
		p.feedRoom = room * int64(jobSize+len(oru(1)))
		apply := p.apply
		p.apply = func(k *mapping.Keys, m inbox.Message) (mapping.Result, error) {
			<-gate
			return apply(k, m)
		}
	})
	must(t, s.AwaitPaused(ctx, "lab", false))
	var ids []inbox.ID
	put := func(n int) bool {
		short, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		defer cancel()
		r, err := s.Put(short, message(n))
		must(t, err)
		ids = append(ids, r.ID)
		return short.Err() == nil
	}
	n := 0
	for put(n) {
		if n++; n > 2*room {
			t.Fatal("a full feed took more")
		}
	}
	if n < room/2 {
		t.Errorf("Put waited after %d messages", n)
	}
	close(gate)
	for _, id := range ids {
		must(t, s.Applied(ctx, id))
	}
}

func TestStopFinishesWhatIsInHand(t *testing.T) {
	dsn := t.TempDir() + "/record.db"
	s := start(t, dsn, nil)
	var ids []inbox.ID
	for n := range 100 {
		r, err := s.Put(ctx, message(n))
		must(t, err)
		ids = append(ids, r.ID)
	}
	s.stop()
	next := start(t, dsn, nil, func(p *Pipeline) {
		p.apply = func(*mapping.Keys, inbox.Message) (mapping.Result, error) {
			t.Error("something was left in hand")
			return mapping.Result{}, errors.New("left")
		}
	})
	for _, id := range ids {
		must(t, next.Applied(ctx, id))
	}
	if next.Applied(ctx, 99999) != record.ErrUnknown {
		t.Error("an unknown message was applied")
	}
}
