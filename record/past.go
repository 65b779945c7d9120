package record

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"firebreak/access"
	"firebreak/audit"
	"firebreak/auth"
	"firebreak/fhir"
	"firebreak/policy"
	"firebreak/search"
)

var (
	errOnePast = &fhir.Error{Status: http.StatusBadRequest, Code: "too-costly",
		Text: "The history of a type or of the system is for systems, and for apps whose token is for one patient: ask for that of one resource."}
	errLongPast = &fhir.Error{Status: http.StatusBadRequest, Code: "too-costly",
		Text: "This history would be of too many patients. Ask for a later _since."}
)

// Period is what a history is limited to.
type Period struct {
	Since       time.Time // recorded then or later; zero: whenever
	From, Until time.Time // held at some time in [From, Until); zero Until: whenever
}

// Kept gives the places of those versions of one resource, newest first, that are
// in the period. Each version began when it was recorded and held until the next.
func (p Period) Kept(all []policy.Released) (kept []int) {
	for i, v := range all {
		from, until := v.Recorded(), time.Time{}
		if i > 0 {
			until = all[i-1].Recorded()
		}
		if !from.Before(p.Since) && (p.Until.IsZero() || from.Before(p.Until) && (until.IsZero() || until.After(p.From))) {
			kept = append(kept, i)
		}
	}
	return kept
}

func (p Period) String() string {
	s := ""
	for _, t := range []time.Time{p.Since, p.From, p.Until} {
		s += " " + t.UTC().Format(time.RFC3339Nano)
	}
	return s
}

// Past is one version in a history of many resources.
type Past struct {
	policy.Released
	First bool // there is none before it, as far as the caller sees
}

// PastPage is one page of a history.
type PastPage struct {
	Versions []Past
	Total    int
	Next     string // sealed cursor of the next page; empty on the last
}

// Past is one page of the versions of all resources of the types of q, the last
// recorded first. A token for one patient has that patient's; what else a person
// asks with gets the same 400 whatever the data. A system's goes across patients,
// where those with something in the period are at most maxWalk. count is of the
// page, -1 for as many as there are by default.
func (r *Reader) Past(ctx context.Context, ask Ask, q search.Query, p Period, count int, cursor string) (PastPage, error) {
	e := ask.event(audit.HistoryA)
	if e.Detail == "" {
		e.Detail = cmp.Or(q.Type, "several types")
	}
	s := &seeking{Reader: r, caller: ask.Caller, q: q}
	page, err := s.past(ctx, p, count, cursor)
	if shown, ok := err.(*fhir.Error); ok {
		e.Refused = true
		if err := r.audit(ctx, e); err != nil {
			return PastPage{}, err
		}
		return PastPage{}, shown
	}
	if err != nil {
		return PastPage{}, err
	}
	if len(s.shown) == 1 {
		e.Patient = s.shown[0].about()
	}
	for _, v := range page.Versions {
		e.Entities = append(e.Entities, v.Ref())
	}
	e.Entities = slices.Compact(e.Entities)
	if err := r.audit(ctx, e); err != nil {
		return PastPage{}, err
	}
	return page, nil
}

func (s *seeking) past(ctx context.Context, p Period, count int, text string) (PastPage, error) {
	reach, err := s.reach()
	if err != nil {
		return PastPage{}, err
	}
	bound := "history" + p.String() + "\n" + s.bound()
	var from cursor
	if text != "" {
		if from, err = s.r.keys.open(text, bound); err != nil {
			return PastPage{}, err
		}
	}
	if count < 0 {
		count = defaultCount
	}
	count = min(count, maxCount)
	var in candidates
	switch {
	case reach == auth.OnePatient:
		in = listed([]string{s.caller.Identity().Patient()})
	case s.caller.Audience() == access.Provider:
		return PastPage{}, errOnePast
	default:
		if in, err = s.lately(ctx, p.Since); err != nil {
			return PastPage{}, err
		}
	}
	all, err := s.versions(ctx, in, p)
	if err != nil {
		return PastPage{}, err
	}
	page := PastPage{Total: len(all)}
	rest := all
	if from.last != "" {
		rest = afterPast(all, from.last)
	}
	here := rest[:min(count, len(rest))]
	for _, v := range here {
		page.Versions = append(page.Versions, v.Past)
		if !slices.Contains(s.shown, v.in) {
			s.shown = append(s.shown, v.in)
		}
	}
	if len(here) > 0 && len(here) < len(rest) {
		page.Next = s.r.keys.shut(cursor{last: here[len(here)-1].place()}, bound)
	}
	return page, nil
}

// version is one of a history of many, and the view it stands in.
type version struct {
	Past
	in *view
}

func (v version) order(o version) int {
	a, b := v.Ref(), o.Ref()
	return cmp.Or(o.Recorded().Compare(v.Recorded()), cmp.Compare(a.Type, b.Type), cmp.Compare(a.ID, b.ID))
}

// place is where a page ended.
func (v version) place() string {
	return strconv.FormatInt(micros(v.Recorded()), 10) + " " + v.Ref().String() + " " + v.VersionID()
}

// afterPast is what comes after the version at a place. If that one is no longer
// there, it is what would come after it.
func afterPast(all []version, place string) []version {
	at, rest, _ := strings.Cut(place, " ")
	ref, id, _ := strings.Cut(rest, " ")
	typ, own, _ := strings.Cut(ref, "/")
	recorded, _ := strconv.ParseInt(at, 10, 64)
	if i := slices.IndexFunc(all, func(v version) bool { return v.Ref().String() == ref && v.VersionID() == id }); i >= 0 {
		return all[i+1:]
	}
	i := slices.IndexFunc(all, func(v version) bool {
		return cmp.Or(cmp.Compare(recorded, micros(v.Recorded())), cmp.Compare(v.Ref().Type, typ), cmp.Compare(v.Ref().ID, own)) > 0
	})
	if i < 0 {
		return nil
	}
	return all[i:]
}

// versions are all that the caller may see in the period, in order. Charts count
// by what the caller sees in them, as in a search.
func (s *seeking) versions(ctx context.Context, in candidates, p Period) ([]version, error) {
	var all []version
	seen := map[string]bool{}
	counted, bytes := 0, 0
	for at := ""; ; {
		charts, err := in.next(ctx, at)
		if err != nil {
			return nil, err
		}
		if len(charts) == 0 {
			break
		}
		for _, at = range charts {
			v, some, err := s.in(ctx, at, in.one)
			if err != nil {
				return nil, err
			}
			if v == nil || seen[v.patient.ID] {
				continue
			}
			seen[v.patient.ID] = true
			before := len(all)
			if isRoster(at) && len(some) > 0 {
				if v, err = s.roster(ctx, s.p.Load(), s.caller, at, true); err != nil {
					return nil, err
				}
			}
			refs := make([]fhir.Ref, 0, len(some))
			for _, r := range some {
				refs = append(refs, r.Ref())
			}
			for _, ref := range v.AllEnded(s.q.Types()) {
				if v.reaches(s.caller, auth.Search, ref.Type) && v.reaches(s.caller, auth.Read, ref.Type) {
					refs = append(refs, ref)
				}
			}
			for _, ref := range refs {
				history := v.History(ref)
				if isRoster(at) {
					for _, x := range history {
						bytes += len(x.Content().JSON())
					}
					if bytes > rosterWhole {
						return nil, errLongPast
					}
				}
				for _, i := range p.Kept(history) {
					all = append(all, version{Past{history[i], i == len(history)-1}, v})
				}
			}
			if len(all) > before || in.counts(v) {
				if counted++; counted > maxWalk {
					return nil, errLongPast
				}
			}
		}
	}
	slices.SortStableFunc(all, version.order)
	return all, nil
}
