package record

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"firebreak/chart"
	"firebreak/fhir"
	"firebreak/internal/sqldb"
	"firebreak/label"
)

// stamp is a chart's version when it was read. A view depends on the stamps of
// all charts it was made from.
type stamp struct {
	chart   string
	version int64
}

const (
	chartRow     = `SELECT version, root FROM chart WHERE chart = $1`
	chartsOfRoot = `SELECT chart, version FROM chart WHERE root = $1 ORDER BY chart`
	narrowRows   = `
		SELECT type, id, version, at, seq, until, until_seq, recorded, source, deleted, body, rules, labels
		FROM version WHERE chart = $1`
	bodyRow   = `SELECT b.json, r.reasons FROM body b LEFT JOIN reason r ON r.chart = b.chart AND r.body = b.id WHERE b.id = $1`
	chartRows = `
		SELECT v.type, v.id, v.version, v.at, v.seq, v.until, v.until_seq, v.recorded, v.source, v.deleted, v.body, v.rules, v.labels, b.json, r.reasons
		FROM version v JOIN body b ON b.id = v.body LEFT JOIN reason r ON r.chart = v.chart AND r.body = v.body
		WHERE v.chart = $1 ORDER BY v.type, v.id`
	resourceRows = `
		SELECT v.type, v.id, v.version, v.at, v.seq, v.until, v.until_seq, v.recorded, v.source, v.deleted, v.body, v.rules, v.labels, b.json, r.reasons
		FROM version v JOIN body b ON b.id = v.body LEFT JOIN reason r ON r.chart = v.chart AND r.body = v.body
		WHERE v.chart = $1 AND v.type = $2 AND v.id = $3 ORDER BY v.type, v.id`
)

// loaded is a chart read from the database, and what it depends on.
type loaded struct {
	chart  chart.Chart
	stamps []stamp
	rows   []row
	bytes  int64
}

// load reads a whole chart at one moment: the surviving record, those merged
// into it, and what they point at in the sources' directories. ok is false when
// there is no such chart. old is what was read of it before: contents never
// change, so that those are not read again.
func (r *Record) load(ctx context.Context, key string, old []row) (l loaded, ok bool, err error) {
	known := make(map[int64]*row, len(old))
	for i := range old {
		known[old[i].body] = &old[i]
	}
	err = r.db.Snapshot(ctx, func(tx *sqldb.Tx) error {
		members, err := groupOf(ctx, tx, key)
		if err != nil || len(members) == 0 {
			return err
		}
		ok = true
		root := members[0].chart
		l = loaded{stamps: members, chart: chart.Chart{Patient: fhir.Ref{Type: "Patient", ID: root}}}
		var all []row
		for _, m := range members {
			if err := readChart(ctx, tx, &all, m.chart, known); err != nil {
				return err
			}
		}
		if len(members) > 1 {
			if l.chart.Links, err = links(ctx, tx, members); err != nil {
				return err
			}
		}
		if all, l.chart.Histories, err = r.complete(ctx, tx, &l, all); err != nil {
			return err
		}
		l.keep(all)
		return nil
	})
	if err != nil {
		return loaded{}, false, failed("read a chart", err)
	}
	l.chart.Version = stampText(l.stamps)
	return l, ok, nil
}

// Bytes that one resource of a view costs beside its JSON, once it was shown and
// searched, and that one row costs; measured by BenchmarkChart.
const (
	viewBytes = 600
	rowBytes  = 1200
)

// keep remembers the rows of a long chart, of which little is new when it
// grows. A short one is soon read again, and what it was made from is let go as
// it is shown.
func (l *loaded) keep(all []row) {
	for _, x := range all {
		l.bytes += int64(len(x.res.JSON())) + viewBytes
	}
	if len(all) < longChart {
		return
	}
	l.rows = all
	for _, x := range all {
		l.bytes += int64(len(x.res.JSON())) + rowBytes
	}
}

// groupOf gives the chart and those it is merged with, the survivor first;
// nothing when the chart is not known.
func groupOf(ctx context.Context, tx *sqldb.Tx, key string) ([]stamp, error) {
	var members []stamp
	var root string
	err := tx.Each(ctx, func(scan func(...any) error) error {
		s := stamp{chart: key}
		err := scan(&s.version, &root)
		members = append(members, s)
		return err
	}, chartRow, key)
	if err != nil || root == "" {
		return members, err
	}
	members = members[:0]
	err = tx.Each(ctx, func(scan func(...any) error) error {
		var s stamp
		err := scan(&s.chart, &s.version)
		members = append(members, s)
		return err
	}, chartsOfRoot, root)
	if i := slices.IndexFunc(members, func(s stamp) bool { return s.chart == root }); i > 0 {
		members[0], members[i] = members[i], members[0]
	}
	return members, err
}

func links(ctx context.Context, tx *sqldb.Tx, members []stamp) ([]chart.Link, error) {
	group := map[string]bool{}
	for _, m := range members {
		group[m.chart] = true
	}
	words, err := related(ctx, tx, group)
	if err != nil {
		return nil, err
	}
	var out []chart.Link
	for _, w := range words {
		if !w.undo && group[w.from] && group[w.into] {
			out = append(out, chart.Link{From: fhir.Ref{Type: "Patient", ID: w.from}, Into: fhir.Ref{Type: "Patient", ID: w.into}, At: fromMicros(w.at)})
		}
	}
	slices.SortFunc(out, func(a, b chart.Link) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.From.ID, b.From.ID), cmp.Compare(a.Into.ID, b.Into.ID))
	})
	return out, nil
}

// row is one version with its content.
type row struct {
	judged
	res     fhir.Resource
	reasons []label.Reason
}

// readChart reads all versions in one chart. When most of them are known it
// reads the new contents only.
func readChart(ctx context.Context, tx *sqldb.Tx, all *[]row, chart string, known map[int64]*row) error {
	if len(known) == 0 {
		return readRows(ctx, tx, all, chartRows, chart)
	}
	before := len(*all)
	var missing []int
	err := tx.Each(ctx, func(scan func(...any) error) error {
		var x row
		if err := x.scan(scan); err != nil {
			return err
		}
		if k := known[x.body]; k != nil && k.rules == x.rules && k.labels == x.labels {
			x.res, x.reasons = k.res, k.reasons
		} else {
			missing = append(missing, len(*all))
		}
		*all = append(*all, x)
		return nil
	}, narrowRows, chart)
	if err != nil {
		return err
	}
	if len(missing) > maxMissing {
		*all = (*all)[:before]
		return readRows(ctx, tx, all, chartRows, chart)
	}
	for _, i := range missing {
		x := &(*all)[i]
		err := tx.Each(ctx, func(scan func(...any) error) error {
			var content []byte
			var reasons *string
			if err := scan(&content, &reasons); err != nil {
				return err
			}
			return x.fill(content, reasons)
		}, bodyRow, x.body)
		if err != nil {
			return err
		}
	}
	return nil
}

// maxMissing is from how many new contents on a chart is read in one piece.
const maxMissing = 200

// readRows reads versions with their contents. Other processors make sense of
// what was read of a long chart while this one reads on.
func readRows(ctx context.Context, tx *sqldb.Tx, all *[]row, text string, args ...any) error {
	var batches []*unread
	var b *unread
	var others errgroup.Group
	var last row
	err := tx.Each(ctx, func(scan func(...any) error) error {
		if b == nil || len(b.rows) == cap(b.rows) {
			if b != nil {
				others.Go(b.fill)
			}
			b = &unread{rows: make([]row, 0, 256)}
			batches = append(batches, b)
		}
		var x row
		var content []byte
		var reasons *string
		err := x.scan(scan, &content, &reasons)
		x.share(&last)
		last = x
		b.rows, b.contents, b.reasons = append(b.rows, x), append(b.contents, content), append(b.reasons, reasons)
		return err
	}, text, args...)
	if b != nil && err == nil {
		err = b.fill()
	}
	if err := errors.Join(err, others.Wait()); err != nil {
		return err
	}
	for _, b := range batches {
		*all = append(*all, b.rows...)
	}
	return nil
}

// unread are rows whose contents are not read yet.
type unread struct {
	rows     []row
	contents [][]byte
	reasons  []*string
}

func (b *unread) fill() error {
	for i := range b.rows {
		if err := b.rows[i].fill(b.contents[i], b.reasons[i]); err != nil {
			return err
		}
	}
	b.contents, b.reasons = nil, nil
	return nil
}

// share takes the text that most rows of a chart have alike from the row before.
func (x *row) share(o *row) {
	for _, s := range []struct{ mine, theirs *string }{{&x.source, &o.source}, {&x.rules, &o.rules}, {&x.labels, &o.labels}} {
		if *s.mine == *s.theirs {
			*s.mine = *s.theirs
		}
	}
}

// scan reads the columns of a version, and more behind them.
func (x *row) scan(scan func(...any) error, more ...any) error {
	var typ, id string
	var deleted int64
	err := scan(append([]any{&typ, &id, &x.version, &x.first.at, &x.first.seq, &x.last.at, &x.last.seq,
		&x.recorded, &x.source, &deleted, &x.body, &x.rules, &x.labels}, more...)...)
	x.deleted = deleted != 0
	return err
}

func (x *row) fill(content []byte, reasons *string) (err error) {
	if x.res, err = fhir.Parse(content); err != nil {
		return err
	}
	if reasons != nil {
		return json.Unmarshal([]byte(*reasons), &x.reasons)
	}
	return nil
}

// complete settles the chart, and adds the resources that it points at and that
// belong to no patient. A chart that points at such things outside itself depends
// on all directories, for what it names may come later.
func (r *Record) complete(ctx context.Context, tx *sqldb.Tx, l *loaded, all []row) ([]row, []chart.History, error) {
	have := map[fhir.Ref]bool{}
	for first := true; ; first = false {
		histories := r.histories(all)
		for _, h := range histories {
			have[h[0].Resource().Ref()] = true
		}
		var missing []fhir.Ref
		for _, h := range histories {
			for _, v := range h {
				for _, link := range v.Links() {
					if !have[link.To] && !fhir.IsPatientCompartment(link.To.Type) {
						have[link.To] = true
						missing = append(missing, link.To)
					}
				}
			}
		}
		if first && len(missing) > 0 {
			version, _, err := stampOf(ctx, tx, directories)
			if err != nil {
				return nil, nil, err
			}
			l.stamps = append(l.stamps, stamp{directories, version})
		}
		before := len(all)
		for _, ref := range missing {
			var home string
			err := tx.Each(ctx, func(scan func(...any) error) error { return scan(&home) }, findAlias, ref.Type, ref.ID)
			if err != nil {
				return nil, nil, err
			}
			if home == "" {
				continue
			}
			if err := readRows(ctx, tx, &all, resourceRows, home, ref.Type, ref.ID); err != nil {
				return nil, nil, err
			}
		}
		if len(all) == before {
			return all, histories, nil
		}
	}
}

func stampOf(ctx context.Context, tx *sqldb.Tx, key string) (version int64, root string, err error) {
	err = tx.Each(ctx, func(scan func(...any) error) error { return scan(&version, &root) }, chartRow, key)
	return version, root, err
}

// histories puts versions into the chart's form and settles their labels.
func (r *Record) histories(all []row) []chart.History {
	slices.SortStableFunc(all, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.res.Type(), b.res.Type()), cmp.Compare(a.res.ID(), b.res.ID()),
			b.last.compare(a.last), cmp.Compare(b.body, a.body), b.first.compare(a.first))
	})
	labeled := make([]label.Labeled, len(all))
	for i, x := range all {
		labeled[i] = r.c.Rules.Restore(x.res, splitLabels(x.labels), x.reasons, x.rules)
	}
	labeled = label.Propagate(labeled)
	var out []chart.History
	current := r.c.Rules.Version()
	for i, x := range all {
		v := chart.Version{
			Labeled:   labeled[i],
			VersionID: x.version,
			At:        fromMicros(x.first.at),
			Recorded:  fromMicros(x.recorded),
			Source:    x.source,
			Current:   x.rules == current,
			Deleted:   x.deleted,
		}
		if i > 0 && all[i-1].res.Ref() == x.res.Ref() {
			out[len(out)-1] = append(out[len(out)-1], v)
		} else {
			out = append(out, chart.History{v})
		}
	}
	return out
}
