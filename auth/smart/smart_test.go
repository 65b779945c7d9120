package smart_test

import (
	"log/slog"
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

	"firebreak/auth/smart"
	"firebreak/internal/pgtest"
	"firebreak/internal/sqldb"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // of RFC 7636, appendix B

// both runs a test on an empty database of each kind.
func both(t *testing.T, f func(t *testing.T, db *sqldb.DB)) {
	t.Run("sqlite", func(t *testing.T) {
		f(t, accounts(t, "sqlite:"+filepath.Join(t.TempDir(), "accounts.db")))
	})
	t.Run("postgres", func(t *testing.T) { f(t, accounts(t, pgtest.DSN(t))) })
}

func accounts(t *testing.T, dsn string) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(t.Context(), dsn, "none", fstest.MapFS{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// node is one of several servers on a database.
func node(t *testing.T, db *sqldb.DB, open smart.Registration, clients ...smart.Client) *smart.Server {
	t.Helper()
	known, err := smart.NewRegistry(t.Context(), db, clients, smart.Limits{}, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s, err := smart.New(t.Context(), smart.Config{
		Base: "https://gw.test", Issuer: "https://idp.test", DB: db, Clients: known, Secret: []byte("sixteen bytes or more"), Now: time.Now, Registration: open,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// On two nodes of one database a code and a refresh token count once, and what
// one node revokes is revoked on the other.
func TestOnceOnTwoNodes(t *testing.T) {
	both(t, func(t *testing.T, db *sqldb.DB) {
		var nodes [2]*smart.Server
		for i := range nodes {
			nodes[i] = node(t, db, smart.Registration{}, smart.Client{ID: "app", Name: "App", Redirects: []string{"https://app.test/"}, Scopes: "patient/*.rs"})
		}
		q := url.Values{
			"response_type": {"code"}, "client_id": {"app"}, "redirect_uri": {"https://app.test/"}, "scope": {"patient/*.rs offline_access openid"},
			"aud": {"https://gw.test/fhir"}, "code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
		}
		w := httptest.NewRecorder()
		if to, err := nodes[0].Authorize(w, httptest.NewRequest(http.MethodGet, "/oauth/authorize?"+q.Encode(), nil), "/next"); err != nil || to != "/next" {
			t.Fatalf("%s, %v", to, err)
		}
		id := w.Result().Cookies()[0].Value
		who := smart.Person{ID: "maya", Name: "Maya", Worksite: "clinic"}
		words := []string{"patient/*.rs", "offline_access", "openid"}
		if asked, err := nodes[1].Asked(t.Context(), id, "session"); err != nil || !asked.Needs {
			t.Errorf("%+v, %v", asked, err)
		}
		if _, err := nodes[0].Asked(t.Context(), id, "another"); err != smart.ErrGone {
			t.Errorf("another session: %v", err)
		}
		if _, err := nodes[0].Allow(t.Context(), id, "session", who, words); err != smart.ErrGone {
			t.Errorf("without a patient: %v", err)
		}
		if err := nodes[0].Choose(t.Context(), id, "session", "p1"); err != nil {
			t.Fatal(err)
		}
		to, err := nodes[1].Allow(t.Context(), id, "session", who, words)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := nodes[0].Allow(t.Context(), id, "session", who, words); err != smart.ErrGone {
			t.Errorf("allowed twice: %v", err)
		}
		back, err := url.Parse(to)
		if err != nil {
			t.Fatal(err)
		}
		redeem := func(node int, form url.Values) string {
			form.Set("client_id", "app")
			r := httptest.NewRequest(http.MethodPost, "/oauth/token", strings.NewReader(form.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			w := httptest.NewRecorder()
			if err := nodes[node].Token(w, r); err != nil {
				t.Error(err)
			}
			if w.Code != http.StatusOK {
				return ""
			}
			return w.Body.String()
		}
		code := func() url.Values {
			return url.Values{"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {"https://app.test/"}, "code_verifier": {verifier}}
		}
		won := make(chan string, 16)
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				if body := redeem(i%2, code()); body != "" {
					won <- body
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("one code gave tokens %d times", len(won))
		}
		body := <-won
		token := func(name string) string {
			_, rest, _ := strings.Cut(body, `"`+name+`":"`)
			value, _, _ := strings.Cut(rest, `"`)
			return value
		}
		if got := redeem(1, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token("refresh_token")}}); got != "" {
			t.Error("the family of a code that was shown 16 times lives on")
		}
		for i, n := range nodes {
			if _, err := n.Verify(t.Context(), token("access_token")); err == nil {
				t.Errorf("node %d takes a token of it", i)
			}
		}
	})
}

func TestAppsThatAreRefused(t *testing.T) {
	db := accounts(t, "sqlite:"+filepath.Join(t.TempDir(), "accounts.db"))
	for name, change := range map[string]func(*smart.Client){
		"without a name":               func(c *smart.Client) { c.Name = "" },
		"without redirects":            func(c *smart.Client) { c.Redirects = nil },
		"with a plain http address":    func(c *smart.Client) { c.Redirects = []string{"http://app.test/"} },
		"with a script for an address": func(c *smart.Client) { c.Redirects = []string{"javascript:alert(1)"} },
		"with a fragment":              func(c *smart.Client) { c.Redirects = []string{"https://app.test/#x"} },
		"with a secret in the open":    func(c *smart.Client) { c.SecretHash = "open sesame" },
		"with system scopes, public":   func(c *smart.Client) { c.Scopes = "system/*.rs" },
		"with scopes for nothing":      func(c *smart.Client) { c.Scopes = "openid" },
		"with a symmetric key":         func(c *smart.Client) { c.Keys = []byte(`{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`) },
		"with keys by plain http":      func(c *smart.Client) { c.KeysURL = "http://app.test/keys" },
		"for an intent, not launched":  func(c *smart.Client) { c.Intent = "ward-round" },
		"signed for by RS256":          func(c *smart.Client) { c.IDTokens = "RS256" },
	} {
		c := smart.Client{ID: "app", Name: "App", Redirects: []string{"https://app.test/"}, Scopes: "user/*.rs"}
		change(&c)
		if _, err := smart.NewRegistry(t.Context(), db, []smart.Client{c}, smart.Limits{}, time.Now, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("an app %s is registered", name)
		}
	}
}
