package record

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"slices"

	"firebreak/chart"
	"firebreak/fhir"
	"firebreak/internal/sqldb"
)

// A document of which there are several versions is stored as often as it came, each
// with all it says. Which replaces which is found when the chart is read, so it does
// not depend on the order in which they came; and what that takes away is decided
// for each caller (policy.View), for a new version of which somebody may know
// nothing replaces nothing for them.

const (
	keepEdition = `
		INSERT INTO edition (chart, message, source, name, series, number, at, replaces, whole, lasts) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (chart, message) DO UPDATE SET name = excluded.name, series = excluded.series, number = excluded.number, at = excluded.at,
			replaces = excluded.replaces, whole = excluded.whole, lasts = excluded.lasts`
	dropEdition = `DELETE FROM edition WHERE chart = $1 AND message = $2`
	editionsOf  = `SELECT message, source, name, series, number, at, replaces, whole, lasts FROM edition WHERE chart = $1 ORDER BY message`
)

// editions keeps which versions of documents the batch's messages are.
func (b *batch) editions(context.Context) error {
	for _, x := range b.commits {
		if x.commit.again != nil {
			for _, chart := range sortedKeys(x.commit.again.was) {
				b.add(dropEdition, chart, int64(x.commit.id))
			}
		}
		e := x.commit.edition
		i := slices.IndexFunc(x.commit.entries, func(y *entry) bool { return y.Whole })
		if e == nil || i < 0 {
			continue
		}
		whole := x.commit.entries[i]
		lasts := []int64{}
		for _, y := range x.commit.entries {
			if y.Lasts {
				lasts = append(lasts, y.body)
			}
		}
		replaces, err := json.Marshal(append([]string{}, e.Replaces...))
		if err != nil {
			return err
		}
		bodies, err := json.Marshal(lasts)
		if err != nil {
			return err
		}
		b.add(keepEdition, whole.key.chart, int64(x.commit.id), x.commit.source, e.Name, e.Series, e.Number, micros(e.At),
			string(replaces), whole.key.typ+"/"+whole.key.id, string(bodies))
		b.bump(whole, x.commit)
	}
	return nil
}

// edition is one version of a document.
type edition struct {
	message              int64
	source, name, series string
	number, at           int64
	replaces             []string
	whole                fhir.Ref
	lasts                []int64
}

// takes tells whether e takes away what o alone says. Of one series the number
// decides, then the time; else a document replaces what it names and what is no
// younger, so that no two replace each other.
func (e *edition) takes(o *edition) bool {
	switch {
	case e.source != o.source || e.message == o.message:
		return false
	case e.name == o.name, e.series != "" && e.series == o.series:
		return cmp.Or(cmp.Compare(e.number, o.number), cmp.Compare(e.at, o.at), cmp.Compare(e.name, o.name)) > 0
	}
	return slices.Contains(e.replaces, o.name) && (e.at > o.at || e.at == o.at && !slices.Contains(o.replaces, e.name))
}

// editions adds to a chart which documents replace which, and what each says. all are
// the rows as they lie in the database, rows those of the histories, in their order.
func (r *Record) editions(ctx context.Context, tx *sqldb.Tx, members []stamp, all, rows []row, histories []chart.History) ([]chart.Edition, error) {
	var known []edition
	for _, m := range members {
		err := tx.Each(ctx, func(scan func(...any) error) error {
			var e edition
			var replaces, whole, lasts string
			if err := scan(&e.message, &e.source, &e.name, &e.series, &e.number, &e.at, &replaces, &whole, &lasts); err != nil {
				return err
			}
			e.whole, _ = fhir.ParseRef(whole)
			if err := json.Unmarshal([]byte(replaces), &e.replaces); err != nil {
				return err
			}
			if err := json.Unmarshal([]byte(lasts), &e.lasts); err != nil {
				return err
			}
			known = append(known, e)
			return nil
		}, editionsOf, m.chart)
		if err != nil {
			return nil, err
		}
	}
	out := make([]chart.Edition, len(known))
	some := false
	for i := range known {
		out[i].Whole = known[i].whole
		for k := range known {
			if known[k].takes(&known[i]) {
				out[i].Replaced = append(out[i].Replaced, k)
				some = true
			}
		}
	}
	if !some {
		return nil, nil
	}
	return out, r.sayers(ctx, tx, members, known, all, rows, histories)
}

// sayers notes of each version which documents say it.
func (r *Record) sayers(ctx context.Context, tx *sqldb.Tx, members []stamp, known []edition, all, rows []row, histories []chart.History) error {
	of := make(map[int64]*row, len(all))
	for i := range all {
		of[all[i].body] = &all[i]
	}
	lines := map[fhir.Ref][]int{}
	versions := make([]*chart.Version, 0, len(rows))
	for i := range histories {
		for n := range histories[i] {
			versions = append(versions, &histories[i][n])
		}
	}
	for i := range rows {
		lines[rows[i].res.Ref()] = append(lines[rows[i].res.Ref()], i)
	}
	for _, m := range members {
		err := eachSaid(ctx, tx, m.chart, func(message int64, _ string, t said) error {
			k := slices.IndexFunc(known, func(e edition) bool { return e.message == message })
			for _, f := range t.facts {
				x := of[f.body]
				if x == nil {
					continue
				}
				at := mark{f.at, message}
				for _, i := range lines[x.res.Ref()] {
					y, v := &rows[i], versions[i]
					if at.compare(y.run.first) < 0 || at.compare(y.run.last) > 0 || y.deleted != x.deleted || y.body != x.body && !bytes.Equal(y.res.JSON(), x.res.JSON()) {
						continue
					}
					if k < 0 || slices.Contains(known[k].lasts, f.body) {
						v.Besides = true
					}
					if k >= 0 && !slices.Contains(v.Editions, k) {
						v.Editions = append(v.Editions, k)
					}
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
