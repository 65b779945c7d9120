package web

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/mux"

	"firebreak/access"
	"firebreak/access/accesstest"
	"firebreak/audit"
	"firebreak/auth"
	"firebreak/fhir"
)

// house is a guard with sessions, tokens and a door that a test sets.
type house struct {
	t        *testing.T
	session  Session
	used     int // uses of the session
	admit    access.Caller
	officer  access.Officer
	operator access.Operator
	refuse   error // what the door says instead
	verify   error
	audited  []audit.Event
	broken   error // of the audit log
	log      bytes.Buffer
	guard    *Guard
	router   *mux.Router
	pages    Pages
	now      time.Time
}

func (h *house) Session(r *http.Request, use bool) (Session, error) {
	if use {
		h.used++
	}
	return h.session, nil
}

func (h *house) Verify(ctx context.Context, token string) (auth.Identity, error) {
	return accesstest.Identity(h.t, map[string]any{"sub": "lee", "client_id": "app"}), h.verify
}

func (h *house) Person(context.Context, auth.Identity, string, string) (access.Caller, error) {
	return h.admit, h.refuse
}

func (h *house) Officer(context.Context, auth.Identity, string) (access.Officer, error) {
	return h.officer, h.refuse
}

func (h *house) Operator(context.Context, auth.Identity, string) (access.Operator, error) {
	return h.operator, h.refuse
}

func (h *house) Token(context.Context, auth.Identity) (access.Caller, error) {
	return h.admit, h.refuse
}

func newHouse(t *testing.T, change ...func(*Config)) *house {
	h := &house{t: t, now: accesstest.Now, admit: accesstest.Person(t, access.Physician)}
	c := Config{
		Sessions: h, Tokens: h, Door: h, Secure: true,
		Audit:    func(_ context.Context, e audit.Event) error { h.audited = append(h.audited, e); return h.broken },
		PageBody: 1000, APIBody: 2000,
		Now: func() time.Time { return h.now }, Log: slog.New(slog.NewTextHandler(&h.log, nil)),
	}
	for _, f := range change {
		f(&c)
	}
	var err error
	if h.guard, err = New(c); err != nil {
		t.Fatal(err)
	}
	h.router = mux.NewRouter()
	h.pages = Pages{Guard: h.guard, SignIn: "/", Ended: "/signed-out", Choose: "/worksite", Show: func(w http.ResponseWriter, r *http.Request, p Problem) {
		_ = Write(w, r, p.Status, "text/html", fmt.Appendf(nil, "<p>%s %s", p.Text, p.Reference))
	}}
	return h
}

func (h *house) signIn() {
	h.session = Session{Key: "k", Identity: accesstest.Identity(h.t, map[string]any{"sub": "lee", "client_id": "app"}), Worksite: "clinic", Left: time.Minute}
}

func (h *house) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.guard.Wrap(h.router).ServeHTTP(w, r)
	return w
}

func (h *house) get(path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return h.do(r)
}

func hello(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	return Write(w, r, http.StatusOK, "text/plain", []byte("hello "+c.Name()))
}

// A guard that lacks a part is none.
func TestAGuardNeedsAllItsParts(t *testing.T) {
	h := newHouse(t)
	whole := h.guard.config
	for name, take := range map[string]func(*Config){
		"sessions": func(c *Config) { c.Sessions = nil }, "tokens": func(c *Config) { c.Tokens = nil },
		"door": func(c *Config) { c.Door = nil }, "audit": func(c *Config) { c.Audit = nil },
	} {
		c := whole
		take(&c)
		if _, err := New(c); err == nil {
			t.Errorf("a guard without %s was made", name)
		}
	}
}

// Every answer carries the headers, whatever it says: a page, a refusal, an
// error, an address that does not exist.
func TestEveryAnswerIsHardened(t *testing.T) {
	h := newHouse(t)
	h.signIn()
	h.router.Handle("/page", h.pages.Page(hello))
	h.router.Handle("/api", h.guard.API(hello))
	h.router.Handle("/open", h.guard.OpenAPI(func(w http.ResponseWriter, r *http.Request) error { return hello(w, r, access.Caller{}) }))
	h.router.Handle("/panic", h.pages.Page(func(http.ResponseWriter, *http.Request, access.Caller) error { panic("Mr Secret") }))
	for _, path := range []string{"/page", "/api", "/open", "/panic", "/none"} {
		got := h.get(path).Header()
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"X-Frame-Options": "DENY", "Cross-Origin-Opener-Policy": "same-origin",
			"Strict-Transport-Security": "max-age=31536000; includeSubDomains",
		} {
			if got.Get(name) != want {
				t.Errorf("%s: %s = %q, want %q", path, name, got.Get(name), want)
			}
		}
		policy := got.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: Content-Security-Policy = %q", path, policy)
		}
		if got.Get("Permissions-Policy") == "" || len(got.Get("X-Request-Id")) < 20 {
			t.Errorf("%s: headers are missing: %v", path, got)
		}
	}
}

func TestWhoGetsIn(t *testing.T) {
	nobody := func(h *house) {}
	in := func(h *house) { h.signIn() }
	rows := []struct {
		name   string
		set    func(*house)
		path   string
		header []string
		status int
		body   string // contained
		to     string // Location
		audits int
	}{
		{"nobody at a page", nobody, "/page", nil, 303, "", "/", 0},
		{"an ended session at a page", nobody, "/page", []string{"Cookie", "firebreak=old"}, 303, "", "/signed-out", 0},
		{"a session without worksite", func(h *house) { h.signIn(); h.session.Worksite = "" }, "/page", nil, 303, "", "/worksite", 0},
		{"a member", in, "/page", nil, 200, "hello Test physician", "", 0},
		{"a member who is refused", func(h *house) { h.signIn(); h.refuse = access.ErrWorksite }, "/page", nil, 403, access.ErrWorksite.Text(), "", 1},
		{"a door that fails", func(h *house) { h.signIn(); h.refuse = errors.New("disk") }, "/page", nil, 500, "", "", 0},
		{"an audit log that fails", func(h *house) { h.signIn(); h.refuse = access.ErrEnded; h.broken = errors.New("full") }, "/page", nil, 500, "", "", 1},
		{"a session at the API", in, "/api", nil, 401, `"login"`, "", 0},
		{"a token at the API", nobody, "/api", []string{"Authorization", "Bearer abc"}, 200, "hello Test physician", "", 0},
		{"a token at a page", nobody, "/page", []string{"Authorization", "Bearer abc"}, 303, "", "/", 0},
		{"a bad token", func(h *house) { h.verify = errors.New("expired") }, "/api", []string{"Authorization", "Bearer abc"}, 401, `"login"`, "", 1},
		{"a provider that is away", func(h *house) { h.verify = fmt.Errorf("%w: time out", auth.ErrUnavailable) }, "/api", []string{"Authorization", "Bearer abc"}, 503, `"transient"`, "", 0},
		{"basic credentials", nobody, "/api", []string{"Authorization", "Basic abc"}, 401, `"login"`, "", 0},
		{"an empty token", nobody, "/api", []string{"Authorization", "Bearer "}, 401, `"login"`, "", 0},
		{"a token of somebody refused", func(h *house) { h.refuse = access.ErrRole }, "/api", []string{"Authorization", "bearer abc"}, 403, `"forbidden"`, "", 1},
		{"a token, for direct care", nobody, "/api", []string{"Authorization", "Bearer abc", "Purpose-Of-Use", "urn:oid:2.16.840.1.113883.5.8#TREAT"}, 200, "hello Test physician", "", 0},
		{"a token, for research", nobody, "/api", []string{"Authorization", "Bearer abc", "Purpose-Of-Use", "HRESCH"}, 403, `"forbidden"`, "", 1},
		{"a token, for direct care and payment", nobody, "/api", []string{"Authorization", "Bearer abc", "Purpose-Of-Use", "TREAT, HPAYMT"}, 403, `"forbidden"`, "", 1},
		{"a token, for payment and direct care in one", nobody, "/api", []string{"Authorization", "Bearer abc", "Purpose-Of-Use", "HPAYMT TREAT"}, 403, `"forbidden"`, "", 1},
		{"a token, for nothing", nobody, "/api", []string{"Authorization", "Bearer abc", "Purpose-Of-Use", ""}, 403, `"forbidden"`, "", 1},
		{"nobody at an open page", nobody, "/open", nil, 200, "open", "", 0},
		{"nobody at an officer's page", nobody, "/officer", nil, 303, "", "/", 0},
		{"an officer", in, "/officer", nil, 200, "hello Test privacy-officer", "", 0},
		{"a member who is no officer", func(h *house) { h.signIn(); h.refuse = access.ErrRole }, "/officer", nil, 403, access.ErrRole.Text(), "", 1},
		{"nobody at an operator's page", nobody, "/ops", nil, 303, "", "/", 0},
		{"an operator", in, "/ops", nil, 200, "hello Test operator", "", 0},
		{"a member who is no operator", func(h *house) { h.signIn(); h.refuse = access.ErrRole }, "/ops", nil, 403, access.ErrRole.Text(), "", 1},
		{"a token at an officer's page", nobody, "/officer", []string{"Authorization", "Bearer abc"}, 303, "", "/", 0},
		{"nobody where one must be signed in", nobody, "/signed-in", nil, 303, "", "/", 0},
		{"signed in without worksite where that is enough", func(h *house) { h.signIn(); h.session.Worksite = "" }, "/signed-in", nil, 200, "open", "", 0},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			h := newHouse(t)
			row.set(h)
			open := func(w http.ResponseWriter, r *http.Request) error {
				return Write(w, r, http.StatusOK, "text/plain", []byte("open"))
			}
			h.router.Handle("/page", h.pages.Page(hello))
			h.router.Handle("/api", h.guard.API(hello))
			h.officer = accesstest.Officer(t)
			h.router.Handle("/officer", h.pages.Officer(func(w http.ResponseWriter, r *http.Request, o access.Officer) error {
				return hello(w, r, o.Caller())
			}))
			h.operator = accesstest.Operator(t)
			h.router.Handle("/ops", h.pages.Operator(func(w http.ResponseWriter, r *http.Request, o access.Operator) error {
				return hello(w, r, o.Caller())
			}))
			h.router.Handle("/open", h.pages.Open(open))
			h.router.Handle("/signed-in", h.pages.SignedIn(open))
			w := h.get(row.path, row.header...)
			if w.Code != row.status || !strings.Contains(w.Body.String(), row.body) || w.Header().Get("Location") != row.to {
				t.Errorf("got %d %q to %q", w.Code, w.Body, w.Header().Get("Location"))
			}
			if len(h.audited) != row.audits {
				t.Errorf("audited %d, want %d", len(h.audited), row.audits)
			}
			for _, e := range h.audited {
				if !e.Refused || e.Detail != row.path && !strings.HasPrefix(e.Detail, row.path+", access: ") || e.Request != w.Header().Get("X-Request-Id") {
					t.Errorf("event = %+v", e)
				}
			}
			if (w.Code == 401) != (w.Header().Get("WWW-Authenticate") != "") {
				t.Error("401 and WWW-Authenticate belong together")
			}
		})
	}
}

// The log tells the method, the route, the status and the time, and nothing
// that stood in the address, in a header or in a panic.
func TestTheLogHoldsNobody(t *testing.T) {
	h := newHouse(t)
	h.signIn()
	h.router.Handle("/p/{h}", h.pages.Page(hello))
	h.router.Handle("/panic/{h}", h.pages.Page(func(http.ResponseWriter, *http.Request, access.Caller) error { panic("Secretson") }))
	h.get("/p/secrethandle?text=Secretson", "Cookie", "Secretson", "User-Agent", "Secretson")
	r := httptest.NewRequest("SECRETSON", "/p/x", nil)
	h.do(r)
	w := h.get("/panic/secrethandle")
	h.get("/secretson")
	log := h.log.String()
	if strings.Contains(strings.ToLower(log), "secret") {
		t.Errorf("the log tells too much:\n%s", log)
	}
	if !strings.Contains(log, "method=GET route=/p/{h} status=200") || !strings.Contains(log, "method=other") {
		t.Errorf("the log tells too little:\n%s", log)
	}
	reference := strings.TrimSpace(w.Body.String()[strings.LastIndex(w.Body.String(), " "):])
	if w.Code != 500 || !strings.HasPrefix(strings.ToUpper(w.Header().Get("X-Request-Id")), strings.ReplaceAll(reference, "-", "")) || len(reference) != 7 {
		t.Errorf("the reference %q does not lead to request %s", reference, w.Header().Get("X-Request-Id"))
	}
}

func TestErrorsAreShownInTheFamilysWay(t *testing.T) {
	h := newHouse(t)
	h.signIn()
	fails := func(err error) Handler {
		return func(http.ResponseWriter, *http.Request, access.Caller) error { return err }
	}
	inside := errors.New("pq: relation observation of Mr Secret is broken")
	h.router.Handle("/page/absent", h.pages.Page(fails(fhir.NotFound())))
	h.router.Handle("/page/broken", h.pages.Page(fails(inside)))
	h.router.Handle("/api/absent", h.guard.API(fails(fhir.NotFound())))
	h.router.Handle("/api/broken", h.guard.API(fails(inside)))
	for path, want := range map[string]string{
		"/page/absent": "404 text/html There is nothing to show at this address.",
		"/page/broken": "500 text/html <p>",
		"/api/absent":  "404 application/fhir+json There is nothing to show at this address.",
		"/api/broken":  "500 application/fhir+json OperationOutcome",
	} {
		w := h.get(path, "Authorization", "Bearer x")
		status, rest, _ := strings.Cut(want, " ")
		kind, text, _ := strings.Cut(rest, " ")
		if fmt.Sprint(w.Code) != status || !strings.HasPrefix(w.Header().Get("Content-Type"), kind) || !strings.Contains(w.Body.String(), text) {
			t.Errorf("%s: %d %s %s", path, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
		if strings.Contains(w.Body.String(), "Secret") {
			t.Errorf("%s shows what is inside", path)
		}
	}
}

func TestOtherSitesCannotMakeAPagePost(t *testing.T) {
	h := newHouse(t)
	h.signIn()
	h.router.Handle("/save", h.pages.Page(hello)).Methods(http.MethodPost)
	post := func(header ...string) int {
		r := httptest.NewRequest(http.MethodPost, "/save", strings.NewReader("a=b"))
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		return h.do(r).Code
	}
	if got := post("Sec-Fetch-Site", "cross-site"); got != 403 {
		t.Errorf("cross-site: %d", got)
	}
	if got := post("Origin", "https://evil.test"); got != 403 {
		t.Errorf("another origin: %d", got)
	}
	if got := post("Sec-Fetch-Site", "same-origin"); got != 200 {
		t.Errorf("same-origin: %d", got)
	}
}

func TestWhatIsSentIsBounded(t *testing.T) {
	h := newHouse(t)
	h.signIn()
	read := func(w http.ResponseWriter, r *http.Request, c access.Caller) error {
		if _, err := io.ReadAll(r.Body); err != nil {
			return err
		}
		return hello(w, r, c)
	}
	h.router.Handle("/page", h.pages.Page(read))
	h.router.Handle("/api", h.guard.API(read))
	for _, row := range []struct {
		path   string
		size   int
		status int
	}{{"/page", 1000, 200}, {"/page", 1001, 413}, {"/api", 2000, 200}, {"/api", 2001, 413}} {
		r := httptest.NewRequest(http.MethodPost, row.path, strings.NewReader(strings.Repeat("x", row.size)))
		r.Header.Set("Authorization", "Bearer x")
		if got := h.do(r).Code; got != row.status {
			t.Errorf("%s with %d bytes: %d, want %d", row.path, row.size, got, row.status)
		}
	}
}

// A rate limit counts requests of one asker. It knows nothing of what was asked.
func TestRateLimitsCountOneAskersRequests(t *testing.T) {
	h := newHouse(t, func(c *Config) { c.APIRate = Rate{PerSecond: 1, Burst: 2}; c.PageRate = Rate{PerSecond: 1, Burst: 2} })
	h.router.Handle("/api", h.guard.API(hello))
	h.router.Handle("/page", h.pages.Page(hello))
	h.router.Handle("/watch", h.pages.Watch(func(w http.ResponseWriter, r *http.Request) error { return nil }))
	h.signIn()
	codes := func(path string, n int) string {
		var all []string
		for range n {
			all = append(all, fmt.Sprint(h.get(path, "Authorization", "Bearer x").Code))
		}
		return strings.Join(all, " ")
	}
	if got := codes("/api", 3); got != "200 200 429" {
		t.Errorf("API: %s", got)
	}
	if got := codes("/page", 3); got != "200 200 429" {
		t.Errorf("pages: %s", got)
	}
	if got := codes("/watch", 3); got != "200 200 200" {
		t.Errorf("looking at the clock: %s", got)
	}
	h.now = h.now.Add(time.Second)
	if got := codes("/page", 2); got != "200 429" {
		t.Errorf("pages a second later: %s", got)
	}
	h.session.Key = "another"
	if got := codes("/page", 1); got != "200" {
		t.Errorf("another session: %s", got)
	}
}

func TestTheLimiterForgets(t *testing.T) {
	now := time.Unix(0, 0)
	l := newLimiter(Rate{PerSecond: 1, Burst: 1}, func() time.Time { return now })
	for i := range 3 * maxAskers {
		l.allow(fmt.Sprint(i))
	}
	if len(l.askers) > maxAskers {
		t.Errorf("%d askers are kept", len(l.askers))
	}
	now = now.Add(time.Hour)
	l.allow("x")
	if len(l.askers) != 1 {
		t.Errorf("%d askers are kept after an hour", len(l.askers))
	}
}

func TestWatchingIsNoUse(t *testing.T) {
	h := newHouse(t)
	h.signIn()
	nothing := func(w http.ResponseWriter, r *http.Request) error { return nil }
	h.router.Handle("/watch", h.pages.Watch(nothing))
	h.router.Handle("/open", h.pages.Open(nothing))
	h.get("/watch")
	if h.used != 0 {
		t.Error("looking at the clock counted as use")
	}
	h.get("/open")
	if h.used != 1 {
		t.Error("opening a page did not count as use")
	}
}

func TestCompression(t *testing.T) {
	long := strings.Repeat("a long page ", 500)
	for accept, packed := range map[string]bool{"gzip, br": true, "": false, "br": false, "gzip;q=0": false, "GZIP; q=0.5": true, "gzip;q=x": false} {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept-Encoding", accept)
		if err := Write(w, r, 200, "text/plain", []byte(long)); err != nil {
			t.Fatal(err)
		}
		body := io.Reader(w.Body)
		if (w.Header().Get("Content-Encoding") == "gzip") != packed {
			t.Errorf("Accept-Encoding %q: packed is not %v", accept, packed)
			continue
		}
		if packed {
			var err error
			if body, err = gzip.NewReader(body); err != nil {
				t.Fatal(err)
			}
		}
		got, err := io.ReadAll(body)
		if err != nil || string(got) != long {
			t.Errorf("Accept-Encoding %q: the page changed", accept)
		}
	}
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodHead, "/", nil)
	if err := Write(w, r, 200, "text/plain", []byte("abc")); err != nil || w.Body.Len() != 0 || w.Header().Get("Content-Length") != "3" {
		t.Error("HEAD had a body, or no length")
	}
}

// An error after the head has left cannot be told; nothing is appended.
func TestALateErrorAddsNothing(t *testing.T) {
	h := newHouse(t)
	h.signIn()
	h.router.Handle("/late", h.pages.Page(func(w http.ResponseWriter, r *http.Request, c access.Caller) error {
		_, _ = io.WriteString(w, "half")
		return errors.New("late")
	}))
	if w := h.get("/late"); w.Body.String() != "half" {
		t.Errorf("got %q", w.Body)
	}
	if !strings.Contains(h.log.String(), "late") {
		t.Error("the error is not in the log")
	}
}
