package record

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"

	"firebreak/access"
	"firebreak/chart"
	"firebreak/fhir"
	"firebreak/internal/sqldb"
	"firebreak/policy"
)

// A Group is a chart by itself, with a key that no patient's has. Its view depends on
// those of all its members, so it is made for each question: the Group's contents one
// after another, and of each member whether its Patient is visible, which is remembered
// until the member's chart changes.

// rosterMark begins the key of such a chart, see package mapping. In the order of keys
// they come after all others.
const rosterMark = "~"

func isRoster(chart string) bool { return len(chart) > 1 && strings.HasPrefix(chart, rosterMark) }

const (
	rosterRows = `
		SELECT v.version, v.at, v.seq, v.until, v.until_seq, v.recorded, v.source, v.deleted, v.body, v.rules, v.labels, r.reasons, v.id
		FROM version v LEFT JOIN reason r ON r.chart = v.chart AND r.body = v.body
		WHERE v.chart = $1 AND v.type = 'Group'`

	rosterPast  = 16 << 20 // bytes of the versions of one Group that its source reads
	rosterPage  = 8 << 20  // of Groups on one page
	rosterWhole = 32 << 20 // of Groups that are counted, sorted or in one history
	maxPresent  = 50_000   // members that are remembered
	presentStep = 200      // charts whose versions are asked for at a time
)

// about is the patient whose record a view is; zero for a Group's.
func (v *view) about() fhir.Ref {
	if isRoster(v.patient.ID) {
		return fhir.Ref{}
	}
	return v.patient
}

// noRoster is a chart that never was, in which a Group of an id that nobody gave would
// lie: it is looked for as one that is withheld.
func noRoster(id string) string { return rosterMark + "?" + id }

// roster is the view of a Group's chart; with past, of its source's own Group with the
// versions before.
func (r *Reader) roster(ctx context.Context, p *policy.Policy, c access.Caller, key string, past bool) (*view, error) {
	l := &lists{r: r, p: p, c: c, key: key}
	if err := r.r.db.Snapshot(ctx, func(tx *sqldb.Tx) error { return l.read(ctx, tx) }); err != nil {
		return nil, failed("read a Group", err)
	}
	switch {
	case l.newest.IsZero():
	case !l.own:
		if err := l.meet(ctx, l.newest); err != nil {
			return nil, err
		}
	case past:
		bytes := len(l.newest.JSON())
		for x := range l.older(ctx) {
			if bytes += len(x.Resource().JSON()); bytes > rosterPast {
				break
			}
			l.histories[l.at] = append(l.histories[l.at], x)
		}
	}
	ch := chart.Chart{Patient: fhir.Ref{Type: "Patient", ID: key}, Histories: l.histories}
	v := &view{View: p.Roster(c, ch, l.shown(ctx), l.older(ctx)), stamps: []stamp{l.stamp}, patient: ch.Patient}
	return v, l.err
}

// lists is a Group on its way into a view.
type lists struct {
	r     *Reader
	p     *policy.Policy
	c     access.Caller
	key   string
	stamp stamp
	rows  []row // the current first; contents are read when they are needed
	own   bool  // the caller sent it

	newest    fhir.Resource // zero when nothing of it is for the caller
	histories []chart.History
	at        int   // of the Group in histories
	directory []row // what it names there
	present   map[string]presence
	err       error // of what is read while the view is made
}

// read reads what decides, and the current version where that leaves anything to see.
func (l *lists) read(ctx context.Context, tx *sqldb.Tx) error {
	l.stamp, l.rows, l.newest, l.histories, l.directory = stamp{chart: l.key}, nil, fhir.Resource{}, nil, nil
	var err error
	if l.stamp.version, _, err = stampOf(ctx, tx, l.key); err != nil {
		return err
	}
	var last row
	var id string
	err = tx.Each(ctx, func(scan func(...any) error) error {
		x, err := scanRow(scan, &last, &id)
		l.rows = append(l.rows, x)
		return err
	}, rosterRows, l.key)
	if err != nil || len(l.rows) == 0 {
		return err
	}
	slices.SortFunc(l.rows, func(a, b row) int {
		return cmp.Or(b.last.compare(a.last), cmp.Compare(b.body, a.body), b.first.compare(a.first))
	})
	now := &l.rows[0]
	l.own = l.p.Owns(l.c, now.source)
	if now.deleted || !l.own && !l.p.LooksAcross(l.c) {
		return nil
	}
	if now.res, err = fhir.Parse([]byte(`{"resourceType":"Group","id":` + strconv.Quote(id) + `}`)); err != nil {
		return err
	}
	of := func(string) (string, bool) { return "", false }
	if alone := l.p.Roster(l.c, chart.Chart{Patient: fhir.Ref{Type: "Patient", ID: l.key}, Histories: l.settled(now)}, of, func(func(chart.Version) bool) {}); !stands(alone, now.res) {
		return nil // by its labels, whatever it says
	}
	if err := readContentOf(ctx, tx, now); err != nil {
		return err
	}
	l.newest = now.res
	l.histories = l.settled(now)
	named := map[fhir.Ref]bool{}
	for _, link := range l.histories[0][0].Links() {
		if link.Element == "member" || named[link.To] || fhir.IsPatientCompartment(link.To.Type) {
			continue
		}
		named[link.To] = true
		var home string
		if err := tx.Each(ctx, func(scan func(...any) error) error { return scan(&home) }, findAlias, link.To.Type, link.To.ID); err != nil {
			return err
		}
		if home != "" {
			if err := readRows(ctx, tx, &l.directory, resourceRows, home, link.To.Type, link.To.ID); err != nil {
				return err
			}
		}
	}
	l.histories = l.settled(now)
	l.at = slices.IndexFunc(l.histories, func(h chart.History) bool { return h[0].Resource().Type() == "Group" })
	return nil
}

func stands(v *policy.View, group fhir.Resource) bool {
	_, ok := v.Standing(group.Ref())
	return ok
}

// settled is one version of the Group with what it names in directories.
func (l *lists) settled(x *row) []chart.History {
	all := append(slices.Clone(l.directory), *x)
	return l.r.r.histories(all, l.r.r.settle(all, nil))
}

type queries interface {
	Each(ctx context.Context, row func(scan func(...any) error) error, text string, args ...any) error
}

func readContentOf(ctx context.Context, q queries, x *row) error {
	return q.Each(ctx, func(scan func(...any) error) error {
		var content []byte
		err := scan(&content)
		if err == nil {
			x.res, err = fhir.Take(content)
		}
		return err
	}, readContent, x.body)
}

// older gives the versions before the current one, read one by one.
func (l *lists) older(ctx context.Context) func(yield func(chart.Version) bool) {
	return func(yield func(chart.Version) bool) {
		for _, x := range l.rows[1:] {
			if x.deleted {
				continue
			}
			if err := readContentOf(ctx, l.r.r.db, &x); err != nil {
				l.err = failed("read a Group", err)
				return
			}
			if !l.own {
				if l.err = l.meet(ctx, x.res); l.err != nil {
					return
				}
			}
			all := l.settled(&x)
			at := slices.IndexFunc(all, func(h chart.History) bool { return h[0].Resource().Type() == "Group" })
			if !yield(all[at][0]) {
				return
			}
		}
	}
}

// meet finds which of a version's members are visible.
func (l *lists) meet(ctx context.Context, group fhir.Resource) error {
	var missing []string
	for m := range group.All("member") {
		if ref, ok := fhir.ParseRef(m.At("entity.reference").Text()); ok && ref.Type == "Patient" {
			if _, known := l.present[ref.ID]; !known {
				missing = append(missing, ref.ID)
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	found, err := l.r.present(ctx, l.p, l.c, sortUnique(missing))
	if err != nil {
		return err
	}
	if l.present == nil {
		l.present = found
		return nil
	}
	for id, x := range found {
		l.present[id] = x
	}
	return nil
}

func (l *lists) shown(ctx context.Context) policy.Shown {
	return func(patient string) (string, bool) {
		x, known := l.present[patient]
		if !known && l.err == nil {
			var found map[string]presence
			if found, l.err = l.r.present(ctx, l.p, l.c, []string{patient}); l.err == nil {
				x = found[patient]
			}
		}
		return x.now, x.now != ""
	}
}

// presence tells whether somebody sees a Patient, and as who, and what that depends on.
type presence struct {
	now     string // the surviving record; empty: not to be seen
	stamps  []stamp
	since   int64
	bearing policy.Bearing
}

// presences are remembered by who looks, as policy.KeyThrough tells them apart, and by
// patient.
type presences struct {
	mu sync.Mutex
	by map[string]map[string]presence
	n  int
}

func (l *presences) some(key string, patients []string) map[string]presence {
	all := make(map[string]presence, len(patients))
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.by[key]
	for _, id := range patients {
		if x, ok := known[id]; ok {
			all[id] = x
		}
	}
	return all
}

func (l *presences) keep(key string, all map[string]presence) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n += len(all); l.by == nil || l.n > maxPresent {
		l.by, l.n = map[string]map[string]presence{}, len(all)
	}
	if l.by[key] == nil {
		l.by[key] = map[string]presence{}
	}
	for id, x := range all {
		l.by[key][id] = x
	}
}

// present finds of patients whether the caller sees them.
func (r *Reader) present(ctx context.Context, p *policy.Policy, c access.Caller, patients []string) (map[string]presence, error) {
	key := p.KeyThrough(policy.Intact, c)
	all := r.r.presences.some(key, patients)
	stale, err := r.r.stale(ctx, all)
	if err != nil {
		return nil, err
	}
	fresh := map[string]presence{}
	for _, id := range patients {
		if x, known := all[id]; known && !stale[id] && x.bearing.Fits(c) {
			continue
		}
		since := r.r.changes.done.Load()
		v, err := r.viewThrough(ctx, p, Glass{}, c, id, false)
		if err != nil {
			return nil, err
		}
		x := presence{stamps: slices.Concat(v.stamps, v.beside), since: since, bearing: v.Bearing()}
		_, itself := v.Standing(fhir.Ref{Type: "Patient", ID: id})
		if _, survivor := v.Standing(v.patient); itself && survivor {
			x.now = v.patient.ID
		}
		all[id], fresh[id] = x, x
	}
	if len(fresh) > 0 {
		r.r.presences.keep(key, fresh)
	}
	return all, nil
}

// stale finds which of what is remembered depends on charts that have changed; on
// PostgreSQL another node may have written, so the database is asked each time.
func (r *Record) stale(ctx context.Context, all map[string]presence) (map[string]bool, error) {
	unsure := map[string]int64{}
	for _, x := range all {
		if r.db.Postgres() || !r.changes.none(x.stamps, x.since) {
			for _, s := range x.stamps {
				unsure[s.chart] = 0
			}
		}
	}
	if len(unsure) == 0 {
		return nil, nil
	}
	for step := range slices.Chunk(sortedKeys(unsure), presentStep) {
		args := make([]any, presentStep)
		for i := range args {
			args[i] = step[min(i, len(step)-1)]
		}
		err := r.db.Each(ctx, func(scan func(...any) error) error {
			var chart string
			var version int64
			err := scan(&chart, &version)
			unsure[chart] = version
			return err
		}, versionsOf, args...)
		if err != nil {
			return nil, failed("read charts' versions", err)
		}
	}
	stale := map[string]bool{}
	for id, x := range all {
		for _, s := range x.stamps {
			if now, asked := unsure[s.chart]; asked && now != s.version {
				stale[id] = true
			}
		}
	}
	return stale, nil
}

// versionsOf reads the versions of as many charts as fill it.
var versionsOf = func() string {
	var b strings.Builder
	b.WriteString(`SELECT chart, version FROM chart WHERE chart IN ($1`)
	for i := 2; i <= presentStep; i++ {
		b.WriteString(", $" + strconv.Itoa(i))
	}
	return b.String() + ")"
}()
