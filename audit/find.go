package audit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/go-json-experiment/json"
)

// Entry is one line of the log as it was written.
type Entry struct {
	N        int64     `json:"n"`
	Time     time.Time `json:"time"`
	Action   Action    `json:"action"`
	Refused  bool      `json:"refused"`
	Audience string    `json:"audience"`
	Subject  string    `json:"subject"`
	Client   string    `json:"client"`
	Person   string    `json:"person"`
	Role     string    `json:"role"`
	Worksite string    `json:"worksite"`
	For      string    `json:"for"`
	Patient  string    `json:"patient"` // "Patient/x"
	Entities []string  `json:"entities"`
	Detail   string    `json:"detail"`
}

// About is what entries to find have in common; what is empty is any.
type About struct {
	Patients []string // "Patient/x", any of them: whose chart, or who was found
	Person   string   // registry id, acting or acted for
	Action   Action
}

// Find gives the latest entries about something, newest first, at most limit,
// and whether there are more. The whole log is read, as it is on disk: what is
// being written may be missing.
func (l *Log) Find(ctx context.Context, what About, limit int) (found []Entry, more bool, err error) {
	names, err := segments(l.dir)
	if err != nil {
		return nil, false, err
	}
	for i := len(names) - 1; i >= 0; i-- {
		some, err := findIn(ctx, filepath.Join(l.dir, names[i]), what, limit+1-len(found))
		if err != nil {
			return nil, false, fmt.Errorf("audit: %s: %w", names[i], err)
		}
		for k := len(some) - 1; k >= 0; k-- {
			found = append(found, some[k])
		}
		if len(found) > limit {
			return found[:limit], true, nil
		}
	}
	return found, false, nil
}

// findIn gives the last entries of a segment about something, in their order.
func findIn(ctx context.Context, path string, what About, limit int) ([]Entry, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var found []Entry
	r := bufio.NewReaderSize(f, 1<<16)
	for n := 0; ; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) { // what follows the last whole line is being written
			return found[max(0, len(found)-limit):], nil
		}
		if err != nil {
			return nil, err
		}
		if !what.may(line) {
			continue
		}
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil || !what.is(e) {
			continue // a line that cannot be read is firebreak audit verify's matter
		}
		if found = append(found, e); len(found) > 2*limit {
			found = append(found[:0], found[len(found)-limit:]...)
		}
	}
}

// may tells quickly that a line is not about it.
func (a About) may(line []byte) bool {
	some := len(a.Patients) == 0
	for _, p := range a.Patients {
		some = some || bytes.Contains(line, []byte(p))
	}
	return some && bytes.Contains(line, []byte(a.Person)) && bytes.Contains(line, []byte(a.Action))
}

func (a About) is(e Entry) bool {
	some := len(a.Patients) == 0
	for _, p := range a.Patients {
		some = some || e.Patient == p
		for _, x := range e.Entities {
			some = some || x == p
		}
	}
	return some && (a.Person == "" || e.Person == a.Person || e.For == a.Person) && (a.Action == "" || e.Action == a.Action)
}
