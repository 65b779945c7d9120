package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

// segmentBytes is when a new segment begins: one that an editor still opens.
const segmentBytes = 64 << 20

// roomBytes is how much of a segment is made ready at a time, as zeros behind
// its end. Entries are written over zeros that are on disk: such a flush moves
// bytes and nothing else, where a file that grows has its length and place
// written too. 0.14 ms instead of 0.24 for 7 kB on ext4, and half the processor
// time; the zeros cost 2 ms for 1,600 entries.
const roomBytes = 1 << 20

// backlog bounds the entries that wait for a flush; more callers block.
const backlog = 4096

var errClosed = errors.New("audit: the log is closed")

// Log is an open audit log. It is safe for many goroutines.
type Log struct {
	dir  string
	now  func() time.Time
	max  int64 // bytes of a segment
	lock *os.File

	wake chan struct{} // holds one token while next has entries
	done chan struct{} // closed when the flusher has ended

	// The flusher's own.
	file  *os.File // the last segment
	head  *os.File
	size  int64 // of file, as far as it is good
	room  int64 // of file, with the zeros behind
	line  []byte
	zeros []byte

	indexing sync.Mutex       // guards what follows
	indexed  map[string]bool  // segments whose index was looked through
	first    map[string]Entry // number and time of the first entry of a segment

	mu     sync.Mutex // guards what follows
	next   *group     // those who wait for the next flush
	closed bool
	at     Anchor // the last entry on disk
	fault  error  // why nothing more can be written
}

// Anchor is an entry's number and hash: kept elsewhere, it pins the log down to there.
type Anchor struct {
	N    int64
	Hash string
}

// group is what one flush brings to disk.
type group struct {
	events [][]byte      // an Event's members each, without number and hash
	done   chan struct{} // closed after err was set
	err    error
}

func newGroup() *group { return &group{done: make(chan struct{})} }

// Open continues the log in dir, or begins one; dir is made with mode 0700.
// now gives the time of events that carry none; nil is time.Now.
//
// A last line that a crash left torn was never acknowledged: it is moved to a
// file "torn-<number>" and an entry says so. Anything else that does not fit
// the chain is an error, for it is not what a crash leaves. Two logs cannot
// have the same folder open.
func Open(dir string, now func() time.Time) (*Log, error) { return open(dir, now, segmentBytes) }

func open(dir string, now func() time.Time, max int64) (*Log, error) {
	if now == nil {
		now = time.Now
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	l := &Log{dir: dir, now: now, max: max, wake: make(chan struct{}, 1), done: make(chan struct{}), next: newGroup()}
	notes, err := l.resume()
	if err != nil {
		l.release()
		return nil, err
	}
	go l.flush()
	for _, note := range notes {
		if err := l.Append(context.Background(), Event{Action: Operate, Subject: "audit", Detail: note}); err != nil {
			l.Close()
			return nil, err
		}
	}
	return l, nil
}

// Append adds e to the chain. It is on disk when Append returns nil; on an
// error whatever e was about must not happen. Many callers share one flush.
func (l *Log) Append(ctx context.Context, e Event) error {
	if e.Time.IsZero() {
		e.Time = l.now()
	}
	g, err := l.join(ctx, e.encode())
	if err != nil {
		return err
	}
	select {
	case <-g.done:
		return g.err
	case <-ctx.Done():
		return fmt.Errorf("audit: %w", ctx.Err()) // it may be written all the same
	}
}

// join puts an event into the next group that has room.
func (l *Log) join(ctx context.Context, event []byte) (*group, error) {
	for {
		l.mu.Lock()
		g, closed := l.next, l.closed
		if !closed && len(g.events) < backlog {
			if g.events = append(g.events, event); len(g.events) == 1 {
				l.wake <- struct{}{} // never waits: the last token was taken with the last group
			}
			l.mu.Unlock()
			return g, nil
		}
		l.mu.Unlock()
		if closed {
			return nil, errClosed
		}
		select {
		case <-g.done:
		case <-ctx.Done():
			return nil, fmt.Errorf("audit: %w", ctx.Err())
		}
	}
}

// take ends the group that is waiting and begins another.
func (l *Log) take() *group {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.next
	l.next = newGroup()
	return g
}

// Head is the last entry on disk.
func (l *Log) Head() Anchor {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at
}

// Err is why nothing more can be written, if so: a flush that failed leaves it
// unknown what the disk holds, until the log is opened again.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fault
}

// Close writes what is waiting and closes the log.
func (l *Log) Close() error {
	l.mu.Lock()
	closed := l.closed
	if !closed {
		l.closed = true
		close(l.wake)
	}
	l.mu.Unlock()
	if closed {
		return errClosed
	}
	<-l.done
	return errors.Join(l.Err(), l.release())
}

func (l *Log) release() error {
	err := l.giveBack()
	for _, f := range []*os.File{l.file, l.head, l.lock} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}

// flush is the goroutine that writes: it takes all entries that wait, chains
// them, writes and syncs them together, then lets their callers go.
func (l *Log) flush() {
	defer close(l.done)
	for range l.wake {
		runtime.Gosched() // who is about to ask joins: fewer flushes for as many entries
		g := l.take()
		if g.err = l.Err(); g.err == nil {
			g.err = l.write(g.events)
		}
		close(g.done)
	}
}

// write puts a group on disk. Between its steps a crash leaves: before the
// sync, a prefix of the group, perhaps with a torn last line, none of it
// acknowledged; before the head, a head that lags. Both are mended on Open.
func (l *Log) write(events [][]byte) error {
	at := l.Head()
	if l.size >= l.max {
		if err := l.rotate(at.N + 1); err != nil {
			return err
		}
	}
	l.line = l.line[:0]
	for _, e := range events {
		l.line, at = appendLine(l.line, at, e)
	}
	end := l.size + int64(len(l.line))
	if _, err := l.file.WriteAt(l.line, l.size); err != nil {
		// A full disk: nothing was acknowledged, take it back and go on later.
		if e := l.file.Truncate(l.size); e != nil {
			return l.fail(errors.Join(err, e))
		}
		l.room = l.size
		return fmt.Errorf("audit: %w", err)
	}
	if end > l.room {
		l.makeRoom(end)
	}
	if err := flush(l.file); err != nil {
		return l.fail(err)
	}
	l.size = end
	if err := l.writeHead(at); err != nil {
		return l.fail(err)
	}
	l.mu.Lock()
	l.at = at
	l.mu.Unlock()
	return nil
}

// makeRoom puts zeros behind end. On a full disk there are none, and flushes are
// slower.
func (l *Log) makeRoom(end int64) {
	if l.zeros == nil {
		l.zeros = make([]byte, min(roomBytes, l.max))
	}
	l.room = end
	if n, err := l.file.WriteAt(l.zeros, end); err == nil {
		l.room += int64(n)
	}
}

func (l *Log) fail(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = fmt.Errorf("audit: the disk failed; open the log again: %w", err)
	return l.fault
}

// rotate begins the segment whose first entry is n.
func (l *Log) rotate(n int64) error {
	f, err := os.OpenFile(filepath.Join(l.dir, segmentName(n)), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if err := syncDir(l.dir); err != nil {
		f.Close()
		return l.fail(err)
	}
	if l.file != nil {
		_ = l.giveBack() // it costs room, nothing else
		l.file.Close()
	}
	l.file, l.size, l.room = f, 0, 0
	return nil
}

// giveBack cuts the zeros behind the segment's end.
func (l *Log) giveBack() error {
	if l.file == nil || l.room <= l.size || l.Err() != nil { // after a failure, what the file holds is unknown
		return nil
	}
	l.room = l.size
	return l.file.Truncate(l.size)
}

// writeHead is not synced: it follows the log, which is.
func (l *Log) writeHead(at Anchor) error {
	_, err := l.head.WriteAt(fmt.Appendf(nil, "%020d %s\n", at.N, at.Hash), 0)
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
