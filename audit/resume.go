package audit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// resume locks the folder, finds the end of the log in it, sets a torn line
// aside, and opens the files. notes is what the log should say of it.
func (l *Log) resume() (notes []string, err error) {
	if l.lock, err = os.OpenFile(filepath.Join(l.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	if err := syscall.Flock(int(l.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, fmt.Errorf("audit: another process writes to %s", l.dir)
	}
	names, err := segments(l.dir)
	if err != nil {
		return nil, err
	}
	head, err := readHead(l.dir)
	if b := (*BrokenError)(nil); errors.As(err, &b) {
		notes = append(notes, "the head file was unreadable")
		head = Anchor{}
	} else if err != nil {
		return nil, err
	}
	at, err := l.begin(names)
	if err != nil {
		return nil, err
	}
	l.at = at
	known := head.N == 0
	if len(names) > 0 {
		name := names[len(names)-1]
		tail, err := readSegment(l.dir, name, at, func(next Anchor) error {
			if next.N == head.N {
				if known = next.Hash == head.Hash; !known {
					return &BrokenError{name, int(next.N - at.N), next.N, "not the entry that the head file names"}
				}
			}
			l.at = next
			return nil
		})
		if err != nil {
			return nil, err
		}
		if l.file, err = os.OpenFile(filepath.Join(l.dir, name), os.O_RDWR, 0o600); err != nil {
			return nil, fmt.Errorf("audit: %w", err)
		}
		info, err := l.file.Stat()
		if err != nil {
			return nil, fmt.Errorf("audit: %w", err)
		}
		l.size, l.room = info.Size()-int64(len(tail)), info.Size()
		if rest := content(tail); len(rest) > 0 {
			note, err := l.setAside(name, rest)
			if err != nil {
				return nil, err
			}
			notes = append(notes, note)
		}
		known = known || head.N <= at.N // in an earlier segment: Verify's to check
	} else {
		if err := l.rotate(1); err != nil {
			return nil, err
		}
	}
	if !known {
		return nil, &BrokenError{N: l.at.N + 1, Reason: fmt.Sprintf("the log ends here, but entry %d was written", head.N)}
	}
	if l.head, err = os.OpenFile(filepath.Join(l.dir, "head"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return notes, errors.Join(l.head.Truncate(0), l.writeHead(l.at))
}

// begin is the entry before the last segment.
func (l *Log) begin(names []string) (Anchor, error) {
	if len(names) < 2 {
		return genesis, nil
	}
	var first int64
	if _, err := fmt.Sscanf(names[len(names)-1], "audit-%d.jsonl", &first); err != nil {
		return Anchor{}, fmt.Errorf("audit: %s is not named like a segment", names[len(names)-1])
	}
	name := names[len(names)-2]
	b, err := os.ReadFile(filepath.Join(l.dir, name))
	if err != nil {
		return Anchor{}, fmt.Errorf("audit: %w", err)
	}
	b = bytes.TrimSuffix(content(b), []byte("\n"))
	line := b[bytes.LastIndexByte(b, '\n')+1:]
	if len(line) < tailSize {
		return Anchor{}, &BrokenError{File: name, N: first - 1, Reason: "cut short"}
	}
	return Anchor{first - 1, string(line[len(line)-tailSize+len(hashHead) : len(line)-len(hashTail)])}, nil
}

// setAside moves a torn end out of the log. Whole lines that do not fit are
// somebody's work.
func (l *Log) setAside(name string, rest []byte) (string, error) {
	if !torn(rest) {
		return "", &BrokenError{name, l.lines(name) + 1, l.at.N + 1, "does not follow from the line before"}
	}
	aside := fmt.Sprintf("torn-%012d", l.at.N+1)
	f, err := os.OpenFile(filepath.Join(l.dir, aside), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return "", fmt.Errorf("audit: %w", err)
	}
	_, err = f.Write(rest)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = errors.Join(l.file.Truncate(l.size), l.file.Sync())
		l.room = l.size
	}
	if err != nil {
		return "", fmt.Errorf("audit: %w", err)
	}
	return fmt.Sprintf("a torn line of %d bytes was set aside in %s", len(rest), aside), nil
}

// lines counts the good lines of the segment.
func (l *Log) lines(name string) int {
	b, err := os.ReadFile(filepath.Join(l.dir, name))
	if err != nil || int64(len(b)) < l.size {
		return 0
	}
	return bytes.Count(b[:l.size], []byte("\n"))
}
