package record

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"

	"firebreak/chart"
	"firebreak/inbox"
	"firebreak/internal/sqldb"
	"firebreak/label"
)

// A message may tell only what changes of an appointment. It is mapped with those that
// told of it before: the last that told it whole, and those since that told what
// changes (inbox.Message.Before). So it says the whole appointment from its own time
// on, and is judged, withheld and taken back as any other statement. Before by its own
// mark, and not as they came: with which messages it is mapped is found again in the
// transaction that stores it, and where these are others by now it is made anew. What
// is said otherwise of an appointment, or no more, has those applied again that come
// behind it. Where nothing told of it whole, or a change cannot be read so, the message
// is held until something else is said of the appointment before it.

const (
	addPart         = `INSERT INTO part (id, chart, appointment, asked, at, basis) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE SET chart = excluded.chart, appointment = excluded.appointment, asked = excluded.asked, at = excluded.at, basis = excluded.basis`
	dropPart        = `DELETE FROM part WHERE id = $1`
	partsOf         = `SELECT id, asked FROM part WHERE appointment = $1`
	partsAfter      = `SELECT id FROM part WHERE appointment = $1 AND (at > $2 OR at = $2 AND id > $3) AND id <> $3 ORDER BY id`
	partsHeld       = `SELECT p.id FROM part p JOIN todo t ON t.id = p.id AND t.held = 1 WHERE p.chart = $1 ORDER BY p.id`
	basisOf         = `SELECT basis FROM part WHERE id = $1`
	appointmentBody = `SELECT DISTINCT body FROM version WHERE chart = $1 AND type = 'Appointment' AND id = $2`
	headOf          = `SELECT kind, substr(body, 1, $2) FROM inbox WHERE id = $1`
	textOf          = `SELECT body FROM inbox WHERE id = $1`
	basesIn         = `SELECT id, basis FROM part WHERE chart = $1`
	labelsOn        = `SELECT body, labels FROM version WHERE chart = $1 AND type = 'Appointment' AND id = $2`
	maxBasis        = 102 // more than a mapping takes
	appointmentTyp  = "Appointment"
)

// Part is an appointment of which a message tells only what changes.
type Part struct {
	Chart, ID string
	Asked     bool // what it tells is asked for; so is all that it goes on from
}

// basis are the messages that told of an appointment before a mark, from the last that
// told it whole on; none where none did.
func basis(ctx context.Context, q reads, p Part, before mark) (ids []int64, err error) {
	contents := map[int64]bool{}
	err = q.Each(ctx, func(scan func(...any) error) error {
		var body int64
		err := scan(&body)
		contents[body] = true
		return err
	}, appointmentBody, p.Chart, p.ID)
	if err != nil || len(contents) == 0 {
		return nil, err
	}
	parts := map[int64]bool{} // whether they ask
	err = q.Each(ctx, func(scan func(...any) error) error {
		var id, asked int64
		err := scan(&id, &asked)
		parts[id] = asked != 0
		return err
	}, partsOf, p.ID)
	if err != nil {
		return nil, err
	}
	var told []mark
	err = q.Each(ctx, func(scan func(...any) error) error {
		var message int64
		var context string
		var facts []byte
		if err := scan(&message, &context, &facts); err != nil {
			return err
		}
		t, err := readSaid(facts)
		for _, f := range t.facts {
			if m := (mark{f.at, message}); contents[f.body] && message != before.seq && m.compare(before) < 0 {
				told = append(told, m)
			}
		}
		return err
	}, saidOf, p.Chart)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(told, func(a, b mark) int { return b.compare(a) })
	for _, m := range told {
		asks, part := parts[m.seq]
		if !part {
			if asks, err = asksAs(ctx, q, m.seq, p.Asked); err != nil {
				return nil, err
			}
		}
		if asks != p.Asked {
			continue
		}
		ids = append(ids, m.seq)
		if !part {
			slices.Reverse(ids)
			return ids[:min(len(ids), maxBasis)], nil
		}
	}
	return nil, nil
}

// asksAs tells whether a message asks for an appointment; or says so of one whose text
// was purged.
func asksAs(ctx context.Context, q reads, message int64, or bool) (bool, error) {
	var m inbox.Message
	err := q.Each(ctx, func(scan func(...any) error) error {
		var kind string
		err := scan(&kind, &m.Body)
		m.Kind = inbox.Kind(kind)
		return err
	}, headOf, message, int64(messageHead))
	if len(m.Body) == 0 {
		return or, err
	}
	return strings.HasPrefix(m.Type(), "SRM^"), err
}

// Before are the messages with which one is mapped that tells only what changes of an
// appointment; none where nothing told of it whole. labels are what withholds what they
// say of it, as it was judged.
func (q *Queue) Before(ctx context.Context, s Stored, c Change) (all []inbox.Before, labels []label.Label, err error) {
	at := mark{micros(c.At), int64(s.ID)}
	if s.ID == 0 { // it is not stored, and would come last
		at.seq = math.MaxInt64
	}
	ids, err := basis(ctx, q.r.db, *c.Part, at)
	if err != nil || len(ids) == 0 {
		return nil, nil, failed("read what told of an appointment", err)
	}
	o := onward{basis: map[int64][]int64{0: ids}, says: map[int64][]int64{}}
	of := map[int64][]label.Label{}
	err = q.r.db.Each(ctx, func(scan func(...any) error) error {
		var body int64
		var text string
		err := scan(&body, &text)
		of[body] = splitLabels(text)
		return err
	}, labelsOn, c.Part.Chart, c.Part.ID)
	for _, id := range ids {
		if err != nil {
			break
		}
		err = q.r.db.Each(ctx, func(scan func(...any) error) error {
			var facts []byte
			if err := scan(&facts); err != nil {
				return err
			}
			t, err := readSaid(facts)
			for _, f := range t.facts {
				o.says[id] = append(o.says[id], f.body)
			}
			return err
		}, factsBy, id)
	}
	if err != nil {
		return nil, nil, failed("read what told of an appointment", err)
	}
	all, err = q.r.before(ctx, ids)
	return all, o.labels(0, func(body int64) []label.Label { return of[body] }), err
}

func (r *Record) before(ctx context.Context, ids []int64) (all []inbox.Before, err error) {
	for _, id := range ids {
		b := inbox.Before{ID: inbox.ID(id)}
		err := r.db.Each(ctx, func(scan func(...any) error) error { return scan(&b.Body) }, textOf, id)
		if err != nil {
			return nil, failed("read what told of an appointment", err)
		}
		all = append(all, b)
	}
	return all, nil
}

// goesOn reads the messages with which one was mapped when it was last looked at.
func (r *Record) goesOn(ctx context.Context, id inbox.ID) ([]inbox.Before, error) {
	var text string
	err := r.db.Each(ctx, func(scan func(...any) error) error { return scan(&text) }, basisOf, int64(id))
	if err != nil || text == "" {
		return nil, failed("read what told of an appointment", err)
	}
	ids, err := readBasis(text)
	if err != nil {
		return nil, failed("read what told of an appointment", err)
	}
	return r.before(ctx, ids)
}

func readBasis(text string) (ids []int64, err error) {
	for s := range strings.SplitSeq(text, ",") {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return nil, err
		}
		ids = append(ids, n)
	}
	return ids, nil
}

// parts makes sure that messages which tell only what changes of an appointment were
// mapped with those that told of it before, by what is known now.
func (b *batch) parts(ctx context.Context) error {
	for _, x := range slices.Clone(b.commits) {
		c := x.commit
		if c.kind != inbox.HL7v2 {
			continue
		}
		if c.part == nil && !slices.ContainsFunc(c.entries, func(e *entry) bool { return e.key.typ == appointmentTyp }) {
			continue
		}
		was, known := "", false
		err := b.tx.Each(ctx, func(scan func(...any) error) error { known = true; return scan(&was) }, basisOf, int64(c.id))
		if err != nil {
			return err
		}
		if c.part == nil {
			if known {
				b.add(dropPart, int64(c.id))
				for _, e := range c.entries {
					b.bumps[e.key.chart] = max(b.bumps[e.key.chart], 0)
				}
			}
			continue
		}
		ids, err := basis(ctx, b.tx, *c.part, mark{c.at, int64(c.id)})
		if err != nil {
			return err
		}
		if !slices.Equal(ids, c.before) {
			x.err = ErrMoved
			b.commits = slices.DeleteFunc(b.commits, func(y *write) bool { return y == x })
			continue
		}
		var all []string
		for _, id := range ids {
			all = append(all, strconv.FormatInt(id, 10))
		}
		text := strings.Join(all, ",")
		if text != was { // what it says may be as it was, and depend on others
			b.bumps[c.part.Chart] = max(b.bumps[c.part.Chart], 0)
		}
		b.add(addPart, int64(c.id), c.part.Chart, c.part.ID, number(c.part.Asked), c.at, text)
	}
	return nil
}

// behind has those messages applied again that go on from what is said otherwise now.
func (b *batch) behind(ctx context.Context) error {
	for _, x := range b.commits {
		c := x.commit
		if c.kind != inbox.HL7v2 || c.again != nil && c.again.same {
			continue
		}
		from := map[string]int64{} // by appointment: since when
		since := func(id string, at int64) {
			if was, known := from[id]; !known || at < was {
				from[id] = at
			}
		}
		for _, e := range c.entries {
			if e.key.typ == appointmentTyp {
				since(e.key.id, micros(e.At))
			}
		}
		if c.again != nil {
			for _, s := range c.again.was {
				for _, f := range s.facts {
					if at := c.again.at[f.body]; at.typ == appointmentTyp {
						since(at.id, f.at)
					}
				}
			}
		}
		var again []int64
		for _, id := range sortedKeys(from) {
			err := b.tx.Each(ctx, func(scan func(...any) error) error {
				var message int64
				err := scan(&message)
				again = append(again, message)
				return err
			}, partsAfter, id, from[id], int64(c.id))
			if err != nil {
				return err
			}
		}
		slices.Sort(again)
		if again = slices.Compact(again); len(again) > 0 {
			if err := holdTexts(ctx, b.tx, b.w.r.db.Hold(), again); err != nil {
				return err
			}
			b.release(c, again)
		}
	}
	return nil
}

// onward is which messages of a chart tell only what changes of an appointment, and what
// they go on from.
type onward struct {
	basis map[int64][]int64 // by message
	says  map[int64][]int64 // contents of appointments, by message, of these and of those
}

// onward reads it; of most charts there is nothing.
func (r *Record) onward(ctx context.Context, tx *sqldb.Tx, members []stamp, all []row) (o onward, err error) {
	contents := map[int64]bool{}
	for i := range all {
		if all[i].res.Type() == appointmentTyp {
			contents[all[i].body] = true
		}
	}
	if len(contents) == 0 {
		return o, nil
	}
	concerned := map[int64]bool{}
	for _, m := range members {
		err := tx.Each(ctx, func(scan func(...any) error) error {
			var id int64
			var text string
			if err := scan(&id, &text); err != nil || text == "" {
				return err
			}
			ids, err := readBasis(text)
			if o.basis == nil {
				o.basis, o.says = map[int64][]int64{}, map[int64][]int64{}
			}
			o.basis[id], concerned[id] = ids, true
			for _, n := range ids {
				concerned[n] = true
			}
			return err
		}, basesIn, m.chart)
		if err != nil {
			return o, err
		}
	}
	if o.basis == nil {
		return o, nil
	}
	for _, m := range members {
		err := eachSaid(ctx, tx, m.chart, func(message int64, _ string, t said) error {
			for _, f := range t.facts {
				if concerned[message] && contents[f.body] {
					o.says[message] = append(o.says[message], f.body)
				}
			}
			return nil
		})
		if err != nil {
			return o, err
		}
	}
	return o, nil
}

// from are the contents that the messages go on from which say a content.
func (o onward) from(body int64) (all []int64) {
	for message, ids := range o.basis {
		if slices.Contains(o.says[message], body) {
			for _, id := range ids {
				all = append(all, o.says[id]...)
			}
		}
	}
	return all
}

// mark notes of each version what it goes on from. rows are those of the histories, in
// their order.
func (o onward) mark(rows []row, histories []chart.History) {
	i := 0
	for _, h := range histories {
		for n := range h {
			if h[n].Resource().Type() != appointmentTyp || o.basis == nil {
				continue
			}
			from := o.from(rows[i+n].body)
			for k := range h {
				if k != n && rows[i+k].body != rows[i+n].body && slices.Contains(from, rows[i+k].body) {
					h[n].From = append(h[n].From, &h[k])
				}
			}
		}
		i += len(h)
	}
}

// labels are what those statements are withheld by that a message goes on from.
func (o onward) labels(message int64, of func(body int64) []label.Label) (all []label.Label) {
	for _, id := range o.basis[message] {
		for _, body := range o.says[id] {
			for _, l := range of(body) {
				if !l.Internal() && !slices.Contains(all, l) {
					all = append(all, l)
				}
			}
		}
	}
	slices.Sort(all)
	return all
}
