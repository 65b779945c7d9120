package record

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func named(version string, m mark) string { return fmt.Sprintf("%s@%d.%d", version, m.at, m.seq) }

func fold(facts []fact) []run {
	var line []run
	for _, f := range facts {
		line, _ = settle(line, f, named)
		if !slices.IsSortedFunc(line, run.order) {
			panic("out of order")
		}
	}
	return line
}

// saying draws facts about one resource: few contents, few times, each message once.
func saying(t *rapid.T) []fact {
	var facts []fact
	for i := range rapid.IntRange(1, 12).Draw(t, "facts") {
		body := rapid.Int64Range(1, 3).Draw(t, "content")
		facts = append(facts, fact{
			mark: mark{rapid.Int64Range(0, 6).Draw(t, "at"), int64(i)},
			body: body, version: fmt.Sprint("v", body),
		})
	}
	return facts
}

// Any repetition and any order of a resource's facts gives the same current
// content: that of the latest fact.
func TestCurrentDoesNotDependOnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		facts := saying(t)
		want := slices.MaxFunc(facts, func(a, b fact) int { return a.compare(b.mark) })
		mixed := append(slices.Clone(facts), facts[:rapid.IntRange(0, len(facts)).Draw(t, "repeated")]...)
		rand.New(rand.NewSource(rapid.Int64().Draw(t, "seed"))).Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		line := fold(mixed)
		if got := line[len(line)-1]; got.body != want.body {
			t.Errorf("current content %d, want %d", got.body, want.body)
		}
		ids := map[string]bool{}
		for _, r := range line {
			if ids[r.version] {
				t.Errorf("version %s twice", r.version)
			}
			ids[r.version] = true
		}
		for _, f := range facts {
			if !slices.ContainsFunc(line, func(r run) bool { return r.body == f.body }) {
				t.Errorf("content %d is lost", f.body)
			}
		}
	})
}

// A message that is applied again begins a run of its own where the run that it
// began once has lost its time to others: two of one name could not be stored, and
// the patient's messages stood still.
func TestARunBegunAgainHasANameOfItsOwn(t *testing.T) {
	var facts []fact
	for _, x := range [][3]int64{{2, 0, 10}, {1, 0, 2}, {1, 2, 5}, {1, 6, 8}, {1, 1, 6}, {2, 1, 11}, {2, 6, 7}, {1, 2, 5}} {
		facts = append(facts, fact{mark: mark{x[1], x[2]}, body: x[0], version: fmt.Sprint("v", x[0])})
	}
	names := map[string]bool{}
	for _, r := range fold(facts) {
		if names[r.version] {
			t.Errorf("two runs are %s", r.version)
		}
		names[r.version] = true
	}
}

// Saying everything again, as a replay does, shows nothing new. (Had facts come
// late into a run of others, a split forgot the inside of that run, and saying
// it again may put it back into history.)
func TestRepetitionChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		facts := saying(t)
		slices.SortFunc(facts, func(a, b fact) int { return a.compare(b.mark) })
		line := fold(facts)
		versions := func() (all []string) {
			for _, r := range line {
				all = append(all, r.version)
			}
			return
		}
		before := versions()
		for _, f := range facts {
			next, changed := settle(line, f, named)
			if changed {
				t.Errorf("fact %+v changed the line", f)
			}
			line = next
		}
		if after := versions(); !slices.Equal(before, after) {
			t.Errorf("%v became %v", before, after)
		}
	})
}

func TestRuns(t *testing.T) {
	f := func(at int64, body int64) fact {
		return fact{mark: mark{at, at}, body: body, version: fmt.Sprint("v", body)}
	}
	for _, c := range []struct {
		name  string
		facts []fact
		want  string
	}{
		{"the first", []fact{f(1, 1)}, "v1[1-1]"},
		{"the same again is no new version", []fact{f(1, 1), f(2, 1)}, "v1[1-2]"},
		{"a change", []fact{f(1, 1), f(2, 2)}, "v1[1-1] v2[2-2]"},
		{"a change and back is three versions", []fact{f(1, 1), f(2, 2), f(3, 1)}, "v1[1-1] v2[2-2] v1@3.3[3-3]"},
		{"an older fact goes into history", []fact{f(2, 2), f(1, 1)}, "v1[1-1] v2[2-2]"},
		{"an older fact that was overtaken splits a run", []fact{f(1, 1), f(3, 1), f(2, 2)}, "v1[1-1] v2[2-2] v1@3.3[3-3]"},
		{"a late repetition of what is current", []fact{f(2, 2), f(1, 2)}, "v2[1-2]"},
		{"a late fact before a change", []fact{f(1, 1), f(5, 2), f(3, 1)}, "v1[1-3] v2[5-5]"},
		{"a late fact like the one after it", []fact{f(1, 1), f(5, 2), f(3, 2)}, "v1[1-1] v2[3-5]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got string
			for i, r := range fold(c.facts) {
				if i > 0 {
					got += " "
				}
				got += fmt.Sprintf("%s[%d-%d]", r.version, r.first.at, r.last.at)
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
