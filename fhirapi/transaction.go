package fhirapi

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"
	"golang.org/x/sync/errgroup"

	"firebreak/access"
	"firebreak/adapters/rest"
	"firebreak/audit"
	"firebreak/auth"
	"firebreak/fhir"
	"firebreak/policy"
	"firebreak/web"
)

const (
	// maxEntries bounds a Bundle by what is applied well within a request's time.
	maxEntries = 10_000
	maxReads   = 100 // entries of a batch that read: each is a request to whoever limits those
	// batchAtOnce is how many entries of a batch are under way at a time: they
	// mostly wait for the disk, and share its flushes.
	batchAtOnce = 16
)

// bundle takes a transaction or a batch (R4 http.html#transaction): creations,
// updates and deletions by a source, and in a batch reads and searches by anyone. A
// transaction is one message and all or nothing; in a batch each entry is its own.
func (a *api) bundle(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	b, err := body(r)
	if err != nil {
		return err
	}
	if b.Type() != "Bundle" {
		return &fhir.Error{Status: http.StatusBadRequest, Code: "invalid", Text: "The base address takes a Bundle.", Expression: b.Type()}
	}
	kind := b.Get("type").Text()
	if kind != "transaction" && kind != "batch" {
		return &fhir.Error{Status: http.StatusBadRequest, Code: "invalid", Text: "The Bundle must be a transaction or a batch.", Expression: "Bundle.type"}
	}
	if kind == "transaction" && !a.pushes(c) {
		if err := a.note(r, c, audit.Write, "transaction: not a source"); err != nil {
			return err
		}
		return notAllowed(w, http.MethodGet)
	}
	if b.Get("entry").Len() > maxEntries {
		return &fhir.Error{Status: http.StatusUnprocessableEntity, Code: "too-costly", Text: "The Bundle has more than " + strconv.Itoa(maxEntries) + " entries.", Expression: "Bundle.entry"}
	}
	all, errs := a.requests(c, b, kind == "batch")
	out := newBundle(kind + "-response")
	if kind == "batch" {
		if err := a.batch(r, c, out, all, errs); err != nil {
			return err
		}
		return out.send(w, r)
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	if err := a.transaction(r, c, out, b, all); err != nil {
		return err
	}
	return out.send(w, r)
}

// transaction applies all entries or none.
func (a *api) transaction(r *http.Request, c access.Caller, out *bundle, b fhir.Resource, all []request) error {
	if len(all) == 0 {
		return nil
	}
	defer a.writes(all...)()
	i := rest.Interaction{Method: http.MethodPost, Base: a.Base, Resource: b.JSON()}
	for _, q := range all {
		i.Assigned = append(i.Assigned, q.assigned())
	}
	plan, err := i.Look("")
	if err != nil {
		return err
	}
	found, err := a.match(r, c, i, plan)
	if err != nil {
		return err
	}
	now := slices.Clone(all)
	stale := expected(plan, found)
	for n := range now {
		if stale == nil {
			now[n].be(found, n)
		}
	}
	before, err := a.standing(r, c, now...)
	if err != nil {
		return err
	}
	if stale != nil {
		return stale
	}
	id, found, err := a.push(r, c, i, plan, now...)
	if err != nil {
		return err
	}
	status := make([]int, len(all))
	for n := range all {
		was := all[n].be(found, n)
		switch {
		case all[n].method == http.MethodDelete:
			status[n] = http.StatusNoContent
		case was || !all[n].conditional && !before[n].IsZero():
			status[n] = http.StatusOK
		default:
			status[n] = http.StatusCreated
		}
	}
	after, err := a.after(r, c, id, plan, all...)
	if err != nil {
		return err
	}
	for n, q := range all {
		respond(out, q, status[n], after[n], nil)
	}
	return nil
}

// batch carries out each entry on its own, what reads after what writes.
func (a *api) batch(r *http.Request, c access.Caller, out *bundle, all []request, errs []error) error {
	status, got := make([]int, len(all)), make([]policy.Released, len(all))
	var group errgroup.Group
	group.SetLimit(batchAtOnce)
	reads, writes := 0, 0
	for n := range all {
		switch {
		case all[n].get != "":
			reads++
		case !a.pushes(c):
			errs[n] = &fhir.Error{Status: http.StatusForbidden, Code: "forbidden", Text: "Only a registered source changes anything.", Expression: all[n].at}
			writes++
		case errs[n] == nil:
			group.Go(func() error {
				status[n], got[n], errs[n] = a.apply(r, c, &all[n])
				return nil
			})
		}
	}
	_ = group.Wait()
	if reads > maxReads {
		return &fhir.Error{Status: http.StatusUnprocessableEntity, Code: "too-costly", Text: "The Bundle has more than " + strconv.Itoa(maxReads) + " entries that read.", Expression: "Bundle.entry"}
	}
	if writes > 0 {
		if err := a.note(r, c, audit.Write, "batch: not a source"); err != nil {
			return err
		}
	}
	for n, q := range all {
		if q.get != "" && errs[n] == nil {
			if err := a.look(r, c, out, q); err != nil {
				return err
			}
			continue
		}
		respond(out, q, status[n], got[n], errs[n])
	}
	return web.Negotiate(r, r.URL.Query()) // entries are answered in JSON, whatever this is
}

// look answers an entry that reads, as its address does to a request of its own.
func (a *api) look(r *http.Request, c access.Caller, out *bundle, q request) error {
	path, query, _ := strings.Cut("/"+strings.TrimPrefix(strings.TrimPrefix(q.get, a.Base), "/"), "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		respond(out, q, 0, policy.Released{}, within(badQuery(), q.at))
		return nil
	}
	if values.Has("_format") || values.Has("_pretty") {
		values.Del("_format")
		values.Del("_pretty")
		query = values.Encode()
	}
	on := r.Clone(r.Context())
	on.Method, on.Body, on.ContentLength = http.MethodGet, http.NoBody, 0
	on.URL = &url.URL{Path: path, RawQuery: query}
	on.Header = http.Header{"Accept": {"application/fhir+json"}}
	for name, v := range q.header {
		on.Header[name] = v
	}
	if v := r.Header.Values("Prefer"); len(v) > 0 {
		on.Header["Prefer"] = v
	}
	var m mux.RouteMatch
	to := answered{header: http.Header{}}
	if a.addresses.Match(on, &m) && m.Route != nil {
		err = a.address(a.served[m.Route.GetName()])(&to, mux.SetURLVars(on, m.Vars), c)
	} else {
		err = fhir.NotFound()
	}
	if err != nil {
		if shown, ok := errors.AsType[*fhir.Error](err); !ok || shown.Status >= 500 {
			return err
		}
		status, outcome := fhir.Outcome(err)
		out.response(status, "", policy.Released{}, outcome)
		return nil
	}
	out.answered(to.status, to.header, to.body)
	return nil
}

// answered is what an address answers an entry with.
type answered struct {
	header http.Header
	status int
	body   []byte
}

func (a *answered) Header() http.Header         { return a.header }
func (a *answered) WriteHeader(status int)      { a.status = status }
func (a *answered) Write(b []byte) (int, error) { a.body = append(a.body, b...); return len(b), nil }

func respond(out *bundle, q request, status int, got policy.Released, err error) {
	switch {
	case err != nil:
		status, outcome := fhir.Outcome(err)
		out.response(status, "", policy.Released{}, outcome)
	case q.method == http.MethodDelete:
		out.response(status, "", policy.Released{}, nil)
	default:
		out.response(status, location(q.ref, got), got, nil)
	}
}

// requests reads and checks every entry. No two may change the same resource
// or share a fullUrl, for it would be left open which of them counts.
func (a *api) requests(c access.Caller, b fhir.Resource, reads bool) (all []request, errs []error) {
	refs, urls := map[fhir.Ref]bool{}, map[string]bool{}
	for e := range b.All("entry") {
		at := "Bundle.entry[" + strconv.Itoa(len(all)) + "]"
		if reads && e.At("request.method").Is(http.MethodGet) {
			q, err := reading(e, at)
			all, errs = append(all, q), append(errs, err)
			continue
		}
		q, err := entry(c, e, at)
		full := e.Get("fullUrl").Text()
		if err == nil && (!q.conditional && refs[q.ref] || full != "" && urls[full]) {
			err = &fhir.Error{Status: http.StatusBadRequest, Code: "duplicate", Text: "An entry before it has the same target or fullUrl.", Expression: q.at}
		}
		refs[q.ref], urls[full] = true, true
		all, errs = append(all, q), append(errs, err)
	}
	return all, errs
}

// reading reads an entry that reads.
func reading(e fhir.Node, at string) (request, error) {
	q := request{method: http.MethodGet, at: at, header: depends(e), get: e.At("request.url").Text()}
	if q.get == "" {
		return q, &fhir.Error{Status: http.StatusBadRequest, Code: "required", Text: "There is no address to read at.", Expression: at + ".request.url"}
	}
	return q, nil
}

// depends are the versions that an entry depends on, as headers; nil for none.
func depends(e fhir.Node) http.Header {
	var h http.Header
	for name, header := range map[string]string{"ifMatch": "If-Match", "ifNoneMatch": "If-None-Match", "ifModifiedSince": "If-Modified-Since"} {
		if v := e.At("request." + name).Text(); v != "" {
			if h == nil {
				h = http.Header{}
			}
			if at, err := time.Parse(time.RFC3339, v); name == "ifModifiedSince" && err == nil {
				v = at.UTC().Format(http.TimeFormat)
			}
			h.Set(header, v)
		}
	}
	return h
}

// entry reads and checks one entry. Errors name it.
func entry(c access.Caller, e fhir.Node, at string) (request, error) {
	q := request{method: e.At("request.method").Text(), at: at}
	bad := func(code, text, where string) (request, error) {
		return q, &fhir.Error{Status: http.StatusBadRequest, Code: code, Text: text, Expression: at + where}
	}
	address, query, conditional := strings.Cut(e.At("request.url").Text(), "?")
	typ, id, below := strings.Cut(address, "/")
	q.ref = fhir.Ref{Type: typ, ID: id}
	var needs auth.Interaction
	switch q.method {
	case http.MethodPost:
		if below || conditional {
			return bad("not-supported", "A POST creates at a type's address; operations are not supported.", ".request.url")
		}
		needs, q.ref.ID = auth.Create, newID()
	case http.MethodPut:
		needs = auth.Update
	case http.MethodDelete:
		needs = auth.Delete
	default:
		return bad("not-supported", "Entries may be POST, PUT or DELETE.", ".request.method")
	}
	if none := e.At("request.ifNoneExist"); !none.IsZero() && q.method == http.MethodPost {
		q.conditional, q.query = true, none.Text()
		if q.query == "" {
			return q, without(at + ".request.ifNoneExist")
		}
	}
	if !fhir.IsType(typ) || conditional && below || !conditional && !fhir.ValidID(q.ref.ID) {
		return bad("not-supported", "The address must be Type, Type/id or Type?search.", ".request.url")
	}
	for condition, may := range map[string]bool{"ifMatch": q.method != http.MethodPost, "ifNoneMatch": q.method != http.MethodPost, "ifModifiedSince": false, "ifNoneExist": q.conditional} {
		if !e.At("request."+condition).IsZero() && !may {
			return bad("not-supported", "A change depends on ifMatch and ifNoneMatch, a creation on ifNoneExist.", ".request."+condition)
		}
	}
	q.header = depends(e)
	if conditional && query == "" {
		return q, without(at + ".request.url")
	}
	if c.May(needs, typ) == auth.Nothing {
		err := outOfScope(typ)
		err.Expression = at
		return q, err
	}
	if q.method == http.MethodDelete {
		if conditional {
			q.found(query)
		}
		return q, nil
	}
	res, err := fhir.Parse(e.Get("resource").Raw())
	if err != nil {
		return bad("invalid", "There is no valid resource here.", ".resource")
	}
	q.res = res
	if err := named(res, typ, id); err != nil {
		return q, within(err, at+".resource")
	}
	if conditional {
		if q.found(query); q.ref.ID == "" {
			q.ref.ID = newID()
		}
	}
	return q, nil
}

// within moves the places that an error names into an entry:
// "Observation.code" becomes "Bundle.entry[3].resource.code".
func within(err error, at string) error {
	e, ok := errors.AsType[*fhir.Error](err)
	if !ok {
		return err
	}
	moved := func(path string) string {
		_, rest, below := strings.Cut(path, ".")
		if below {
			return at + "." + rest
		}
		return at
	}
	e.Expression = moved(e.Expression)
	for i := range e.More {
		e.More[i].Expression = moved(e.More[i].Expression)
	}
	return e
}
