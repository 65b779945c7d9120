package record

import (
	"context"
	"errors"
	"time"

	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/internal/sqldb"
)

// The text of an HL7 v2 message or C-CDA document is read again only to replay it,
// to move a visit and to judge what it says by new rules. After a time that the
// operator sets it is purged: what the message told stays, and is judged as it is
// stored. What a source pushed as FHIR, and what was decided here, is what is stored
// and is not purged.

// Purged is the state of a message that was done and whose text is purged.
const Purged State = "purged"

// ErrPurged says that the text of a message is not stored any more.
var ErrPurged = errors.New("record: the text of the message was purged")

const (
	purgeSpan  = 4096 // numbers looked at by one read
	purgeGroup = 64   // messages of one write, beside which others wait

	lastMessage = `SELECT COALESCE(MAX(id), 0) FROM inbox`
	ripeIn      = `
		SELECT i.id, i.source, i.received FROM inbox i
		WHERE i.id > $1 AND i.id <= $2 AND i.received < $3 AND i.kind IN ('hl7v2', 'ccda')
			AND NOT EXISTS (SELECT 1 FROM purged p WHERE p.id = i.id) AND NOT EXISTS (SELECT 1 FROM todo t WHERE t.id = i.id)
		ORDER BY i.id`
	notePurged = `
		INSERT INTO purged (id, at) SELECT id, $2 FROM inbox WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM todo WHERE id = $1)
		ON CONFLICT (id) DO NOTHING`
	holdText  = `SELECT id FROM inbox WHERE id = $1` // and DB.Hold: what is to be applied again is not purged meanwhile
	purgeText = `UPDATE inbox SET body = $2 WHERE id = $1`
	isPurged  = `SELECT at FROM purged WHERE id = $1`
	factsBy   = `SELECT facts FROM said WHERE message = $1 ORDER BY chart`
)

// Purge empties the messages that came longer ago than their source's are kept, and
// tells how many: those that are done, set aside or corrected; what is held or waits
// stays. keep is how long the texts of a source are kept; 0 is for ever. Nodes may
// purge at once.
func (r *Record) Purge(ctx context.Context, keep func(source string) time.Duration) (purged int, err error) {
	now := r.c.Now()
	var last int64
	if err := r.db.QueryRow(ctx, lastMessage).Scan(&last); err != nil {
		return 0, failed("purge messages", err)
	}
	for after := int64(0); after < last; after += purgeSpan {
		var ripe []int64
		err := r.db.Each(ctx, func(scan func(...any) error) error {
			var id, received int64
			var source string
			err := scan(&id, &source, &received)
			if d := keep(source); d > 0 && fromMicros(received).Before(now.Add(-d)) {
				ripe = append(ripe, id)
			}
			return err
		}, ripeIn, after, min(after+purgeSpan, last), micros(now))
		for len(ripe) > 0 && err == nil {
			group := ripe[:min(purgeGroup, len(ripe))]
			ripe = ripe[len(group):]
			var n int
			n, err = give(ctx, r.writer, func(ctx context.Context, tx *sqldb.Tx) (int, error) { return purge(ctx, tx, r.db.Hold(), group, now) })
			purged += n
		}
		if err != nil {
			return purged, failed("purge messages", err)
		}
	}
	return purged, nil
}

func purge(ctx context.Context, tx *sqldb.Tx, hold string, ids []int64, now time.Time) (purged int, err error) {
	if err := holdTexts(ctx, tx, hold, ids); err != nil {
		return 0, err
	}
	for _, id := range ids {
		n, err := tx.Exec(ctx, notePurged, id, micros(now))
		if err == nil && n > 0 {
			purged++
			_, err = tx.Exec(ctx, purgeText, id, []byte{})
		}
		if err != nil {
			return 0, err
		}
	}
	return purged, nil
}

// holdTexts has other nodes neither purge messages nor release them until the commit. What
// they did before is seen by the statements that follow.
func holdTexts(ctx context.Context, tx *sqldb.Tx, hold string, ids []int64) error {
	if hold == "" {
		return nil
	}
	var stmts []sqldb.Stmt
	for _, id := range ids {
		stmts = append(stmts, sqldb.Stmt{SQL: holdText + hold, Args: []any{id}, Row: func(scan func(...any) error) error { return scan(&id) }})
	}
	return tx.Batch(ctx, stmts)
}

// purgedAmong tells whether one of the messages is purged.
func purgedAmong(ctx context.Context, q reads, ids []int64) (some bool, err error) {
	for _, id := range ids {
		err = errors.Join(err, q.Each(ctx, func(scan func(...any) error) error {
			var at int64
			some = true
			return scan(&at)
		}, isPurged, id))
	}
	return some, err
}

// told is what a message said, as it is stored.
func (r *Record) told(ctx context.Context, message inbox.ID) (all []fhir.Resource, err error) {
	var bodies []int64
	known := map[int64]bool{}
	err = r.db.Each(ctx, func(scan func(...any) error) error {
		var facts []byte
		if err := scan(&facts); err != nil {
			return err
		}
		t, err := readSaid(facts)
		for _, f := range t.facts {
			if !known[f.body] {
				known[f.body] = true
				bodies = append(bodies, f.body)
			}
		}
		return err
	}, factsBy, int64(message))
	for _, body := range bodies {
		if err != nil {
			break
		}
		var content []byte
		if err = r.db.QueryRow(ctx, readContent, body).Scan(&content); err != nil {
			break
		}
		res, unread := fhir.Take(content)
		if unread != nil {
			err = errors.New("a stored resource does not read")
		}
		all = append(all, res)
	}
	return all, failed("read what a message said", err)
}
