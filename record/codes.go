package record

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"firebreak/audit"
	"firebreak/internal/sqldb"
	"firebreak/label"
)

// LocalCode is a code that the rules do not know, as one source uses it, or
// that somebody classified.
type LocalCode struct {
	label.Code
	Element string        // where it stood first: "Observation.code"
	Uses    int64         // contents that hold it
	Found   time.Time     // when it was first seen; zero: never yet
	Latest  time.Time     // and last
	Decided time.Time     // zero: nobody has
	Labels  []label.Label // the decision; none: it is harmless
	Who     string        // decided so
}

// Decision says what a local code means.
type Decision struct {
	label.Code
	Labels []label.Label // none: it is harmless
}

const (
	findCodes = `
		SELECT c.source, c.system, c.code, c.display, c.element, c.found, c.latest, c.round, c.labels, c.who, c.decided,
			(SELECT COUNT(*) FROM code_use u WHERE u.key = c.key AND u.again = 0)
		FROM code c`
	readDecisions = `SELECT source, system, code, display, round, labels FROM code WHERE round > 0`
	codesBehind   = `SELECT key, round FROM code WHERE behind = 1 ORDER BY key`

	meetCode = `
		INSERT INTO code (key, source, system, code, display, element, found, latest, round, labels, who, decided, behind)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $7, 0, '', '', 0, 0)
		ON CONFLICT (key) DO UPDATE SET
			latest = CASE WHEN code.latest < excluded.latest THEN excluded.latest ELSE code.latest END,
			found = CASE WHEN code.found = 0 THEN excluded.found ELSE code.found END,
			element = CASE WHEN code.element = '' THEN excluded.element ELSE code.element END
		RETURNING round`
	keepCode = `
		INSERT INTO code (key, source, system, code, display, element, found, latest, round, labels, who, decided, behind)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $7, 0, '', '', 0, 0) ON CONFLICT (key) DO NOTHING`
	decideCode = `
		INSERT INTO code (key, source, system, code, display, element, found, latest, round, labels, who, decided, behind)
		VALUES ($1, $2, $3, $4, $5, '', 0, 0, 1, $6, $7, $8, 1)
		ON CONFLICT (key) DO UPDATE SET round = code.round + 1, labels = excluded.labels, who = excluded.who, decided = excluded.decided, behind = 1`
	lagging  = `UPDATE code SET behind = 1 WHERE key = $1`
	caughtUp = `
		UPDATE code SET behind = 0 WHERE key = $1 AND round = $2
			AND NOT EXISTS (SELECT 1 FROM code_use u WHERE u.key = $1 AND u.round < $2)`

	addUse = `
		INSERT INTO code_use (key, body, chart, message, first, last, round, again) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (key, body) DO UPDATE SET round = excluded.round, again = code_use.again * excluded.again`
	setRound  = `UPDATE code_use SET round = $3 WHERE key = $1 AND body = $2`
	roundOf   = `SELECT round FROM code WHERE key = $1`
	lateUses  = `SELECT body, message, first, last FROM code_use WHERE key = $1 AND round < $2 AND body > $3 ORDER BY body LIMIT $4`
	judgedUse = `UPDATE code_use SET round = $3 WHERE key = $1 AND message = $2`
	dropUses  = `DELETE FROM code_use`

	// The contents that a message brought first, which are judged together.
	bodiesOf = `SELECT b.id, b.chart, b.message, b.json, i.source FROM body b JOIN inbox i ON i.id = b.message WHERE b.id >= $1 AND b.id <= $2 AND b.message = $3 ORDER BY b.id`
	chartsOf = `SELECT DISTINCT chart FROM body WHERE id >= $1 AND id <= $2 AND message = $3 ORDER BY chart`
	// A use that was judged again since it was found is left alone: nobody would judge it once more.
	unjudge = `
		UPDATE version SET rules = '' WHERE chart = $1
			AND body IN (SELECT id FROM body WHERE id >= $2 AND id <= $3 AND message = $4)
			AND EXISTS (SELECT 1 FROM code_use u WHERE u.key = $5 AND u.body = $6 AND u.round < $7)`
	unjudgeStep = 200 // uses in one transaction
)

// codeKey is a hash of a code, so that a long name is no long key.
func codeKey(c label.Code) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q", c.Source, c.System, c.Code, c.Display))
	return hex.EncodeToString(sum[:16])
}

// Codes are the local codes that were met or classified: first those that wait,
// the most frequent first.
func (r *Record) Codes(ctx context.Context) ([]LocalCode, error) {
	var all []LocalCode
	err := r.db.Each(ctx, func(scan func(...any) error) error {
		var c LocalCode
		var found, latest, round, decided int64
		var labels string
		err := scan(&c.Source, &c.System, &c.Code.Code, &c.Display, &c.Element, &found, &latest, &round, &labels, &c.Who, &decided, &c.Uses)
		if err != nil || round == 0 && c.Uses == 0 { // today's rules know it
			return err
		}
		c.Labels = splitLabels(labels)
		for _, t := range []struct {
			to *time.Time
			at int64
		}{{&c.Found, found}, {&c.Latest, latest}, {&c.Decided, decided}} {
			if t.at != 0 {
				*t.to = fromMicros(t.at)
			}
		}
		all = append(all, c)
		return nil
	}, findCodes)
	if err != nil {
		return nil, failed("read the local codes", err)
	}
	slices.SortFunc(all, func(a, b LocalCode) int {
		return cmp.Or(cmp.Compare(number(!a.Decided.IsZero()), number(!b.Decided.IsZero())), cmp.Compare(b.Uses, a.Uses),
			cmp.Compare(a.Source, b.Source), cmp.Compare(a.System, b.System), cmp.Compare(a.Code.Code, b.Code.Code), cmp.Compare(a.Display, b.Display))
	})
	return all, nil
}

// Classify decides what local codes mean. by says who does (Caller or Subject,
// Address); each decision is in the audit log before it holds. When Classify
// returns, new messages are judged by it, and what is stored is withheld until
// it is judged again, in the background.
func (r *Record) Classify(ctx context.Context, by audit.Event, all []Decision) error {
	possible := label.Classes()
	for _, d := range all {
		if d.Source == "" || d.Code.Code == "" && d.Display == "" {
			return errors.New("record: a decision must name a source, and a code or a name")
		}
		for _, l := range d.Labels {
			if !slices.Contains(possible, l) {
				return fmt.Errorf("record: there is no class %q; there are %v", l, possible)
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	who := cmp.Or(by.Caller.Name(), by.Subject)
	now := micros(r.c.Now())
	var stmts []sqldb.Stmt
	for _, d := range all {
		labels := joinLabels(slices.Compact(slices.Sorted(slices.Values(d.Labels))))
		e := by
		e.Action, e.Detail = audit.Classify, fmt.Sprintf("local code %q %q %q of %s is %s", d.System, d.Code.Code, clipped(d.Display), d.Source, cmp.Or(labels, "harmless"))
		if err := r.c.Log.Append(ctx, e); err != nil {
			return err
		}
		stmts = append(stmts, sqldb.Stmt{SQL: decideCode, Args: []any{codeKey(d.Code), d.Source, d.System, d.Code.Code, d.Display, labels, who, now}})
	}
	ctx = context.WithoutCancel(ctx) // what is decided is carried through
	err := r.writer.do(ctx, &write{other: func(ctx context.Context, tx *sqldb.Tx) error { return tx.Batch(ctx, stmts) }})
	if err != nil {
		return err
	}
	if err := r.learn(ctx); err != nil {
		return err
	}
	if err := r.unjudge(ctx); err != nil {
		return err
	}
	r.wakeJudge()
	return nil
}

func clipped(s string) string {
	if len(s) > 200 {
		return strings.ToValidUTF8(s[:200], "") + "..."
	}
	return s
}

// learn reads the decisions from the database and judges by them from now on.
func (r *Record) learn(ctx context.Context) error {
	r.learning.Lock() // what is read later holds
	defer r.learning.Unlock()
	table := map[label.Code]label.Class{}
	err := r.db.Each(ctx, func(scan func(...any) error) error {
		var c label.Code
		var class label.Class
		var labels string
		err := scan(&c.Source, &c.System, &c.Code, &c.Display, &class.Round, &labels)
		class.Labels = splitLabels(labels)
		table[c] = class
		return err
	}, readDecisions)
	if err != nil {
		return failed("read the local codes", err)
	}
	r.c.Rules.Classify(table)
	return nil
}

// use is one content that depends on a local code, and where those lie that its
// message brought.
type use struct{ body, message, first, last int64 }

// late goes through the contents that were judged by earlier rounds, in steps.
func (r *Record) late(ctx context.Context, do func(key string, round int64, step []use) error) error {
	type behind struct {
		key   string
		round int64
	}
	var codes []behind
	err := r.db.Each(ctx, func(scan func(...any) error) error {
		var b behind
		err := scan(&b.key, &b.round)
		codes = append(codes, b)
		return err
	}, codesBehind)
	if err != nil {
		return failed("judge local codes", err)
	}
	for _, c := range codes {
		for after := int64(0); ; {
			step, err := r.uses(ctx, c.key, c.round, after)
			if err != nil {
				return err
			}
			if err := do(c.key, c.round, step); err != nil {
				return err
			}
			if len(step) < unjudgeStep {
				break
			}
			after = step[len(step)-1].body
		}
	}
	return nil
}

func (r *Record) uses(ctx context.Context, key string, round, after int64) (step []use, err error) {
	err = r.db.Each(ctx, func(scan func(...any) error) error {
		var u use
		err := scan(&u.body, &u.message, &u.first, &u.last)
		step = append(step, u)
		return err
	}, lateUses, key, round, after, int64(unjudgeStep))
	return step, failed("judge local codes", err)
}

// unjudge withholds what an earlier round judged.
func (r *Record) unjudge(ctx context.Context) error {
	return r.late(ctx, func(key string, round int64, step []use) error {
		var touch, stmts []sqldb.Stmt
		charts := map[string]bool{directories: true}
		for _, u := range step {
			all, err := r.keysOf(ctx, chartsOf, u.first, u.last, u.message)
			if err != nil {
				return err
			}
			for _, c := range all {
				charts[c] = true
				stmts = append(stmts, sqldb.Stmt{SQL: unjudge, Args: []any{c, u.first, u.last, u.message, key, u.body, round}})
			}
		}
		for _, c := range sortedKeys(charts) {
			touch = append(touch, sqldb.Stmt{SQL: touchChart, Args: []any{c}}, sqldb.Stmt{SQL: noteChange, Args: []any{c}})
		}
		return r.writer.do(ctx, &write{judges: true, other: func(ctx context.Context, tx *sqldb.Tx) error { return tx.Batch(ctx, append(touch, stmts...)) }})
	})
}

// rejudge judges again what an earlier round did.
func (r *Record) rejudge(ctx context.Context) error {
	r.judging.Lock()
	defer r.judging.Unlock()
	if err := r.learn(ctx); err != nil { // another node's decisions
		return err
	}
	return r.late(ctx, func(key string, round int64, step []use) error {
		var messages [][]content
		seen := map[int64]bool{}
		for _, u := range step {
			if seen[u.message] {
				continue
			}
			seen[u.message] = true
			contents, err := r.contentsOf(ctx, bodiesOf, u.first, u.last, u.message)
			if err != nil {
				return err
			}
			if len(contents) > 0 {
				messages = append(messages, contents)
			}
		}
		return r.steadily(ctx, func() error {
			j := r.newJudging()
			for _, m := range messages {
				j.add(judgedUse, key, m[0].message, round)
				if err := j.message(ctx, setLabels, m); err != nil { // which says by what round it was
					return err
				}
			}
			return j.write(ctx, sqldb.Stmt{SQL: caughtUp, Args: []any{key, round}})
		})
	})
}

// errDecided says that a code was decided on while it was judged.
var errDecided = errors.New("record: somebody decided meanwhile")

// steadily judges until nobody decides meanwhile.
func (r *Record) steadily(ctx context.Context, judge func() error) error {
	for {
		err := judge()
		if !errors.Is(err, errDecided) || ctx.Err() != nil {
			return err
		}
		if err := r.learn(ctx); err != nil {
			return err
		}
	}
}

// judge is the background's work on decisions, until ctx ends.
func (r *Record) judge(ctx context.Context) {
	tick := time.NewTicker(time.Minute) // after a failure
	defer tick.Stop()
	for {
		select {
		case <-r.judgeSoon:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := r.rejudge(ctx); err != nil && ctx.Err() == nil {
			r.c.Logger.Error("what local codes stand in could not be judged again and stays withheld; it is tried again", "error", err)
		}
	}
}

func (r *Record) wakeJudge() {
	select {
	case r.judgeSoon <- struct{}{}:
	default:
	}
}

// codes notes what local codes the messages of a batch hold. What was judged by
// an earlier round than the database knows is stored as not judged.
func (b *batch) codes(ctx context.Context) error {
	rounds := map[string]*int64{}
	var stmts []sqldb.Stmt
	for _, x := range b.commits {
		if x.commit.differs() {
			b.add(dropUsesOf, int64(x.commit.id))
		}
		for _, e := range x.commit.entries {
			u := e.Use()
			if u == nil || e.Deleted {
				continue
			}
			e.code = codeKey(u.Code)
			if rounds[e.code] != nil {
				continue
			}
			round := new(int64)
			rounds[e.code] = round
			stmts = append(stmts, sqldb.Stmt{
				SQL:  meetCode,
				Args: []any{e.code, u.Source, u.System, u.Code.Code, u.Display, u.Element, x.commit.received},
				Row:  func(scan func(...any) error) error { return scan(round) },
			})
		}
	}
	if len(stmts) == 0 {
		return nil
	}
	slices.SortFunc(stmts, func(a, b sqldb.Stmt) int { return cmp.Compare(a.Args[0].(string), b.Args[0].(string)) }) // nodes lock them in one order
	if err := b.tx.Batch(ctx, stmts); err != nil {
		return err
	}
	late := map[string]bool{}
	for _, x := range b.commits {
		var fresh []*entry // in the order of their numbers
		for _, e := range x.commit.entries {
			if e.fresh || e.first {
				fresh = append(fresh, e)
			}
		}
		slices.SortStableFunc(fresh, func(a, b *entry) int { return cmp.Compare(a.body, b.body) })
		for _, e := range x.commit.entries {
			if e.code == "" {
				continue
			}
			if e.Use().Round < *rounds[e.code] {
				late[e.code] = true
				e.rules = ""
				b.add(setRound, e.code, e.body, e.Use().Round)
				for _, o := range fresh { // judged together with it
					o.rules = ""
				}
			}
			switch {
			case e.fresh || e.first:
				b.add(addUse, e.code, e.body, e.key.chart, int64(x.commit.id), fresh[0].body, fresh[len(fresh)-1].body, e.Use().Round, 0)
			case len(fresh) > 0:
				b.add(addUse, e.code, fresh[0].body, fresh[0].key.chart, int64(x.commit.id), fresh[0].body, fresh[len(fresh)-1].body, e.Use().Round, 1)
			}
		}
	}
	for _, key := range sortedKeys(late) {
		b.add(lagging, key)
	}
	b.w.late = b.w.late || len(late) > 0
	return nil
}
