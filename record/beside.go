package record

import (
	"context"
	"slices"

	"firebreak/fhir"
	"firebreak/internal/sqldb"
	"firebreak/label"
)

// What was sent of one order under two visits is in two charts once one of the visits
// moves to another patient. What one of the two is withheld for withholds the other as
// well, as it did when they were one: so each is read beside the other, and whichever
// came first, or came after the move, makes no difference.

// brought is what withholds something of an order, by type and the end of the id.
type brought map[fhir.Ref][]reason

// reason is a label, and the chart in which it was given.
type reason struct {
	chart string
	label label.Label
}

// of are the labels that a resource has from what is called the same in other charts.
func (b brought) of(ref fhir.Ref) (all []label.Label) {
	if b == nil {
		return nil
	}
	home, _ := chartOf(ref)
	for _, why := range b[endOf(ref)] {
		if why.chart != home {
			all = append(all, why.label)
		}
	}
	return all
}

// endOf is what something of an order is called whatever chart it is in; zero for all else.
func endOf(ref fhir.Ref) fhir.Ref {
	if chart, told := chartOf(ref); told && (ref.Type == "Observation" || slices.Contains(numbered, ref.Type)) {
		return fhir.Ref{Type: ref.Type, ID: ref.ID[len(chart):]}
	}
	return fhir.Ref{}
}

// joined are the charts that words on visits join with these, and with each other.
func joined(ctx context.Context, q reads, charts []string) (others []string, err error) {
	for _, chart := range charts {
		words, err := readMoves(ctx, q, movesAbout, chart)
		if err != nil {
			return nil, err
		}
		for _, of := range byVisit(words) {
			if group := together(of, chart); len(group) > 1 {
				others = append(others, sortedKeys(group)...)
			}
		}
	}
	slices.Sort(others)
	return slices.Compact(others), nil
}

// besides reads what a chart's resources are withheld for in charts with which visits of
// it were exchanged, merged with it or not, and notes that it depends on these.
func (r *Record) besides(ctx context.Context, tx *sqldb.Tx, l *loaded) (brought, error) {
	var mine []string
	for _, s := range l.stamps {
		mine = append(mine, s.chart)
	}
	others, err := joined(ctx, tx, mine)
	if err != nil || len(others) == 0 {
		return nil, err
	}
	all := brought{}
	for _, chart := range others {
		if !slices.Contains(mine, chart) {
			version, _, err := stampOf(ctx, tx, chart)
			if err != nil {
				return nil, err
			}
			l.beside = append(l.beside, stamp{chart, version})
		}
		var rows []row
		if err := r.readChart(ctx, tx, &rows, chart, nil); err != nil {
			return nil, err
		}
		settled := r.settle(rows, nil)
		reported := map[fhir.Ref]bool{} // the others, as a living will, two patients may have one each that is called the same
		for i, x := range rows {
			for _, link := range settled[i].Links() {
				reported[link.To] = reported[link.To] || slices.Contains(numbered, x.res.Type())
				reported[x.res.Ref()] = reported[x.res.Ref()] || slices.Contains(numbered, link.To.Type)
			}
		}
		var last fhir.Ref // whose current version was seen
		for i, x := range rows {
			end := endOf(x.res.Ref())
			if end.IsZero() || x.res.Ref() == last || settled[i].Context() != "" {
				continue
			}
			last = x.res.Ref()
			if x.deleted || x.res.Type() == "Observation" && !reported[x.res.Ref()] {
				continue
			}
			for _, why := range settled[i].Labels() {
				if !why.Internal() {
					all[end] = append(all[end], reason{chart, why})
				}
			}
		}
	}
	return all, nil
}
