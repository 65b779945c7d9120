package record

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"firebreak/audit"
	"firebreak/fhir"
	"firebreak/internal/sqldb"
	"firebreak/policy"
)

// What waits for a patient to know of it is a list beside the charts. Whatever
// changes a chart notes that in the same transaction, in one row; the charts
// noted are looked through soon after, in the background, and all charts when
// the policy finds other results waiting.

const (
	lookedThrough = "waiting" // the setting that is a making

	lookStep  = 32             // charts looked through in one transaction
	lookEvery = time.Minute    // the background looks for charts that changed
	lookRest  = 9              // times as long as it worked, it rests: a bulk load is not slowed
	lookAnew  = 24 * time.Hour // all charts, when what belongs to no patient changed

	noteChange   = `INSERT INTO changed (chart) VALUES ($1) ON CONFLICT (chart) DO NOTHING`
	forgetChange = `DELETE FROM changed WHERE chart = $1`
	changedAfter = `SELECT chart FROM changed WHERE chart > $1 ORDER BY chart LIMIT $2`
	countChanged = `SELECT COUNT(*) FROM changed`
	everyChart   = `SELECT chart FROM chart WHERE chart > $1 AND chart < '~' ORDER BY chart LIMIT $2` // of patients: not directories, nor Groups
	waitingIn    = `SELECT type, id, held, since, labels, number, ord FROM waiting WHERE chart = $1`
	addWaiting   = `
		INSERT INTO waiting (chart, type, id, held, since, labels, number, ord) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (chart, type, id) DO UPDATE SET held = excluded.held, since = excluded.since, labels = excluded.labels, number = excluded.number, ord = excluded.ord`
	dropWaiting   = `DELETE FROM waiting WHERE chart = $1 AND type = $2 AND id = $3`
	waitingBefore = `
		SELECT type, id, held, since, labels, number, ord FROM waiting WHERE held = $1 AND since < $2
		ORDER BY since, chart, type, id LIMIT $3 OFFSET $4`
	countWaiting = `SELECT COUNT(*) FROM waiting WHERE held = $1 AND since < $2`
	findWaiting  = `SELECT COUNT(*) FROM waiting WHERE held = 1 AND chart = $1 AND type = $2 AND id = $3 AND since = $4`
)

// Waiting is one page of what patients do not know of.
type Waiting struct {
	Results []policy.Waiting // oldest first
	All     int              // on all pages
	More    bool             // there is a next page
	Behind  int              // charts that changed and are not yet looked through
	Anew    bool             // the policy changed: the list is still being made
}

// waitingPage is how many results are on a page.
const waitingPage = 50

// Waiting is the page (from 1) of the results that wait: withheld ones of which
// nobody said that the patient was told, or those that no clinician has reviewed
// after the usual time. What changed lately is looked through first, as far as
// that is soon done; each result shown is in the audit entry.
func (o *Office) Waiting(ctx context.Context, w Watch, held bool, page int) (Waiting, error) {
	if w.Officer.IsZero() {
		return Waiting{}, errNoOfficer
	}
	if _, err := o.catchUp(ctx, ""); err != nil {
		return Waiting{}, err
	}
	before := o.r.c.Now()
	what := "withheld"
	if !held {
		before, what = before.AddDate(0, 0, -policy.ReviewDays), "overdue"
	}
	var out Waiting
	all, err := o.r.waiting(ctx, held, before, waitingPage+1, (max(page, 1)-1)*waitingPage)
	if err != nil {
		return Waiting{}, err
	}
	out.Results, out.More = all[:min(waitingPage, len(all))], len(all) > waitingPage
	for _, count := range []struct {
		to   *int
		text string
		args []any
	}{{&out.All, countWaiting, []any{number(held), micros(before)}}, {&out.Behind, countChanged, nil}} {
		var n int64
		if err := o.r.db.QueryRow(ctx, count.text, count.args...).Scan(&n); err != nil {
			return Waiting{}, failed("read what waits", err)
		}
		*count.to = int(n)
	}
	var m making
	if err := o.r.setting(ctx, lookedThrough, &m); err != nil {
		return Waiting{}, err
	}
	out.Anew = !m.Done || m.Key != o.reader.Policy().WaitingKey()
	e := audit.Event{Action: audit.Oversee, Caller: w.Officer.Caller(), Detail: w.Page + ", " + what, Address: w.Address, Request: w.Request}
	for _, x := range out.Results {
		e.Entities = append(e.Entities, x.Ref)
	}
	return out, o.reader.audit(ctx, e)
}

// Overdue calls each for what has waited longer than is usual, oldest first and
// what is withheld before what was not reviewed. All that changed is looked
// through first: this is for an operator, who can read the database anyway.
func (o *Office) Overdue(ctx context.Context, each func(policy.Waiting) error) error {
	if err := o.LookThrough(ctx); err != nil {
		return err
	}
	before := o.r.c.Now().AddDate(0, 0, -policy.ReviewDays)
	for _, held := range []bool{true, false} {
		for at := 0; ; at += walkStep {
			all, err := o.r.waiting(ctx, held, before, walkStep, at)
			if err != nil {
				return err
			}
			for _, x := range all {
				if err := each(x); err != nil {
					return err
				}
			}
			if len(all) < walkStep {
				break
			}
		}
	}
	return nil
}

func (r *Record) waiting(ctx context.Context, held bool, before time.Time, limit, skip int) (all []policy.Waiting, err error) {
	rows, err := r.db.Query(ctx, waitingBefore, number(held), micros(before), int64(limit), int64(skip))
	if err != nil {
		return nil, failed("read what waits", err)
	}
	defer rows.Close()
	for rows.Next() {
		x, err := scanWaiting(rows.Scan)
		if err != nil {
			return nil, failed("read what waits", err)
		}
		all = append(all, x)
	}
	if err := rows.Err(); err != nil {
		return nil, failed("read what waits", err)
	}
	return all, nil
}

func scanWaiting(scan func(...any) error) (x policy.Waiting, err error) {
	var held, since int64
	var labels string
	err = scan(&x.Ref.Type, &x.Ref.ID, &held, &since, &labels, &x.Number, &x.Order)
	x.Held, x.Since, x.Labels = held != 0, fromMicros(since), splitLabels(labels)
	return x, err
}

// Run keeps the list until ctx ends.
func (o *Office) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		err := o.look(ctx, func(worked time.Duration) {
			select {
			case <-time.After(lookRest * worked):
			case <-ctx.Done():
			}
		})
		if err != nil && ctx.Err() == nil {
			o.r.c.Logger.Error("the list of what patients do not know of stays as it is; it is tried again", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// LookThrough brings the list up to date.
func (o *Office) LookThrough(ctx context.Context) error {
	return o.look(ctx, func(time.Duration) {})
}

func (o *Office) look(ctx context.Context, rest func(worked time.Duration)) error {
	for after := ""; ; {
		start := time.Now()
		last, err := o.catchUp(ctx, after)
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if after = last; last == "" {
			break
		}
		rest(time.Since(start))
	}
	return o.anew(ctx, rest)
}

// catchUp looks through some of the charts that changed, those after one of
// them; it gives the last, empty when there was none.
func (o *Office) catchUp(ctx context.Context, after string) (last string, err error) {
	charts, err := o.r.keysOf(ctx, changedAfter, after, int64(lookStep))
	if err != nil || len(charts) == 0 {
		return "", err
	}
	return charts[len(charts)-1], o.lookInto(ctx, charts)
}

// making is how far all charts were looked through, and for which policy.
type making struct {
	Key         string `json:"key"` // policy.Policy.WaitingKey
	Directories int64  `json:"directories"`
	Begun       int64  `json:"begun"`
	After       string `json:"after"`
	Done        bool   `json:"done"`
}

// anew looks through all charts when the policy finds others waiting than the
// list was made for, and once a day at most when a name in a directory changed,
// which may be a clinic's that tells what was done there. It goes on where it
// was broken off.
func (o *Office) anew(ctx context.Context, rest func(worked time.Duration)) error {
	p := o.reader.Policy()
	var m making
	if err := o.r.setting(ctx, lookedThrough, &m); err != nil {
		return err
	}
	var names int64
	err := o.r.db.QueryRow(ctx, chartVersion, directories).Scan(&names)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return failed("read what waits", err)
	}
	now := o.r.c.Now()
	if m.Key != p.WaitingKey() || m.Done && m.Directories != names && now.Sub(fromMicros(m.Begun)) >= lookAnew {
		m = making{Key: p.WaitingKey(), Directories: names, Begun: micros(now)}
	}
	for !m.Done {
		start := time.Now()
		charts, err := o.r.keysOf(ctx, everyChart, m.After, int64(lookStep))
		if err != nil {
			return err
		}
		if m.Done = len(charts) == 0; !m.Done {
			m.After = charts[len(charts)-1]
			if err := o.lookInto(ctx, charts); err != nil {
				return err
			}
		}
		note, err := set(lookedThrough, m)
		if err != nil {
			return err
		}
		if err := o.r.writer.exec(ctx, note.SQL, note.Args...); err != nil {
			return failed("look through charts", err)
		}
		rest(time.Since(start))
		if ctx.Err() != nil || o.reader.Policy() != p {
			return ctx.Err() // the next time, for the policy that holds then
		}
	}
	return nil
}

// looked is what was found in a chart.
type looked struct {
	stamps []stamp // the surviving record first
	change []sqldb.Stmt
}

// lookInto writes down what waits in charts. What changes meanwhile stays noted
// as changed.
func (o *Office) lookInto(ctx context.Context, charts []string) error {
	o.r.looking.Lock() // what two policies find is not mixed
	defer o.r.looking.Unlock()
	p := o.reader.Policy()
	beside, err := joined(ctx, o.r.db, charts) // what changes in a chart changes what these are withheld for
	if err != nil {
		return failed("read which visits were moved", err)
	}
	var all []looked
	held := map[string]bool{}
	for _, key := range slices.Concat(charts, beside) {
		if held[key] || key >= rosterMark {
			continue
		}
		l, _, err := o.r.load(ctx, key, nil, nil)
		if err != nil {
			return err
		}
		x := looked{stamps: slices.DeleteFunc(l.stamps, func(s stamp) bool { return s.chart == directories })}
		for _, s := range x.stamps {
			held[s.chart] = true
		}
		if err := o.difference(ctx, &x, p.Waiting(l.chart)); err != nil {
			return err
		}
		if err := o.alike(ctx, &x, l.chart); err != nil {
			return err
		}
		all = append(all, x)
	}
	err = o.r.writer.do(ctx, &write{other: func(ctx context.Context, tx *sqldb.Tx) error {
		now := map[string]int64{}
		var stmts []sqldb.Stmt
		for _, chart := range sortedKeys(held) {
			stmts = append(stmts, sqldb.Stmt{SQL: holdChart + o.r.db.Hold(), Args: []any{chart}, Row: func(scan func(...any) error) error {
				var version int64
				err := scan(&version)
				now[chart] = version
				return err
			}})
		}
		if err := tx.Batch(ctx, stmts); err != nil {
			return err
		}
		stmts = stmts[:0]
		for _, x := range all {
			if slices.ContainsFunc(x.stamps, func(s stamp) bool { return now[s.chart] != s.version }) {
				continue
			}
			for _, s := range x.stamps {
				stmts = append(stmts, sqldb.Stmt{SQL: forgetChange, Args: []any{s.chart}})
			}
			stmts = append(stmts, x.change...)
		}
		return tx.Batch(ctx, stmts)
	}})
	if err != nil {
		return failed("look through charts", err)
	}
	return nil
}

// difference is what must change for the list to hold what waits in a chart. A
// long chart of which one result changed is a row or two.
func (o *Office) difference(ctx context.Context, x *looked, waits []policy.Waiting) error {
	type row struct {
		chart string
		fhir.Ref
	}
	type says struct {
		held, since         int64
		labels, number, ord string
	}
	root := x.stamps[0].chart
	want := map[row]says{}
	for _, w := range waits {
		want[row{root, w.Ref}] = says{number(w.Held), micros(w.Since), joinLabels(w.Labels), w.Number, w.Order}
	}
	for _, s := range x.stamps {
		rows, err := o.r.db.Query(ctx, waitingIn, s.chart)
		if err != nil {
			return failed("read what waits", err)
		}
		for rows.Next() {
			at, old := row{chart: s.chart}, says{}
			if err := rows.Scan(&at.Type, &at.ID, &old.held, &old.since, &old.labels, &old.number, &old.ord); err != nil {
				rows.Close()
				return failed("read what waits", err)
			}
			switch now, ok := want[at]; {
			case !ok:
				x.change = append(x.change, sqldb.Stmt{SQL: dropWaiting, Args: []any{at.chart, at.Type, at.ID}})
			case now == old:
				delete(want, at)
			}
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return failed("read what waits", err)
		}
	}
	for at, w := range want {
		x.change = append(x.change, sqldb.Stmt{SQL: addWaiting, Args: []any{at.chart, at.Type, at.ID, w.held, w.since, w.labels, w.number, w.ord}})
	}
	return nil
}
