package record

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"

	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/internal/sqldb"
	"firebreak/label"
)

const (
	relabelled  = "relabelled" // the setting that is a progress
	relabelStep = 500          // contents judged in one transaction, and the rest of the last message's

	bodiesAfter = `SELECT b.id, b.chart, b.message, b.json, i.source FROM body b JOIN inbox i ON i.id = b.message WHERE b.id > $1 ORDER BY b.id LIMIT $2`
	labelsOf    = `SELECT labels FROM version WHERE chart = $1 AND type = $2 AND id = $3 AND body = $4 LIMIT 1`
	setLabels   = `UPDATE version SET rules = $5, labels = $6 WHERE chart = $1 AND type = $2 AND id = $3 AND body = $4`
	newLabels   = setLabels + ` AND rules <> $5`
	dropReason  = `DELETE FROM reason WHERE chart = $1 AND body = $2`
	touchChart  = `UPDATE chart SET version = version + 1 WHERE chart = $1`
)

// content is one stored body.
type content struct {
	id      int64
	chart   string
	message int64
	source  string // of the message
	res     fhir.Resource
}

// progress is how far contents were judged by which rules.
type progress struct {
	Rules string `json:"rules"`
	After int64  `json:"after"` // body.id
	Done  bool   `json:"done"`
}

// Relabel judges again, by Config.Rules, what other rules judged, a message at
// a time as it once came, while reads and writes go on. Until its turn a row is
// withheld. It returns how many contents it looked at, and goes on where it was
// broken off. A database that is all judged by today's rules costs one lookup.
func (r *Record) Relabel(ctx context.Context) (int64, error) {
	if err := r.rejudge(ctx); err != nil {
		return 0, err
	}
	r.judging.Lock()
	defer r.judging.Unlock()
	if err := r.begin(ctx); err != nil { // another node's rules
		return 0, err
	}
	var p progress
	if err := r.setting(ctx, relabelled, &p); err != nil {
		return 0, err
	}
	var judged int64
	for !p.Done {
		step, err := r.contents(ctx, p.After)
		if err != nil {
			return judged, err
		}
		if p.Done = len(step) == 0; !p.Done {
			p.After = step[len(step)-1].id
		}
		if err := r.relabel(ctx, step, p); err != nil {
			return judged, err
		}
		judged += int64(len(step))
	}
	return judged, nil
}

// begin makes ready for Relabel where the rules are others than before. Other
// rules know other codes: the uses are found again as it goes. Those of what comes
// from now on are kept, so it is done before anything does.
func (r *Record) begin(ctx context.Context) error {
	var p progress
	if err := r.setting(ctx, relabelled, &p); err != nil || p.Rules == r.c.Rules.Version() {
		return err
	}
	note, err := set(relabelled, progress{Rules: r.c.Rules.Version()})
	if err != nil {
		return err
	}
	return r.writer.do(ctx, &write{other: func(ctx context.Context, tx *sqldb.Tx) error {
		return tx.Batch(ctx, []sqldb.Stmt{{SQL: dropUses}, note})
	}})
}

// contents reads the next contents, whole messages at a time.
func (r *Record) contents(ctx context.Context, after int64) ([]content, error) {
	for limit := relabelStep; ; limit *= 2 {
		all, err := r.contentsOf(ctx, bodiesAfter, after, int64(limit))
		if err != nil {
			return nil, err
		}
		switch last := len(all) - 1; {
		case len(all) < limit:
			return all, nil
		case all[0].message != all[last].message:
			m := all[last].message
			return slices.DeleteFunc(all, func(c content) bool { return c.message == m }), nil
		}
	}
}

// contentsOf reads the contents that a query of these columns finds.
func (r *Record) contentsOf(ctx context.Context, query string, args ...any) (all []content, err error) {
	err = r.db.Each(ctx, func(scan func(...any) error) error {
		var c content
		var b []byte
		err := scan(&c.id, &c.chart, &c.message, &b, &c.source)
		if err != nil {
			return err
		}
		if c.res, err = fhir.Take(b); err != nil {
			return errors.New("a stored resource does not read")
		}
		all = append(all, c)
		return nil
	}, query, args...)
	return all, failed("relabel", err)
}

func (r *Record) relabel(ctx context.Context, step []content, p progress) error {
	note, err := set(relabelled, p)
	if err != nil {
		return err
	}
	return r.steadily(ctx, func() error {
		j := r.newJudging()
		for left := step; len(left) > 0; {
			n := slices.IndexFunc(left, func(c content) bool { return c.message != left[0].message })
			if n < 0 {
				n = len(left)
			}
			if err := j.message(ctx, newLabels, left[:n]); err != nil {
				return err
			}
			left = left[n:]
		}
		return j.write(ctx, note)
	})
}

// judging is what to write when contents are judged again.
type judging struct {
	r      *Record
	stmts  []sqldb.Stmt
	charts map[string]bool
	rounds map[string]int64 // of local codes, by key: the decision that was judged by
	more   []more
	lies   []sqldb.Stmt               // asks where contents lie: see inContext
	alone  map[string]map[int64]int64 // by directory and content: the message that brought it, of a matter that turned out sensitive
	shared map[int64]bool             // contents of those that another message says too
}

// more is what a message tells of a content that another brought first.
type more struct {
	chart string
	label.Labeled
}

func (r *Record) newJudging() *judging {
	return &judging{r: r, charts: map[string]bool{}, rounds: map[string]int64{}, alone: map[string]map[int64]int64{}, shared: map[int64]bool{}}
}

// message judges the contents that one message brought first, with all else that
// the message says; of one about two patients, what it says of each by itself. set is
// what sets their labels.
func (j *judging) message(ctx context.Context, set string, all []content) error {
	if len(all) == 0 {
		return nil
	}
	apart, message, ok, err := j.r.whole(ctx, all)
	if err != nil || !ok {
		return err
	}
	if !apart {
		j.part(set, all[0].chart, all, all, message)
		return nil
	}
	parts := map[string][]fhir.Resource{}
	for _, r := range message {
		chart, told := chartOf(r.Ref())
		if !told {
			chart = all[0].chart
		}
		parts[chart] = append(parts[chart], r)
	}
	for _, chart := range sortedKeys(parts) {
		those := slices.DeleteFunc(slices.Clone(all), func(c content) bool { return c.chart != chart })
		j.part(set, chart, all, those, parts[chart])
	}
	return nil
}

// part judges what a message says together, of a chart. all are the contents that the
// whole message brought first, those among them which this part of it did.
func (j *judging) part(set, home string, all, those []content, message []fhir.Resource) {
	brought := make(map[fhir.Ref]content, len(those))
	for _, c := range those {
		brought[c.res.Ref()] = c
	}
	labeled := j.r.c.Rules.Label(all[0].source, message)
	if slices.ContainsFunc(labeled, func(l label.Labeled) bool { return l.Use() != nil }) {
		set = setLabels // today's rules may have judged it by an earlier decision
	}
	var whole label.Label
	for _, l := range labeled {
		whole = cmp.Or(whole, l.Context())
	}
	charts := map[string]bool{home: true}
	for _, c := range those {
		charts[c.chart] = true
	}
	for _, c := range sortedKeys(charts) {
		j.add(sayAgain, c, all[0].message, string(whole))
	}
	for _, l := range labeled {
		c, first := brought[l.Resource().Ref()]
		if u := l.Use(); u != nil {
			key, body, again := codeKey(u.Code), c.id, int64(0)
			if !first {
				body, again = all[0].id, 1
			}
			j.rounds[key] = u.Round
			j.add(keepCode, key, u.Source, u.System, u.Code.Code, u.Display, u.Element, micros(j.r.c.Now()))
			j.add(addUse, key, body, all[0].chart, all[0].message, all[0].id, all[len(all)-1].id, u.Round, again)
		}
		if !first {
			if slices.ContainsFunc(l.Labels(), func(x label.Label) bool { return !x.Internal() }) {
				j.more = append(j.more, more{home, l})
				j.charts[home] = true
			}
			continue
		}
		j.touch(c.chart, l.Resource().Ref())
		labels := joinLabels(l.Labels())
		args := []any{c.chart, c.res.Type(), c.res.ID(), c.id, l.RulesVersion(), labels}
		j.add(set, args...)
		if label.Brought(c.res.Type()) {
			context := label.Label("") // hindsight tells, when the chart is read; what lies in a directory is read from many charts
			if c.directory() {
				context = l.Context()
			}
			if context != "" {
				if j.alone[c.chart] == nil {
					j.alone[c.chart] = map[int64]int64{}
				}
				j.alone[c.chart][c.id] = c.message
			}
			j.lies = append(j.lies, sqldb.Stmt{SQL: labelsOf, Args: args[:4], Row: func(scan func(...any) error) error {
				var was string
				err := scan(&was)
				where := contextOf(was) // it stays where it came
				if where == "" && !j.shared[c.id] {
					where = context
				}
				args[5] = inContext(labels, where)
				return err
			}})
		}
		j.add(dropReason, c.chart, c.id)
		if reasons := reasonsOf(l.Reasons()); reasons != "" {
			j.add(addReason, c.chart, c.id, reasons)
		}
	}
}

// directory tells whether a content lies in no patient's chart.
func (c content) directory() bool {
	_, told := chartOf(c.res.Ref())
	return !told && !fhir.IsPatientCompartment(c.res.Type())
}

// share finds which contents of directories other messages say too.
func (j *judging) share(ctx context.Context, tx *sqldb.Tx) error {
	for _, chart := range sortedKeys(j.alone) {
		err := eachSaid(ctx, tx, chart, func(message int64, _ string, t said) error {
			for _, f := range t.facts {
				if by, ok := j.alone[chart][f.body]; ok && by != message {
					j.shared[f.body] = true
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// touch notes that what a chart shows changes, and what charts show that point at it.
func (j *judging) touch(chart string, ref fhir.Ref) {
	j.charts[chart] = true
	if _, told := chartOf(ref); !told && !fhir.IsPatientCompartment(ref.Type) {
		j.charts[directories] = true
	}
}

// whole is what a message says, with the contents that it brought first as they
// are stored. A content depends on what its message said again as much as on what
// it said first. Where its text was purged it is all that is stored of what it said;
// without Config.Remake it is those contents; ok is false when the
// message cannot be made again: then what it brought stays withheld.
func (r *Record) whole(ctx context.Context, all []content) (apart bool, message []fhir.Resource, ok bool, err error) {
	stored := make(map[fhir.Ref]fhir.Resource, len(all))
	for _, c := range all {
		stored[c.res.Ref()] = c.res
	}
	if r.c.Remake != nil {
		m, err := r.Queue().Message(ctx, inbox.ID(all[0].message))
		gone := errors.Is(err, ErrPurged) || m.Severed()
		if err != nil && !gone {
			return false, nil, false, err
		}
		apart = m.Apart()
		if gone {
			if message, err = r.told(ctx, inbox.ID(all[0].message)); err != nil {
				return false, nil, false, err
			}
		} else if message, err = r.c.Remake(m); err != nil {
			r.c.Logger.Error("a message cannot be judged again: what it brought stays withheld; replay it", "id", all[0].message, "error", err)
			return false, nil, false, nil
		}
	}
	for i, res := range message {
		if as, ok := stored[res.Ref()]; ok {
			message[i] = as
			delete(stored, res.Ref())
		}
	}
	for _, c := range all { // what is made otherwise by now
		if _, left := stored[c.res.Ref()]; left {
			message = append(message, c.res)
		}
	}
	return apart, message, true, nil
}

func (j *judging) add(text string, args ...any) {
	j.stmts = append(j.stmts, sqldb.Stmt{SQL: text, Args: args})
}

// write writes it, unless a code has been decided on since: errDecided.
func (j *judging) write(ctx context.Context, last sqldb.Stmt) error {
	decided := false // looked at once it is written only
	err := j.r.writer.do(ctx, &write{judges: true, other: func(ctx context.Context, tx *sqldb.Tx) error {
		var touch []sqldb.Stmt // charts before codes, as commits lock them
		for _, c := range sortedKeys(j.charts) {
			if touch = append(touch, sqldb.Stmt{SQL: touchChart, Args: []any{c}}); c < rosterMark {
				touch = append(touch, sqldb.Stmt{SQL: noteChange, Args: []any{c}})
			}
		}
		if err := tx.Batch(ctx, touch); err != nil {
			return err
		}
		var asks []sqldb.Stmt
		decided = false
		for _, key := range sortedKeys(j.rounds) {
			asks = append(asks, sqldb.Stmt{SQL: roundOf + j.r.db.Hold(), Args: []any{key}, Row: func(scan func(...any) error) error {
				var round int64
				err := scan(&round)
				decided = decided || round > j.rounds[key]
				return err
			}})
		}
		if err := j.share(ctx, tx); err != nil {
			return err
		}
		if err := tx.Batch(ctx, append(asks, j.lies...)); err != nil || decided {
			return err
		}
		if err := tx.Batch(ctx, append(slices.Clip(j.stmts), last)); err != nil {
			return err
		}
		for _, m := range j.more {
			if err := m.tell(ctx, tx); err != nil {
				return err
			}
		}
		return nil
	}})
	if err == nil && decided {
		return errDecided
	}
	return err
}

const judgedContents = `
	SELECT DISTINCT v.body, v.labels, r.reasons, b.json
	FROM version v JOIN body b ON b.id = v.body LEFT JOIN reason r ON r.chart = v.chart AND r.body = v.body
	WHERE v.chart = $1 AND v.type = $2 AND v.id = $3 AND v.rules = $4`

// tell gives the content, where today's rules have judged it, the labels of this
// message besides: one saw what the other could not.
func (m more) tell(ctx context.Context, tx *sqldb.Tx) error {
	ref := m.Resource().Ref()
	var stmts []sqldb.Stmt
	err := tx.Each(ctx, func(scan func(...any) error) error {
		var body int64
		var labels string
		var kept *string
		var text []byte
		if err := scan(&body, &labels, &kept, &text); err != nil || !bytes.Equal(text, m.Resource().JSON()) {
			return err
		}
		both, fresh := splitLabels(labels), map[label.Label]bool{}
		for _, l := range m.Labels() {
			if !l.Internal() && !slices.Contains(both, l) {
				both, fresh[l] = append(both, l), true
			}
		}
		if len(fresh) == 0 {
			return nil
		}
		var reasons []label.Reason
		if kept != nil {
			if err := json.Unmarshal([]byte(*kept), &reasons); err != nil {
				return err
			}
		}
		for _, x := range m.Reasons() {
			if fresh[x.Label] {
				reasons = append(reasons, x)
			}
		}
		slices.Sort(both)
		stmts = append(stmts,
			sqldb.Stmt{SQL: setLabels, Args: []any{m.chart, ref.Type, ref.ID, body, m.RulesVersion(), joinLabels(both)}},
			sqldb.Stmt{SQL: addReason, Args: []any{m.chart, body, reasonsOf(reasons)}})
		return nil
	}, judgedContents, m.chart, ref.Type, ref.ID, m.RulesVersion())
	if err != nil {
		return err
	}
	return tx.Batch(ctx, stmts)
}
