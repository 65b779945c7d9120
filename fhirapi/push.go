package fhirapi

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"firebreak/access"
	"firebreak/adapters/rest"
	"firebreak/audit"
	"firebreak/auth"
	"firebreak/fhir"
	"firebreak/fhir/fhirxml"
	"firebreak/fhir/r4def"
	"firebreak/inbox"
	"firebreak/policy"
	"firebreak/web"
)

// A source changes only what it sent. What it can see and did not send it is
// told so (403); an id that is taken by something it cannot see gets the answer
// that any bad push gets (422), in the same words whatever took it.

// unserved is the type that is a request to the server itself: it is no data, so a
// source pushes none. See subscription.go.
const unserved = "Subscription"

// maxProblems bounds the issues of one OperationOutcome.
const maxProblems = 50

// request is one thing that a source asks to be changed: a request of its own
// or an entry of a Bundle.
type request struct {
	method      string
	ref         fhir.Ref      // its target; of what may be created, the id it is given then
	conditional bool          // it is looked for by query
	query       string        // R4 http.html#ccreate, #cond-update, #3.1.0.7.1
	res         fhir.Resource // zero for DELETE
	at          string        // "Bundle.entry[3]"; "" outside of Bundles
	header      http.Header   // its conditions; of a request of its own, all that it has
	get         string        // of an entry that reads: its address
}

// interaction is the request as a message.
func (q request) interaction() rest.Interaction {
	i := rest.Interaction{Method: q.method, Path: q.ref.String()}
	switch {
	case q.method == http.MethodPost:
		i.Path, i.None = q.ref.Type, q.query
	case q.conditional:
		i.Path = q.ref.Type + "?" + q.query
	}
	if id := q.assigned(); id != "" {
		i.Assigned = []string{id}
	}
	if !q.res.IsZero() {
		i.Resource = q.res.JSON()
	}
	if q.method != http.MethodPost {
		i.Expects = expects(q.header)
	}
	return i
}

// expects reads the conditions of a write. An empty If-Match is met by nothing.
func expects(h http.Header) (e rest.Expects) {
	if match := h.Values("If-Match"); len(match) > 0 {
		e.Match = cmp.Or(strings.Join(match, ","), `""`)
	}
	e.None = strings.Join(h.Values("If-None-Match"), ",")
	return e
}

// assigned is the id that was drawn for what may be created, if one was.
func (q request) assigned() string {
	if q.method == http.MethodPost || q.conditional && q.method == http.MethodPut && q.res.ID() == "" {
		return q.ref.ID
	}
	return ""
}

func (a *api) create(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	res, err := body(r)
	if err != nil {
		return err
	}
	q := request{method: http.MethodPost, ref: fhir.Ref{Type: target(r).Type, ID: newID()}, res: res}
	if err := named(res, q.ref.Type, ""); err != nil {
		return err
	}
	if none := r.Header.Values("If-None-Exist"); len(none) > 0 {
		q.conditional, q.query = true, strings.TrimPrefix(strings.Join(none, "&"), "?")
	}
	return a.change(w, r, c, q)
}

func (a *api) update(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	res, err := body(r)
	if err != nil {
		return err
	}
	q := request{method: http.MethodPut, ref: target(r), res: res}
	if q.ref.ID == "" {
		q.found(r.URL.RawQuery)
	}
	if err := named(res, q.ref.Type, q.ref.ID); err != nil {
		return err
	}
	if q.conditional && q.ref.ID == "" {
		q.ref.ID = newID()
	}
	return a.change(w, r, c, q)
}

// delete ends a resource; what is not there, or not for the caller to know of,
// is ended already.
func (a *api) delete(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	q := request{method: http.MethodDelete, ref: target(r)}
	if q.ref.ID == "" {
		q.found(r.URL.RawQuery)
	}
	return a.change(w, r, c, q)
}

// found says that the target is to be found. A resource that says its id asks to
// be created under it where nothing is.
func (q *request) found(query string) {
	q.conditional, q.query = true, query
	if q.method == http.MethodPut {
		q.ref.ID = q.res.ID()
	}
}

// change carries out a request of its own and answers it.
func (a *api) change(w http.ResponseWriter, r *http.Request, c access.Caller, q request) error {
	q.header = r.Header
	status, got, err := a.apply(r, c, &q)
	if err != nil {
		return err
	}
	if q.method != http.MethodDelete {
		w.Header().Set("Location", a.Base+"/"+location(q.ref, got))
	}
	if status == http.StatusNoContent || got.IsZero() {
		w.WriteHeader(status)
		return nil
	}
	validators(w, got)
	switch preference(r, "return") {
	case "minimal":
		w.WriteHeader(status)
		return nil
	case "OperationOutcome":
		return web.Resource(w, r, status, informed("information", "informational", "Stored."))
	}
	if c.May(auth.Read, q.ref.Type) == auth.Nothing || !got.Readable() {
		w.WriteHeader(status)
		return nil
	}
	return web.Resource(w, r, status, got.Resource().JSON())
}

// location is the version's address below the base.
func location(ref fhir.Ref, got policy.Released) string {
	if got.IsZero() {
		return ref.String()
	}
	return ref.String() + "/_history/" + got.VersionID()
}

// apply carries out one request. got is what the source then has under the id, zero
// when that is nothing or not known.
//
// What is looked for by a search, and the version that is expected, are compared here,
// so that little comes to the inbox that changes nothing, and again in the transaction
// that stores the change, on whatever node: see record.ErrMoved.
func (a *api) apply(r *http.Request, c access.Caller, q *request) (status int, got policy.Released, err error) {
	defer a.writes(*q)()
	if q.conditional && q.query == "" {
		return 0, got, without(rest.Change{Method: q.method, Ref: q.ref, At: q.at}.Condition())
	}
	status = http.StatusCreated
	i := q.interaction()
	i.Base = a.Base
	plan, err := i.Look(q.at)
	if err != nil {
		return 0, got, err
	}
	found, err := a.match(r, c, i, plan)
	if err != nil {
		return 0, got, err
	}
	now := *q
	stale := expected(plan, found)
	if stale == nil {
		now.be(found, 0)
	}
	if q.method != http.MethodPost && now.ref.ID != "" {
		before, err := a.standing(r, c, now)
		if err != nil {
			return 0, got, err
		}
		if !before[0].IsZero() {
			status = http.StatusOK
		}
	}
	if stale != nil {
		return 0, got, stale
	}
	id, found, err := a.push(r, c, i, plan, now)
	if err != nil {
		return 0, got, err
	}
	switch {
	case q.method == http.MethodDelete:
		q.be(found, 0)
		return http.StatusNoContent, got, nil
	case q.be(found, 0):
		status = http.StatusOK
	case q.conditional:
		status = http.StatusCreated
	}
	after, err := a.after(r, c, id, plan, *q)
	if err != nil {
		return 0, got, err
	}
	return status, after[0], nil
}

// be gives a request the id that was found for it, the nth; ok tells that one was.
func (q *request) be(found []string, n int) (ok bool) {
	if ok = found != nil && found[n] != ""; ok {
		q.ref.ID = found[n]
	}
	return ok
}

// match looks for what an interaction leaves to be found; nil when it leaves
// nothing.
func (a *api) match(r *http.Request, c access.Caller, i rest.Interaction, plan rest.Plan) ([]string, error) {
	if !i.Looks {
		return nil, nil
	}
	return a.Reader.Match(r.Context(), c, plan)
}

// without refuses a condition that would be met by anything.
func without(at string) error {
	return &fhir.Error{Status: http.StatusBadRequest, Code: "required", Text: "The condition is empty: it must say what to look for.", Expression: at}
}

// errStale refuses a write whose sender knows another version (R4
// http.html#concurrency).
func errStale(at string) error {
	return &fhir.Error{Status: http.StatusPreconditionFailed, Code: "conflict", Text: "There is another version than the request expects.", Expression: at}
}

// expected refuses an interaction that did not find what it expects.
func expected(plan rest.Plan, found []string) error {
	d, ok := plan.Decided(found)
	if !ok || d.Unmet < 0 {
		return nil
	}
	return errStale(plan.Changes[d.Unmet].At)
}

// standing is what the source has, or sees, under the ids of requests. It
// refuses ids under which the source sees what it did not send.
func (a *api) standing(r *http.Request, c access.Caller, all ...request) ([]policy.Released, error) {
	got, err := a.Reader.Standing(r.Context(), a.ask(r, c, "push"), refsOf(all))
	if err != nil {
		return nil, err
	}
	return got, a.mineAlone(r, c, got, all)
}

// writes is held while a write is carried out, alone when it depends on a version: what
// came to this process before it, with no condition, has its place before it then, not
// behind it and unseen. It gives what ends that.
func (a *api) writes(all ...request) (done func()) {
	if slices.ContainsFunc(all, func(q request) bool { return q.method != http.MethodPost && expects(q.header).Any() }) {
		a.writing.Lock()
		return a.writing.Unlock
	}
	a.writing.RLock()
	return a.writing.RUnlock
}

// after is what the source has of what it changed: of what depended on a version, the
// one that it made, on which its sender may build; of all else what there is now.
func (a *api) after(r *http.Request, c access.Caller, id inbox.ID, plan rest.Plan, all ...request) ([]policy.Released, error) {
	if !plan.Expects() {
		return a.standing(r, c, all...)
	}
	return a.Reader.Made(r.Context(), a.ask(r, c, "push"), id, refsOf(all))
}

func refsOf(all []request) []fhir.Ref {
	refs := make([]fhir.Ref, len(all))
	for i, q := range all {
		refs[i] = q.ref
	}
	return refs
}

// mineAlone refuses what another source sent.
func (a *api) mineAlone(r *http.Request, c access.Caller, got []policy.Released, all []request) error {
	for i, g := range got {
		if !g.IsZero() && g.Source() != c.Client().Source {
			if err := a.note(r, c, audit.Write, all[i].ref.Type+": another source's"); err != nil {
				return err
			}
			return &fhir.Error{Status: http.StatusForbidden, Code: "forbidden", Text: "A source changes only what it sent.", Expression: all[i].at}
		}
	}
	return nil
}

// push writes down who pushes what, then hands the interaction to the adapter. It
// gives what the interaction left to be found, as it was when it was applied.
func (a *api) push(r *http.Request, c access.Caller, i rest.Interaction, plan rest.Plan, all ...request) (inbox.ID, []string, error) {
	i.Request = web.RequestID(r)
	e := audit.Event{Time: a.Now(), Action: audit.Write, Caller: c, Detail: i.Method, Address: web.Address(r), Request: i.Request}
	for _, q := range all {
		if q.ref.ID != "" {
			e.Entities = append(e.Entities, q.ref)
		}
	}
	if err := a.Audit.Append(r.Context(), e); err != nil {
		return 0, nil, err
	}
	id, err := a.Push.Do(r.Context(), c.Client().Source, c.Client().ID, i)
	if err != nil || !i.Looks {
		return id, nil, notApplied(err)
	}
	found, err := a.Reader.Found(r.Context(), c, id)
	if err == nil {
		err = expected(plan, found)
	}
	return id, found, err
}

// notApplied says why what was pushed is not applied.
func notApplied(err error) error {
	if err == nil {
		return nil
	}
	if held, ok := errors.AsType[*inbox.HeldError](err); ok {
		return refused(held)
	}
	if errors.Is(err, inbox.ErrPaused) {
		return &fhir.Error{Status: http.StatusServiceUnavailable, Code: "transient", Text: "This source is paused. What you sent is kept and applied when it goes on: ask before sending it again.", Err: err}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &fhir.Error{Status: http.StatusServiceUnavailable, Code: "timeout", Text: "This took too long. It may be applied later: ask before sending it again.", Err: err}
	}
	return err
}

// refused says why a push is held. Its reason names a place of the Bundle, if
// any: "mapping: Bundle.entry[3].resource: not a valid resource".
func refused(held *inbox.HeldError) error {
	e := &fhir.Error{Status: http.StatusUnprocessableEntity, Code: "processing", Text: strings.TrimPrefix(held.Reason, "mapping: "), Err: held}
	text, doubtful := strings.CutPrefix(e.Text, "doubtful identity: ")
	if place, why, ok := strings.Cut(text, ": "); ok && (doubtful || strings.HasPrefix(place, "Bundle")) {
		if e.Expression, e.Text = place, why; doubtful {
			e.Text = "Doubtful identity: " + why + "."
		}
	}
	return e
}

// body reads the one resource of a request, exactly.
func body(r *http.Request) (fhir.Resource, error) {
	name, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	utf8 := params["charset"] == "" || strings.EqualFold(params["charset"], "utf-8")
	read, known := readers[name]
	if err != nil || !known || !utf8 || !plain(r) {
		return fhir.Resource{}, &fhir.Error{Status: http.StatusUnsupportedMediaType, Code: "invalid", Text: "Send application/fhir+json or application/fhir+xml, in UTF-8, not compressed."}
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return fhir.Resource{}, err
	}
	return read(b)
}

// readers are the media types that a body may have.
var readers = map[string]func([]byte) (fhir.Resource, error){
	"application/fhir+json": fhir.Parse, "application/json": fhir.Parse,
	"application/fhir+xml": fhirxml.Read, "application/xml": fhirxml.Read, "text/xml": fhirxml.Read,
}

// plain tells whether the body is sent as it is.
func plain(r *http.Request) bool {
	coding := r.Header.Get("Content-Encoding")
	return coding == "" || strings.EqualFold(coding, "identity")
}

// named refuses a body that is not what the address says, or not R4. Slight
// departures are taken as they come: refusing them would lose data, and the
// specification's own examples have them. A Subscription is no data: stored as such it
// would say that its sender is notified.
func named(res fhir.Resource, typ, id string) error {
	switch {
	case res.Type() != typ:
		return &fhir.Error{Status: http.StatusBadRequest, Code: "invalid", Text: "The resource is not of the address's type.", Expression: res.Type()}
	case id != "" && res.ID() != id:
		return &fhir.Error{Status: http.StatusBadRequest, Code: "invalid", Text: "The resource's id is not the address's.", Expression: res.Type() + ".id"}
	case typ == unserved:
		return &fhir.Error{Status: http.StatusUnprocessableEntity, Code: "not-supported", Text: "Subscriptions are not taken here or not so. Ask for what is new.", Expression: typ}
	}
	return sound(res)
}

// sound refuses what is not R4.
func sound(res fhir.Resource) error {
	var bad []fhir.Issue
	for _, p := range r4def.Check(res) {
		if !p.Slight && len(bad) < maxProblems {
			bad = append(bad, fhir.Issue{Code: "structure", Text: p.Text, Expression: p.Path})
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return &fhir.Error{Status: http.StatusUnprocessableEntity, Code: bad[0].Code, Text: bad[0].Text, Expression: bad[0].Expression, More: bad[1:]}
}

// newID is a fresh logical id, 130 bits, unguessable.
func newID() string { return strings.ToLower(rand.Text()) }
