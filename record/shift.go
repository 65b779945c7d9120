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
)

// shift is what a message that moves visits changes besides.
type shift struct {
	basis  string  // what it was found from: another by now, and it is found anew
	again  []int64 // messages that are to be applied again
	charts []string
	reason string // why it cannot be
}

// shifts makes ready what a message that moves visits, or says no longer that it
// does, changes; nil when nothing. It maps all that was sent for the patients
// concerned, so it is done before the transaction, which makes sure that nothing came
// meanwhile.
func (r *Record) shifts(ctx context.Context, c *committing) (*shift, error) {
	_, now, visits, err := r.shifted(ctx, r.db, c)
	if err != nil || visits == nil {
		return nil, err
	}
	s := &shift{}
	words, err := r.basis(ctx, r.db, c, s, visits, now)
	if err != nil {
		return nil, err
	}
	if r.c.Remake == nil {
		s.reason = "MRG-5: nothing can be applied again here"
		return s, nil
	}
	accounts := slices.ContainsFunc(words, func(w moveWord) bool { return w.keyIn("").typ == "Account" })
	leaving := map[string]map[resource]bool{} // by chart
	moving := map[int64]bool{}
	for _, chart := range s.charts {
		leaving[chart] = map[resource]bool{}
		for _, w := range now {
			if key := w.keyIn(chart); accounts && key.typ == "Encounter" && w.elsewhere(words, chart) {
				leaving[chart][key] = true
			}
		}
		candidates := append(saidBefore(ctx, r.db, saidIn, chart, &err), saidBefore(ctx, r.db, heldMoved, chart, &err)...)
		for _, message := range saidBefore(ctx, r.db, partsHeld, chart, &err) { // what it goes on from may move, and it with it
			if !moving[message] {
				moving[message], s.again = true, append(s.again, message)
			}
		}
		slices.Sort(candidates)
		for _, message := range slices.Compact(candidates) {
			if moving[message] || message == int64(c.id) {
				continue
			}
			leaves, failure := r.follows(ctx, message, c.source, chart, words, accounts)
			switch {
			case errors.Is(failure, ErrUnknown):
				s.reason = moveGone
			case failure != nil:
				return nil, failure
			case leaves != nil:
				moving[message] = true
				s.again = append(s.again, message)
				for _, ref := range leaves {
					leaving[chart][resource{chart, ref.Type, ref.ID}] = true
				}
			}
		}
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(s.again)
	for _, chart := range s.charts {
		if s.reason != "" || len(leaving[chart]) == 0 {
			continue
		}
		of := map[int64]resource{}
		err := r.db.Each(ctx, func(scan func(...any) error) error {
			var body int64
			key := resource{chart: chart}
			err := scan(&key.typ, &key.id, &body)
			of[body] = key
			return err
		}, plainIn, chart)
		if err != nil {
			return nil, err
		}
		err = r.db.Each(ctx, func(scan func(...any) error) error {
			var message int64
			var context string
			var facts []byte
			if err := scan(&message, &context, &facts); err != nil || moving[message] {
				return err
			}
			t, err := readSaid(facts)
			for _, f := range t.facts {
				if leaving[chart][of[f.body]] {
					s.reason = half(now, of[f.body])
				}
			}
			return err
		}, saidOf, chart)
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// half is why what now says cannot be done: something of that resource would stay.
func half(now []moveWord, of resource) string {
	switch {
	case slices.ContainsFunc(now, func(w moveWord) bool { return w.keyIn("").typ == "Account" }):
		return accountHalf
	case of.typ == "Encounter":
		return visitBooked
	}
	return moveHalf
}

// elsewhere tells whether what w is of is another's than the chart's, by these words.
func (w moveWord) elsewhere(words []moveWord, chart string) bool {
	words = slices.DeleteFunc(slices.Clone(words), func(x moveWord) bool { return x.visit != w.visit })
	_, elsewhere := latest(words, chart)
	return elsewhere
}

func saidBefore(ctx context.Context, q reads, text, chart string, failure *error) (all []int64) {
	err := q.Each(ctx, func(scan func(...any) error) error {
		var message int64
		err := scan(&message)
		all = append(all, message)
		return err
	}, text, chart)
	*failure = errors.Join(*failure, err)
	return all
}

// shifted are the words that a message said and says, and the visits they are on; nil
// when they are the same.
func (r *Record) shifted(ctx context.Context, q reads, c *committing) (was, now []moveWord, visits []string, err error) {
	if was, err = readMoves(ctx, q, movesOfSeq, int64(c.id)); err != nil {
		return nil, nil, nil, err
	}
	for _, m := range c.shifts {
		subject, err := json.Marshal(m.Subject)
		if err != nil {
			return nil, nil, nil, err
		}
		w := moveWord{m.Visit, m.From, m.Into, string(subject), mark{c.at, int64(c.id)}}
		if !slices.Contains(now, w) {
			now = append(now, w)
		}
	}
	order := func(a, b moveWord) int {
		return cmp.Or(cmp.Compare(a.visit, b.visit), cmp.Compare(a.from, b.from), cmp.Compare(a.into, b.into))
	}
	slices.SortFunc(was, order)
	slices.SortFunc(now, order)
	if slices.Equal(was, now) {
		return was, now, nil, nil
	}
	for _, w := range append(slices.Clone(was), now...) {
		visits = append(visits, w.visit)
	}
	slices.Sort(visits)
	return was, now, slices.Compact(visits), nil
}

// basis reads what a shift is found from: all words on the visits, as they will be, by
// which it gives those on others too, and what was said in the charts concerned.
func (r *Record) basis(ctx context.Context, q reads, c *committing, s *shift, visits []string, now []moveWord) (words []moveWord, err error) {
	charts := map[string]bool{}
	for _, visit := range visits {
		some, err := readMoves(ctx, q, movesOn, visit)
		if err != nil {
			return nil, err
		}
		words = append(words, some...)
	}
	for _, w := range append(slices.Clone(words), now...) {
		charts[w.from], charts[w.into] = true, true
	}
	s.charts = sortedKeys(charts)
	for _, chart := range s.charts { // words on their other visits
		some, err := readMoves(ctx, q, movesAbout, chart)
		if err != nil {
			return nil, err
		}
		words = append(words, some...)
	}
	words = append(slices.DeleteFunc(words, func(w moveWord) bool { return w.seq == int64(c.id) }), now...)
	slices.SortFunc(words, func(a, b moveWord) int {
		return cmp.Or(cmp.Compare(a.visit, b.visit), cmp.Compare(a.from, b.from), cmp.Compare(a.into, b.into), a.compare(b.mark))
	})
	words = slices.Compact(words)
	basis := []any{}
	for _, w := range words {
		basis = append(basis, w.visit, w.from, w.into, w.at, w.seq)
	}
	for _, chart := range s.charts {
		basis = append(basis, saidBefore(ctx, q, saidIn, chart, &err), saidBefore(ctx, q, heldMoved, chart, &err), saidBefore(ctx, q, partsHeld, chart, &err))
	}
	text, other := json.Marshal(basis)
	s.basis = string(text)
	return words, errors.Join(err, other)
}

// follows tells what of a chart a message says elsewhere, or no more, by these words, visits
// too where an account moves; nil when they do not concern it.
func (r *Record) follows(ctx context.Context, message int64, source, chart string, words []moveWord, accounts bool) (leaves []fhir.Ref, err error) {
	m, err := r.Queue().Message(ctx, inbox.ID(message))
	gone := errors.Is(err, ErrPurged) || m.Severed()
	if err != nil && !errors.Is(err, ErrPurged) || m.Kind != inbox.HL7v2 || m.Source != source {
		return nil, err
	}
	if gone {
		return nil, r.unmoved(ctx, message, words)
	}
	homes := []string{chart}
	err = r.db.Each(ctx, func(scan func(...any) error) error {
		var home, other string
		err := scan(&home, &other)
		homes = []string{home}
		if other != "" {
			homes = append(homes, other)
		}
		return err
	}, movedHomes, message)
	if err != nil {
		return nil, err
	}
	was, unmade := r.c.Remake(m)
	m.Moves = nil
	for _, home := range homes {
		some, err := away(words, home)
		if err != nil {
			return nil, err
		}
		m.Moves = append(m.Moves, some...)
	}
	inOrder(m.Moves)
	is, unmakable := r.c.Remake(m)
	now := map[fhir.Ref]bool{}
	for _, x := range is {
		now[x.Ref()] = true
	}
	same := len(was) == len(is) && (unmade == nil) == (unmakable == nil)
	for _, x := range was {
		if now[x.Ref()] {
			continue
		}
		same = false
		if slices.Contains(numbered, x.Type()) || accounts && x.Type() == "Encounter" {
			leaves = append(leaves, x.Ref())
		}
	}
	if same {
		return nil, nil
	}
	return append([]fhir.Ref{}, leaves...), nil
}

// unmoved is ErrUnknown when a message whose text was purged told of one of the visits:
// nothing can say it of another patient.
func (r *Record) unmoved(ctx context.Context, message int64, words []moveWord) error {
	all, err := r.told(ctx, inbox.ID(message))
	for _, x := range all {
		for _, w := range words {
			if bytes.Contains(x.JSON(), []byte(w.visit)) {
				return ErrUnknown
			}
		}
	}
	return err
}

// shift carries out what moves say: the words are stored, and what they concern is
// applied again.
func (b *batch) shift(ctx context.Context) error {
	for _, x := range slices.Clone(b.commits) {
		c := x.commit
		if c.shift == nil {
			if c.again != nil && b.w.moving && !c.asked {
				said, err := readMoves(ctx, b.tx, movesOfSeq, int64(c.id))
				if err != nil {
					return err
				}
				if c.unsays = len(said) > 0 && len(c.shifts) == 0; c.unsays {
					x.err = ErrMoved
					b.commits = slices.DeleteFunc(b.commits, func(y *write) bool { return y == x })
				}
			}
			continue
		}
		if err := b.holdCharts(ctx, c.shift.charts); err != nil {
			return err
		}
		_, now, visits, err := b.w.r.shifted(ctx, b.tx, c)
		if err != nil {
			return err
		}
		var s shift
		if _, err := b.w.r.basis(ctx, b.tx, c, &s, visits, now); err != nil {
			return err
		}
		if s.basis != c.shift.basis {
			x.err = ErrMoved
			b.commits = slices.DeleteFunc(b.commits, func(y *write) bool { return y == x })
			continue
		}
		reason, err := b.unmovable(ctx, x, now)
		if err != nil {
			return err
		}
		if reason = cmp.Or(reason, c.shift.reason); reason != "" {
			b.refuse(x, reason)
			continue
		}
		if err := holdTexts(ctx, b.tx, b.w.r.db.Hold(), c.shift.again); err != nil {
			return err
		}
		if purged, err := purgedAmong(ctx, b.tx, c.shift.again); err != nil {
			return err
		} else if purged { // since it was found, and cannot follow
			x.err = ErrMoved
			b.commits = slices.DeleteFunc(b.commits, func(y *write) bool { return y == x })
			continue
		}
		b.release(c, c.shift.again)
		b.w.moving = true
		b.add(dropMoves, int64(c.id))
		for _, w := range now {
			b.add(addMove, w.visit, w.from, w.into, w.subject, w.at, w.seq)
		}
		for _, chart := range c.shift.charts { // each is read beside the others from now on
			b.bumps[chart] = max(b.bumps[chart], 0)
		}
	}
	return nil
}

// release has messages applied again, whose texts are held.
func (b *batch) release(c *committing, messages []int64) {
	for _, message := range messages {
		b.add(releaseMessage, message)
		c.freed = append(c.freed, inbox.ID(message))
	}
}

// unmovable is why visits are not moved between these patients.
func (b *batch) unmovable(ctx context.Context, x *write, now []moveWord) (string, error) {
	for _, w := range now {
		for _, chart := range []string{w.from, w.into} {
			var n int64
			if err := b.tx.QueryRow(ctx, openDoubts, chart, int64(x.commit.id), "").Scan(&n); err != nil {
				return "", err
			}
			if n > 0 {
				b.add(addDoubt, chart, int64(x.commit.id), "", int64(0))
				return moveInDoubt, nil
			}
			members, err := groupOf(ctx, b.tx, chart)
			if err != nil {
				return "", err
			}
			for _, m := range members {
				if m.chart == w.from || m.chart == w.into {
					continue
				}
				key := w.keyIn(m.chart)
				if err := b.tx.QueryRow(ctx, hasOrdered, key.chart, key.typ, key.id).Scan(&n); err != nil || n > 0 {
					return moveOtherName, err
				}
			}
		}
	}
	return "", nil
}
