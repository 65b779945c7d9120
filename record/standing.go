package record

import (
	"context"

	"firebreak/audit"
	"firebreak/auth"
	"firebreak/fhir"
	"firebreak/policy"
)

// Standing tells a source what is known, of what it may know, under ids that it
// is about to write or has just written: for each, the current version that it
// sent itself, whatever its scopes, or that its scopes let it read; zero for
// anything else. One audit entry is written for all.
func (r *Reader) Standing(ctx context.Context, ask Ask, refs []fhir.Ref) ([]policy.Released, error) {
	e := ask.event(audit.Read)
	all := make([]policy.Released, len(refs))
	own := ask.Caller.Client().Source
	for i, ref := range refs {
		v, err := r.find(ctx, ask.Caller, ref)
		if err != nil {
			return nil, err
		}
		if v == nil {
			continue
		}
		got, ok := v.Standing(ref)
		if ok && !(own != "" && got.Source() == own) {
			got, ok = v.Get(ref)
			ok = ok && v.reaches(ask.Caller, auth.Read, ref.Type)
		}
		if !ok {
			continue
		}
		all[i] = got
		e.Entities = append(e.Entities, ref)
	}
	if err := r.audit(ctx, e); err != nil {
		return nil, err
	}
	return all, nil
}
