package fhirapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/mux"

	"firebreak/access"
	"firebreak/access/accesstest"
	"firebreak/adapters"
	"firebreak/audit"
	"firebreak/auth"
	"firebreak/fhir"
	"firebreak/fhir/fhirxml"
	"firebreak/fhir/r4def"
	"firebreak/fhirapi"
	"firebreak/hospital"
	"firebreak/inbox"
	"firebreak/internal/pgtest"
	"firebreak/label"
	"firebreak/mapping"
	"firebreak/pipeline"
	"firebreak/policy"
	"firebreak/record"
	"firebreak/web"
)

// world is the API over a real record, with its pipeline running, at a
// standing clock.
type world struct {
	t      testing.TB
	router http.Handler
	record *record.Record
	pipe   *pipeline.Pipeline
	log    *audit.Log
	audit  string // folder
	now    *atomic.Int64

	subscribing *fhirapi.Subscribing
	reader      *record.Reader // of router
	then        func()         // done when a push is applied and not answered yet
}

const base = "https://gateway.test/fhir"

func newWorld(t testing.TB) *world {
	t.Helper()
	return newNode(t, filepath.Join(t.TempDir(), "record.db"))
}

// onBoth tests with each kind of database.
func onBoth(t *testing.T, test func(t *testing.T, open func(testing.TB) *world)) {
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); test(t, newWorld) })
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, func(t testing.TB) *world { return newNode(t, pgtest.DSN(t)) })
	})
}

// newNode is a world on a database that others may share.
func newNode(t testing.TB, dsn string) *world {
	t.Helper()
	w := &world{t: t, now: new(atomic.Int64), audit: filepath.Join(t.TempDir(), "audit")}
	w.now.Store(accesstest.Now.UnixNano())
	log, err := audit.Open(w.audit, w.clock)
	must(t, err)
	rules, err := label.Default()
	must(t, err)
	w.record, err = record.Open(t.Context(), record.Config{DSN: dsn, Now: w.clock, Log: log, Rules: rules, Secret: []byte("0123456789abcdef0123456789abcdef")})
	must(t, err)
	w.pipe = pipeline.New(w.record, mapping.NewKeys([]byte("0123456789abcdef")), rules, pipeline.Config{})
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := w.pipe.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stop()
		running.Wait()
		must(t, errors.Join(w.record.Close(), log.Close()))
	})
	w.log = log
	return w.under(policy.Demo())
}

// under is the same record behind another policy.
func (w *world) under(file []byte) *world {
	w.t.Helper()
	policies, err := policy.Load(file)
	must(w.t, err)
	reader := w.record.Reader(policies)
	other := *w
	quiet := slog.New(slog.DiscardHandler)
	guard, err := web.New(web.Config{Sessions: nobody{}, Tokens: accesstest.Verifier(w.t), Door: door{}, Audit: w.log.Append, Now: w.clock, Log: quiet})
	must(w.t, err)
	r := mux.NewRouter().SkipClean(true)
	must(w.t, fhirapi.Register(r, "/fhir", fhirapi.Config{
		Base: base, Version: "test", Guard: guard, Reader: reader, Audit: w.log, Now: w.clock, Log: quiet,
		Smart: func(context.Context) ([]byte, error) { return []byte(`{"issuer":"https://issuer.test"}`), nil },
		Push:  &adapters.Push{Sink: w.pipe, Applied: other.applied, Now: w.clock}, Subscribing: w.subscribing,
	}))
	other.router, other.reader = guard.Wrap(r), reader
	return &other
}

func (w *world) applied(ctx context.Context, id inbox.ID) error {
	err := w.pipe.Applied(ctx, id)
	if w.then != nil {
		w.then()
	}
	return err
}

func (w *world) clock() time.Time      { return time.Unix(0, w.now.Load()).UTC() }
func (w *world) later(d time.Duration) { w.now.Add(int64(d)) }

type nobody struct{}

func (nobody) Session(*http.Request, bool) (web.Session, error) { return web.Session{}, nil }

// door admits by what accesstest's callers are: the subject is the role, and a
// client's subject tells the source it pushes as.
type door struct{}

func (door) Person(context.Context, auth.Identity, string, string) (access.Caller, error) {
	return access.Caller{}, access.ErrLogin
}

func (door) Officer(context.Context, auth.Identity, string) (access.Officer, error) {
	return access.Officer{}, access.ErrRole
}

func (door) Operator(context.Context, auth.Identity, string) (access.Operator, error) {
	return access.Operator{}, access.ErrRole
}

func (door) Token(_ context.Context, id auth.Identity) (access.Caller, error) {
	if id.IsClient() {
		name, kind, _ := strings.Cut(id.Client(), "/")
		c := access.Client{ID: id.Client(), Issuer: accesstest.Issuer, Name: name, Active: true, Source: name, Scopes: []string{"system/*.cruds"}}
		switch kind {
		case "reader":
			c.Source = ""
		case "source":
			c.Audience = access.Source
		case "auditor":
			c.Audience, c.Source = access.Auditor, ""
		}
		return access.AdmitClient(id, c, accesstest.Now)
	}
	m := access.Membership{ID: "m", Login: access.Login{Issuer: accesstest.Issuer, Subject: id.Subject()}, Person: "p", Role: access.Role(id.Subject()), Worksite: "clinic", Active: true}
	return access.Admit(id, m, accesstest.Clinic, accesstest.Now)
}

// Tokens. A client's name is the source it pushes as.

func client(t testing.TB, name, scope string) string {
	return accesstest.Token(t, map[string]any{"sub": name, "client_id": name, "scope": scope})
}

func person(t testing.TB, role, scope, patient string) string {
	claims := map[string]any{"sub": role, "client_id": "app", "scope": scope}
	if patient != "" {
		claims["patient"] = patient
	}
	return accesstest.Token(t, claims)
}

func (w *world) backend() string   { return client(w.t, "ehr", "system/*.cruds") }
func (w *world) physician() string { return person(w.t, "physician", "user/*.rs", "") }

// ask is one request. Its headers are "Name: value".
type ask struct {
	method, path string // below the base; or a whole address
	token        string
	body         string
	headers      []string
}

// answer is what came back.
type answer struct {
	*httptest.ResponseRecorder
	body []byte
}

// do sends a request and holds the answer to what every answer must be.
func (w *world) do(a ask) answer {
	w.t.Helper()
	path := strings.TrimPrefix(a.path, base)
	r := httptest.NewRequest(a.method, "/", strings.NewReader(a.body))
	r.URL.Path, r.URL.RawQuery, _ = strings.Cut("/fhir"+path, "?")
	r.RequestURI = "/fhir" + path
	if a.token != "" {
		r.Header.Set("Authorization", "Bearer "+a.token)
	}
	if a.body != "" {
		r.Header.Set("Content-Type", "application/fhir+json")
	}
	if strings.Contains(path, "/Binary/") && !slices.ContainsFunc(a.headers, func(h string) bool { return strings.HasPrefix(h, "Accept: ") }) {
		r.Header.Set("Accept", "application/fhir+json") // else it is a file, see TestFiles
	}
	for _, h := range a.headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
		if name == "Content-Type" {
			r.Header.Set(name, value)
		}
	}
	rec := httptest.NewRecorder()
	w.router.ServeHTTP(rec, r)
	got := answer{rec, rec.Body.Bytes()}
	w.sane(a, got)
	return got
}

// sane holds any answer to HTTP and R4.
func (w *world) sane(a ask, got answer) {
	w.t.Helper()
	fail := func(text string) {
		w.t.Helper()
		w.t.Errorf("%s %s: %d: %s\n%.600s", a.method, a.path, got.Code, text, got.body)
	}
	h := got.Header()
	if got.Code >= 500 {
		fail("our own fault")
	}
	kept := "no-store"
	if strings.HasSuffix(a.path, "smart-configuration") && got.Code == http.StatusOK { // the same for everyone
		kept = "public, max-age=300"
	}
	if h.Get("Cache-Control") != kept || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("X-Request-Id") == "" || h.Get("Access-Control-Allow-Origin") != "*" {
		fail("headers")
	}
	if (got.Code == http.StatusMethodNotAllowed) != (h.Get("Allow") != "") && a.method != http.MethodOptions {
		fail("405 and Allow belong together")
	}
	if (got.Code == http.StatusUnauthorized) != (h.Get("WWW-Authenticate") != "") && got.Code != http.StatusForbidden {
		fail("401 and WWW-Authenticate belong together")
	}
	if len(got.body) == 0 {
		if a.method != http.MethodHead && !slices.Contains([]int{http.StatusNotModified, http.StatusNoContent}, got.Code) && (got.Code >= 300 || a.method == http.MethodGet) {
			fail("no body")
		}
		return
	}
	if a.method == http.MethodHead {
		fail("a body to HEAD")
	}
	if (strings.HasSuffix(a.path, "smart-configuration") || strings.HasPrefix(strings.TrimPrefix(a.path, base), "/bulk/")) && got.Code == http.StatusOK {
		return
	}
	if h.Get("Content-Disposition") == "attachment" { // a file
		return
	}
	read := fhir.Parse
	switch h.Get("Content-Type") {
	case "application/fhir+json; charset=utf-8":
	case "application/fhir+xml; charset=utf-8":
		read = fhirxml.Read
	default:
		fail("Content-Type " + h.Get("Content-Type"))
	}
	res, err := read(got.body)
	if err != nil {
		fail("not a resource: " + err.Error())
		return
	}
	if (got.Code >= 400 || got.Code == http.StatusAccepted) != (res.Type() == "OperationOutcome") && !strings.HasPrefix(strings.TrimPrefix(a.path, base), "/OperationOutcome") && !slices.Contains(a.headers, "Prefer: return=OperationOutcome") && !strings.Contains(a.path, "/$validate") {
		fail("a " + res.Type())
	}
	for _, p := range r4def.Check(res) {
		if !p.Slight {
			fail(p.String())
		}
	}
}

func (w *world) get(token, path string, headers ...string) answer {
	w.t.Helper()
	return w.do(ask{method: http.MethodGet, path: path, token: token, headers: headers})
}

// want fails unless the status is as given.
func (a answer) want(t testing.TB, status int) answer {
	t.Helper()
	if a.Code != status {
		t.Errorf("status %d, want %d\n%.600s", a.Code, status, a.body)
	}
	return a
}

func (a answer) resource(t testing.TB) fhir.Resource {
	t.Helper()
	r, err := fhir.Parse(a.body)
	must(t, err)
	return r
}

// ids are "Type/id" of a Bundle's entries of one search mode; "" is any.
func (a answer) ids(t testing.TB, mode string) []string {
	t.Helper()
	var out []string
	for e := range a.resource(t).All("entry") {
		if m := e.At("search.mode").Text(); mode == "" || m == mode {
			out = append(out, e.At("resource.resourceType").Text()+"/"+e.At("resource.id").Text())
		}
	}
	return out
}

func (a answer) total(t testing.TB) string { return a.resource(t).Get("total").Text() }

func (a answer) link(t testing.TB, relation string) string {
	t.Helper()
	for l := range a.resource(t).All("link") {
		if l.Get("relation").Is(relation) {
			return l.Get("url").Text()
		}
	}
	return ""
}

// place is the OperationOutcome's first expression.
func (a answer) place(t testing.TB) string {
	return a.resource(t).Root().At("issue.expression").Text()
}

func (w *world) message(source string, body []byte) {
	w.t.Helper()
	_, err := w.pipe.Put(w.t.Context(), inbox.Message{Source: source, Kind: inbox.HL7v2, Peer: "test", Received: w.clock(), Body: body})
	must(w.t, err)
}

func (w *world) idle() {
	w.t.Helper()
	s, err := w.record.Stats(w.t.Context())
	must(w.t, err)
	for id := inbox.ID(1); id <= s.Last; id++ {
		if err := w.pipe.Applied(w.t.Context(), id); err != nil {
			w.t.Fatal(err)
		}
	}
}

// hospital loads a synthetic hospital of n people, AYAN first.
func (w *world) hospital(n int) {
	w.t.Helper()
	for _, m := range hospital.New(7, n, w.clock()).Messages() {
		w.message("hospital", m.Body)
	}
	w.idle()
}

// ayan is the Patient whose chart holds the planted secrets.
func (w *world) ayan() string {
	w.t.Helper()
	ids := w.get(w.physician(), "/Patient?family=Ayan&birthdate=1971-02-03").want(w.t, 200).ids(w.t, "match")
	if len(ids) != 1 {
		w.t.Fatalf("found %v", ids)
	}
	return strings.TrimPrefix(ids[0], "Patient/")
}

// put pushes a resource by update, and fails unless that succeeds.
func (w *world) put(token, resource string) answer {
	w.t.Helper()
	r, err := fhir.Parse([]byte(resource))
	must(w.t, err)
	got := w.do(ask{method: http.MethodPut, path: "/" + r.Ref().String(), token: token, body: resource})
	if got.Code != 200 && got.Code != 201 {
		w.t.Fatalf("%s: %d\n%.600s", r.Ref(), got.Code, got.body)
	}
	return got
}

// events are the audit log's lines.
func (w *world) events() []map[string]any {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(w.audit, "*.jsonl"))
	must(w.t, err)
	var all []map[string]any
	for _, f := range files {
		b, err := os.ReadFile(f)
		must(w.t, err)
		for line := range bytes.Lines(bytes.TrimRight(b, "\x00")) { // the log is open: zeros follow
			var e map[string]any
			must(w.t, json.Unmarshal(line, &e))
			all = append(all, e)
		}
	}
	return all
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return b
}

// bundle is a transaction or batch: each entry is "METHOD address|fullUrl|resource".
func bundle(kind string, entries ...string) string {
	var b strings.Builder
	b.WriteString(`{"resourceType":"Bundle","type":"` + kind + `"`)
	for i, e := range entries {
		if i == 0 {
			b.WriteString(`,"entry":[`)
		} else {
			b.WriteByte(',')
		}
		request, rest, _ := strings.Cut(e, "|")
		full, resource, _ := strings.Cut(rest, "|")
		method, address, _ := strings.Cut(request, " ")
		b.WriteByte('{')
		if full != "" {
			b.WriteString(`"fullUrl":"` + full + `",`)
		}
		if resource != "" {
			b.WriteString(`"resource":` + resource + `,`)
		}
		b.WriteString(`"request":{"method":"` + method + `","url":"` + address + `"}}`)
	}
	if len(entries) > 0 {
		b.WriteByte(']')
	}
	b.WriteByte('}')
	return b.String()
}
