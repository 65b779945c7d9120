package record

import (
	"context"
	"errors"
	"slices"
	"sync"

	"firebreak/internal/sqldb"
)

// Bounds of one transaction, and so of what shares one flush. What is taken in
// waits to be acknowledged, so a group has few commits: a sender's wait is
// about twice a group.
const (
	maxGroup   = 256 // writes
	maxEntries = 384 // resources of all commits, but for a single larger one
)

var errClosed = errors.New("record: the database is closed")

// writer is the one goroutine that writes. It takes what waits into one
// transaction (group commit): while one group is flushed the next gathers.
type writer struct {
	r       *Record
	first   chan *write       // what goes before commits
	commits chan *write       //
	over    *write            // a commit that the last group had no room for; the writer's own
	feeds   map[string]int64  // last time of each source written; the writer's own
	memory  memory            // the writer's own
	charts  map[string]*lines // of the transaction under way, to be remembered

	closing sync.RWMutex // held for reading while a write is queued
	closed  bool
}

// write is one thing to write; exactly one of put, commit and other is set.
type write struct {
	put    *putting
	commit *committing
	other  func(context.Context, *sqldb.Tx) error
	judges bool  // other changes labels
	err    error // why this one alone was refused
	done   chan error
}

func newWriter(r *Record) *writer {
	return &writer{r: r, first: make(chan *write, maxGroup), commits: make(chan *write, maxGroup), feeds: map[string]int64{}}
}

// do queues w and waits until it is durable. When ctx ends first, w may be
// written all the same.
func (w *writer) do(ctx context.Context, x *write) error {
	x.done = make(chan error, 1)
	if err := w.enqueue(ctx, x); err != nil {
		return err
	}
	select {
	case err := <-x.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *writer) enqueue(ctx context.Context, x *write) error {
	w.closing.RLock()
	defer w.closing.RUnlock()
	if w.closed {
		return errClosed
	}
	queue := w.first
	if x.commit != nil {
		queue = w.commits
	}
	select {
	case queue <- x:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *writer) close() {
	w.closing.Lock()
	defer w.closing.Unlock()
	if !w.closed {
		w.closed = true
		close(w.first)
		close(w.commits)
	}
}

func (w *writer) run() {
	group := make([]*write, 0, maxGroup)
	first, commits := w.first, w.commits
	for first != nil || commits != nil || w.over != nil {
		group = group[:0]
		if w.over == nil {
			select {
			case x, ok := <-first:
				if !ok {
					first = nil
					continue
				}
				group = append(group, x)
			case x, ok := <-commits:
				if !ok {
					commits = nil
					continue
				}
				w.over = x
			}
		}
		w.write(w.gather(group))
	}
}

// gather adds what waits to a group: first what goes first, then commits as
// far as there is room.
func (w *writer) gather(group []*write) []*write {
	for len(group) < maxGroup/2 {
		select {
		case x, ok := <-w.first:
			if ok {
				group = append(group, x)
				continue
			}
		default:
		}
		break
	}
	for entries := 0; len(group) < maxGroup; {
		if w.over == nil {
			select {
			case w.over = <-w.commits: // nil when closed
			default:
			}
		}
		if w.over == nil {
			break
		}
		n := len(w.over.commit.entries)
		if entries > 0 && entries+n > maxEntries {
			break
		}
		entries += n
		group = append(group, w.over)
		w.over = nil
	}
	return group
}

// write writes a group in one transaction. When it fails each is tried alone,
// so that one bad write spoils no other.
func (w *writer) write(group []*write) {
	ctx := context.Background()
	err := w.r.db.Write(ctx, func(tx *sqldb.Tx) error {
		tx.Watch(w.r.changes.watch)
		return w.apply(ctx, tx, group)
	})
	w.r.changes.end()
	if err != nil && len(group) > 1 && w.r.db.Broken() == nil {
		for _, x := range group {
			w.write([]*write{x})
		}
		return
	}
	if err == nil {
		w.remember(group)
	}
	for _, x := range group {
		if err != nil {
			x.err = failed("write", err)
		}
		x.done <- x.err
	}
}

// remember keeps what is known of charts after a transaction.
func (w *writer) remember(group []*write) {
	if w.r.db.Postgres() {
		return
	}
	for chart, l := range w.charts {
		w.memory.put(chart, l)
	}
	if slices.ContainsFunc(group, func(x *write) bool { return x.judges }) {
		w.memory.forget()
	}
}

func (w *writer) apply(ctx context.Context, tx *sqldb.Tx, group []*write) error {
	w.charts = nil
	var puts []*putting
	var commits []*write
	for _, x := range group {
		x.err = nil
		switch {
		case x.put != nil:
			puts = append(puts, x.put)
		case x.commit != nil:
			commits = append(commits, x)
		}
	}
	if err := w.put(ctx, tx, puts); err != nil {
		return err
	}
	if err := w.commit(ctx, tx, commits); err != nil {
		return err
	}
	for _, x := range group {
		if x.other != nil {
			if err := x.other(ctx, tx); err != nil {
				return err
			}
		}
	}
	return nil
}
