package record

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"time"

	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/internal/sqldb"
)

// Outbox holds what is addressed to the systems of sources until they have it.
// A letter is on disk with the version that it brings, in one transaction.
type Outbox struct {
	r *Record
	turnTimes
}

// Outbox is the deliverers' and the operator's way to the letters.
func (r *Record) Outbox() Outbox {
	return Outbox{r, usualTimes}
}

const (
	// The same version is not sent twice in a row, nor anything again when its
	// message is replayed.
	addLetter = `
		INSERT INTO outbox (feed, chart, type, resource_id, message, version, body, number, control, entered, state, attempts, due, changed, reason, answer, became)
		SELECT $1, $2, $3, $4, CAST($5 AS BIGINT), $6, CAST($7 AS BIGINT), $8, $9, CAST($10 AS BIGINT), 0, 0, 0, CAST($10 AS BIGINT), '', '', ''
		WHERE COALESCE((SELECT version FROM outbox WHERE chart = $2 AND type = $3 AND resource_id = $4 AND feed = $1 ORDER BY id DESC LIMIT 1), '') <> $6
		ON CONFLICT (chart, type, resource_id, feed, message) DO NOTHING`
	readyLetters = `
		SELECT o.id, o.chart, o.number, o.control, o.entered, o.attempts, b.json,
			CASE WHEN EXISTS (SELECT 1 FROM outbox p WHERE p.chart = o.chart AND p.type = o.type AND p.resource_id = o.resource_id AND p.feed = o.feed AND p.id < o.id AND p.state IN (2, 3)) THEN 1 ELSE 0 END
		FROM outbox o JOIN body b ON b.id = o.body
		WHERE o.feed = $1 AND o.state = 0 AND o.due <= $2
			AND NOT EXISTS (SELECT 1 FROM outbox p WHERE p.feed = o.feed AND p.chart = o.chart AND p.id < o.id AND p.state < 2)
		ORDER BY o.id LIMIT $3`
	settleLetter = `
		UPDATE outbox SET state = $3, attempts = attempts + 1, due = $4, changed = $5, reason = $6, answer = $7
		WHERE id = $2 AND state = 0 AND EXISTS (SELECT 1 FROM outbox_turn t WHERE t.feed = outbox.feed AND t.token = $1)`
	// An answer may overtake the acknowledgement of the first letter.
	answerLetter = `
		UPDATE outbox SET state = 3, became = $3, changed = $4, reason = ''
		WHERE number = $1 AND feed = $2 AND (state IN (2, 3) OR state = 0 AND NOT EXISTS (SELECT 1 FROM outbox p WHERE p.number = outbox.number AND p.id < outbox.id))`
	undoneLetter = `SELECT feed, state, COUNT(*), MIN(entered) FROM outbox WHERE state < 2 GROUP BY feed, state ORDER BY feed, state`
	openLetters  = `SELECT id, feed, type, entered, state, attempts, changed, reason, answer, became FROM outbox WHERE state < 2 AND id > $1 ORDER BY id LIMIT $2`
	lettersOf    = `SELECT id, feed, type, entered, state, attempts, changed, reason, answer, became FROM outbox WHERE chart = $1 AND type = $2 AND resource_id = $3 ORDER BY id`
	retryLetter  = `UPDATE outbox SET state = 0, due = 0, changed = $2 WHERE id = $1 AND state < 2`
	dropLetter   = `UPDATE outbox SET state = 4, changed = $2, reason = $3 WHERE id = $1 AND state < 2`
)

// letters queues what a message addresses to others, and notes which letters it
// answers: those of its own source only.
func (b *batch) letters(context.Context) error {
	for _, x := range b.commits {
		for _, e := range x.commit.entries {
			for _, to := range e.To {
				number := b.w.r.keys.letter(to, e.key.typ, e.key.id)
				control := b.w.r.keys.letter(to, e.key.typ, e.key.id, e.version, strconv.FormatInt(int64(x.commit.id), 10))
				b.add(addLetter, to, e.key.chart, e.key.typ, e.key.id, int64(x.commit.id), e.version, e.body, number, control, x.commit.received)
			}
			for _, number := range e.Answers {
				b.add(answerLetter, number, x.commit.source, e.key.typ+"/"+e.key.id, x.commit.received)
			}
		}
	}
	return nil
}

// letter names a request, or with more parts one letter of it: 16 letters and
// digits, which an MSH-10 of any version holds.
func (k keys) letter(parts ...string) string {
	n := k.version.Get().(*namer)
	defer k.version.Put(n)
	n.buf = append(n.buf[:0], "letter"...)
	for _, p := range parts {
		n.buf = append(append(n.buf, ' '), p...)
	}
	return n.name(nil)
}

// Ready gives the letters to a feed that may be sent now, in order of entry: of
// each chart the first that is not done, unless it is to be tried later.
func (o Outbox) Ready(ctx context.Context, feed string, now time.Time, limit int) (all []inbox.Letter, err error) {
	err = o.r.db.Each(ctx, func(scan func(...any) error) error {
		l := inbox.Letter{To: feed}
		var entered, attempts, later int64
		err := scan(&l.ID, &l.Chart, &l.Number, &l.Control, &entered, &attempts, &l.Resource, &later)
		l.Entered, l.Attempts, l.Later = fromMicros(entered), int(attempts), later == 1
		all = append(all, l)
		return err
	}, readyLetters, feed, micros(now), int64(limit))
	return all, failed("list letters", err)
}

// ErrTurn says that a letter's outcome was not written: it is another's turn to
// deliver, or the letter is done.
var ErrTurn = errors.New("record: the turn to deliver is over")

// Settle writes down what became of an attempt, which counts as one. turn is what
// Turn gave.
func (o Outbox) Settle(ctx context.Context, turn int64, l inbox.Letter, x inbox.Outcome) error {
	due := int64(0)
	if !x.Due.IsZero() {
		due = micros(x.Due)
	}
	return o.change(ctx, settleLetter, turn, l.ID, int64(x.State), due, micros(o.r.c.Now()), x.Reason, x.Answer)
}

// change runs a statement that must change something; else ErrTurn.
func (o Outbox) change(ctx context.Context, text string, args ...any) error {
	n, err := o.r.writer.change(ctx, text, args...)
	if err == nil && n == 0 {
		err = ErrTurn
	}
	return err
}

// Undone are the letters to one feed that are not sent.
type Undone struct {
	Feed             string
	Waiting, Refused int
	Oldest           time.Time // of both
}

// Undone counts what is not sent, by feed.
func (o Outbox) Undone(ctx context.Context) (all []Undone, err error) {
	err = o.r.db.Each(ctx, func(scan func(...any) error) error {
		var feed string
		var state, n, oldest int64
		if err := scan(&feed, &state, &n, &oldest); err != nil {
			return err
		}
		if len(all) == 0 || all[len(all)-1].Feed != feed {
			all = append(all, Undone{Feed: feed, Oldest: fromMicros(oldest)})
		}
		u := &all[len(all)-1]
		if at := fromMicros(oldest); at.Before(u.Oldest) {
			u.Oldest = at
		}
		if inbox.LetterState(state) == inbox.Refused {
			u.Refused = int(n)
		} else {
			u.Waiting = int(n)
		}
		return nil
	}, undoneLetter)
	return all, failed("count letters", err)
}

// Sending is how far a letter has come, without its content.
type Sending struct {
	ID       int64
	Feed     string
	Type     string
	Entered  time.Time
	State    inbox.LetterState
	Attempts int
	Since    time.Time // of the state, or of the last attempt
	Reason   string    // why it is not sent; no patient's data
	Answer   string    // what the receiver called it
	Became   fhir.Ref  // the resource by which its system answered
}

// Open lists the letters that are not sent, in order of entry, beginning after
// one of them.
func (o Outbox) Open(ctx context.Context, after int64, limit int) ([]Sending, error) {
	return o.sendings(ctx, openLetters, after, int64(limit))
}

// Of tells what became of a resource that was addressed to others, oldest letter
// first. Whoever asks must be allowed to see the resource.
func (o Outbox) Of(ctx context.Context, ref fhir.Ref) ([]Sending, error) {
	chart, ours := chartOf(ref)
	if !ours {
		var err error
		if chart, err = o.r.alias(ctx, ref); err != nil {
			return nil, err
		}
	}
	return o.sendings(ctx, lettersOf, chart, ref.Type, ref.ID)
}

func (o Outbox) sendings(ctx context.Context, text string, args ...any) (all []Sending, err error) {
	err = o.r.db.Each(ctx, func(scan func(...any) error) error {
		var s Sending
		var entered, state, attempts, since int64
		var became string
		err := scan(&s.ID, &s.Feed, &s.Type, &entered, &state, &attempts, &since, &s.Reason, &s.Answer, &became)
		s.Entered, s.State, s.Attempts, s.Since = fromMicros(entered), inbox.LetterState(state), int(attempts), fromMicros(since)
		s.Became, _ = fhir.ParseRef(became)
		all = append(all, s)
		return err
	}, text, args...)
	return all, failed("list letters", err)
}

// Retry has letters sent at once, refused ones too. ErrUnknown: one is done, or
// never was; then none is touched.
func (o Outbox) Retry(ctx context.Context, ids ...int64) error {
	return o.each(ctx, ids, func(id int64) (string, []any) { return retryLetter, []any{id, micros(o.r.c.Now())} })
}

// Drop decides that letters shall not be sent; as Retry.
func (o Outbox) Drop(ctx context.Context, reason string, ids ...int64) error {
	return o.each(ctx, ids, func(id int64) (string, []any) {
		return dropLetter, []any{id, micros(o.r.c.Now()), reason}
	})
}

func (o Outbox) each(ctx context.Context, ids []int64, do func(int64) (string, []any)) error {
	return o.r.writer.do(ctx, &write{other: func(ctx context.Context, tx *sqldb.Tx) error {
		for _, id := range ids {
			text, args := do(id)
			n, err := tx.Exec(ctx, text, args...)
			if err == nil && n == 0 {
				err = ErrUnknown
			}
			if err != nil {
				return err
			}
		}
		return nil
	}})
}

const (
	seeTurn  = `SELECT token, beat FROM outbox_turn WHERE feed = $1`
	makeTurn = `INSERT INTO outbox_turn (feed, token, beat) VALUES ($1, 0, -1) ON CONFLICT (feed) DO NOTHING`
	takeTurn = `UPDATE outbox_turn SET token = token + 1, beat = 0 WHERE feed = $1 AND token = $2 AND beat = $3`
	beatTurn = `UPDATE outbox_turn SET beat = beat + 1 WHERE feed = $1 AND token = $2`
	endTurn  = `UPDATE outbox_turn SET beat = -1 WHERE feed = $1 AND token = $2`
)

// turnTimes are how long a turn to deliver holds. Whoever has it shows that it
// lives each beat. Whoever shows it no more for over has lost the turn, by the
// clock of whoever waits: no two clocks are compared. Whoever cannot show it stops
// working after stop.
type turnTimes struct{ beat, stop, over time.Duration }

var usualTimes = turnTimes{3 * time.Second, 10 * time.Second, 18 * time.Second}

// Turn waits until nobody else delivers to a feed, on this node or another, and
// runs work until it returns or the turn is lost: then work's context ends.
// What it is given names the turn to Settle.
func (o Outbox) Turn(ctx context.Context, feed string, work func(context.Context, int64)) error {
	if err := o.r.writer.exec(ctx, makeTurn, feed); err != nil {
		return failed("wait for a turn", err)
	}
	var token, beat int64 = -1, -1
	var since time.Time
	for {
		var nowToken, nowBeat int64
		err := o.r.db.QueryRow(ctx, seeTurn, feed).Scan(&nowToken, &nowBeat)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return failed("wait for a turn", err)
		}
		if nowToken != token || nowBeat != beat {
			token, beat, since = nowToken, nowBeat, time.Now()
		}
		if beat == -1 || !o.r.Postgres() || time.Since(since) >= o.over { // on SQLite nobody else can be alive
			err := o.change(ctx, takeTurn, feed, token, beat)
			if err == nil {
				break
			}
			if !errors.Is(err, ErrTurn) {
				return err
			}
			continue
		}
		select {
		case <-time.After(o.beat):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	token++
	turn, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		o.keepTurn(turn, feed, token)
		stop()
	}()
	work(turn, token)
	stop()
	<-ended
	return failed("end a turn", o.r.writer.exec(context.WithoutCancel(ctx), endTurn, feed, token))
}

// keepTurn returns when the turn is lost, or ctx ends.
func (o Outbox) keepTurn(ctx context.Context, feed string, token int64) {
	for shown := time.Now(); ; {
		select {
		case <-time.After(o.beat):
		case <-ctx.Done():
			return
		}
		try, cancel := context.WithDeadline(ctx, shown.Add(o.stop))
		before := time.Now()
		err := o.change(try, beatTurn, feed, token)
		cancel()
		switch {
		case err == nil:
			shown = before
		case errors.Is(err, ErrTurn), time.Since(shown) >= o.stop:
			return
		}
	}
}
