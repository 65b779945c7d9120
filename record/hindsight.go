package record

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"firebreak/internal/sqldb"
	"firebreak/label"
)

// A message about sensitive matters alone makes nobody known
// (label.Labeled.Context). That it is one may turn out later: by a correction,
// by what somebody decides on a code, by other rules. The runs in the database,
// and the contexts in which they lie, are those of what was known when each
// message came, and never change. So where anything in a chart has a label, each
// of its messages is judged again by what its matters are now, and what it
// brought along takes its place anew, as if that had been known at once.
//
// What lies in a directory, and a message with matters in several charts, is
// judged again only by other rules and decisions, not by corrections. What was
// applied before there was a table of what messages said stays as it is until it
// is replayed.

// hindsight is a chart that is judged again.
type hindsight struct {
	r       *Record
	all     []row // sorted as histories does
	settled []label.Labeled
	onward  onward
	first   []int         // of each row: the first of its resource
	now     []int         // of each row: the one that says what its resource is now
	of      map[int64]int // a row of each content
	heard   [][]heard     // by the resource's first row, in the order of messages
	moved   map[int]bool  // resources, by first row, that other messages make known than it was thought
}

// heard is a fact in the light in which it stands now.
type heard struct {
	fact
	context label.Label
}

// again gives the rows of a chart as they would be had its messages been judged
// as they are now; moved is false when they are so already. settled are the
// labels of all.
func (r *Record) again(ctx context.Context, tx *sqldb.Tx, members []stamp, all []row, settled []label.Labeled, o onward) (rows []row, moved bool, err error) {
	if !slices.ContainsFunc(settled, func(l label.Labeled) bool { return len(l.Labels()) > 0 }) {
		return all, false, nil
	}
	h := newHindsight(r, all, settled)
	h.onward = o
	for _, m := range members {
		err := eachSaid(ctx, tx, m.chart, func(message int64, context string, t said) error {
			h.hear(message, label.Label(context), t)
			return nil
		})
		if err != nil {
			return nil, false, err
		}
	}
	if len(h.moved) == 0 {
		return all, false, nil
	}
	return h.rows(), true, nil
}

func newHindsight(r *Record, all []row, settled []label.Labeled) *hindsight {
	h := &hindsight{r: r, all: all, settled: settled, first: make([]int, len(all)), now: make([]int, len(all)),
		of: make(map[int64]int, len(all)), heard: make([][]heard, len(all)), moved: map[int]bool{}}
	for from := 0; from < len(all); {
		to := h.end(from)
		now := from
		for i := to - 1; i >= from; i-- {
			if !all[i].deleted && settled[i].Context() == "" {
				now = i
			}
		}
		for i := from; i < to; i++ {
			h.first[i], h.now[i], h.of[all[i].body] = from, now, i
		}
		from = to
	}
	return h
}

// end is where the rows of a resource end that begin at from.
func (h *hindsight) end(from int) int {
	to := from + 1
	for to < len(h.all) && h.all[to].res.Ref() == h.all[from].res.Ref() {
		to++
	}
	return to
}

// light is a row with its labels, and those of what it goes on from.
func (h *hindsight) light(i int) label.Labeled {
	l := h.settled[i]
	if h.all[i].res.Type() != appointmentTyp {
		return l
	}
	for _, body := range h.onward.from(h.all[i].body) {
		if k, ok := h.of[body]; ok {
			l = l.With(h.settled[k].Labels())
		}
	}
	return l
}

// hear judges a message again. With matters in other charts it was judged whole,
// and that counts.
func (h *hindsight) hear(message int64, whole label.Label, t said) {
	said, now := make([]label.Labeled, 0, len(t.facts)), make([]label.Labeled, 0, len(t.facts))
	facts := slices.DeleteFunc(t.facts, func(f statement) bool { _, ok := h.of[f.body]; return !ok })
	for _, f := range facts {
		i := h.of[f.body]
		said, now = append(said, h.light(i)), append(now, h.light(h.now[i]))
	}
	if len(facts) == 0 {
		return
	}
	contexts := h.r.c.Rules.Contexts(h.all[h.of[facts[0].body]].source, said, now)
	for n, f := range facts {
		i := h.of[f.body]
		x := &h.all[i]
		was := h.settled[i].Context()
		context := contexts[n]
		if t.apart {
			context = was
			if label.Support(x.res.Type()) {
				context = whole
			}
		}
		from := h.first[i]
		h.heard[from] = append(h.heard[from], heard{fact{mark{f.at, message}, t.recorded, x.source, x.deleted, x.body, x.version}, context})
		if context != was {
			h.moved[from] = true
		}
	}
}

// rows are the chart's, with those of what moved made anew.
func (h *hindsight) rows() []row {
	var all []row
	for from := 0; from < len(h.all); {
		to := h.end(from)
		if h.moved[from] {
			all = h.remake(all, from, to)
		} else {
			all = append(all, h.all[from:to]...)
		}
		from = to
	}
	return all
}

// remake appends the runs of one resource, a line for each context.
func (h *hindsight) remake(all []row, from, to int) []row {
	facts := h.heard[from]
	for i := from; i < to; i++ { // what no message is known to have said
		x := &h.all[i]
		for _, m := range []mark{x.run.first, x.last} {
			if !slices.ContainsFunc(facts, func(f heard) bool { return f.seq == m.seq && f.body == x.body }) {
				facts = append(facts, heard{fact{m, x.recorded, x.source, x.deleted, x.body, x.version}, h.settled[i].Context()})
			}
		}
	}
	slices.SortStableFunc(facts, func(a, b heard) int {
		return cmp.Or(cmp.Compare(a.context, b.context), cmp.Compare(a.seq, b.seq))
	})
	for len(facts) > 0 {
		n := slices.IndexFunc(facts, func(f heard) bool { return f.context != facts[0].context })
		if n < 0 {
			n = len(facts)
		}
		all = h.line(all, facts[:n])
		facts = facts[n:]
	}
	return all
}

// line appends the runs that facts of one resource in one context make.
func (h *hindsight) line(all []row, facts []heard) []row {
	var contents []int // a row of each that differs
	made := make([]fact, 0, len(facts))
	for _, f := range facts {
		x := &h.all[h.of[f.body]]
		same := slices.IndexFunc(contents, func(i int) bool {
			y := &h.all[i]
			return y.body == x.body || y.deleted == x.deleted && bytes.Equal(y.res.JSON(), x.res.JSON())
		})
		if same < 0 {
			same = len(contents)
			contents = append(contents, h.of[f.body])
		}
		y := &h.all[contents[same]]
		f.body, f.version = y.body, y.version
		made = append(made, f.fact)
	}
	for _, x := range lineOf(made, h.r.keys.again) {
		y := h.all[h.of[x.body]]
		y.run = x
		y.labels = inContext(y.labels, facts[0].context)
		all = append(all, y)
	}
	return all
}

// inContext is stored labels with another context, or with none.
func inContext(labels string, context label.Label) string {
	all := slices.DeleteFunc(splitLabels(labels), label.Label.Internal)
	if context != "" {
		all = append(all, context)
		slices.Sort(all)
	}
	return joinLabels(all)
}
