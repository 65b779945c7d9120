package conformance_test

import (
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// keysAway is where apps publish their keys: each at an address of its own, by its id.
type keysAway struct {
	url   string
	asked atomic.Int64 // of the app "known"
}

func newKeysAway(t *testing.T, key *ecdsa.PrivateKey) *keysAway {
	t.Helper()
	away := &keysAway{}
	set := func(k any) []byte {
		b, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: k, KeyID: "k"}}})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	whole, private := set(key.Public()), set(key)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/known":
			away.asked.Add(1)
			_, _ = w.Write(whole)
		case "/long":
			_, _ = w.Write(append(whole, strings.Repeat(" ", 64<<10)...))
		case "/elsewhere":
			http.Redirect(w, r, "/known", http.StatusFound)
		case "/private":
			_, _ = w.Write(private)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	away.url = s.URL
	return away
}

// app is the registration of a backend service whose keys are there.
func (k *keysAway) app(id string) map[string]any {
	return map[string]any{"id": id, "name": "Keys " + id, "scopes": "system/*.rs", "keysUrl": k.url + "/" + id}
}

// Keys at an app's own address are fetched once in a while, whatever comes, within
// bounds; no address that an assertion brings is asked.
func (a *apps) keysAway(t *testing.T) {
	a.t = t
	of := func(id, jti, kid string, change func(*jose.SignerOptions)) string {
		return a.asserts(jti, func(c *jwt.Claims, o *jose.SignerOptions) {
			c.Issuer, c.Subject = id, id
			o.WithHeader("kid", kid)
			if change != nil {
				change(o)
			}
		}, a.key, jose.ES384)
	}
	if status, got := a.post("/oauth/token", asserted(of("known", "away-1", "k", nil))); status != http.StatusOK {
		t.Errorf("signed with a key at an address: %d %v", status, got)
	}
	for i := range 20 {
		if status, _ := a.post("/oauth/token", asserted(of("known", fmt.Sprint("away-unknown-", i), fmt.Sprint("other-", i), nil))); status != http.StatusUnauthorized {
			t.Errorf("signed with a key that is not there: %d", status)
		}
	}
	if n := a.away.asked.Load(); n > 2 {
		t.Errorf("the keys were fetched %d times for 21 assertions within seconds", n)
	}
	if status, got := a.post("/oauth/token", asserted(of("known", "away-jku", "k", func(o *jose.SignerOptions) { o.WithHeader("jku", a.away.url+"/known") }))); status != http.StatusOK {
		t.Errorf("pointing to the address that is registered: %d %v", status, got)
	}
	if status, got := a.post("/oauth/token", asserted(of("known", "away-jku-other", "k", func(o *jose.SignerOptions) { o.WithHeader("jku", a.away.url+"/other") }))); status != http.StatusUnauthorized {
		t.Errorf("pointing to another address: %d %v", status, got)
	}
	for _, id := range []string{"long", "elsewhere", "private", "gone"} {
		if status, got := a.post("/oauth/token", asserted(of(id, "away-"+id, "k", nil))); status != http.StatusUnauthorized || got["error"] != "invalid_client" {
			t.Errorf("keys that are %s: %d %v", id, status, got)
		}
	}
	before := a.away.asked.Load()
	for _, header := range []jose.HeaderKey{"jku", "x5u"} {
		token := of("gone", "away-"+string(header), "k", func(o *jose.SignerOptions) { o.WithHeader(header, a.away.url+"/known") })
		if status, _ := a.post("/oauth/token", asserted(token)); status != http.StatusUnauthorized {
			t.Errorf("%s: %d", header, status)
		}
	}
	if a.away.asked.Load() != before {
		t.Error("an address that an assertion brought was asked")
	}
	if status, got := a.post("/oauth/token", asserted(of("known", "away-1", "k", nil))); status != http.StatusUnauthorized {
		t.Errorf("shown before: %d %v", status, got)
	}
	stolen := a.asserts("away-stolen", func(c *jwt.Claims, _ *jose.SignerOptions) { c.Subject = "known" }, a.key, jose.ES384)
	if status, got := a.post("/oauth/token", asserted(stolen)); status != http.StatusUnauthorized {
		t.Errorf("of one app about another: %d %v", status, got)
	}
}

// smuggled: what two readers of a request could read in two ways is refused.
func (a *apps) smuggled(t *testing.T) {
	a.t = t
	with := func(id string, change url.Values) url.Values {
		form := asserted(a.asserts(id, nil, a.key, jose.ES384))
		for name, values := range change {
			form[name] = values
		}
		return form
	}
	basic := []string{"quiet", appSecret}
	for name, row := range map[string]struct {
		path  string
		form  url.Values
		basic []string
	}{
		"a parameter in the address":               {"/oauth/token?scope=system/*.rs", with("smuggled-1", nil), nil},
		"all parameters in the address":            {"/oauth/token?" + with("smuggled-2", nil).Encode(), nil, nil},
		"two scopes":                               {"/oauth/token", with("smuggled-3", url.Values{"scope": {"system/Patient.rs", "system/*.rs"}}), nil},
		"two grant types":                          {"/oauth/token", with("smuggled-4", url.Values{"grant_type": {"client_credentials", "authorization_code"}}), nil},
		"two assertions":                           {"/oauth/token", with("smuggled-5", url.Values{"client_assertion": {"a", "b"}}), nil},
		"an assertion and a secret":                {"/oauth/token", with("smuggled-6", url.Values{"client_secret": {"x"}}), nil},
		"an assertion and another app's password":  {"/oauth/token", with("smuggled-7", nil), basic},
		"an assertion under another app's name":    {"/oauth/token", with("smuggled-8", url.Values{"client_id": {"known"}}), nil},
		"an assertion of another type":             {"/oauth/token", with("smuggled-9", url.Values{"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}}), nil},
		"a password under another app's name":      {"/oauth/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}, "client_id": {"public"}}, basic},
		"a password for a service":                 {"/oauth/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"system/*.rs"}}, basic},
		"a person's scope for a service":           {"/oauth/token", with("smuggled-10", url.Values{"scope": {"user/*.rs patient/*.rs launch openid"}}), nil},
		"two tokens to look into":                  {"/oauth/introspect", url.Values{"token": {"a", "b"}}, basic},
		"a token to look into in the address":      {"/oauth/introspect?token=a", url.Values{}, basic},
		"two tokens to revoke":                     {"/oauth/revoke", url.Values{"token": {"a", "b"}}, basic},
		"a token to revoke under a wrong password": {"/oauth/revoke", url.Values{"token": {"a"}}, []string{"quiet", "guessed"}},
	} {
		if status, got := a.post(row.path, row.form, row.basic...); status != http.StatusBadRequest && status != http.StatusUnauthorized || got["error"] == nil {
			t.Errorf("%s: %d %v", name, status, got)
		}
	}
	// What was refused did not use the assertion up or leave it open: it counts once.
	if status, _ := a.post("/oauth/token", with("smuggled-1", nil)); status != http.StatusOK {
		t.Errorf("an assertion that nobody took: %d", status)
	}
	r, err := http.NewRequest(http.MethodPost, a.base+"/oauth/token", strings.NewReader(`{"grant_type":"client_credentials"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest && resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("JSON at the token endpoint: %d", resp.StatusCode)
	}
	// A parameter in the address and in the form of a request to authorize is there twice.
	q := a.asks("public", "user/*.rs")
	_, out, _ := a.walk(http.MethodPost, a.base+"/oauth/authorize?scope=user/*.rs", q)
	if out == nil || out.Query().Get("error") != "invalid_request" || out.Query().Has("code") {
		t.Errorf("a scope in the address and in the form: %v", out)
	}
}

// misplaced: only an access token opens the API, and only from its header.
func (a *apps) misplaced(t *testing.T) {
	a.t = t
	a.newBrowser()
	code := a.allows(a.signsIn(a.asks("public", "openid user/Patient.rs offline_access")), "").Get("code")
	if status, _ := a.read(code, "/Patient/none"); status != http.StatusUnauthorized {
		t.Errorf("a code opens the API: %d", status)
	}
	status, got := a.exchange(code, nil)
	if status != http.StatusOK {
		t.Fatal(status, got)
	}
	access := fmt.Sprint(got["access_token"])
	for name, token := range map[string]any{
		"a refresh token": got["refresh_token"], "an ID token": got["id_token"], "a token in capitals": strings.ToUpper(access), "half a token": access[:20],
		"a token without its prefix": strings.TrimPrefix(access, "fb_"), "an assertion": a.asserts("misplaced", nil, a.key, jose.ES384),
		"an unsigned JWT":  base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"x"}`)) + ".",
		"a very long word": strings.Repeat("x", 100<<10),
	} {
		if status, _ := a.read(token, "/Patient/none"); status != http.StatusUnauthorized && status != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s opens the API: %d", name, status)
		}
	}
	ask := func(method, query, form string, headers ...string) int {
		t.Helper()
		r, err := http.NewRequest(method, a.base+"/fhir/Patient/none"+query, strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		r.Header["Authorization"] = headers
		if form != "" {
			r.URL.Path = "/fhir/Patient/_search"
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		return resp.StatusCode
	}
	for name, status := range map[string]int{
		"in the address":            ask(http.MethodGet, "?access_token="+access, ""),
		"in a form":                 ask(http.MethodPost, "", "access_token="+access),
		"in two headers":            ask(http.MethodGet, "", "", "Bearer "+access, "Bearer "+access),
		"beside a word in a header": ask(http.MethodGet, "", "", "Bearer x, Bearer "+access),
		"as a password":             ask(http.MethodGet, "", "", "Basic "+base64.StdEncoding.EncodeToString([]byte("x:"+access))),
	} {
		if status != http.StatusUnauthorized {
			t.Errorf("a token %s: %d", name, status)
		}
	}
	if status := ask(http.MethodGet, "", "", "Bearer "+access); status != http.StatusNotFound {
		t.Errorf("the token, where it belongs: %d", status)
	}
	more := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {fmt.Sprint(got["refresh_token"])}, "client_id": {"public"}, "scope": {"user/Observation.rs system/*.rs"}}
	if status, got := a.post("/oauth/token", more); status != http.StatusBadRequest || got["error"] != "invalid_scope" {
		t.Errorf("a refresh token for more than was granted: %d %v", status, got)
	}
	more.Set("scope", fmt.Sprint(got["scope"]))
	if status, got := a.post("/oauth/token", more); status != http.StatusOK {
		t.Errorf("then for what was granted: %d %v", status, got)
	}
}
