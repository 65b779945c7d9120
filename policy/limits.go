package policy

import (
	"slices"
	"sync"

	"firebreak/auth"
	"firebreak/chart"
	"firebreak/fhir"
	"firebreak/search"
)

// limits are what a token's granular scopes leave of a view. They are asked of what
// the view shows, never of what lies in the chart, so that nothing withheld decides;
// and they change no resource: what is beyond them stays named where it is named, as
// what is of a type without any scope does.
type limits struct {
	by   *auth.Limits
	own  bool // the chart is that of the token's patient
	read map[fhir.Ref]bool

	once  sync.Once
	whole *search.Index[Released] // of all that is visible, for what is included
}

// within narrows a view that nobody else has yet.
func (v *View) within(by *auth.Limits) *View {
	if by == nil || v.sight.nobody {
		return v
	}
	l := &limits{by: by, read: map[fhir.Ref]bool{}}
	l.own = by.Patient != "" && (v.patient.ID == by.Patient ||
		slices.ContainsFunc(v.links, func(k chart.Link) bool { return k.From.ID == by.Patient }))
	v.limits, v.listed = l, nil
	for rest := v.all; len(rest) > 0; {
		typ := rest[0].Ref().Type
		same := ofType(rest, typ)
		rest = rest[len(same):]
		for _, r := range l.left(auth.Read, typ, same) {
			l.read[r.Ref()] = true
		}
		v.listed = append(v.listed, l.left(auth.Search, typ, same)...)
	}
	return v
}

// left are those of some resources of one type that the token reaches by in, in
// their order.
func (l *limits) left(in auth.Interaction, typ string, some []Released) []Released {
	all, only := l.by.Of(in, typ, l.own)
	if all {
		return some
	}
	if len(only) == 0 {
		return nil
	}
	found, index := map[fhir.Ref]bool{}, search.NewIndex(some)
	for _, q := range only {
		for _, r := range index.Matches(q) {
			found[r.Ref()] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(some), func(r Released) bool { return !found[r.Ref()] })
}

// reads tells whether the token may read a resource of this view.
func (v *View) reads(r Released) bool { return v.limits == nil || v.limits.read[r.Ref()] }

// versions are those of one resource's that the token may read: what a version says
// decides of it, and of none when the current one is beyond.
func (v *View) versions(all []Released) []Released {
	if v.limits == nil {
		return all
	}
	return slices.DeleteFunc(all, func(r Released) bool {
		return r.n > 0 && len(v.limits.left(auth.Read, r.Ref().Type, []Released{r})) == 0
	})
}

// Standing is one resource in its current version, whether or not the token may read
// it: for who sent it, and is told that it is there.
func (v *View) Standing(ref fhir.Ref) (Released, bool) {
	if k, ok := v.byRef[ref]; ok && v.entries[k].state == visible {
		return Released{e: &v.entries[k]}, true
	}
	return Released{}, false
}

// Sent is a version of a resource that the caller sent itself and that still stands,
// whether or not the token may read it.
func (v *View) Sent(ref fhir.Ref, versionID string) (Released, bool) {
	now, ok := v.Standing(ref)
	if !ok || v.sight.own == "" {
		return Released{}, false
	}
	for n := range 1 + len(now.e.contents().older) {
		if r := (Released{e: now.e, n: n}); r.Source() == v.sight.own && r.VersionID() == versionID {
			return r, true
		}
	}
	return Released{}, false
}

// Includes are what q includes of a page of its matches, as far as the token may
// read it, over whatever lies between; may tells of which types.
func (v *View) Includes(q search.Query, page []Released, may func(typ string) bool) []Released {
	index := v.Index()
	if v.limits != nil { // what may be read but not searched is included
		v.limits.once.Do(func() { v.limits.whole = search.NewIndex(v.all) })
		index = v.limits.whole
	}
	return index.Include(q, page, func(r Released) bool { return may(r.Ref().Type) && v.reads(r) })
}
