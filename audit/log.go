package audit

import (
	"context"
	"time"
)

// Log is an open audit log. It is safe for many goroutines.
type Log struct{}

// Open continues the log in dir, or begins one. now gives the time of events
// that carry none; nil is time.Now.
func Open(dir string, now func() time.Time) (*Log, error) { return &Log{}, nil }

// Append adds e to the chain. It is on disk when Append returns nil; on an
// error whatever e was about must not happen.
func (l *Log) Append(ctx context.Context, e Event) error { return nil }

// Close flushes and closes the log.
func (l *Log) Close() error { return nil }

// Verify checks every link of the log in dir and returns how many entries it
// has. The error names the file and line of the first broken link.
func Verify(dir string) (n int64, err error) { return 0, nil }
