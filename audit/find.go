package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
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
	Issuer   string    `json:"issuer"`
	Subject  string    `json:"subject"`
	Client   string    `json:"client"`
	Person   string    `json:"person"`
	Name     string    `json:"name"` // what Person is called, or the client
	Role     string    `json:"role"`
	Worksite string    `json:"worksite"`
	Place    string    `json:"place"` // what Worksite is called
	For      string    `json:"for"`
	ForName  string    `json:"forName"`
	Purpose  string    `json:"purpose"`
	Patient  string    `json:"patient"` // "Patient/x"
	Entities []string  `json:"entities"`
	Detail   string    `json:"detail"`
	Address  string    `json:"address"`
	Request  string    `json:"request"`
}

// About is what entries to find have in common; what is empty is any.
type About struct {
	Patients []string // "Patient/x", any of them: whose chart, or who was found
	Person   string   // registry id or name, acting or acted for
	Action   Action
	Before   int64 // entries with smaller numbers only; 0: all

	match func(Entry) bool // nil: any
}

// Find gives the latest entries about something, newest first, at most limit,
// and whether there are more. Of a patient's entries those are read that an
// index names, and the segment that is being written, as it is on disk; of
// anything else the whole log.
func (l *Log) Find(ctx context.Context, what About, limit int) (found []Entry, more bool, err error) {
	names, err := segments(l.dir)
	if err != nil {
		return nil, false, err
	}
	for i, name := range slices.Backward(names) {
		if what.Before > 0 && name >= segmentName(what.Before) {
			continue
		}
		read := l.scan
		if i < len(names)-1 && len(what.Patients) > 0 {
			read = l.lookUp
		}
		some, err := read(ctx, name, what, limit+1-len(found))
		if err != nil {
			return nil, false, fmt.Errorf("audit: %s: %w", name, err)
		}
		found = append(found, some...)
		if len(found) > limit {
			return found[:limit], true, nil
		}
	}
	return found, false, nil
}

// scan reads a segment and gives its last entries about something, newest first.
func (l *Log) scan(ctx context.Context, name string, what About, limit int) ([]Entry, error) {
	f, err := os.Open(filepath.Join(l.dir, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var found []Entry
	n := 0
	_, err = eachLine(f, func(_ int64, line []byte) error {
		if n++; n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		e, ok := what.read(line)
		if !ok {
			return nil
		}
		if found = append(found, e); len(found) > 2*limit {
			found = append(found[:0], found[len(found)-limit:]...)
		}
		return nil
	})
	found = found[max(0, len(found)-limit):]
	slices.Reverse(found)
	return found, err
}

// lookUp does as scan does, by the index of a full segment; without one, which a
// full disk may be the reason of, it scans.
func (l *Log) lookUp(ctx context.Context, name string, what About, limit int) ([]Entry, error) {
	x, err := l.indexOf(name)
	if err != nil {
		return l.scan(ctx, name, what, limit)
	}
	defer x.Close()
	var lines []int64
	for _, p := range what.Patients {
		some, err := x.lines(p)
		if err != nil {
			return nil, err
		}
		lines = append(lines, some...)
	}
	slices.Sort(lines)
	lines = slices.Compact(lines)
	f, err := os.Open(filepath.Join(l.dir, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var found []Entry
	for _, at := range slices.Backward(lines) {
		if len(found) == limit {
			break
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		_, err := eachLine(io.NewSectionReader(f, at, maxLine), func(_ int64, line []byte) error {
			if e, ok := what.read(line); ok {
				found = append(found, e)
			}
			return errFound
		})
		if err != nil && !errors.Is(err, errFound) {
			return nil, err
		}
	}
	return found, nil
}

var errFound = errors.New("one line is enough")

// read reads a line that is about it. One that cannot be read is firebreak audit
// verify's matter.
func (a About) read(line []byte) (Entry, bool) {
	if !a.may(line) {
		return Entry{}, false
	}
	var e Entry
	if err := json.Unmarshal(line, &e); err != nil || !a.is(e) {
		return Entry{}, false
	}
	return e, true
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
		some = some || e.Patient == p || slices.Contains(e.Entities, p)
	}
	return some && (a.Before == 0 || e.N < a.Before) && (a.Person == "" || slices.Contains([]string{e.Person, e.Name, e.For, e.ForName}, a.Person)) && (a.Action == "" || e.Action == a.Action) && (a.match == nil || a.match(e))
}
