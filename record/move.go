package record

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"firebreak/inbox"
)

// A visit, or an account, that was taken for another patient's (A45, A44) is a row of
// move for each message that says so. The latest word on a visit counts for all that were ever
// said to have it, so that a contrary one, or a replay of one that says it no more,
// takes it back. What was sent under the visit is mapped again with what counts
// (inbox.Message.Moves) and leaves the one chart for the other as what a replay
// takes back does; what comes later is mapped so at once. With which moves a
// message was applied stands beside it, for it must mean the same when it is
// judged again.
//
// A move is held where part of what was sent with the visit could not follow. Only what
// no label withholds counts there: else it would show by what is held. A message under
// the visit that cannot be mapped with the move is taken back and held.

const (
	moveColumns = `visit, chart, into_chart, subject, at, seq`
	anyMove     = `SELECT COUNT(*) FROM (SELECT 1 FROM move LIMIT 1) AS one`
	movesOfSeq  = `SELECT ` + moveColumns + ` FROM move WHERE seq = $1`
	movesOn     = `SELECT ` + moveColumns + ` FROM move WHERE visit = $1`
	movesAbout  = `SELECT ` + moveColumns + ` FROM move WHERE visit IN (SELECT visit FROM move WHERE chart = $1 UNION SELECT visit FROM move WHERE into_chart = $1)`
	addMove     = `INSERT INTO move (` + moveColumns + `) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (visit, chart, into_chart, seq) DO NOTHING`
	dropMoves   = `DELETE FROM move WHERE seq = $1`
	keepMoved   = `INSERT INTO moved (id, home, other, moves) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO UPDATE SET home = excluded.home, other = excluded.other, moves = excluded.moves`
	dropMoved   = `DELETE FROM moved WHERE id = $1`
	saidIn      = `SELECT message FROM said WHERE chart = $1 ORDER BY message`
	movedHomes  = `SELECT home, other FROM moved WHERE id = $1`
	heldMoved   = `SELECT id FROM moved WHERE home = $1 OR other = $1 ORDER BY id`
	plainIn     = `SELECT type, id, body FROM version WHERE chart = $1 AND labels = ''`
	hasOrdered  = `SELECT COUNT(*) FROM version WHERE chart = $1 AND type = $2 AND id = $3 AND labels = ''`
	// stays counts what is said of it by messages that are not about to be applied again.
	stays = hasOrdered + ` AND (seq NOT IN (SELECT id FROM todo) OR until_seq NOT IN (SELECT id FROM todo))`

	moveInDoubt   = "doubtful identity: PID-3: a message that contradicts the patient of one of the two numbers is held"
	moveOtherName = "MRG-5: what was sent under the visit or account was sent under another number of the same patient too: it must be moved from that as well, by an A45 or A44 with that number"
	moveHalf      = "MRG-5: results or orders of the visit were sent without its number too, and nothing tells that they move: they must be sent anew with it"
	accountHalf   = "MRG-3: something of the account's visits was sent without the account's number, and nothing tells that it moves: it must be sent anew with it, or an A45 before this moves each such visit"
	visitBooked   = "MRG-5: the visit is of an account that was moved to another patient: an A44 back, and then an A45 for each visit"
	moveGone      = "MRG-5: something that was sent for one of the two patients is stored no longer, and nothing tells whether it was of the visit"
	orderMoved    = "PV1-19: the order is of a visit that was moved to another patient, and the message does not name the visit"
	visitMoved    = "PID-18: the visit is of an account that was moved to another patient, and the message does not name the account"
	visitStayed   = "PID-18: the account was moved to another patient, and something of this visit was sent without its number: it must be sent anew with it"
	visitTwice    = "PV1-19: the visit was moved to one patient, and its account to another"
	orderStayed   = "PV1-19: the visit was moved to another patient, and results or orders of it were sent without its number: they must be sent anew with it"
)

// numbered are the types of what a source numbers, and sends in more than one message.
var numbered = []string{"ServiceRequest", "DiagnosticReport", "DocumentReference", "Appointment", "MedicationRequest"}

// moveWord is what one message said of a visit.
type moveWord struct {
	visit, from, into, subject string
	mark
}

func scanMove(scan func(...any) error) (w moveWord, err error) {
	err = scan(&w.visit, &w.from, &w.into, &w.subject, &w.at, &w.seq)
	return w, err
}

func readMoves(ctx context.Context, q reads, text string, args ...any) (all []moveWord, err error) {
	err = q.Each(ctx, func(scan func(...any) error) error {
		w, err := scanMove(scan)
		all = append(all, w)
		return err
	}, text, args...)
	return all, err
}

// together are the charts that words on one visit join with a chart: a number may be a
// visit's of other patients, too.
func together(words []moveWord, home string) map[string]bool {
	group := map[string]bool{home: true}
	for grown := true; grown; {
		grown = false
		for _, w := range words {
			if group[w.from] != group[w.into] {
				group[w.from], group[w.into], grown = true, true, true
			}
		}
	}
	return group
}

// latest is whose a visit is by the words on it, from the point of view of a chart:
// the latest word counts for all charts that are joined by words. ok is false where
// it is the chart's own.
func latest(words []moveWord, home string) (last moveWord, ok bool) {
	group := together(words, home)
	for _, w := range words {
		if group[w.from] && (!ok || last.compare(w.mark) < 0 || last.mark == w.mark && last.into < w.into) {
			last, ok = w, true
		}
	}
	return last, ok && last.into != home
}

func byVisit(words []moveWord) map[string][]moveWord {
	of := map[string][]moveWord{}
	for _, w := range words {
		of[w.visit] = append(of[w.visit], w)
	}
	return of
}

// away are the visits of a chart that are others', by these words.
func away(words []moveWord, home string) ([]inbox.Move, error) {
	of := byVisit(words)
	var all []inbox.Move
	for _, visit := range sortedKeys(of) {
		if w, ok := latest(of[visit], home); ok {
			m := inbox.Move{Visit: visit, From: home, Into: w.into}
			if err := json.Unmarshal([]byte(w.subject), &m.Subject); err != nil {
				return nil, err
			}
			all = append(all, m)
		}
	}
	return all, nil
}

// movesOf are the visits of charts that are others'.
func movesOf(ctx context.Context, q reads, charts []string) (all []inbox.Move, err error) {
	for _, chart := range charts {
		words, err := readMoves(ctx, q, movesAbout, chart)
		if err != nil {
			return nil, err
		}
		some, err := away(words, chart)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return inOrder(all), nil
}

func inOrder(all []inbox.Move) []inbox.Move {
	slices.SortFunc(all, func(a, b inbox.Move) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.Visit, b.Visit)) })
	return all
}

// Moves are the visits of charts that are others' by now: with them a message that
// names these charts is mapped.
func (q *Queue) Moves(ctx context.Context, charts []string) ([]inbox.Move, error) {
	all, err := movesOf(ctx, q.r.db, charts)
	return all, failed("read which visits were moved", err)
}

// moves makes sure that messages were mapped with what is known of moved visits, and
// that nothing of such a visit is told in two charts.
func (b *batch) moves(ctx context.Context) error {
	if !b.w.moving && (!b.w.asked || b.w.r.db.Postgres()) {
		var n int64
		if err := b.tx.QueryRow(ctx, anyMove).Scan(&n); err != nil {
			return err
		}
		b.w.moving, b.w.asked = n > 0, true // on PostgreSQL other nodes move visits too
	}
	if !b.w.moving {
		return nil
	}
	for _, x := range slices.Clone(b.commits) {
		c := x.commit
		if len(c.named) == 0 {
			continue
		}
		now, err := movesOf(ctx, b.tx, c.named)
		if err != nil {
			return err
		}
		if !slices.Equal(now, c.moves) {
			x.err = ErrMoved
			b.commits = slices.DeleteFunc(b.commits, func(y *write) bool { return y == x })
			continue
		}
		reason := ""
		if c.held == "" {
			if reason, err = b.torn(ctx, c); err != nil {
				return err
			}
		}
		switch {
		case reason != "":
			b.refuse(x, reason)
		case len(now) > 0:
			text, err := json.Marshal(now)
			if err != nil {
				return err
			}
			other := "" // a swap of beds names two
			if len(c.named) > 1 {
				other = c.named[1]
			}
			b.add(keepMoved, int64(c.id), c.named[0], other, string(text))
		case c.again != nil:
			b.add(dropMoved, int64(c.id))
		}
	}
	return nil
}

// keyIn is what moves, in a chart.
func keyIn(chart string, m inbox.Move) resource {
	typ, end := m.Of()
	return resource{chart, typ, chart + "-" + end}
}

func (w moveWord) keyIn(chart string) resource { return keyIn(chart, inbox.Move{Visit: w.visit}) }

// torn is why a message would tell in one chart more of what is told in another; empty
// when it would not.
func (b *batch) torn(ctx context.Context, c *committing) (reason string, err error) {
	count := func(text string, args ...any) (n int64) {
		if err == nil {
			err = b.tx.QueryRow(ctx, text, args...).Scan(&n)
		}
		return n
	}
	for _, m := range c.moves {
		for _, e := range c.entries {
			end, mine := strings.CutPrefix(e.key.id, e.key.chart+"-")
			visit := m.OfAccount() && e.key.typ == "Encounter"
			if !mine || e.labels != "" || !visit && !slices.Contains(numbered, e.key.typ) {
				continue
			}
			switch e.key.chart {
			case m.From:
				if count(stays, m.Into, e.key.typ, m.Into+"-"+end) > 0 {
					reason = orderMoved
					if visit {
						reason = visitMoved
					}
				}
			case m.Into:
				if count(stays, m.From, e.key.typ, m.From+"-"+end) > 0 {
					reason = orderStayed
					if visit {
						reason = visitStayed
					}
				}
			}
			if visit {
				words, other := readMoves(ctx, b.tx, movesOn, end)
				if _, elsewhere := latest(words, e.key.chart); elsewhere {
					reason = visitTwice
				}
				err = errors.Join(err, other)
			}
		}
	}
	// A record that is merged with another shows what lies there as well.
	var groups [][]string
	join := func(charts ...string) error {
		var group []string
		for _, chart := range charts {
			members, err := groupOf(ctx, b.tx, chart)
			if err != nil {
				return err
			}
			for _, s := range members {
				group = append(group, s.chart)
			}
		}
		groups = slices.DeleteFunc(groups, func(other []string) bool {
			if !slices.ContainsFunc(other, func(chart string) bool { return slices.Contains(group, chart) }) {
				return false
			}
			group = append(group, other...)
			return true
		})
		slices.Sort(group)
		groups = append(groups, slices.Compact(group))
		return nil
	}
	for _, l := range c.links {
		over, other := overruled(ctx, b.tx, word{l.From, l.Into, mark{micros(l.At), int64(c.id)}, l.Undo, c.source == inbox.Own})
		if other == nil && !l.Undo && !over {
			other = join(l.From, l.Into)
		}
		if other != nil {
			return "", other
		}
	}
	for _, e := range c.entries {
		if (e.key.typ == "Encounter" || e.key.typ == "Account") && e.labels == "" {
			if other := join(e.key.chart); other != nil {
				return "", other
			}
		}
	}
	for _, members := range groups {
		if len(members) < 2 {
			continue
		}
		all, other := movesOf(ctx, b.tx, members)
		if other != nil {
			return "", other
		}
		for _, m := range all {
			for _, chart := range members {
				key := keyIn(chart, m)
				said := slices.ContainsFunc(c.entries, func(e *entry) bool { return e.key == key })
				if chart != m.From && chart != m.Into && (said || count(hasOrdered, chart, key.typ, key.id) > 0) {
					reason = moveOtherName
				}
			}
		}
	}
	return reason, err
}
