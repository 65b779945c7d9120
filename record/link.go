package record

import (
	"cmp"
	"context"
	"slices"

	"firebreak/internal/sqldb"
)

// Merges are pointers beside the charts: the latest word on each pair of charts
// is a row of link, and each chart knows its root, the record that survives.
// Undoing a merge is one more word, and restores exactly what was.

const (
	setLink = `
		INSERT INTO link (chart, into_chart, at, seq, undo) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (chart, into_chart) DO UPDATE SET at = excluded.at, seq = excluded.seq, undo = excluded.undo
		WHERE link.at < excluded.at OR link.at = excluded.at AND link.seq < excluded.seq
		RETURNING chart`
	linksOf = `
		SELECT chart, into_chart, at, seq, undo FROM link WHERE chart = $1
		UNION ALL SELECT chart, into_chart, at, seq, undo FROM link WHERE into_chart = $1`
	setRoot = `UPDATE chart SET root = $2, version = version + 1 WHERE chart = $1`
)

// link stores the merges of the batch and points every chart concerned at the
// record that now survives.
func (b *batch) link(ctx context.Context) error {
	var stmts []sqldb.Stmt
	touched := map[string]bool{}
	for _, x := range b.commits {
		for _, l := range x.commit.links {
			if l.From == l.Into {
				continue
			}
			stmts = append(stmts, sqldb.Stmt{
				SQL:  setLink,
				Args: []any{l.From, l.Into, micros(l.At), int64(x.commit.id), number(l.Undo)},
				Row: func(scan func(...any) error) error {
					var from string
					touched[l.From], touched[l.Into] = true, true
					return scan(&from)
				},
			})
		}
	}
	if err := b.tx.Batch(ctx, stmts); err != nil || len(touched) == 0 {
		return err
	}
	all, err := related(ctx, b.tx, touched)
	if err != nil {
		return err
	}
	charts := map[string]bool{}
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
}

func scanWord(scan func(...any) error) (w word, err error) {
	var undo int64
	err = scan(&w.from, &w.into, &w.at, &w.seq, &undo)
	w.undo = undo != 0
	return w, err
}

// related reads all words about the charts and about every chart that they are
// or were joined with, however remotely.
func related(ctx context.Context, tx *sqldb.Tx, charts map[string]bool) ([]word, error) {
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
			words[[2]string{w.from, w.into}] = w
			next = append(next, w.from, w.into)
			return err
		}, linksOf, chart)
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
