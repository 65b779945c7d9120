package proof_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// failure is a question whose answer told of a secret.
type failure struct {
	seed   uint64
	sides  [2]side
	events []*event // told before it
	policy policyFile
	before []*question // asked before it, where it takes those
	ask    question
	asked  int       // the how many-th it was
	got    [2]answer // without secrets, with them
	why    string
}

// shrink gives a smaller failure of the same kind: the fewest sensitive
// messages, mostly one, then the fewest harmless ones, and one question.
func (f *failure) shrink(t testing.TB) *failure {
	best := f
	try := func(events []*event, before []*question) bool {
		pending := 0
		for _, e := range events {
			if e.opens {
				pending++
			} else if e.closes {
				pending--
			}
		}
		if pending != 0 {
			return false // then the worlds differ by right
		}
		x := newTrial(t, &world{seed: f.seed, events: events}, f.sides, [2]string{})
		defer x.close()
		for _, e := range events {
			if x.tellQuietly(e) != nil {
				return false
			}
		}
		x.traffic()
		for _, q := range before {
			for _, h := range x.house {
				h.under(t, f.policy).ask(*q)
			}
		}
		x.compare(f.policy, f.ask, len(events)-1)
		if x.failure == nil {
			return false
		}
		x.failure.before = before
		best = x.failure
		return true
	}
	if !try(f.events, nil) && !try(f.events, f.before) {
		return f
	}
	// Sensitive messages go; of mixed ones, what is sensitive in them.
	reduce(func() []*event { return best.events }, func(e *event) bool { return !e.stays && (e.secret() || e.mixed()) }, func(drop []*event) bool {
		var left []*event
		for _, e := range best.events {
			switch {
			case !slices.Contains(drop, e) && (e.pair == nil || !slices.Contains(drop, e.pair)):
				left = append(left, e)
			case e.mixed():
				plain := *e
				plain.whole, plain.what = e.harmless, e.what+", without what is sensitive in it"
				left = append(left, &plain)
			}
		}
		return try(left, best.before)
	})
	reduce(func() []*event { return best.events }, func(e *event) bool { return !e.secret() && !e.mixed() }, func(drop []*event) bool {
		return try(slices.DeleteFunc(slices.Clone(best.events), func(e *event) bool { return slices.Contains(drop, e) }), best.before)
	})
	reduce(func() []*question { return best.before }, func(*question) bool { return true }, func(drop []*question) bool {
		return try(best.events, slices.DeleteFunc(slices.Clone(best.before), func(q *question) bool { return slices.Contains(drop, q) }))
	})
	best.seed = f.seed
	return best
}

// reduce drops as many of the items as it can, halves first.
func reduce[T comparable](all func() []T, of func(T) bool, without func([]T) bool) {
	items := slices.DeleteFunc(slices.Clone(all()), func(e T) bool { return !of(e) })
	for size := len(items); size > 0; size /= 2 {
		for from := 0; from < len(items); {
			drop := items[from:min(from+size, len(items))]
			if without(slices.Clone(drop)) {
				items = slices.Delete(items, from, from+len(drop))
			} else {
				from += size
			}
		}
	}
}

// String tells the story of a failure.
func (f *failure) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, under %s: an answer tells of a secret.\n\n", f.seed, f.policy.name)
	for _, e := range f.events {
		when := e.at.Format("2 January 15:04")
		switch {
		case e.secret() && f.sides[0] == others:
			fmt.Fprintf(&b, "On %s, one house is told of %s:\n%s\n\nand the other of another secret:\n%s\n\n", when, e.what, indent(story(e.whole)), indent(story(e.other)))
		case e.secret():
			fmt.Fprintf(&b, "On %s, ONE house alone is told of %s:\n%s\n\n", when, e.what, indent(story(e.whole)))
		case e.mixed():
			fmt.Fprintf(&b, "On %s, ONE house is told of %s:\n%s\n\nand the other the same without what is sensitive:\n%s\n\n", when, e.what, indent(story(e.whole)), indent(story(e.harmless)))
		default:
			fmt.Fprintf(&b, "On %s, both houses are told of %s:\n%s\n\n", when, e.what, indent(story(e.whole)))
		}
	}
	for _, q := range f.before {
		fmt.Fprintf(&b, "Both are asked %s\n", q)
	}
	fmt.Fprintf(&b, "Then %s\n\nThe answers differ: %s\n\n", f.ask, f.why)
	a, c := lines(f.got[0]), lines(f.got[1])
	for _, l := range a {
		if !slices.Contains(c, l) {
			fmt.Fprintf(&b, "without  %s\n", clip(l))
		}
	}
	for _, l := range c {
		if !slices.Contains(a, l) {
			fmt.Fprintf(&b, "with     %s\n", clip(l))
		}
	}
	return b.String()
}

func indent(s string) string { return "    " + strings.ReplaceAll(clip(s), "\n", "\n    ") }

func clip(s string) string {
	if len(s) > 3000 {
		return s[:3000] + "..."
	}
	return s
}

// lines are an answer's, cut so that what differs stands out.
func lines(a answer) []string {
	return strings.Split(strings.NewReplacer(`},{`, "},\n{", `],"`, "],\n\"", `{"fullUrl"`, "\n{\"fullUrl\"", ">", ">\n").Replace(a.String()), "\n")
}
