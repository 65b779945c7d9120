package record

import (
	"context"
	"crypto/sha256"

	"firebreak/inbox"
	"firebreak/internal/sqldb"
)

// putting is a message on its way into the inbox.
type putting struct {
	m       inbox.Message
	digest  []byte
	receipt inbox.Receipt
}

// Put takes a message in; see inbox.Sink. The same message again (source,
// control id and content) is stored once, however many put it at once: the
// unique key decides. A control id that comes with other content is a new
// message, flagged.
func (r *Record) Put(ctx context.Context, m inbox.Message) (inbox.Receipt, error) {
	sum := sha256.Sum256(m.Body)
	p := &putting{m: m, digest: sum[:16]}
	if err := r.writer.do(ctx, &write{put: p}); err != nil {
		return inbox.Receipt{}, err
	}
	return p.receipt, nil
}

const (
	putMessage = `
		INSERT INTO inbox (source, kind, control, digest, peer, received, flagged, body)
		VALUES ($1, $2, $3, $4, $5, $6,
			CASE WHEN $3 <> '' AND EXISTS (SELECT 1 FROM inbox WHERE source = $1 AND control = $3) THEN 1 ELSE 0 END, $7)
		ON CONFLICT (source, control, digest) DO NOTHING
		RETURNING id, flagged`
	findMessage = `SELECT id, flagged FROM inbox WHERE source = $1 AND control = $2 AND digest = $3`
	addTodo     = `INSERT INTO todo (id, held, reason) VALUES ($1, 0, '')`
	setFeed     = `
		INSERT INTO feed (source, received) VALUES ($1, $2)
		ON CONFLICT (source) DO UPDATE SET received = excluded.received WHERE feed.received < excluded.received`
)

// feedEvery is how exactly the time of a feed's last message is kept.
const feedEvery = 1_000_000 // microseconds

func (w *writer) put(ctx context.Context, tx *sqldb.Tx, puts []*putting) error {
	if len(puts) == 0 {
		return nil
	}
	stmts := make([]sqldb.Stmt, 0, len(puts))
	latest := map[string]int64{}
	for _, p := range puts {
		p.receipt = inbox.Receipt{Duplicate: true}
		received := micros(p.m.Received)
		latest[p.m.Source] = max(latest[p.m.Source], received)
		stmts = append(stmts, sqldb.Stmt{
			SQL:  putMessage,
			Args: []any{p.m.Source, string(p.m.Kind), p.m.ControlID, p.digest, p.m.Peer, received, p.m.Body},
			Row: func(scan func(...any) error) error {
				p.receipt.Duplicate = false
				return scanReceipt(scan, &p.receipt)
			},
		})
	}
	if err := tx.Batch(ctx, stmts); err != nil {
		return err
	}
	stmts = stmts[:0]
	type count struct {
		slot   int64
		source string
	}
	came := map[count]int64{}
	for _, p := range puts {
		if p.receipt.Duplicate {
			stmts = append(stmts, sqldb.Stmt{
				SQL:  findMessage,
				Args: []any{p.m.Source, p.m.ControlID, p.digest},
				Row:  func(scan func(...any) error) error { return scanReceipt(scan, &p.receipt) },
			})
			continue
		}
		stmts = append(stmts, sqldb.Stmt{SQL: addTodo, Args: []any{int64(p.receipt.ID)}})
		if p.m.Source != inbox.Own {
			came[count{slotOf(p.m.Received), p.m.Source}]++
		}
	}
	for c, n := range came {
		stmts = append(stmts, sqldb.Stmt{SQL: addTally, Args: []any{c.slot, c.source, w.r.c.Node, n}})
	}
	for source, at := range latest {
		if at >= w.feeds[source]+feedEvery && source != inbox.Own { // which is no feed, and who looks at the list must not show
			stmts = append(stmts, sqldb.Stmt{SQL: setFeed, Args: []any{source, at}})
			w.feeds[source] = at
		}
	}
	return tx.Batch(ctx, stmts)
}

func scanReceipt(scan func(...any) error, r *inbox.Receipt) error {
	var id, flagged int64
	if err := scan(&id, &flagged); err != nil {
		return err
	}
	r.ID, r.Flagged = inbox.ID(id), flagged != 0
	return nil
}
