package record

import (
	"context"
	"time"

	"firebreak/audit"
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
		if err := r.writer.exec(context.WithoutCancel(ctx), addAnchor, r.c.Node, head.N, head.Hash); err != nil {
			r.c.Logger.Error("the audit log could not be anchored", "error", err)
			continue
		}
		last = head.N
	}
}

// Anchors are the entries of this node's audit log that the database knows, for
// audit.Verify.
func (r *Record) Anchors(ctx context.Context) (all []audit.Anchor, err error) {
	err = r.db.Each(ctx, func(scan func(...any) error) error {
		var a audit.Anchor
		err := scan(&a.N, &a.Hash)
		all = append(all, a)
		return err
	}, readAnchors, r.c.Node)
	return all, failed("read the audit anchors", err)
}
