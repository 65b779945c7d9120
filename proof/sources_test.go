package proof_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"firebreak/access/accesstest"
	"firebreak/inbox"
	"firebreak/mapping"
)

// knownTo is the world of a seed as one source knows it: what it sent is told in both
// houses, sensitive or not, and that somebody joined two of its patients; in one alone
// what others sent, whatever that is, what was decided on codes, and that one of its
// patients was joined with another's.
func knownTo(source string, seed uint64) *world {
	w := create(seed, 0)
	mine := slices.IndexFunc(w.people, func(p *person) bool { return p.source == source })
	theirs := slices.IndexFunc(w.people, func(p *person) bool { return p.source != source })
	if mine >= 0 && theirs >= 0 {
		f := &forge{world: *w, n: 900_000}
		from, into := w.people[mine], w.people[theirs]
		if seed%2 == 0 {
			from, into = into, from
		}
		last := w.events[len(w.events)-1].at
		w.events = append(w.events, f.joining(from, into, last.Add(time.Second)))
	}
	for _, e := range w.events {
		e.opens, e.closes, e.pair = false, false, nil
		foreign := func(p *person) bool { return p.source != source && bytes.Contains(e.whole, []byte(p.id())) }
		e.harmless = nil
		switch {
		case e.kind == inbox.Joined && !slices.ContainsFunc(w.people, foreign), e.source == source && e.kind != decision:
			e.harmless = e.whole
		}
	}
	return w
}

// itself tells whether somebody is a source of worlds: it sees the secrets that it sent.
func (a *audience) itself() bool {
	return slices.ContainsFunc(sources, func(f mapping.Feed) bool { return f.Source == a.caller.Client().Source })
}

// TestSources: a gateway that was told by all sources answers each of them as one that
// was told by it alone.
func TestSources(t *testing.T) {
	t.Parallel()
	seeds, questions := size(t, 8)
	for _, f := range sources {
		t.Run(f.Source, func(t *testing.T) {
			t.Parallel()
			who := &audience{name: "the source " + f.Source, token: f.Source, caller: accesstest.Source(t, f.Source, "system/*.cruds")}
			for _, seed := range seeds {
				x := newTrial(t, knownTo(f.Source, seed), [2]side{without, with}, [2]string{})
				x.asker.asks = []*audience{who}
				x.run(questions / 2)
				x.close()
				if x.failure != nil {
					t.Fatal(x.failure.shrink(t))
				}
			}
		})
	}
}
