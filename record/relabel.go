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

	bodiesAfter = `SELECT id, chart, message, json FROM body WHERE id > $1 ORDER BY id LIMIT $2`
	setLabels   = `UPDATE version SET rules = $5, labels = $6 WHERE chart = $1 AND type = $2 AND id = $3 AND body = $4 AND rules <> $5`
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
	p, err := r.relabelled(ctx)
	if err != nil {
		return 0, err
	}
	if p.Rules != r.c.Rules.Version() {
		p = progress{Rules: r.c.Rules.Version()}
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
	var all []content
	for limit := relabelStep; ; limit *= 2 {
		rows, err := r.db.Query(ctx, bodiesAfter, after, int64(limit))
		if err != nil {
			return nil, failed("relabel", err)
		}
		all = all[:0]
		for rows.Next() {
			var c content
			var b []byte
			if err = rows.Scan(&c.id, &c.chart, &c.message, &b); err != nil {
				break
			}
			if c.res, err = fhir.Parse(b); err != nil {
				err = errors.New("a stored resource does not read")
				break
			}
			all = append(all, c)
		}
		rows.Close()
		if err = errors.Join(err, rows.Err()); err != nil {
			return nil, failed("relabel", err)
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

func (r *Record) relabel(ctx context.Context, step []content, p progress) error {
	note, err := json.Marshal(p)
	if err != nil {
		return failed("relabel", err)
	}
	var stmts []sqldb.Stmt
	charts := map[string]bool{}
	for len(step) > 0 {
		n := slices.IndexFunc(step, func(c content) bool { return c.message != step[0].message })
		if n < 0 {
			n = len(step)
		}
		message := make([]fhir.Resource, n)
		for i, c := range step[:n] {
			message[i] = c.res
		}
		for i, l := range r.c.Rules.Label(message) {
			c := step[i]
			charts[c.chart] = true
			stmts = append(stmts,
				sqldb.Stmt{SQL: setLabels, Args: []any{c.chart, c.res.Type(), c.res.ID(), c.id, l.RulesVersion(), joinLabels(l.Labels())}},
				sqldb.Stmt{SQL: dropReason, Args: []any{c.chart, c.id}})
			if reasons := l.Reasons(); len(reasons) > 0 {
				b, err := json.Marshal(reasons)
				if err != nil {
					return failed("relabel", err)
				}
				stmts = append(stmts, sqldb.Stmt{SQL: addReason, Args: []any{c.chart, c.id, string(b)}})
			}
		}
		step = step[n:]
	}
	return r.writer.do(ctx, &write{judges: true, other: func(ctx context.Context, tx *sqldb.Tx) error {
		var touch []sqldb.Stmt
		for _, c := range sortedKeys(charts) {
			touch = append(touch, sqldb.Stmt{SQL: touchChart, Args: []any{c}})
		}
		if err := tx.Batch(ctx, touch); err != nil {
			return err
		}
		return tx.Batch(ctx, append(stmts, sqldb.Stmt{SQL: setSetting, Args: []any{"relabelled", note}}))
	}})
}
