package proof_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/mux"

	"firebreak/access"
	"firebreak/adapters"
	"firebreak/audit"
	"firebreak/auth"
	"firebreak/auth/smart"
	"firebreak/fhirapi"
	"firebreak/inbox"
	"firebreak/label"
	"firebreak/mapping"
	"firebreak/notify"
	"firebreak/pipeline"
	"firebreak/policy"
	"firebreak/record"
	"firebreak/registry"
	"firebreak/viewer"
	"firebreak/web"
)

const base = "https://gateway.test"

// secret keys everything that is keyed; the test computes ids with it, as
// somebody could who had it.
var secret = []byte("the key that both worlds share, of 32 bytes and more")

var vancouver = func() *time.Location {
	z, err := time.LoadLocation("America/Vancouver")
	if err != nil {
		panic(err)
	}
	return z
}()

// sources are the feeds of every world.
var sources = []mapping.Feed{
	{Source: "hospital", Zone: vancouver, Systems: map[string]string{"BCPHN": "https://fhir.infoway-inforoute.ca/NamingSystem/ca-bc-patient-healthcare-id", "MRN": "urn:oid:" + mrn}, Dialect: spoken("hospital")},
	{Source: "lab", Zone: vancouver, Systems: map[string]string{"MRN": "urn:oid:" + mrn}, Dialect: spoken("lab")},
	{Source: "ehr"},
}

var theRules = sync.OnceValues(label.Default)

// house is one running gateway: all real but for the sockets, the OpenID
// provider and the clock.
type house struct {
	dir    string
	dsn    string
	log    *audit.Log
	record *record.Record
	pipe   *pipeline.Pipeline
	desk   *registry.Registry
	stop   func() error
	logged bytes.Buffer // what the program logs
	logger *slog.Logger

	now    atomic.Int64 // microseconds
	random *rand.ChaCha8
	front  http.Handler
	reader *record.Reader            // of front
	loaded map[string]*policy.Policy // by the name of its file
	teller *notify.Teller
	told   hook
}

func (h *house) clock() time.Time { return time.UnixMicro(h.now.Load()).UTC() }

// door is the gateway while it answers by one policy.
type door struct {
	*house
	policy *policy.Policy
}

// scratch is a folder in memory where the system has one: the proof flushes
// to disk a million times.
func scratch(t testing.TB) string {
	t.Helper()
	parent := ""
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		parent = "/dev/shm"
	}
	dir, err := os.MkdirTemp(parent, "firebreak-proof-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// open starts a house on an empty database; dsn empty is a SQLite file.
func open(t testing.TB, dsn string) *house {
	t.Helper()
	h := &house{dir: scratch(t), dsn: dsn, random: rand.NewChaCha8([32]byte{})}
	if dsn == "" {
		h.dsn = "sqlite:" + filepath.Join(h.dir, "record.db")
	}
	h.now.Store(dawn.UnixMicro())
	h.logger = slog.New(slog.NewTextHandler(&h.logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h.start(t)
	return h
}

// start runs the house on what it kept.
func (h *house) start(t testing.TB) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	rules, err := theRules()
	must(err)
	codes, err := theCodes()
	must(err)
	h.log, err = audit.Open(filepath.Join(h.dir, "audit"), h.clock)
	must(err)
	ctx := context.Background()
	keys := mapping.NewKeys(secret, sources...)
	h.record, err = record.Open(ctx, record.Config{DSN: h.dsn, Now: h.clock, Log: h.log, Rules: rules, Secret: secret, Node: "proof", Logger: h.logger, Remake: pipeline.Remake(keys), Codes: codes})
	must(err)
	h.desk, err = registry.Open(ctx, "sqlite:"+filepath.Join(h.dir, "accounts.db"), h.clock)
	must(err)
	h.pipe = pipeline.New(h.record, keys, rules, pipeline.Config{Logger: h.logger})
	h.loaded = map[string]*policy.Policy{}
	h.furnish(t)
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- h.pipe.Run(running) }()
	stop := sync.OnceValue(func() error {
		cancel()
		err := <-ended
		for _, c := range []io.Closer{h.record, h.desk, h.log} {
			err = errors.Join(err, c.Close())
		}
		return err
	})
	h.stop = stop
	// Cleanups are kept until the last of all parallel tests has ended: this one
	// must not keep the house.
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// close ends a house and what it kept.
func (h *house) close() error { return errors.Join(h.stop(), os.RemoveAll(h.dir)) }

// furnish puts the API and the pages behind the house's front.
func (h *house) furnish(t testing.TB) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	h.reader = h.record.Reader(nil) // each question says by which policy
	router := mux.NewRouter()
	doors := &staff{}
	guard, err := web.New(web.Config{Sessions: doors, Tokens: doors, Door: doors, Audit: h.log.Append, Secure: true, Now: h.clock, Random: h, Log: h.logger})
	must(err)
	must(fhirapi.Register(router, "/fhir", fhirapi.Config{
		Base: base + "/fhir", Version: "proof", Guard: guard, Reader: h.reader, Audit: h.log, Now: h.clock, Log: h.logger,
		Smart: func(context.Context) ([]byte, error) { return []byte(`{}`), nil },
		Push:  &adapters.Push{Sink: h.pipe, Applied: h.pipe.Applied, Now: h.clock}, Subscribing: &fhirapi.Subscribing{To: []string{hooked}, Every: time.Minute},
	}))
	h.teller = &notify.Teller{
		Reader: h.reader, To: []string{hooked}, Every: time.Minute, Base: base + "/fhir", Via: &h.told, Now: h.clock, Log: h.logger,
		Admit: func(_ context.Context, s auth.Standing) (access.Caller, error) { return subscriber(t).caller, nil },
	}
	desk, err := registry.NewDesk(context.Background(), h.desk.DB(), h.clock)
	must(err)
	clients, err := smart.NewRegistry(context.Background(), h.desk.DB(), []smart.Client{
		{ID: "app", Name: "App", Redirects: []string{"https://app.test/"}, Launch: "https://app.test/launch", Scopes: "patient/*.rs user/*.rs"},
	}, smart.Limits{API: smart.MaxLimit, Token: smart.MaxLimit}, h.clock, h.logger)
	must(err)
	apps, err := smart.New(context.Background(), smart.Config{
		Base: base, Issuer: base, DB: h.desk.DB(), Clients: clients, Secret: secret, Now: h.clock, Logger: h.logger, Random: h, Registration: smart.Registration{Open: true},
	})
	must(err)
	pages, err := viewer.New(viewer.Config{
		Apps:  apps,
		Guard: guard, Reader: h.reader, Accounts: doors, Registry: doors, Office: h.reader.Office(), Ops: h.reader.Operations(h.pipe), Desk: desk, Audit: h.log.Append, Secret: secret,
		Zone: vancouver, Feeds: map[string]string{"hospital": "General Hospital", "lab": "City Laboratory"}, HelpLine: "604-555-0100", Now: h.clock,
	})
	must(err)
	pages.Routes(router)
	h.front = guard.Wrap(router)
}

// under is the house where rules are the policy file.
func (h *house) under(t testing.TB, rules policyFile) door {
	t.Helper()
	p := h.loaded[rules.name]
	if p == nil {
		var err error
		if p, err = policy.Load(rules.text); err != nil {
			t.Fatal(err)
		}
		h.loaded[rules.name] = p
	}
	return door{h, p}
}

// Read makes a house its own random source: the same for the same question.
func (h *house) Read(b []byte) (int, error) { return h.random.Read(b) }

// message is what a source sends.
type message struct {
	source  string
	kind    inbox.Kind
	control string
	at      time.Time // when it is received
	body    []byte
}

// tell puts a message into the house and waits until it is applied.
func (h *house) tell(m message) error {
	h.now.Store(m.at.UnixMicro())
	ctx := context.Background()
	if m.kind == decision {
		return h.decide(m.body)
	}
	receipt, err := h.pipe.Put(ctx, inbox.Message{Source: m.source, Kind: m.kind, ControlID: m.control, Peer: "192.0.2.7:4242", Received: m.at, Body: m.body})
	if err == nil {
		err = h.pipe.Applied(ctx, receipt.ID)
	}
	if held, ok := errors.AsType[*inbox.HeldError](err); ok && (strings.Contains(held.Reason, "visit") || strings.Contains(held.Reason, "before")) {
		err = nil // what cannot follow a visit that moved, and what changes of an appointment that was not told
	}
	again := func(typ string) bool { return bytes.Contains(m.body, []byte("|"+typ)) }
	for err == nil && (again("ADT^A45") || again("ADT^A44") || again("SIU^") || again("SRM^")) { // what follows it is applied again
		var stats record.Stats
		if stats, err = h.record.Stats(ctx); err != nil || stats.Pending == 0 {
			break
		}
		<-time.After(time.Millisecond)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", m.source, m.control, err)
	}
	return nil
}

// question is one request of one audience.
type question struct {
	who    *audience
	method string
	target string // path and query
	header http.Header
	form   string // body: a form, or JSON
	at     time.Time
	seed   uint64 // of what is random while it is answered
}

// answer is all that comes back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// exported is all that an ordered export leads to.
func (d door) exported(q question, a answer) answer {
	job, ok := strings.CutPrefix(a.header.Get("Content-Location"), base)
	if !ok {
		return a
	}
	get := func(method, target string) answer {
		q.method, q.target, q.form, q.header = method, target, "", nil
		return d.request(q)
	}
	next := func(method, target string) answer {
		b := get(method, target)
		a.body = append(a.body, b.String()...)
		return b
	}
	for get(http.MethodGet, job).status == http.StatusAccepted { // for how long depends on what else the machine does
	}
	list := next(http.MethodGet, job)
	for n := range strings.Count(string(list.body), job+"/") {
		next(http.MethodGet, job+"/"+strconv.Itoa(n))
	}
	next(http.MethodDelete, job)
	return a
}

func (d door) request(q question) answer {
	d.reader.Use(d.policy)
	d.now.Store(q.at.UnixMicro())
	var key [32]byte
	for i := range 8 {
		key[i] = byte(q.seed >> (8 * i))
	}
	d.random.Seed(key)
	var body io.Reader
	if q.form != "" {
		body = strings.NewReader(q.form)
	}
	r, err := http.NewRequest(q.method, base+q.target, body)
	if err != nil { // no client could send that
		return answer{}
	}
	r.RequestURI, r.RemoteAddr = q.target, "198.51.100.4:1234"
	for name, values := range q.header {
		r.Header[name] = values
	}
	if strings.HasPrefix(q.form, "{") {
		r.Header.Set("Content-Type", "application/fhir+json")
	} else if q.form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if q.form[0] == '{' {
			r.Header.Set("Content-Type", "application/fhir+json")
		}
	}
	if q.who.token != "" {
		r.Header.Set("Authorization", "Bearer "+q.who.token)
	}
	w := httptest.NewRecorder()
	d.front.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), audienceKey{}, q.who)))
	return answer{w.Code, w.Header(), w.Body.Bytes()}
}

type audienceKey struct{}

// staff is the doors of a house: who asks is who the test says.
type staff struct{}

func asking(ctx context.Context) *audience {
	a, _ := ctx.Value(audienceKey{}).(*audience)
	return a
}

func (*staff) Session(r *http.Request, _ bool) (web.Session, error) {
	return asking(r.Context()).session, nil
}

func (*staff) Verify(ctx context.Context, token string) (auth.Identity, error) {
	if a := asking(ctx); token == a.token {
		return a.caller.Identity(), nil
	}
	return auth.Identity{}, auth.ErrToken
}

func (*staff) Person(ctx context.Context, _ auth.Identity, worksite, _ string) (access.Caller, error) {
	if a := asking(ctx); worksite == a.caller.Worksite().ID {
		return a.caller, nil
	}
	return access.Caller{}, access.ErrPlace
}

func (*staff) Officer(context.Context, auth.Identity, string) (access.Officer, error) {
	return access.Officer{}, access.ErrRole
}

func (*staff) Operator(context.Context, auth.Identity, string) (access.Operator, error) {
	return access.Operator{}, access.ErrRole
}

func (*staff) Token(ctx context.Context, _ auth.Identity) (access.Caller, error) {
	return asking(ctx).caller, nil
}

func (*staff) Choices(ctx context.Context, _ auth.Identity) ([]registry.Place, error) {
	return asking(ctx).places, nil
}

func (*staff) Begin(w http.ResponseWriter, r *http.Request) error {
	http.Redirect(w, r, "https://issuer.test/authorize", http.StatusSeeOther)
	return nil
}

func (*staff) Complete(_ http.ResponseWriter, r *http.Request) (auth.Identity, bool, error) {
	return asking(r.Context()).session.Identity, r.URL.Query().Get("code") == "", nil
}

func (*staff) End(http.ResponseWriter, *http.Request) (string, error) {
	return "https://issuer.test/end", nil
}

func (*staff) Choose(*http.Request, string, string) error { return nil }

func (q question) String() string {
	s := q.who.name + ": " + q.method + " " + q.target
	if u, err := url.QueryUnescape(q.target); err == nil {
		s = q.who.name + ": " + q.method + " " + u
	}
	if q.form != "" {
		s += " with " + q.form
	}
	for name, v := range q.header {
		s += fmt.Sprintf(" (%s: %s)", name, strings.Join(v, ", "))
	}
	return s
}

func (a answer) String() string {
	var b strings.Builder
	b.WriteString(strconv.Itoa(a.status) + "\n")
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for k := range a.header {
			if !yield(k) {
				return
			}
		}
	}) {
		fmt.Fprintf(&b, "%s: %s\n", name, strings.Join(a.header[name], ", "))
	}
	b.WriteByte('\n')
	b.Write(a.body)
	return b.String()
}
