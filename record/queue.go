package record

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"firebreak/inbox"
	"firebreak/internal/sqldb"
)

// Queue hands stored messages to the pipeline and takes what was made of them.
// It is the one type that gives out what was received, unfiltered; only the
// pipeline may hold it.
type Queue struct{ r *Record }

// Queue is the pipeline's way to the stored messages.
func (r *Record) Queue() *Queue { return &Queue{r} }

// Stored is a message in the inbox.
type Stored struct {
	ID inbox.ID
	inbox.Message
}

// State is how far a message has come.
type State string

const (
	Unknown State = ""        // there is no such message
	Pending State = "pending" // taken in, not applied yet
	Done    State = "done"
	OnHold  State = "held" // it cannot be mapped
)

// ErrUnknown says that there is no message of that number.
var ErrUnknown = errors.New("record: no such message")

const (
	messageColumns = `i.id, i.source, i.kind, i.control, i.peer, i.received`
	pendingAfter   = `SELECT ` + messageColumns + `, i.body, f.ids, m.moves FROM todo t CROSS JOIN inbox i LEFT JOIN found f ON f.id = i.id LEFT JOIN moved m ON m.id = i.id WHERE i.id = t.id AND t.held = 0 AND t.id > $2 AND i.source = $1 ORDER BY t.id LIMIT $3`
	// CROSS JOIN has SQLite begin with what is not done, whatever else has an index.
	pendingSources = `SELECT DISTINCT i.source FROM todo t JOIN inbox i ON i.id = t.id WHERE t.held = 0 AND NOT EXISTS (SELECT 1 FROM paused p WHERE p.source = i.source)`
	heldAfter      = `SELECT ` + messageColumns + `, t.reason FROM todo t JOIN inbox i ON i.id = t.id WHERE t.held = 1 AND t.id > $1 ORDER BY t.id LIMIT $2`
	oneMessage     = `SELECT ` + messageColumns + `, i.body, f.ids, m.moves FROM inbox i LEFT JOIN found f ON f.id = i.id LEFT JOIN moved m ON m.id = i.id WHERE i.id = $1`
	messageState   = `SELECT CASE WHEN a.id IS NOT NULL THEN 'aside' WHEN t.id IS NULL THEN 'done' WHEN t.held = 1 THEN 'held' ELSE 'pending' END, COALESCE(a.held, t.reason, '') FROM inbox i LEFT JOIN todo t ON t.id = i.id LEFT JOIN aside a ON a.id = i.id WHERE i.id = $1`
	inboxStats     = `SELECT COALESCE((SELECT MAX(id) FROM inbox), 0), (SELECT COUNT(*) FROM todo WHERE held = 0), (SELECT COUNT(*) FROM todo WHERE held = 1)`
	holdMessage    = `INSERT INTO todo (id, held, reason) VALUES ($1, 1, $2) ON CONFLICT (id) DO UPDATE SET held = 1, reason = excluded.reason`
	releaseMessage = `INSERT INTO todo (id, held, reason) SELECT id, 0, '' FROM inbox WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM mended WHERE id = $1) AND NOT EXISTS (SELECT 1 FROM aside WHERE id = $1) AND NOT EXISTS (SELECT 1 FROM purged WHERE id = $1) ON CONFLICT (id) DO UPDATE SET held = 0, reason = ''`
	doneMessage    = `DELETE FROM todo WHERE id = $1`
	recentAfter    = `SELECT id, source, kind, length(body) FROM inbox WHERE id > $1 ORDER BY id DESC LIMIT $2`
	latestOf       = `SELECT i.id FROM inbox i WHERE i.source = $1 AND NOT EXISTS (SELECT 1 FROM purged p WHERE p.id = i.id) ORDER BY i.id DESC LIMIT $2`
)

// Commit stores what message s changes and marks it done, in one transaction.
// It may be repeated: what is known already changes nothing. An
// *inbox.HeldError says that the change contradicts the record (an id that
// belongs to another source or patient); then nothing of it was stored. ErrMoved:
// what it looks for is another by now; it is to be made anew.
func (q *Queue) Commit(ctx context.Context, s Stored, c Change) error {
	x := q.r.prepare(s, c)
	err := q.commit(ctx, x)
	if x.unsays {
		x = q.r.prepare(s, c)
		x.asked = true
		err = q.commit(ctx, x)
	}
	if err == nil && len(x.freed) > 0 && c.Freed != nil {
		c.Freed(x.freed)
	}
	return err
}

func (q *Queue) commit(ctx context.Context, x *committing) (err error) {
	if len(x.shifts) > 0 || x.asked {
		if x.shift, err = q.r.shifts(ctx, x); err != nil {
			return failed("find what moves with a visit", err)
		}
	}
	return q.r.writer.do(ctx, &write{commit: x})
}

// Hold sets message id aside with a reason that names the place and holds no
// patient's data.
func (q *Queue) Hold(ctx context.Context, id inbox.ID, reason string) error {
	return q.r.writer.exec(ctx, holdMessage, int64(id), reason)
}

// Release makes messages pending again, held ones and done ones alike; what a
// corrected copy stands for, is set aside, or has no text any more, stays as it is.
func (q *Queue) Release(ctx context.Context, ids ...inbox.ID) error {
	all := make([]int64, len(ids))
	for i, id := range ids {
		all[i] = int64(id)
	}
	slices.Sort(all)
	return q.r.writer.do(ctx, &write{other: func(ctx context.Context, tx *sqldb.Tx) error {
		if err := holdTexts(ctx, tx, q.r.db.Hold(), all); err != nil {
			return err
		}
		for _, id := range all {
			if _, err := tx.Exec(ctx, releaseMessage, id); err != nil {
				return err
			}
		}
		return nil
	}})
}

// Sources are those of messages that are not applied; none that is paused.
func (q *Queue) Sources(ctx context.Context) (all []string, err error) {
	err = q.r.db.Each(ctx, func(scan func(...any) error) error {
		var source string
		err := scan(&source)
		all = append(all, source)
		return err
	}, pendingSources)
	return all, failed("list pending messages", err)
}

// Pending gives a source's messages that are not applied, in order of arrival,
// beginning after one of them.
func (q *Queue) Pending(ctx context.Context, source string, after inbox.ID, limit int) (all []Stored, err error) {
	err = q.r.db.Each(ctx, func(scan func(...any) error) error {
		s, err := scanStored(scan)
		all = append(all, s)
		return err
	}, pendingAfter, source, int64(after), int64(limit))
	return all, failed("list pending messages", err)
}

// Message is one message as it was received, with what it was last mapped with;
// ErrUnknown when there is none. With ErrPurged it comes without its text.
func (q *Queue) Message(ctx context.Context, id inbox.ID) (inbox.Message, error) {
	s, err := scanStored(q.r.db.QueryRow(ctx, oneMessage, int64(id)).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return inbox.Message{}, ErrUnknown
	}
	if err == nil && len(s.Body) == 0 {
		var at int64
		if err = q.r.db.QueryRow(ctx, isPurged, int64(id)).Scan(&at); err == nil {
			return s.Message, ErrPurged
		}
		if errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
	}
	if err == nil && s.Kind == inbox.HL7v2 {
		s.Before, err = q.r.goesOn(ctx, id)
	}
	if err != nil {
		return inbox.Message{}, failed("read a message", err)
	}
	return s.Message, nil
}

func scanStored(scan func(...any) error) (s Stored, err error) {
	var id, received int64
	var kind string
	var found, moves *string
	if err := scan(&id, &s.Source, &kind, &s.ControlID, &s.Peer, &received, &s.Body, &found, &moves); err != nil {
		return Stored{}, err
	}
	if moves != nil {
		if err := json.Unmarshal([]byte(*moves), &s.Moves); err != nil {
			return Stored{}, err
		}
	}
	if found != nil {
		s.Found = strings.Split(*found, ",")
	}
	s.ID, s.Kind, s.Received = inbox.ID(id), inbox.Kind(kind), fromMicros(received)
	return s, nil
}

// State tells how far message id has come, and why when it is held.
func (r *Record) State(ctx context.Context, id inbox.ID) (State, string, error) {
	var state, reason string
	err := r.db.QueryRow(ctx, messageState, int64(id)).Scan(&state, &reason)
	if errors.Is(err, sql.ErrNoRows) {
		return Unknown, "", nil
	}
	if err != nil {
		return Unknown, "", failed("read a message's state", err)
	}
	return State(state), reason, nil
}

// Held lists the messages that could not be mapped, in order of arrival,
// beginning after one of them.
func (r *Record) Held(ctx context.Context, after inbox.ID, limit int) (all []Held, err error) {
	err = r.db.Each(ctx, func(scan func(...any) error) error {
		h, err := scanHeld(scan)
		all = append(all, h)
		return err
	}, heldAfter, int64(after), int64(limit))
	return all, failed("list held messages", err)
}

// scanHeld scans a row of Held and what stands behind it.
func scanHeld(scan func(...any) error, more ...any) (h Held, err error) {
	var id, received int64
	var kind string
	err = scan(append([]any{&id, &h.Source, &kind, &h.ControlID, &h.Peer, &received, &h.Reason}, more...)...)
	h.ID, h.Kind, h.Received = inbox.ID(id), inbox.Kind(kind), fromMicros(received)
	return h, err
}

// Arrival is a message that came.
type Arrival struct {
	ID     inbox.ID
	Source string
	Kind   inbox.Kind
	Size   int // bytes
}

// Recent are the latest messages, at most n, that came after one of them, the
// last first.
func (r *Record) Recent(ctx context.Context, after inbox.ID, n int) (all []Arrival, err error) {
	err = r.db.Each(ctx, func(scan func(...any) error) error {
		var a Arrival
		var id, size int64
		var kind string
		err := scan(&id, &a.Source, &kind, &size)
		a.ID, a.Kind, a.Size = inbox.ID(id), inbox.Kind(kind), int(size)
		all = append(all, a)
		return err
	}, recentAfter, int64(after), int64(n))
	return all, failed("list messages", err)
}

// Latest are the numbers of the latest messages of a source whose text is stored, at
// most n, the last first.
func (r *Record) Latest(ctx context.Context, source string, n int) (ids []inbox.ID, err error) {
	err = r.db.Each(ctx, func(scan func(...any) error) error {
		var id int64
		err := scan(&id)
		ids = append(ids, inbox.ID(id))
		return err
	}, latestOf, source, int64(max(n, 0)))
	return ids, failed("list messages", err)
}

// Stats is the state of the inbox, for the operator.
func (r *Record) Stats(ctx context.Context) (Stats, error) {
	var last int64
	var s Stats
	if err := r.db.QueryRow(ctx, inboxStats).Scan(&last, &s.Pending, &s.Held); err != nil {
		return Stats{}, failed("count messages", err)
	}
	s.Last = inbox.ID(last)
	return s, nil
}

// Reading is how many messages of a source were read by one dialect.
type Reading struct {
	Dialect     string // with its version, as in Change; empty: by none
	Messages    int
	First, Last inbox.ID // the oldest and newest of them
}

const readingsOf = `
	SELECT s.dialect, COUNT(DISTINCT s.message), MIN(s.message), MAX(s.message)
	FROM (SELECT id FROM inbox WHERE source = $1 ORDER BY id DESC LIMIT $2) i JOIN said s ON s.message = i.id
	GROUP BY s.dialect ORDER BY MAX(s.message) DESC`

// Readings says by which dialects the latest n messages of a source were read when
// they were last applied, the newest first. What is held, or says nothing, is not
// counted.
func (r *Record) Readings(ctx context.Context, source string, n int) (all []Reading, err error) {
	err = r.db.Each(ctx, func(scan func(...any) error) error {
		var x Reading
		var messages, first, last int64
		err := scan(&x.Dialect, &messages, &first, &last)
		x.Messages, x.First, x.Last = int(messages), inbox.ID(first), inbox.ID(last)
		all = append(all, x)
		return err
	}, readingsOf, source, int64(max(n, 0)))
	return all, failed("list readings", err)
}
