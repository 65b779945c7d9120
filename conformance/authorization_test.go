package conformance_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"firebreak/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// An app goes the whole way, as does a backend service; nothing that RFC 9700
// warns of does. Then everything that the API promises is asked for.
func TestConformance(t *testing.T) {
	for name, dsn := range map[string]func() string{
		"SQLite":     func() string { return "sqlite:" + filepath.Join(t.TempDir(), "gateway.db") },
		"PostgreSQL": func() string { return pgtest.DSN(t) },
	} {
		t.Run(name, func(t *testing.T) {
			a := newApps(t, dsn)
			t.Run("a backend service", a.backend)
			t.Run("requests that are refused", a.refusals)
			t.Run("a public app for one patient", a.publicApp)
			t.Run("a confidential app goes on while its person is away", a.confidentialApp)
			t.Run("REST", a.rest)
			t.Run("granular scopes", a.granular)
			t.Run("an app has itself told of what is new", a.subscriber)
			t.Run("an app launched from a chart", a.fromAChart)
			t.Run("an app that registers itself", a.registered)
			t.Run("keys at an address", a.keysAway)
			t.Run("parameters smuggled past the token endpoint", a.smuggled)
			t.Run("tokens that are not access tokens, or not where they belong", a.misplaced)
		})
	}
}

func (a *apps) backend(t *testing.T) {
	a.t = t
	status, got := a.post("/oauth/token", asserted(a.asserts("first", nil, a.key, jose.ES384)))
	if status != http.StatusOK || got["scope"] != "system/Patient.rs" || got["expires_in"].(float64) > 300 || got["refresh_token"] != nil {
		t.Fatalf("%d %v", status, got)
	}
	if status, body := a.read(got["access_token"], "/Patient?_summary=count"); status != http.StatusOK || !strings.Contains(body, `"total":2`) {
		t.Errorf("patients: %d %.200s", status, body)
	}
	if status, _ := a.read(got["access_token"], "/Observation?_count=1"); status != http.StatusForbidden {
		t.Errorf("beyond its scope: %d", status)
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	plain := func(claims string) string {
		e := base64.RawURLEncoding.EncodeToString
		return e([]byte(`{"alg":"none"}`)) + "." + e([]byte(claims)) + "."
	}
	for name, token := range map[string]string{
		"shown before": a.asserts("first", nil, a.key, jose.ES384),
		"too long of life": a.asserts("a", func(c *jwt.Claims, _ *jose.SignerOptions) {
			c.Expiry = jwt.NewNumericDate(time.Now().Add(6 * time.Minute))
		}, a.key, jose.ES384),
		"over": a.asserts("b", func(c *jwt.Claims, _ *jose.SignerOptions) {
			c.Expiry = jwt.NewNumericDate(time.Now().Add(-time.Second))
		}, a.key, jose.ES384),
		"for another server":  a.asserts("c", func(c *jwt.Claims, _ *jose.SignerOptions) { c.Audience = jwt.Audience{"https://other.test/token"} }, a.key, jose.ES384),
		"without a jti":       a.asserts("", nil, a.key, jose.ES384),
		"of another issuer":   a.asserts("d", func(c *jwt.Claims, _ *jose.SignerOptions) { c.Issuer = "public" }, a.key, jose.ES384),
		"with its own key":    a.asserts("e", func(_ *jwt.Claims, o *jose.SignerOptions) { o.EmbedJWK = true }, stranger, jose.ES384),
		"pointing to its key": a.asserts("f", func(_ *jwt.Claims, o *jose.SignerOptions) { o.WithHeader("jku", "https://other.test/keys") }, stranger, jose.ES384),
		"by HMAC":             a.asserts("g", nil, []byte(strings.Repeat("k", 32)), jose.HS256),
		"unsigned":            plain(`{"iss":"demo-backend","sub":"demo-backend","jti":"h","aud":"` + a.base + `","exp":` + fmt.Sprint(time.Now().Unix()+60) + `}`),
	} {
		if status, got := a.post("/oauth/token", asserted(token)); status != http.StatusUnauthorized || got["error"] != "invalid_client" {
			t.Errorf("an assertion %s: %d %v", name, status, got)
		}
	}
	one := a.asserts("parallel", nil, a.key, jose.ES384)
	won := make(chan bool, 16)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if status, _ := a.post("/oauth/token", asserted(one)); status == http.StatusOK {
				won <- true
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Errorf("one assertion, shown 16 times at once, was taken %d times", len(won))
	}
}

func (a *apps) refusals(t *testing.T) {
	a.t = t
	for name, change := range map[string]func(url.Values){
		"an unknown app":             func(q url.Values) { q.Set("client_id", "nobody") },
		"another path":               func(q url.Values) { q.Set("redirect_uri", "https://app.test/back?of=app/") },
		"another host":               func(q url.Values) { q.Set("redirect_uri", "https://app.test.evil.test/back?of=app") },
		"another scheme":             func(q url.Values) { q.Set("redirect_uri", "http://app.test/back?of=app") },
		"one more parameter":         func(q url.Values) { q.Set("redirect_uri", backTo+"&x=1") },
		"a fragment":                 func(q url.Values) { q.Set("redirect_uri", backTo+"#x") },
		"none":                       func(q url.Values) { q.Del("redirect_uri") },
		"two":                        func(q url.Values) { q.Add("redirect_uri", backTo) },
		"the app's address, escaped": func(q url.Values) { q.Set("redirect_uri", "https://app.test/b%61ck?of=app") },
	} {
		q := a.asks("public", "user/*.rs")
		change(q)
		if page, out, status := a.walk(http.MethodGet, a.base+"/oauth/authorize?"+q.Encode(), nil); out != nil || status != http.StatusBadRequest || strings.Contains(page, "evil") {
			t.Errorf("a redirect address with %s: %d, to %v", name, status, out)
		}
	}
	for name, row := range map[string]struct {
		change func(url.Values)
		want   string
	}{
		"an implicit grant":          {func(q url.Values) { q.Set("response_type", "token") }, "unsupported_response_type"},
		"no challenge":               {func(q url.Values) { q.Del("code_challenge") }, "invalid_request"},
		"a plain challenge":          {func(q url.Values) { q.Set("code_challenge_method", "plain") }, "invalid_request"},
		"no aud":                     {func(q url.Values) { q.Del("aud") }, "invalid_request"},
		"another server's aud":       {func(q url.Values) { q.Set("aud", "https://other.test/fhir") }, "invalid_request"},
		"two scopes parameters":      {func(q url.Values) { q.Add("scope", "user/*.rs") }, "invalid_request"},
		"two nonces":                 {func(q url.Values) { q.Add("nonce", "m") }, "invalid_request"},
		"a request object":           {func(q url.Values) { q.Set("request", "x.y.z") }, "request_not_supported"},
		"only system scopes":         {func(q url.Values) { q.Set("scope", "system/*.rs") }, "invalid_scope"},
		"no person":                  {func(q url.Values) { q.Set("prompt", "none") }, "interaction_required"},
		"a launch without its scope": {func(q url.Values) { q.Set("launch", "x") }, "invalid_request"},
		"a launch nobody began": {func(q url.Values) {
			q.Set("launch", "x")
			q.Set("scope", "launch patient/*.rs")
		}, "invalid_request"},
		"the scope of a launch without one": {func(q url.Values) { q.Set("scope", "launch patient/*.rs") }, "invalid_request"},
	} {
		q := a.asks("public", "user/*.rs")
		row.change(q)
		_, out, _ := a.walk(http.MethodGet, a.base+"/oauth/authorize?"+q.Encode(), nil)
		if out == nil || out.Query().Get("error") != row.want || out.Query().Get("state") != "s p&c€" || out.Query().Get("iss") != a.base || out.Query().Has("code") {
			t.Errorf("%s: %v", name, out)
		}
	}
	q := a.asks("public", "user/*.rs")
	q.Add("state", "other")
	if _, out, _ := a.walk(http.MethodGet, a.base+"/oauth/authorize?"+q.Encode(), nil); out.Query().Get("error") != "invalid_request" || out.Query().Has("state") {
		t.Errorf("two states: %v", out)
	}
	for _, grant := range []string{"password", "implicit", ""} {
		if status, got := a.post("/oauth/token", url.Values{"grant_type": {grant}, "client_id": {"public"}, "username": {"physician"}, "password": {"demo"}}); status != http.StatusBadRequest || got["error"] != "unsupported_grant_type" {
			t.Errorf("grant %q: %d %v", grant, status, got)
		}
	}
}

func (a *apps) publicApp(t *testing.T) {
	a.t = t
	var found map[string]any
	a.discover(&found)

	// By POST of the app's own page, and aud with a slash.
	q := a.asks("public", "launch/patient openid fhirUser patient/*.read patient/Observation.r system/*.rs")
	q.Set("aud", a.base+"/fhir/")
	page, _, _ := a.walk(http.MethodPost, a.base+"/oauth/authorize", q, "Sec-Fetch-Site", "cross-site", "Origin", "https://app.test")
	page, _ = a.submit(page, "/idp/login", url.Values{"username": {"physician"}, "password": {a.word}})
	page, _ = a.submit(page, "/worksite", url.Values{"worksite": {"harbour"}})
	if a.last.Get("Cache-Control") != "no-store" || a.last.Get("X-Frame-Options") != "DENY" {
		t.Errorf("the page may be kept or framed: %v", a.last)
	}
	_, backend := a.post("/oauth/token", asserted(a.asserts("numbers", nil, a.key, jose.ES384)))
	page, _ = a.submit(page, "/apps/patient", url.Values{"number": {ayan}})
	page, _ = a.submit(page, "/apps/patient/choose", nil)
	if !strings.Contains(page, "Growth Chart") || !strings.Contains(a.last.Get("Content-Security-Policy"), "form-action 'self'") || !strings.HasSuffix(a.last.Get("Content-Security-Policy"), " https://app.test") {
		t.Errorf("the page of consent, %s:\n%s", a.last.Get("Content-Security-Policy"), page)
	}
	form := url.Values{"answer": {"allow"}, "request": {regexp.MustCompile(`name="request" value="([^"]+)"`).FindStringSubmatch(page)[1]}}
	if _, out, status := a.walk(http.MethodPost, a.base+"/apps/consent", form, "Sec-Fetch-Site", "cross-site"); out != nil || status != http.StatusForbidden {
		t.Errorf("another site's form said yes: %d %v", status, out)
	}
	other := &apps{t: t, base: a.base, word: a.word}
	other.newBrowser()
	other.signsIn(other.asks("public", "user/*.rs"))
	if _, out, status := other.walk(http.MethodPost, a.base+"/apps/consent", form); out != nil || status != http.StatusBadRequest {
		t.Errorf("another session answered: %d %v", status, out)
	}
	back := a.allows(page, "patient/Observation.r")
	if back.Get("state") != "s p&c€" || back.Get("iss") != a.base || back.Get("of") != "app" {
		t.Errorf("back with %v", back)
	}
	status, got := a.exchange(back.Get("code"), nil)
	if status != http.StatusOK || got["scope"] != "launch/patient openid fhirUser patient/*.read" || got["refresh_token"] != nil || got["need_patient_banner"] != true {
		t.Fatalf("%d %v", status, got)
	}
	patient := fmt.Sprint(got["patient"])
	claims := a.idToken(got["id_token"], found["jwks_uri"])
	if claims["nonce"] != "n" || claims["aud"] != "public" || claims["iss"] != a.base || !strings.HasPrefix(fmt.Sprint(claims["fhirUser"]), a.base+"/fhir/Practitioner/user-") {
		t.Errorf("ID token: %v", claims)
	}
	user := strings.TrimPrefix(fmt.Sprint(claims["fhirUser"]), a.base+"/fhir")
	if status, body := a.read(got["access_token"], user); status != http.StatusOK || !strings.Contains(body, "Maya Lindqvist") {
		t.Errorf("who is signed in: %d %s", status, body)
	}
	if status, _ := a.read(backend["access_token"], user); status != http.StatusForbidden {
		t.Errorf("to others: %d", status)
	}
	if status, body := a.read(got["access_token"], "/Patient/"+patient); status != http.StatusOK || !strings.Contains(body, patient) {
		t.Errorf("the patient: %d", status)
	}
	if status, body := a.read(got["access_token"], "/Patient?_summary=count"); status != http.StatusOK || !strings.Contains(body, `"total":1`) {
		t.Errorf("another patient: %d %s", status, body)
	}
	// The code again: whoever has it, all that came of it ends.
	if status, got := a.exchange(back.Get("code"), nil); status != http.StatusBadRequest || got["error"] != "invalid_grant" {
		t.Errorf("the code again: %d %v", status, got)
	}
	if status, _ := a.read(got["access_token"], "/Patient/"+patient); status != http.StatusUnauthorized {
		t.Errorf("after the code was shown again: %d", status)
	}

	next := func() string { // signed in already: one page
		page, _, _ := a.walk(http.MethodGet, a.base+"/oauth/authorize?"+a.asks("public", "user/Patient.rs online_access").Encode(), nil)
		return a.allows(page, "").Get("code")
	}
	for name, change := range map[string]url.Values{
		"another verifier": {"code_verifier": {strings.Repeat("x", 43)}}, "no verifier": {"code_verifier": {""}},
		"another address": {"redirect_uri": {"https://app.test/other"}}, "two codes": {"code": {"a", "b"}},
	} {
		code := next()
		if status, got := a.exchange(code, change); status != http.StatusBadRequest || got["access_token"] != nil {
			t.Errorf("%s: %d %v", name, status, got)
		}
	}
	code := next()
	if status, got := a.exchange(code, nil, "quiet", appSecret); status != http.StatusBadRequest || got["error"] != "invalid_grant" {
		t.Errorf("another app's code: %d %v", status, got)
	}
	type answer struct {
		status int
		body   map[string]any
	}
	answers := make(chan answer, 16)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			status, got := a.exchange(code, nil)
			answers <- answer{status, got}
		})
	}
	wg.Wait()
	close(answers)
	won := 0
	for x := range answers {
		if x.status == http.StatusOK {
			won++
			if status, _ := a.read(x.body["access_token"], "/Patient?_count=1"); status != http.StatusUnauthorized {
				t.Errorf("a code was shown 16 times and its token opens: %d", status)
			}
		}
	}
	if won != 1 {
		t.Errorf("one code, redeemed 16 times at once, gave %d tokens", won)
	}
	page, _, _ = a.walk(http.MethodGet, a.base+"/oauth/authorize?"+a.asks("public", "user/Patient.rs").Encode(), nil)
	if _, out := a.submit(page, "/apps/consent", url.Values{"answer": {"deny"}}); out.Query().Get("error") != "access_denied" || out.Query().Has("code") || out.Query().Get("state") == "" {
		t.Errorf("a refusal: %v", out)
	}
	_, got = a.exchange(next(), nil)
	alone := func(token any) (int, map[string]any) { // as fhirclient does, without client_id
		return a.post("/oauth/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {fmt.Sprint(token)}})
	}
	status, renewed := alone(got["refresh_token"])
	if status != http.StatusOK || renewed["refresh_token"] == got["refresh_token"] {
		t.Errorf("a public app's refresh token alone: %d %v", status, renewed)
	}
	for name, token := range map[string]any{"an access token": renewed["access_token"], "a word": "a-word"} {
		if status, got := alone(token); status != http.StatusBadRequest || got["error"] != "invalid_grant" {
			t.Errorf("%s for a refresh token: %d %v", name, status, got)
		}
	}
	if status, _ := alone(got["refresh_token"]); status != http.StatusBadRequest {
		t.Errorf("a refresh token alone, again: %d", status)
	}
	if status, _ := a.read(renewed["access_token"], "/Patient?_count=1"); status != http.StatusUnauthorized {
		t.Errorf("the family lives on: %d", status)
	}
	_, got = a.exchange(next(), nil)
	page, _, _ = a.walk(http.MethodGet, a.base+"/account", nil)
	a.submit(page, "/sign-out", nil)
	if status, _ := a.read(got["access_token"], "/Patient?_count=1"); status != http.StatusUnauthorized {
		t.Errorf("online access after signing out: %d", status)
	}
}

func (a *apps) confidentialApp(t *testing.T) {
	a.t = t
	a.newBrowser()
	code := a.allows(a.signsIn(a.asks("quiet", "user/Patient.rs user/Observation.rs offline_access")), "user/Observation.rs").Get("code")
	if status, _ := a.exchange(code, nil, "quiet", "guessed"); status != http.StatusUnauthorized {
		t.Errorf("another secret: %d", status)
	}
	if status, _ := a.exchange(code, url.Values{"client_id": {"quiet"}}); status != http.StatusUnauthorized {
		t.Errorf("no secret: %d", status)
	}
	_, first := a.exchange(code, nil, "quiet", appSecret)
	page, _, _ := a.walk(http.MethodGet, a.base+"/account", nil)
	a.submit(page, "/sign-out", nil)
	if status, got := a.post("/oauth/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {fmt.Sprint(first["refresh_token"])}}); status != http.StatusUnauthorized {
		t.Errorf("its refresh token alone: %d %v", status, got)
	}
	renew := func(token any, scope string) (int, map[string]any) {
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {fmt.Sprint(token)}}
		if scope != "" {
			form.Set("scope", scope)
		}
		return a.post("/oauth/token", form, "quiet", appSecret)
	}
	status, second := renew(first["refresh_token"], "")
	if status != http.StatusOK || second["refresh_token"] == first["refresh_token"] || second["scope"] != "user/Patient.rs offline_access" {
		t.Fatalf("refreshed: %d %v", status, second)
	}
	if status, _ := a.read(second["access_token"], "/Observation?_count=1"); status != http.StatusForbidden {
		t.Errorf("what was unticked: %d", status)
	}
	inspect := func(token any, basic ...string) map[string]any {
		_, got := a.post("/oauth/introspect", url.Values{"token": {fmt.Sprint(token)}}, basic...)
		return got
	}
	if got := inspect(second["access_token"], "quiet", appSecret); got["active"] != true || got["client_id"] != "quiet" || got["scope"] != second["scope"] {
		t.Errorf("introspection: %v", got)
	}
	if got := inspect(second["refresh_token"], fmt.Sprint(second["access_token"])); got["active"] != true {
		t.Errorf("introspection by bearer: %v", got)
	}
	if got := inspect(second["access_token"]); got["active"] != nil {
		t.Errorf("introspection by nobody: %v", got)
	}
	if status, _ := renew(first["refresh_token"], ""); status != http.StatusBadRequest {
		t.Errorf("a refresh token again: %d", status)
	}
	if got := inspect(second["access_token"], "quiet", appSecret); got["active"] != false || len(got) != 1 {
		t.Errorf("after a refresh token was shown again: %v", got)
	}
	if status, _ := renew(second["refresh_token"], ""); status != http.StatusBadRequest {
		t.Errorf("the family lives on: %d", status)
	}

	grant := func() map[string]any {
		a.newBrowser()
		_, got := a.exchange(a.allows(a.signsIn(a.asks("quiet", "user/Patient.rs offline_access")), "").Get("code"), nil, "quiet", appSecret)
		return got
	}
	got := grant()
	if status, _ := a.post("/oauth/revoke", url.Values{"token": {fmt.Sprint(got["access_token"])}, "client_id": {"public"}}); status != http.StatusOK {
		t.Errorf("another app revokes: %d", status)
	}
	if status, _ := a.read(got["access_token"], "/Patient/none"); status != http.StatusNotFound {
		t.Errorf("after another app revoked it: %d", status)
	}
	if status, _ := a.post("/oauth/revoke", url.Values{"token": {fmt.Sprint(got["refresh_token"])}}, "quiet", appSecret); status != http.StatusOK {
		t.Errorf("revoked: %d", status)
	}
	if status, _ := a.read(got["access_token"], "/Patient?_count=1"); status != http.StatusUnauthorized {
		t.Errorf("after it was revoked: %d", status)
	}
	got = grant()
	page, _, _ = a.walk(http.MethodGet, a.base+"/apps", nil)
	if !strings.Contains(page, "Ward Round") {
		t.Errorf("the list of apps:\n%s", page)
	}
	a.submit(page, "/apps", nil)
	if status, _ := a.read(got["access_token"], "/Patient?_count=1"); status != http.StatusUnauthorized {
		t.Errorf("after the person ended it: %d", status)
	}
}

// discover reads both documents, which say the same.
func (a *apps) discover(into *map[string]any) {
	a.t.Helper()
	var two [2]string
	for i, path := range []string{"/fhir/.well-known/smart-configuration", "/.well-known/openid-configuration"} {
		resp, err := http.Get(a.base + path)
		if err != nil {
			a.t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !strings.Contains(resp.Header.Get("Cache-Control"), "max-age") {
			a.t.Errorf("%s: %v, %q", path, err, resp.Header.Get("Cache-Control"))
		}
		two[i] = string(b)
	}
	if two[0] != two[1] {
		a.t.Errorf("they differ:\n%s\n%s", two[0], two[1])
	}
	if err := json.Unmarshal([]byte(two[0]), into); err != nil {
		a.t.Fatal(err)
	}
}

// idToken are the claims of an ID token, checked with the published keys.
func (a *apps) idToken(token, keys any) (claims map[string]any) {
	a.t.Helper()
	resp, err := http.Get(fmt.Sprint(keys))
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(resp.Body).Decode(&set); err != nil {
		a.t.Fatal(err)
	}
	parsed, err := jwt.ParseSigned(fmt.Sprint(token), []jose.SignatureAlgorithm{jose.ES384})
	if err != nil {
		a.t.Fatal(err)
	}
	if err := parsed.Claims(set, &claims); err != nil {
		a.t.Fatal(err)
	}
	return claims
}
