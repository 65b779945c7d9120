package demoidp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
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

func TestCodesAreRedeemedOnceByTheRightOne(t *testing.T) {
	s := newSite(t)
	for name, row := range map[string]struct {
		change url.Values
		spoil  func()
		want   string
		spends bool
	}{
		"no verifier":           {change: url.Values{"code_verifier": nil}, want: "invalid_grant", spends: true},
		"another verifier":      {change: url.Values{"code_verifier": {strings.Repeat("x", 43)}}, want: "invalid_grant", spends: true},
		"the challenge itself":  {change: url.Values{"code_verifier": {challenge(verifier)}}, want: "invalid_grant", spends: true},
		"a short verifier":      {change: url.Values{"code_verifier": {verifier[:42]}}, want: "invalid_grant", spends: true},
		"another redirect":      {change: url.Values{"redirect_uri": {"http://127.0.0.1:1/callback"}}, want: "invalid_grant", spends: true},
		"no redirect":           {change: url.Values{"redirect_uri": nil}, want: "invalid_grant", spends: true},
		"a minute later":        {spoil: func() { s.add(codeLife) }, want: "invalid_grant", spends: true},
		"another code":          {change: url.Values{"code": {"x"}}, want: "invalid_grant"},
		"another client":        {change: url.Values{"client_id": {Gateway}, "client_secret": {s.Client(Gateway).Secret}}, want: "invalid_grant"},
		"no client":             {change: url.Values{"client_id": nil}, want: "invalid_client"},
		"a wrong secret":        {change: url.Values{"client_id": {Gateway}, "client_secret": {"x"}}, want: "invalid_client"},
		"a secret it lacks":     {change: url.Values{"client_secret": {""}}, want: "invalid_client"},
		"no secret":             {change: url.Values{"client_id": {Gateway}}, want: "invalid_client"},
		"another grant":         {change: url.Values{"grant_type": {"password"}}, want: "unsupported_grant_type"},
		"a grant it lacks":      {change: url.Values{"grant_type": {"client_credentials"}}, want: "unauthorized_client"},
		"two codes":             {change: url.Values{"code": {"x", "y"}}, want: "invalid_request"},
		"two ways to prove who": {change: url.Values{"client_secret": {"x"}, "client_assertion": {"y"}}, want: "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			good := s.redeemForm(s.code(t, s.question()).Get("code"))
			form := url.Values{}
			for k, v := range good {
				form[k] = v
			}
			for k, v := range row.change {
				if form[k] = v; v == nil {
					form.Del(k)
				}
			}
			if row.spoil != nil {
				row.spoil()
			}
			status, got := s.tokens(t, form)
			if status < 400 || got["error"] != row.want || got["access_token"] != nil {
				t.Errorf("%d %v, want %s", status, got, row.want)
			}
			if status, _ := s.tokens(t, good); (status == http.StatusOK) == row.spends {
				t.Errorf("afterwards the right one gets %d", status)
			}
			if status, _ := s.tokens(t, good); status == http.StatusOK {
				t.Error("and once more")
			}
		})
	}
}

func TestOfManyRedemptionsAtOnceOneWins(t *testing.T) {
	s := newSite(t)
	for range 10 {
		form := s.redeemForm(s.code(t, s.question()).Get("code"))
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for range 16 {
			wg.Go(func() {
				if status, _ := s.tokens(t, form); status == http.StatusOK {
					mu.Lock()
					won++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if won != 1 {
			t.Fatalf("%d of 16 redemptions succeeded", won)
		}
	}
}

func TestPasswords(t *testing.T) {
	s := newSite(t)
	right := s.people["physician"].Password
	for name, try := range map[string][2]string{
		"wrong":          {"physician", "x"},
		"empty":          {"physician", ""},
		"somebody else":  {"operator", right},
		"nobody":         {"nobody", right},
		"nobody, empty":  {"nobody", ""},
		"no name at all": {"", ""},
	} {
		resp, body := s.enter(t, s.page(t, s.question()), try[0], try[1])
		if resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("Location") != "" || !strings.Contains(body, "Username and password do not match.") || !strings.Contains(body, `role="alert"`) {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
	handle := s.page(t, s.question())
	if resp, _ := s.enter(t, handle, " physician ", right); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("the right one: %d", resp.StatusCode)
	}
	if resp, _ := s.enter(t, handle, "physician", right); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("the page used again: %d", resp.StatusCode)
	}
	handle = s.page(t, s.question())
	s.add(pageLife)
	if resp, _ := s.enter(t, handle, "physician", right); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("the page ten minutes old: %d", resp.StatusCode)
	}
	resp, _ := s.post(t, "/idp/login", url.Values{"handle": {s.page(t, s.question())}, "username": {"physician"}, "password": {right}},
		func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") })
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("a form of another site: %d", resp.StatusCode)
	}
}

func TestGuessingIsSlowed(t *testing.T) {
	s := newSite(t)
	for _, name := range []string{"physician", "nobody"} {
		for i := range 8 {
			resp, _ := s.enter(t, s.page(t, s.question()), name, "guess")
			if want := i >= 5; (resp.StatusCode == http.StatusTooManyRequests) != want {
				t.Errorf("%s, guess %d: %d", name, i+1, resp.StatusCode)
			}
		}
	}
	right := s.people["physician"].Password
	if resp, _ := s.enter(t, s.page(t, s.question()), "physician", right); resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the right one while slowed: %d", resp.StatusCode)
	}
	s.add(10 * time.Second)
	if resp, _ := s.enter(t, s.page(t, s.question()), "physician", right); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("the right one ten seconds later: %d", resp.StatusCode)
	}
}

func TestBackendsGetTokensForThemselves(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other := Client{ID: "rsa-backend", Grants: []string{clientGrant}, Scope: "system/Patient.rs", Keys: []jose.JSONWebKey{{Key: &rsaKey.PublicKey, KeyID: "r", Algorithm: "RS384"}}}
	s := newSite(t, other)
	v := s.verifier(t)
	backend := s.Client(Backend)
	form := func(more url.Values) url.Values {
		f := url.Values{"grant_type": {"client_credentials"}}
		for k, v := range more {
			f[k] = v
		}
		return f
	}
	basic := func(id, secret string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret)) }
	}
	check := func(name string, status int, got map[string]any, scope string) {
		t.Helper()
		token, _ := got["access_token"].(string)
		id, err := v.Verify(t.Context(), token)
		if status != http.StatusOK || err != nil || !id.IsClient() || got["scope"] != scope {
			t.Errorf("%s: %d %v, %v", name, status, got["error"], err)
		}
	}
	status, got := s.tokens(t, form(nil), basic(Backend, backend.Secret))
	check("basic", status, got, "system/*.cruds")
	status, got = s.tokens(t, form(url.Values{"client_id": {Backend}, "client_secret": {backend.Secret}, "scope": {"system/*.rs"}}))
	check("post", status, got, "system/*.rs")
	status, got = s.tokens(t, form(url.Values{"client_assertion_type": {assertionType}, "client_assertion": {s.assertion(t, nil, nil)}, "scope": {"system/*.cruds openid"}}))
	check("ES384", status, got, "system/*.cruds")
	rs, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS384, Key: jose.JSONWebKey{Key: rsaKey, KeyID: "r"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	status, got = s.tokens(t, form(url.Values{"client_assertion_type": {assertionType}, "client_assertion": {s.assertion(t, rs, map[string]any{"iss": "rsa-backend", "sub": "rsa-backend"})}}))
	check("RS384", status, got, "system/Patient.rs")

	for name, row := range map[string]struct {
		form   url.Values
		change func(*http.Request)
		want   string
	}{
		"a wrong secret":           {form(nil), basic(Backend, "x"), "invalid_client"},
		"an empty secret":          {form(nil), basic(Backend, ""), "invalid_client"},
		"an unknown client":        {form(nil), basic("other", backend.Secret), "invalid_client"},
		"a client with keys alone": {form(nil), basic("rsa-backend", ""), "invalid_client"},
		"no secret at all":         {form(url.Values{"client_id": {Backend}}), nil, "invalid_client"},
		"another scheme":           {form(url.Values{"client_id": {Backend}, "client_secret": {backend.Secret}}), func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, "invalid_client"},
		"two ways at once":         {form(url.Values{"client_secret": {backend.Secret}}), basic(Backend, backend.Secret), "invalid_request"},
		"two names":                {form(url.Values{"client_id": {App}}), basic(Backend, backend.Secret), "invalid_client"},
		"a public client":          {form(url.Values{"client_id": {App}}), nil, "unauthorized_client"},
		"a person's scope":         {form(url.Values{"scope": {"user/*.rs"}}), basic(Backend, backend.Secret), "invalid_scope"},
		"parameters in the query":  {form(nil), func(r *http.Request) { r.URL.RawQuery = "a=b"; basic(Backend, backend.Secret)(r) }, "invalid_request"},
	} {
		change := row.change
		if change == nil {
			change = func(*http.Request) {}
		}
		if status, got := s.tokens(t, row.form, change); status < 400 || got["error"] != row.want || got["access_token"] != nil {
			t.Errorf("%s: %d %v, want %s", name, status, got, row.want)
		}
	}
}

// assertion is a good client assertion of demo-backend, with changes.
func (s *site) assertion(t testing.TB, signer jose.Signer, change map[string]any) string {
	t.Helper()
	if signer == nil {
		var key jose.JSONWebKey
		if err := key.UnmarshalJSON(s.Client(Backend).PrivateJWK); err != nil {
			t.Fatal(err)
		}
		var err error
		if signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES384, Key: key}, (&jose.SignerOptions{}).WithType("JWT")); err != nil {
			t.Fatal(err)
		}
	}
	now := s.clock()
	claims := map[string]any{
		"iss": Backend, "sub": Backend, "aud": s.Issuer() + "/token", "jti": newSecret(), "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	}
	for k, v := range change {
		if claims[k] = v; v == nil {
			delete(claims, k)
		}
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestAssertionsAreRefused(t *testing.T) {
	s := newSite(t)
	unix := func(d time.Duration) int64 { return s.clock().Add(d).Unix() }
	stranger, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(key any, alg jose.SignatureAlgorithm, options *jose.SignerOptions) jose.Signer {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
		if err != nil {
			t.Fatal(err)
		}
		return signer
	}
	good := s.assertion(t, nil, nil)
	for name, token := range map[string]string{
		"another audience":     s.assertion(t, nil, map[string]any{"aud": "https://other.test/token"}),
		"no audience":          s.assertion(t, nil, map[string]any{"aud": nil}),
		"another subject":      s.assertion(t, nil, map[string]any{"sub": Gateway}),
		"another issuer":       s.assertion(t, nil, map[string]any{"iss": Gateway}),
		"expired":              s.assertion(t, nil, map[string]any{"exp": unix(-time.Minute)}),
		"without expiry":       s.assertion(t, nil, map[string]any{"exp": nil}),
		"good for an hour":     s.assertion(t, nil, map[string]any{"exp": unix(time.Hour)}),
		"not good yet":         s.assertion(t, nil, map[string]any{"nbf": unix(2 * time.Minute)}),
		"issued in an hour":    s.assertion(t, nil, map[string]any{"iat": unix(time.Hour)}),
		"without id":           s.assertion(t, nil, map[string]any{"jti": nil}),
		"a stranger's":         s.assertion(t, sign(stranger, jose.ES384, nil), nil),
		"with its key along":   s.assertion(t, sign(stranger, jose.ES384, &jose.SignerOptions{EmbedJWK: true}), nil),
		"HMAC with the secret": s.assertion(t, sign([]byte(s.Client(Backend).Secret), jose.HS256, nil), nil),
		"tampered with":        good[:strings.LastIndexByte(good, '.')-1] + "A" + good[strings.LastIndexByte(good, '.'):],
		"not a JWT":            "x",
	} {
		status, got := s.tokens(t, url.Values{"grant_type": {"client_credentials"}, "client_assertion_type": {assertionType}, "client_assertion": {token}})
		if status != http.StatusUnauthorized || got["error"] != "invalid_client" {
			t.Errorf("%s: %d %v", name, status, got)
		}
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_assertion_type": {assertionType}, "client_assertion": {good}}
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 8 {
		wg.Go(func() {
			if status, _ := s.tokens(t, form); status == http.StatusOK {
				mu.Lock()
				won++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("one assertion got %d tokens", won)
	}
	s.add(4 * time.Minute)
	if status, _ := s.tokens(t, form); status == http.StatusOK {
		t.Error("and another before it expires")
	}
}

func TestKeysRotateWithoutAGap(t *testing.T) {
	s := newSite(t)
	v := s.verifier(t)
	token := func() string {
		_, got := s.tokens(t, url.Values{"grant_type": {"client_credentials"}}, func(r *http.Request) { r.SetBasicAuth(Backend, s.Client(Backend).Secret) })
		return got["access_token"].(string)
	}
	before := token()
	for range 2 {
		if _, err := v.Verify(t.Context(), before); err != nil {
			t.Fatal(err)
		}
		if err := s.Rotate(); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(t.Context(), token()); err != nil {
			t.Fatalf("after a rotation: %v", err)
		}
	}
	if _, err := v.Verify(t.Context(), before); err == nil {
		t.Error("two rotations later the first key still counts")
	}
	_, body := s.get(t, "/idp/keys")
	if strings.Contains(body, `"d"`) || strings.Count(body, `"kid"`) != 2 {
		t.Errorf("published keys: %s", body)
	}
}

func TestSigningOutLeadsOnlyHome(t *testing.T) {
	s := newSite(t)
	hint, err := s.sign("JWT", map[string]any{"iss": s.issuer, "aud": Gateway, "sub": "physician", "exp": 1})
	if err != nil {
		t.Fatal(err)
	}
	apps, err := s.sign("JWT", map[string]any{"iss": s.issuer, "aud": App, "sub": "physician"})
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		q  url.Values
		to string
	}{
		"home":             {url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {s.url + "/signed-out"}, "client_id": {Gateway}, "state": {"s"}}, s.url + "/signed-out?state=s"},
		"elsewhere":        {url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {"https://evil.test"}}, ""},
		"without hint":     {url.Values{"post_logout_redirect_uri": {s.url + "/signed-out"}, "client_id": {Gateway}}, ""},
		"a forged hint":    {url.Values{"id_token_hint": {hint + "x"}, "post_logout_redirect_uri": {s.url + "/signed-out"}}, ""},
		"another's hint":   {url.Values{"id_token_hint": {apps}, "post_logout_redirect_uri": {s.url + "/signed-out"}}, ""},
		"another's id":     {url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {s.url + "/signed-out"}, "client_id": {App}}, ""},
		"nothing asked at": {url.Values{}, ""},
	} {
		resp, body := s.get(t, "/idp/end-session?"+row.q.Encode())
		if resp.Header.Get("Location") != row.to || row.to == "" && !strings.Contains(body, "You are signed out.") {
			t.Errorf("%s: %d to %q", name, resp.StatusCode, resp.Header.Get("Location"))
		}
	}
}

func TestTheSignInPageIsPlainAndClosed(t *testing.T) {
	s := newSite(t)
	q := s.question()
	q.Set("state", `"><script>alert(1)</script>`)
	resp, body := s.get(t, "/idp/authorize?"+q.Encode())
	csp := resp.Header.Get("Content-Security-Policy")
	if csp != "default-src 'none'; style-src 'self'; form-action 'self' http://127.0.0.1:53124; frame-ancestors 'none'; base-uri 'none'" ||
		resp.Header.Get("X-Frame-Options") != "DENY" || resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("headers %v", resp.Header)
	}
	if strings.Contains(body, "<script") || strings.Contains(body, "<b>") || strings.Contains(body, "style=") || strings.Contains(body, "http://") {
		t.Error("script, style or markup in the page")
	}
	for _, p := range s.People() {
		if !strings.Contains(html.UnescapeString(body), p.Name) || !strings.Contains(body, p.Password) {
			t.Errorf("%s is not listed", p.Username)
		}
	}
	for _, want := range []string{`lang="en"`, `<label for="username">`, `<label for="password">`, `autocomplete="current-password"`, "<main>", "<h1>", "<title>"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	if resp, _ := s.get(t, "/idp/style.css"); resp.Header.Get("Content-Type") != "text/css; charset=utf-8" {
		t.Errorf("style sheet %v", resp.Header)
	}
}

func TestPasswordsBelongToAFolder(t *testing.T) {
	dir := t.TempDir()
	make := func(dir string) *Provider {
		p, err := New(Config{Base: "http://127.0.0.1:1", Audience: "http://127.0.0.1:1/fhir", Redirect: "http://127.0.0.1:1/signed-in", Dir: dir, People: []Person{{Username: "nurse"}}})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	one, again, other := make(dir), make(dir), make(t.TempDir())
	if !slices.Equal(one.People(), again.People()) || one.Client(Backend).Secret != again.Client(Backend).Secret ||
		string(one.Client(Backend).PrivateJWK) != string(again.Client(Backend).PrivateJWK) || one.keys.all()[0].KeyID != again.keys.all()[0].KeyID {
		t.Error("the same folder has other secrets the next time")
	}
	if one.People()[0].Password == other.People()[0].Password || one.Client(Gateway).Secret == other.Client(Gateway).Secret {
		t.Error("two folders share secrets")
	}
	info, err := os.Stat(filepath.Join(dir, keptFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v, %v", info.Mode(), err)
	}
	b, err := json.Marshal(one.Clients())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"id":"demo-backend","secret":"`, `"privateJwk":{`, `"grants":["client_credentials"],"scope":"system/*.cruds","redirectUris":[]`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("demo.json lacks %s", want)
		}
	}
	if !regexp.MustCompile(`^[a-z0-9]{4}-[a-z0-9]{4}-[a-z0-9]{4}$`).MatchString(one.People()[0].Password) {
		t.Errorf("password %q", one.People()[0].Password)
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
