package audit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"firebreak/fhir"
)

const (
	// slack is how much later an entry may stand in the log than one of a later time:
	// what is done at once is written in any order.
	slack = 10 * time.Minute

	// maxTried is after how many entries that nothing was found in an answer goes on
	// on its next page. A segment that was begun is read to its end.
	maxTried = 100_000
)

// Window is which AuditEvents are asked for: of patients ("Patient/x", any of
// them; nil is all) and within [From, Until), either of which may be zero, further
// back than the event with the id After.
type Window struct {
	Patients    []string
	From, Until time.Time
	After       string
}

// AuditEvents gives the log's entries within w as R4 AuditEvents, newest first, as
// far as keep keeps them, at most limit; and after which id to go on, which may be
// so when there are fewer, or none. What is kept in memory is as much as is given.
// The chain is not proved: that is [Verify]'s.
func (l *Log) AuditEvents(ctx context.Context, base string, w Window, limit int, keep func(fhir.Resource) bool) (found []fhir.Resource, next string, err error) {
	before, done := eventOf(w.After)
	names, err := segments(l.dir)
	if err != nil {
		return nil, "", err
	}
	tried := 0
	var fault error
	what := About{Patients: w.Patients}
	if w.After != "" {
		what.Before = before + 1
	}
	kept := func(e Entry) (all []fhir.Resource) {
		for i, x := range e.auditEvents(base) {
			if e.N == before && i <= done {
				continue
			}
			b, err := json.Marshal(x)
			if err != nil {
				fault = err
				continue
			}
			r, err := fhir.Parse(b)
			if err != nil {
				fault = err
			} else if keep(r) {
				all = append(all, r)
			}
		}
		return all
	}
	what.match = func(e Entry) bool {
		if !w.From.IsZero() && e.Time.Before(w.From) || !w.Until.IsZero() && !e.Time.Before(w.Until) {
			return false
		}
		tried++
		return len(kept(e)) > 0
	}
	for i, name := range slices.Backward(names) {
		if what.Before > 0 && name >= segmentName(what.Before) {
			continue
		}
		n, first, err := l.begins(name)
		if err != nil {
			return nil, "", fmt.Errorf("audit: %s: %w", name, err)
		}
		if !w.Until.IsZero() && first.After(w.Until.Add(slack)) {
			continue
		}
		read := l.scan
		if i < len(names)-1 && len(what.Patients) > 0 {
			read = l.lookUp
		}
		some, err := read(ctx, name, what, limit+1)
		if err = errors.Join(err, fault); err != nil {
			return nil, "", fmt.Errorf("audit: %s: %w", name, err)
		}
		for _, e := range some {
			for _, r := range kept(e) {
				if len(found) == limit {
					return found, found[limit-1].ID(), nil
				}
				found = append(found, r)
			}
		}
		if !w.From.IsZero() && first.Before(w.From.Add(-slack)) {
			break // all before it is older
		}
		if tried >= maxTried && i > 0 {
			return found, fmt.Sprint(eventPrefix, n, "-", allEvents), nil
		}
	}
	return found, "", nil
}

// AuditEvent gives the one with an id; ok is false when there is none.
func (l *Log) AuditEvent(ctx context.Context, base, id string) (r fhir.Resource, ok bool, err error) {
	n, i := eventOf(id)
	if n == 0 {
		return r, false, nil
	}
	names, err := segments(l.dir)
	if err != nil {
		return r, false, err
	}
	for _, name := range slices.Backward(names) {
		if name >= segmentName(n+1) {
			continue
		}
		some, err := l.scan(ctx, name, About{match: func(e Entry) bool { return e.N == n }}, 1)
		if err != nil || len(some) == 0 {
			return r, false, err
		}
		all := some[0].auditEvents(base)
		if i >= len(all) || all[i].ID != id {
			return r, false, nil
		}
		b, err := json.Marshal(all[i])
		if err != nil {
			return r, false, err
		}
		r, err = fhir.Parse(b)
		return r, err == nil, err
	}
	return r, false, nil
}

const (
	eventPrefix = "audit-"
	allEvents   = 1 << 30 // of an entry
)

// eventOf reads an id: the number of its entry, and which of the entry's events it
// is, from 0. What is no id is of no entry.
func eventOf(id string) (n int64, i int) {
	text, ok := strings.CutPrefix(id, eventPrefix)
	number, part, several := strings.Cut(text, "-")
	n, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil || n < 1 {
		return 0, 0
	}
	if several {
		if i, err = strconv.Atoi(part); err != nil || i < 2 {
			return 0, 0
		}
		i--
	}
	return n, i
}

// begins gives the number and the time of a segment's first entry, which stay as
// they are. One that has none yet begins now.
func (l *Log) begins(name string) (n int64, at time.Time, err error) {
	l.indexing.Lock()
	defer l.indexing.Unlock()
	if e, known := l.first[name]; known {
		return e.N, e.Time, nil
	}
	f, err := os.Open(filepath.Join(l.dir, name))
	if err != nil {
		return 0, at, err
	}
	defer f.Close()
	line, err := bufio.NewReaderSize(f, 1<<12).ReadBytes('\n')
	if err != nil || bytes.IndexByte(line, 0) >= 0 {
		return 0, l.now(), nil
	}
	var e Entry
	if err := json.Unmarshal(line, &e); err != nil {
		return 0, at, err
	}
	if l.first == nil {
		l.first = map[string]Entry{}
	}
	l.first[name] = Entry{N: e.N, Time: e.Time}
	return e.N, e.Time, nil
}
