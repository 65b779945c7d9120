package fhirapi

import (
	"crypto/rand"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"firebreak/access"
	"firebreak/adapters/rest"
	"firebreak/audit"
	"firebreak/auth"
	"firebreak/fhir"
	"firebreak/fhir/r4def"
	"firebreak/inbox"
	"firebreak/policy"
	"firebreak/web"
)

// maxProblems bounds the issues of one OperationOutcome.
const maxProblems = 50

// body reads the one resource of a request, exactly.
func body(r *http.Request) (fhir.Resource, error) {
	if name, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || name != "application/fhir+json" && name != "application/json" {
		return fhir.Resource{}, &fhir.Error{Status: http.StatusUnsupportedMediaType, Code: "invalid", Text: "Send application/fhir+json."}
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return fhir.Resource{}, err
	}
	return fhir.Parse(b)
}

// sound refuses what is not structurally R4, naming each place.
func sound(r fhir.Resource) error {
	problems := r4def.Check(r)
	if len(problems) == 0 {
		return nil
	}
	e := &fhir.Error{Status: http.StatusUnprocessableEntity, Code: "structure", Text: problems[0].Text, Expression: problems[0].Path}
	for _, p := range problems[1:min(len(problems), maxProblems)] {
		e.More = append(e.More, fhir.Issue{Code: "structure", Text: p.Text, Expression: p.Path})
	}
	return e
}

func (a *api) create(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	res, err := body(r)
	if err != nil {
		return err
	}
	ref := fhir.Ref{Type: target(r).Type, ID: newID()}
	if err := named(res, ref.Type, ""); err != nil {
		return err
	}
	i := rest.Interaction{Method: http.MethodPost, Path: ref.Type, Assigned: []string{ref.ID}, Resource: res.JSON()}
	if err := a.push(r, c, i, ref); err != nil {
		return err
	}
	return a.wrote(w, r, c, ref, http.StatusCreated)
}

func (a *api) update(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	res, err := body(r)
	if err != nil {
		return err
	}
	ref := target(r)
	if err := named(res, ref.Type, ref.ID); err != nil {
		return err
	}
	_, err = a.Reader.Get(r.Context(), a.ask(r, c, ref.Type), ref)
	status := http.StatusOK
	if known := (*fhir.Error)(nil); errors.As(err, &known) && known.Status == http.StatusNotFound {
		status = http.StatusCreated
	} else if err != nil {
		return err
	}
	i := rest.Interaction{Method: http.MethodPut, Path: ref.String(), Resource: res.JSON()}
	if err := a.push(r, c, i, ref); err != nil {
		return err
	}
	return a.wrote(w, r, c, ref, status)
}

func (a *api) delete(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	ref := target(r)
	if err := a.push(r, c, rest.Interaction{Method: http.MethodDelete, Path: ref.String()}, ref); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// named refuses a body that is not what the address says.
func named(res fhir.Resource, typ, id string) error {
	switch {
	case res.Type() != typ:
		return &fhir.Error{Status: http.StatusBadRequest, Code: "invalid", Text: "The resource is not of the address's type.", Expression: "resourceType"}
	case id != "" && res.ID() != id:
		return &fhir.Error{Status: http.StatusBadRequest, Code: "invalid", Text: "The resource's id is not the address's.", Expression: res.Type() + ".id"}
	}
	return sound(res)
}

// push writes down who pushes what, then hands the interaction to the adapter.
func (a *api) push(r *http.Request, c access.Caller, i rest.Interaction, refs ...fhir.Ref) error {
	i.Request = web.RequestID(r)
	err := a.Audit.Append(r.Context(), audit.Event{
		Time: a.Now(), Action: audit.Write, Caller: c, Entities: refs, Detail: i.Method, Address: web.Address(r), Request: i.Request,
	})
	if err != nil {
		return err
	}
	err = a.Push.Do(r.Context(), c.Client().Source, c.Client().ID, i)
	if held := (*inbox.HeldError)(nil); errors.As(err, &held) {
		return &fhir.Error{Status: http.StatusUnprocessableEntity, Code: "processing", Text: held.Reason, Err: err}
	}
	return err
}

// wrote answers a create or update with the resource as it now stands for the caller.
func (a *api) wrote(w http.ResponseWriter, r *http.Request, c access.Caller, ref fhir.Ref, status int) error {
	got, err := a.Reader.Get(r.Context(), a.ask(r, c, ref.Type), ref)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Location", a.Base+"/"+ref.String()+"/_history/"+got.VersionID())
	h.Set("ETag", `W/"`+got.VersionID()+`"`)
	h.Set("Last-Modified", got.Recorded().UTC().Format(http.TimeFormat))
	if preference(r, "return") == "minimal" {
		w.WriteHeader(status)
		return nil
	}
	return web.Write(w, r, status, mediaType, got.Resource().JSON())
}

// newID is a fresh logical id, 130 bits, unguessable.
func newID() string { return strings.ToLower(rand.Text()) }

// request is one entry of a transaction or batch.
type request struct {
	method string
	ref    fhir.Ref      // its target; for a POST the id it is given
	res    fhir.Resource // zero for DELETE
	at     string        // "Bundle.entry[3]"
}

// bundle takes a transaction or a batch (R4 http.html#transaction).
func (a *api) bundle(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	b, err := body(r)
	if err != nil {
		return err
	}
	if b.Type() != "Bundle" {
		return &fhir.Error{Status: http.StatusBadRequest, Code: "invalid", Text: "The base address takes a Bundle.", Expression: "resourceType"}
	}
	kind := b.Get("type").Text()
	if kind != "transaction" && kind != "batch" {
		return &fhir.Error{Status: http.StatusBadRequest, Code: "invalid", Text: "The Bundle must be a transaction or a batch.", Expression: "Bundle.type"}
	}
	var all []request
	var errs []error
	for e := range b.All("entry") {
		q, err := a.request(c, e, "Bundle.entry["+strconv.Itoa(len(all))+"]")
		all, errs = append(all, q), append(errs, err)
		if err != nil && kind == "transaction" {
			return err
		}
	}
	out := newBundle(kind+"-response", len(all))
	if kind == "transaction" {
		i := rest.Interaction{Method: http.MethodPost, Resource: b.JSON()}
		var refs []fhir.Ref
		for _, q := range all {
			id := ""
			if q.method == http.MethodPost {
				id = q.ref.ID
			}
			i.Assigned, refs = append(i.Assigned, id), append(refs, q.ref)
		}
		if err := a.push(r, c, i, refs...); err != nil {
			return err
		}
	}
	for n, q := range all {
		err := errs[n]
		if kind == "batch" && err == nil {
			err = a.single(r, c, q)
		}
		a.respond(r, c, out, q, err)
	}
	return web.Write(w, r, http.StatusOK, mediaType, out.bytes())
}

// single applies one entry of a batch on its own.
func (a *api) single(r *http.Request, c access.Caller, q request) error {
	i := rest.Interaction{Method: q.method, Path: q.ref.String()}
	if q.method == http.MethodPost {
		i.Path, i.Assigned = q.ref.Type, []string{q.ref.ID}
	}
	if !q.res.IsZero() {
		i.Resource = q.res.JSON()
	}
	return a.push(r, c, i, q.ref)
}

func (a *api) respond(r *http.Request, c access.Caller, out *bundle, q request, err error) {
	var got policy.Released
	if err == nil && q.method != http.MethodDelete {
		got, err = a.Reader.Get(r.Context(), a.ask(r, c, q.ref.Type), q.ref)
	}
	switch {
	case err != nil:
		status, outcome := fhir.Outcome(err)
		out.response(strconv.Itoa(status), "", "", got.Recorded(), outcome)
	case q.method == http.MethodDelete:
		out.response("204", "", "", got.Recorded(), nil)
	default:
		status := "200"
		if q.method == http.MethodPost {
			status = "201"
		}
		out.response(status, q.ref.String()+"/_history/"+got.VersionID(), got.VersionID(), got.Recorded(), nil)
	}
}

// request reads and checks one entry. Errors name the entry.
func (a *api) request(c access.Caller, e fhir.Node, at string) (request, error) {
	q := request{method: e.At("request.method").Text(), at: at}
	bad := func(code, text, where string) (request, error) {
		return q, &fhir.Error{Status: http.StatusBadRequest, Code: code, Text: text, Expression: at + where}
	}
	typ, id, _ := strings.Cut(e.At("request.url").Text(), "/")
	q.ref = fhir.Ref{Type: typ, ID: id}
	var needs auth.Interaction
	switch q.method {
	case http.MethodPost:
		needs, q.ref.ID = auth.Create, newID()
		if id != "" {
			return bad("not-supported", "A POST creates at a type's address; operations are not supported.", ".request.url")
		}
	case http.MethodPut:
		needs = auth.Update
	case http.MethodDelete:
		needs = auth.Delete
	default:
		return bad("not-supported", "Entries may be POST, PUT or DELETE.", ".request.method")
	}
	if !fhir.IsType(typ) || id != "" && !fhir.ValidID(id) || q.method != http.MethodPost && id == "" {
		return bad("not-supported", "The address must be Type or Type/id; conditional addresses are not supported.", ".request.url")
	}
	if !e.At("request.ifNoneExist").IsZero() || !e.At("request.ifMatch").IsZero() {
		return bad("not-supported", "Conditional entries are not supported.", ".request")
	}
	if c.May(needs, typ) == auth.Nothing {
		return q, &fhir.Error{Status: http.StatusForbidden, Code: "forbidden", Text: "The token's scopes do not allow this on " + typ + ".", Expression: at}
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
		if known := (*fhir.Error)(nil); errors.As(err, &known) {
			known.Expression = at + ".resource: " + known.Expression
		}
		return q, err
	}
	return q, nil
}
