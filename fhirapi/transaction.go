package fhirapi

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"firebreak/access"
	"firebreak/adapters/rest"
	"firebreak/auth"
	"firebreak/fhir"
	"firebreak/policy"
)

const (
	// maxEntries bounds a Bundle by what is applied well within a request's time.
	maxEntries = 10_000
	// batchAtOnce is how many entries of a batch are under way at a time: they
	// mostly wait for the disk, and share its flushes.
	batchAtOnce = 16
)

// bundle takes a transaction or a batch (R4 http.html#transaction): creations,
// updates and deletions. A transaction is one message and all or nothing; in a
// batch each entry is its own.
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
	if b.Get("entry").Len() > maxEntries {
		return &fhir.Error{Status: http.StatusUnprocessableEntity, Code: "too-costly", Text: "The Bundle has more than " + strconv.Itoa(maxEntries) + " entries.", Expression: "Bundle.entry"}
	}
	all, errs := a.requests(c, b)
	out := newBundle(kind + "-response")
	if kind == "batch" {
		a.batch(r, c, out, all, errs)
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
	a.writing.RLock()
	defer a.writing.RUnlock()
	before, err := a.standing(r, c, all...)
	if err != nil {
		return err
	}
	i := rest.Interaction{Method: http.MethodPost, Resource: b.JSON()}
	for _, q := range all {
		id := ""
		if q.method == http.MethodPost {
			id = q.ref.ID
		}
		i.Assigned = append(i.Assigned, id)
	}
	if err := a.push(r, c, i, all...); err != nil {
		return err
	}
	after, err := a.standing(r, c, all...)
	if err != nil {
		return err
	}
	for n, q := range all {
		status := http.StatusCreated
		switch {
		case q.method == http.MethodDelete:
			status = http.StatusNoContent
		case !before[n].IsZero():
			status = http.StatusOK
		}
		respond(out, q, status, after[n], nil)
	}
	return nil
}

// batch applies each entry on its own.
func (a *api) batch(r *http.Request, c access.Caller, out *bundle, all []request, errs []error) {
	status, got := make([]int, len(all)), make([]policy.Released, len(all))
	var group errgroup.Group
	group.SetLimit(batchAtOnce)
	for n, q := range all {
		if errs[n] == nil {
			group.Go(func() error {
				status[n], got[n], errs[n] = a.apply(r, c, q, nil)
				return nil
			})
		}
	}
	_ = group.Wait()
	for n, q := range all {
		respond(out, q, status[n], got[n], errs[n])
	}
}

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
func (a *api) requests(c access.Caller, b fhir.Resource) (all []request, errs []error) {
	refs, urls := map[fhir.Ref]bool{}, map[string]bool{}
	for e := range b.All("entry") {
		q, err := entry(c, e, "Bundle.entry["+strconv.Itoa(len(all))+"]")
		full := e.Get("fullUrl").Text()
		if err == nil && (refs[q.ref] || full != "" && urls[full]) {
			err = &fhir.Error{Status: http.StatusBadRequest, Code: "duplicate", Text: "An entry before it has the same target or fullUrl.", Expression: q.at}
		}
		refs[q.ref], urls[full] = true, true
		all, errs = append(all, q), append(errs, err)
	}
	return all, errs
}

// entry reads and checks one entry. Errors name it.
func entry(c access.Caller, e fhir.Node, at string) (request, error) {
	q := request{method: e.At("request.method").Text(), at: at}
	bad := func(code, text, where string) (request, error) {
		return q, &fhir.Error{Status: http.StatusBadRequest, Code: code, Text: text, Expression: at + where}
	}
	typ, id, _ := strings.Cut(e.At("request.url").Text(), "/")
	q.ref = fhir.Ref{Type: typ, ID: id}
	var needs auth.Interaction
	switch q.method {
	case http.MethodPost:
		if id != "" {
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
	if !fhir.IsType(typ) || !fhir.ValidID(q.ref.ID) {
		return bad("not-supported", "The address must be Type or Type/id; conditional addresses are not supported.", ".request.url")
	}
	for _, condition := range []string{"ifNoneMatch", "ifModifiedSince", "ifMatch", "ifNoneExist"} {
		if !e.At("request." + condition).IsZero() {
			return bad("not-supported", "Conditional entries are not supported.", ".request."+condition)
		}
	}
	if c.May(needs, typ) == auth.Nothing {
		err := outOfScope(typ)
		err.Expression = at
		return q, err
	}
	if q.method == http.MethodDelete {
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
