package record

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"firebreak/fhir"
	"firebreak/inbox"
)

// Post is a letter as an operator sees it in a list, without its content.
type Post struct {
	Sending
	Due    time.Time // when it is tried again; zero: as soon as it is its turn
	Behind int64     // the letter of the same patient that must be done first; 0: none
}

// Mail is what an operator looks for among the letters; what is empty is not asked.
type Mail struct {
	Feed  string
	State string // as inbox.LetterState is written; empty: what is not sent
	Past  int64  // where to go on, as Posts gave it
}

// Posts are the letters that were found: those that are not sent in order of
// entry, others newest first.
type Posts struct {
	All  []Post
	Past int64     // where to go on; 0: nothing is left
	Back time.Time // how far was looked, where something is left
}

const (
	postColumns = `
		SELECT o.id, o.feed, o.type, o.entered, o.state, o.attempts, o.changed, o.reason, o.answer, o.became, o.due,
			CASE WHEN o.state = 0 THEN COALESCE((SELECT MIN(p.id) FROM outbox p WHERE p.feed = o.feed AND p.chart = o.chart AND p.id < o.id AND p.state < 2), 0) ELSE 0 END`
	openPosts = postColumns + ` FROM outbox o WHERE o.state < 2 AND o.id > $1 AND $2 IN ('', o.feed) AND CAST($3 AS BIGINT) IN (-1, o.state) ORDER BY o.id LIMIT $4`
	pastPosts = postColumns + ` FROM outbox o WHERE o.id < $1 ORDER BY o.id DESC LIMIT $2`
	onePost   = postColumns + `, o.chart, b.json FROM outbox o JOIN body b ON b.id = o.body WHERE o.id = $1`
	refusedTo = `SELECT id FROM outbox WHERE feed = $1 AND state = 1 ORDER BY id LIMIT $2`
)

func scanPost(scan func(...any) error, more ...any) (p Post, err error) {
	var entered, state, attempts, since, due int64
	var became string
	err = scan(append([]any{&p.ID, &p.Feed, &p.Type, &entered, &state, &attempts, &since, &p.Reason, &p.Answer, &became, &due, &p.Behind}, more...)...)
	p.Entered, p.State, p.Attempts, p.Since = fromMicros(entered), inbox.LetterState(state), int(attempts), fromMicros(since)
	p.Became, _ = fhir.ParseRef(became)
	if due > 0 && p.State == inbox.Waiting {
		p.Due = fromMicros(due)
	}
	return p, err
}

// LetterStates are the states of letters by which they are looked for.
func LetterStates() []inbox.LetterState {
	return []inbox.LetterState{inbox.Waiting, inbox.Refused, inbox.Sent, inbox.Answered, inbox.Dropped}
}

// state is which one is asked for, -1 for all that are not sent; a word that is none
// is as no word.
func (m Mail) state() inbox.LetterState {
	i := slices.IndexFunc(LetterStates(), func(s inbox.LetterState) bool { return s.String() == m.State })
	if i < 0 {
		return -1
	}
	return LetterStates()[i]
}

// Letters are those that match, a page of them.
func (o *Operations) Letters(ctx context.Context, s Shift, q Mail) (found Posts, err error) {
	state, asked := q.state(), "not sent"
	if state >= 0 {
		asked = state.String()
	}
	if q.Feed != "" {
		asked += ", feed " + q.Feed
	}
	if err := o.audit(ctx, s, "ops letters, "+asked, false); err != nil {
		return Posts{}, err
	}
	read := func(text string, args ...any) (all []Post, err error) {
		err = o.r.db.Each(ctx, func(scan func(...any) error) error {
			p, err := scanPost(scan)
			all = append(all, p)
			return err
		}, text, args...)
		return all, failed("look for letters", err)
	}
	if state < inbox.Sent {
		if found.All, err = read(openPosts, q.Past, q.Feed, int64(state), int64(messageLines)); len(found.All) == messageLines {
			last := found.All[messageLines-1]
			found.Past, found.Back = last.ID, last.Entered
		}
		return found, err
	}
	below := q.Past
	if below <= 0 {
		below = 1 << 62
	}
	for range messageWalk / messageStep {
		page, err := read(pastPosts, below, int64(messageStep))
		if err != nil {
			return Posts{}, err
		}
		for _, p := range page {
			below = p.ID
			found.Back = p.Entered
			if p.State == state && (q.Feed == "" || p.Feed == q.Feed) {
				found.All = append(found.All, p)
			}
			if len(found.All) == messageLines {
				found.Past = below
				return found, nil
			}
		}
		if len(page) < messageStep {
			return found, nil
		}
	}
	found.Past = below
	return found, nil
}

// SeenLetter is a letter with its content.
type SeenLetter struct {
	Post
	Text  string // the resource; masked, unless it was asked for in clear
	Clear bool
}

// Letter is one letter, masked unless why is one of Whys. What is none is
// fhir.NotFound.
func (o *Operations) Letter(ctx context.Context, s Shift, id int64, why Why) (seen SeenLetter, err error) {
	var chart string
	var body []byte
	seen.Post, err = scanPost(o.r.db.QueryRow(ctx, onePost, id).Scan, &chart, &body)
	switch {
	case errors.Is(err, sql.ErrNoRows), err == nil && why != "" && !slices.Contains(Whys(), why):
		err = fhir.NotFound()
	case err != nil:
		err = failed("read a letter", err)
	}
	how, whose := "masked", []fhir.Ref(nil)
	if seen.Clear = why != ""; seen.Clear {
		how = "in clear"
		if err == nil {
			how, whose = "in clear, for "+string(why), []fhir.Ref{{Type: "Patient", ID: chart}}
		}
	}
	if err := errors.Join(err, o.auditOf(ctx, s, fmt.Sprintf("ops letter %d, %s", id, how), err != nil, whose...)); err != nil {
		return SeenLetter{}, err
	}
	v := jsontext.Value(body)
	if err := v.Indent(jsontext.WithIndent("  ")); err != nil {
		return SeenLetter{}, failed("read a letter", err)
	}
	if seen.Text = string(v); !seen.Clear {
		seen.Text = inbox.Mask(seen.Text)
	}
	return seen, nil
}

// Retry has a letter sent again at once; one that is done is fhir.NotFound.
func (o *Operations) Retry(ctx context.Context, s Shift, id int64, reason string) error {
	return o.post(ctx, s, "retry", id, reason, func() error { return o.r.Outbox().Retry(ctx, id) })
}

// Drop decides that a letter shall not be sent; one that is done is fhir.NotFound.
func (o *Operations) Drop(ctx context.Context, s Shift, id int64, reason string) error {
	return o.post(ctx, s, "drop", id, reason, func() error { return o.r.Outbox().Drop(ctx, reason, id) })
}

func (o *Operations) post(ctx context.Context, s Shift, what string, id int64, reason string, do func() error) error {
	if _, ok := WrittenReason(reason); !ok {
		return errors.New("record: no reason to decide on a letter")
	}
	p, err := scanPost(o.r.db.QueryRow(ctx, onePost, id).Scan, new(string), new([]byte))
	if errors.Is(err, sql.ErrNoRows) || err == nil && p.State >= inbox.Sent {
		err = fhir.NotFound()
	}
	if err := errors.Join(err, o.audit(ctx, s, fmt.Sprintf("ops %s of letter %d: %s", what, id, reason), err != nil)); err != nil {
		return err
	}
	if err := do(); errors.Is(err, ErrUnknown) {
		return fhir.NotFound() // it was sent, or somebody was faster
	} else if err != nil {
		return err
	}
	return nil
}

// RetryRefused has all letters that a feed's system refused sent again, as many as
// are counted at once, and says how many.
func (o *Operations) RetryRefused(ctx context.Context, s Shift, feed, reason string) (int, error) {
	if _, ok := WrittenReason(reason); !ok {
		return 0, errors.New("record: no reason to decide on letters")
	}
	var ids []int64
	err := o.r.db.Each(ctx, func(scan func(...any) error) error {
		var id int64
		err := scan(&id)
		ids = append(ids, id)
		return err
	}, refusedTo, feed, int64(maxUndone))
	if err := errors.Join(failed("look for letters", err), o.audit(ctx, s, fmt.Sprintf("ops retry of %d letters refused by feed %s: %s", len(ids), feed, reason), err != nil)); err != nil || len(ids) == 0 {
		return 0, err
	}
	if err := o.r.Outbox().Retry(ctx, ids...); errors.Is(err, ErrUnknown) {
		return 0, fhir.NotFound() // somebody was faster
	} else if err != nil {
		return 0, err
	}
	return len(ids), nil
}
