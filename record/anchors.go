package record

import (
	"context"
	"time"

	"firebreak/audit"
	"firebreak/internal/sqldb"
)

// anchorEvery is how often the audit log's head is written into the database,
// while it grows.
const anchorEvery = time.Minute

const (
	addAnchor   = `INSERT INTO anchor (node, n, hash) VALUES ($1, $2, $3) ON CONFLICT (node, n) DO NOTHING`
	readAnchors = `SELECT n, hash FROM anchor WHERE node = $1 ORDER BY n`
)

// anchors pins the audit log down in the database until ctx ends.
func (r *Record) anchors(ctx context.Context) {
	tick := time.NewTicker(anchorEvery)
	defer tick.Stop()
	var last int64
	for done := false; !done; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			done = true
		}
		head := r.c.Log.Head()
		if head.N == last {
			continue
		}
		err := r.writer.do(context.WithoutCancel(ctx), &write{other: func(ctx context.Context, tx *sqldb.Tx) error {
			_, err := tx.Exec(ctx, addAnchor, r.c.Node, head.N, head.Hash)
			return err
		}})
		if err != nil {
			r.c.Logger.Error("the audit log could not be anchored", "error", err)
			continue
		}
		last = head.N
	}
}

// Anchors are the entries of this node's audit log that the database knows, for
// audit.Verify.
func (r *Record) Anchors(ctx context.Context) ([]audit.Anchor, error) {
	rows, err := r.db.Query(ctx, readAnchors, r.c.Node)
	if err != nil {
		return nil, failed("read the audit anchors", err)
	}
	defer rows.Close()
	var all []audit.Anchor
	for rows.Next() {
		var a audit.Anchor
		if err := rows.Scan(&a.N, &a.Hash); err != nil {
			return nil, failed("read the audit anchors", err)
		}
		all = append(all, a)
	}
	if err := rows.Err(); err != nil {
		return nil, failed("read the audit anchors", err)
	}
	return all, nil
}
