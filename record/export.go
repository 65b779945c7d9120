package record

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"firebreak/access"
	"firebreak/audit"
	"firebreak/auth"
	"firebreak/fhir"
	"firebreak/internal/sqldb"
	"firebreak/policy"
	"firebreak/search"
)

// Export is what a system asks for in bulk (Bulk Data Access 2.0). It holds what
// came before it was asked for, and before the oldest message that is not applied
// yet: the rest is the next one's, asked for with Since. Only what was held, and is
// applied once its cause is mended, is as old as its message, and in no later one.
type Export struct {
	Types    []string  // which types; at least one
	Filters  []string  // searches, "Type?query": of their types only what one of them finds
	Elements []string  // "Type.element" or "element": nothing else but what is mandatory; none: whole
	Since    time.Time // only what changed then or later; zero: everything
	Lenient  bool      // parameters of filters that nobody knows are left out
	Proof    Proof     // which Provenance comes along
	LeftOut  []string  // what of the order was left out, in words
	People   bool      // only charts with a patient to see: no directories
	Patients []string  // of these only, by id; nil: of all
	Request  string    // the address that was asked
	Base     string    // of the API, for references in filters
}

// Exported is how far an export has come.
type Exported struct {
	Request string
	Began   time.Time // what came by then is in it
	Ends    time.Time // when it is forgotten
	Done    bool
	People  int      // patients looked at who have something to see
	Files   []string // the type of each file, once it is done
	LeftOut []string // what of the order was left out, in words
}

// Proof is which Provenance an export holds: of what else is exported, and no other.
//
// Source: Bulk Data Access 2.0, includeAssociatedData.
type Proof string

const (
	ProofLatest   Proof = "LatestProvenanceResources" // of each resource the newest
	ProofRelevant Proof = "RelevantProvenanceResources"
)

const provenance = "Provenance"

const (
	exportLasts = 24 * time.Hour
	exportMost  = 10              // of one client at a time
	fileBytes   = 16 << 20        // of one type, after which a file ends with its chart
	exportWait  = 5 * time.Second // for one that is nearly done, before its asker hears that it is not

	oldestPending  = `SELECT COALESCE(MIN(i.received) - 1, $1) FROM todo t JOIN inbox i ON i.id = t.id WHERE t.held = 0 AND i.received < $1`
	countExports   = `SELECT COUNT(*) FROM export WHERE client = $1`
	addExport      = `INSERT INTO export (id, client, request, spec, began, ends, reached, people, done) VALUES ($1, $2, $3, $4, $5, $6, '', 0, 0) ON CONFLICT (id) DO NOTHING`
	oneExport      = `SELECT request, spec, began, ends, reached, people, done FROM export WHERE id = $1 AND client = $2 AND ends > $3`
	reachExport    = `UPDATE export SET reached = $3, people = $4, done = $5 WHERE id = $1 AND reached = $2 AND done = 0`
	addExportFile  = `INSERT INTO export_file (export, n, type, after, until) SELECT CAST($1 AS TEXT), COALESCE(MAX(n), -1) + 1, CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS TEXT) FROM export_file WHERE export = $1`
	exportFiles    = `SELECT type FROM export_file WHERE export = $1 ORDER BY n`
	oneExportFile  = `SELECT type, after, until FROM export_file WHERE export = $1 AND n = $2`
	dropExport     = `DELETE FROM export WHERE id = $1`
	dropFiles      = `DELETE FROM export_file WHERE export = $1`
	expireExports  = `DELETE FROM export WHERE ends <= $1`
	expireFiles    = `DELETE FROM export_file WHERE export IN (SELECT id FROM export WHERE ends <= $1)`
	errManyJobs    = "There are too many exports of this client that nobody deleted. Delete one."
	errTypeBeyond  = "The token's scopes do not allow an export of "
	errNotBackend  = "Only a system's token may export."
	errFilterOther = "A filter is Type?search, of a type that is exported."
)

// walks are the exports whose charts are gone through on this node.
type walks struct {
	ctx  context.Context // of the record
	mu   sync.Mutex
	by   map[string]*walk // by id
	turn sync.Mutex       // one goes at a time: others read charts too
	size int64            // fileBytes; tests have it smaller
}

// walk is one export under way.
type walk struct {
	done   chan struct{} // closed at its end
	people int           // so far
}

// owner names whose an export is: nobody else learns that it exists.
func owner(c access.Caller) string {
	id := c.Identity()
	return id.Issuer() + "\n" + id.Client() + "\n" + id.Subject()
}

// mayExport tells whether the caller's token covers a type in all charts.
func mayExport(c access.Caller, typ string) bool {
	return c.May(auth.Read, typ) == auth.AllPatients && c.May(auth.Search, typ) == auth.AllPatients
}

// Export begins an export and gives its id. Which files it has is found in the
// background; what they hold is read when they are asked for. So nothing lies about
// that could be withheld by then.
func (r *Reader) Export(ctx context.Context, ask Ask, x Export) (id string, err error) {
	e := ask.event(audit.Export)
	e.Detail = strings.Join(x.Types, ",")
	refused := func(status int, code, text string) (string, error) {
		e.Refused = true
		if err := r.audit(ctx, e); err != nil {
			return "", err
		}
		return "", &fhir.Error{Status: status, Code: code, Text: text}
	}
	if ask.Caller.Audience() == access.Provider {
		return refused(http.StatusForbidden, "forbidden", errNotBackend)
	}
	if x.Proof != "" && !slices.Contains(x.Types, provenance) {
		x.Types = append(x.Types, provenance)
	}
	for _, typ := range x.Types {
		if !mayExport(ask.Caller, typ) {
			return refused(http.StatusForbidden, "forbidden", errTypeBeyond+typ+".")
		}
	}
	asked, err := r.questions(ask.Caller, x)
	if err != nil {
		return "", err
	}
	for _, typ := range sortedKeys(asked) {
		for _, q := range asked[typ] {
			for _, name := range q.Ignored {
				x.LeftOut = append(x.LeftOut, "Parameter "+name+" of _typeFilter: It is not a search parameter of "+typ+". It was left out.")
			}
		}
	}
	if _, err := x.shown(); err != nil {
		return "", err
	}
	if x.Patients, err = r.roots(ctx, ask.Caller, x.Patients); err != nil {
		return "", err
	}
	spec, err := json.Marshal(x)
	if err != nil {
		return "", err
	}
	client, now := owner(ask.Caller), r.r.c.Now()
	began := micros(now)
	if err := r.r.db.QueryRow(ctx, oldestPending, began).Scan(&began); err != nil {
		return "", failed("begin an export", err)
	}
	id, err = give(ctx, r.r.writer, func(ctx context.Context, tx *sqldb.Tx) (string, error) {
		err := tx.Batch(ctx, []sqldb.Stmt{{SQL: expireFiles, Args: []any{micros(now)}}, {SQL: expireExports, Args: []any{micros(now)}}})
		if err != nil {
			return "", err
		}
		var n int64
		if err := tx.Each(ctx, func(scan func(...any) error) error { return scan(&n) }, countExports, client); err != nil || n >= exportMost {
			return "", err
		}
		for try := 0; ; try++ { // the same question in the same moment is another export
			id := r.r.keys.letter("export", client, x.Request, strconv.FormatInt(micros(now), 10), strconv.Itoa(try))
			n, err := tx.Exec(ctx, addExport, id, client, x.Request, string(spec), began, micros(now.Add(exportLasts)))
			if err != nil || n > 0 {
				return id, err
			}
		}
	})
	if err != nil {
		return "", failed("begin an export", err)
	}
	if id == "" {
		return refused(http.StatusTooManyRequests, "throttled", errManyJobs)
	}
	if err := r.audit(ctx, e); err != nil {
		return "", err
	}
	r.walk(id, ask.Caller)
	return id, nil
}

// roots gives the records under which the caller finds patients now.
func (r *Reader) roots(ctx context.Context, c access.Caller, patients []string) ([]string, error) {
	if patients == nil {
		return nil, nil
	}
	all := []string{}
	for _, p := range patients {
		merged := false
		err := r.r.db.Snapshot(ctx, func(tx *sqldb.Tx) error {
			members, err := groupOf(ctx, tx, p)
			merged = len(members) > 1
			if len(members) == 1 {
				all = append(all, p)
			}
			return err
		})
		if err != nil {
			return nil, failed("find a chart", err)
		}
		if merged {
			v, err := r.view(ctx, c, p, false)
			if err != nil {
				return nil, err
			}
			all = append(all, v.patient.ID)
		}
	}
	return sortUnique(all), nil
}

// filtering are the parameters of all types that say what is found, not how it is shown.
var filtering = []string{"_id", "_lastUpdated", "_tag", "_profile", "_security", "_source", "_has"}

// questions are what is asked of each chart, by type, as far as the caller's token covers it.
func (r *Reader) questions(c access.Caller, x Export) (map[string][]search.Query, error) {
	all := map[string][]search.Query{}
	for _, f := range x.Filters {
		typ, query, _ := strings.Cut(f, "?")
		values, err := url.ParseQuery(query)
		if err != nil || !slices.Contains(x.Types, typ) {
			return nil, &fhir.Error{Status: http.StatusBadRequest, Code: "invalid", Text: errFilterOther, Expression: "http._typeFilter"}
		}
		for name := range values {
			if strings.HasPrefix(name, "_") && !slices.Contains(filtering, strings.SplitN(name, ":", 2)[0]) {
				return nil, &fhir.Error{Status: http.StatusBadRequest, Code: "not-supported", Text: "A filter says what is found, not how it is shown.", Expression: "http._typeFilter"}
			}
		}
		options := []search.Option{search.Base(x.Base), search.At(r.r.c.Now()), search.Codes(r.Codes())}
		if x.Lenient {
			options = append(options, search.Lenient())
		}
		q, err := search.ParseQuery(typ, values, options...)
		if err == nil {
			q, err = within(c, q)
		}
		if err != nil {
			return nil, err
		}
		all[typ] = append(all[typ], q)
	}
	for _, typ := range x.Types {
		if all[typ] == nil {
			q, err := search.ParseQuery(typ, nil)
			if err != nil {
				return nil, err
			}
			all[typ] = []search.Query{q}
		}
	}
	return all, nil
}

// shown are the elements of each type that is exported, as searches that ask for them;
// nil when all is shown. An element without a type is of all types that have it; of a
// type of which none is named its id, and what is mandatory, is left.
//
// Source: Bulk Data Access 2.0, _elements.
func (x Export) shown() (map[string]search.Query, error) {
	if x.Elements == nil {
		return nil, nil
	}
	has := func(typ string, names ...string) (search.Query, error) {
		return search.ParseQuery(typ, url.Values{"_elements": {strings.Join(names, ",")}})
	}
	names := map[string][]string{}
	for _, e := range x.Elements {
		typ, name, typed := strings.Cut(e, ".")
		of := []string{typ}
		if !typed {
			name, of = e, x.Types
		}
		known := false
		for _, typ := range of {
			if !fhir.IsType(typ) {
				continue
			}
			if _, err := has(typ, name); err == nil {
				known, names[typ] = true, append(names[typ], name)
			}
		}
		if !known {
			return nil, &fhir.Error{Status: http.StatusBadRequest, Code: "invalid", Text: "It is a list of elements, each as Patient.name or name.", Expression: "http._elements"}
		}
	}
	all := map[string]search.Query{}
	for _, typ := range x.Types {
		q, err := has(typ, append([]string{"id"}, names[typ]...)...)
		if err != nil {
			return nil, err
		}
		all[typ] = q
	}
	return all, nil
}

// ordered is an export as it was asked for, and how far it has come.
type ordered struct {
	Export
	id      string
	began   time.Time
	ends    time.Time
	reached string
	people  int
	done    bool
}

// exported finds an export of the caller's; NotFound when it has none of that id.
func (r *Reader) exported(ctx context.Context, c access.Caller, id string) (ordered, error) {
	o := ordered{id: id}
	var spec []byte
	var began, ends, people, done int64
	err := r.r.db.QueryRow(ctx, oneExport, id, owner(c), micros(r.r.c.Now())).Scan(&o.Request, &spec, &began, &ends, &o.reached, &people, &done)
	if errors.Is(err, sql.ErrNoRows) {
		return ordered{}, fhir.NotFound()
	}
	if err == nil {
		err = json.Unmarshal(spec, &o.Export)
	}
	o.began, o.ends, o.people, o.done = fromMicros(began), fromMicros(ends), int(people), done == 1
	return o, failed("read an export", err)
}

// Exported tells how far an export of the caller's has come. It waits a little for
// one that is nearly done, and goes on with one that another process began and left.
func (r *Reader) Exported(ctx context.Context, ask Ask, id string) (Exported, error) {
	o, err := r.exported(ctx, ask.Caller, id)
	if err != nil {
		return Exported{}, err
	}
	people := o.people
	if !o.done {
		w := r.walk(id, ask.Caller)
		late := time.NewTimer(exportWait)
		defer late.Stop()
		select {
		case <-w.done:
		case <-late.C:
		case <-ctx.Done():
			return Exported{}, ctx.Err()
		}
		r.r.walks.mu.Lock()
		people = w.people
		r.r.walks.mu.Unlock()
		if o, err = r.exported(ctx, ask.Caller, id); err != nil {
			return Exported{}, err
		}
	}
	out := Exported{Request: o.Request, Began: o.began, Ends: o.ends, Done: o.done, People: max(o.people, people), LeftOut: o.LeftOut}
	if o.done {
		err = r.r.db.Each(ctx, func(scan func(...any) error) error {
			var typ string
			err := scan(&typ)
			out.Files = append(out.Files, typ)
			return err
		}, exportFiles, id)
	}
	return out, failed("list an export's files", err)
}

// DropExport forgets an export of the caller's.
func (r *Reader) DropExport(ctx context.Context, ask Ask, id string) error {
	if _, err := r.exported(ctx, ask.Caller, id); err != nil {
		return err
	}
	e := ask.event(audit.Export)
	e.Detail = "deleted"
	if err := r.audit(ctx, e); err != nil {
		return err
	}
	return failed("delete an export", r.r.writer.do(ctx, &write{other: func(ctx context.Context, tx *sqldb.Tx) error {
		return tx.Batch(ctx, []sqldb.Stmt{{SQL: dropFiles, Args: []any{id}}, {SQL: dropExport, Args: []any{id}}})
	}}))
}

// walk goes through an export's charts in the background, from where the last walk
// came to, until its files are known; or says that it does so already.
func (r *Reader) walk(id string, c access.Caller) *walk {
	all := &r.r.walks
	all.mu.Lock()
	defer all.mu.Unlock()
	if w := all.by[id]; w != nil {
		return w
	}
	if all.by == nil {
		all.by = map[string]*walk{}
	}
	w := &walk{done: make(chan struct{})}
	all.by[id] = w
	r.r.jobs.Go(func() {
		defer close(w.done)
		defer func() {
			all.mu.Lock()
			delete(all.by, id)
			all.mu.Unlock()
		}()
		all.turn.Lock()
		defer all.turn.Unlock()
		if err := r.goThrough(all.ctx, c, id, w); err != nil && all.ctx.Err() == nil {
			r.r.c.Logger.Error("an export stands still until its client asks for it again", "export", id, "error", err)
		}
	})
	return w
}

// bulk is the charts of an export as one caller sees them.
type bulk struct {
	ordered
	reader *Reader
	caller access.Caller
	asked  map[string][]search.Query
	next   func(ctx context.Context, after string) ([]string, error)
}

func (r *Reader) bulk(ctx context.Context, c access.Caller, id string) (b bulk, err error) {
	b = bulk{reader: r, caller: c}
	if b.ordered, err = r.exported(ctx, c, id); err != nil {
		return b, err
	}
	if b.asked, err = r.questions(c, b.Export); err != nil {
		return b, err
	}
	b.next = func(ctx context.Context, after string) ([]string, error) {
		return r.r.keysOf(ctx, chartsAfter, after, int64(walkStep))
	}
	if b.Patients != nil {
		b.next = listed(b.Patients).next
	}
	return b, nil
}

// goThrough finds which files an export has. Where a file ends depends on what the
// caller sees, and on nothing else.
func (r *Reader) goThrough(ctx context.Context, c access.Caller, id string, w *walk) error {
	b, err := r.bulk(ctx, c, id)
	if err != nil || b.done {
		return ignoreMissing(err)
	}
	from, at, people := b.reached, b.reached, b.people
	bytes := map[string]int64{}
	for end := false; !end; {
		charts, err := b.next(ctx, at)
		if err != nil {
			return err
		}
		end = len(charts) == 0
		for i := 0; i < len(charts) || end; i++ {
			most := int64(0)
			if !end {
				at = charts[i]
				v, err := b.view(ctx, at)
				if err != nil {
					return err
				}
				if v == nil {
					continue
				}
				some := false
				for typ := range b.asked {
					all, err := b.of(ctx, v, typ)
					if err != nil {
						return err
					}
					for _, m := range all {
						bytes[typ] += int64(len(m.Resource().JSON()))
					}
					some, most = some || len(all) > 0, max(most, bytes[typ])
				}
				if some {
					people++
					r.r.walks.mu.Lock()
					w.people = people
					r.r.walks.mu.Unlock()
				}
			}
			if !end && most < r.r.walks.size {
				continue
			}
			if ours, err := b.reach(ctx, from, at, bytes, people, end); err != nil || !ours {
				return err
			}
			from, bytes = at, map[string]int64{}
			if end {
				break
			}
		}
	}
	return nil
}

// reach keeps the files of the charts after from and until at. ours is false when
// another process was there before, or the export is no more.
func (b *bulk) reach(ctx context.Context, from, at string, bytes map[string]int64, people int, end bool) (ours bool, err error) {
	done := int64(0)
	if end {
		done = 1
	}
	ours, err = give(ctx, b.reader.r.writer, func(ctx context.Context, tx *sqldb.Tx) (bool, error) {
		n, err := tx.Exec(ctx, reachExport, b.id, from, at, int64(people), done)
		if err != nil || n == 0 {
			return false, err
		}
		for _, typ := range sortedKeys(bytes) {
			if bytes[typ] == 0 {
				continue
			}
			if _, err := tx.Exec(ctx, addExportFile, b.id, typ, from, at); err != nil {
				return false, err
			}
		}
		return true, nil
	})
	return ours, failed("keep how far an export has come", err)
}

// view is a chart of the export; nil when it is none.
func (b *bulk) view(ctx context.Context, chart string) (*view, error) {
	v, err := b.reader.view(ctx, b.caller, chart, false)
	if err != nil {
		return nil, err
	}
	if b.Patients == nil && v.patient.ID != chart { // of records that are one, all of which are gone through, the survivor's
		return nil, nil
	}
	if b.People {
		if _, ok := v.Patient(); !ok {
			return nil, nil
		}
	}
	return v, nil
}

// of gives what an export holds of one type in a chart, in the chart's order.
func (b *bulk) of(ctx context.Context, v *view, typ string) ([]policy.Released, error) {
	if !mayExport(b.caller, typ) || len(v.Of(typ)) == 0 {
		return nil, nil
	}
	var all []policy.Released
	have := map[fhir.Ref]bool{}
	since, proves := b.Since, (func(fhir.Resource) bool)(nil)
	if typ == provenance {
		var err error
		if proves, err = b.proves(ctx, v); err != nil {
			return nil, err
		}
		if proves != nil { // it is there when what it is about is
			since = time.Time{}
		}
	}
	for _, q := range b.asked[typ] {
		s := seeking{Reader: b.reader, caller: b.caller, q: q}
		found, err := s.of(ctx, v)
		if err != nil {
			return nil, err
		}
		for _, m := range found {
			if _, may := v.Get(m.Ref()); !may {
				continue
			}
			if at := m.Recorded(); !have[m.Ref()] && !at.After(b.began) && (since.IsZero() || !at.Before(since)) && (proves == nil || proves(m.Resource())) {
				have[m.Ref()] = true
				all = append(all, m)
			}
		}
	}
	return all, nil
}

// proves tells which Provenance of a chart comes along with what is exported of it;
// nil when all does.
func (b *bulk) proves(ctx context.Context, v *view) (func(fhir.Resource) bool, error) {
	if b.Proof == "" {
		return nil, nil
	}
	exported := map[fhir.Ref]bool{}
	for typ := range b.asked {
		if typ == provenance {
			continue
		}
		all, err := b.of(ctx, v, typ)
		if err != nil {
			return nil, err
		}
		for _, m := range all {
			exported[m.Ref()] = true
		}
	}
	newest := map[fhir.Ref]time.Time{}
	about := func(p fhir.Resource, each func(of fhir.Ref, at time.Time)) {
		at, _ := time.Parse(time.RFC3339, p.Root().Get("recorded").Text())
		for t := range p.All("target") {
			if of, ok := fhir.ParseRef(t.Get("reference").Text()); ok && exported[of] {
				each(of, at)
			}
		}
	}
	if b.Proof == ProofLatest {
		for _, p := range v.Of(provenance) {
			if p.Recorded().After(b.began) {
				continue
			}
			about(p.Resource(), func(of fhir.Ref, at time.Time) {
				if at.After(newest[of]) {
					newest[of] = at
				}
			})
		}
	}
	return func(p fhir.Resource) (some bool) {
		about(p, func(of fhir.Ref, at time.Time) { some = some || !at.Before(newest[of]) })
		return some
	}, nil
}

// ExportFile gives each resource of one file of an export of the caller's to write,
// as it may be seen now. When it returns an error, nothing of that may be shown.
func (r *Reader) ExportFile(ctx context.Context, ask Ask, id string, n int, write func(fhir.Resource) error) error {
	b, err := r.bulk(ctx, ask.Caller, id)
	if err != nil {
		return err
	}
	var typ, at, until string
	err = r.r.db.QueryRow(ctx, oneExportFile, id, int64(n)).Scan(&typ, &at, &until)
	if errors.Is(err, sql.ErrNoRows) {
		return fhir.NotFound()
	}
	if err != nil {
		return failed("read an export", err)
	}
	e := ask.event(audit.Export)
	e.Detail = typ
	if !mayExport(ask.Caller, typ) {
		return r.refuse(ctx, e)
	}
	shown, err := b.shown()
	if err != nil {
		return err
	}
	for at < until {
		charts, err := b.next(ctx, at)
		if err != nil {
			return err
		}
		if len(charts) == 0 {
			break
		}
		for _, at = range charts {
			if at > until {
				break
			}
			v, err := b.view(ctx, at)
			if err != nil {
				return err
			}
			if v == nil {
				continue
			}
			all, err := b.of(ctx, v, typ)
			if err != nil {
				return err
			}
			for _, m := range all {
				res := m.Resource()
				if q, some := shown[typ]; some {
					if res, err = q.Project(res); err != nil {
						return err
					}
				}
				if err := write(res); err != nil {
					return err
				}
			}
			switch {
			case len(all) > 0 && isRoster(at):
				e.Entities = append(e.Entities, all[0].Ref())
			case len(all) > 0:
				e.Entities = append(e.Entities, v.patient)
			}
		}
	}
	return r.audit(ctx, e)
}

// ignoreMissing lets what is no more be.
func ignoreMissing(err error) error {
	if gone, ok := errors.AsType[*fhir.Error](err); ok && gone.Status == http.StatusNotFound {
		return nil
	}
	return err
}
