package record

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

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
	chartRows    = `
		SELECT v.version, v.at, v.seq, v.until, v.until_seq, v.recorded, v.source, v.deleted, v.body, v.rules, v.labels, r.reasons, b.json
		FROM version v JOIN body b ON b.id = v.body LEFT JOIN reason r ON r.chart = v.chart AND r.body = v.body
		WHERE v.chart = $1 ORDER BY v.type, v.id LIMIT $2`
	narrowRows = `
		SELECT v.version, v.at, v.seq, v.until, v.until_seq, v.recorded, v.source, v.deleted, v.body, v.rules, v.labels, r.reasons
		FROM version v LEFT JOIN reason r ON r.chart = v.chart AND r.body = v.body
		WHERE v.chart = $1`
	resourceRows = `
		SELECT v.version, v.at, v.seq, v.until, v.until_seq, v.recorded, v.source, v.deleted, v.body, v.rules, v.labels, r.reasons, b.json
		FROM version v JOIN body b ON b.id = v.body LEFT JOIN reason r ON r.chart = v.chart AND r.body = v.body
		WHERE v.chart = $1 AND v.type = $2 AND v.id = $3`
)

// loaded is a chart read from the database, and what it depends on.
type loaded struct {
	chart  chart.Chart
	stamps []stamp
	beside []stamp // of charts that are no part of it, see besides
	rows   []row
	bytes  int64
}

// load reads a whole chart at one moment: the surviving record, those merged
// into it, and what they point at in the sources' directories. ok is false when
// there is no such chart. old is what was read of it before: contents never
// change, so that those are not read again. parted are the links in a chart that are not
// in force for whoever it is read for; nil: all are.
func (r *Record) load(ctx context.Context, key string, old []row, parted func(chart.Chart) []chart.Link) (l loaded, ok bool, err error) {
	known := make(map[int64]*row, len(old))
	for i := range old {
		known[old[i].body] = &old[i]
	}
	err = r.db.Snapshot(ctx, func(tx *sqldb.Tx) error {
		members, err := groupOf(ctx, tx, key)
		if err != nil {
			return err
		}
		if ok = len(members) > 0; !ok {
			l = loaded{stamps: []stamp{{chart: key}}, chart: chart.Chart{Patient: fhir.Ref{Type: "Patient", ID: key}}, bytes: emptyBytes}
			return nil
		}
		apart := map[[2]string]bool{}
		for {
			here, rest, err := component(ctx, tx, members, key, apart)
			if err != nil {
				return err
			}
			if l, err = r.read(ctx, tx, here, apart, known); err != nil {
				return err
			}
			l.beside = append(l.beside, rest...)
			before := len(apart)
			if parted != nil && len(here) > 1 {
				for _, x := range parted(l.chart) {
					apart[pairOf(x.From.ID, x.Into.ID)] = true
				}
			}
			if len(apart) == before {
				return nil
			}
		}
	})
	if err != nil {
		return loaded{}, false, failed("read a chart", err)
	}
	l.chart.Version = stampText(l.stamps)
	return l, ok, nil
}

// read reads the charts that are one, the survivor first.
func (r *Record) read(ctx context.Context, tx *sqldb.Tx, members []stamp, apart map[[2]string]bool, known map[int64]*row) (l loaded, err error) {
	l = loaded{stamps: members, chart: chart.Chart{Patient: fhir.Ref{Type: "Patient", ID: members[0].chart}}}
	var all []row
	for _, m := range members {
		if err := r.readChart(ctx, tx, &all, m.chart, known); err != nil {
			return l, err
		}
	}
	if len(members) > 1 {
		if l.chart.Links, err = links(ctx, tx, members, apart); err != nil {
			return l, err
		}
	}
	brought, err := r.besides(ctx, tx, &l)
	if err != nil {
		return l, err
	}
	if all, l.chart.Histories, err = r.complete(ctx, tx, &l, all, brought); err != nil {
		return l, err
	}
	l.keep(all)
	return l, nil
}

// component are those of a group that are one with a chart when some pairs are apart,
// the survivor first, and the rest.
func component(ctx context.Context, tx *sqldb.Tx, members []stamp, key string, apart map[[2]string]bool) (here, rest []stamp, err error) {
	if len(apart) == 0 {
		return members, nil, nil
	}
	group := map[string]bool{}
	for _, m := range members {
		group[m.chart] = true
	}
	words, err := related(ctx, tx, group, apart)
	if err != nil {
		return nil, nil, err
	}
	roots := survivors(words)
	root := func(chart string) string { return cmp.Or(roots[chart], chart) }
	for _, m := range members {
		switch {
		case root(m.chart) != root(key):
			rest = append(rest, m)
		case m.chart == root(key):
			here = slices.Insert(here, 0, m)
		default:
			here = append(here, m)
		}
	}
	return here, rest, nil
}

// Bytes that a view costs without resources, one of its resources beside its JSON,
// once it was shown and searched, and one row; measured by BenchmarkChart and
// TestUnknownChartsAreCounted: whoever may ask may ask for any number of charts
// that never were.
const (
	emptyBytes = 1400
	viewBytes  = 600
	rowBytes   = 1200
)

// keep remembers the rows of a long chart, of which little is new when it
// grows. A short one is soon read again, and what it was made from is let go as
// it is shown.
func (l *loaded) keep(all []row) {
	l.bytes = emptyBytes
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

func links(ctx context.Context, tx *sqldb.Tx, members []stamp, apart map[[2]string]bool) ([]chart.Link, error) {
	group := map[string]bool{}
	for _, m := range members {
		group[m.chart] = true
	}
	words, err := related(ctx, tx, group, apart)
	if err != nil {
		return nil, err
	}
	var out []chart.Link
	for _, w := range words {
		if !w.undo && group[w.from] && group[w.into] {
			out = append(out, chart.Link{From: fhir.Ref{Type: "Patient", ID: w.from}, Into: fhir.Ref{Type: "Patient", ID: w.into}, At: fromMicros(w.at), Own: w.own})
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

// readChart reads all versions in one chart: a short one in one piece, of a long
// one the contents that are not known, in the order in which they lie.
func (r *Record) readChart(ctx context.Context, tx *sqldb.Tx, all *[]row, chart string, known map[int64]*row) error {
	before := len(*all)
	if len(known) == 0 {
		if err := readRows(ctx, tx, all, chartRows, chart, int64(atOnce)); err != nil || len(*all)-before < atOnce {
			return err
		}
		*all = (*all)[:before]
	}
	var last row
	err := tx.Each(ctx, func(scan func(...any) error) error {
		x, err := scanRow(scan, &last)
		*all = append(*all, x)
		return err
	}, narrowRows, chart)
	if err != nil {
		return err
	}
	var missing []*row
	for i := range (*all)[before:] {
		x := &(*all)[before+i]
		if k := known[x.body]; k != nil {
			x.res = k.res
		} else {
			missing = append(missing, x)
		}
	}
	slices.SortFunc(missing, func(a, b *row) int { return cmp.Compare(a.body, b.body) })
	return r.readContents(ctx, tx, missing)
}

// atOnce is up to how many versions a chart is read in one piece.
const atOnce = 200

// readRows reads versions with their contents.
func readRows(ctx context.Context, tx *sqldb.Tx, all *[]row, text string, args ...any) error {
	var last row
	return tx.Each(ctx, func(scan func(...any) error) error {
		var content []byte
		x, err := scanRow(scan, &last, &content)
		if err == nil {
			x.res, err = fhir.Take(content)
		}
		*all = append(*all, x)
		return err
	}, text, args...)
}

// contentRows reads the contents that are given by number, as many as fill it.
var contentRows = func() string {
	var b strings.Builder
	b.WriteString(`SELECT id, json FROM body WHERE id IN ($1`)
	for i := 2; i <= atOnce; i++ {
		b.WriteString(", $" + strconv.Itoa(i))
	}
	return b.String() + ")"
}()

// readContents reads the contents of rows that are sorted by them, of many rows
// on a second connection too: contents never change, so that it does not matter
// when they are read. There is one such second connection at a time, so that
// nobody who holds one waits for all others.
func (r *Record) readContents(ctx context.Context, tx *sqldb.Tx, missing []*row) error {
	var parts [][]*row
	for len(missing) > 0 {
		n := min(atOnce, len(missing))
		for n < len(missing) && missing[n].body == missing[n-1].body {
			n++
		}
		parts = append(parts, missing[:n])
		missing = missing[n:]
	}
	var taken atomic.Int64
	read := func(tx *sqldb.Tx) error {
		args := make([]any, atOnce)
		for {
			i := int(taken.Add(1)) - 1
			if i >= len(parts) {
				return nil
			}
			if err := readPart(ctx, tx, parts[i], args); err != nil {
				return err
			}
		}
	}
	if len(parts) < 4 || !r.second.TryLock() {
		return read(tx)
	}
	defer r.second.Unlock()
	var both errgroup.Group
	both.Go(func() error { return r.db.Snapshot(ctx, read) })
	return errors.Join(read(tx), both.Wait())
}

func readPart(ctx context.Context, tx *sqldb.Tx, part []*row, args []any) error {
	of := make(map[int64]fhir.Resource, len(part))
	for i := range args {
		args[i] = part[min(i, len(part)-1)].body // the last again, to fill it
	}
	err := tx.Each(ctx, func(scan func(...any) error) error {
		var id int64
		var content sql.RawBytes
		if err := scan(&id, &content); err != nil {
			return err
		}
		res, err := fhir.Take(bytes.Clone(content))
		of[id] = res
		return err
	}, contentRows, args...)
	if err != nil {
		return err
	}
	for _, x := range part {
		if x.res = of[x.body]; x.res.IsZero() {
			return errors.New("a version without its content")
		}
	}
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

// scanRow reads the columns of a version, its reasons, and more behind them.
func scanRow(scan func(...any) error, last *row, more ...any) (x row, err error) {
	var deleted int64
	var reasons *string
	if err = scan(append([]any{&x.version, &x.first.at, &x.first.seq, &x.last.at, &x.last.seq,
		&x.recorded, &x.source, &deleted, &x.body, &x.rules, &x.labels, &reasons}, more...)...); err != nil {
		return x, err
	}
	x.deleted = deleted != 0
	x.share(last)
	*last = x
	if reasons != nil {
		err = json.Unmarshal([]byte(*reasons), &x.reasons)
	}
	return x, err
}

// complete settles the chart, and adds the resources that it points at and that
// belong to no patient. A chart that points at such things outside itself depends
// on all directories, for what it names may come later.
func (r *Record) complete(ctx context.Context, tx *sqldb.Tx, l *loaded, all []row, brought brought) ([]row, []chart.History, error) {
	have := map[fhir.Ref]bool{}
	members := l.stamps
	for first := true; ; first = false {
		settled := r.settle(all, brought)
		histories := r.histories(all, settled)
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
		if len(all) > before {
			continue
		}
		o, err := r.onward(ctx, tx, members, all)
		if err != nil {
			return nil, nil, err
		}
		anew, moved, err := r.again(ctx, tx, members, all, settled, o)
		if err != nil {
			return nil, nil, err
		}
		if moved {
			histories = r.histories(anew, r.settle(anew, brought))
		}
		o.mark(anew, histories)
		l.chart.Editions, err = r.editions(ctx, tx, members, all, anew, histories)
		return all, histories, err
	}
}

func stampOf(ctx context.Context, tx *sqldb.Tx, key string) (version int64, root string, err error) {
	err = tx.Each(ctx, func(scan func(...any) error) error { return scan(&version, &root) }, chartRow, key)
	return version, root, err
}

// settle sorts versions as a chart's histories are, and settles their labels, to which
// those come that are brought along.
func (r *Record) settle(all []row, brought brought) []label.Labeled {
	slices.SortStableFunc(all, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.res.Type(), b.res.Type()), cmp.Compare(a.res.ID(), b.res.ID()),
			b.last.compare(a.last), cmp.Compare(b.body, a.body), b.first.compare(a.first))
	})
	labeled := make([]label.Labeled, len(all))
	for i, x := range all {
		labeled[i] = r.c.Rules.Restore(x.res, append(splitLabels(x.labels), brought.of(x.res.Ref())...), x.reasons, x.rules)
	}
	return label.Propagate(labeled)
}

// histories puts versions that are sorted and settled into the chart's form.
func (r *Record) histories(all []row, settled []label.Labeled) []chart.History {
	var out []chart.History
	current := r.c.Rules.Version()
	for i, x := range all {
		v := chart.Version{
			Labeled:   settled[i],
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
