package record

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"firebreak/access"
	"firebreak/audit"
	"firebreak/auth"
	"firebreak/fhir"
	"firebreak/policy"
	"firebreak/search"
)

// Bounds on one search.
const (
	defaultCount = 50
	maxCount     = 500
	maxWalk      = 1000 // charts with something to see that are looked at for one page, or counted and sorted for one question
	walkStep     = 100  // charts asked for at a time
	maxSince     = 5000 // charts that changed lately and are remembered for one question; of more, all charts are gone through
)

var (
	errNarrow = &fhir.Error{Status: http.StatusBadRequest, Code: "too-costly",
		Text: "Search inside one patient: add patient=, or search Patient by identifier, or by family and birthdate."}
	errCostly = &fhir.Error{Status: http.StatusBadRequest, Code: "too-costly",
		Text: "This search would look at too many patients. Name the patients, an identifier or a later _lastUpdated, or leave out _sort and _total."}
)

// Search is one page of what q finds in what the caller may see. cursor is
// Page.Next of the page before, or empty.
//
// A provider searches inside one patient; what else is asked gets the same 400
// whatever the data. A backend may search across patients, in the order of
// charts, page by page; _sort and _total then need a question that few charts
// can answer.
func (r *Reader) Search(ctx context.Context, ask Ask, q search.Query, cursor string) (Page, error) {
	e := ask.event(audit.Search)
	if ask.Detail == "" {
		what := q.Type
		if q.Type == "" {
			what = "several types"
		}
		if focus, ok := q.Within(); ok {
			what = "compartment of a " + focus.Type + ": " + what
		}
		e.Detail = strings.TrimSpace(what + " " + strings.Join(q.Names(), ","))
	}
	s := &seeking{Reader: r, caller: ask.Caller, q: q, sorted: q.Sorted()}
	page, err := s.page(ctx, cursor)
	if shown, ok := err.(*fhir.Error); ok { // what was asked is refused, and that is written down
		e.Refused = true
		if err := r.audit(ctx, e); err != nil {
			return Page{}, err
		}
		return Page{}, shown
	}
	if err != nil {
		return Page{}, err
	}
	if len(s.shown) == 1 {
		e.Patient = s.shown[0].about()
	}
	e.Entities = make([]fhir.Ref, 0, len(page.Matches)+len(page.Includes))
	for _, all := range [][]policy.Released{page.Matches, page.Includes} {
		for _, m := range all {
			e.Entities = append(e.Entities, m.Ref())
		}
	}
	if err := r.audit(ctx, e); err != nil {
		return Page{}, err
	}
	return page, nil
}

// seeking is one search under way.
type seeking struct {
	*Reader
	caller access.Caller
	q      search.Query
	sorted bool
	shown  []*view // of what is on the page
}

// bound is what a cursor belongs to.
func (s *seeking) bound() string {
	id := s.caller.Identity()
	return s.q.Key() + "\n" + s.p.Load().Key(s.caller) + "\n" + id.Issuer() + "\n" + id.Subject()
}

// found is one match and the view it stands in.
type found struct {
	policy.Released
	in *view
}

func (s *seeking) page(ctx context.Context, text string) (Page, error) {
	reach, err := s.reach()
	if err != nil {
		return Page{}, err
	}
	var from cursor
	if text != "" {
		if from, err = s.r.keys.open(text, s.bound()); err != nil {
			return Page{}, err
		}
	}
	count := s.q.Count
	switch {
	case count < 0:
		count = defaultCount
	case count > maxCount:
		count = maxCount
	}
	if s.q.Summary == search.SummaryCount {
		count = 0
	}
	var in candidates
	if reach == auth.OnePatient { // of a patient who is not the token's nothing is found
		in = listed([]string{s.caller.Identity().Patient()})
	} else {
		if in, err = s.candidates(ctx); err != nil {
			return Page{}, err
		}
		if s.caller.Audience() == access.Provider && !(in.few && s.narrow()) {
			return Page{}, errNarrow
		}
	}
	total := s.q.Total == search.TotalAccurate || s.q.Total == search.TotalEstimate || count == 0 || // R4 search.html#count
		in.sum && s.q.Total != search.TotalNone
	if in.one {
		charts, err := in.next(ctx, "")
		if err != nil {
			return Page{}, err
		}
		return s.single(ctx, charts, from, count, total)
	}
	if total || s.sorted {
		all, err := s.everything(ctx, in)
		if err != nil {
			return Page{}, err
		}
		page := Page{}
		if total {
			n := len(all)
			page.Total = &n
		}
		rest := s.after(all, from)
		return s.fill(page, rest[:min(count, len(rest))], len(rest) > count)
	}
	all, resume, err := s.walk(ctx, in, from, count)
	if err != nil {
		return Page{}, err
	}
	page, err := s.fill(Page{}, all, false)
	if resume != (cursor{}) {
		page.Next = s.r.keys.shut(resume, s.bound())
	}
	return page, err
}

// reach leaves of several types those that the caller's token covers, and tells
// how far: no further than the least of them. What the question looks into must
// be covered too.
func (s *seeking) reach() (least auth.Reach, err error) {
	least = auth.AllPatients
	q, ok := s.q.Only(func(typ string) bool {
		reach := s.caller.May(auth.Search, typ)
		if reach != auth.Nothing {
			least = min(least, reach)
		}
		return reach != auth.Nothing
	})
	if !ok {
		return auth.Nothing, errNarrow
	}
	if s.q, err = within(s.caller, q); err != nil {
		return auth.Nothing, err
	}
	return least, nil
}

// within is a question that looks only into what the caller's token covers.
func within(c access.Caller, q search.Query) (search.Query, error) {
	q, beyond := q.Reaching(func(typ string) bool { return c.May(auth.Search, typ) != auth.Nothing })
	if beyond != "" {
		return q, &fhir.Error{Status: http.StatusForbidden, Code: "forbidden", Text: "The token's scopes do not allow this on " + beyond + "."}
	}
	return q, nil
}

// narrow tells whether the question itself stays with one patient, whatever
// the data: patient= names one, or it is one of the two searches for a person.
func (s *seeking) narrow() bool {
	if _, ok := s.q.Within(); ok { // what it is the compartment of lies in one record
		return true
	}
	if patients, ok := s.q.Patient(); ok {
		return len(patients) <= 1
	}
	if _, ok := s.q.Identifier(); ok { // also of other types, by patient.identifier
		return true
	}
	if s.q.Type != "Patient" {
		return false
	}
	_, _, _, ok := s.q.FamilyAndBirth()
	return ok
}

// shownIn is the chart that a chart is shown in, itself or the one it was merged
// into. Candidates are such: a merged record stands where its survivor does, and
// whether anything is in it makes no difference to the order. Of records that somebody
// joined at this gateway all are candidates, for they may not be one for whoever asks;
// what is looked at is the survivor's, see [candidates.survivors].
const shownIn = `CASE WHEN c.root = '' THEN c.chart ELSE c.root END`

const (
	// ownJoined tells of a chart that is merged whether any link of its group was made here.
	ownJoined = `EXISTS (SELECT 1 FROM chart e JOIN word w ON w.chart = e.chart AND w.own = 1 WHERE e.root = c.root AND e.root <> '')`
	besideIt  = ` JOIN chart g ON g.root = c.root AND g.root <> '' `

	byIdent       = ` FROM ident i JOIN chart c ON c.chart = i.chart `
	chartsByIdent = `SELECT ` + shownIn + ` AS shown` + byIdent + `WHERE i.value = $1 AND i.system = $2 AND ` + shownIn + ` > $3 UNION SELECT g.chart` + byIdent + besideIt + `WHERE i.value = $1 AND i.system = $2 AND g.chart > $3 AND ` + ownJoined + ` ORDER BY shown LIMIT $4`
	chartsByValue = `SELECT ` + shownIn + ` AS shown` + byIdent + `WHERE i.value = $1 AND i.system <> '?' AND ` + shownIn + ` > $2 UNION SELECT g.chart` + byIdent + besideIt + `WHERE i.value = $1 AND i.system <> '?' AND g.chart > $2 AND ` + ownJoined + ` ORDER BY shown LIMIT $3`
	byName        = ` FROM person p JOIN chart c ON c.chart = p.chart `
	wherePerson   = `WHERE p.family >= $1 AND p.family < $2 AND p.birth >= $3 AND p.birth < $4 AND `
	chartsByName  = `SELECT ` + shownIn + ` AS shown` + byName + wherePerson + shownIn + ` > $5 UNION SELECT g.chart` + byName + besideIt + wherePerson + `g.chart > $5 AND ` + ownJoined + ` ORDER BY shown LIMIT $6`
	// Both parts end at the limit, however many there are since then: if the first has as
	// many as that, the second does not matter.
	updatedSince   = `(SELECT c.chart, c.root FROM chart c WHERE c.updated >= $1 LIMIT $2) c`
	chartsSince    = `SELECT ` + shownIn + ` AS shown FROM ` + updatedSince + ` UNION ALL SELECT g.chart FROM ` + updatedSince + besideIt + `WHERE ` + ownJoined
	chartsAfter    = `SELECT c.chart FROM chart c WHERE c.chart > $1 AND (c.root = '' OR c.root = c.chart OR ` + ownJoined + `) ORDER BY c.chart LIMIT $2`
	chartsAllSince = `SELECT c.chart FROM chart c WHERE c.chart > $2 AND (c.root = '' AND c.updated >= $1 OR c.root <> '' AND (c.root = c.chart OR ` + ownJoined + `) AND EXISTS (SELECT 1 FROM chart m WHERE m.root = c.root AND m.root <> '' AND m.updated >= $1)) ORDER BY c.chart LIMIT $3`
)

// candidates are the charts in which matches can be. Each is looked at through
// the caller's view, so that being one shows nothing; nor must how many they
// are, for some may hold nothing that the caller sees: what is answered depends
// on the question and on views alone.
type candidates struct {
	survivors bool                                                      // none but those in which a patient's record is shown count
	one       bool                                                      // the question names one patient, or nobody
	few       bool                                                      // it names patients, or a person
	sum       bool                                                      // few enough, whatever the data, to count without being asked
	since     time.Time                                                 // what matches came then or later; zero: whenever
	next      func(ctx context.Context, after string) ([]string, error) // keys in order, at most walkStep; empty at the end
}

// counts tells whether a chart is one of those of which a question may look at so
// many. That something withheld came lately makes none of it.
func (in candidates) counts(v *view) bool {
	return slices.ContainsFunc(v.All(), func(r policy.Released) bool { return !r.Recorded().Before(in.since) })
}

// listed are charts that the question itself names.
func listed(charts []string) candidates {
	charts = sortUnique(charts)
	return candidates{one: len(charts) <= 1, few: true, sum: true, next: func(_ context.Context, after string) ([]string, error) {
		i, ok := slices.BinarySearch(charts, after)
		if ok {
			i++
		}
		return charts[i:min(i+walkStep, len(charts))], nil
	}}
}

func (s *seeking) candidates(ctx context.Context) (candidates, error) {
	if s.q.Type == "Group" && s.caller.Audience() != access.Provider {
		return s.rosters(ctx)
	}
	if patients, ok := s.q.Patient(); ok {
		var charts []string
		for _, p := range patients {
			charts = append(charts, p.ID)
		}
		return listed(charts), nil
	}
	if focus, ok := s.q.Within(); ok {
		v, err := s.find(ctx, s.caller, focus)
		if err != nil || v == nil {
			return listed(nil), err
		}
		return listed([]string{v.patient.ID}), nil
	}
	if s.q.Type == "Patient" || fhir.IsPatientCompartment(s.q.Type) {
		if tokens, ok := s.q.Identifier(); ok && !slices.ContainsFunc(tokens, func(t search.Token) bool { return t.AnyCode }) {
			return candidates{survivors: true, few: true, sum: true, next: func(ctx context.Context, after string) ([]string, error) {
				var all []string
				for _, t := range tokens {
					text, args := chartsByIdent, []any{t.Code, t.System, after, int64(walkStep)}
					if t.AnySystem {
						text, args = chartsByValue, []any{t.Code, after, int64(walkStep)}
					}
					some, err := s.r.keysOf(ctx, text, args...)
					if err != nil {
						return nil, err
					}
					all = append(all, some...)
				}
				return step(all), nil
			}}, nil
		}
		if families, from, until, ok := s.q.FamilyAndBirth(); ok {
			return candidates{survivors: true, few: true, sum: until.Sub(from) <= 24*time.Hour, next: func(ctx context.Context, after string) ([]string, error) {
				var all []string
				for _, f := range families {
					if f = foldName(f); f == "" {
						continue
					}
					// A birth date may be a year or a month: it sorts before its days.
					some, err := s.r.keysOf(ctx, chartsByName, f, f+"\U0010FFFF", from.Format("2006"), until.Format(time.DateOnly), after, int64(walkStep))
					if err != nil {
						return nil, err
					}
					all = append(all, some...)
				}
				return step(all), nil
			}}, nil
		}
	}
	if from, _ := s.q.LastUpdated(); !from.IsZero() {
		return s.lately(ctx, from.Add(-time.Millisecond))
	}
	return s.lately(ctx, time.Time{})
}

// lately are the charts in which something came at a time or later; all of them
// for the zero time.
func (s *seeking) lately(ctx context.Context, from time.Time) (candidates, error) {
	if from.IsZero() {
		return s.part(candidates{survivors: true, next: func(ctx context.Context, after string) ([]string, error) {
			return s.r.keysOf(ctx, chartsAfter, after, int64(walkStep))
		}}), nil
	}
	since := micros(from)
	charts, err := s.r.keysOf(ctx, chartsSince, since, int64(maxSince+1))
	if err != nil {
		return candidates{}, err
	}
	if len(charts) <= maxSince {
		in := listed(charts)
		in.survivors, in.one, in.few, in.sum, in.since = true, false, false, false, from
		return s.part(in), nil
	}
	return s.part(candidates{survivors: true, since: from, next: func(ctx context.Context, after string) ([]string, error) {
		return s.r.keysOf(ctx, chartsAllSince, since, after, int64(walkStep))
	}}), nil
}

// part leaves of candidates those in which resources of the types asked for can lie:
// Groups by themselves, whose keys come last, and all else not there.
func (s *seeking) part(in candidates) candidates {
	groups, others := false, false
	for _, typ := range s.q.Types() {
		groups, others = groups || typ == "Group", others || typ != "Group"
	}
	next := in.next
	in.next = func(ctx context.Context, after string) ([]string, error) {
		if !others {
			after = max(after, rosterMark)
		}
		all, err := next(ctx, after)
		if first := slices.IndexFunc(all, isRoster); first >= 0 && !groups {
			all = all[:first]
		}
		return all, err
	}
	return in
}

// rosters are the charts of Groups.
func (s *seeking) rosters(ctx context.Context) (candidates, error) {
	if ids, ok := s.q.IDs(); ok {
		var charts []string
		for _, id := range ids {
			ref := fhir.Ref{Type: "Group", ID: id}
			chart, told := chartOf(ref)
			if !told {
				var err error
				if chart, err = s.r.alias(ctx, ref); err != nil {
					return candidates{}, err
				}
			}
			charts = append(charts, cmp.Or(chart, noRoster(id)))
		}
		in := listed(charts)
		in.few = false // it names no patients
		return in, nil
	}
	from, _ := s.q.LastUpdated()
	if !from.IsZero() {
		from = from.Add(-time.Millisecond)
	}
	return s.lately(ctx, from)
}

// listed gives what q finds in a Group's chart: the Group, not what it names elsewhere.
// A member is found by every record that is now one with the member's.
func (s *seeking) listed(ctx context.Context, v *view) ([]policy.Released, error) {
	groups := v.Of("Group")
	if len(groups) == 0 || !v.reaches(s.caller, auth.Search, "Group") {
		return nil, nil
	}
	p := s.p.Load()
	own := p.Owns(s.caller, groups[0].Source()) // which says what its source sent
	var err error
	q := s.q.Following(func(ref fhir.Ref) fhir.Ref {
		if ref.Type == "Patient" && !own && err == nil {
			var found map[string]presence
			if found, err = s.present(ctx, p, s.caller, []string{ref.ID}); err == nil && found[ref.ID].now != "" {
				ref.ID = found[ref.ID].now
			}
		}
		return ref
	})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(v.Index().Matches(q), func(m policy.Released) bool { return m.Ref().Type != "Group" }), nil
}

// step is the first keys of several lists that each hold walkStep of their own.
func step(all []string) []string {
	all = sortUnique(all)
	return all[:min(walkStep, len(all))]
}

func sortUnique(s []string) []string {
	slices.Sort(s)
	return slices.Compact(s)
}

// single is the page of a search inside one chart, or of one that can find
// nothing: what nearly all ask for.
func (s *seeking) single(ctx context.Context, charts []string, from cursor, count int, total bool) (page Page, err error) {
	var v *view
	var all []policy.Released
	if len(charts) > 0 {
		if v, all, err = s.in(ctx, charts[0], true); err != nil {
			return Page{}, err
		}
	}
	if total {
		n := len(all)
		page.Total = &n
	}
	if from.last != "" {
		all = search.After(s.q, all, from.last)
	}
	page.Matches = all[:min(count, len(all)):min(count, len(all))]
	if len(page.Matches) == 0 {
		return page, nil
	}
	s.shown = []*view{v}
	page.Includes = s.includes(v, page.Matches)
	if count < len(all) {
		page.Next = s.next(v, page.Matches[count-1])
	}
	return page, nil
}

// in gives what q finds in one chart; nil when the caller's token does not reach
// it.
func (s *seeking) in(ctx context.Context, chart string, keep bool) (*view, []policy.Released, error) {
	v, err := s.view(ctx, s.caller, chart, keep)
	if err != nil || !slices.ContainsFunc(s.q.Types(), func(typ string) bool { return v.reaches(s.caller, auth.Search, typ) }) {
		return nil, nil, err
	}
	all, err := s.of(ctx, v)
	return v, all, err
}

// of gives what q finds in a view.
func (s *seeking) of(ctx context.Context, v *view) ([]policy.Released, error) {
	q := s.q
	if len(v.stamps) > 1 {
		q = q.Following(v.Survivor)
	}
	if isRoster(v.patient.ID) {
		return s.listed(ctx, v)
	}
	all := v.Index().Matches(q)
	if len(v.stamps) == 1 && s.q.Type != "" { // what nearly all ask for
		return all, nil
	}
	here := all[:0]
	for _, m := range all {
		if typ := m.Resource().Type(); !v.reaches(s.caller, auth.Search, typ) {
			continue
		} else if !s.strays(v, typ) {
			here = append(here, m)
			continue
		}
		home, told := chartOf(m.Resource().Ref())
		if !told || !v.member(home) {
			var err error
			if home, err = s.r.alias(ctx, m.Resource().Ref()); err != nil {
				return nil, err
			}
		}
		if v.member(home) {
			here = append(here, m)
		}
	}
	return here, nil
}

// strays tells whether a match of a type may be shown in this chart only because
// the chart points at it: across charts it is found where it lies.
func (s *seeking) strays(v *view, typ string) bool {
	if fhir.IsPatientCompartment(typ) || len(v.stamps) == 1 || s.caller.May(auth.Search, typ) == auth.OnePatient {
		return false
	}
	if _, one := s.q.Within(); one {
		return false
	}
	_, one := s.q.Patient()
	return !one
}

// everything gives all matches in order, for a question that few charts can answer.
func (s *seeking) everything(ctx context.Context, in candidates) ([]found, error) {
	var all []found
	seen, bytes := map[string]bool{}, 0
	for at := ""; ; {
		charts, err := in.next(ctx, at)
		if err != nil {
			return nil, err
		}
		if len(charts) == 0 {
			break
		}
		for _, at = range charts {
			v, some, err := s.in(ctx, at, in.sum)
			if err != nil {
				return nil, err
			}
			if v == nil || seen[v.patient.ID] || in.survivors && v.patient.ID != at || !in.counts(v) {
				continue
			}
			if seen[v.patient.ID] = true; len(seen) > maxWalk {
				return nil, errCostly
			}
			for _, m := range some {
				all = append(all, found{m, v})
				if isRoster(at) {
					if bytes += len(m.Content().JSON()); bytes > rosterWhole {
						return nil, errCostly
					}
				}
			}
		}
	}
	if s.sorted && len(seen) > 1 {
		now := func(ref fhir.Ref) fhir.Ref {
			for _, f := range all {
				if other := f.in.Survivor(ref); other != ref {
					return other
				}
			}
			return ref
		}
		q := s.q.Following(now)
		if s.q.Type == "Group" { // a member is found by what only the Group's view knows
			q = q.Unfiltered()
		}
		all = search.NewIndex(all).Matches(q)
	}
	return all, nil
}

// after cuts off what earlier pages showed of many charts: all is in q's order,
// or without one in the order of charts.
func (s *seeking) after(all []found, from cursor) []found {
	if from.last == "" {
		return all
	}
	if s.sorted {
		return search.After(s.q, all, from.last)
	}
	at := slices.IndexFunc(all, func(f found) bool { return f.in.patient.ID == from.chart })
	if at < 0 { // nothing of it is left
		at = slices.IndexFunc(all, func(f found) bool { return f.in.patient.ID > from.chart })
	}
	if at < 0 {
		return nil
	}
	all = all[at:]
	here := 0
	for here < len(all) && all[here].in.patient.ID == from.chart {
		here++
	}
	return all[here-len(search.After(s.q, all[:here], from.last)):]
}

// walk goes through charts in the order of their keys until the page is full.
// It stops after maxWalk charts with what it has, and says where to go on.
func (s *seeking) walk(ctx context.Context, in candidates, from cursor, count int) (page []found, resume cursor, err error) {
	at, looked, bytes := from.chart, 0, 0
	seen := map[string]bool{}
	visit := func(chart string, last string) (full bool, err error) {
		v, some, err := s.in(ctx, chart, false)
		if err != nil || v == nil || seen[v.patient.ID] || in.survivors && v.patient.ID != chart || !in.counts(v) {
			return false, err
		}
		seen[v.patient.ID] = true
		looked++
		if last != "" {
			some = search.After(s.q, some, last)
		}
		for _, f := range some {
			if len(page) == count || bytes > rosterPage {
				return true, nil
			}
			if isRoster(chart) {
				bytes += len(f.Content().JSON())
			}
			page = append(page, found{f, v})
			resume = cursor{chart, s.q.Place(f.Resource())}
		}
		return false, nil
	}
	if from.last != "" {
		resume = from
		if full, err := visit(from.chart, from.last); full || err != nil {
			return page, resume, err
		}
	}
	for {
		charts, err := in.next(ctx, at)
		if err != nil {
			return nil, cursor{}, err
		}
		if len(charts) == 0 {
			return page, cursor{}, nil
		}
		for _, at = range charts {
			full, err := visit(at, "")
			if err != nil || full {
				return page, resume, err
			}
			if looked >= maxWalk {
				return page, cursor{chart: at}, nil
			}
		}
	}
}

// fill makes the page: matches, what they include, and the way on.
func (s *seeking) fill(page Page, matches []found, more bool) (Page, error) {
	by := map[*view][]policy.Released{}
	for _, m := range matches {
		page.Matches = append(page.Matches, m.Released)
		if by[m.in] == nil {
			s.shown = append(s.shown, m.in)
		}
		by[m.in] = append(by[m.in], m.Released)
	}
	if s.q.Included() {
		have := map[fhir.Ref]bool{}
		for _, m := range page.Matches {
			have[m.Resource().Ref()] = true
		}
		for _, v := range s.shown {
			for _, inc := range s.includes(v, by[v]) {
				if ref := inc.Resource().Ref(); !have[ref] {
					have[ref] = true
					page.Includes = append(page.Includes, inc)
				}
			}
		}
		slices.SortFunc(page.Includes, func(a, b policy.Released) int {
			x, y := a.Resource().Ref(), b.Resource().Ref()
			return cmp.Or(cmp.Compare(x.Type, y.Type), cmp.Compare(x.ID, y.ID))
		})
	}
	if more && len(matches) > 0 {
		last := matches[len(matches)-1]
		page.Next = s.next(last.in, last.Released)
	}
	return page, nil
}

// includes are what the matches of one view include, as far as the caller's
// token reaches, sorted by type and id.
func (s *seeking) includes(v *view, matches []policy.Released) []policy.Released {
	return v.Includes(s.q, matches, func(typ string) bool { return v.reaches(s.caller, auth.Read, typ) })
}

// next is the way to what comes after last.
func (s *seeking) next(v *view, last policy.Released) string {
	return s.r.keys.shut(cursor{v.patient.ID, s.q.Place(last.Resource())}, s.bound())
}
