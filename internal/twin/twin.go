// Package twin is a whole Firebreak with its FHIR API, for tests of what goes on
// between two of them: it can be killed and started again on what is on disk.
package twin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/mux"

	"firebreak/access"
	"firebreak/access/accesstest"
	"firebreak/adapters"
	"firebreak/audit"
	"firebreak/auth"
	"firebreak/fhirapi"
	"firebreak/inbox"
	"firebreak/label"
	"firebreak/mapping"
	"firebreak/pipeline"
	"firebreak/policy"
	"firebreak/record"
	"firebreak/web"
)

// Base is the address of its API.
const Base = "http://127.0.0.1/fhir"

// Twin is a Firebreak to which one client speaks, which is a source. Its methods
// are for one goroutine at a time.
type Twin struct {
	Kills   int
	Halfway http.Handler // dies between storing a push and applying it

	t        testing.TB
	dir      string
	verifier *auth.Verifier
	token    string
	router   http.Handler
	close    func()
}

// New makes what a twin needs that outlives it. It is called outside of a bubble of
// synctest: keys are shared.
func New(t testing.TB) *Twin {
	return &Twin{dir: t.TempDir(), verifier: accesstest.Verifier(t),
		token: accesstest.Token(t, map[string]any{"sub": "first", "client_id": "first", "scope": "system/*.cruds"})}
}

func (w *Twin) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// Start starts it, on what is on disk.
func (w *Twin) Start(t testing.TB) {
	w.t = t
	log, err := audit.Open(filepath.Join(w.dir, "audit"), time.Now)
	w.must(err)
	rules, err := label.Default()
	w.must(err)
	r, err := record.Open(context.Background(), record.Config{DSN: "sqlite:" + filepath.Join(w.dir, "record.db"), Log: log, Rules: rules, Secret: []byte("the twin's secret")})
	w.must(err)
	pipe := pipeline.New(r, mapping.NewKeys([]byte("keys of the twin")), rules, pipeline.Config{})
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { _ = pipe.Run(ctx) })
	policies, err := policy.Load(policy.Demo())
	w.must(err)
	quiet, now := slog.New(slog.DiscardHandler), func() time.Time { return accesstest.Now }
	guard, err := web.New(web.Config{Sessions: nobody{}, Tokens: w.verifier, Door: nobody{}, Audit: log.Append, Now: now, Log: quiet})
	w.must(err)
	api := func(p *adapters.Push) http.Handler {
		m := mux.NewRouter().SkipClean(true)
		p.Now = time.Now
		w.must(fhirapi.Register(m, "/fhir", fhirapi.Config{
			Base: Base, Version: "twin", Guard: guard, Reader: r.Reader(policies), Audit: log, Now: time.Now, Log: quiet, Push: p,
			Smart: func(context.Context) ([]byte, error) { return nil, errDied },
		}))
		return guard.Wrap(m)
	}
	w.router = api(&adapters.Push{Sink: pipe, Applied: pipe.Applied})
	w.Halfway = api(&adapters.Push{Sink: r, Applied: func(context.Context, inbox.ID) error { return errDied }})
	w.close = func() {
		stop()
		work.Wait()
		w.must(errors.Join(r.Close(), log.Close()))
	}
}

var errDied = errors.New("it died")

// Stop ends it.
func (w *Twin) Stop() { w.close() }

// Kill ends it and starts it again.
func (w *Twin) Kill() {
	w.close()
	w.Start(w.t)
	w.Kills++
}

// Ask has it answer a request of its client; by Halfway when that is given.
func (w *Twin) Ask(r *http.Request, by ...http.Handler) *http.Response {
	time.Sleep(2 * time.Millisecond) // of the test's own time: no two come at one moment
	r = r.Clone(context.WithoutCancel(r.Context()))
	r.RequestURI, r.Host, r.RemoteAddr = r.URL.RequestURI(), r.URL.Host, "127.0.0.1:1"
	if r.Body == nil {
		r.Body = http.NoBody
	}
	r.Header.Set("Authorization", "Bearer "+w.token)
	answer := httptest.NewRecorder()
	append(by, w.router)[0].ServeHTTP(answer, r)
	return answer.Result()
}

// Put has the client update a resource, or delete it when resource is empty.
func (w *Twin) Put(ref, resource string) {
	w.t.Helper()
	method := http.MethodPut
	if resource == "" {
		method = http.MethodDelete
	}
	r := httptest.NewRequest(method, Base+"/"+ref, strings.NewReader(resource))
	r.Header.Set("Content-Type", "application/fhir+json")
	if got := w.Ask(r); got.StatusCode >= 300 {
		w.t.Fatalf("%s %s: %s", method, ref, got.Status)
	}
}

// nobody signs in; who has a token is a source.
type nobody struct{}

func (nobody) Session(*http.Request, bool) (web.Session, error) { return web.Session{}, nil }
func (nobody) Person(context.Context, auth.Identity, string, string) (access.Caller, error) {
	return access.Caller{}, access.ErrLogin
}
func (nobody) Officer(context.Context, auth.Identity, string) (access.Officer, error) {
	return access.Officer{}, access.ErrRole
}
func (nobody) Operator(context.Context, auth.Identity, string) (access.Operator, error) {
	return access.Operator{}, access.ErrRole
}
func (nobody) Token(_ context.Context, id auth.Identity) (access.Caller, error) {
	c := access.Client{ID: id.Client(), Issuer: accesstest.Issuer, Name: id.Client(), Active: true, Source: id.Client(), Scopes: []string{"system/*.cruds"}}
	return access.AdmitClient(id, c, accesstest.Now)
}
