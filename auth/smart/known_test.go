package smart_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"firebreak/auth/smart"
	"firebreak/internal/sqldb"
)

// What a token proves is remembered, but never past its end or past a revocation:
// once one is answered no use of the token is, on either node, however many go on.
func TestNothingIsRememberedPastARevocation(t *testing.T) {
	both(t, func(t *testing.T, db *sqldb.DB) {
		var later atomic.Int64
		clock := func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
		var nodes [2]*smart.Server
		for i := range nodes {
			apps, err := smart.NewRegistry(t.Context(), db, []smart.Client{{ID: "app", Name: "App", Redirects: []string{"https://app.test/"}, Launch: "https://app.test/launch", Scopes: "patient/*.rs"}},
				smart.Limits{}, clock, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			nodes[i], err = smart.New(t.Context(), smart.Config{
				Base: "https://gw.test", Issuer: "https://idp.test", DB: db, Clients: apps, Secret: []byte("sixteen bytes or more"), Now: clock,
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		s := nodes[0]
		token := func() string {
			t.Helper()
			apps, err := s.Gallery(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			to, err := s.Launch(t.Context(), apps[0], "session", "p1", "")
			if err != nil {
				t.Fatal(err)
			}
			launched, _ := url.Parse(to)
			q := url.Values{
				"response_type": {"code"}, "client_id": {"app"}, "redirect_uri": {"https://app.test/"}, "scope": {"launch patient/*.rs"}, "launch": {launched.Query().Get("launch")},
				"aud": {"https://gw.test/fhir"}, "code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
			}
			w := httptest.NewRecorder()
			if _, err := s.Authorize(w, httptest.NewRequest(http.MethodGet, "/oauth/authorize?"+q.Encode(), nil), "/next"); err != nil {
				t.Fatal(err)
			}
			to, err = s.Allow(t.Context(), w.Result().Cookies()[0].Value, "session", smart.Person{ID: "maya", Name: "Maya", Worksite: "clinic"}, []string{"patient/*.rs"})
			if err != nil {
				t.Fatal(err)
			}
			back, _ := url.Parse(to)
			w = posted(t, s.Token, url.Values{"grant_type": {"authorization_code"}, "client_id": {"app"}, "code": {back.Query().Get("code")}, "redirect_uri": {"https://app.test/"}, "code_verifier": {verifier}})
			_, rest, _ := strings.Cut(w.Body.String(), `"access_token":"`)
			value, _, _ := strings.Cut(rest, `"`)
			return value
		}
		for range 6 {
			one := token()
			for _, n := range nodes {
				for range 2 {
					if id, err := n.Verify(t.Context(), one); err != nil || id.Patient() != "p1" {
						t.Fatal(id, err)
					}
				}
			}
			var ended atomic.Bool
			var wg sync.WaitGroup
			for i := range 4 {
				wg.Go(func() {
					for last := false; !last; {
						last = ended.Load() // the use begins after the answer
						if _, err := nodes[i%2].Verify(t.Context(), one); last && err == nil {
							t.Error("used after it was revoked")
						}
					}
				})
			}
			if w := posted(t, nodes[1].Revoke, url.Values{"token": {one}, "client_id": {"app"}}); w.Code != http.StatusOK {
				t.Error(w.Code, w.Body)
			}
			ended.Store(true)
			wg.Wait()
		}
		one := token()
		if _, err := s.Verify(t.Context(), one); err != nil {
			t.Fatal(err)
		}
		later.Store(int64(15 * time.Minute))
		if _, err := s.Verify(t.Context(), one); err == nil {
			t.Error("used after its end")
		}
	})
}

func posted(t *testing.T, to func(http.ResponseWriter, *http.Request) error, form url.Values) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	if err := to(w, r); err != nil {
		t.Error(err)
	}
	return w
}
