package record

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"firebreak/internal/sqldb"
	"firebreak/label"
)

// What each message said is kept besides the runs, for two messages may share a
// run, and what each was about may turn out to be sensitive later: see hindsight.

const (
	sayChart = `INSERT INTO said (chart, message, context, facts, dialect) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (chart, message) DO UPDATE SET context = excluded.context, facts = excluded.facts, dialect = excluded.dialect`
	sayAgain = `UPDATE said SET context = $3 WHERE chart = $1 AND message = $2 AND context <> $3`
	saidOf   = `SELECT message, context, facts FROM said WHERE chart = $1 ORDER BY message`
)

// said is what one message said of one chart.
type said struct {
	recorded int64
	apart    bool // it has matters in other charts
	facts    []statement
}

// statement is one content and when it became true.
type statement struct{ body, at int64 }

// bytes are varints: recorded, doubled, and one more for apart; then of each
// fact how much its body and time differ from those of the fact before.
func (t *said) bytes() []byte {
	b := binary.AppendVarint(make([]byte, 0, 16+4*len(t.facts)), 2*t.recorded+number(t.apart))
	var last statement
	for _, f := range t.facts {
		b = binary.AppendVarint(binary.AppendVarint(b, f.body-last.body), f.at-last.at)
		last = f
	}
	return b
}

func readSaid(b []byte) (t said, err error) {
	next := func() int64 {
		x, n := binary.Varint(b)
		if n <= 0 {
			b, err = nil, errors.New("what a message said does not read")
			return 0
		}
		b = b[n:]
		return x
	}
	head := next()
	t.recorded, t.apart = head>>1, head&1 == 1
	for last := (statement{}); len(b) > 0; {
		last.body += next()
		last.at += next()
		t.facts = append(t.facts, last)
	}
	return t, err
}

// say keeps what the batch's messages said, by chart. What an HL7 v2 message said of
// each of two patients was judged by itself; what a source pushed at a time, whole. Of
// a message that moves visits it is kept that there is something to take back.
func (b *batch) say(context.Context) error {
	for _, x := range b.commits {
		var charts []string
		var parts []said
		var about []string // charts that it has matters in
		var contexts []label.Label
		whole := !x.commit.apart
		for _, e := range x.commit.entries {
			i := slices.Index(charts, e.key.chart)
			if i < 0 {
				i = len(charts)
				charts = append(charts, e.key.chart)
				parts = append(parts, said{recorded: x.commit.received, facts: make([]statement, 0, len(x.commit.entries))})
				contexts = append(contexts, "")
			}
			parts[i].facts = append(parts[i].facts, statement{e.body, micros(e.At)})
			if whole {
				i = 0
			}
			contexts[i] = cmp.Or(contexts[i], e.context)
			if !label.Support(e.key.typ) || e.key.typ == "Group" && slices.ContainsFunc(e.Labels(), e.Itself) {
				about = append(about, e.key.chart)
			}
		}
		for i := range parts {
			context := contexts[i]
			if whole {
				context = contexts[0]
			}
			parts[i].apart = whole && slices.ContainsFunc(about, func(chart string) bool { return chart != charts[i] })
			b.add(sayChart, charts[i], int64(x.commit.id), string(context), parts[i].bytes(), x.commit.dialect)
		}
		for _, m := range x.commit.shifts {
			if !slices.Contains(charts, m.From) {
				charts = append(charts, m.From)
				nothing := said{recorded: x.commit.received}
				b.add(sayChart, m.From, int64(x.commit.id), "", nothing.bytes(), x.commit.dialect)
			}
		}
		if a := x.commit.again; a != nil {
			for _, chart := range sortedKeys(a.was) {
				if !slices.Contains(charts, chart) {
					b.add(unsayChart, chart, int64(x.commit.id))
				}
			}
		}
	}
	return nil
}

// eachSaid gives what each message said of a chart, in the order in which they came.
func eachSaid(ctx context.Context, tx *sqldb.Tx, chart string, f func(message int64, context string, t said) error) error {
	return tx.Each(ctx, func(scan func(...any) error) error {
		var message int64
		var context string
		var facts []byte
		if err := scan(&message, &context, &facts); err != nil {
			return err
		}
		t, err := readSaid(facts)
		if err != nil {
			return err
		}
		return f(message, context, t)
	}, saidOf, chart)
}
