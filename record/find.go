package record

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"firebreak/access"
	"firebreak/audit"
	"firebreak/auth"
	"firebreak/fhir"
	"firebreak/policy"
)

// Bounds of looking for a person (PX-16): never browse.
const (
	maxPeople = 10 // more are an error
	minFound  = 2  // characters of a name or number
)

// The two answers that depend on what was asked, or on how many match; neither
// tells of anybody.
var (
	errTooMany = &fhir.Error{Status: http.StatusBadRequest, Code: "too-costly", Text: "More than 10 people match. Add the birth date."}
	errTooFew  = &fhir.Error{Status: http.StatusBadRequest, Code: "invalid", Text: "Search by number, or by family name and birth date."}
)

const (
	chartsByNumber = `SELECT DISTINCT chart FROM ident WHERE (value = $1 OR value = $2 AND system = '?') AND chart > $3 ORDER BY chart LIMIT $4`
	chartsByFamily = `SELECT DISTINCT chart FROM person WHERE family = $1 AND chart > $2 ORDER BY chart LIMIT $3`
	chartsByPerson = `SELECT DISTINCT chart FROM person WHERE family = $1 AND birth = $2 AND chart > $3 ORDER BY chart LIMIT $4`
)

// Find is the Patients that match, at most ten, sorted by id; more is an error
// that says so. A record that was merged is found, and its survivor shown.
// What matches must be visible to the caller.
func (r *Reader) Find(ctx context.Context, ask Ask, f Find) ([]policy.Released, error) {
	e := ask.event(audit.Find)
	family := foldName(f.Family)
	var text string
	var args []any
	var match func(person) bool
	switch {
	case utf8.RuneCountInString(f.Number) >= minFound:
		bare := bareNumber(f.Number)
		match = func(p person) bool {
			return slices.ContainsFunc(p.identifiers, func(i identifier) bool { return i.value == f.Number || bareNumber(i.value) == bare })
		}
		text, args = chartsByNumber, []any{f.Number, bare}
	case utf8.RuneCountInString(family) < minFound:
		return nil, errTooFew
	case f.Birth == "":
		match = func(p person) bool { return slices.Contains(p.families, family) }
		text, args = chartsByFamily, []any{family}
	default:
		if _, err := time.Parse(time.DateOnly, f.Birth); err != nil {
			return nil, errTooFew
		}
		match = func(p person) bool { return p.birth == f.Birth && slices.Contains(p.families, family) }
		text, args = chartsByPerson, []any{family, f.Birth}
	}
	found, err := r.people(ctx, ask.Caller, match, func(after string) ([]string, error) {
		return r.r.keysOf(ctx, text, append(slices.Clip(args), after, int64(walkStep))...)
	})
	if err != nil {
		return nil, err
	}
	if len(found) > maxPeople {
		e.Refused = true
		if err := r.audit(ctx, e); err != nil {
			return nil, err
		}
		return nil, errTooMany
	}
	for _, p := range found {
		e.Entities = append(e.Entities, p.Resource().Ref())
	}
	if err := r.audit(ctx, e); err != nil {
		return nil, err
	}
	return found, nil
}

// people are the visible Patients in the candidate charts that match, without
// doubles; it stops when there are too many. However many candidates hold
// nothing to see, none of the others is passed over.
func (r *Reader) people(ctx context.Context, c access.Caller, match func(person) bool, next func(after string) ([]string, error)) ([]policy.Released, error) {
	var found []policy.Released
	for at := ""; len(found) <= maxPeople; {
		charts, err := next(at)
		if err != nil {
			return nil, err
		}
		if len(charts) == 0 {
			break
		}
		for _, at = range charts {
			v, err := r.view(ctx, c, at, len(charts) <= maxPeople)
			if err != nil {
				return nil, err
			}
			if !v.reaches(c, auth.Search, "Patient") {
				continue
			}
			patient, ok := v.Patient()
			known := slices.ContainsFunc(found, func(p policy.Released) bool { return p.Resource().ID() == patient.Resource().ID() })
			if !ok || known || !slices.ContainsFunc(v.Of("Patient"), func(p policy.Released) bool { return match(readPatient(p.Resource())) }) {
				continue
			}
			if found = append(found, patient); len(found) > maxPeople {
				break
			}
		}
	}
	slices.SortFunc(found, func(a, b policy.Released) int { return strings.Compare(a.Resource().ID(), b.Resource().ID()) })
	return found, nil
}

// keysOf reads a list of chart keys.
func (r *Record) keysOf(ctx context.Context, text string, args ...any) (keys []string, err error) {
	err = r.db.Each(ctx, func(scan func(...any) error) error {
		var k string
		err := scan(&k)
		keys = append(keys, k)
		return err
	}, text, args...)
	return keys, failed("find charts", err)
}
