package record

import (
	"context"

	"firebreak/audit"
	"firebreak/fhir"
	"firebreak/policy"
)

// Explain says of each resource of a patient's chart what p does with it for
// somebody who stands there, and why. It tells of what is withheld: it is for
// an operator, who can read the database anyway, and the privacy officer.
// patient is an id or a number of the patient; fhir.NotFound is the answer when
// it names no one chart. e says who asks, and is written down first.
func (r *Record) Explain(ctx context.Context, e audit.Event, p *policy.Policy, at policy.Position, patient string) (fhir.Ref, []policy.Verdict, error) {
	l, ok, err := r.load(ctx, patient, nil)
	if err == nil && !ok {
		var charts []string
		if charts, err = r.keysOf(ctx, chartsByNumber, patient, bareNumber(patient), "", 2); err == nil && len(charts) == 1 {
			l, ok, err = r.load(ctx, charts[0], nil)
		}
	}
	if err != nil {
		return fhir.Ref{}, nil, err
	}
	e.Refused, e.Time = !ok, r.c.Now()
	if ok {
		e.Patient = l.chart.Patient
	}
	if err := r.c.Log.Append(ctx, e); err != nil {
		return fhir.Ref{}, nil, err
	}
	if !ok {
		return fhir.Ref{}, nil, fhir.NotFound()
	}
	return l.chart.Patient, p.Explain(at, l.chart), nil
}
