package record

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"firebreak/inbox"
	"firebreak/internal/sqldb"
)

// Asked keeps how far sources were read that are asked for what they have, and
// what they were known to have.
type Asked struct {
	r *Record
	turnTimes
}

// Asked is the memory of sources that are asked.
func (r *Record) Asked() Asked { return Asked{r, usualTimes} }

// Turn waits until nobody else, on this node or another, asks a source, and runs
// work until it returns or the turn is lost; as Outbox.Turn. What work is given
// names the turn to Keep and Expect.
func (a Asked) Turn(ctx context.Context, source string, work func(ctx context.Context, turn int64)) error {
	if !a.r.Postgres() { // nobody else can be alive
		work(ctx, 0)
		return nil
	}
	return Outbox(a).Turn(ctx, askTurn+source, work)
}

// askTurn stands before a source in the name of a turn to ask it: no feed is called so.
const askTurn = "ask "

// holdTurn makes sure that a turn to ask is not lost, in a transaction; 0 is no turn.
func holdTurn(ctx context.Context, tx *sqldb.Tx, turn int64, source string) error {
	if turn == 0 {
		return nil
	}
	n, err := tx.Exec(ctx, beatTurn, askTurn+source, turn)
	if err == nil && n == 0 {
		err = ErrTurn
	}
	return err
}

const (
	askedState = `SELECT state FROM asked WHERE source = $1 AND name = $2`
	setAsked   = `INSERT INTO asked (source, name, state) VALUES ($1, $2, $3) ON CONFLICT (source, name) DO UPDATE SET state = excluded.state`
	askedCopy  = `SELECT owner, updated FROM asked_copy WHERE source = $1 AND type = $2 AND id = $3`
	putCopy    = `
		INSERT INTO asked_copy (source, type, id, owner, updated, round) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (source, type, id) DO UPDATE SET round = excluded.round,
			owner = CASE WHEN asked_copy.updated <= excluded.updated THEN excluded.owner ELSE asked_copy.owner END,
			updated = CASE WHEN asked_copy.updated < excluded.updated THEN excluded.updated ELSE asked_copy.updated END`
	expectCopy = `
		INSERT INTO asked_copy (source, type, id, owner, updated, round) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (source, type, id) DO UPDATE SET owner = excluded.owner`
	seeCopy     = `UPDATE asked_copy SET round = $4 WHERE source = $1 AND type = $2 AND id = $3`
	dropCopy    = `DELETE FROM asked_copy WHERE source = $1 AND type = $2 AND id = $3`
	countCopies = `SELECT COUNT(*) FROM asked_copy WHERE source = $1 AND type = $2 AND updated >= $3 AND updated < $4`
	unseen      = `SELECT id, owner, updated FROM asked_copy WHERE source = $1 AND type = $2 AND round < $3 AND id > $4 ORDER BY id LIMIT $5`
)

// State is what was kept under a name; nil when nothing was.
func (a Asked) State(ctx context.Context, source, name string) ([]byte, error) {
	var b []byte
	err := a.r.db.QueryRow(ctx, askedState, source, name).Scan(&b)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, failed("read how far a source was read", err)
	}
	return b, nil
}

// Keep keeps, in one transaction, how far a task has come and what is known by
// then, in a turn that is not lost (ErrTurn). What a page brought must be in the
// inbox before.
func (a Asked) Keep(ctx context.Context, turn int64, source, name string, state []byte, p inbox.Asked) error {
	stmts := []sqldb.Stmt{{SQL: setAsked, Args: []any{source, name, state}}}
	for _, k := range p.Have {
		stmts = append(stmts, sqldb.Stmt{SQL: putCopy, Args: []any{source, p.Type, k.ID, k.Owner, micros(k.Updated), p.Round}})
	}
	for _, id := range p.Seen {
		stmts = append(stmts, sqldb.Stmt{SQL: seeCopy, Args: []any{source, p.Type, id, p.Round}})
	}
	for _, id := range p.Gone {
		stmts = append(stmts, sqldb.Stmt{SQL: dropCopy, Args: []any{source, p.Type, id}})
	}
	return a.write(ctx, turn, source, stmts)
}

// Expect notes copies, and whose they are, before their messages are in the
// inbox, in a turn; Keep follows when they are.
func (a Asked) Expect(ctx context.Context, turn int64, source, typ string, round int64, all []inbox.Known) error {
	var stmts []sqldb.Stmt
	for _, k := range all {
		stmts = append(stmts, sqldb.Stmt{SQL: expectCopy, Args: []any{source, typ, k.ID, k.Owner, micros(k.Updated), round}})
	}
	return a.write(ctx, turn, source, stmts)
}

// write writes while the turn holds: ErrTurn, and nothing, when it is lost.
func (a Asked) write(ctx context.Context, turn int64, source string, stmts []sqldb.Stmt) error {
	lost, err := give(ctx, a.r.writer, func(ctx context.Context, tx *sqldb.Tx) (lost bool, err error) {
		switch err := holdTurn(ctx, tx, turn, source); {
		case errors.Is(err, ErrTurn):
			return true, nil
		case err != nil:
			return false, err
		}
		return false, tx.Batch(ctx, stmts)
	})
	if err == nil && lost {
		return ErrTurn
	}
	return err
}

// Known gives those of ids that a source is known to have.
func (a Asked) Known(ctx context.Context, source, typ string, ids []string) (map[string]inbox.Known, error) {
	known := make(map[string]inbox.Known, len(ids))
	for _, id := range ids {
		k, updated := inbox.Known{ID: id}, int64(0)
		err := a.r.db.QueryRow(ctx, askedCopy, source, typ, id).Scan(&k.Owner, &updated)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, failed("read what a source has", err)
		}
		k.Updated = fromMicros(updated)
		known[id] = k
	}
	return known, nil
}

// Count counts what a source is known to have that changed at or after from and
// before to; zero times bound nothing.
func (a Asked) Count(ctx context.Context, source, typ string, from, to time.Time) (n int, err error) {
	if to.IsZero() {
		to = time.UnixMicro(1<<62 - 1)
	}
	first := int64(-1 << 62)
	if !from.IsZero() {
		first = micros(from)
	}
	var count int64
	if err := a.r.db.QueryRow(ctx, countCopies, source, typ, first, micros(to)).Scan(&count); err != nil {
		return 0, failed("count what a source has", err)
	}
	return int(count), nil
}

// Unseen gives what a source is known to have and no listing since round showed,
// by id, beginning after one of them.
func (a Asked) Unseen(ctx context.Context, source, typ string, round int64, after string, limit int) ([]inbox.Known, error) {
	rows, err := a.r.db.Query(ctx, unseen, source, typ, round, after, int64(limit))
	if err != nil {
		return nil, failed("read what a source has", err)
	}
	defer rows.Close()
	var all []inbox.Known
	for rows.Next() {
		var k inbox.Known
		var updated int64
		if err := rows.Scan(&k.ID, &k.Owner, &updated); err != nil {
			return nil, failed("read what a source has", err)
		}
		k.Updated = fromMicros(updated)
		all = append(all, k)
	}
	if err := rows.Err(); err != nil {
		return nil, failed("read what a source has", err)
	}
	return all, nil
}
