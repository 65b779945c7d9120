package record

import (
	"context"
	"slices"

	"firebreak/audit"
	"firebreak/chart"
	"firebreak/fhir"
	"firebreak/policy"
)

// Explain says of each resource of a patient's chart what p does with it for
// somebody who stands there, and why. It tells of what is withheld: it is for
// an operator, who can read the database anyway, and the privacy officer.
// patient is an id or a number of the patient; fhir.NotFound is the answer when
// it names no one chart. e says who asks, and is written down first.
func (r *Record) Explain(ctx context.Context, e audit.Event, p *policy.Policy, at policy.Position, patient string) (fhir.Ref, []policy.Verdict, error) {
	ch, err := r.oneChart(ctx, e, patient)
	if err != nil {
		return fhir.Ref{}, nil, err
	}
	return ch.Patient, p.Explain(at, r.c.Now(), ch), nil
}

// oneChart is the chart of a patient's id or number, whole, once e is written
// down as about it. fhir.NotFound is the answer when that names no one chart.
func (r *Record) oneChart(ctx context.Context, e audit.Event, patient string) (chart.Chart, error) {
	l, ok, err := r.load(ctx, patient, nil, nil)
	if err == nil && !ok {
		var charts []string
		if charts, err = r.keysOf(ctx, chartsByNumber, patient, bareNumber(patient), "", 2); err == nil && len(charts) == 1 {
			l, ok, err = r.load(ctx, charts[0], nil, nil)
		}
	}
	if err != nil {
		return chart.Chart{}, err
	}
	e.Refused, e.Time = !ok, r.c.Now()
	if ok {
		e.Patient = l.chart.Patient
	}
	if err := r.c.Log.Append(ctx, e); err != nil {
		return chart.Chart{}, err
	}
	if !ok {
		return chart.Chart{}, fhir.NotFound()
	}
	return l.chart, nil
}

const chartsWithConsents = `SELECT DISTINCT chart FROM version WHERE type = 'Consent' ORDER BY chart`

// Unread lists what p does not understand in patients' directives, in order of
// charts. It denies, so somebody should ask the source to mend it. All charts
// that hold a Consent are read: this is for an operator, now and then.
func (r *Record) Unread(ctx context.Context, p *policy.Policy) ([]policy.Unread, error) {
	charts, err := r.keysOf(ctx, chartsWithConsents)
	if err != nil {
		return nil, err
	}
	var all []policy.Unread
	for _, chart := range charts {
		l, ok, err := r.load(ctx, chart, nil, nil)
		if err != nil {
			return nil, err
		}
		for _, u := range p.Unread(l.chart) {
			if ok && !slices.Contains(all, u) { // charts that are merged are loaded as one
				all = append(all, u)
			}
		}
	}
	return all, nil
}
