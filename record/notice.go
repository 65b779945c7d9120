package record

import (
	"context"
	"time"

	"firebreak/audit"
	"firebreak/auth"
	"firebreak/fhir"
	"firebreak/internal/sqldb"
)

// Notice is something that a subscriber is to be told, in its turn.
type Notice struct {
	Subscription string
	Kind         string // handshake, event-notification, heartbeat
	Attempts     int    // that failed

	n, first, last, edition int64
}

// Parcel is what may be told now.
type Parcel struct {
	Subscription
	Kind   string
	Events []Happened // of Parcel.Subscription.Events, in all
}

// Happened is an event. Who holds one may be told of it: Resource is zero where what
// it was about is not there for its subscriber any more, or was not asked for.
type Happened struct {
	N        int64
	At       time.Time // the round
	Ref      fhir.Ref  // zero where it is not there any more
	Resource fhir.Resource
}

const (
	dueNotices = `SELECT t.subscription, t.n, t.kind, t.first, t.last, t.attempts, s.edition FROM subscription_notice t JOIN subscription s ON s.id = t.subscription
		WHERE t.due <= $1 AND s.status IN ('requested', 'active')
		AND NOT EXISTS (SELECT 1 FROM subscription_notice p WHERE p.subscription = t.subscription AND p.n < t.n) ORDER BY t.subscription`
	eventsOf   = `SELECT n, at, chart, type, resource FROM subscription_event WHERE subscription = $1 AND n >= $2 AND n <= $3 ORDER BY n`
	doneNotice = `DELETE FROM subscription_notice WHERE subscription = $1 AND n = $2 AND EXISTS (SELECT 1 FROM subscription s WHERE s.id = $1 AND s.edition = $3)`
	lateNotice = `UPDATE subscription_notice SET attempts = attempts + 1, due = $3 WHERE subscription = $1 AND n = $2 AND attempts = $4`
	activate   = `UPDATE subscription SET status = 'active', edition = edition + 1, updated = $3 WHERE id = $1 AND edition = $2 AND status = 'requested'`
	giveUp     = `UPDATE subscription SET status = 'error', reason = $3, edition = edition + 1, updated = $4 WHERE id = $1 AND edition = $2 AND status IN ('requested', 'active')`
)

// Due are the notices that may be sent at a moment of the grid: of each subscription
// the first.
func (r *Reader) Due(ctx context.Context, now time.Time) (all []Notice, err error) {
	err = r.r.db.Each(ctx, func(scan func(...any) error) error {
		var n Notice
		var attempts int64
		err := scan(&n.Subscription, &n.n, &n.Kind, &n.first, &n.last, &attempts, &n.edition)
		n.Attempts = int(attempts)
		all = append(all, n)
		return err
	}, dueNotices, micros(now))
	return all, failed("read what is to be told", err)
}

// Open is what a notice may tell now: to whom it is today, of what they see today.
// It is written down before. ok is false when nobody is to be told.
func (r *Reader) Open(ctx context.Context, n Notice, now time.Time, admit Admit) (p Parcel, ok bool, err error) {
	all, err := r.subscriptions(ctx, someSubscriptions+` WHERE id = $1 AND status IN ('requested', 'active')`, n.Subscription)
	if err != nil || len(all) == 0 {
		return Parcel{}, false, err
	}
	p = Parcel{Subscription: all[0], Kind: n.Kind}
	c, err := admit(ctx, p.standing)
	if err == nil {
		_, err = p.questions(c, r.Codes())
	}
	e := Ask{Caller: c}.event(audit.Notify)
	e.Detail = n.Kind + " " + p.ID
	if err == nil && n.Kind == ofEvents {
		p.Events, err = r.happened(ctx, Ask{Caller: c}, p.Subscription, n.first, n.last, &e)
	}
	if err != nil {
		if why := ended(err); why != "" {
			return Parcel{}, false, r.become(ctx, p.Subscription, Failing, why, now)
		}
		return Parcel{}, false, err
	}
	return p, true, r.audit(ctx, e)
}

// happened gives events of a subscription as its client may know of them now.
func (r *Reader) happened(ctx context.Context, ask Ask, s Subscription, first, last int64, e *audit.Event) (all []Happened, err error) {
	type place struct {
		chart string
		ref   fhir.Ref
	}
	var places []place
	err = r.r.db.Each(ctx, func(scan func(...any) error) error {
		var h Happened
		var at int64
		var p place
		err := scan(&h.N, &at, &p.chart, &p.ref.Type, &p.ref.ID)
		h.At = fromMicros(at)
		all, places = append(all, h), append(places, p)
		return err
	}, eventsOf, s.ID, first, last)
	if err != nil {
		return nil, failed("read events", err)
	}
	policyNow := r.p.Load()
	views := map[string]*view{}
	for i, p := range places {
		v := views[p.chart]
		if v == nil {
			if v, err = r.viewThrough(ctx, policyNow, Glass{}, ask.Caller, p.chart, false); err != nil {
				return nil, err
			}
			views[p.chart] = v
		}
		m, ok := v.Get(p.ref)
		if !ok || !v.reaches(ask.Caller, auth.Search, p.ref.Type) {
			continue
		}
		all[i].Ref, all[i].Resource = p.ref, m.Resource()
		if s.Content == "id-only" || s.Content == "full-resource" {
			e.Entities = append(e.Entities, p.ref)
			e.Patient = v.patient
		}
	}
	if len(views) != 1 {
		e.Patient = fhir.Ref{}
	}
	return all, nil
}

// Missed gives events of one of the caller's subscriptions again, as they may be
// known now; no further back than they are kept. content is as of Wish, "" for the
// subscription's own.
func (r *Reader) Missed(ctx context.Context, ask Ask, id, content string, first, last int64) (Parcel, error) {
	s, err := r.subscription(ctx, ask.Caller, id)
	if err != nil {
		return Parcel{}, err
	}
	e := ask.event(audit.Notify)
	e.Detail = "query-event " + id
	if _, err := s.questions(ask.Caller, r.Codes()); err != nil {
		return Parcel{}, err
	}
	if content != "" {
		s.Content = content
	}
	last = min(last, s.Events)
	if first = max(first, 1); last-first >= noticeEvents {
		last = first + noticeEvents - 1
	}
	events, err := r.happened(ctx, ask, s, first, last, &e)
	if err != nil {
		return Parcel{}, err
	}
	return Parcel{Subscription: s, Kind: "query-event", Events: events}, r.audit(ctx, e)
}

// Told says that a notice arrived. A subscription is active from its first one on. One
// that was changed meanwhile is told again.
func (r *Reader) Told(ctx context.Context, n Notice, now time.Time) error {
	stmts := []sqldb.Stmt{{SQL: doneNotice, Args: []any{n.Subscription, n.n, n.edition}}}
	if n.Kind == ofBeginning {
		stmts = append(stmts, sqldb.Stmt{SQL: activate, Args: []any{n.Subscription, n.edition, micros(now)}})
	}
	return failed("settle a notice", r.r.writer.do(ctx, &write{other: func(ctx context.Context, tx *sqldb.Tx) error { return tx.Batch(ctx, stmts) }}))
}

// Untold says that a notice did not arrive: it is due again then.
func (r *Reader) Untold(ctx context.Context, n Notice, then time.Time) error {
	return failed("settle a notice", r.r.writer.exec(ctx, lateNotice, n.Subscription, n.n, micros(then), int64(n.Attempts)))
}

// GiveUp says that the receiver takes nothing: the subscription is in error until its
// client changes it, and keeps what it has to tell.
func (r *Reader) GiveUp(ctx context.Context, n Notice, why string, now time.Time) error {
	return failed("settle a notice", r.r.writer.exec(ctx, giveUp, n.Subscription, n.edition, why, micros(now)))
}
