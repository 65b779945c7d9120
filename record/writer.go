package record

import (
	"context"
	"errors"
	"sync"

	"firebreak/internal/sqldb"
)

// maxGroup bounds how many writes share one transaction, and so one flush.
const maxGroup = 256

var errClosed = errors.New("record: the database is closed")

// writer is the one goroutine that writes. It takes all writes that wait into
// one transaction (group commit): while one group is flushed the next gathers.
type writer struct {
	r     *Record
	queue chan *write
	feeds map[string]int64 // last time of each source written; the writer's own

	closing sync.RWMutex // held for reading while a write is queued
	closed  bool
}

// write is one thing to write; exactly one of put, commit and other is set.
type write struct {
	put    *putting
	commit *committing
	other  func(context.Context, *sqldb.Tx) error
	err    error // why this one alone was refused
	done   chan error
}

func newWriter(r *Record) *writer {
	return &writer{r: r, queue: make(chan *write, maxGroup), feeds: map[string]int64{}}
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
	select {
	case w.queue <- x:
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
		close(w.queue)
	}
}

func (w *writer) run() {
	group := make([]*write, 0, maxGroup)
	for first := range w.queue {
		group = append(group[:0], first)
	more:
		for len(group) < maxGroup {
			select {
			case x, ok := <-w.queue:
				if !ok {
					break more
				}
				group = append(group, x)
			default:
				break more
			}
		}
		w.write(group)
	}
}

// write writes a group in one transaction. When it fails each is tried alone,
// so that one bad write spoils no other.
func (w *writer) write(group []*write) {
	ctx := context.Background()
	err := w.r.db.Write(ctx, func(tx *sqldb.Tx) error { return w.apply(ctx, tx, group) })
	if err != nil && len(group) > 1 && w.r.db.Broken() == nil {
		for _, x := range group {
			w.write([]*write{x})
		}
		return
	}
	for _, x := range group {
		if err != nil {
			x.err = failed("write", err)
		}
		x.done <- x.err
	}
}

func (w *writer) apply(ctx context.Context, tx *sqldb.Tx, group []*write) error {
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
