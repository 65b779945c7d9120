package record

import (
	"context"
	"slices"
	"strings"

	"firebreak/access"
	"firebreak/auth"
	"firebreak/fhir"
	"firebreak/policy"
)

const (
	maxDoubles = 3 // that one chart is said to have
	keptApart  = `SELECT COUNT(*) FROM alike WHERE decided = 'different' AND a = $1 AND b = $2`
)

// Doubles are other charts that are probably of the patient's person (see
// alike.go), and of which nobody said that they are another's: at most three, the
// first by id. It is computed from what c may see of either chart, and not from the
// list that is kept for operators, so that a record which c may not see is none.
//
// It tells that there is another record. To open that is asked for, and audited,
// as ever.
func (r *Reader) Doubles(ctx context.Context, c access.Caller, patient fhir.Ref) (all []fhir.Ref, err error) {
	mine, err := r.view(ctx, c, patient.ID, true)
	if err != nil || !mine.reaches(c, auth.Search, "Patient") {
		return nil, err
	}
	known := mine.Of("Patient")
	tried := map[string]bool{}
	for _, x := range known {
		p := readPatient(x.Resource())
		if !p.comparable() {
			continue
		}
		for _, family := range p.families {
			// All of them, however many hold nothing to see: which three are told must not depend on those.
			for after, more := "", true; more; {
				charts, err := r.r.keysOf(ctx, chartsByPerson, family, p.birth, after, int64(walkStep))
				if err != nil {
					return nil, err
				}
				if more = len(charts) == walkStep; len(charts) > 0 {
					after = charts[len(charts)-1]
				}
				for _, chart := range charts {
					if tried[chart] || mine.member(chart) {
						continue
					}
					tried[chart] = true
					v, err := r.view(ctx, c, chart, len(charts) <= maxPeople)
					if err != nil {
						return nil, err
					}
					ref, ok, err := r.double(ctx, c, mine, v)
					if err != nil {
						return nil, err
					}
					if ok && !slices.Contains(all, ref) {
						all = append(all, ref)
					}
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b fhir.Ref) int { return strings.Compare(a.ID, b.ID) })
	return all[:min(maxDoubles, len(all))], nil
}

// double is whose chart v is, if that is probably the person of mine.
func (r *Reader) double(ctx context.Context, c access.Caller, mine, v *view) (fhir.Ref, bool, error) {
	patient, ok := v.Patient()
	if !ok || !v.reaches(c, auth.Search, "Patient") || !slices.ContainsFunc(mine.Of("Patient"), func(a policy.Released) bool {
		p := readPatient(a.Resource())
		return slices.ContainsFunc(v.Of("Patient"), func(b policy.Released) bool { return p.shared(readPatient(b.Resource())) != nil })
	}) {
		return fhir.Ref{}, false, nil
	}
	for _, x := range mine.stamps { // under any name that the charts have
		for _, y := range v.stamps {
			pair := pairOf(x.chart, y.chart)
			var n int64
			if err := r.r.db.QueryRow(ctx, keptApart, pair[0], pair[1]).Scan(&n); err != nil || n > 0 {
				return fhir.Ref{}, false, failed("compare charts", err)
			}
		}
	}
	return patient.Resource().Ref(), true, nil
}
