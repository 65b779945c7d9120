package smart_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"firebreak/auth/smart"
	"firebreak/internal/sqldb"
)

// register sends metadata and gives the answer's status and members.
func register(t *testing.T, s *smart.Server, from, metadata string) (int, map[string]any) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, smart.RegisterPath, strings.NewReader(metadata))
	r.Header.Set("Content-Type", "application/json")
	r.RemoteAddr = from + ":1"
	w := httptest.NewRecorder()
	if err := s.Register(w, r, func(string) error { return nil }); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	return w.Code, got
}

func post(t *testing.T, h func(http.ResponseWriter, *http.Request) error, form url.Values, basic ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if len(basic) == 2 {
		r.SetBasicAuth(basic[0], basic[1])
	}
	w := httptest.NewRecorder()
	if err := h(w, r); err != nil {
		t.Fatal(err)
	}
	return w
}

func asks(client string) url.Values {
	return url.Values{
		"response_type": {"code"}, "client_id": {client}, "redirect_uri": {"https://new.test/back"}, "scope": {"user/*.rs offline_access"},
		"aud": {"https://gw.test/fhir"}, "code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
	}
}

const newApp = `{"client_name": "New app", "redirect_uris": ["https://new.test/back"], "scope": "user/*.rs offline_access fancy", "logo_uri": "http://169.254.169.254/"}`

// What is decided on a client on one node holds on the other from the next request
// on: a client that registered itself may do nothing until it is let in, one that is
// suspended nothing with all it was given, and goes on where it was when it is resumed.
func TestClientsOnTwoNodes(t *testing.T) {
	both(t, func(t *testing.T, db *sqldb.DB) {
		one := node(t, db, smart.Registration{Open: true}, smart.Client{ID: "app", Name: "App", Redirects: []string{"https://app.test/"}, Scopes: "patient/*.rs"})
		two := node(t, db, smart.Registration{Open: true}, smart.Client{ID: "app", Name: "App", Redirects: []string{"https://app.test/"}, Scopes: "patient/*.rs"})

		status, got := register(t, one, "192.0.2.1", newApp)
		id, _ := got["client_id"].(string)
		secret, _ := got["client_secret"].(string)
		if status != http.StatusCreated || id == "" || secret == "" || got["scope"] != "user/*.rs offline_access" || got["logo_uri"] != nil || got["registration_state"] != "pending" {
			t.Fatalf("%d %v", status, got)
		}
		kept := ""
		if err := db.QueryRow(t.Context(), `SELECT registered || access FROM smart_client WHERE id = $1`, id).Scan(&kept); err != nil || strings.Contains(kept, secret) || strings.Contains(kept, got["registration_access_token"].(string)) {
			t.Errorf("a secret is kept as it is, %v", err)
		}
		decide := func(s *smart.Server, do smart.Act) {
			t.Helper()
			if err := s.Clients.Decide(t.Context(), id, do, "operator", "as it was asked"); err != nil {
				t.Fatalf("%s: %v", do, err)
			}
		}
		active := func(want bool) {
			t.Helper()
			for i, s := range []*smart.Server{one, two} {
				if got, err := s.Clients.Active(t.Context(), id); err != nil || got != want {
					t.Errorf("node %d: active %v, %v", i, got, err)
				}
			}
		}
		comes := func(s *smart.Server) (cookie string, err error) {
			w := httptest.NewRecorder()
			_, err = s.Authorize(w, httptest.NewRequest(http.MethodGet, "/oauth/authorize?"+asks(id).Encode(), nil), "/next")
			if err == nil {
				cookie = w.Result().Cookies()[0].Value
			}
			return cookie, err
		}
		nothing := func(why string, form url.Values) {
			t.Helper()
			if w := post(t, two.Token, form, id, secret); w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), "invalid_client") {
				t.Errorf("%s: token: %d %s", why, w.Code, w.Body)
			}
			for path, h := range map[string]func(http.ResponseWriter, *http.Request) error{"introspect": two.Introspect, "revoke": two.Revoke} {
				if w := post(t, h, url.Values{"token": {"x"}}, id, secret); w.Code != http.StatusUnauthorized {
					t.Errorf("%s: %s: %d %s", why, path, w.Code, w.Body)
				}
			}
		}
		active(false)
		if _, err := comes(two); !errors.Is(err, smart.ErrWaits) {
			t.Errorf("one that waits asks for a person: %v", err)
		}
		nothing("one that waits", url.Values{"grant_type": {"authorization_code"}, "code": {"x"}})

		decide(two, smart.Approve)
		active(true)
		cookie, err := comes(one)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := one.Asked(t.Context(), cookie, "session"); err != nil {
			t.Fatal(err)
		}
		to, err := two.Allow(t.Context(), cookie, "session", smart.Person{ID: "maya", Name: "Maya", Worksite: "clinic"}, []string{"user/*.rs", "offline_access"})
		if err != nil {
			t.Fatal(err)
		}
		back, err := url.Parse(to)
		if err != nil {
			t.Fatal(err)
		}
		var tokens map[string]any
		form := url.Values{"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {"https://new.test/back"}, "code_verifier": {verifier}}
		if w := post(t, one.Token, form, id, secret); w.Code != http.StatusOK || json.Unmarshal(w.Body.Bytes(), &tokens) != nil {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		access, refresh := tokens["access_token"].(string), tokens["refresh_token"].(string)
		waiting, err := comes(one)
		if err != nil {
			t.Fatal(err)
		}

		decide(one, smart.Suspend)
		active(false)
		if _, err := two.Verify(t.Context(), access); err == nil {
			t.Error("a token of a suspended client is taken")
		}
		if _, err := comes(two); !errors.Is(err, smart.ErrSuspended) {
			t.Errorf("a suspended one asks for a person: %v", err)
		}
		if _, err := two.Asked(t.Context(), waiting, "session"); err != smart.ErrGone {
			t.Errorf("a request that it sent before: %v", err)
		}
		again := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}
		nothing("a suspended one", again)
		if err := two.Clients.Decide(t.Context(), id, smart.Suspend, "operator", "twice"); err != smart.ErrClient {
			t.Errorf("suspended twice: %v", err)
		}

		decide(two, smart.Resume)
		active(true)
		if _, err := one.Verify(t.Context(), access); err != nil {
			t.Errorf("after it is resumed: %v", err)
		}
		if w := post(t, one.Token, again, id, secret); w.Code != http.StatusOK {
			t.Errorf("a refresh token that was refused while it was suspended is spent: %d %s", w.Code, w.Body)
		}

		r := httptest.NewRequest(http.MethodDelete, smart.RegisterPath+"/"+id, nil)
		r.Header.Set("Authorization", "Bearer "+got["registration_access_token"].(string))
		w := httptest.NewRecorder()
		if err := two.Registered(w, r, id); err != nil || w.Code != http.StatusNoContent {
			t.Fatalf("%d, %v", w.Code, err)
		}
		active(false)
		if _, err := one.Verify(t.Context(), access); err == nil {
			t.Error("a token of a deleted client is taken")
		}
		if _, err := comes(one); !errors.Is(err, smart.ErrRequest) {
			t.Errorf("a deleted one asks for a person: %v", err)
		}

		id = "app" // of the configuration
		decide(one, smart.Suspend)
		active(false)
		if err := one.Clients.Decide(t.Context(), id, smart.Delete, "operator", "no"); err != smart.ErrClient {
			t.Errorf("one of the configuration is deleted: %v", err)
		}
		decide(two, smart.Resume)
		active(true)
	})
}

// What a stranger may not say of itself.
func TestStrangersWhoAreRefused(t *testing.T) {
	db := accounts(t, "sqlite:"+filepath.Join(t.TempDir(), "accounts.db"))
	s := node(t, db, smart.Registration{Open: true}, smart.Client{ID: "app", Name: "Growth Chart", Redirects: []string{"https://app.test/"}, Scopes: "patient/*.rs"})
	for metadata, want := range map[string]string{
		`[]`: "invalid_client_metadata", `{}`: "invalid_client_metadata", ``: "invalid_client_metadata",
		`"client_name": "A", "client_name": "B"`:                                 "invalid_client_metadata",
		`"client_name": ["A"]`:                                                   "invalid_client_metadata",
		`"client_name": ""`:                                                      "invalid_client_metadata",
		`"client_name": "Growth Chart"`:                                          "invalid_client_metadata",
		`"client_name": "GROWTH-CHART"`:                                          "invalid_client_metadata",
		`"client_name": "Gr0wth Chart"`:                                          "invalid_client_metadata",
		`"client_name": "Grоwth Chart"`:                                          "invalid_client_metadata", // a Cyrillic o
		`"client_name": "Firebreak"`:                                             "invalid_client_metadata",
		`"client_name": "\u202ebad"`:                                             "invalid_client_metadata",
		`"client_name": "<script>"`:                                              "invalid_client_metadata",
		`"client_name": "` + strings.Repeat("long ", 20) + `x"`:                  "invalid_client_metadata",
		`"scope": "openid"`:                                                      "invalid_client_metadata",
		`"scope": "system/*.rs"`:                                                 "invalid_redirect_uri", // and redirect_uris
		`"software_statement": "x.y.z"`:                                          "unapproved_software_statement",
		`"token_endpoint_auth_method": "tls_client_auth"`:                        "invalid_client_metadata",
		`"token_endpoint_auth_method": "private_key_jwt"`:                        "invalid_client_metadata",
		`"jwks_uri": "https://new.test/keys"`:                                    "invalid_client_metadata",
		`"grant_types": ["implicit"]`:                                            "invalid_client_metadata",
		`"grant_types": ["password"]`:                                            "invalid_client_metadata",
		`"grant_types": ["client_credentials"]`:                                  "invalid_client_metadata",
		`"response_types": ["token"]`:                                            "invalid_client_metadata",
		`"id_token_signed_response_alg": "none"`:                                 "invalid_client_metadata",
		`"contacts": ["a", "b", "c", "d", "e"]`:                                  "invalid_client_metadata",
		`"redirect_uris": []`:                                                    "invalid_redirect_uri",
		`"redirect_uris": ["http://new.test/"]`:                                  "invalid_redirect_uri",
		`"redirect_uris": ["https://user@new.test/"]`:                            "invalid_redirect_uri",
		`"redirect_uris": ["https://new.test/#x"]`:                               "invalid_redirect_uri",
		`"redirect_uris": ["https://new.test/?code=1"]`:                          "invalid_redirect_uri",
		`"redirect_uris": ["https://new.test\\@evil.test/"]`:                     "invalid_redirect_uri",
		`"redirect_uris": ["//new.test/"]`:                                       "invalid_redirect_uri",
		`"redirect_uris": ["https:new.test"]`:                                    "invalid_redirect_uri",
		`"redirect_uris": ["https://new.test;evil.test/"]`:                       "invalid_redirect_uri",
		`"redirect_uris": ["https://gw.test/apps"]`:                              "invalid_redirect_uri",
		`"redirect_uris": ["https://GW.test/apps"]`:                              "invalid_redirect_uri",
		`"redirect_uris": ["javascript:alert(1)"]`:                               "invalid_redirect_uri",
		`"redirect_uris": ["data:text/html,x"]`:                                  "invalid_redirect_uri",
		`"redirect_uris": ["http://localhost/"]`:                                 "invalid_redirect_uri", // with a secret
		`"redirect_uris": ["com.new.app:/back"]`:                                 "invalid_redirect_uri", // with a secret
		`"redirect_uris": ["https://new.test/` + strings.Repeat("x", 600) + `"]`: "invalid_redirect_uri",
	} {
		whole := metadata
		if strings.HasPrefix(metadata, `"`) {
			rest := ""
			for _, usual := range []string{`"client_name": "New app"`, `"redirect_uris": ["https://new.test/"]`, `"scope": "user/*.rs"`} {
				if member, _, _ := strings.Cut(usual, ":"); !strings.Contains(metadata, member) {
					rest += ", " + usual
				}
			}
			whole = "{" + metadata + rest + "}"
		}
		if status, got := register(t, s, "192.0.2.1", whole); status != http.StatusBadRequest || got["error"] != want || strings.Contains(fmt.Sprint(got["error_description"]), "evil") {
			t.Errorf("%.100s: %d %v", metadata, status, got)
		}
	}
	for _, address := range []string{
		"http://keys.test/", "https://127.0.0.1/", "https://localhost/", "https://[::1]/", "https://169.254.169.254/latest/meta-data", "https://metadata.google.internal/",
		"https://10.0.0.1/", "https://2130706433/", "https://0x7f.1/", "https://127.1/", "https://printer.local/", "https://intranet/", "https://user@keys.test/", "file:///etc/passwd", "https://localhost./",
	} {
		whole := `{"client_name": "New app", "scope": "system/*.rs", "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "` + address + `"}`
		if status, got := register(t, s, "192.0.2.1", whole); status != http.StatusBadRequest {
			t.Errorf("keys at %s: %d %v", address, status, got)
		}
	}
	if status, got := register(t, s, "192.0.2.1", `{"client_name": "`+strings.Repeat("x", 64<<10)+`"}`); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a huge registration: %d %v", status, got)
	}
	if status, got := register(t, s, "192.0.2.1", `{"token_endpoint_auth_method": "private_key_jwt", "client_name": "New app", "scope": "system/*.rs", "jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}}`); status != http.StatusBadRequest {
		t.Errorf("a secret key: %d %v", status, got)
	}
	for n := range 5 {
		if status, got := register(t, s, "192.0.2.2", strings.Replace(newApp, "New app", fmt.Sprintf("New app %c", 'A'+n), 1)); status != http.StatusCreated {
			t.Errorf("the %d. of an address: %d %v", n+1, status, got)
		}
	}
	if status, got := register(t, s, "192.0.2.2", newApp); status != http.StatusTooManyRequests {
		t.Errorf("the sixth of an address: %d %v", status, got)
	}
	for n := 5; n < 50; n++ {
		register(t, s, fmt.Sprintf("198.51.100.%d", n), newApp)
	}
	if status, got := register(t, s, "192.0.2.3", newApp); status != http.StatusTooManyRequests {
		t.Errorf("one more than may wait: %d %v", status, got)
	}
}

// Two that wait may have one name; only one of them is let in.
func TestOneNameOneApp(t *testing.T) {
	db := accounts(t, "sqlite:"+filepath.Join(t.TempDir(), "accounts.db"))
	s := node(t, db, smart.Registration{Open: true})
	_, first := register(t, s, "192.0.2.1", newApp)
	_, second := register(t, s, "192.0.2.2", strings.Replace(newApp, "New app", "New-App", 1))
	if err := s.Clients.Decide(t.Context(), first["client_id"].(string), smart.Approve, "operator", "known"); err != nil {
		t.Fatal(err)
	}
	if err := s.Clients.Decide(t.Context(), second["client_id"].(string), smart.Approve, "operator", "known"); !errors.Is(err, smart.ErrName) {
		t.Errorf("the second of a name is let in: %v", err)
	}
	if status, got := register(t, s, "192.0.2.3", newApp); status != http.StatusBadRequest {
		t.Errorf("a third comes with it: %d %v", status, got)
	}
}
