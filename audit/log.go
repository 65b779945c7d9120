package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// segmentBytes is when a new segment begins: one that an editor still opens.
const segmentBytes = 64 << 20

// reserveBytes is how much room of the disk is asked for at a time.
const reserveBytes = 4 << 20

// backlog bounds the entries that wait for a flush; more callers block.
const backlog = 4096

var errClosed = errors.New("audit: the log is closed")

// Log is an open audit log. It is safe for many goroutines.
type Log struct {
	dir  string
	now  func() time.Time
	max  int64 // bytes of a segment
	lock *os.File

	queue chan entry
	done  chan struct{} // closed when the flusher has ended

	closing sync.RWMutex // held for reading while an entry is queued
	closed  bool

	// The flusher's own.
	file *os.File // the last segment
	head *os.File
	size int64 // of file, as far as it is good
	room int64 // up to where the disk is reserved; 0 when it is not
	line []byte

	mu    sync.Mutex
	at    Anchor // the last entry on disk
	fault error  // why nothing more can be written
}

// Anchor is an entry's number and hash: kept elsewhere, it pins the log down to there.
type Anchor struct {
	N    int64
	Hash string
}

type entry struct {
	event []byte // an Event's members, without number and hash
	done  chan error
}

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
	l := &Log{dir: dir, now: now, max: max, queue: make(chan entry, backlog), done: make(chan struct{})}
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
	w := entry{event: e.encode(), done: make(chan error, 1)}
	if err := l.enqueue(ctx, w); err != nil {
		return err
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("audit: %w", ctx.Err()) // it may be written all the same
	}
}

func (l *Log) enqueue(ctx context.Context, w entry) error {
	l.closing.RLock()
	defer l.closing.RUnlock()
	if l.closed {
		return errClosed
	}
	select {
	case l.queue <- w:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("audit: %w", ctx.Err())
	}
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
	l.closing.Lock()
	closed := l.closed
	l.closed = true
	l.closing.Unlock()
	if closed {
		return errClosed
	}
	close(l.queue)
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
	group := make([]entry, 0, backlog)
	for first := range l.queue {
		group = append(group[:0], first)
	more:
		for len(group) < cap(group) {
			select {
			case w, ok := <-l.queue:
				if !ok {
					break more
				}
				group = append(group, w)
			default:
				break more
			}
		}
		err := l.Err()
		if err == nil {
			err = l.write(group)
		}
		for _, w := range group {
			w.done <- err
		}
	}
}

// write puts a group on disk. Between its steps a crash leaves: before the
// sync, a prefix of the group, perhaps with a torn last line, none of it
// acknowledged; before the head, a head that lags. Both are mended on Open.
func (l *Log) write(group []entry) error {
	at := l.Head()
	if l.size >= l.max {
		if err := l.rotate(at.N + 1); err != nil {
			return err
		}
	}
	l.line = l.line[:0]
	for _, w := range group {
		l.line, at = appendLine(l.line, at, w.event)
	}
	if l.size+int64(len(l.line)) > l.room {
		l.room = l.size + int64(len(l.line)) + reserveBytes
		reserve(l.file, l.size, l.room-l.size)
	}
	if _, err := l.file.WriteAt(l.line, l.size); err != nil {
		l.room = 0
		// A full disk: nothing was acknowledged, take it back and go on later.
		if e := l.file.Truncate(l.size); e != nil {
			return l.fail(errors.Join(err, e))
		}
		return fmt.Errorf("audit: %w", err)
	}
	if err := flush(l.file); err != nil {
		return l.fail(err)
	}
	l.size += int64(len(l.line))
	if err := l.writeHead(at); err != nil {
		return l.fail(err)
	}
	l.mu.Lock()
	l.at = at
	l.mu.Unlock()
	return nil
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
	l.file, l.size = f, 0
	return nil
}

// giveBack frees the room behind the segment's end.
func (l *Log) giveBack() error {
	if l.room == 0 {
		return nil
	}
	l.room = 0
	if l.Err() != nil {
		return nil // what the file holds is unknown
	}
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
