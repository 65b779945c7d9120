package record

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/internal/sqldb"
	"firebreak/label"
)

// A message that is applied again says what its mapping makes of it now, and no
// more: whatever it alone said before is taken back, as if it had never been
// said. So a replay under a changed dialect, or with mended code, ends where the
// message would have led had it been read so at once. What others say too stays,
// told by them alone. A message that is held when it is applied again takes
// nothing back; nor does what a source pushed as FHIR, which nothing but a push
// changes.
//
// The lines that differ are made anew from what all messages said (see said.go),
// in the order in which they came. A content that nobody says any more belongs to
// no message: no version leads to it.

const (
	saidBy     = `SELECT chart, facts FROM said WHERE message = $1`
	wasSaid    = `SELECT chart FROM said WHERE message = $1 LIMIT 1`
	unsayChart = `DELETE FROM said WHERE chart = $1 AND message = $2`
	saidWhere  = `SELECT type, id, body FROM version WHERE chart = $1`
	homeOf     = `SELECT message FROM body WHERE id = $1`
	moveBody   = `UPDATE body SET message = $2 WHERE id = $1` // 0: nobody's
	dropRun    = `DELETE FROM version WHERE chart = $1 AND type = $2 AND id = $3 AND version = $4`
	dropUsesOf = `DELETE FROM code_use WHERE message = $1`
)

// earlier is what a message said when it was applied before.
type earlier struct {
	was    map[string]said      // by chart
	others map[string][]telling // what else was said there and where it speaks now, in the order of messages
	at     map[int64]layer      // where the contents lie that it said
	alone  map[int64]bool       // contents that no other message says
	homes  map[int64]int64      // body.message of those that it said or says
	same   bool                 // it says the same now
}

// telling is what one message said of a chart.
type telling struct {
	message int64
	said
}

// again tells which messages were applied before.
func (w *writer) again(ctx context.Context, tx *sqldb.Tx, commits []*write) (map[*write]bool, error) {
	before := map[*write]bool{}
	seen := map[int64]bool{}
	stmts := make([]sqldb.Stmt, 0, len(commits))
	for _, x := range commits {
		id := int64(x.commit.id)
		if x.commit.again = nil; x.commit.kind == inbox.FHIR {
			continue
		}
		before[x] = seen[id]
		seen[id] = true
		stmts = append(stmts, sqldb.Stmt{SQL: wasSaid, Args: []any{id}, Row: func(scan func(...any) error) error {
			var chart string
			before[x] = true
			return scan(&chart)
		}})
	}
	return before, tx.Batch(ctx, stmts)
}

// before is what a message said when it was applied, by chart.
func (b *batch) before(ctx context.Context, message int64) (map[string]said, error) {
	was := map[string]said{}
	err := b.tx.Each(ctx, func(scan func(...any) error) error {
		var chart string
		var facts []byte
		err := scan(&chart, &facts)
		if err == nil {
			was[chart], err = readSaid(facts)
		}
		return err
	}, saidBy, message)
	return was, err
}

// hear reads what a message that was applied before said, and beside whom.
func (b *batch) hear(ctx context.Context) error {
	for _, x := range b.commits {
		a := x.commit.again
		if a == nil {
			continue
		}
		was, err := b.before(ctx, int64(x.commit.id)) // once more, for now nobody else changes these charts
		if err != nil {
			return err
		}
		for chart := range was {
			if _, held := a.was[chart]; !held {
				return errors.New("another node applied the message meanwhile")
			}
		}
		*a = earlier{was: was, others: map[string][]telling{}, at: map[int64]layer{}, alone: map[int64]bool{}, homes: map[int64]int64{}}
		charts := maps.Clone(was)
		for _, e := range x.commit.entries {
			charts[e.key.chart] = said{}
		}
		for _, chart := range sortedKeys(charts) {
			if err := b.hearChart(ctx, x.commit, chart); err != nil {
				return err
			}
		}
		a.same = b.unchanged(x.commit)
	}
	return nil
}

func (b *batch) hearChart(ctx context.Context, x *committing, chart string) error {
	a, l := x.again, b.charts[chart]
	if l == nil {
		l = &lines{}
		b.charts[chart] = l
	}
	mine := map[int64]bool{}
	for _, f := range a.was[chart].facts {
		mine[f.body] = true
	}
	if err := b.readSaid(ctx, chart, l, mine); err != nil {
		return err
	}
	for at, line := range l.of {
		slices.SortFunc(line.runs, run.order)
		for _, r := range line.runs {
			if !mine[r.body] {
				continue
			}
			if _, known := a.at[r.body]; !known {
				a.at[r.body], a.alone[r.body] = at, true
			}
			if r.first.seq != int64(x.id) || r.last.seq != int64(x.id) {
				a.alone[r.body] = false
			}
		}
	}
	return eachSaid(ctx, b.tx, chart, func(message int64, _ string, t said) error {
		if message == int64(x.id) {
			return nil
		}
		for _, f := range t.facts {
			if mine[f.body] {
				a.alone[f.body] = false
			}
		}
		a.others[chart] = append(a.others[chart], telling{message, t})
		return nil
	})
}

// readSaid reads the runs of the resources that have one of the contents.
func (b *batch) readSaid(ctx context.Context, chart string, l *lines, contents map[int64]bool) error {
	if l.whole {
		return nil
	}
	if l.asked == nil {
		l.asked = map[resource]bool{}
	}
	var stmts []sqldb.Stmt
	err := b.tx.Each(ctx, func(scan func(...any) error) error {
		var body int64
		key := resource{chart: chart}
		if err := scan(&key.typ, &key.id, &body); err != nil || !contents[body] || l.asked[key] {
			return err
		}
		l.asked[key] = true
		stmts = append(stmts, sqldb.Stmt{SQL: findRuns, Args: []any{key.chart, key.typ, key.id}, Row: l.scan(key.chart)})
		return nil
	}, saidWhere, chart)
	if err != nil {
		return err
	}
	return b.tx.Batch(ctx, stmts)
}

// unchanged tells whether a message says exactly what it said before.
func (b *batch) unchanged(x *committing) bool {
	now := map[string][]statement{}
	for _, e := range x.entries {
		runs := b.of(e).runs
		i := slices.IndexFunc(runs, func(r run) bool { return r.version == e.version })
		if i < 0 {
			return false
		}
		now[e.key.chart] = append(now[e.key.chart], statement{runs[i].body, micros(e.At)})
	}
	was := map[string][]statement{}
	for chart, s := range x.again.was {
		was[chart] = s.facts
	}
	return maps.EqualFunc(was, now, func(a, b []statement) bool {
		order := func(a, b statement) int { return cmp.Or(cmp.Compare(a.body, b.body), cmp.Compare(a.at, b.at)) }
		return slices.Equal(slices.SortedFunc(slices.Values(a), order), slices.SortedFunc(slices.Values(b), order))
	})
}

// differs tells whether a message takes something back or says it anew.
func (x *committing) differs() bool { return x.again != nil && !x.again.same }

// alone tells whether the message was the only one that said a content.
func (x *committing) alone(body int64) bool { return x.again != nil && x.again.alone[body] }

// home notes which contents the message brought first, when it was applied before
// or now.
func (b *batch) home(ctx context.Context, x *committing) error {
	a := x.again
	var stmts []sqldb.Stmt
	ask := func(body int64) {
		stmts = append(stmts, sqldb.Stmt{SQL: homeOf, Args: []any{body}, Row: func(scan func(...any) error) error {
			var message int64
			err := scan(&message)
			a.homes[body] = message
			return err
		}})
	}
	for _, s := range a.was {
		for _, f := range s.facts {
			ask(f.body)
		}
	}
	for _, e := range x.entries {
		ask(e.body)
	}
	if err := b.tx.Batch(ctx, stmts); err != nil {
		return err
	}
	for _, e := range x.entries {
		e.first = a.homes[e.body] == int64(x.id)
	}
	return nil
}

// settleAgain takes back what a message says no more and adds what it says anew.
func (b *batch) settleAgain(ctx context.Context, x *committing) error {
	a := x.again
	type told struct {
		chart string
		statement
	}
	was, now := map[told]bool{}, map[told]bool{}
	facts := map[layer][]fact{}
	says := map[int64]*entry{}
	touched := map[layer]bool{}
	for chart, s := range a.was {
		for _, f := range s.facts {
			was[told{chart, f}] = true
		}
	}
	for _, e := range x.entries {
		if b.judge(b.of(e), e) {
			b.bump(e, x)
		}
		at, f := layer{e.key, e.context}, told{e.key.chart, statement{e.body, micros(e.At)}}
		facts[at] = append(facts[at], e.fact(x))
		says[e.body], now[f] = e, true
		if !was[f] {
			touched[at] = true
			b.index(x.source, e)
			if e.reasons != "" {
				b.add(addReason, e.key.chart, e.body, e.reasons)
			}
		}
	}
	left := map[resource][]label.Label{} // by what a move takes away: what withheld it
	for f := range was {
		if at, lies := a.at[f.body]; lies && !now[f] {
			touched[at] = true
			if m := b.charts[at.chart].line(at).marking(f.body); m != nil && len(x.moves) > 0 {
				left[at.resource] = append(left[at.resource], splitLabels(m.labels)...)
			}
		}
	}
	all := slices.SortedFunc(maps.Keys(touched), func(a, b layer) int {
		return cmp.Or(cmp.Compare(a.chart, b.chart), cmp.Compare(a.typ, b.typ), cmp.Compare(a.id, b.id), cmp.Compare(a.context, b.context))
	})
	for _, at := range all {
		if err := b.remake(ctx, x, at, facts[at], says); err != nil {
			return err
		}
	}
	if err := b.relieve(ctx, x, says); err != nil {
		return err
	}
	b.leave(left)
	for _, at := range all {
		b.write(at.resource, b.charts[at.chart].line(at))
	}
	return nil
}

// leave keeps withheld what was said of a resource by others when what showed that it
// is sensitive leaves with a visit for another chart: what stays is of the same order,
// and was withheld for that.
func (b *batch) leave(left map[resource][]label.Label) {
	for of, labels := range left {
		labels = slices.DeleteFunc(labels, label.Label.Internal)
		if len(labels) == 0 {
			continue
		}
		for at, l := range b.charts[of.chart].of {
			if at.resource != of {
				continue
			}
			for i := range l.markings {
				m := &l.markings[i]
				if !slices.ContainsFunc(l.runs, func(r run) bool { return r.body == m.body }) {
					continue
				}
				all := slices.DeleteFunc(splitLabels(m.labels), label.Label.Internal)
				all = append(all, labels...)
				slices.Sort(all)
				if with := inContext(joinLabels(slices.Compact(all)), at.context); with != m.labels {
					m.labels = with
					b.add(setLabels, of.chart, of.typ, of.id, m.body, m.rules, m.labels)
					b.bumps[of.chart] = max(b.bumps[of.chart], 0)
				}
			}
		}
	}
}

// remake makes a line anew of what all messages said, with what the message says
// of it now.
func (b *batch) remake(ctx context.Context, x *committing, at layer, now []fact, says map[int64]*entry) error {
	version := func(body int64) string {
		if e := says[body]; e != nil {
			return e.version
		}
		return ""
	}
	facts, err := b.facts(ctx, at, x.again.others[at.chart], int64(x.id), version)
	if err != nil {
		return err
	}
	b.replace(at, append(facts, now...))
	b.bumps[at.chart] = max(b.bumps[at.chart], x.received)
	if _, told := chartOf(fhir.Ref{Type: at.typ, ID: at.id}); !told && !fhir.IsPatientCompartment(at.typ) {
		b.bumps[directories] = 0
	}
	return nil
}

// replace has a line be what facts make.
func (b *batch) replace(at layer, facts []fact) {
	l := b.charts[at.chart].line(at)
	runs := lineOf(facts, b.w.r.keys.again)
	for _, r := range l.runs {
		i := slices.IndexFunc(runs, func(n run) bool {
			n.fresh, n.moved = r.fresh, r.moved
			return n == r
		})
		if i >= 0 {
			runs[i].fresh, runs[i].moved = r.fresh, r.moved
			continue
		}
		if !r.fresh {
			b.add(dropRun, at.chart, at.typ, at.id, r.version)
		}
		if !slices.ContainsFunc(runs, func(n run) bool { return n.body == r.body }) {
			b.add(moveBody, r.body, int64(0))
			b.add(dropReason, at.chart, r.body)
			l.markings = slices.DeleteFunc(l.markings, func(m marking) bool { return m.body == r.body })
		}
	}
	l.runs = runs
}

// facts are what messages said of a line; without is one that says it no more, 0 for
// none. version names contents that it knows.
func (b *batch) facts(ctx context.Context, at layer, told []telling, without int64, version func(body int64) string) (facts []fact, err error) {
	l := b.charts[at.chart].line(at)
	of := map[int64]run{}
	for _, r := range l.runs {
		if _, known := of[r.body]; known {
			continue
		}
		if r.version = version(r.body); r.version == "" {
			if r.version, err = b.versionOf(ctx, at, r); err != nil {
				return nil, err
			}
		}
		of[r.body] = r
	}
	add := func(m mark, recorded int64, r run) {
		facts = append(facts, fact{m, recorded, r.source, r.deleted, r.body, r.version})
	}
	for _, t := range told {
		for _, f := range t.facts {
			if r, ok := of[f.body]; ok {
				add(mark{f.at, t.message}, t.recorded, r)
			}
		}
	}
	for _, r := range l.runs { // what no message is known to have said
		for _, m := range []mark{r.first, r.last} {
			if m.seq != without && !slices.ContainsFunc(facts, func(f fact) bool { return f.seq == m.seq && f.body == r.body }) {
				add(m, r.recorded, of[r.body])
			}
		}
	}
	return facts, nil
}

// part makes a line anew where a fact of x comes late into a run of another content.
func (b *batch) part(ctx context.Context, x *committing, at layer, now fact) error {
	var told []telling
	err := eachSaid(ctx, b.tx, at.chart, func(message int64, _ string, t said) error {
		told = append(told, telling{message, t})
		return nil
	})
	if err != nil {
		return err
	}
	for _, y := range b.commits { // what they say is not in the database yet
		s := said{recorded: y.commit.received}
		for _, e := range y.commit.entries {
			if e.key == at.resource && e.context == at.context {
				s.facts = append(s.facts, statement{e.body, micros(e.At)})
			}
		}
		told = append(told, telling{int64(y.commit.id), s})
		if y.commit == x {
			break
		}
	}
	facts, err := b.facts(ctx, at, told, 0, func(int64) string { return "" })
	if err == nil {
		b.replace(at, append(facts, now))
	}
	return err
}

// versionOf is the id of the first run of a content.
func (b *batch) versionOf(ctx context.Context, at layer, r run) (string, error) {
	var content []byte
	err := b.tx.QueryRow(ctx, readContent, r.body).Scan(&content)
	return b.w.r.keys.versionID(at.typ, at.id, r.deleted, at.context, content), err
}
