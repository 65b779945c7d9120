package record

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func named(version string, m mark) string { return fmt.Sprintf("%s@%d.%d", version, m.at, m.seq) }

// fold settles facts one after another, as messages are applied.
func fold(facts []fact) []run {
	var line []run
	for i, f := range facts {
		var parted bool
		if line, _, parted = settle(line, f, named); parted {
			line = lineOf(facts[:i+1], named)
		}
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
			mark: mark{rapid.Int64Range(0, 6).Draw(t, "at"), int64(i)}, recorded: 100 + int64(i),
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

// Whatever the order in which facts are applied, and how often: each content held from
// and until the same, and was recorded when the first message came that said so. Only
// what a run is called, which nobody sees, may differ.
func TestTimesDoNotDependOnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		facts := saying(t)
		mixed := append(slices.Clone(facts), facts[:rapid.IntRange(0, len(facts)).Draw(t, "repeated")]...)
		rand.New(rand.NewSource(rapid.Int64().Draw(t, "seed"))).Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		nameless := func(line []run) []run {
			for i := range line {
				line[i].version, line[i].fresh, line[i].moved = "", false, false
			}
			return line
		}
		if got, want := nameless(fold(mixed)), nameless(lineOf(facts, named)); !slices.Equal(got, want) {
			t.Errorf("%v\nwant %v", got, want)
		}
		for _, r := range lineOf(facts, named) {
			first := int64(1000)
			for _, f := range facts {
				if f.body == r.body && f.compare(r.first) >= 0 && f.compare(r.last) <= 0 {
					first = min(first, f.recorded)
				}
			}
			if r.recorded != first {
				t.Errorf("%v was recorded %d, want %d", r, r.recorded, first)
			}
		}
	})
}

// Where one content is withheld, the rest has the times that it has where nobody ever
// said that content: what stands beside each other then is one.
func TestWithheldContentsChangeNoTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		facts := saying(t)
		var seen []run
		for _, r := range lineOf(facts, named) {
			if r.body == 3 {
				continue
			}
			if n := len(seen) - 1; n >= 0 && seen[n].body == r.body { // as a view does
				seen[n].last, seen[n].recorded = r.last, min(seen[n].recorded, r.recorded)
				continue
			}
			seen = append(seen, r)
		}
		want := lineOf(slices.DeleteFunc(facts, func(f fact) bool { return f.body == 3 }), named)
		if !slices.EqualFunc(seen, want, func(a, b run) bool {
			return a.first == b.first && a.last == b.last && a.recorded == b.recorded && a.body == b.body
		}) {
			t.Errorf("%v\nwant %v", seen, want)
		}
	})
}

// Saying everything again, as a replay does, shows nothing new.
func TestRepetitionChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		facts := saying(t)
		line := fold(facts)
		before := slices.Clone(line)
		for _, f := range facts {
			var changed, parted bool
			if line, changed, parted = settle(line, f, named); changed || parted {
				t.Errorf("fact %+v changed the line", f)
			}
		}
		if !slices.Equal(before, line) {
			t.Errorf("%v became %v", before, line)
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
