package record

import (
	"context"

	"firebreak/audit"
	"firebreak/auth"
	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/policy"
)

const (
	statedBy    = `SELECT facts FROM said WHERE chart = $1 AND message = $2`
	contentsNow = `SELECT b.id, b.json FROM version v JOIN body b ON b.id = v.body WHERE v.chart = $1 AND v.type = $2 AND v.id = $3 AND v.deleted = 0`
)

// Standing tells a source what is known, of what it may know, under ids that it
// is about to write or has just written: for each, the current version that it
// sent itself, whatever its scopes, or that its scopes let it read; zero for
// anything else. One audit entry is written for all.
func (r *Reader) Standing(ctx context.Context, ask Ask, refs []fhir.Ref) ([]policy.Released, error) {
	return r.standing(ctx, ask, refs, func(v *view, ref fhir.Ref) (policy.Released, bool, error) {
		got, ok := v.Standing(ref)
		return got, ok, nil
	})
}

// Made is Standing as one message of the caller's left it: another may have been
// faster since, and who goes on from the version that it made must not be given theirs.
func (r *Reader) Made(ctx context.Context, ask Ask, id inbox.ID, refs []fhir.Ref) ([]policy.Released, error) {
	return r.standing(ctx, ask, refs, func(v *view, ref fhir.Ref) (policy.Released, bool, error) {
		version, err := r.r.made(ctx, id, ref)
		if err != nil || version == "" {
			return policy.Released{}, false, err
		}
		got, ok := v.Sent(ref, version)
		if !ok && isRoster(v.patient.ID) { // whose past is read where it is asked for
			if v, err = r.roster(ctx, r.p.Load(), ask.Caller, v.patient.ID, true); err == nil {
				got, ok = v.Sent(ref, version)
			}
		}
		return got, ok, err
	})
}

// made is the version that a message made of what it pushed; "" when it made none.
func (r *Record) made(ctx context.Context, id inbox.ID, ref fhir.Ref) (version string, err error) {
	chart, err := r.alias(ctx, ref)
	if err != nil || chart == "" {
		return "", err
	}
	said := map[int64]bool{}
	err = r.db.Each(ctx, func(scan func(...any) error) error {
		var facts []byte
		if err := scan(&facts); err != nil {
			return err
		}
		t, err := readSaid(facts)
		for _, f := range t.facts {
			said[f.body] = true
		}
		return err
	}, statedBy, chart, int64(id))
	if err == nil {
		err = r.db.Each(ctx, func(scan func(...any) error) error {
			var body int64
			var content []byte
			if err := scan(&body, &content); err != nil || !said[body] {
				return err
			}
			sent, err := fhir.Take(content)
			version = policy.VersionID(sent)
			return err
		}, contentsNow, chart, ref.Type, ref.ID)
	}
	return version, failed("read what a push made", err)
}

func (r *Reader) standing(ctx context.Context, ask Ask, refs []fhir.Ref, of func(*view, fhir.Ref) (policy.Released, bool, error)) ([]policy.Released, error) {
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
		got, ok, err := of(v, ref)
		if err != nil {
			return nil, err
		}
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
