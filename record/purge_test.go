package record_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/internal/pgtest"
	"firebreak/label"
	"firebreak/record"
)

// always purges whatever may be purged.
func always(string) time.Duration { return time.Nanosecond }

// TestWhatIsPurgedIsJudgedAsBefore: where texts were purged, new rules and decisions
// on codes show and withhold what they do where every text is stored: of what was said
// before and after it, once and again.
func TestWhatIsPurgedIsJudgedAsBefore(t *testing.T) {
	const seeds = 4
	both(t, func(t *testing.T, w *world) {
		dsn := "sqlite:" + filepath.Join(t.TempDir(), "twin.db")
		if w.Postgres() {
			dsn = pgtest.DSN(t)
		}
		worlds := []*world{w, open(t, dsn)} // nothing is purged from the second
		for seed := range uint64(seeds) {
			code, charts := fmt.Sprint("QP", seed), []string{fmt.Sprintf("x%02d", seed), fmt.Sprintf("y%02d", seed)}
			r := rand.New(rand.NewPCG(seed, 2))
			sayings, before := make([]uint64, 10+r.IntN(4)), r.IntN(10)
			for i := range sayings {
				sayings[i] = r.Uint64N(40)
			}
			for _, w := range worlds {
				for i, state := range sayings {
					r := rand.New(rand.NewPCG(state, seed))
					s := said{At: noon.Add(time.Duration(r.IntN(4)) * time.Minute), Resources: matters(t, r, charts[r.IntN(2)], code)}
					if r.IntN(2) == 0 { // a report on what another message may have brought
						chart := charts[r.IntN(2)]
						s.Resources = []fhir.Resource{patient(t, chart, "Ash", "1980-01-01", "7"), local(t, chart, "n0", code, "0")}
						if r.IntN(2) == 0 {
							s.Resources = append(s.Resources, report(t, chart, "n0"), visit(t, chart, "Ward 2"))
						}
					}
					stored := w.put(s)
					made.Store(w.dsn+string(stored.Body), s.Resources)
					must(t, w.commit(stored, s))
					if r.IntN(3) == 0 {
						must(t, w.commit(stored, s))
					}
					if n, err := 1, error(nil); i == before && w == worlds[0] {
						if n, err = w.Purge(ctx, always); n == 0 || err != nil {
							t.Fatalf("%d are purged: %v", n, err)
						}
					}
				}
			}
			_, err := w.Purge(ctx, always)
			must(t, err)
			same := func(when string) {
				t.Helper()
				for who, a := range map[string]record.Ask{"a physician": physician(t), "nearly all": backend(t)} {
					if got, want := worlds[0].shown(a, charts...), worlds[1].shown(a, charts...); got != want {
						t.Errorf("seed %d, %s, %s sees\n%s\nwithout the purge\n%s", seed, when, who, got, want)
					}
				}
			}
			same("purged")
			for _, labels := range [][]label.Label{{label.HIV}, {}} {
				for _, w := range worlds {
					w.decide(label.Code{Source: "ward", System: "urn:lab", Code: code, Display: "Panel " + code}, labels...)
					_, err := w.Relabel(ctx)
					must(t, err)
				}
				same(fmt.Sprint("decided to be about ", labels))
			}
			if t.Failed() {
				return
			}
		}
		charts := []string{}
		for seed := range seeds {
			charts = append(charts, fmt.Sprintf("x%02d", seed), fmt.Sprintf("y%02d", seed))
		}
		var seen []string
		for _, w := range worlds {
			v := w.renewed()
			v.relabel()
			seen = append(seen, v.shown(physician(t), charts...)+v.shown(backend(t), charts...))
		}
		if seen[0] != seen[1] {
			t.Errorf("by new rules one sees\n%s\nwithout the purge\n%s", seen[0], seen[1])
		}
	})
}

// TestPurge: the text of what is done, and old enough for its source, is nowhere in
// the database; what waits or is held keeps it; the same message again is known, and
// what has no text any more is not applied again.
func TestPurge(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		done := w.tell(patient(t, "a", "Ash", "1980-01-01", "7"))
		other, waits, held, aside := w.put(said{}), w.put(said{}), w.put(said{}), w.put(said{})
		must(t, w.Queue().Hold(ctx, held.ID, "PID-3: no number"))
		must(t, w.Queue().Hold(ctx, aside.ID, "PID-3: no number"))
		must(t, w.SetAside(ctx, intake{w}, "somebody", "a test of the sender", aside.ID))
		must(t, w.commit(other, said{}))
		kept := func(days int) func(string) time.Duration {
			return func(source string) time.Duration {
				if source != done.Source {
					t.Errorf("it is asked for %q", source)
				}
				return time.Duration(days) * 24 * time.Hour
			}
		}
		long := inbox.Message{Source: done.Source, Kind: inbox.HL7v2, ControlID: "long", Received: done.Received, Body: bytes.Repeat([]byte("Juniper^Jane|"), 2000)}
		receipt, err := w.Put(ctx, long)
		must(t, err)
		must(t, w.commit(record.Stored{ID: receipt.ID, Message: long}, said{}))
		age := int(time.Since(done.Received).Hours() / 24)
		for _, row := range []struct{ days, purged int }{{0, 0}, {age + 2, 0}, {1, 4}, {1, 0}} {
			if n, err := w.Purge(ctx, kept(row.days)); err != nil || n != row.purged {
				t.Fatalf("with %d days %d are purged, want %d: %v", row.days, n, row.purged, err)
			}
		}
		for _, m := range []record.Stored{done, other, aside} {
			if got, err := w.Queue().Message(ctx, m.ID); !errors.Is(err, record.ErrPurged) || len(got.Body) > 0 {
				t.Errorf("message %d: %v", m.ID, err)
			}
			if receipt, err := w.Put(ctx, m.Message); err != nil || !receipt.Duplicate || receipt.ID != m.ID {
				t.Errorf("again it is %+v, %v", receipt, err)
			}
			must(t, w.Queue().Release(ctx, m.ID))
		}
		for _, m := range []record.Stored{waits, held} {
			if got, err := w.Queue().Message(ctx, m.ID); err != nil || string(got.Body) != string(m.Body) {
				t.Errorf("message %d: %v", m.ID, err)
			}
		}
		if err := w.TakeBack(ctx, aside.ID); !errors.Is(err, record.ErrUnknown) {
			t.Errorf("taken back: %v", err)
		}
		if !w.Postgres() { // whose vacuum takes its time
			must(t, w.Close())
			files, err := filepath.Glob(strings.TrimPrefix(w.dsn, "sqlite:") + "*")
			must(t, err)
			var all []byte
			for _, file := range files {
				b, err := os.ReadFile(file)
				must(t, err)
				all = append(all, b...)
			}
			if !bytes.Contains(all, waits.Body) || bytes.Contains(all, []byte("Juniper^Jane")) {
				t.Error("the files hold what was purged, or not what was not")
			}
			w = w.beside()
		}
		pending, err := w.Queue().Pending(ctx, waits.Source, 0, 100)
		must(t, err)
		if ids := slices.Collect(func(yield func(inbox.ID) bool) {
			for _, p := range pending {
				yield(p.ID)
			}
		}); !slices.Equal(ids, []inbox.ID{waits.ID}) {
			t.Errorf("%d wait", ids)
		}
		if latest, err := w.Latest(ctx, done.Source, 10); err != nil || !slices.Equal(latest, []inbox.ID{held.ID, waits.ID}) {
			t.Errorf("the latest are %d, %v", latest, err)
		}
	})
}

// Of two nodes one purges a text while the other has it applied again: whoever comes
// second sees what the first did, so that nothing is applied that has no text.
func TestPurgedOrReleased(t *testing.T) {
	w := open(t, pgtest.DSN(t))
	db, err := sql.Open("pgx", w.dsn)
	must(t, err)
	defer db.Close()
	meanwhile := func(id inbox.ID, statement string, other func() error) {
		t.Helper()
		tx, err := db.Begin()
		must(t, err)
		_, err = tx.Exec(`SELECT id FROM inbox WHERE id = $1 FOR UPDATE`, int64(id))
		must(t, err)
		_, err = tx.Exec(statement, int64(id))
		must(t, err)
		ended := make(chan error, 1)
		go func() { ended <- other() }()
		for waiting := 0; waiting == 0; {
			must(t, db.QueryRow(`SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting))
			select {
			case err := <-ended:
				t.Errorf("it waits for nobody")
				ended <- err
				waiting = 1
			default:
			}
		}
		must(t, tx.Commit())
		must(t, <-ended)
	}
	released, purged := w.tell(patient(t, "a", "Ash", "1980-01-01", "7")), w.tell(patient(t, "b", "Elm", "1980-01-01", "8"))
	meanwhile(purged.ID, `INSERT INTO purged (id, at) VALUES ($1, 0)`, func() error { return w.Queue().Release(ctx, purged.ID) })
	if state, _, err := w.State(ctx, purged.ID); err != nil || state == record.Pending {
		t.Errorf("what was purged is %s: %v", state, err)
	}
	meanwhile(released.ID, `INSERT INTO todo (id, held, reason) VALUES ($1, 0, '')`, func() error {
		n, err := w.Purge(ctx, always)
		if n != 0 {
			t.Errorf("%d are purged", n)
		}
		return err
	})
	if got, err := w.Queue().Message(ctx, released.ID); err != nil || string(got.Body) != string(released.Body) {
		t.Errorf("what is to be applied again: %v", err)
	}
}
