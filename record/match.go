package record

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"firebreak/access"
	"firebreak/adapters/rest"
	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/internal/sqldb"
	"firebreak/policy"
	"firebreak/search"
)

// A source may name what it pushed by a search: to create what is not there, to
// change or delete what is, to refer to it. It is looked for in nothing but what
// that source pushed, as it last said it, whatever labels that has: the source
// sent it and may know it, and what others sent can neither be learned nor make
// a difference.
//
// It is looked for when a message is applied, and again in the transaction that
// stores what the message changes: is it another then, the message is made anew
// (ErrMoved). Those of one source go one after another there, on all nodes. So
// of many that would create the same, one does; and one that was stored by a
// process that died is found by its repetition, whichever is applied first.

// ErrMoved says that what a message looks for is no longer what was found.
var ErrMoved = errors.New("record: what the message looks for has changed")

// maxCandidates bounds the resources of one source under one identifier.
const maxCandidates = 1000

const (
	addGiven   = `INSERT INTO given (source, type, value, id) VALUES ($1, $2, $3, $4) ON CONFLICT (source, type, value, id) DO NOTHING`
	givenUnder = `SELECT id FROM given WHERE source = $1 AND type = $2 AND value = $3 ORDER BY id LIMIT $4`
	lastGiven  = `
		SELECT v.deleted, v.until, b.json FROM alias a
		JOIN version v ON v.chart = a.chart AND v.type = a.type AND v.id = a.id JOIN body b ON b.id = v.body
		WHERE a.type = $1 AND a.id = $2 AND v.source = $3 ORDER BY v.until DESC, v.until_seq DESC, v.body DESC LIMIT 1`
	addLooker  = `INSERT INTO looker (source) VALUES ($1) ON CONFLICT (source) DO NOTHING`
	holdLooker = `SELECT source FROM looker WHERE source = $1` // and DB.Hold
	addFound   = `INSERT INTO found (id, ids) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`
	wasFound   = `SELECT ids FROM found WHERE id = $1`
	aliasAfter = `SELECT type, id, chart FROM alias WHERE type > $1 OR type = $1 AND id > $2 ORDER BY type, id LIMIT $3`
	saidOfIt   = `SELECT v.source, b.json FROM version v JOIN body b ON b.id = v.body WHERE v.chart = $1 AND v.type = $2 AND v.id = $3 AND v.deleted = 0`
)

// valueKey is how an identifier's value is filed: searches do not tell case.
func valueKey(value string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(value)))
	return lower.EncodeToString(sum[:15])
}

// valuesOf are the values of the identifiers of a resource, as search
// parameter identifier reads them.
func valuesOf(r fhir.Resource) (values []string) {
	for _, path := range []string{"identifier", "masterIdentifier"} {
		for i := range r.All(path) {
			if v := i.Get("value").Text(); v != "" {
				values = append(values, v)
			}
		}
	}
	return values
}

// reads is a database or a transaction.
type reads interface {
	Each(ctx context.Context, row func(scan func(...any) error) error, text string, args ...any) error
}

// lookup is one search of a plan, read.
type lookup struct {
	query  search.Query
	ids    []string // one of which it must have, or else
	values []string // keys of its identifiers
}

// readLookup reads a search. place is where it stands.
func readLookup(base, typ, text, place string) (l lookup, err error) {
	refuse := func(code, text string) (lookup, error) {
		return lookup{}, &fhir.Error{Status: http.StatusBadRequest, Code: code, Text: text, Expression: place}
	}
	values, err := url.ParseQuery(strings.TrimPrefix(text, "?"))
	if err != nil {
		return refuse("invalid", "The condition is no search.")
	}
	delete(values, "_format")
	delete(values, "_pretty")
	for name := range values {
		bare, _, _ := strings.Cut(name, ":")
		if strings.Contains(name, ".") || strings.HasPrefix(bare, "_") && !slices.Contains([]string{"_id", "_tag", "_profile", "_security"}, bare) {
			return refuse("not-supported", "A condition is about the resource alone: no chains, no parameters that change the answer.")
		}
	}
	l.query, err = search.ParseQuery(typ, values, search.Base(base))
	if e, ok := errors.AsType[*fhir.Error](err); ok && e.Expression == "" {
		e.Expression = place
	}
	if err != nil {
		return lookup{}, err
	}
	if ids, ok := l.query.IDs(); ok {
		l.ids = ids
		return l, nil
	}
	tokens, ok := l.query.OwnIdentifier()
	if !ok {
		return refuse("not-supported", "A condition must name an identifier with its value, or _id; others may stand beside them.")
	}
	for _, t := range tokens {
		l.values = append(l.values, valueKey(t.Code))
	}
	return l, nil
}

// candidate is a resource that may be what is looked for.
type candidate struct{ res fhir.Resource }

func (c candidate) Resource() fhir.Resource { return c.res }

// among are the ids of the resources that match.
func (l lookup) among(all []candidate) (ids []string) {
	for _, c := range search.NewIndex(all).Matches(l.query) {
		ids = append(ids, c.res.ID())
	}
	return ids
}

var errMany = &fhir.Error{Status: http.StatusPreconditionFailed, Code: "multiple-matches", Text: "More than one resource that this source sent matches."}

// given is a resource as its source last said it, and when; zero when it has none of
// that id.
func given(ctx context.Context, q reads, source string, ref fhir.Ref) (r fhir.Resource, at int64, err error) {
	err = q.Each(ctx, func(scan func(...any) error) error {
		var deleted int64
		var content []byte
		err := scan(&deleted, &at, &content)
		if err == nil && deleted == 0 {
			r, err = fhir.Take(content)
		}
		return err
	}, lastGiven, ref.Type, ref.ID, source)
	return r, at, err
}

// expected tells whether a plan's changes, of the ids that were found for them, meet
// what they expect: rest.Since, or rest.Unmet. It is nil where nothing is expected.
// What a source sent it sees as it sent it, so that its content alone is its version.
func expected(ctx context.Context, q reads, source string, p rest.Plan, ids []string) (all []string, err error) {
	if !p.Expects() {
		return nil, nil
	}
	newest := int64(0)
	for n, c := range p.Changes {
		ref := c.Ref
		if ids[n] != "" {
			ref.ID = ids[n]
		}
		if !c.Expects.Any() || ref.ID == "" {
			continue
		}
		r, at, err := given(ctx, q, source, ref)
		if err != nil {
			return nil, err
		}
		version := ""
		if !r.IsZero() {
			version = policy.VersionID(r)
		}
		if !c.Expects.Met(version) {
			return rest.Unmet(n), nil
		}
		newest = max(newest, at)
	}
	return []string{rest.Since(newest)}, nil
}

// find gives the ids of what matches, but for those in besides.
func (l lookup) find(ctx context.Context, q reads, source string, besides map[fhir.Ref]bool) (found []string, err error) {
	ids := l.ids
	for _, value := range l.values {
		err := q.Each(ctx, func(scan func(...any) error) error {
			var id string
			err := scan(&id)
			ids = append(ids, id)
			return err
		}, givenUnder, source, l.query.Type, value, maxCandidates+1)
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(ids)
	if ids = slices.Compact(ids); len(ids) > maxCandidates {
		return nil, &fhir.Error{Status: http.StatusPreconditionFailed, Code: "too-costly", Text: "Too many resources that this source sent have the identifier."}
	}
	for _, id := range ids {
		ref := fhir.Ref{Type: l.query.Type, ID: id}
		if besides[ref] {
			continue
		}
		r, _, err := given(ctx, q, source, ref)
		if err != nil {
			return nil, err
		}
		if !r.IsZero() {
			if found = append(found, l.among([]candidate{{r}})...); len(found) > 1 {
				break
			}
		}
	}
	return found, nil
}

// match finds what a plan leaves to be found. The error is a *fhir.Error that
// names the place when the plan cannot be carried out.
func match(ctx context.Context, q reads, source string, p rest.Plan) ([]string, error) {
	found := make([]string, len(p.Changes)+len(p.Refs))
	fresh := map[string]bool{}        // what is looked for and will be made
	changed := map[fhir.Ref]bool{}    //
	after := map[string][]candidate{} // what the transaction makes, by type
	at := func(e *fhir.Error, place string) error { f := *e; f.Expression = place; return &f }
	for n, c := range p.Changes {
		ref := c.Ref
		if c.Query != "" {
			l, err := readLookup(p.Base, c.Ref.Type, c.Query, c.Condition())
			if err != nil {
				return nil, err
			}
			ids, err := l.find(ctx, q, source, nil)
			if e, ok := errors.AsType[*fhir.Error](err); ok {
				return nil, at(e, c.Condition())
			}
			switch {
			case err != nil:
				return nil, err
			case len(ids) > 1:
				return nil, at(errMany, c.Condition())
			case len(ids) == 1 && c.Named && ids[0] != c.Ref.ID:
				return nil, &fhir.Error{Status: http.StatusBadRequest, Code: "invalid", Text: "The resource's id is not that of the one that matches.", Expression: c.Body() + ".id"}
			case len(ids) == 1:
				found[n], ref.ID = ids[0], ids[0]
			case c.Method == http.MethodDelete:
				continue
			case c.Named:
				r, _, err := given(ctx, q, source, ref)
				if err != nil {
					return nil, err
				}
				if !r.IsZero() {
					return nil, &fhir.Error{Status: http.StatusConflict, Code: "conflict", Text: "There is a resource of this id, and it does not match.", Expression: c.Condition()}
				}
			}
			if key := c.Ref.Type + "?" + c.Query; len(ids) == 0 && fresh[key] {
				return nil, &fhir.Error{Status: http.StatusBadRequest, Code: "duplicate", Text: "An entry before it looks for the same, and makes it.", Expression: c.At}
			} else if len(ids) == 0 {
				fresh[key] = true
			}
		}
		if c.Method == http.MethodPost && found[n] != "" {
			continue // it stays as it is
		}
		if changed[ref] {
			return nil, &fhir.Error{Status: http.StatusBadRequest, Code: "duplicate", Text: "An entry before it has the same target.", Expression: c.At}
		}
		changed[ref] = true
		if r, err := c.Resource.WithID(ref.ID); err == nil && c.Method != http.MethodDelete && len(p.Refs) > 0 && p.Whole {
			after[ref.Type] = append(after[ref.Type], candidate{r})
		}
	}
	places := map[string]string{}
	if len(p.Refs) > 0 {
		for _, c := range p.Changes {
			for _, s := range p.Refers(c) {
				if _, known := places[s]; !known {
					places[s] = c.Body()
				}
			}
		}
	}
	for n, s := range p.Refs {
		typ, query, _ := fhir.ParseConditional(p.Base, s)
		place := places[s]
		l, err := readLookup(p.Base, typ, query, place)
		if err != nil {
			return nil, err
		}
		besides := changed
		if !p.Whole {
			besides = nil
		}
		ids, err := l.find(ctx, q, source, besides)
		if err != nil {
			return nil, err
		}
		switch ids = append(ids, l.among(after[typ])...); len(ids) {
		case 0:
			return nil, &fhir.Error{Status: http.StatusUnprocessableEntity, Code: "not-found", Text: "A conditional reference names nothing that this source sent.", Expression: place}
		case 1:
			found[len(p.Changes)+n] = ids[0]
		default:
			return nil, at(errMany, place)
		}
	}
	as, err := expected(ctx, q, source, p, found)
	if err != nil || len(as) == 0 {
		return found, err
	}
	if d, ok := p.Decided(as); ok && d.Unmet >= 0 {
		return as, nil
	}
	return append(found, as...), nil
}

// Match finds what a plan of the caller's leaves to be found, in what the
// caller's source pushed; see rest.Plan. A *fhir.Error says why the plan cannot
// be carried out.
func (r *Reader) Match(ctx context.Context, c access.Caller, p rest.Plan) ([]string, error) {
	found, err := match(ctx, r.r.db, c.Client().Source, p)
	if _, ours := errors.AsType[*fhir.Error](err); ours {
		return nil, err
	}
	return found, failed("look for what a push names", err)
}

// Found is what a message of the caller's source left to be found, once it is
// applied; nil when it left nothing.
func (r *Reader) Found(ctx context.Context, c access.Caller, id inbox.ID) ([]string, error) {
	m, err := r.r.Queue().Message(ctx, id)
	if err != nil || m.Source != c.Client().Source {
		return nil, err
	}
	return m.Found, nil
}

// Look finds what a message leaves to be found: what it was when it was applied
// before, or is now. Nil: it leaves nothing. A *fhir.Error says why the message
// cannot be applied.
func (q *Queue) Look(ctx context.Context, s Stored) ([]string, *rest.Plan, error) {
	if s.Kind != inbox.FHIR {
		return nil, nil, nil
	}
	i, err := rest.Decode(s.Body)
	if err != nil || !i.Looks {
		return nil, nil, nil // mapping says what is wrong
	}
	p, err := i.Plan()
	if err != nil {
		return nil, nil, nil
	}
	if s.Found != nil {
		return s.Found, &p, nil
	}
	found, err := q.r.found(ctx, s.ID)
	if found == nil && err == nil {
		found, err = match(ctx, q.r.db, s.Source, p)
	}
	if _, ours := errors.AsType[*fhir.Error](err); ours {
		return nil, nil, err
	}
	return found, &p, failed("look for what a push names", err)
}

func (r *Record) found(ctx context.Context, id inbox.ID) ([]string, error) {
	var ids string
	err := r.db.QueryRow(ctx, wasFound, int64(id)).Scan(&ids)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return strings.Split(ids, ","), err
}

// match makes sure that what the batch's messages looked for is still what was
// found, and that it stays so until they are stored.
func (b *batch) match(ctx context.Context) error {
	lookers, locked := map[string]bool{}, map[string]bool{}
	for _, x := range b.commits {
		if x.commit.plan != nil {
			lookers[x.commit.source] = true
		}
		if x.commit.plan != nil || x.commit.names() {
			locked[x.commit.source] = true
		}
	}
	if hold := b.w.r.db.Hold(); hold != "" {
		var stmts []sqldb.Stmt
		for _, source := range sortedKeys(locked) {
			stmts = append(stmts, sqldb.Stmt{SQL: addLooker, Args: []any{source}},
				sqldb.Stmt{SQL: holdLooker + hold, Args: []any{source}, Row: func(scan func(...any) error) error { return scan(&source) }})
		}
		if err := b.tx.Batch(ctx, stmts); err != nil {
			return err
		}
	}
	if len(lookers) == 0 {
		return nil
	}
	touched := map[string]bool{} // by messages before, in this group
	for _, x := range slices.Clone(b.commits) {
		if !lookers[x.commit.source] {
			continue
		}
		if x.commit.plan != nil {
			same, err := b.same(ctx, x.commit, touched)
			if err != nil {
				return err
			}
			if !same {
				x.err = ErrMoved
				b.commits = slices.DeleteFunc(b.commits, func(y *write) bool { return y == x })
				continue
			}
		}
		for _, e := range x.commit.entries {
			if e.Alias {
				touched[x.commit.source+" "+e.key.typ+"/"+e.key.id] = true
				for _, v := range valuesOf(e.Resource()) {
					touched[x.commit.source+" "+e.key.typ+"="+valueKey(v)] = true
				}
			}
		}
	}
	return nil
}

// same tells whether a message would find again what it found.
func (b *batch) same(ctx context.Context, x *committing, touched map[string]bool) (bool, error) {
	before, was := false, ""
	err := b.tx.Each(ctx, func(scan func(...any) error) error { before = true; return scan(&was) }, wasFound, int64(x.id))
	if x.decided = before; err != nil || before {
		return was == strings.Join(x.found, ","), err
	}
	meets := func(typ, query string, found string) bool {
		l, err := readLookup(x.plan.Base, typ, query, "")
		near := err != nil || found != "" && touched[x.source+" "+typ+"/"+found]
		for _, id := range l.ids {
			near = near || touched[x.source+" "+typ+"/"+id]
		}
		for _, v := range l.values {
			near = near || touched[x.source+" "+typ+"="+v]
		}
		return near
	}
	d, ok := x.plan.Decided(x.found)
	if !ok {
		return false, nil
	}
	id := func(n int) string {
		if d.Unmet >= 0 {
			return ""
		}
		return d.IDs[n]
	}
	for n, c := range x.plan.Changes {
		if c.Query != "" && meets(c.Ref.Type, c.Query, id(n)) || c.Expects.Any() && touched[x.source+" "+c.Ref.Type+"/"+cmp.Or(id(n), c.Ref.ID)] {
			return false, nil
		}
	}
	for n, s := range x.plan.Refs {
		if typ, query, _ := fhir.ParseConditional(x.plan.Base, s); meets(typ, query, id(len(x.plan.Changes)+n)) {
			return false, nil
		}
	}
	now, err := match(ctx, b.tx, x.source, *x.plan)
	if _, ours := errors.AsType[*fhir.Error](err); ours {
		return false, nil // it is said when it is looked for anew
	}
	return err == nil && slices.Equal(now, x.found), err
}

// expect makes sure, now that the charts are held, that what the batch's messages
// expect is there: on PostgreSQL another node may have changed it since match, by a
// push that looks for nothing and waits for nobody who does.
func (b *batch) expect(ctx context.Context) error {
	if b.w.r.db.Hold() == "" {
		return nil
	}
	for _, x := range slices.Clone(b.commits) {
		c := x.commit
		if c.plan == nil || c.decided || !c.plan.Expects() {
			continue
		}
		d, ok := c.plan.Decided(c.found)
		if ok && d.Unmet >= 0 {
			continue
		}
		now, err := expected(ctx, b.tx, c.source, *c.plan, d.IDs)
		if err != nil {
			return err
		}
		if !slices.Equal(now, c.found[len(d.IDs):]) {
			x.err = ErrMoved
			b.commits = slices.DeleteFunc(b.commits, func(y *write) bool { return y == x })
		}
	}
	return nil
}

// giveAll files by their identifiers what was pushed before there was a table
// for that.
func (r *Record) giveAll(ctx context.Context) error {
	const name, step = "given", 500
	done := false
	if err := r.setting(ctx, name, &done); err != nil || done {
		return err
	}
	for last := (resource{}); ; {
		var page []resource
		err := r.db.Each(ctx, func(scan func(...any) error) error {
			var x resource
			err := scan(&x.typ, &x.id, &x.chart)
			page = append(page, x)
			return err
		}, aliasAfter, last.typ, last.id, step)
		var stmts []sqldb.Stmt
		for _, x := range page {
			if err != nil {
				break
			}
			last = x
			err = r.db.Each(ctx, func(scan func(...any) error) error {
				var source string
				var content []byte
				if err := scan(&source, &content); err != nil {
					return err
				}
				res, err := fhir.Take(content)
				for _, v := range valuesOf(res) {
					stmts = append(stmts, sqldb.Stmt{SQL: addGiven, Args: []any{source, x.typ, valueKey(v), x.id}})
				}
				return err
			}, saidOfIt, x.chart, x.typ, x.id)
		}
		if err == nil && len(page) < step {
			var mark sqldb.Stmt
			mark, err = set(name, true)
			stmts = append(stmts, mark)
		}
		if err == nil {
			err = r.writer.do(ctx, &write{other: func(ctx context.Context, tx *sqldb.Tx) error { return tx.Batch(ctx, stmts) }})
		}
		if err != nil || len(page) < step {
			return failed("file what was pushed", err)
		}
	}
}
