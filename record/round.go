package record

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"firebreak/access"
	"firebreak/auth"
	"firebreak/fhir"
	"firebreak/internal/sqldb"
	"firebreak/policy"
)

// Admit says who it is, today, that a subscription stands on. An *access.Refusal or
// auth.ErrToken says that it is nobody any more.
type Admit func(ctx context.Context, s auth.Standing) (access.Caller, error)

// Kinds of notices.
const (
	ofBeginning = "handshake"
	ofEvents    = "event-notification"
	ofNothing   = "heartbeat"
)

// digests are of versions: what a question found in a chart, in order.
type digests []uint64

func digest(m policy.Released) uint64 {
	ref := m.Ref()
	sum := sha256.Sum256([]byte(ref.Type + "/" + ref.ID + " " + m.VersionID()))
	return binary.BigEndian.Uint64(sum[:])
}

func (d digests) bytes() []byte {
	b := make([]byte, 0, 8*len(d))
	for _, x := range d {
		b = binary.BigEndian.AppendUint64(b, x)
	}
	return b
}

func digestsOf(b []byte) digests {
	d := make(digests, 0, len(b)/8)
	for ; len(b) >= 8; b = b[8:] {
		d = append(d, binary.BigEndian.Uint64(b))
	}
	return d
}

// sighting is what a subscription's questions find in a chart.
type sighting struct {
	chart   string
	found   []policy.Released
	digests digests
	same    bool    // as at the last round of this process, so it was not looked at
	glance  *glance // to be remembered once this is kept; nil: it may change by itself
}

// glances remember when a subscription's chart was last looked at, so that one that
// cannot show anything else is passed over.
type glances struct {
	mu sync.Mutex
	by map[string]glance
}

// glance is what a chart was looked at through.
type glance struct {
	of  *view // its stamps alone
	key string
}

const maxGlances = 50_000

func (l *glances) get(name string) (glance, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g, ok := l.by[name]
	return g, ok
}

// keep remembers what was looked at, and kept.
func (l *glances) keep(s Subscription, all []sighting) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range all {
		if x.glance == nil {
			continue
		}
		if l.by == nil || len(l.by) >= maxGlances {
			l.by = map[string]glance{}
		}
		l.by[s.glanceAt(x.chart)] = *x.glance
	}
}

func (s Subscription) glanceAt(chart string) string {
	return s.ID + " " + strconv.FormatInt(s.Edition, 10) + " " + chart
}

// watched are the charts that a question names. How many they are must not depend on
// any record; which hold nothing to see makes no difference later.
func (s *seeking) watched(ctx context.Context) ([]string, error) {
	reach, err := s.reach()
	if err != nil {
		return nil, err
	}
	if reach == auth.OnePatient {
		return []string{s.caller.Identity().Patient()}, nil
	}
	if patients, ok := s.q.Patient(); ok && len(patients) > mostCharts {
		return nil, errManyCharts
	}
	in, err := s.candidates(ctx)
	if err != nil {
		return nil, err
	}
	if !in.few || s.caller.Audience() == access.Provider && !s.narrow() {
		return nil, errUnnamed
	}
	var all []string
	for at := ""; ; {
		charts, err := in.next(ctx, at)
		if err != nil || len(charts) == 0 {
			return all, err
		}
		all, at = append(all, charts...), charts[len(charts)-1]
	}
}

// look gives what a subscription's questions find now in the caller's view, chart by
// chart. Nobody's emergency access counts: it ends. With known, charts that can show
// nothing else than at the last round are said to be the same.
func (r *Reader) look(ctx context.Context, c access.Caller, sub Subscription, known *glances) (all []sighting, err error) {
	asked, err := sub.questions(c, r.Codes())
	if err != nil {
		return nil, err
	}
	at := map[string][]*seeking{}
	var charts []string
	for _, q := range asked {
		s := &seeking{Reader: r, caller: c, q: q}
		named, err := s.watched(ctx)
		if err != nil {
			return nil, err
		}
		for _, chart := range named {
			at[chart] = append(at[chart], s)
		}
		charts = append(charts, named...)
	}
	p := r.p.Load()
	key := p.KeyThrough(policy.Intact, c)
	for _, chart := range sortUnique(charts) {
		if known != nil {
			if g, ok := known.get(sub.glanceAt(chart)); ok && g.key == key {
				fresh, err := r.r.fresh(ctx, g.of)
				if err != nil {
					return nil, err
				}
				if fresh {
					all = append(all, sighting{chart: chart, same: true})
					continue
				}
			}
		}
		v, err := r.viewThrough(ctx, p, Glass{}, c, chart, false)
		if err != nil {
			return nil, err
		}
		x := sighting{chart: chart}
		have := map[fhir.Ref]bool{}
		for _, s := range at[chart] {
			if !slices.ContainsFunc(s.q.Types(), func(typ string) bool { return v.reaches(c, auth.Search, typ) }) {
				continue
			}
			found, err := s.of(ctx, v)
			if err != nil {
				return nil, err
			}
			for _, m := range found {
				if !have[m.Ref()] {
					have[m.Ref()] = true
					x.found, x.digests = append(x.found, m), append(x.digests, digest(m))
				}
			}
		}
		slices.Sort(x.digests)
		if v.Lasts() {
			x.glance = &glance{&view{stamps: v.stamps, beside: v.beside}, key}
			x.glance.of.since.Store(v.since.Load())
		}
		all = append(all, x)
	}
	return all, nil
}

// ended says why a subscription may not be told any more; "" when the error is our own.
func ended(err error) string {
	if _, ok := errors.AsType[*access.Refusal](err); ok || errors.Is(err, auth.ErrToken) {
		return "What it stood on has ended or is suspended."
	}
	if shown, ok := errors.AsType[*fhir.Error](err); ok && shown.Status < http.StatusInternalServerError {
		return "What its client may see no longer covers its criteria."
	}
	return ""
}

const (
	dueRound   = ` WHERE status IN ('requested', 'active') ORDER BY id`
	seenBy     = `SELECT chart, seen FROM subscription_seen WHERE subscription = $1`
	dropOne    = `DELETE FROM subscription_seen WHERE subscription = $1 AND chart = $2`
	countEvent = `UPDATE subscription SET events = $4, told = $5 WHERE id = $1 AND edition = $2 AND events = $3 AND told = $6 AND status IN ('requested', 'active')`
	addEvent   = `INSERT INTO subscription_event (subscription, n, at, chart, type, resource) VALUES ($1, $2, $3, $4, $5, $6)`
	oldEvents  = `DELETE FROM subscription_event WHERE subscription = $1 AND at < $2`
	noNotices  = `SELECT COUNT(*) FROM subscription_notice WHERE subscription = $1`
	setStatus  = `UPDATE subscription SET status = $3, reason = $4, edition = edition + 1, updated = $5 WHERE id = $1 AND edition = $2`
)

// Round looks for what is new to each subscription, and lays out the notices of it:
// they are due after now. now is a moment of the grid. What fails for one is logged,
// and found at the next round.
func (r *Reader) Round(ctx context.Context, now time.Time, admit Admit) error {
	all, err := r.subscriptions(ctx, someSubscriptions+dueRound)
	if err != nil {
		return err
	}
	for _, s := range all {
		if err := r.round(ctx, now, admit, s); err != nil && ctx.Err() == nil {
			r.r.c.Logger.Error("a subscription was passed over in a round", "subscription", s.ID, "error", err)
		}
	}
	return ctx.Err()
}

func (r *Reader) round(ctx context.Context, now time.Time, admit Admit, s Subscription) error {
	if !s.Ends.IsZero() && !now.Before(s.Ends) {
		return r.become(ctx, s, Off, "", now)
	}
	c, err := admit(ctx, s.standing)
	var found []sighting
	if err == nil {
		found, err = r.look(ctx, c, s, &r.r.glances)
	}
	if err != nil {
		if why := ended(err); why != "" {
			return r.become(ctx, s, Failing, why, now)
		}
		return err
	}
	seen := map[string]digests{}
	err = r.r.db.Each(ctx, func(scan func(...any) error) error {
		var chart string
		var b []byte
		err := scan(&chart, &b)
		seen[chart] = digestsOf(b)
		return err
	}, seenBy, s.ID)
	if err != nil {
		return failed("read what a subscription saw", err)
	}
	before := map[uint64]bool{} // in all charts: what moves into another is not new
	for _, d := range seen {
		for _, x := range d {
			before[x] = true
		}
	}
	var stmts []sqldb.Stmt
	add := func(text string, args ...any) { stmts = append(stmts, sqldb.Stmt{SQL: text, Args: args}) }
	events, told := s.Events, s.told
	happened := map[fhir.Ref]string{} // in which chart
	for _, x := range found {
		old := seen[x.chart]
		delete(seen, x.chart)
		if x.same || slices.Equal(old, x.digests) {
			continue
		}
		if len(x.digests) == 0 {
			add(dropOne, s.ID, x.chart)
		} else {
			add(putSeen, s.ID, x.chart, x.digests.bytes())
		}
		for _, m := range x.found {
			if _, twice := happened[m.Ref()]; !twice && !before[digest(m)] {
				happened[m.Ref()] = x.chart
			}
		}
	}
	for _, ref := range slices.SortedFunc(maps.Keys(happened), func(a, b fhir.Ref) int { return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.ID, b.ID)) }) {
		events++ // by what is seen, not by where it lies: a merge that is withheld moves it
		add(addEvent, s.ID, events, micros(now), happened[ref], ref.Type, ref.ID)
	}
	for chart := range seen { // no question names it now: the same as if they found nothing in it
		add(dropOne, s.ID, chart)
	}
	most := int64(s.Most)
	if most == 0 {
		most = noticeEvents
	}
	for first := s.Events + 1; first <= events; first += most {
		add(addNotice, s.ID, ofEvents, first, min(first+most-1, events), micros(now)+1)
	}
	if events == s.Events && s.Status == Active && s.Heartbeat > 0 && now.Sub(s.told) >= s.Heartbeat {
		var waiting int64
		if err := r.r.db.QueryRow(ctx, noNotices, s.ID).Scan(&waiting); err != nil {
			return failed("count notices", err)
		}
		if told = now; waiting == 0 {
			add(addNotice, s.ID, ofNothing, int64(0), int64(0), micros(now)+1)
		}
	}
	if events > s.Events {
		told = now
		add(oldEvents, s.ID, micros(now.Add(-eventsKept)))
	}
	if len(stmts) == 0 && told.Equal(s.told) {
		r.r.glances.keep(s, found)
		return nil
	}
	ours, err := give(ctx, r.r.writer, func(ctx context.Context, tx *sqldb.Tx) (bool, error) {
		n, err := tx.Exec(ctx, countEvent, s.ID, s.Edition, s.Events, events, micros(told), micros(s.told))
		if err != nil || n == 0 { // it was changed meanwhile: the next round looks again
			return false, err
		}
		return true, tx.Batch(ctx, stmts)
	})
	if ours {
		r.r.glances.keep(s, found)
	}
	return failed("keep a round", err)
}

// noticeEvents is how many events a notice has at most where its client does not say.
const noticeEvents = 100

// become gives a subscription another status.
func (r *Reader) become(ctx context.Context, s Subscription, status, reason string, now time.Time) error {
	return failed("change a subscription", r.r.writer.exec(ctx, setStatus, s.ID, s.Edition, status, reason, micros(now)))
}
