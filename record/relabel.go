package record

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"

	"firebreak/fhir"
	"firebreak/internal/sqldb"
)

const (
	relabelStep = 500 // contents judged in one transaction, and the rest of the last message's

	bodiesAfter = `SELECT b.id, b.chart, b.message, b.json, i.source FROM body b JOIN inbox i ON i.id = b.message WHERE b.id > $1 ORDER BY b.id LIMIT $2`
	setLabels   = `UPDATE version SET rules = $5, labels = $6 WHERE chart = $1 AND type = $2 AND id = $3 AND body = $4`
	newLabels   = setLabels + ` AND rules <> $5`
	dropReason  = `DELETE FROM reason WHERE chart = $1 AND body = $2`
	touchChart  = `UPDATE chart SET version = version + 1 WHERE chart = $1`
	readSetting = `SELECT value FROM setting WHERE name = $1`
	setSetting  = `INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value`
)

// content is one stored body.
type content struct {
	id      int64
	chart   string
	message int64
	source  string // of the message
	res     fhir.Resource
}

// progress is how far contents were judged by which rules.
type progress struct {
	Rules string `json:"rules"`
	After int64  `json:"after"` // body.id
	Done  bool   `json:"done"`
}

// Relabel judges again, by Config.Rules, what other rules judged, a message at
// a time as it once came, while reads and writes go on. Until its turn a row is
// withheld. It returns how many contents it looked at, and goes on where it was
// broken off. A database that is all judged by today's rules costs one lookup.
func (r *Record) Relabel(ctx context.Context) (int64, error) {
	if err := r.rejudge(ctx); err != nil {
		return 0, err
	}
	r.judging.Lock()
	defer r.judging.Unlock()
	p, err := r.relabelled(ctx)
	if err != nil {
		return 0, err
	}
	if p.Rules != r.c.Rules.Version() {
		p = progress{Rules: r.c.Rules.Version()}
		// Other rules know other codes: the uses are found again as it goes.
		if err := r.writer.exec(ctx, dropUses); err != nil {
			return 0, err
		}
	}
	var judged int64
	for !p.Done {
		step, err := r.contents(ctx, p.After)
		if err != nil {
			return judged, err
		}
		if p.Done = len(step) == 0; !p.Done {
			p.After = step[len(step)-1].id
		}
		if err := r.relabel(ctx, step, p); err != nil {
			return judged, err
		}
		judged += int64(len(step))
	}
	return judged, nil
}

func (r *Record) relabelled(ctx context.Context) (p progress, err error) {
	var value []byte
	err = r.db.QueryRow(ctx, readSetting, "relabelled").Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return p, nil
	}
	if err == nil {
		err = json.Unmarshal(value, &p)
	}
	if err != nil {
		return p, failed("relabel", err)
	}
	return p, nil
}

// contents reads the next contents, whole messages at a time.
func (r *Record) contents(ctx context.Context, after int64) ([]content, error) {
	for limit := relabelStep; ; limit *= 2 {
		all, err := r.contentsOf(ctx, bodiesAfter, after, int64(limit))
		if err != nil {
			return nil, err
		}
		switch last := len(all) - 1; {
		case len(all) < limit:
			return all, nil
		case all[0].message != all[last].message:
			m := all[last].message
			return slices.DeleteFunc(all, func(c content) bool { return c.message == m }), nil
		}
	}
}

// contentsOf reads the contents that a query of these columns finds.
func (r *Record) contentsOf(ctx context.Context, query string, args ...any) (all []content, err error) {
	err = r.db.Each(ctx, func(scan func(...any) error) error {
		var c content
		var b []byte
		err := scan(&c.id, &c.chart, &c.message, &b, &c.source)
		if err != nil {
			return err
		}
		if c.res, err = fhir.Take(b); err != nil {
			return errors.New("a stored resource does not read")
		}
		all = append(all, c)
		return nil
	}, query, args...)
	return all, failed("relabel", err)
}

func (r *Record) relabel(ctx context.Context, step []content, p progress) error {
	note, err := json.Marshal(p)
	if err != nil {
		return failed("relabel", err)
	}
	return r.steadily(ctx, func() error {
		j := r.newJudging()
		for left := step; len(left) > 0; {
			n := slices.IndexFunc(left, func(c content) bool { return c.message != left[0].message })
			if n < 0 {
				n = len(left)
			}
			j.message(newLabels, left[:n])
			left = left[n:]
		}
		return j.write(ctx, sqldb.Stmt{SQL: setSetting, Args: []any{"relabelled", note}})
	})
}

// judging is what to write when contents are judged again.
type judging struct {
	r      *Record
	stmts  []sqldb.Stmt
	charts map[string]bool
	rounds map[string]int64 // of local codes, by key: the decision that was judged by
}

func (r *Record) newJudging() *judging {
	return &judging{r: r, charts: map[string]bool{}, rounds: map[string]int64{}}
}

// message judges the contents that one message brought, together. set is what
// sets their labels.
func (j *judging) message(set string, all []content) {
	if len(all) == 0 {
		return
	}
	message := make([]fhir.Resource, len(all))
	for i, c := range all {
		message[i] = c.res
	}
	for i, l := range j.r.c.Rules.Label(all[0].source, message) {
		c := all[i]
		j.charts[c.chart] = true
		j.add(set, c.chart, c.res.Type(), c.res.ID(), c.id, l.RulesVersion(), joinLabels(l.Labels()))
		j.add(dropReason, c.chart, c.id)
		if reasons := reasonsOf(l); reasons != "" {
			j.add(addReason, c.chart, c.id, reasons)
		}
		if u := l.Use(); u != nil {
			key := codeKey(u.Code)
			j.rounds[key] = u.Round
			j.add(keepCode, key, u.Source, u.System, u.Code.Code, u.Display, u.Element, micros(j.r.c.Now()))
			j.add(addUse, key, c.id, c.chart, c.message, all[0].id, all[len(all)-1].id, u.Round)
		}
	}
}

func (j *judging) add(text string, args ...any) {
	j.stmts = append(j.stmts, sqldb.Stmt{SQL: text, Args: args})
}

// write writes it, unless a code has been decided on since: errDecided.
func (j *judging) write(ctx context.Context, last sqldb.Stmt) error {
	decided := false
	err := j.r.writer.do(ctx, &write{judges: true, other: func(ctx context.Context, tx *sqldb.Tx) error {
		var touch []sqldb.Stmt // charts before codes, as commits lock them
		for _, c := range sortedKeys(j.charts) {
			touch = append(touch, sqldb.Stmt{SQL: touchChart, Args: []any{c}})
		}
		if err := tx.Batch(ctx, touch); err != nil {
			return err
		}
		var asks []sqldb.Stmt
		decided = false
		for _, key := range sortedKeys(j.rounds) {
			asks = append(asks, sqldb.Stmt{SQL: roundOf + j.r.db.Hold(), Args: []any{key}, Row: func(scan func(...any) error) error {
				var round int64
				err := scan(&round)
				decided = decided || round > j.rounds[key]
				return err
			}})
		}
		if err := tx.Batch(ctx, asks); err != nil || decided {
			return err
		}
		return tx.Batch(ctx, append(j.stmts, last))
	}})
	if err == nil && decided {
		return errDecided
	}
	return err
}
