package conformance_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"firebreak/demo"
	"firebreak/demo/demotest"
)

const (
	appSecret = "a secret that the app alone holds"
	backTo    = "https://app.test/back?of=app"
	verifier  = "a-verifier-of-forty-three-characters-or-more-"
)

// apps is a demo with apps, and a browser at it.
type apps struct {
	t       *testing.T
	base    string
	browser *http.Client
	word    string // the physician's password
	key     *ecdsa.PrivateKey
	last    http.Header // of the last page
	demo    *demotest.Demo
	hooked  string      // an address of an app's, that may be told of what is new
	hook    chan string // what came there
	away    *keysAway
}

func newApps(t *testing.T, dsn func() string) *apps {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(appSecret))
	dir := t.TempDir()
	database := map[string]any{}
	for _, name := range []string{"database", "accounts"} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(dsn()), 0o600); err != nil {
			t.Fatal(err)
		}
		database[name] = map[string]any{"file": file}
	}
	away := newKeysAway(t, key)
	hook := make(chan string, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if r.Header.Get("Authorization") == "Bearer of-the-app" {
			hook <- string(b)
		}
	}))
	t.Cleanup(receiver.Close)
	b, err := json.Marshal(map[string]any{"database": database["database"], "accounts": database["accounts"], "subscriptions": map[string]any{"to": []string{receiver.URL + "/hook"}, "every": "1s"}, "apps": []any{
		map[string]any{"id": "public", "name": "Growth Chart", "redirects": []string{backTo}, "scopes": "patient/*.rs user/*.rs"},
		map[string]any{"id": "round", "name": "Round", "launch": "https://app.test/launch?of=app", "intent": "ward-round", "roles": []string{"physician"}, "redirects": []string{backTo}, "scopes": "patient/*.rs"},
		map[string]any{"id": "shots", "name": "Shots", "launch": "https://app.test/shots", "roles": []string{"nurse"}, "redirects": []string{backTo}, "scopes": "patient/*.rs"},
		map[string]any{"id": "quiet", "name": "Ward Round", "redirects": []string{backTo}, "scopes": "user/*.rs user/Subscription.cruds", "secretHash": hex.EncodeToString(sum[:])},
		away.app("known"), away.app("long"), away.app("elsewhere"), away.app("private"), away.app("gone"),
		map[string]any{"id": "demo-backend", "name": "Night", "scopes": "system/*.cruds", "keys": jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k"}}}},
		map[string]any{"id": "demo-analytics", "name": "Panels", "scopes": "system/*.rs", "keys": jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k"}}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "apps.json")
	if err := os.WriteFile(config, b, 0o600); err != nil {
		t.Fatal(err)
	}
	d := demotest.Start(t, demo.Options{Patients: 2, Config: config})
	a := &apps{t: t, base: strings.TrimSuffix(d.Info.FHIR, "/fhir"), word: d.Info.People[0].Password, key: key, demo: d, hooked: receiver.URL + "/hook", hook: hook, away: away}
	a.newBrowser()
	return a
}

func (a *apps) newBrowser() {
	jar, err := cookiejar.New(nil)
	if err != nil {
		a.t.Fatal(err)
	}
	a.browser = &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// go on as a browser does until a page, or the way out to the app.
func (a *apps) walk(method, to string, form url.Values, header ...string) (page string, out *url.URL, status int) {
	a.t.Helper()
	for range 12 {
		r, err := http.NewRequest(method, to, strings.NewReader(form.Encode()))
		if err != nil {
			a.t.Fatal(err)
		}
		if method == http.MethodPost {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		resp, err := a.browser.Do(r)
		if err != nil {
			a.t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			a.t.Fatal(err)
		}
		a.last = resp.Header
		where, err := resp.Location()
		if err != nil {
			return string(b), nil, resp.StatusCode
		}
		if where.Host == "app.test" {
			return "", where, resp.StatusCode
		}
		method, to, form, header = http.MethodGet, where.String(), nil, nil
	}
	a.t.Fatal("redirected without end")
	return
}

var hiddenField = regexp.MustCompile(`<input type="hidden" name="([a-z]+)" value="([^"]*)"`)

// submit sends the form of a page that goes to action, with fields.
func (a *apps) submit(page, action string, fields url.Values) (string, *url.URL) {
	a.t.Helper()
	_, form, ok := strings.Cut(page, `action="`+action+`"`)
	if !ok {
		a.t.Fatalf("no form to %s in:\n%s", action, page)
	}
	form, _, _ = strings.Cut(form, "</form>")
	all := url.Values{}
	for _, m := range hiddenField.FindAllStringSubmatch(form, -1) {
		all.Set(m[1], m[2])
	}
	maps.Copy(all, fields)
	next, out, _ := a.walk(http.MethodPost, a.base+action, all)
	return next, out
}

// asks is an app's request in good order.
func (a *apps) asks(client, scope string) url.Values {
	sum := sha256.Sum256([]byte(verifier))
	return url.Values{
		"response_type": {"code"}, "client_id": {client}, "redirect_uri": {backTo}, "scope": {scope}, "state": {"s p&c€"}, "nonce": {"n"},
		"aud": {a.base + "/fhir"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
}

// signsIn goes from the app's request to the page that asks for consent, or for a patient.
func (a *apps) signsIn(q url.Values) string {
	a.t.Helper()
	page, _, _ := a.walk(http.MethodGet, a.base+"/oauth/authorize?"+q.Encode(), nil)
	page, _ = a.submit(page, "/idp/login", url.Values{"username": {"physician"}, "password": {a.word}})
	page, _ = a.submit(page, "/worksite", url.Values{"worksite": {"harbour"}})
	return page
}

// ayan is the number of a patient of the demo whom the physician sees, whatever else is sent.
const ayan = "9000000000"

var ticked = regexp.MustCompile(`name="scope" value="([^"]*)" checked`)

// allows ticks what the page ticks but for without, and gives the way back.
func (a *apps) allows(page, without string) url.Values {
	a.t.Helper()
	form := url.Values{"answer": {"allow"}}
	for _, m := range ticked.FindAllStringSubmatch(page, -1) {
		if m[1] != without {
			form.Add("scope", m[1])
		}
	}
	_, out := a.submit(page, "/apps/consent", form)
	if out == nil || !strings.HasPrefix(out.String(), backTo+"&") {
		a.t.Fatalf("sent to %v", out)
	}
	return out.Query()
}

// post sends a client's form and reads the answer.
func (a *apps) post(path string, form url.Values, basic ...string) (int, map[string]any) {
	a.t.Helper()
	r, err := http.NewRequest(http.MethodPost, a.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		a.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	switch len(basic) {
	case 1:
		r.Header.Set("Authorization", "Bearer "+basic[0])
	case 2:
		r.SetBasicAuth(basic[0], basic[1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		a.t.Error(err)
		return 0, nil
	}
	defer resp.Body.Close()
	var answer map[string]any
	_ = json.NewDecoder(resp.Body).Decode(&answer) // a revocation has no body
	return resp.StatusCode, answer
}

func (a *apps) exchange(code string, change url.Values, basic ...string) (int, map[string]any) {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {backTo}, "code_verifier": {verifier}}
	if basic == nil {
		form.Set("client_id", "public")
	}
	maps.Copy(form, change)
	return a.post("/oauth/token", form, basic...)
}

// read asks the API with a token.
func (a *apps) read(token any, path string) (int, string) {
	a.t.Helper()
	r, err := http.NewRequest(http.MethodGet, a.base+"/fhir"+path, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	r.Header.Set("Authorization", fmt.Sprint("Bearer ", token))
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// asserts is a client assertion; change spoils it.
func (a *apps) asserts(id string, change func(*jwt.Claims, *jose.SignerOptions), key any, alg jose.SignatureAlgorithm) string {
	a.t.Helper()
	claims := jwt.Claims{Issuer: "demo-backend", Subject: "demo-backend", Audience: jwt.Audience{a.base + "/oauth/token"}, ID: id, Expiry: jwt.NewNumericDate(time.Now().Add(4 * time.Minute))}
	o := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", "k")
	if change != nil {
		change(&claims, o)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, o)
	if err != nil {
		a.t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		a.t.Fatal(err)
	}
	return token
}

func asserted(token string) url.Values {
	return url.Values{
		"grant_type": {"client_credentials"}, "scope": {"system/Patient.rs user/*.rs"}, "client_assertion": {token},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	}
}
