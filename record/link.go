package record

import (
	"cmp"
	"context"
	"slices"

	"firebreak/inbox"
	"firebreak/internal/sqldb"
)

// Merges are pointers beside the charts: what each message said of a pair of
// charts is a row of word, of which the latest counts, and each chart knows its
// root, the record that survives. Undoing a merge is one more word, and restores
// exactly what was; so does a message that is applied again and says it no more.

const (
	addWord = `
		INSERT INTO word (chart, into_chart, at, seq, undo, own) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (chart, into_chart, seq) DO NOTHING RETURNING chart`
	dropWords = `DELETE FROM word WHERE seq = $1 RETURNING chart, into_chart, at, seq, undo, own`
	wordsOf   = `
		SELECT chart, into_chart, at, seq, undo, own FROM word WHERE chart = $1
		UNION ALL SELECT chart, into_chart, at, seq, undo, own FROM word WHERE into_chart = $1`
	setRoot = `UPDATE chart SET root = $2, version = version + 1 WHERE chart = $1`
)

// link stores the merges of the batch and points every chart concerned at the
// record that now survives.
func (b *batch) link(ctx context.Context) error {
	var stmts []sqldb.Stmt
	touched := map[string]bool{}
	was, now := map[word]bool{}, map[word]bool{} // taken back, and said
	for _, x := range b.commits {
		if x.commit.again != nil {
			stmts = append(stmts, sqldb.Stmt{SQL: dropWords, Args: []any{int64(x.commit.id)}, Row: func(scan func(...any) error) error {
				w, err := scanWord(scan)
				was[w] = true
				return err
			}})
		}
		for _, l := range x.commit.links {
			if l.From == l.Into {
				continue
			}
			w := word{l.From, l.Into, mark{micros(l.At), int64(x.commit.id)}, l.Undo, x.commit.source == inbox.Own}
			if w.own {
				if err := b.afterOthers(ctx, &w); err != nil {
					return err
				}
			}
			stmts = append(stmts, sqldb.Stmt{
				SQL:  addWord,
				Args: []any{w.from, w.into, w.at, w.seq, number(w.undo), number(w.own)},
				Row: func(scan func(...any) error) error {
					var from string
					now[w] = true
					return scan(&from)
				},
			})
		}
	}
	if err := b.tx.Batch(ctx, stmts); err != nil {
		return err
	}
	for _, some := range []map[word]bool{was, now} {
		for w := range some {
			if was[w] != now[w] {
				touched[w.from], touched[w.into] = true, true
			}
		}
	}
	if len(touched) == 0 {
		return nil
	}
	all, err := related(ctx, b.tx, touched, nil)
	if err != nil {
		return err
	}
	charts := touched // of what is taken back there may be no word left
	for _, l := range all {
		charts[l.from], charts[l.into] = true, true
	}
	if err := b.holdCharts(ctx, sortedKeys(charts)); err != nil {
		return err
	}
	roots := survivors(all)
	size := map[string]int{}
	for _, root := range roots {
		size[root]++
	}
	for _, c := range sortedKeys(charts) {
		root := roots[c]
		if size[root] == 1 {
			root = "" // it stands alone
		}
		b.add(setRoot, c, root)
		b.add(noteChange, c)
	}
	return nil
}

// word is the latest that was said about a pair of charts.
type word struct {
	from, into string
	mark
	undo bool
	own  bool // said at this gateway
}

func scanWord(scan func(...any) error) (w word, err error) {
	var undo, own int64
	err = scan(&w.from, &w.into, &w.at, &w.seq, &undo, &own)
	w.undo, w.own = undo != 0, own != 0
	return w, err
}

// afterOthers has what somebody decides here come after all that was said before of the
// two charts, by whatever clock: they saw what they decided on.
func (b *batch) afterOthers(ctx context.Context, w *word) error {
	return b.tx.Each(ctx, func(scan func(...any) error) error {
		x, err := scanWord(scan)
		if x.from == w.from && x.into == w.into && x.seq < w.seq {
			w.at = max(w.at, x.at)
		}
		return err
	}, wordsOf, w.from)
}

// overruled tells whether something later was said of the same two charts than w.
func overruled(ctx context.Context, q reads, w word) (over bool, err error) {
	err = q.Each(ctx, func(scan func(...any) error) error {
		x, err := scanWord(scan)
		over = over || x.from == w.from && x.into == w.into && w.compare(x.mark) < 0
		return err
	}, wordsOf, w.from)
	return over, err
}

// related reads all words about the charts and about every chart that they are
// or were joined with, however remotely; but for what was said at this gateway of the
// pairs that are apart.
func related(ctx context.Context, tx *sqldb.Tx, charts map[string]bool, apart map[[2]string]bool) ([]word, error) {
	seen := map[string]bool{}
	words := map[[2]string]word{}
	for next := sortedKeys(charts); len(next) > 0; {
		chart := next[len(next)-1]
		next = next[:len(next)-1]
		if seen[chart] {
			continue
		}
		seen[chart] = true
		err := tx.Each(ctx, func(scan func(...any) error) error {
			w, err := scanWord(scan)
			pair := [2]string{w.from, w.into}
			if w.own && apart[pairOf(w.from, w.into)] {
				return err
			}
			if before, ok := words[pair]; !ok || before.compare(w.mark) < 0 {
				words[pair] = w
			}
			next = append(next, w.from, w.into)
			return err
		}, wordsOf, chart)
		if err != nil {
			return nil, err
		}
	}
	all := make([]word, 0, len(words))
	for _, w := range words {
		all = append(all, w)
	}
	return all, nil
}

// survivors gives each chart the record that survives of those it is joined
// with: merges in force are followed in the order in which they became true.
// A merge within a group that is one already turns it round.
func survivors(all []word) map[string]string {
	slices.SortFunc(all, func(a, b word) int {
		return cmp.Or(a.compare(b.mark), cmp.Compare(a.from, b.from), cmp.Compare(a.into, b.into))
	})
	root := map[string]string{}
	for _, w := range all {
		for _, c := range []string{w.from, w.into} {
			if root[c] == "" {
				root[c] = c
			}
		}
		if w.undo {
			continue
		}
		from, into := root[w.from], root[w.into]
		if from == into {
			into = w.into
		}
		for c, r := range root {
			if r == from {
				root[c] = into
			}
		}
	}
	return root
}
