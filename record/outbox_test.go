package record_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firebreak/audit"
	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/record"
)

// request is something that a patient asks for.
func request(t testing.TB, chart, name, words string) fhir.Resource {
	return parse(t, `{"resourceType":"Communication","id":%q,"status":"completed","subject":{"reference":"Patient/%s"},"payload":[{"contentString":%q}]}`,
		thing(chart, "Communication", name).ID, key(chart), words)
}

// addresses says something that is to be sent to feeds.
func (w *world) addresses(r fhir.Resource, to ...string) record.Stored {
	w.t.Helper()
	s := said{Source: "portal", Resources: []fhir.Resource{r}}
	stored := w.put(s)
	must(w.t, w.commitTo(stored, s, to...))
	return stored
}

func (w *world) commitTo(stored record.Stored, s said, to ...string) error {
	c := w.change(stored, s)
	for i := range c.Resources {
		c.Resources[i].To = to
	}
	return w.Queue().Commit(ctx, stored, c)
}

// ready are the words of the letters that may be sent now.
func (w *world) ready(feed string, at time.Time) (all []inbox.Letter, words string) {
	w.t.Helper()
	all, err := w.Outbox().Ready(ctx, feed, at, 100)
	must(w.t, err)
	var said []string
	for _, l := range all {
		r, err := fhir.Parse(l.Resource)
		must(w.t, err)
		said = append(said, r.Root().At("payload.contentString").Text())
	}
	return all, strings.Join(said, " ")
}

// taking runs f in a turn to deliver.
func (w *world) taking(feed string, f func(turn int64)) {
	w.t.Helper()
	must(w.t, w.Outbox().Turn(ctx, feed, func(_ context.Context, turn int64) { f(turn) }))
}

func TestLettersGoInOrderOfEachPatientAndOnce(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		o, later := w.Outbox(), noon.Add(time.Hour)
		first := w.addresses(request(t, "anna", "m1", "a1"), "ehr")
		w.addresses(request(t, "anna", "m2", "a2"), "ehr")
		w.addresses(request(t, "bert", "m1", "b1"), "ehr", "lab")
		w.addresses(request(t, "bert", "m3", "nowhere"))
		all, words := w.ready("ehr", later)
		if words != "a1 b1" {
			t.Fatalf("ready are %q", words)
		}
		if _, words := w.ready("lab", later); words != "b1" {
			t.Errorf("for another there is %q", words)
		}
		if all[0].Number == all[1].Number || all[0].Control == all[1].Control || len(all[0].Control) != 16 || all[0].Later {
			t.Errorf("letters are called alike: %+v", all)
		}
		// The same message again, on a replay, and the same words in another message.
		must(t, w.commitTo(first, said{Source: "portal", Resources: []fhir.Resource{request(t, "anna", "m1", "a1")}}, "ehr"))
		w.addresses(request(t, "anna", "m1", "a1"), "ehr")
		if open, err := o.Open(ctx, 0, 100); err != nil || len(open) != 4 {
			t.Errorf("%d letters: %v", len(open), err)
		}
		w.taking("ehr", func(turn int64) {
			must(t, o.Settle(ctx, turn, all[0], inbox.Outcome{State: inbox.Waiting, Due: later.Add(time.Minute), Reason: "not now"}))
			if _, words := w.ready("ehr", later); words != "b1" {
				t.Errorf("while the first waits: %q", words)
			}
			if again, _ := w.ready("ehr", later.Add(time.Minute)); again[0].Control != all[0].Control || again[0].Attempts != 1 {
				t.Errorf("the second attempt is of %+v", again[0])
			}
			must(t, o.Settle(ctx, turn, all[0], inbox.Outcome{State: inbox.Sent, Answer: "Communication/77"}))
			must(t, o.Settle(ctx, turn, all[1], inbox.Outcome{State: inbox.Refused, Reason: "status 422"}))
			if err := o.Settle(ctx, turn, all[0], inbox.Outcome{State: inbox.Refused}); !errors.Is(err, record.ErrTurn) {
				t.Errorf("what was sent was refused after all: %v", err)
			}
		})
		w.addresses(request(t, "bert", "m4", "b2"), "ehr")
		if _, words := w.ready("ehr", later); words != "a2" {
			t.Errorf("behind a refused one: %q", words)
		}
		undone, err := o.Undone(ctx)
		must(t, err)
		if diff := cmp.Diff([]record.Undone{
			{Feed: "ehr", Waiting: 2, Refused: 1, Oldest: noon.Add(2 * time.Minute)},
			{Feed: "lab", Waiting: 1, Oldest: noon.Add(3 * time.Minute)},
		}, undone); diff != "" {
			t.Error(diff)
		}
		// A changed version is another letter of the same request.
		w.addresses(request(t, "anna", "m1", "a1 changed"), "ehr")
		w.taking("ehr", func(turn int64) {
			next, _ := w.ready("ehr", later)
			must(t, o.Settle(ctx, turn, next[0], inbox.Outcome{State: inbox.Sent}))
		})
		next, words := w.ready("ehr", later)
		if words != "a1 changed" || next[0].Number != all[0].Number || next[0].Control == all[0].Control || !next[0].Later {
			t.Errorf("then %q: %+v", words, next)
		}
	})
}

func TestOperatorsRetryAndDropLetters(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		o := w.Outbox()
		for _, name := range []string{"m1", "m2", "m3"} {
			w.addresses(request(t, "anna", name, name), "ehr")
		}
		refuse := func() {
			w.taking("ehr", func(turn int64) {
				all, _ := w.ready("ehr", noon)
				must(t, o.Settle(ctx, turn, all[0], inbox.Outcome{State: inbox.Refused, Reason: "status 422"}))
			})
		}
		refuse()
		open, err := o.Open(ctx, 0, 10)
		must(t, err)
		if s := open[0]; s.State != inbox.Refused || s.Reason != "status 422" || s.Type != "Communication" || s.Attempts != 1 {
			t.Errorf("the operator sees %+v", s)
		}
		must(t, o.Retry(ctx, open[0].ID))
		if _, words := w.ready("ehr", noon); words != "m1" {
			t.Errorf("after a retry: %q", words)
		}
		refuse()
		must(t, o.Drop(ctx, "he came by", open[0].ID))
		if _, words := w.ready("ehr", noon); words != "m2" {
			t.Errorf("after a drop: %q", words)
		}
		if err := o.Retry(ctx, open[1].ID, open[0].ID); !errors.Is(err, record.ErrUnknown) {
			t.Errorf("a dropped one: %v", err)
		}
		all, err := o.Of(ctx, thing("anna", "Communication", "m1"))
		must(t, err)
		if len(all) != 1 || all[0].State != inbox.Dropped || all[0].Reason != "he came by" {
			t.Errorf("of it is told %+v", all)
		}
	})
}

// At the operators' page letters are found by feed and state, masked, and decided on
// by whoever says why; each look and each decision is written down.
func TestOperatorsSeeAndDecideOnLetters(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ops, s, o := w.operations(), shift(t), w.Outbox()
		w.addresses(request(t, "anna", "m1", "a1"), "ehr")
		w.addresses(request(t, "anna", "m2", "a2"), "ehr")
		w.addresses(request(t, "bert", "m3", "b1"), "ehr", "lab")
		w.taking("ehr", func(turn int64) {
			all, _ := w.ready("ehr", noon)
			must(t, o.Settle(ctx, turn, all[0], inbox.Outcome{State: inbox.Refused, Reason: "status 422"}))
			must(t, o.Settle(ctx, turn, all[1], inbox.Outcome{State: inbox.Sent, Answer: "Communication/9"}))
		})
		see := func(q record.Mail) string {
			t.Helper()
			found, err := ops.Letters(ctx, s, q)
			must(t, err)
			var said []string
			for _, p := range found.All {
				said = append(said, fmt.Sprint(p.ID, " ", p.Feed, " ", p.State, " behind ", p.Behind, p.Reason, p.Answer))
			}
			return strings.Join(said, ", ")
		}
		for _, row := range []struct {
			q    record.Mail
			want string
		}{
			{record.Mail{}, "1 ehr refused behind 0status 422, 2 ehr waiting behind 1, 4 lab waiting behind 0"},
			{record.Mail{Past: 1, Feed: "ehr"}, "2 ehr waiting behind 1"},
			{record.Mail{State: "refused"}, "1 ehr refused behind 0status 422"},
			{record.Mail{State: "sent"}, "3 ehr sent behind 0Communication/9"},
			{record.Mail{State: "sent", Feed: "lab"}, ""},
			{record.Mail{State: "sent", Past: 3}, ""},
		} {
			if got := see(row.q); got != row.want {
				t.Errorf("%+v: %s, want %s", row.q, got, row.want)
			}
		}
		seen, err := ops.Letter(ctx, s, 1, "")
		must(t, err)
		if seen.Clear || strings.Contains(seen.Text, "Communication") || !strings.Contains(seen.Text, "xxxx") {
			t.Errorf("masked it is %+v", seen)
		}
		seen, err = ops.Letter(ctx, s, 1, "fault")
		must(t, err)
		if !seen.Clear || !strings.Contains(seen.Text, `"a1"`) {
			t.Errorf("in clear it is %+v", seen)
		}
		if _, err := ops.Letter(ctx, s, 99, ""); !errors.As(err, new(*fhir.Error)) {
			t.Errorf("nobody's letter: %v", err)
		}
		if err := ops.Retry(ctx, s, 3, "why not"); !errors.As(err, new(*fhir.Error)) {
			t.Errorf("one that is sent: %v", err)
		}
		n, err := ops.RetryRefused(ctx, s, "ehr", "mended")
		must(t, err)
		if got := see(record.Mail{State: "refused"}); n != 1 || got != "" {
			t.Errorf("%d sent again, refused is %s", n, got)
		}
		must(t, ops.Drop(ctx, s, 1, "he came by"))
		must(t, ops.Retry(ctx, s, 2, "now"))
		if got := see(record.Mail{State: "dropped"}); got != "1 ehr dropped behind 0he came by" {
			t.Errorf("dropped is %s", got)
		}
		if err := ops.Drop(ctx, s, 2, " "); err == nil {
			t.Error("dropped for no reason")
		}
		if _, err := ops.Letters(ctx, record.Shift{}, record.Mail{}); err == nil {
			t.Error("nobody sees letters")
		}
		entries, _, err := w.log.Find(ctx, audit.About{Action: audit.Operate}, 10)
		must(t, err)
		var said []string
		for _, e := range entries {
			said = append(said, fmt.Sprintf("%s, of %d, %v", e.Detail, len(e.Entities), e.Refused))
		}
		want := []string{"ops letters, dropped, of 0, false", "ops retry of letter 2: now, of 0, false", "ops drop of letter 1: he came by, of 0, false", "ops letters, refused, of 0, false",
			"ops retry of 1 letters refused by feed ehr: mended, of 0, false", "ops retry of letter 3: why not, of 0, true", "ops letter 99, masked, of 0, true", "ops letter 1, in clear, for fault, of 1, false", "ops letter 1, masked, of 0, false"}
		if diff := cmp.Diff(want, said[:len(want)]); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAnswersAreMatched(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		o := w.Outbox()
		w.addresses(request(t, "anna", "m1", "one"), "ehr")
		all, _ := w.ready("ehr", noon)
		answer := func(source, name string) {
			s := said{Source: source, Resources: []fhir.Resource{sodium(t, "anna", name, "1")}}
			stored := w.put(s)
			c := w.change(stored, s)
			c.Resources[0].Answers = []string{all[0].Number}
			must(t, w.Queue().Commit(ctx, stored, c))
		}
		state := func() record.Sending {
			all, err := o.Of(ctx, thing("anna", "Communication", "m1"))
			must(t, err)
			return all[0]
		}
		answer("lab", "r1")
		if s := state(); s.State != inbox.Waiting {
			t.Errorf("another source's answer counted: %+v", s)
		}
		w.taking("ehr", func(turn int64) {
			must(t, o.Settle(ctx, turn, all[0], inbox.Outcome{State: inbox.Sent, Answer: "Communication/9"}))
		})
		answer("ehr", "r2")
		if s := state(); s.State != inbox.Answered || s.Became != thing("anna", "Observation", "r2") || s.Answer != "Communication/9" {
			t.Errorf("after the answer: %+v", s)
		}
		// A later version was not asked when the first was answered.
		w.addresses(request(t, "anna", "m1", "two"), "ehr")
		answer("ehr", "r3")
		if _, words := w.ready("ehr", noon); words != "two" {
			t.Errorf("a late answer to the first took the second away: %q", words)
		}
	})
}

// Two at once never deliver to one feed: on one database or on two nodes. Who
// slept through the end of a turn writes nothing more.
func TestOneDeliversAtATime(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.addresses(request(t, "anna", "m1", "one"), "ehr")
		all, _ := w.ready("ehr", noon)
		if !w.Postgres() {
			var old int64
			w.taking("ehr", func(turn int64) { old = turn })
			w.taking("ehr", func(int64) {
				if err := w.Outbox().Settle(ctx, old, all[0], inbox.Outcome{State: inbox.Sent}); !errors.Is(err, record.ErrTurn) {
					t.Errorf("with a turn that was over: %v", err)
				}
			})
			return
		}
		other := w.beside()
		in, out := make(chan bool), make(chan bool)
		var work sync.WaitGroup
		work.Go(func() {
			w.taking("ehr", func(int64) {
				close(in)
				<-out
			})
		})
		<-in
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		if err := other.Outbox().Turn(short, "ehr", func(context.Context, int64) { t.Error("both deliver") }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while the first delivers: %v", err)
		}
		close(out)
		work.Wait()
		done := false
		other.taking("ehr", func(turn int64) {
			done = true
			must(t, other.Outbox().Settle(ctx, turn, all[0], inbox.Outcome{State: inbox.Sent}))
		})
		if !done {
			t.Error("nobody delivers")
		}
	})
}

// A node that dies in its turn, or cannot reach the database, stops before another
// takes over; what it then knows, it cannot write down.
func TestATurnIsTakenOver(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		if !w.Postgres() {
			t.Log("a SQLite database has one node")
			return
		}
		w.addresses(request(t, "anna", "m1", "one"), "ehr")
		all, _ := w.ready("ehr", noon)
		dead := w.beside()
		first, stopped, ended := make(chan int64), make(chan bool), make(chan error, 1)
		go func() {
			ended <- dead.Hurried().Turn(ctx, "ehr", func(turn context.Context, n int64) {
				first <- n
				<-turn.Done()
				close(stopped)
			})
		}()
		lost := <-first
		must(t, dead.Close())
		must(t, w.Hurried().Turn(ctx, "ehr", func(_ context.Context, n int64) {
			select {
			case <-stopped:
			default:
				t.Error("both deliver")
			}
			if n == lost {
				t.Error("both have the same turn")
			}
			if err := w.Outbox().Settle(ctx, lost, all[0], inbox.Outcome{State: inbox.Sent}); !errors.Is(err, record.ErrTurn) {
				t.Errorf("who lost the turn wrote: %v", err)
			}
			must(t, w.Outbox().Settle(ctx, n, all[0], inbox.Outcome{State: inbox.Sent}))
		}))
		<-ended
	})
}

// Of messages that two nodes commit at once for one patient, each has its letter.
func TestLettersOfTwoNodes(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		nodes := []*world{w, w}
		if w.Postgres() {
			nodes[1] = w.beside()
		}
		var work sync.WaitGroup
		for i, node := range nodes {
			var all []record.Stored
			var say []said
			for n := range 10 {
				s := said{Source: "portal", Resources: []fhir.Resource{request(t, "anna", fmt.Sprint("n", i, string(rune('a'+n))), "x")}}
				node.n = 100*i + n
				all, say = append(all, node.put(s)), append(say, s)
			}
			work.Go(func() {
				for n := range all {
					if err := node.commitTo(all[n], say[n], "ehr"); err != nil {
						t.Error(err)
					}
				}
			})
		}
		work.Wait()
		if open, err := w.Outbox().Open(ctx, 0, 100); err != nil || len(open) != 20 {
			t.Errorf("%d letters: %v", len(open), err)
		}
	})
}
