package record

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"firebreak/adapters/rest"
	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/internal/sqldb"
	"firebreak/label"
)

// committing is what one message changes, on its way into the database. What
// can be computed before the transaction is.
type committing struct {
	id       inbox.ID
	source   string
	kind     inbox.Kind
	received int64
	dialect  string
	again    *earlier // what it said when it was applied before; nil: it never was
	edition  *Edition
	corrects bool
	freed    []inbox.ID // messages that became pending
	entries  []*entry
	links    []Link
	at       int64        // when it was sent
	apart    bool         // what it says of each patient is judged by itself
	named    []string     // charts of patients that it names, by HL7 v2
	moves    []inbox.Move // with which it was mapped
	part     *Part        // of what it tells only what changes
	before   []int64      // with which messages it was mapped
	shifts   []inbox.Move // that it tells
	shift    *shift       // what these change
	held     string       // why it is held: it says nothing any more
	asked    bool         // it was looked whether it told other moves before
	unsays   bool         // it told moves, and tells none
	plan     *rest.Plan   // of a message that looks for something
	found    []string
	decided  bool // when it was stored before
}

// entry is one resource of a message.
type entry struct {
	Entry
	n       int // its place in the message, from 1
	key     resource
	version string // of the first run of this content
	context label.Label
	labels  string
	reasons string // of reasonsOf
	body    int64  // where the content lies
	fresh   bool   // the content is new
	stands  bool   // it repeats what is known, whose content it has: body
	first   bool   // of a message that is applied again: it brought the content first
	bare    bool   // a patient of whom nothing but numbers is said
	rules   string // that judged it; empty: it must be judged again
	code    string // key of the local code that says what it is about, if there is one
}

// resource names one resource in one chart.
type resource struct{ chart, typ, id string }

// layer names the line of one resource's runs that a fact belongs to. What a
// wholly sensitive message brought along (label.Labeled.Context) has lines of
// its own, so that the lines others see are the same as if it had never come.
type layer struct {
	resource
	context label.Label
}

func (r *Record) prepare(s Stored, c Change) *committing {
	x := &committing{id: s.ID, source: s.Source, kind: s.Kind, received: micros(s.Received), dialect: c.Dialect, edition: c.Edition, corrects: c.Corrects, links: c.Links, at: micros(c.At), apart: s.Apart(), named: c.Named, moves: s.Moves, part: c.Part, shifts: c.Moves, held: c.Held, plan: c.Plan, found: s.Found, entries: make([]*entry, 0, len(c.Resources))}
	all := make([]entry, len(c.Resources))
	for _, m := range s.Before {
		x.before = append(x.before, int64(m.ID))
	}
	for i, e := range c.Resources {
		res := e.Resource()
		context := e.Context()
		y := &all[i]
		*y = entry{
			Entry:   e,
			n:       i + 1,
			key:     resource{e.Chart, res.Type(), res.ID()},
			version: r.keys.versionID(res.Type(), res.ID(), e.Deleted, context, res.JSON()),
			context: context,
			labels:  joinLabels(e.Labels()),
			reasons: reasonsOf(e.Reasons()),
			rules:   e.RulesVersion(),
			bare:    res.Type() == "Patient" && bare(res),
		}
		x.entries = append(x.entries, y)
	}
	return x
}

// directories is a chart without content whose version counts the changes of
// what belongs to no patient: charts that point at such resources depend on it.
const directories = "~"

// notTheirs refuses a push to what is another source's or another patient's. It
// does not tell which, nor whose.
func (e *entry) notTheirs() string {
	return "resource " + strconv.Itoa(e.n) + " (" + e.key.typ + "): its id or its patient cannot be used"
}

// inDirectory tells whether charts of any patient may point at the resource.
func (e *entry) inDirectory() bool { return e.Alias && !fhir.IsPatientCompartment(e.key.typ) }

func joinLabels(all []label.Label) string {
	s := make([]string, len(all))
	for i, l := range all {
		s[i] = string(l)
	}
	return strings.Join(s, ",")
}

func splitLabels(s string) []label.Label {
	if s == "" {
		return nil
	}
	var all []label.Label
	for l := range strings.SplitSeq(s, ",") {
		all = append(all, label.Label(l))
	}
	return all
}

// reasonsOf is the JSON of what gave a resource its labels, empty without any.
func reasonsOf(reasons []label.Reason) string {
	if len(reasons) == 0 {
		return ""
	}
	b, err := json.Marshal(reasons)
	if err != nil {
		panic(err) // strings only: cannot happen
	}
	return string(b)
}

const (
	findAlias = `SELECT chart FROM alias WHERE type = $1 AND id = $2`
	addBody   = `INSERT INTO body (chart, message, json) VALUES ($1, $2, $3)`
	addReason = `INSERT INTO reason (chart, body, reasons) VALUES ($1, $2, $3) ON CONFLICT (chart, body) DO UPDATE SET reasons = excluded.reasons`
	bumpChart = `UPDATE chart SET version = version + 1, updated = CASE WHEN updated < $2 THEN $2 ELSE updated END WHERE chart = $1`
	addAlias  = `INSERT INTO alias (type, id, chart) VALUES ($1, $2, $3) ON CONFLICT (type, id) DO NOTHING`
	addIdent  = `INSERT INTO ident (value, system, chart) VALUES ($1, $2, $3) ON CONFLICT (value, system, chart) DO NOTHING`
	addPerson = `INSERT INTO person (family, birth, chart) VALUES ($1, $2, $3) ON CONFLICT (family, birth, chart) DO NOTHING`
)

// batch is one group of commits under way.
type batch struct {
	w       *writer
	tx      *sqldb.Tx
	commits []*write // those not refused
	charts  map[string]*lines
	owners  map[string]string // sources of charts that were pushed to
	bumps   map[string]int64  // charts that changed: latest time received
	stmts   []sqldb.Stmt
}

// commit stores what messages change. One that was applied before, moves visits, or goes
// on from what others told, has a batch of its own, for it may take back what others
// rest on.
func (w *writer) commit(ctx context.Context, tx *sqldb.Tx, commits []*write) error {
	before, err := w.again(ctx, tx, commits)
	if err != nil {
		return err
	}
	w.charts = map[string]*lines{}
	for len(commits) > 0 {
		n := slices.IndexFunc(commits, func(x *write) bool { return before[x] || x.commit.shift != nil || x.commit.part != nil })
		switch n {
		case -1:
			n = len(commits)
		case 0:
			n, commits[0].commit.again = 1, new(earlier)
		}
		if err := w.batch(ctx, tx, slices.Clone(commits[:n])); err != nil {
			return err
		}
		commits = commits[n:]
	}
	return nil
}

func (w *writer) batch(ctx context.Context, tx *sqldb.Tx, commits []*write) error {
	b := &batch{w: w, tx: tx, commits: commits, charts: w.charts, owners: map[string]string{}, bumps: map[string]int64{}}
	for _, step := range []func(context.Context) error{b.match, b.locate, b.recall, b.hold, b.expect, b.moves, b.shift, b.parts, b.read, b.hear, b.check, b.doubt, b.namesakes, b.repeat, b.bodies, b.codes, b.settle, b.letters, b.say, b.editions, b.link, b.behind} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	b.retry()
	for _, x := range b.commits {
		if x.commit.held != "" {
			b.add(holdMessage, int64(x.commit.id), x.commit.held)
			continue
		}
		if x.commit.plan != nil {
			b.add(addFound, int64(x.commit.id), strings.Join(x.commit.found, ","))
		}
		b.add(doneMessage, int64(x.commit.id))
	}
	for chart, at := range b.bumps {
		b.add(bumpChart, chart, at)
		if chart < rosterMark {
			b.add(noteChange, chart)
		}
	}
	if err := tx.Batch(ctx, b.stmts); err != nil {
		return err
	}
	for _, x := range b.commits {
		if x.commit.differs() {
			clear(b.charts) // they are read again
		}
	}
	return nil
}

func (b *batch) add(text string, args ...any) {
	b.stmts = append(b.stmts, sqldb.Stmt{SQL: text, Args: args})
}

// refuse takes a commit out of the batch: it will be held, nothing of it stored.
func (b *batch) refuse(x *write, reason string) {
	x.err = &inbox.HeldError{Reason: reason}
	b.commits = slices.DeleteFunc(b.commits, func(y *write) bool { return y == x })
}

// locate finds the charts of resources whose ids their sources gave. A deletion
// of what is not known is nothing to do.
func (b *batch) locate(ctx context.Context) error {
	var stmts []sqldb.Stmt
	known := map[*entry]string{}
	for _, x := range b.commits {
		for _, e := range x.commit.entries {
			if e.Alias {
				stmts = append(stmts, sqldb.Stmt{SQL: findAlias, Args: []any{e.key.typ, e.key.id}, Row: func(scan func(...any) error) error {
					var chart string
					err := scan(&chart)
					known[e] = chart
					return err
				}})
			}
		}
	}
	if len(stmts) == 0 {
		return nil
	}
	if err := b.tx.Batch(ctx, stmts); err != nil {
		return err
	}
	type place struct{ chart, source string }
	given := map[fhir.Ref]place{} // by messages before, in this group
	for _, x := range slices.Clone(b.commits) {
		for _, e := range x.commit.entries {
			if !e.Alias {
				continue
			}
			ref := fhir.Ref{Type: e.key.typ, ID: e.key.id}
			chart, before := known[e], given[ref]
			if chart == "" {
				chart = before.chart
			}
			switch {
			case e.Deleted && before.source != "" && before.source != x.commit.source: // for this source there is no such resource
			case e.Deleted, e.Stays && chart != "":
				e.key.chart = chart
			case chart != "" && chart != e.Chart:
				b.refuse(x, e.notTheirs())
			}
		}
		if x.err != nil {
			continue
		}
		x.commit.entries = slices.DeleteFunc(x.commit.entries, func(e *entry) bool { return e.Deleted && e.key.chart == "" })
		for _, e := range x.commit.entries {
			if e.Alias && !e.Deleted {
				given[fhir.Ref{Type: e.key.typ, ID: e.key.id}] = place{e.key.chart, x.commit.source}
			}
		}
	}
	return nil
}

// check refuses what would change another source's chart. Ids that a mapping
// made hold their source; ids that were given do not, so a chart is its first
// source's, to which only the gateway itself adds. The deletion of another's
// resource is nothing to do.
func (b *batch) check(context.Context) error {
	for _, x := range slices.Clone(b.commits) {
		foreign := func(e *entry) bool {
			owner := b.owners[e.key.chart]
			return e.Alias && owner != "" && owner != x.commit.source && x.commit.source != inbox.Own
		}
		x.commit.entries = slices.DeleteFunc(x.commit.entries, func(e *entry) bool { return e.Deleted && foreign(e) })
		if i := slices.IndexFunc(x.commit.entries, foreign); i >= 0 {
			b.refuse(x, x.commit.entries[i].notTheirs())
			continue
		}
		for _, e := range x.commit.entries {
			if b.owners[e.key.chart] == "" {
				b.owners[e.key.chart] = x.commit.source
			}
		}
	}
	return nil
}

// repeat has a message that would create what is there say again what is known
// of it: a conditional creation changes nothing. Where nothing is known of it, or
// only what is withheld from somebody from whom this is not, what the message says
// is kept as a reminder.
func (b *batch) repeat(context.Context) error {
	for _, x := range b.commits {
		for _, e := range x.commit.entries {
			if !e.Repeats {
				continue
			}
			l := b.of(e)
			if len(l.runs) == 0 || l.runs[len(l.runs)-1].deleted {
				continue
			}
			r := l.runs[len(l.runs)-1]
			mine := splitLabels(e.labels)
			if slices.ContainsFunc(splitLabels(l.marking(r.body).labels), func(has label.Label) bool { return !slices.Contains(mine, has) }) {
				continue
			}
			e.stands, e.body, e.version, e.At, e.reasons = true, r.body, r.version, fromMicros(r.first.at), ""
		}
	}
	return nil
}

// bodies stores contents that are new.
func (b *batch) bodies(ctx context.Context) error {
	type content struct {
		key     resource
		version string
	}
	var stmts []sqldb.Stmt
	ids := map[content]*int64{}
	for _, x := range b.commits {
		for _, e := range x.commit.entries {
			c := content{e.key, e.version}
			if ids[c] != nil || e.stands {
				continue
			}
			id := new(int64)
			ids[c] = id
			runs := b.of(e).runs
			if i := slices.IndexFunc(runs, func(r run) bool { return r.version == e.version }); i >= 0 {
				*id = runs[i].body
				continue
			}
			e.fresh = true
			stmts = append(stmts, sqldb.Stmt{
				SQL:  addBody,
				Args: []any{e.key.chart, int64(x.commit.id), e.Resource().JSON()},
				ID:   id,
			})
		}
	}
	if err := b.tx.Batch(ctx, stmts); err != nil {
		return err
	}
	for _, x := range b.commits {
		for _, e := range x.commit.entries {
			if !e.stands {
				e.body = *ids[content{e.key, e.version}]
			}
		}
		if x.commit.differs() {
			if err := b.home(ctx, x.commit); err != nil {
				return err
			}
		}
	}
	return nil
}

// settle puts each fact into its line, in the order of the messages, and
// queues what that changes.
func (b *batch) settle(ctx context.Context) error {
	for _, x := range b.commits {
		if x.commit.differs() {
			if err := b.settleAgain(ctx, x.commit); err != nil {
				return err
			}
			continue
		}
		for _, e := range x.commit.entries {
			l := b.of(e)
			if e.Alias && !e.Repeats {
				e.At = l.inTurn(e.At, x.commit)
			}
			f := e.fact(x.commit)
			known := slices.ContainsFunc(l.runs, func(r run) bool { return r.body == f.body && (r.first == f.mark || r.last == f.mark) })
			relabeled := !e.stands && b.judge(l, e)
			var changed, parted bool
			if l.runs, changed, parted = settle(l.runs, f, b.w.r.keys.again); parted {
				if err := b.part(ctx, x.commit, layer{e.key, e.context}, f); err != nil {
					return err
				}
				changed = true
			}
			// What is no new run may yet show: of whoever told it before, it may not be known.
			if relabeled || !known {
				b.bump(e, x.commit)
				if changed {
					b.index(x.commit.source, e)
				}
			}
			if changed && !relabeled && e.reasons != "" {
				b.add(addReason, e.key.chart, e.body, e.reasons)
			}
		}
	}
	for _, x := range b.commits {
		for _, e := range x.commit.entries {
			b.write(e.key, b.of(e))
		}
	}
	return nil
}

// fact is what a message says of the entry's resource.
func (e *entry) fact(x *committing) fact {
	return fact{
		mark:     mark{micros(e.At), int64(x.id)},
		recorded: x.received,
		source:   x.source,
		deleted:  e.Deleted,
		body:     e.body,
		version:  e.version,
	}
}

// judge notes the labels that a message gives to a content; as line.judge.
func (b *batch) judge(l *line, e *entry) bool {
	if !l.judge(e.body, e) {
		return false
	}
	m := l.marking(e.body)
	b.add(setLabels, e.key.chart, e.key.typ, e.key.id, e.body, m.rules, m.labels)
	if e.reasons != "" {
		b.add(addReason, e.key.chart, e.body, e.reasons)
	}
	return true
}

// bump notes that what the entry's chart shows changes.
func (b *batch) bump(e *entry, x *committing) {
	b.bumps[e.key.chart] = max(b.bumps[e.key.chart], x.received)
	if e.inDirectory() {
		b.bumps[directories] = 0
	}
}

// index keeps the rows by which a patient or a given id is found.
func (b *batch) index(source string, e *entry) {
	if e.Alias && !e.Deleted {
		b.add(addAlias, e.key.typ, e.key.id, e.key.chart)
		for _, v := range valuesOf(e.Resource()) {
			b.add(addGiven, source, e.key.typ, valueKey(v), e.key.id)
		}
	}
	if e.key.typ != "Patient" || e.Deleted {
		return
	}
	p := readPatient(e.Resource())
	for _, i := range p.identifiers {
		b.add(addIdent, i.value, i.system, e.key.chart)
		if bare := bareNumber(i.value); bare != i.value {
			b.add(addIdent, bare, "?", e.key.chart)
		}
	}
	for _, family := range p.families {
		b.add(addPerson, family, p.birth, e.key.chart)
	}
}

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
