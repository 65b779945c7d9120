package send

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/mux"

	"firebreak/access"
	"firebreak/access/accesstest"
	"firebreak/adapters"
	"firebreak/adapters/peer"
	"firebreak/audit"
	"firebreak/auth"
	"firebreak/fhir"
	"firebreak/fhirapi"
	"firebreak/inbox"
	"firebreak/label"
	"firebreak/mapping"
	"firebreak/pipeline"
	"firebreak/policy"
	"firebreak/record"
	"firebreak/web"
)

// second is another Firebreak, to which this one sends. It is killed when its
// faults say so, and starts again on what is on disk.
type second struct {
	h        *house
	dir      string
	verifier *auth.Verifier
	token    string
	fault    func() fault

	mu      sync.Mutex // one request at a time
	router  http.Handler
	halfway http.Handler // which dies between storing a push and applying it
	close   func()
	kills   int
}

const (
	killedBefore = faults + iota // before the request is read
	killedHalf                   // when it is stored, and nothing else is done
	killedAfter                  // when it is done, before the answer
	allFaults
)

func (s *second) open() {
	log, err := audit.Open(filepath.Join(s.dir, "audit"), time.Now)
	s.h.must(err)
	rules, err := label.Default()
	s.h.must(err)
	r, err := record.Open(context.Background(), record.Config{DSN: "sqlite:" + filepath.Join(s.dir, "record.db"), Log: log, Rules: rules, Secret: []byte("the second's secret")})
	s.h.must(err)
	pipe := pipeline.New(r, mapping.NewKeys([]byte("keys of the second")), rules, pipeline.Config{})
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { _ = pipe.Run(ctx) })
	policies, err := policy.Load(policy.Demo())
	s.h.must(err)
	quiet, now := slog.New(slog.DiscardHandler), func() time.Time { return accesstest.Now }
	guard, err := web.New(web.Config{Sessions: nobody{}, Tokens: s.verifier, Door: nobody{}, Audit: log.Append, Now: now, Log: quiet})
	s.h.must(err)
	api := func(p *adapters.Push) http.Handler {
		m := mux.NewRouter().SkipClean(true)
		p.Now = time.Now
		s.h.must(fhirapi.Register(m, "/fhir", fhirapi.Config{
			Base: secondBase, Version: "second", Guard: guard, Reader: r.Reader(policies), Audit: log, Now: now, Log: quiet, Push: p,
			Smart: func(context.Context) ([]byte, error) { return nil, errReset },
		}))
		return guard.Wrap(m)
	}
	s.router = api(&adapters.Push{Sink: pipe, Applied: pipe.Applied})
	s.halfway = api(&adapters.Push{Sink: r, Applied: func(context.Context, inbox.ID) error { return errReset }})
	s.close = func() {
		stop()
		work.Wait()
		s.h.must(errors.Join(r.Close(), log.Close()))
	}
}

const secondBase = "http://127.0.0.1/fhir"

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

func (s *second) kill() {
	s.close()
	s.open()
	s.kills++
}

// ask has a handler answer.
func (s *second) ask(h http.Handler, r *http.Request) *http.Response {
	time.Sleep(2 * time.Millisecond) // so that no two come at one moment
	r = r.Clone(context.WithoutCancel(r.Context()))
	r.RequestURI, r.Host, r.RemoteAddr = r.URL.RequestURI(), r.URL.Host, "127.0.0.1:1"
	if r.Body == nil {
		r.Body = http.NoBody
	}
	r.Header.Set("Authorization", "Bearer "+s.token)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// has is what it has of a patient, in the order in which it came.
func (s *second) has(patient int) []string {
	r := httptest.NewRequest(http.MethodGet, fmt.Sprintf("%s/Communication?patient=s%d&_count=100&_sort=_lastUpdated", secondBase, patient), nil)
	r.Header.Set("Authorization", "Bearer "+s.token)
	w := httptest.NewRecorder()
	s.router.ServeHTTP(w, r)
	x, err := fhir.Parse(w.Body.Bytes())
	if err != nil || w.Code != http.StatusOK {
		s.h.t.Errorf("%d %s", w.Code, w.Body)
		return nil
	}
	var all []string
	for e := range x.All("entry.resource") {
		all = append(all, e.At("payload.contentString").Text())
	}
	return all
}

func (s *second) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch f := s.fault(); f {
	case lostBefore:
		return nil, errReset
	case tooMany:
		return answer(429, http.Header{"Retry-After": {"7"}}, ""), nil
	case unavailable:
		return answer(503, nil, ""), nil
	case broken:
		return answer(500, nil, ""), nil
	case killedBefore:
		s.kill()
		return nil, errReset
	case killedHalf:
		s.ask(s.halfway, r)
		s.kill()
		return nil, errReset
	case lostAfter, killedAfter:
		s.ask(s.router, r)
		if f == killedAfter {
			s.kill()
		}
		return nil, errReset
	case hangs:
		s.mu.Unlock()
		select {
		case <-r.Context().Done():
		case <-time.After(peer.HeaderTime):
		}
		s.mu.Lock()
		return nil, errReset
	}
	return s.ask(s.router, r), nil
}

// Between two Firebreaks: whatever fails on the way, and whenever either is
// killed, the second has what each patient wrote, once, in the order of writing.
func TestASecondFirebreakHasEachLetterOnce(t *testing.T) {
	const patients, lives = 2, 2
	verifier, token := accesstest.Verifier(t), accesstest.Token(t, map[string]any{"sub": "first", "client_id": "first", "scope": "system/*.cruds"})
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			dir := t.TempDir()
			within(t, func(h *house) {
				r := rand.New(rand.NewPCG(seed, 9))
				var lock sync.Mutex
				intn := func(n int) int { lock.Lock(); defer lock.Unlock(); return r.IntN(n) }
				s := &second{h: h, dir: dir, verifier: verifier, token: token, fault: func() fault { return none }}
				s.open()
				defer func() { s.close() }()
				for p := range patients {
					body := fmt.Sprintf(`{"resourceType":"Patient","id":"s%d","identifier":[{"system":"urn:mrn","value":"N%[1]d"}]}`, p)
					q, err := http.NewRequest(http.MethodPut, fmt.Sprintf("%s/Patient/s%d", secondBase, p), bytes.NewReader([]byte(body)))
					h.must(err)
					q.Header.Set("Content-Type", "application/fhir+json")
					if got := s.ask(s.router, q); got.StatusCode != http.StatusCreated {
						t.Fatal(got.Status)
					}
				}
				s.fault = func() fault {
					if intn(3) > 0 {
						return none
					}
					return fault(intn(int(allFaults)))
				}
				feed := func() *Feed {
					f := h.feed()
					f.Receiver = &FHIR{Server: peer.Server{Base: secondBase, Rate: 1000, Via: s, Now: time.Now}}
					return f
				}
				want := h.lives(lives, patients, intn, feed)
				s.mu.Lock()
				s.fault = func() fault { return none }
				s.mu.Unlock()
				h.run(feed(), 5*time.Minute, nil)
				if left := h.undone(); len(left) > 0 {
					t.Errorf("%d letters are left: %+v", len(left), left[0])
				}
				for p := range patients {
					if got := s.has(p); !slices.Equal(got, want[p]) {
						t.Errorf("of patient %d the second has %q, want %q", p, got, want[p])
					}
				}
				// A later version reaches the same resource.
				h.enter(http.MethodPut, "changes", message(1, "first words"))
				h.run(feed(), time.Minute, nil)
				h.enter(http.MethodPut, "changes", message(1, "other words"))
				h.run(feed(), time.Minute, nil)
				if got := s.has(1); slices.Contains(got, "first words") || !slices.Contains(got, "other words") {
					t.Errorf("after a change the second has %q", got)
				}
				if s.kills < 3 {
					t.Errorf("it was killed %d times: the test did not test", s.kills)
				}
			})
		})
	}
}
