package record

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"firebreak/access"
	"firebreak/audit"
	"firebreak/auth"
	"firebreak/chart"
	"firebreak/fhir"
	"firebreak/fhir/terminology"
	"firebreak/policy"
)

// Reader is the only way to clinical content. Every method writes the audit
// entry before it returns; when that fails, so does the read.
// Errors that may be shown are *fhir.Error; absent and withheld are the same
// fhir.NotFound.
type Reader struct {
	r *Record
	p atomic.Pointer[policy.Policy]
}

// Reader shows charts as p allows.
func (r *Record) Reader(p *policy.Policy) *Reader {
	x := &Reader{r: r}
	x.p.Store(p)
	return x
}

// Codes are the value sets and code systems that searches are answered by.
func (r *Reader) Codes() *terminology.Library { return r.r.c.Codes }

// Use lets p decide from now on and gives the policy it takes the place of. A
// view belongs to the policy that made it: what is asked for after Use is
// answered by p, from the first request on.
func (r *Reader) Use(p *policy.Policy) (before *policy.Policy) { return r.p.Swap(p) }

// Policy is the one that decides now.
func (r *Reader) Policy() *policy.Policy { return r.p.Load() }

// view is one chart as one audience sees it, kept in the cache.
type view struct {
	*policy.View
	key     string       // in the cache
	glass   string       // id of what opened it, empty for most
	stamps  []stamp      // what it was made from; the first is the surviving record
	beside  []stamp      // of other charts it depends on
	since   atomic.Int64 // the moment in changes at which the stamps were known to hold
	patient fhir.Ref
	rows    []row // what was read, to read less the next time
	bytes   int64
}

// member tells whether the patient's record is part of the chart.
func (v *view) member(patient string) bool {
	return slices.ContainsFunc(v.stamps, func(s stamp) bool { return s.chart == patient })
}

func stampText(all []stamp) string {
	var b strings.Builder
	for i, s := range all {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(s.chart + ":" + strconv.FormatInt(s.version, 10))
	}
	return b.String()
}

// view gives the chart as c sees it. One that never was is an empty one, kept
// ready as any other: else the time would tell it from one in which everything
// is withheld. keep tells whether to keep it: a walk over all charts does not.
//
// A view that is kept is shown only when no chart it was made from has changed.
func (r *Reader) view(ctx context.Context, c access.Caller, chart string, keep bool) (*view, error) {
	p := r.p.Load()
	g, err := r.glass(ctx, p, c, chart)
	if err != nil {
		return nil, err
	}
	return r.viewThrough(ctx, p, g, c, chart, keep)
}

// viewThrough is view for one to whom the chart is opened so far.
func (r *Reader) viewThrough(ctx context.Context, p *policy.Policy, g Glass, c access.Caller, chart string, keep bool) (*view, error) {
	if isRoster(chart) {
		return r.roster(ctx, p, c, chart, false)
	}
	key := p.KeyThrough(g.sight, c) + " " + chart
	if g.Opened {
		key += " " + g.id
	}
	all := key // kept for whoever comes first
	for {
		var old []row
		if v := r.r.cache.get(key); v != nil {
			old = v.rows
			fresh, err := r.r.fresh(ctx, v)
			if err != nil {
				return nil, err
			}
			if fresh && v.Fits(c) {
				return v, nil
			}
			if theirs := all + " " + v.Concern(c); fresh && theirs != key {
				key = theirs // the patient's directives say something else of c than of whom it was made for
				continue
			}
		}
		if !keep {
			return r.make(ctx, p, g, c, chart, old)
		}
		mine, done := r.r.cache.claim(key)
		if mine {
			defer r.r.cache.release(key)
			v, err := r.make(ctx, p, g, c, chart, old)
			if err == nil {
				r.r.cache.put(key, v)
			}
			return v, err
		}
		select {
		case <-done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (r *Reader) make(ctx context.Context, p *policy.Policy, g Glass, c access.Caller, key string, old []row) (*view, error) {
	since := r.r.changes.done.Load()
	l, _, err := r.r.load(ctx, key, old, func(ch chart.Chart) []chart.Link { return p.Unjoined(c, ch) })
	if err != nil {
		return nil, err
	}
	v := &view{View: p.ViewThrough(g.sight, c, l.chart), glass: g.id, stamps: l.stamps, beside: l.beside, patient: l.chart.Patient, rows: l.rows, bytes: l.bytes}
	v.since.Store(since)
	return v, nil
}

const chartVersion = `SELECT version FROM chart WHERE chart = $1`

// fresh tells whether nothing has changed that v was made from. On PostgreSQL
// another node may have written, so the database is asked each time.
func (r *Record) fresh(ctx context.Context, v *view) (bool, error) {
	since := r.changes.done.Load()
	if at := v.since.Load(); !r.db.Postgres() && r.changes.none(v.stamps, at) && r.changes.none(v.beside, at) {
		return true, nil
	}
	ctx = context.WithoutCancel(ctx) // a point query: watching for its end costs more than it
	for _, stamps := range [...][]stamp{v.stamps, v.beside} {
		for _, s := range stamps {
			var now int64
			err := r.db.QueryRow(ctx, chartVersion, s.chart).Scan(&now)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return false, failed("read a chart's version", err)
			}
			if now != s.version {
				return false, nil
			}
		}
	}
	v.since.Store(since)
	return true, nil
}

// find gives the view in which ref would stand, nil when there is none. A token
// for one patient looks into that patient's chart and nowhere else.
func (r *Reader) find(ctx context.Context, c access.Caller, ref fhir.Ref) (*view, error) {
	if c.May(auth.Read, ref.Type) == auth.OnePatient {
		return r.view(ctx, c, c.Identity().Patient(), true)
	}
	chart, told := chartOf(ref)
	if told {
		v, err := r.view(ctx, c, chart, true)
		if err != nil || ref.Type == "Patient" {
			return v, err
		}
		if _, ok := v.Get(ref); ok || v.Ended(ref) {
			return v, nil
		}
	}
	home, err := r.r.alias(ctx, ref)
	if err == nil && home == "" && ref.Type == "Group" {
		home = noRoster(ref.ID)
	}
	if err != nil || home == "" {
		return nil, err
	}
	return r.view(ctx, c, home, true)
}

// alias is the chart of a resource whose id was given, or "".
func (r *Record) alias(ctx context.Context, ref fhir.Ref) (string, error) {
	var chart string
	err := r.db.QueryRow(ctx, findAlias, ref.Type, ref.ID).Scan(&chart)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", failed("find a resource", err)
	}
	return chart, nil
}

const (
	chartChars    = 16 // of the key of a chart made from HL7, see package mapping
	resourceChars = 20
)

// chartOf reads the chart from an id that tells it: a Patient's is the key,
// others begin with it, a Group's with what follows the mark.
func chartOf(ref fhir.Ref) (string, bool) {
	if ref.Type == "Patient" {
		return ref.ID, true
	}
	if len(ref.ID) != chartChars+1+resourceChars || ref.ID[chartChars] != '-' {
		return "", false
	}
	if ref.Type == "Group" {
		return rosterMark + ref.ID[:chartChars], true
	}
	return ref.ID[:chartChars], true
}

// reaches tells whether the caller's token covers resources of that type in
// the view. It limits apps; what is shown at all is the policy's.
func (v *view) reaches(c access.Caller, in auth.Interaction, typ string) bool {
	switch c.May(in, typ) {
	case auth.AllPatients:
		return true
	case auth.OnePatient:
		return v.member(c.Identity().Patient())
	}
	return false
}

// one finds the view of a single resource and what it gives of it, and writes
// the audit entry. Absent, withheld and out of reach end alike.
func one[T any](r *Reader, ctx context.Context, ask Ask, action audit.Action, ref fhir.Ref, get func(*view) (T, bool)) (T, error) {
	var none T
	v, err := r.find(ctx, ask.Caller, ref)
	if err != nil {
		return none, err
	}
	e := ask.event(action)
	e.Entities = []fhir.Ref{ref}
	if v == nil {
		return none, r.refuse(ctx, e)
	}
	e.Patient = v.about()
	if action != audit.Read && isRoster(v.patient.ID) {
		if v, err = r.roster(ctx, r.p.Load(), ask.Caller, v.patient.ID, true); err != nil {
			return none, err
		}
	}
	got, ok := get(v)
	if !ok || !v.reaches(ask.Caller, auth.Read, ref.Type) {
		return none, r.refuse(ctx, e)
	}
	if err := r.audit(ctx, e); err != nil {
		return none, err
	}
	return got, nil
}

// Chart is the view of one patient's whole chart, with those merged into it.
// A chart without a visible Patient is not there.
func (r *Reader) Chart(ctx context.Context, ask Ask, patient fhir.Ref) (*policy.View, error) {
	e := ask.event(audit.Page)
	e.Patient = patient
	if patient.Type != "Patient" {
		return nil, r.refuse(ctx, e)
	}
	v, err := r.view(ctx, ask.Caller, patient.ID, true)
	if err != nil {
		return nil, err
	}
	if !v.reaches(ask.Caller, auth.Read, "Patient") {
		return nil, r.refuse(ctx, e)
	}
	e.Patient = v.patient
	if v.glass != "" {
		e.Detail += ", glass " + v.glass
	}
	if _, ok := v.Patient(); !ok {
		return nil, r.refuse(ctx, e)
	}
	if err := r.audit(ctx, e); err != nil {
		return nil, err
	}
	return v.View, nil
}

// gone is the answer for what the caller deleted itself. To everyone else, and of all
// else, it is fhir.NotFound.
func gone() *fhir.Error {
	return &fhir.Error{Status: http.StatusGone, Code: "deleted", Text: "You deleted this."}
}

// Get is one resource in its current version.
func (r *Reader) Get(ctx context.Context, ask Ask, ref fhir.Ref) (policy.Released, error) {
	got, err := one(r, ctx, ask, audit.Read, ref, func(v *view) (policy.Released, bool) {
		got, ok := v.Get(ref)
		if !ok && v.Ended(ref) {
			return v.History(ref)[0], true
		}
		return got, ok
	})
	return standing(got, err)
}

// VRead is one version of one resource.
func (r *Reader) VRead(ctx context.Context, ask Ask, ref fhir.Ref, versionID string) (policy.Released, error) {
	return standing(one(r, ctx, ask, audit.VRead, ref, func(v *view) (policy.Released, bool) { return v.Version(ref, versionID) }))
}

// standing is what was found, unless that is its deletion.
func standing(got policy.Released, err error) (policy.Released, error) {
	if err == nil && got.Deleted() {
		return policy.Released{}, gone()
	}
	return got, err
}

// History is the visible versions of one resource, newest first, and before them its
// deletion if the caller deleted it. It is never empty without an error.
func (r *Reader) History(ctx context.Context, ask Ask, ref fhir.Ref) ([]policy.Released, error) {
	return one(r, ctx, ask, audit.HistoryA, ref, func(v *view) ([]policy.Released, bool) {
		all := v.History(ref)
		return all, len(all) > 0
	})
}

const feeds = `SELECT source, received FROM feed ORDER BY source`

// Freshness is when data last came from each source, by name; of one that is
// paused, before it was. It is the same for every chart.
func (r *Reader) Freshness(ctx context.Context) ([]Feed, error) {
	all, err := r.r.freshness(ctx)
	if err != nil {
		return nil, err
	}
	paused, err := r.r.Paused(ctx)
	for i, f := range all {
		if p, ok := paused[f.Source]; ok && p.Since.Before(f.Last) {
			all[i].Last = p.Since
		}
	}
	return all, err
}

func (r *Record) freshness(ctx context.Context) (all []Feed, err error) {
	err = r.db.Each(ctx, func(scan func(...any) error) error {
		var f Feed
		var at int64
		err := scan(&f.Source, &at)
		f.Last = fromMicros(at)
		all = append(all, f)
		return err
	}, feeds)
	return all, failed("read the feeds", err)
}

// event is the audit entry of what is asked.
func (a Ask) event(action audit.Action) audit.Event {
	if a.Action != "" {
		action = a.Action
	}
	return audit.Event{Action: action, Caller: a.Caller, Detail: a.Detail, Address: a.Address, Request: a.Request}
}

func (r *Reader) audit(ctx context.Context, e audit.Event) error {
	e.Time = r.r.c.Now()
	if err := r.r.c.Log.Append(ctx, e); err != nil {
		return fmt.Errorf("record: no answer without an audit entry: %w", err)
	}
	return nil
}

// refuse writes down that nothing was shown, and is the one answer to that.
func (r *Reader) refuse(ctx context.Context, e audit.Event) error {
	e.Refused = true
	if err := r.audit(ctx, e); err != nil {
		return err
	}
	return fhir.NotFound()
}
