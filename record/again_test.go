package record_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"firebreak/fhir"
	"firebreak/internal/pgtest"
	"firebreak/label"
	"firebreak/record"
)

// shown is all that somebody sees of the charts: each resource with its history,
// the ids and times of its versions, and where each chart leads.
func (w *world) shown(a record.Ask, charts ...string) string {
	w.t.Helper()
	var b strings.Builder
	for _, chart := range charts {
		v, err := w.reader.Chart(ctx, a, fhir.Ref{Type: "Patient", ID: key(chart)})
		if absent(err) {
			fmt.Fprintln(&b, chart, "absent")
			continue
		}
		must(w.t, err)
		for _, r := range v.All() {
			for _, x := range v.History(r.Resource().Ref()) {
				fmt.Fprintln(&b, chart, x.At().Format(time.TimeOnly), x.Recorded().Format(time.TimeOnly), string(x.Resource().JSON()))
			}
		}
	}
	return b.String()
}

// TestAppliedAgain: what messages say when they are applied again, with other
// contents, in other charts, sensitive or no more, and merges told or not, is what
// is known afterwards, and since when, as if they had said it at once and in the order
// in which they came: to whoever sees little and to whoever sees nearly all, now and in the history, and after codes are decided
// on.
func TestAppliedAgain(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		dsn := "sqlite:" + filepath.Join(t.TempDir(), "twin.db")
		if w.Postgres() {
			dsn = pgtest.DSN(t)
		}
		twin := open(t, dsn)
		for seed := range uint64(25) {
			code, charts := fmt.Sprint("QA", seed), []string{fmt.Sprintf("x%02d", seed), fmt.Sprintf("y%02d", seed)}
			says := func(state uint64) said {
				r := rand.New(rand.NewPCG(state, seed))
				s := said{At: noon.Add(time.Duration(r.IntN(4)) * time.Minute), Resources: matters(t, r, charts[r.IntN(2)], code)}
				if r.IntN(5) == 0 {
					s.Links = []record.Link{{From: key(charts[0]), Into: key(charts[1]), Undo: r.IntN(2) == 0}}
				}
				return s
			}
			r := rand.New(rand.NewPCG(seed, 1))
			n := 3 + r.IntN(4)
			was, is := make([]uint64, n), make([]uint64, n)
			for i := range n {
				was[i], is[i] = r.Uint64N(6), r.Uint64N(6)
				if i%3 == 2 {
					is[i] = was[i]
				}
			}
			tell := func(w *world, states []uint64, order []int) (apply func(int, uint64)) {
				stored := make([]record.Stored, n)
				apply = func(i int, state uint64) {
					s := says(state)
					made.Store(w.dsn+string(stored[i].Body), s.Resources)
					must(t, w.commit(stored[i], s))
				}
				for i, state := range states {
					stored[i] = w.put(says(state))
				}
				for _, i := range order {
					apply(i, states[i])
				}
				return apply
			}
			order := r.Perm(n) // some had to wait, as held ones do
			again := tell(w, was, order)
			slices.Sort(order)
			tell(twin, is, order)
			for _, i := range r.Perm(n) {
				again(i, is[i])
			}
			same := func(when string) {
				t.Helper()
				for who, a := range map[string]record.Ask{"a physician": physician(t), "nearly all": backend(t)} {
					if got, want := w.shown(a, charts...), twin.shown(a, charts...); got != want {
						t.Errorf("seed %d, %s, %s sees\n%s\nhad it been said at once\n%s", seed, when, who, got, want)
					}
				}
			}
			same("applied again")
			for _, w := range []*world{w, twin} {
				w.decide(label.Code{Source: "ward", System: "urn:lab", Code: code, Display: "Panel " + code}, []label.Label{label.HIV}[:seed%2]...)
				_, err := w.Relabel(ctx)
				must(t, err)
			}
			same("decided")
			if t.Failed() {
				return
			}
		}
	})
}

// matters are what a message says of a chart.
func matters(t testing.TB, r *rand.Rand, chart, code string) []fhir.Resource {
	all := []fhir.Resource{patient(t, chart, "Ash", fmt.Sprint("1980-01-0", 1+r.IntN(2)), "7")}
	for n := range 3 {
		name := fmt.Sprint("n", n)
		switch r.IntN(6) {
		case 0:
			all = append(all, hiv(t, chart, name, fmt.Sprint(r.IntN(2))), report(t, chart, name))
		case 1:
			all = append(all, local(t, chart, name, code, fmt.Sprint(r.IntN(2))))
		case 2:
			all = append(all, sodium(t, chart, name, fmt.Sprint(140+r.IntN(2))), report(t, chart, name))
		case 3:
			all = append(all, sodium(t, chart, name, fmt.Sprint(140+r.IntN(2))))
		}
	}
	if r.IntN(2) == 0 {
		all = append(all, visit(t, chart, fmt.Sprint("Ward ", r.IntN(2))))
	}
	return all
}
