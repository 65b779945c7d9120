package record

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"firebreak/internal/sqldb"
)

// Bounds of one transaction, and so of what shares one flush. What is taken in
// waits to be acknowledged, so a group has few commits. For a commit nobody
// waits so eagerly: alone it waits a little for others to share a transaction with.
// What is taken in waits a moment for the senders that were answered just before.
const (
	maxGroup   = 256 // writes
	maxEntries = 192 // resources of all commits, but for a single larger one
	commitWait = 2 * time.Millisecond
	putWait    = time.Millisecond
)

var errClosed = errors.New("record: the database is closed")

// writer is the one goroutine that writes. It takes what waits into one
// transaction (group commit): while one group is flushed the next gathers.
type writer struct {
	r      *Record
	feeds  map[string]int64  // last time of each source written; the goroutine's own
	memory memory            // the goroutine's own
	charts map[string]*lines // of the transaction under way, to be remembered
	moving bool              // visits were moved, as far as is known; the goroutine's own
	asked  bool              // it was looked whether they were
	late   bool              // in it something was judged by an old decision; the goroutine's own

	wake    chan struct{} // something waits, or closed; one is enough
	mu      sync.Mutex
	first   []*write // what goes before commits
	commits []*write
	senders int       // that may soon wait in first: so many did, or were just answered
	since   time.Time // senders were counted
	closed  bool
}

// write is one thing to write; exactly one of put, commit and other is set.
type write struct {
	put    *putting
	commit *committing
	other  func(context.Context, *sqldb.Tx) error
	judges bool      // other changes labels
	since  time.Time // when it came
	err    error     // why this one alone was refused
	done   chan error
}

func newWriter(r *Record) *writer {
	return &writer{r: r, feeds: map[string]int64{}, wake: make(chan struct{}, 1)}
}

// do queues w and waits until it is durable. When ctx ends first, w may be
// written all the same.
func (w *writer) do(ctx context.Context, x *write) error {
	x.done, x.since = make(chan error, 1), time.Now()
	if !w.enqueue(x) {
		return errClosed
	}
	select {
	case err := <-x.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// give is do for what answers. When ctx ends first the write may still be under
// way: what it has so far is not looked at.
func give[T any](ctx context.Context, w *writer, other func(context.Context, *sqldb.Tx) (T, error)) (T, error) {
	var answer, none T
	err := w.do(ctx, &write{other: func(ctx context.Context, tx *sqldb.Tx) (err error) {
		answer, err = other(ctx, tx)
		return err
	}})
	if err != nil {
		return none, err
	}
	return answer, nil
}

// exec writes one statement; as do.
func (w *writer) exec(ctx context.Context, text string, args ...any) error {
	_, err := w.change(ctx, text, args...)
	return err
}

// change writes one statement and tells how many rows it changed; as do.
func (w *writer) change(ctx context.Context, text string, args ...any) (int64, error) {
	return give(ctx, w, func(ctx context.Context, tx *sqldb.Tx) (int64, error) { return tx.Exec(ctx, text, args...) })
}

func (w *writer) enqueue(x *write) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed:
		return false
	case x.commit != nil:
		w.commits = fairly(w.commits, x)
	default:
		w.first = fairly(w.first, x)
	}
	w.awake()
	return true
}

func (w *writer) awake() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// close lets the writer finish what waits.
func (w *writer) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.awake()
}

func (w *writer) run() {
	for {
		group, wait := w.next()
		switch {
		case len(group) > 0:
			w.write(group)
			w.answered(group)
		case wait < 0:
			return
		case wait == 0:
			<-w.wake
		default:
			select {
			case <-w.wake:
			case <-time.After(wait):
			}
		}
	}
}

// next takes the next group: what goes first, and with it as many commits as one
// transaction takes, for a flush costs more than they do. When there is nothing
// to write yet, it tells when there will be: 0 is not known, -1 never again.
func (w *writer) next() (group []*write, wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.first) > 0 && len(w.first) < min(w.senders, maxGroup) && !w.closed {
		if wait = putWait - time.Since(w.since); wait > 0 {
			return nil, wait
		}
	}
	n, wait := w.ripe()
	if n == 0 && len(w.first) == 0 {
		if w.closed {
			wait = -1
		}
		return nil, wait
	}
	group, w.first = take(w.first, firsts(w.first))
	commits, rest := take(w.commits, n)
	w.commits = rest
	return append(group, commits...), 0
}

// answered counts the senders that may come again at once: those of the group
// that was written, and those that wait.
func (w *writer) answered(group []*write) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.senders, w.since = len(w.first), time.Now()
	for _, x := range group {
		if x.put != nil {
			w.senders++
		}
	}
}

// ripe tells how many commits make a group now, or how long until they do: when
// they are many, have waited, have company, or will be no more.
func (w *writer) ripe() (n int, wait time.Duration) {
	if len(w.commits) == 0 {
		return 0, 0
	}
	for entries := 0; n < len(w.commits) && n < maxGroup; n++ {
		if entries += len(w.commits[n].commit.entries); n > 0 && entries > maxEntries {
			return n, 0
		}
	}
	if wait = commitWait - time.Since(w.commits[0].since); wait > 0 && !w.closed && len(w.first) == 0 {
		return 0, wait
	}
	return n, 0
}

// take takes the first n of a queue.
func take(queue []*write, n int) (taken, rest []*write) {
	return slices.Clone(queue[:n]), slices.Delete(queue, 0, n)
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
		if w.late {
			w.r.wakeJudge()
		}
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
	w.charts, w.late = nil, false
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
