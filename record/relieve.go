package record

import (
	"context"
	"errors"
	"maps"
	"slices"

	"firebreak/fhir"
	"firebreak/label"
)

// What a message brings is judged together, so all uses of a code in it lead to all
// of it.
const spreadUses = `
	UPDATE code_use SET first = (SELECT MIN(first) FROM code_use WHERE message = $1), last = (SELECT MAX(last) FROM code_use WHERE message = $1)
	WHERE message = $1`

// relieve judges again the contents that others say too, so that their labels are
// those that the others and what the message says now give them. What the message
// brought first and says no more is from now on what the first of the others
// brought.
func (b *batch) relieve(ctx context.Context, x *committing, says map[int64]*entry) error {
	a := x.again
	for _, body := range slices.Sorted(maps.Keys(a.at)) {
		at := a.at[body]
		l := b.charts[at.chart].line(at)
		i := slices.IndexFunc(l.runs, func(r run) bool { return r.body == body })
		if i < 0 {
			continue // taken back
		}
		e := says[body]
		k := kept{content: content{id: body, chart: at.chart, source: l.runs[i].source}, at: at, orphan: e == nil && a.homes[body] == int64(x.id)}
		for _, t := range a.others[at.chart] {
			if slices.ContainsFunc(t.facts, func(f statement) bool { return f.body == body }) {
				k.sayers = append(k.sayers, t.message)
			}
		}
		if len(k.sayers) == 0 && !a.alone[body] {
			continue // said before there was a table of what messages said
		}
		if err := b.relieveOne(ctx, &k, l.marking(body), e); err != nil {
			return err
		}
	}
	return nil
}

// kept is a content that stays when a message takes back others.
type kept struct {
	content
	at     layer
	sayers []int64 // other messages that say it
	orphan bool    // the message brought it first and says it no more
}

func (b *batch) relieveOne(ctx context.Context, k *kept, m *marking, e *entry) error {
	r := b.w.r
	if m.rules != r.c.Rules.Version() {
		return nil // not judged: whoever does so judges it with all that says it
	}
	labels := []label.Label{}
	var reasons []label.Reason
	join := func(l label.Labeled) {
		for _, x := range l.Labels() {
			if !x.Internal() && !slices.Contains(labels, x) {
				labels = append(labels, x)
			}
		}
		for _, x := range l.Reasons() {
			if !slices.Contains(reasons, x) {
				reasons = append(reasons, x)
			}
		}
	}
	if e != nil {
		join(e.Labeled)
	}
	whole := func() string {
		slices.Sort(labels)
		return inContext(joinLabels(labels), k.at.context)
	}
	orphan := k.orphan
	for _, message := range k.sayers {
		if !orphan && whole() == m.labels {
			return nil
		}
		if k.res.IsZero() {
			var content []byte
			if err := b.tx.QueryRow(ctx, readContent, k.id).Scan(&content); err != nil {
				return err
			}
			var err error
			if k.res, err = fhir.Take(content); err != nil {
				return errors.New("a stored resource does not read")
			}
		}
		k.message = message
		apart, all, ok, err := r.whole(ctx, []content{k.content})
		if err != nil {
			return err
		}
		if apart { // what it says of each patient is judged by itself
			all = slices.DeleteFunc(all, func(x fhir.Resource) bool {
				chart, told := chartOf(x.Ref())
				return told && chart != k.chart
			})
		}
		judged := r.c.Rules.Label(k.source, all)
		if orphan {
			b.add(moveBody, k.id, message)
			if err := b.uses(ctx, k, judged, m); err != nil {
				return err
			}
			orphan = false
		}
		if !ok || r.c.Remake == nil { // it stays as it was judged
			return nil
		}
		for _, l := range judged {
			if l.Resource().Ref() == k.res.Ref() {
				join(l)
			}
		}
	}
	if whole() == m.labels {
		return nil
	}
	m.labels = whole()
	b.add(setLabels, k.chart, k.at.typ, k.at.id, k.id, m.rules, m.labels)
	b.add(dropReason, k.chart, k.id)
	if s := reasonsOf(reasons); s != "" {
		b.add(addReason, k.chart, k.id, s)
	}
	b.bumps[k.chart] = max(b.bumps[k.chart], 0)
	return nil
}

// uses notes the local codes that a content depends on as its message says them.
// One that was decided on since leaves it not judged.
func (b *batch) uses(ctx context.Context, k *kept, judged []label.Labeled, m *marking) error {
	for _, l := range judged {
		u := l.Use()
		if u == nil {
			continue
		}
		key, other := codeKey(u.Code), int64(0)
		if l.Resource().Ref() != k.res.Ref() {
			other = 1
		}
		b.add(keepCode, key, u.Source, u.System, u.Code.Code, u.Display, u.Element, micros(b.w.r.c.Now()))
		b.add(addUse, key, k.id, k.chart, k.message, k.id, k.id, u.Round, other)
		var round int64
		err := b.tx.Each(ctx, func(scan func(...any) error) error { return scan(&round) }, roundOf, key)
		if err != nil {
			return err
		}
		if u.Round < round {
			m.rules = ""
			b.add(setLabels, k.chart, k.at.typ, k.at.id, k.id, m.rules, m.labels)
			b.add(lagging, key)
			b.w.late = true
		}
	}
	b.add(spreadUses, k.message)
	return nil
}
