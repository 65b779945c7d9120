package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"firebreak/auth"
	"firebreak/internal/pgtest"
	"firebreak/internal/sqldb"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// clock is moved by hand.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// fake is an OpenID provider that signs whatever a test wants signed.
type fake struct {
	*httptest.Server
	clock *clock

	mu        sync.Mutex
	keys      []jose.JSONWebKey // private; all are published
	issuer    string            // what discovery says
	extra     map[string]any    // more of discovery
	challenge map[string]string // by code
	idToken   string            // answer of the token endpoint
	access    string
	status    int // of the token endpoint, when not 200
	down      bool
	fetched   map[string]int // requests by path
}

func newFake(t testing.TB, c *clock) *fake {
	t.Helper()
	f := &fake{clock: c, keys: []jose.JSONWebKey{newKey(t, "k1")}, challenge: map[string]string{}, fetched: map[string]int{}, access: "opaque"}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	f.issuer = f.URL
	return f
}

func newKey(t testing.TB, kid string) jose.JSONWebKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: key, KeyID: kid, Algorithm: "ES256", Use: "sig"}
}

func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fake) count(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fetched[path]
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fetched[r.URL.Path]++
	if f.down {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		doc := map[string]any{
			"issuer": f.issuer, "authorization_endpoint": f.URL + "/authorize", "token_endpoint": f.URL + "/token",
			"jwks_uri": f.URL + "/keys", "end_session_endpoint": f.URL + "/end?theme=dark",
		}
		maps.Copy(doc, f.extra)
		_ = json.NewEncoder(w).Encode(doc)
	case "/keys":
		var set jose.JSONWebKeySet
		for _, k := range f.keys {
			set.Keys = append(set.Keys, k.Public())
		}
		_ = json.NewEncoder(w).Encode(set)
	case "/token":
		sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		want, ok := f.challenge[r.PostFormValue("code")]
		if f.status != 0 {
			w.WriteHeader(f.status)
			return
		}
		if !ok || want != base64.RawURLEncoding.EncodeToString(sum[:]) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"error":"invalid_grant","error_description":"secret words"}`))
			return
		}
		delete(f.challenge, r.PostFormValue("code"))
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": f.access, "token_type": "Bearer", "expires_in": 60, "id_token": f.idToken})
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// sign is a compact JWT of claims under the first key; header may be changed.
func (f *fake) sign(t testing.TB, claims map[string]any, header map[string]any) string {
	t.Helper()
	return signWith(t, f.keys[0], claims, header)
}

// signWith builds the JWT by hand, so that any header can be written.
func signWith(t testing.TB, key jose.JSONWebKey, claims, header map[string]any) string {
	t.Helper()
	h := map[string]any{"alg": "ES256", "kid": key.KeyID}
	maps.Copy(h, header)
	maps.DeleteFunc(h, func(_ string, v any) bool { return v == nil })
	input := segment(t, h) + "." + segment(t, claims)
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key.Key.(*ecdsa.PrivateKey), sum[:])
	if err != nil {
		t.Fatal(err)
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return input + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func segment(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// with is base with changes; nil removes a claim.
func with(base, change map[string]any) map[string]any {
	all := maps.Clone(base)
	maps.Copy(all, change)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return all
}

func (f *fake) provider(t testing.TB) *auth.Provider {
	t.Helper()
	p, err := auth.NewProvider(auth.ProviderConfig{Issuer: f.URL, Now: f.clock.now, Client: f.Client()})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func sqlite(t testing.TB) *sqldb.DB { return openDB(t, filepath.Join(t.TempDir(), "accounts.db")) }

func openDB(t testing.TB, dsn string) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(t.Context(), dsn, "test", fstest.MapFS{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// onBoth runs a test on SQLite and on PostgreSQL.
func onBoth(t *testing.T, f func(*testing.T, *sqldb.DB)) {
	t.Run("sqlite", func(t *testing.T) { f(t, sqlite(t)) })
	t.Run("postgres", func(t *testing.T) { f(t, openDB(t, pgtest.DSN(t))) })
}

// gateway is the relying party under test.
type gateway struct {
	*fake
	sessions *auth.Sessions
	signIn   *auth.SignIn
}

const (
	clientID = "gw"
	callback = "https://gw.test/signed-in"
	goodbye  = "https://gw.test/signed-out"
)

func newGateway(t testing.TB, f *fake, db *sqldb.DB, s auth.SessionConfig, acr ...string) *gateway {
	t.Helper()
	if s.Now == nil {
		s.Now = f.clock.now
	}
	sessions, err := auth.NewSessions(t.Context(), db, s)
	if err != nil {
		t.Fatal(err)
	}
	signIn, err := auth.NewSignIn(f.provider(t), sessions, auth.SignInConfig{
		ClientID: clientID, ClientSecret: "s3cret", Redirect: callback, SignedOut: goodbye, ACR: acr,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &gateway{f, sessions, signIn}
}

// browser keeps cookies as a browser does.
type browser struct{ cookies map[string]*http.Cookie }

func newBrowser() *browser { return &browser{map[string]*http.Cookie{}} }

func (b *browser) request(target string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for _, c := range b.cookies {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	return r
}

func (b *browser) take(w *httptest.ResponseRecorder) []*http.Cookie {
	set := w.Result().Cookies()
	for _, c := range set {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c
		}
	}
	return set
}

// begin starts a sign-in and returns what the provider was asked.
func (g *gateway) begin(t testing.TB, b *browser, back string) url.Values {
	t.Helper()
	w := httptest.NewRecorder()
	if err := g.signIn.Begin(w, b.request("/sign-in"), back); err != nil {
		t.Fatal(err)
	}
	b.take(w)
	u, err := url.Parse(w.Header().Get("Location"))
	if err != nil || !strings.HasPrefix(u.String(), g.URL+"/authorize?") {
		t.Fatalf("sent to %s (%v)", u, err)
	}
	return u.Query()
}

// claims are those of a good ID token for the question q.
func (g *gateway) claims(q url.Values) map[string]any {
	now := g.clock.now()
	return map[string]any{
		"iss": g.URL, "sub": "maya", "aud": clientID, "nonce": q.Get("nonce"), "name": "Dr Maya",
		"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	}
}

// answer has the provider accept q with this ID token, and comes back.
func (g *gateway) answer(t testing.TB, b *browser, q url.Values, idToken string) (auth.Session, string, []*http.Cookie, error) {
	t.Helper()
	g.set(func() { g.challenge["code"], g.idToken = q.Get("code_challenge"), idToken })
	return g.complete(b, url.Values{"code": {"code"}, "state": {q.Get("state")}})
}

func (g *gateway) complete(b *browser, answer url.Values) (auth.Session, string, []*http.Cookie, error) {
	w := httptest.NewRecorder()
	s, back, err := g.signIn.Complete(w, b.request("/signed-in?"+answer.Encode()))
	return s, back, b.take(w), err
}

// signedIn is a browser with a session.
func (g *gateway) signedIn(t testing.TB) (*browser, auth.Session) {
	t.Helper()
	b := newBrowser()
	return b, g.signInAgain(t, b)
}

func (g *gateway) signInAgain(t testing.TB, b *browser) auth.Session {
	t.Helper()
	q := g.begin(t, b, "/")
	s, _, _, err := g.answer(t, b, q, g.sign(t, g.claims(q), nil))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (g *gateway) find(t testing.TB, b *browser) auth.Session {
	t.Helper()
	s, err := g.sessions.Find(t.Context(), b.request("/"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}
