package record

import (
	"context"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"firebreak/audit"
	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/internal/sqldb"
	"firebreak/label"
)

// Whatever was said, in whatever order, what the writer remembers of a chart is
// what the database holds of it.
func TestMemoryIsWhatTheDatabaseHolds(t *testing.T) {
	ctx := context.Background()
	log, err := audit.Open(filepath.Join(t.TempDir(), "audit"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	rules, err := label.Default()
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(ctx, Config{DSN: filepath.Join(t.TempDir(), "record.db"), Log: log, Rules: rules, Secret: []byte("secret of the tests")})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		prefix := fmt.Sprint("c", n, "c")
		for i := range rapid.IntRange(1, 8).Draw(t, "messages") {
			var c Change
			var message []fhir.Resource
			for _, which := range rapid.SliceOfNDistinct(rapid.IntRange(1, 3), 1, 3, rapid.ID).Draw(t, "which") {
				// Of these some are sensitive, so that what comes with them alone has lines of its own.
				code := rapid.SampledFrom([]string{"2951-2", "7917-8"}).Draw(t, "code")
				res, err := fhir.Parse(fmt.Appendf(nil, `{"resourceType":"Observation","id":"%s-%d","status":"final","code":{"coding":[{"system":"http://loinc.org","code":%q}]},"valueString":"%d"}`,
					prefix, which, code, rapid.IntRange(1, 2).Draw(t, "value")))
				if err != nil {
					t.Fatal(err)
				}
				message = append(message, res)
			}
			place, err := fhir.Parse(fmt.Appendf(nil, `{"resourceType":"Location","id":"%s-place","name":"Ward %d"}`, prefix, rapid.IntRange(1, 2).Draw(t, "ward")))
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range rules.Label("ward", append(message, place)) {
				c.Resources = append(c.Resources, Entry{Labeled: l, Chart: prefix + fmt.Sprint(i%2), At: time.Unix(rapid.Int64Range(0, 4).Draw(t, "at"), 0)})
			}
			m := inbox.Message{Source: "ward", Kind: inbox.HL7v2, ControlID: fmt.Sprint(n, i), Received: time.Unix(int64(i), 0), Body: fmt.Append(nil, n, i)}
			receipt, err := r.Put(ctx, m)
			if err != nil {
				t.Fatal(err)
			}
			for range rapid.IntRange(1, 2).Draw(t, "times") {
				if err := r.Queue().Commit(ctx, Stored{ID: receipt.ID, Message: m}, c); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i := range 2 {
			chart := prefix + fmt.Sprint(i)
			remembered := r.remembered(ctx, t, chart)
			if remembered == nil {
				continue // nothing was said of it
			}
			held := &lines{}
			err := r.db.Snapshot(ctx, func(tx *sqldb.Tx) error { return tx.Each(ctx, held.scan(chart), findChart, chart, int64(longChart)) })
			if err != nil {
				t.Fatal(err)
			}
			if got, want := flat(remembered), flat(held); !reflect.DeepEqual(got, want) {
				t.Errorf("remembered\n%+v\nheld\n%+v", got, want)
			}
		}
	})
}

// remembered looks into the memory from within the writer's goroutine.
func (r *Record) remembered(ctx context.Context, t *rapid.T, chart string) (l *lines) {
	err := r.writer.do(ctx, &write{other: func(context.Context, *sqldb.Tx) error {
		if l = r.writer.memory.take(chart); l != nil {
			r.writer.memory.put(chart, l)
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

type plain struct {
	at       layer
	runs     []run
	markings []marking
}

func flat(l *lines) map[layer]plain {
	all := map[layer]plain{}
	for at, x := range l.of {
		p := plain{at, slices.Clone(x.runs), slices.Clone(x.markings)}
		slices.SortFunc(p.runs, run.order)
		slices.SortFunc(p.markings, func(a, b marking) int { return int(a.body - b.body) })
		all[at] = p
	}
	return all
}
