package policy

import (
	"cmp"
	"slices"
	"strconv"

	"firebreak/auth"
	"firebreak/chart"
	"firebreak/fhir"
)

// What a source sent and deleted itself, it alone may know to be deleted: nothing of
// what it sent is withheld from it, so that for it no 404 can be taken for something
// withheld. To everyone else what was deleted never was.
//
// A deletion is a Released like any version, but for Deleted; only History and Version
// hand it out, and the versions before it. What is deleted is in no search, names
// nothing and is named by nothing: it is no entry of the view.

// end is the history of a deleted resource for who deleted it; nil for anyone else,
// where anything of it came by somebody else, and of a Group, whose past may be large.
func (v *View) end(h chart.History) *entry {
	theirs := func(x chart.Version) bool { return !v.sight.owns(&x) }
	if !h[0].Deleted || v.sight.roster != nil || slices.ContainsFunc(h, theirs) {
		return nil
	}
	ref := h[0].Resource().Ref()
	e := &entry{view: v, ref: ref, state: absent}
	m := &made{newest: shown{
		res: bareOf(ref), version: digest([]byte("deleted " + ref.String() + " " + strconv.FormatInt(h[0].Recorded.UnixMicro(), 10))),
		recorded: h[0].Recorded, at: h[0].At, source: h[0].Source, deleted: true,
	}, whole: true}
	for i := range h {
		if h[i].Deleted {
			continue
		}
		before := entry{view: v, history: h, ref: ref, first: i}
		all := before.shown()
		m.older = append([]shown{all.newest}, all.older...)
		break
	}
	e.made.Store(m)
	return e
}

// Ended tells that the caller sent a resource itself and deleted it, and may read what
// is of its type.
func (v *View) Ended(ref fhir.Ref) bool { return len(v.ends(ref)) > 0 }

// ends are the versions of what the caller deleted, the deletion first.
func (v *View) ends(ref fhir.Ref) []Released {
	e := v.ended[ref]
	if e == nil {
		return nil
	}
	all := []Released{{e: e}}
	for n := range e.contents().older {
		all = append(all, Released{e: e, n: n + 1})
	}
	if v.limits == nil {
		return all
	}
	if every, _ := v.limits.by.Of(auth.Read, ref.Type, v.limits.own); !every { // a deletion says nothing by which it could be in reach
		return nil
	}
	return all
}

// AllEnded are the resources of the types that the caller deleted, sorted by type, then id.
func (v *View) AllEnded(types []string) (refs []fhir.Ref) {
	for ref := range v.ended {
		if slices.Contains(types, ref.Type) && v.Ended(ref) {
			refs = append(refs, ref)
		}
	}
	slices.SortFunc(refs, func(a, b fhir.Ref) int { return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.ID, b.ID)) })
	return refs
}
