package demoidp

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/oauth2"

	"firebreak/auth"
	"firebreak/internal/sqldb"
)

// site is a server with the provider mounted, as the demo has it.
type site struct {
	*Provider
	url    string
	client *http.Client // follows no redirect
	mu     sync.Mutex
	t      time.Time
}

func (s *site) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.t
}

func (s *site) add(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.t = s.t.Add(d)
}

func newSite(t testing.TB, more ...Client) *site {
	t.Helper()
	s := &site{t: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.url = server.URL
	s.client = server.Client()
	s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	var err error
	s.Provider, err = New(Config{
		Base: s.url, Audience: s.url + "/fhir", Redirect: s.url + "/signed-in", SignedOut: s.url + "/signed-out", Now: s.clock, Clients: more,
		People: []Person{
			{Username: "physician", Name: "Dr Maya <b>", Role: "physician", Worksite: "Harbour", WorksiteID: "harbour"},
			{Username: "operator", Name: "Sven", Role: "operator"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("/idp/", s.Provider)
	return s
}

func (s *site) do(t testing.TB, r *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func (s *site) get(t testing.TB, path string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s.do(t, r)
}

func (s *site) post(t testing.TB, path string, form url.Values, change ...func(*http.Request)) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, f := range change {
		f(r)
	}
	return s.do(t, r)
}

const verifier = "a-verifier-of-at-least-43-characters-0123456789"

func challenge(v string) string {
	sum := sha256.Sum256([]byte(v))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// question is a good authorization request of demo-app.
func (s *site) question() url.Values {
	return url.Values{
		"response_type": {"code"}, "client_id": {App}, "redirect_uri": {"http://127.0.0.1:53124/callback"}, "scope": {"openid profile user/*.rs"},
		"state": {"st"}, "nonce": {"no"}, "aud": {s.url + "/fhir"}, "code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"},
	}
}

var handleOf = regexp.MustCompile(`name="handle" value="([^"]+)"`)

// page asks for a sign-in page and returns its handle.
func (s *site) page(t testing.TB, q url.Values) string {
	t.Helper()
	resp, body := s.get(t, "/idp/authorize?"+q.Encode())
	m := handleOf.FindStringSubmatch(body)
	if resp.StatusCode != http.StatusOK || m == nil {
		t.Fatalf("no sign-in page: %d %s %s", resp.StatusCode, resp.Header.Get("Location"), body)
	}
	return m[1]
}

func (s *site) enter(t testing.TB, handle, username, password string) (*http.Response, string) {
	t.Helper()
	return s.post(t, "/idp/login", url.Values{"handle": {handle}, "username": {username}, "password": {password}})
}

// code signs in and returns what the app gets.
func (s *site) code(t testing.TB, q url.Values) url.Values {
	t.Helper()
	resp, body := s.enter(t, s.page(t, q), "physician", s.people["physician"].Password)
	to, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || resp.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to.String(), q.Get("redirect_uri")+"?") {
		t.Fatalf("signed in to %d %s %s", resp.StatusCode, to, body)
	}
	return to.Query()
}

func (s *site) redeemForm(code string) url.Values {
	return url.Values{
		"grant_type": {"authorization_code"}, "client_id": {App}, "code": {code},
		"redirect_uri": {"http://127.0.0.1:53124/callback"}, "code_verifier": {verifier},
	}
}

func (s *site) tokens(t testing.TB, form url.Values, change ...func(*http.Request)) (int, map[string]any) {
	t.Helper()
	resp, body := s.post(t, "/idp/token", form, change...)
	var got map[string]any
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	if resp.Header.Get("Cache-Control") != "no-store" {
		t.Error("a token response may be cached")
	}
	return resp.StatusCode, got
}

func (s *site) verifier(t testing.TB) *auth.Verifier {
	t.Helper()
	p, err := auth.NewProvider(auth.ProviderConfig{Issuer: s.Issuer(), Now: s.clock})
	if err != nil {
		t.Fatal(err)
	}
	v, err := auth.NewVerifier(p, s.url+"/fhir")
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAnAppSignsAPersonIn(t *testing.T) {
	s := newSite(t)
	answer := s.code(t, s.question())
	if answer.Get("state") != "st" || answer.Get("iss") != s.Issuer() {
		t.Errorf("answer %v", answer)
	}
	status, got := s.tokens(t, s.redeemForm(answer.Get("code")))
	if status != http.StatusOK || got["token_type"] != "Bearer" || got["scope"] != "openid profile user/*.rs" || got["expires_in"] != 1800.0 {
		t.Fatalf("%d %v", status, got)
	}
	id, err := s.verifier(t).Verify(t.Context(), got["access_token"].(string))
	if err != nil {
		t.Fatal(err)
	}
	if id.Subject() != "physician" || id.Client() != App || id.Worksite() != "harbour" || id.IsClient() ||
		id.May(auth.Read, "Observation") != auth.AllPatients || id.May(auth.Create, "Observation") != auth.Nothing {
		t.Errorf("identity %+v", id)
	}
	claims, err := s.ours(got["id_token"].(string))
	if err != nil || claims["aud"] != App || claims["nonce"] != "no" || claims["sub"] != "physician" || claims["name"] != "Dr Maya <b>" {
		t.Errorf("ID token %v, %v", claims, err)
	}
	if _, err := s.verifier(t).Verify(t.Context(), got["id_token"].(string)); err == nil {
		t.Error("the FHIR API takes the ID token")
	}
}

// The whole of sign-in, gateway and provider together.
func TestTheGatewaySignsAPersonInAndOut(t *testing.T) {
	s := newSite(t)
	db, err := sqldb.Open(t.Context(), filepath.Join(t.TempDir(), "accounts.db"), "test", fstest.MapFS{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	provider, err := auth.NewProvider(auth.ProviderConfig{Issuer: s.Issuer(), Now: s.clock})
	if err != nil {
		t.Fatal(err)
	}
	sessions, err := auth.NewSessions(t.Context(), db, auth.SessionConfig{Now: s.clock})
	if err != nil {
		t.Fatal(err)
	}
	signIn, err := auth.NewSignIn(provider, sessions, auth.SignInConfig{
		ClientID: Gateway, ClientSecret: s.Client(Gateway).Secret, Redirect: s.url + "/signed-in", SignedOut: s.url + "/signed-out", ACR: []string{acr},
	})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	if err := signIn.Begin(w, httptest.NewRequest(http.MethodGet, "/sign-in", nil), "/find"); err != nil {
		t.Fatal(err)
	}
	to, err := url.Parse(w.Header().Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	answer := s.code(t, to.Query())
	back := httptest.NewRequest(http.MethodGet, "/signed-in?"+answer.Encode(), nil)
	for _, c := range w.Result().Cookies() {
		back.AddCookie(c)
	}
	w = httptest.NewRecorder()
	session, path, err := signIn.Complete(w, back)
	if err != nil || path != "/find" || session.Identity().Name() != "Dr Maya <b>" {
		t.Fatalf("%s, %q, %v", path, session.Identity().Name(), err)
	}
	s.add(14 * time.Minute) // longer than the ID token lives
	out := httptest.NewRequest(http.MethodGet, "/sign-out", nil)
	for _, c := range w.Result().Cookies() {
		if c.MaxAge >= 0 {
			out.AddCookie(c)
		}
	}
	end, err := signIn.End(httptest.NewRecorder(), out)
	if err != nil {
		t.Fatal(err)
	}
	resp, body := s.get(t, strings.TrimPrefix(end, s.url))
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != s.url+"/signed-out" {
		t.Errorf("signed out to %d %s %s", resp.StatusCode, resp.Header.Get("Location"), body)
	}
}

func TestAuthorizeRefuses(t *testing.T) {
	s := newSite(t)
	for name, row := range map[string]struct {
		change url.Values
		want   string // error for the app; empty: a page, and nothing goes to the app
	}{
		"an unknown client":                 {url.Values{"client_id": {"other"}}, ""},
		"a client without sign-in":          {url.Values{"client_id": {Backend}}, ""},
		"no redirect":                       {url.Values{"redirect_uri": nil}, ""},
		"another host":                      {url.Values{"redirect_uri": {"https://evil.test/callback"}}, ""},
		"another path":                      {url.Values{"redirect_uri": {"http://127.0.0.1:53124/callback/../x"}}, ""},
		"a query added":                     {url.Values{"redirect_uri": {"http://127.0.0.1:53124/callback?x=1"}}, ""},
		"a fragment":                        {url.Values{"redirect_uri": {"http://127.0.0.1:53124/callback#x"}}, ""},
		"a host that begins alike":          {url.Values{"redirect_uri": {"http://127.0.0.1.evil.test/callback"}}, ""},
		"a user that looks like the host":   {url.Values{"redirect_uri": {"http://127.0.0.1:1@evil.test/callback"}}, ""},
		"a user before the host":            {url.Values{"redirect_uri": {"http://x@127.0.0.1:1/callback"}}, ""},
		"a port that is none":               {url.Values{"redirect_uri": {"http://127.0.0.1:x/callback"}}, ""},
		"https at the loopback":             {url.Values{"redirect_uri": {"https://127.0.0.1:53124/callback"}}, ""},
		"the gateway at another port":       {url.Values{"client_id": {Gateway}, "redirect_uri": {"http://127.0.0.1:1/signed-in"}}, ""},
		"two states":                        {url.Values{"state": {"a", "b"}}, ""},
		"an endless state":                  {url.Values{"state": {strings.Repeat("s", 3000)}}, ""},
		"no PKCE":                           {url.Values{"code_challenge": nil, "code_challenge_method": nil}, "invalid_request"},
		"plain PKCE":                        {url.Values{"code_challenge_method": {"plain"}}, "invalid_request"},
		"PKCE without method":               {url.Values{"code_challenge_method": nil}, "invalid_request"},
		"a challenge that is no hash":       {url.Values{"code_challenge": {"short"}}, "invalid_request"},
		"a challenge with odd letters":      {url.Values{"code_challenge": {strings.Repeat("+", 43)}}, "invalid_request"},
		"a token at once":                   {url.Values{"response_type": {"token"}}, "unsupported_response_type"},
		"an ID token at once":               {url.Values{"response_type": {"code id_token"}}, "unsupported_response_type"},
		"an answer in the fragment":         {url.Values{"response_mode": {"fragment"}}, "invalid_request"},
		"a request object":                  {url.Values{"request": {"x"}}, "request_not_supported"},
		"an API elsewhere":                  {url.Values{"aud": {"https://evil.test/fhir"}}, "invalid_target"},
		"a resource elsewhere":              {url.Values{"resource": {"https://evil.test/fhir"}}, "invalid_target"},
		"nothing it may have":               {url.Values{"scope": {"system/*.rs launch"}}, "invalid_scope"},
		"no page, though one must be shown": {url.Values{"prompt": {"none"}}, "login_required"},
	} {
		t.Run(name, func(t *testing.T) {
			q := s.question()
			for k, v := range row.change {
				if q[k] = v; v == nil {
					q.Del(k)
				}
			}
			resp, body := s.get(t, "/idp/authorize?"+q.Encode())
			to := resp.Header.Get("Location")
			if row.want == "" {
				if resp.StatusCode != http.StatusBadRequest || to != "" || strings.Contains(body, "handle") {
					t.Errorf("%d, to %q", resp.StatusCode, to)
				}
				return
			}
			u, err := url.Parse(to)
			if err != nil || !strings.HasPrefix(to, "http://127.0.0.1:53124/callback?") || u.Query().Get("error") != row.want || u.Query().Get("state") != "st" || u.Query().Has("code") {
				t.Errorf("%d, to %q", resp.StatusCode, to)
			}
		})
	}
	for _, redirect := range []string{"http://127.0.0.1/callback", "http://127.0.0.1:1/callback", "http://[::1]:8000/callback", "http://localhost:3000/callback"} {
		q := s.question()
		q.Set("redirect_uri", redirect)
		s.page(t, q)
	}
}

func TestScopesAreCutDown(t *testing.T) {
	s := newSite(t)
	q := s.question()
	q.Set("scope", "openid fhirUser launch/patient user/*.cruds system/*.rs")
	_, got := s.tokens(t, s.redeemForm(s.code(t, q).Get("code")))
	if got["scope"] != "openid user/*.rs" {
		t.Errorf("granted %v", got["scope"])
	}
	q.Set("scope", "user/Observation.rs")
	_, got = s.tokens(t, s.redeemForm(s.code(t, q).Get("code")))
	if got["scope"] != "user/Observation.rs" || got["id_token"] != nil {
		t.Errorf("granted %v", got)
	}
}

// Any OAuth client library gets through, here the one the gateway itself uses.
func TestDiscoveryIsEnoughForALibrary(t *testing.T) {
	s := newSite(t)
	p, err := auth.NewProvider(auth.ProviderConfig{Issuer: s.Issuer(), Now: s.clock})
	if err != nil {
		t.Fatal(err)
	}
	m, err := p.Metadata(t.Context())
	if err != nil || m.EndSessionEndpoint == "" || !m.IssuerInResponse {
		t.Fatalf("%+v, %v", m, err)
	}
	doc, err := p.SMARTConfiguration(t.Context())
	if err != nil || !strings.Contains(string(doc), `"token_endpoint":"`+s.url+`/idp/token"`) || !strings.Contains(string(doc), `"client-confidential-asymmetric"`) {
		t.Errorf("%s, %v", doc, err)
	}
	c := oauth2.Config{ClientID: App, Endpoint: oauth2.Endpoint{AuthURL: m.AuthorizationEndpoint, TokenURL: m.TokenEndpoint}, RedirectURL: "http://localhost:8000/callback", Scopes: []string{"user/*.rs"}}
	v := oauth2.GenerateVerifier()
	to, err := url.Parse(c.AuthCodeURL("st", oauth2.S256ChallengeOption(v)))
	if err != nil {
		t.Fatal(err)
	}
	token, err := c.Exchange(t.Context(), s.code(t, to.Query()).Get("code"), oauth2.VerifierOption(v))
	if err != nil || token.AccessToken == "" {
		t.Errorf("%v", err)
	}
}
