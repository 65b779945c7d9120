package record

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/internal/sqldb"
)

// Mended is the state of a held message in whose place a corrected copy is.
const Mended State = "mended"

// Sought is what an operator looks for; what is empty is not asked.
type Sought struct {
	Source      string
	State       State     // Pending, OnHold, SetAside, or any
	Control     string    // control id
	Type        string    // as inbox.Message.Type, or the beginning of it
	Patient     string    // a number of the patient, by the index of numbers
	Text        string    // that the message holds
	Reason      string    // why it is held
	From, Until time.Time // when it came
	Below       inbox.ID  // where to go on: messages with lower numbers; 0: all
}

// Line is a stored message without its content.
type Line struct {
	ID        inbox.ID
	Source    string
	Kind      inbox.Kind
	Type      string
	ControlID string
	Peer      string
	Received  time.Time
	State     State
	Reason    string    // why it is held
	Copy      inbox.ID  // the corrected copy of it; 0: none
	Aside     *Aside    // nil: it is not set aside
	Purged    time.Time // when its text was; zero: it is stored
}

// Alike are held messages of one feed with one reason.
type Alike struct {
	Source, Reason string
	N              int
}

// Found is what was found, newest first.
type Found struct {
	Lines []Line
	Below inbox.ID  // where to go on; 0: nothing is left
	Back  time.Time // how far back was looked, where something is left
}

const (
	dialectURN = "urn:firebreak:dialect:" // as mapping.DialectURN, which nothing here may import

	messageLines = 50    // of one page
	messageStep  = 200   // messages read at a time
	messageWalk  = 2_000 // looked at for one page
	messageHead  = 512   // bytes of a message that tell its type

	messageLine = `
		SELECT ` + messageColumns + `, substr(i.body, 1, $1), CASE WHEN p.id IS NOT NULL THEN 'purged' WHEN m.id IS NOT NULL THEN 'mended' WHEN a.id IS NOT NULL THEN 'aside' WHEN t.id IS NULL THEN 'done' WHEN t.held = 1 THEN 'held' ELSE 'pending' END,
			COALESCE(a.held, t.reason, ''), COALESCE(m.copy, 0), COALESCE(a.reason, ''), COALESCE(a.who, ''), COALESCE(a.at, 0), COALESCE(p.at, 0)
		FROM inbox i LEFT JOIN todo t ON t.id = i.id LEFT JOIN mended m ON m.id = i.id LEFT JOIN aside a ON a.id = i.id LEFT JOIN purged p ON p.id = i.id `
	oneLine      = messageLine + `WHERE i.id = $2`
	linesBelow   = messageLine + `WHERE i.id < $2 ORDER BY i.id DESC LIMIT $3`
	undoneBelow  = messageLine + `WHERE i.id IN (SELECT id FROM todo WHERE held = $4 AND id < $2 ORDER BY id DESC LIMIT $3) ORDER BY i.id DESC`
	asideBelow   = messageLine + `WHERE i.id IN (SELECT id FROM aside WHERE id < $2 ORDER BY id DESC LIMIT $3) ORDER BY i.id DESC`
	controlBelow = messageLine + `WHERE i.source = $4 AND i.control = $5 AND i.id < $2 ORDER BY i.id DESC LIMIT $3`
	heldAlike    = `
		SELECT i.source, t.reason, COUNT(*) FROM (SELECT id, reason FROM todo WHERE held = 1 ORDER BY id LIMIT $1) t JOIN inbox i ON i.id = t.id
		GROUP BY i.source, t.reason ORDER BY 3 DESC, 1, 2 LIMIT 20`
	supersede  = `INSERT INTO mended (id, copy, who, at) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING`
	unhold     = `DELETE FROM todo WHERE id = $1 AND held = 1`
	readBy     = `SELECT dialect FROM said WHERE message = $1 LIMIT 1`
	originalOf = `SELECT COALESCE(MIN(id), 0) FROM mended WHERE copy = $1`
)

// Messages are the stored messages that match, newest first. A question of what
// has no index looks at so many and says how far back it came.
func (o *Operations) Messages(ctx context.Context, s Shift, q Sought) (found Found, err error) {
	if err := o.audit(ctx, s, "ops messages"+q.named(), false); err != nil {
		return Found{}, err
	}
	return o.look(ctx, q)
}

func (o *Operations) look(ctx context.Context, q Sought) (found Found, err error) {
	below := int64(q.Below)
	if below <= 0 {
		below = 1 << 62
	}
	if q.Patient != "" {
		return o.ofPatient(ctx, q, below)
	}
	head := int64(messageHead)
	if q.Text != "" {
		head = 1 << 30
	}
	sources := []string{q.Source}
	if q.Control != "" && q.Source == "" {
		feeds, err := o.reader.Freshness(ctx)
		if err != nil {
			return Found{}, err
		}
		sources = []string{inbox.Own}
		for _, f := range feeds {
			sources = append(sources, f.Source)
		}
	}
	for looked := 0; ; {
		var page []Line
		var bodies [][]byte
		read := func(text string, args ...any) error {
			return o.r.db.Each(ctx, func(scan func(...any) error) error {
				l, b, err := scanLine(scan)
				page, bodies = append(page, l), append(bodies, b)
				return err
			}, text, append([]any{head, below, int64(messageStep)}, args...)...)
		}
		switch {
		case q.Control != "":
			for _, source := range sources {
				err = errors.Join(err, read(controlBelow, source, q.Control))
			}
			slices.SortFunc(page, func(a, b Line) int { return int(b.ID - a.ID) })
		case q.State == Pending || q.State == OnHold:
			err = read(undoneBelow, number(q.State == OnHold))
		case q.State == SetAside:
			err = read(asideBelow)
		default:
			err = read(linesBelow)
		}
		if err != nil {
			return Found{}, failed("look for messages", err)
		}
		for i, l := range page {
			below = int64(l.ID)
			if !q.From.IsZero() && l.Received.Before(q.From.Add(-time.Hour)) { // they come in the order of numbers, but for what a clock was set
				return found, nil
			}
			if !q.fits(l, bodies[i]) {
				continue
			}
			if found.Lines = append(found.Lines, l); len(found.Lines) == messageLines {
				found.Below, found.Back = l.ID, l.Received
				return found, nil
			}
		}
		if len(page) < messageStep || q.Control != "" {
			return found, nil
		}
		if looked += len(page); looked >= messageWalk {
			found.Below, found.Back = page[len(page)-1].ID, page[len(page)-1].Received
			return found, nil
		}
	}
}

// named is what is asked, by name and not by value; feed and state are nobody's.
func (q Sought) named() (asked string) {
	for _, x := range []struct {
		name string
		set  bool
	}{{"feed " + q.Source, q.Source != ""}, {string(q.State), q.State != ""}, {"control id", q.Control != ""}, {"type", q.Type != ""}, {"patient", q.Patient != ""}, {"text", q.Text != ""}, {"reason", q.Reason != ""}, {"time", !q.From.IsZero() || !q.Until.IsZero()}} {
		if x.set {
			asked += ", " + x.name
		}
	}
	return asked
}

func (q Sought) fits(l Line, body []byte) bool {
	return (q.Source == "" || l.Source == q.Source) && (q.State == Unknown || l.State == q.State) && (q.Reason == "" || l.Reason == q.Reason) &&
		(q.Type == "" || len(l.Type) >= len(q.Type) && bytes.EqualFold([]byte(l.Type[:len(q.Type)]), []byte(q.Type))) &&
		(q.From.IsZero() || !l.Received.Before(q.From)) && (q.Until.IsZero() || l.Received.Before(q.Until)) &&
		(q.Text == "" || bytes.Contains(bytes.ToLower(body), bytes.ToLower([]byte(q.Text))))
}

func scanLine(scan func(...any) error) (l Line, head []byte, err error) {
	var id, received, copied, at, purged int64
	var kind, state string
	var a Aside
	err = scan(&id, &l.Source, &kind, &l.ControlID, &l.Peer, &received, &head, &state, &l.Reason, &copied, &a.Reason, &a.Who, &at, &purged)
	if a.At = fromMicros(at); at > 0 {
		l.Aside = &a
	}
	if purged > 0 {
		l.Purged = fromMicros(purged)
	}
	l.ID, l.Kind, l.Received, l.State, l.Copy = inbox.ID(id), inbox.Kind(kind), fromMicros(received), State(state), inbox.ID(copied)
	l.Type = inbox.Message{Kind: l.Kind, Body: head[:min(len(head), messageHead)]}.Type()
	return l, head, err
}

// Alike groups what is held, most first: as far as is soon counted.
func (o *Operations) Alike(ctx context.Context, s Shift) (all []Alike, err error) {
	if err := o.audit(ctx, s, "ops messages, held by reason", false); err != nil {
		return nil, err
	}
	err = o.r.db.Each(ctx, func(scan func(...any) error) error {
		var a Alike
		var n int64
		err := scan(&a.Source, &a.Reason, &n)
		a.N = int(n)
		all = append(all, a)
		return err
	}, heldAlike, int64(maxUndone))
	return all, failed("count held messages", err)
}

// Why is why an operator reads a message as it came.
type Why string

// Whys are all there are, in the order in which they are offered.
func Whys() []Why { return []Why{"fault", "sender", "safety"} }

// Seen is a message as an operator sees it.
type Seen struct {
	Line
	Text     string // masked, unless it was asked for in clear
	Clear    bool
	Trace    Trace    // masked with the text
	Said     bool     // it was applied and told something; then
	Read     string   // the dialect by which it was read when it was last applied, as in Trace; empty: by none
	Original inbox.ID // the message that it is a corrected copy of; 0: none
	Doubt    *Doubt   // nil: whose it is is not doubted
}

// Message is one stored message, masked unless why is one of Whys. Nobody's is
// fhir.NotFound.
func (o *Operations) Message(ctx context.Context, s Shift, id inbox.ID, why Why) (Seen, error) {
	l, m, err := o.stored(ctx, id)
	if err == nil && why != "" && !slices.Contains(Whys(), why) {
		err = fhir.NotFound()
	}
	seen := Seen{Line: l, Clear: why != ""}
	if err == nil && l.State == OnHold {
		if seen.Doubt, err = o.r.doubtOn(ctx, id); err != nil {
			return Seen{}, err
		}
	}
	how := "masked"
	if why != "" {
		how = "in clear, for " + string(why)
		if err != nil {
			how = "in clear"
		}
	}
	var whose []fhir.Ref
	if seen.Clear && seen.Doubt != nil && len(seen.Doubt.Known) > 0 {
		whose = []fhir.Ref{{Type: "Patient", ID: seen.Doubt.chart}}
	}
	if err := errors.Join(err, o.auditOf(ctx, s, fmt.Sprintf("ops message %d, %s", id, how), err != nil, whose...)); err != nil {
		return Seen{}, err
	}
	if l.Purged.IsZero() {
		seen.Trace = o.in.Trace(m)
	}
	if seen.Doubt != nil {
		seen.Doubt.Says = seen.Trace.person(l.Source)
	}
	if seen.Clear {
		seen.Text = string(m.Body)
	} else {
		seen.Text = m.Masked()
		seen.Trace.mask()
		seen.Doubt.mask()
	}
	err = o.r.db.Each(ctx, func(scan func(...any) error) error {
		err := scan(&seen.Read)
		seen.Said, seen.Read = true, strings.TrimPrefix(seen.Read, dialectURN)
		return err
	}, readBy, int64(id))
	if err != nil {
		return Seen{}, failed("read a message", err)
	}
	var original int64
	err = o.r.db.QueryRow(ctx, originalOf, int64(id)).Scan(&original)
	seen.Original = inbox.ID(original)
	return seen, failed("read a message", err)
}

func (t Trace) mask() {
	for _, r := range t.Resources {
		for i, v := range r.Values {
			r.Values[i].Text = inbox.Mask(v.Text)
		}
	}
}

func (o *Operations) stored(ctx context.Context, id inbox.ID) (Line, inbox.Message, error) {
	l, _, err := scanLine(o.r.db.QueryRow(ctx, oneLine, int64(messageHead), int64(id)).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return Line{ID: id}, inbox.Message{}, fhir.NotFound()
	}
	if err != nil {
		return Line{}, inbox.Message{}, failed("read a message", err)
	}
	m, err := o.r.Queue().Message(ctx, id)
	if errors.Is(err, ErrPurged) {
		err = nil // the line says so
	}
	return l, m, err
}

// patience is how long a page waits for what it set going; it goes on without.
const patience = 5 * time.Second

// wait gives messages a moment to be applied. Held again, or not done yet: the
// next look says so.
func (o *Operations) wait(ctx context.Context, ids ...inbox.ID) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, id := range ids {
		_ = o.in.Applied(ctx, id)
	}
}

// Replay applies a message again. One that a copy stands for, is set aside or has no
// text any more is fhir.NotFound.
func (o *Operations) Replay(ctx context.Context, s Shift, id inbox.ID) error {
	l, _, err := o.stored(ctx, id)
	if err == nil && (l.State == Mended || l.State == SetAside || l.State == Purged) {
		err = fhir.NotFound()
	}
	if err := errors.Join(err, o.audit(ctx, s, fmt.Sprintf("ops replay of message %d", id), err != nil)); err != nil {
		return err
	}
	if err := o.in.Replay(ctx, id); err != nil {
		return err
	}
	o.wait(ctx, id)
	return nil
}

// Vouch says that a message held for doubt is of the patient whose number it
// names: it is applied, and what was held in that chart for doubt is tried again.
// What is not held for that is fhir.NotFound.
func (o *Operations) Vouch(ctx context.Context, s Shift, id inbox.ID) error {
	doubtful, err := o.r.doubtful(ctx, id)
	if err == nil && !doubtful {
		err = fhir.NotFound()
	}
	if err := errors.Join(err, o.audit(ctx, s, fmt.Sprintf("ops message %d, the same person", id), err != nil)); err != nil {
		return err
	}
	others, err := o.r.beside(ctx, id, true)
	if err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx) // what is decided is carried through
	if err := o.r.Queue().Vouch(ctx, s.Operator.Caller().Name(), id); err != nil {
		return err
	}
	for _, ids := range [][]inbox.ID{{id}, others} {
		if err := o.in.Replay(ctx, ids...); err != nil {
			return err
		}
		o.wait(ctx, ids...)
	}
	return nil
}

// ReplayFound applies again what is held and matches, as many as are counted at
// once, and says how many.
func (o *Operations) ReplayFound(ctx context.Context, s Shift, q Sought) (int, error) {
	var ids []inbox.ID
	for q.State, q.Below = OnHold, 0; len(ids) < maxUndone; {
		found, err := o.look(ctx, q)
		if err != nil {
			return 0, err
		}
		for _, l := range found.Lines {
			ids = append(ids, l.ID)
		}
		if q.Below = found.Below; q.Below == 0 {
			break
		}
	}
	if err := o.audit(ctx, s, fmt.Sprintf("ops replay of %d messages%s", len(ids), q.named()), len(ids) == 0); err != nil || len(ids) == 0 {
		return 0, err
	}
	slices.Sort(ids)
	if err := o.in.Replay(ctx, ids...); err != nil {
		return 0, err
	}
	o.wait(ctx, ids...)
	return len(ids), nil
}

// Unfit says why a corrected copy was not taken.
type Unfit struct{ Reason string }

func (u *Unfit) Error() string { return "record: unfit: " + u.Reason }

// ErrSame says that nothing was corrected.
var ErrSame = &Unfit{"nothing was changed"}

// Mend takes in a corrected copy of a held message, which from then on stands
// for it; the original stays as it came. A copy that would be held too is
// *Unfit, and nothing is stored. What is not held, or no v2 message, is
// fhir.NotFound.
//
// The copy is on disk before the original is let go: a crash between leaves the
// original held, and the same correction once more ends the same.
func (o *Operations) Mend(ctx context.Context, s Shift, id inbox.ID, body []byte) (inbox.ID, error) {
	l, m, err := o.stored(ctx, id)
	var reason string
	switch {
	case err != nil:
	case l.State != OnHold || m.Kind != inbox.HL7v2:
		err = fhir.NotFound()
	case bytes.Equal(m.Body, body):
		err = ErrSame
	default:
		m.Before, m.Body, m.Received, m.Peer = nil, body, o.r.c.Now(), "operator "+s.Operator.Caller().Person()
		if _, reason = o.in.Try(m); reason != "" {
			err = &Unfit{reason}
		}
	}
	if err := errors.Join(err, o.audit(ctx, s, fmt.Sprintf("ops message %d, corrected copy", id), err != nil)); err != nil {
		return 0, err
	}
	ctx = context.WithoutCancel(ctx) // what is begun is carried through
	receipt, err := o.in.Put(ctx, m)
	if err != nil {
		return 0, err
	}
	err = o.r.writer.do(ctx, &write{other: func(ctx context.Context, tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, supersede, int64(id), int64(receipt.ID), s.Operator.Caller().Name(), micros(o.r.c.Now()))
		if err == nil {
			_, err = tx.Exec(ctx, unhold, int64(id))
		}
		return err
	}})
	if err != nil {
		return 0, failed("let go a mended message", err)
	}
	waited, err := o.r.beside(ctx, id, false)
	if err == nil {
		err = o.in.Replay(ctx, waited...)
	}
	o.wait(ctx, receipt.ID)
	return receipt.ID, err
}
