package record

import (
	"context"
	"slices"
	"time"

	"firebreak/internal/sqldb"
	"firebreak/label"
)

// lines are what is known of one chart's runs.
type lines struct {
	of    map[layer]*line
	whole bool              // what is not in of is not in the database either
	asked map[resource]bool // when not whole: what was read of it
	size  int               // as memory counts it
}

// line is the runs of one resource in one layer, in order, and the labels of
// each content.
type line struct {
	runs     []run
	markings []marking
}

// marking is the labels of one content.
type marking struct {
	body          int64
	rules, labels string
}

func (l *lines) line(at layer) *line {
	x := l.of[at]
	if x == nil {
		x = &line{}
		if l.of == nil {
			l.of = map[layer]*line{}
		}
		l.of[at] = x
	}
	return x
}

func (l *line) marking(body int64) *marking {
	for i := range l.markings {
		if l.markings[i].body == body {
			return &l.markings[i]
		}
	}
	return nil
}

// judge notes the labels that a message gives to a content. When two messages
// judge the same content differently it has the labels of both: one saw what
// the other could not. It tells whether stored labels must change.
func (l *line) judge(body int64, e *entry) bool {
	m := l.marking(body)
	if m == nil {
		l.markings = append(l.markings, marking{body, e.rules, e.labels})
		return false
	}
	if m.rules != e.rules {
		m.rules, m.labels = e.rules, e.labels
		return true
	}
	if m.labels == e.labels {
		return false
	}
	both := append(splitLabels(m.labels), e.Labels()...)
	slices.Sort(both)
	if labels := joinLabels(slices.Compact(both)); labels != m.labels {
		m.labels = labels
		return true
	}
	return false
}

// inTurn is when what a source pushed became true: of its pushes of one resource each
// comes after those that were taken in before it, though the clock of the node that took
// it is behind theirs, or was set back. What was held is no later by that.
func (l *line) inTurn(at time.Time, x *committing) time.Time {
	seq, t := int64(x.id), micros(at)
	for _, r := range l.runs {
		if r.source != x.source {
			continue
		}
		switch {
		case r.last.seq < seq:
			t = max(t, r.last.at)
		case r.first.seq < seq:
			t = max(t, r.first.at)
		}
	}
	for _, r := range l.runs {
		if r.source != x.source {
			continue
		}
		switch {
		case r.first.seq > seq:
			t = min(t, r.first.at)
		case r.last.seq > seq:
			t = min(t, r.last.at)
		}
	}
	return fromMicros(t)
}

const (
	findRuns   = `SELECT type, id, version, at, seq, until, until_seq, recorded, source, deleted, body, rules, labels FROM version WHERE chart = $1 AND type = $2 AND id = $3`
	findChart  = `SELECT type, id, version, at, seq, until, until_seq, recorded, source, deleted, body, rules, labels FROM version WHERE chart = $1 LIMIT $2`
	findOwner  = `SELECT source FROM version WHERE chart = $1 LIMIT 1`
	addChart   = `INSERT INTO chart (chart, version, updated, root) VALUES ($1, 0, 0, '') ON CONFLICT (chart) DO NOTHING`
	holdChart  = `SELECT version FROM chart WHERE chart = $1` // and DB.Hold
	addVersion = `INSERT INTO version (chart, type, id, version, at, seq, until, until_seq, recorded, source, deleted, body, rules, labels) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`
	moveRun    = `UPDATE version SET at = $1, seq = $2, until = $3, until_seq = $4, recorded = $5 WHERE chart = $6 AND type = $7 AND id = $8 AND version = $9`
)

// recall takes what the writer remembers of the charts concerned.
func (b *batch) recall(ctx context.Context) (err error) {
	for _, x := range b.commits {
		if a := x.commit.again; a != nil {
			if a.was, err = b.before(ctx, int64(x.commit.id)); err != nil {
				return err
			}
			for chart := range a.was {
				if b.charts[chart] == nil {
					if l := b.w.memory.take(chart); l != nil {
						b.charts[chart] = l
					}
				}
			}
		}
		for _, e := range x.commit.entries {
			if b.charts[e.key.chart] == nil {
				if l := b.w.memory.take(e.key.chart); l != nil {
					b.charts[e.key.chart] = l
				}
			}
		}
	}
	return nil
}

// hold makes sure of every chart's row and, on PostgreSQL, locks it in an order
// that all nodes share: from here on nobody else changes these charts.
func (b *batch) hold(ctx context.Context) error {
	charts := map[string]bool{}
	for _, x := range b.commits {
		for _, e := range x.commit.entries {
			if b.charts[e.key.chart] == nil { // what is remembered has its row
				charts[e.key.chart] = true
			}
			if e.inDirectory() {
				charts[directories] = true
			}
		}
		for _, chart := range x.commit.named {
			if b.charts[chart] == nil {
				charts[chart] = true
			}
		}
		if p := x.commit.part; p != nil {
			charts[p.Chart] = true
		}
		for _, l := range x.commit.links {
			charts[l.From], charts[l.Into] = true, true
		}
		if a := x.commit.again; a != nil {
			charts[directories] = true
			for chart := range a.was {
				charts[chart] = true
			}
		}
	}
	return b.holdCharts(ctx, sortedKeys(charts))
}

func (b *batch) holdCharts(ctx context.Context, charts []string) error {
	var stmts []sqldb.Stmt
	for _, c := range charts {
		stmts = append(stmts, sqldb.Stmt{SQL: addChart, Args: []any{c}})
		if hold := b.w.r.db.Hold(); hold != "" {
			stmts = append(stmts, sqldb.Stmt{SQL: holdChart + hold, Args: []any{c}, Row: func(scan func(...any) error) error {
				var version int64
				return scan(&version)
			}})
		}
	}
	return b.tx.Batch(ctx, stmts)
}

// read reads what is known of each resource: where the writer can remember it,
// the whole of a chart unless it is long.
func (b *batch) read(ctx context.Context) error {
	if !b.w.r.db.Postgres() {
		if err := b.readCharts(ctx); err != nil {
			return err
		}
	}
	var stmts []sqldb.Stmt
	for _, x := range b.commits {
		for _, e := range x.commit.entries {
			if _, asked := b.owners[e.key.chart]; e.Alias && !asked {
				b.owners[e.key.chart] = ""
				stmts = append(stmts, sqldb.Stmt{SQL: findOwner, Args: []any{e.key.chart}, Row: func(scan func(...any) error) error {
					var owner string
					err := scan(&owner)
					b.owners[e.key.chart] = owner
					return err
				}})
			}
			l := b.charts[e.key.chart]
			if l == nil {
				l = &lines{}
				b.charts[e.key.chart] = l
			}
			if l.whole || l.asked[e.key] {
				continue
			}
			if l.asked == nil {
				l.asked = map[resource]bool{}
			}
			l.asked[e.key] = true
			stmts = append(stmts, sqldb.Stmt{SQL: findRuns, Args: []any{e.key.chart, e.key.typ, e.key.id}, Row: l.scan(e.key.chart)})
		}
	}
	if err := b.tx.Batch(ctx, stmts); err != nil {
		return err
	}
	for _, l := range b.charts {
		for _, x := range l.of {
			slices.SortFunc(x.runs, run.order)
		}
	}
	return nil
}

func (b *batch) readCharts(ctx context.Context) error {
	var stmts []sqldb.Stmt
	var fresh []*lines
	for _, x := range b.commits {
		for _, e := range x.commit.entries {
			if b.charts[e.key.chart] != nil {
				continue
			}
			l := &lines{}
			b.charts[e.key.chart] = l
			fresh = append(fresh, l)
			stmts = append(stmts, sqldb.Stmt{SQL: findChart, Args: []any{e.key.chart, int64(longChart)}, Row: l.scan(e.key.chart)})
		}
	}
	if err := b.tx.Batch(ctx, stmts); err != nil {
		return err
	}
	for _, l := range fresh {
		if l.whole = l.runs() < longChart; !l.whole {
			l.of = nil
		}
	}
	return nil
}

func (l *lines) runs() (n int) {
	for _, x := range l.of {
		n += len(x.runs)
	}
	return n
}

// scan reads rows of findRuns and findChart.
func (l *lines) scan(chart string) func(func(...any) error) error {
	var last run
	var lastMark marking
	return func(scan func(...any) error) error {
		var r run
		var m marking
		var deleted int64
		key := resource{chart: chart}
		if err := scan(&key.typ, &key.id, &r.version, &r.first.at, &r.first.seq, &r.last.at, &r.last.seq, &r.recorded, &r.source, &deleted, &r.body, &m.rules, &m.labels); err != nil {
			return err
		}
		r.deleted, m.body = deleted != 0, r.body
		if r.source == last.source { // most rows share these: hold them once
			r.source = last.source
		}
		if m.rules == lastMark.rules {
			m.rules = lastMark.rules
		}
		last, lastMark = r, m
		x := l.line(layer{key, contextOf(m.labels)})
		x.runs = append(x.runs, r)
		if x.marking(r.body) == nil {
			x.markings = append(x.markings, m)
		}
		return nil
	}
}

// of is the line that an entry belongs to.
func (b *batch) of(e *entry) *line { return b.charts[e.key.chart].line(layer{e.key, e.context}) }

// write queues what changed in a line.
func (b *batch) write(key resource, l *line) {
	for i := range l.runs {
		r := &l.runs[i]
		switch {
		case r.fresh:
			m := l.marking(r.body)
			b.add(addVersion, key.chart, key.typ, key.id, r.version, r.first.at, r.first.seq, r.last.at, r.last.seq,
				r.recorded, r.source, number(r.deleted), r.body, m.rules, m.labels)
		case r.moved:
			b.add(moveRun, r.first.at, r.first.seq, r.last.at, r.last.seq, r.recorded, key.chart, key.typ, key.id, r.version)
		}
		r.fresh, r.moved = false, false
	}
}

// judged is a run with its labels, which belong to its content.
type judged struct {
	run
	rules, labels string
}

func contextOf(labels string) label.Label {
	for _, l := range splitLabels(labels) {
		if l.Internal() {
			return l
		}
	}
	return ""
}
