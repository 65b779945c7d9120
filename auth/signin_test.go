package auth_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"firebreak/auth"
	"firebreak/internal/sqldb"
)

func TestSignInOpensASessionAndReturns(t *testing.T) {
	onBoth(t, func(t *testing.T, db *sqldb.DB) {
		g := newGateway(t, newFake(t, newClock()), db, auth.SessionConfig{})
		b := newBrowser()
		q := g.begin(t, b, "/find?by=name")
		for name, want := range map[string]string{
			"response_type": "code", "client_id": clientID, "redirect_uri": callback, "scope": "openid profile", "code_challenge_method": "S256",
		} {
			if q.Get(name) != want {
				t.Errorf("asked with %s %q, want %q", name, q.Get(name), want)
			}
		}
		s, back, _, err := g.answer(t, b, q, g.sign(t, g.claims(q), nil))
		if err != nil {
			t.Fatal(err)
		}
		if id := s.Identity(); back != "/find?by=name" || id.Issuer() != g.URL || id.Subject() != "maya" || id.Name() != "Dr Maya" || id.IsClient() {
			t.Errorf("signed in as %s %s %s, sent to %s", id.Issuer(), id.Subject(), id.Name(), back)
		}
		if got := g.find(t, b); got.Identity().Subject() != "maya" || got.Key() != s.Key() {
			t.Errorf("the next request finds %q", got.Identity().Subject())
		}
	})
}

func TestSignInRefusesIDTokens(t *testing.T) {
	f := newFake(t, newClock())
	g := newGateway(t, f, sqlite(t), auth.SessionConfig{}, "gold", "silver")
	stranger := newKey(t, "k1")
	type row struct {
		name   string
		change map[string]any
		make   func(claims map[string]any) string
	}
	rows := []row{
		{name: "another issuer", change: map[string]any{"iss": "https://other.test"}},
		{name: "the issuer with a slash", change: map[string]any{"iss": f.URL + "/"}},
		{name: "another audience", change: map[string]any{"aud": "other"}},
		{name: "two audiences and no azp", change: map[string]any{"aud": []string{clientID, "other"}}},
		{name: "another azp", change: map[string]any{"aud": []string{clientID, "other"}, "azp": "other"}},
		{name: "another nonce", change: map[string]any{"nonce": "n"}},
		{name: "no nonce", change: map[string]any{"nonce": nil}},
		{name: "expired this second", change: map[string]any{"exp": f.clock.now().Unix()}},
		{name: "no expiry", change: map[string]any{"exp": nil}},
		{name: "issued two minutes ahead", change: map[string]any{"iat": f.clock.now().Add(2 * time.Minute).Unix()}},
		{name: "valid in two minutes", change: map[string]any{"nbf": f.clock.now().Add(2 * time.Minute).Unix()}},
		{name: "no subject", change: map[string]any{"sub": nil}},
		{name: "an endless subject", change: map[string]any{"sub": strings.Repeat("s", 256)}},
		{name: "weaker than required", change: map[string]any{"acr": "bronze"}},
		{name: "no word of strength", change: map[string]any{"acr": nil}},
		{name: "for another access token", change: map[string]any{"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}},
		{name: "an access token", make: func(c map[string]any) string { return f.sign(t, c, map[string]any{"typ": "at+jwt"}) }},
		{name: "unsigned", make: func(c map[string]any) string {
			return segment(t, map[string]any{"alg": "none"}) + "." + segment(t, c) + "."
		}},
		{name: "signed with the public key as secret", make: func(c map[string]any) string { return symmetric(t, f, c) }},
		{name: "signed by a stranger under our kid", make: func(c map[string]any) string { return signWith(t, stranger, c, nil) }},
		{name: "bringing its own key", make: func(c map[string]any) string {
			return signWith(t, stranger, c, map[string]any{"jwk": stranger.Public(), "kid": nil})
		}},
		{name: "pointing to its own keys", make: func(c map[string]any) string {
			return signWith(t, stranger, c, map[string]any{"jku": "https://evil.test/keys", "kid": "new"})
		}},
		{name: "tampered with", make: func(c map[string]any) string {
			parts := strings.Split(f.sign(t, c, nil), ".")
			c["sub"] = "admin"
			return parts[0] + "." + segment(t, c) + "." + parts[2]
		}},
		{name: "without a signature", make: func(c map[string]any) string {
			parts := strings.Split(f.sign(t, c, nil), ".")
			return parts[0] + "." + parts[1] + "."
		}},
		{name: "a JSON serialization", make: func(c map[string]any) string {
			parts := strings.Split(f.sign(t, c, nil), ".")
			return `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`
		}},
		{name: "missing", make: func(map[string]any) string { return "" }},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			b := newBrowser()
			q := g.begin(t, b, "/")
			claims := with(with(g.claims(q), map[string]any{"acr": "silver"}), r.change)
			make := r.make
			if make == nil {
				make = func(c map[string]any) string { return g.sign(t, c, nil) }
			}
			s, _, _, err := g.answer(t, b, q, make(claims))
			if !errors.Is(err, auth.ErrSignIn) || !s.IsZero() || len(b.cookies) != 0 {
				t.Errorf("session %v, cookies %v, error %v", !s.IsZero(), b.cookies, err)
			}
			if strings.Contains(err.Error(), "evil") || strings.Contains(err.Error(), "secret") {
				t.Errorf("the error quotes what came in: %v", err)
			}
		})
	}
	t.Run("and takes the good one", func(t *testing.T) {
		b := newBrowser()
		q := g.begin(t, b, "/")
		if q.Get("acr_values") != "gold silver" {
			t.Errorf("acr_values %q", q.Get("acr_values"))
		}
		if _, _, _, err := g.answer(t, b, q, g.sign(t, with(g.claims(q), map[string]any{"acr": "gold"}), nil)); err != nil {
			t.Error(err)
		}
	})
}

// symmetric signs by HMAC with the published key as the secret: the classic
// confusion of algorithms.
func symmetric(t testing.TB, f *fake, claims map[string]any) string {
	t.Helper()
	secret, err := json.Marshal(f.keys[0].Public())
	if err != nil {
		t.Fatal(err)
	}
	input := segment(t, map[string]any{"alg": "HS256", "kid": f.keys[0].KeyID}) + "." + segment(t, claims)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func TestSignInRefusesAnswers(t *testing.T) {
	f := newFake(t, newClock())
	g := newGateway(t, f, sqlite(t), auth.SessionConfig{})
	good := func(q url.Values) url.Values { return url.Values{"code": {"code"}, "state": {q.Get("state")}} }
	rows := []struct {
		name  string
		spoil func(b *browser, q, answer url.Values)
	}{
		{"without state", func(_ *browser, _, a url.Values) { a.Del("state") }},
		{"with two states", func(_ *browser, _, a url.Values) { a.Add("state", a.Get("state")) }},
		{"with a state nobody gave", func(_ *browser, _, a url.Values) { a.Set("state", strings.Repeat("A", 43)) }},
		{"without code", func(_ *browser, _, a url.Values) { a.Del("code") }},
		{"with two codes", func(_ *browser, _, a url.Values) { a.Add("code", "other") }},
		{"with a code of somebody else", func(_ *browser, _, a url.Values) { a.Set("code", "stolen") }},
		{"of another issuer", func(_ *browser, _, a url.Values) { a.Set("iss", "https://other.test") }},
		{"in a browser that did not begin", func(b *browser, _, _ url.Values) { clear(b.cookies) }},
		{"in another browser that began too", func(b *browser, _, _ url.Values) { clear(b.cookies); g.begin(t, b, "/") }},
		{"after ten minutes", func(*browser, url.Values, url.Values) { f.clock.add(10 * time.Minute) }},
		{"of a refusal", func(_ *browser, _, a url.Values) { a.Set("error", "access_denied"); a.Del("code") }},
		{"when the verifier does not fit", func(_ *browser, _, _ url.Values) { f.set(func() { f.challenge["code"] = "other" }) }},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			b := newBrowser()
			q := g.begin(t, b, "/")
			f.set(func() { f.challenge["code"], f.idToken = q.Get("code_challenge"), f.sign(t, g.claims(q), nil) })
			a := good(q)
			r.spoil(b, q, a)
			s, _, _, err := g.complete(b, a)
			if !errors.Is(err, auth.ErrSignIn) || !s.IsZero() || strings.Contains(err.Error(), "secret words") {
				t.Errorf("session %v, error %v", !s.IsZero(), err)
			}
		})
	}
}

func TestStateWorksOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, db *sqldb.DB) {
		g := newGateway(t, newFake(t, newClock()), db, auth.SessionConfig{})
		b := newBrowser()
		q := g.begin(t, b, "/")
		g.set(func() { g.challenge["code"], g.idToken = q.Get("code_challenge"), g.sign(t, g.claims(q), nil) })
		const parallel = 16
		var wg sync.WaitGroup
		won := make(chan auth.Session, parallel)
		for range parallel {
			r := b.request("/signed-in?" + url.Values{"code": {"code"}, "state": {q.Get("state")}}.Encode())
			wg.Go(func() {
				if s, _, err := g.signIn.Complete(httptest.NewRecorder(), r); err == nil {
					won <- s
				} else if !errors.Is(err, auth.ErrSignIn) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Errorf("%d of %d answers with one state opened a session", len(won), parallel)
		}
	})
}

func TestTabsSignInSideBySide(t *testing.T) {
	g := newGateway(t, newFake(t, newClock()), sqlite(t), auth.SessionConfig{})
	b := newBrowser()
	first := g.begin(t, b, "/find")
	g.begin(t, b, "/recent")
	if _, back, _, err := g.answer(t, b, first, g.sign(t, g.claims(first), nil)); err != nil || back != "/find" {
		t.Errorf("the first tab: %s, %v", back, err)
	}
}

func TestProviderAwayIsNotARefusal(t *testing.T) {
	f := newFake(t, newClock())
	f.down = true
	g := newGateway(t, f, sqlite(t), auth.SessionConfig{})
	if err := g.signIn.Begin(httptest.NewRecorder(), newBrowser().request("/sign-in"), "/"); !errors.Is(err, auth.ErrUnavailable) {
		t.Fatalf("begin: %v", err)
	}
	f.set(func() { f.down = false })
	b := newBrowser()
	q := g.begin(t, b, "/")
	f.set(func() { f.status = http.StatusBadGateway })
	if _, _, _, err := g.answer(t, b, q, ""); !errors.Is(err, auth.ErrUnavailable) {
		t.Errorf("complete: %v", err)
	}
}

func TestDiscoveryIsHeldToTheIssuer(t *testing.T) {
	for name, spoil := range map[string]func(*fake){
		"another issuer":             func(f *fake) { f.issuer = "https://other.test" },
		"a plain http endpoint":      func(f *fake) { f.extra = map[string]any{"token_endpoint": "http://other.test/token"} },
		"no token endpoint":          func(f *fake) { f.extra = map[string]any{"token_endpoint": ""} },
		"an end-session address odd": func(f *fake) { f.extra = map[string]any{"end_session_endpoint": "javascript:alert(1)"} },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, newClock())
			spoil(f)
			if _, err := f.provider(t).Metadata(t.Context()); !errors.Is(err, auth.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
		})
	}
	for _, issuer := range []string{"", "http://issuer.test", "https://issuer.test?x=1", "https://u@issuer.test", "ftp://issuer.test", "issuer.test", "https://issuer.test#f"} {
		if _, err := auth.NewProvider(auth.ProviderConfig{Issuer: issuer}); err == nil {
			t.Errorf("issuer %q is accepted", issuer)
		}
	}
	for _, alg := range []string{"none", "HS256", "ES256K", ""} {
		if _, err := auth.NewProvider(auth.ProviderConfig{Issuer: "https://issuer.test", Algorithms: []string{alg}}); err == nil {
			t.Errorf("algorithm %q is accepted", alg)
		}
	}
}

func TestSignOutEndsBothSides(t *testing.T) {
	g := newGateway(t, newFake(t, newClock()), sqlite(t), auth.SessionConfig{})
	b, _ := g.signedIn(t)
	copied := &browser{cookies: map[string]*http.Cookie{}}
	maps.Copy(copied.cookies, b.cookies)
	w := httptest.NewRecorder()
	to, err := g.signIn.End(w, b.request("/sign-out"))
	if err != nil {
		t.Fatal(err)
	}
	b.take(w)
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if !strings.HasPrefix(to, g.URL+"/end?") || q.Get("theme") != "dark" || q.Get("id_token_hint") == "" ||
		q.Get("post_logout_redirect_uri") != goodbye || q.Get("client_id") != clientID {
		t.Errorf("sent to %s", to)
	}
	if len(b.cookies) != 0 || !g.find(t, copied).IsZero() {
		t.Error("the session lives on")
	}
	if to, err = g.signIn.End(httptest.NewRecorder(), b.request("/sign-out")); err != nil || to != goodbye {
		t.Errorf("signed out twice: %s, %v", to, err)
	}
}

func TestReturnPathsAreOurOwn(t *testing.T) {
	for path, want := range map[string]string{
		"/": "/", "/find": "/find", "/p/abc/results?flag=1&x=%2F": "/p/abc/results?flag=1&x=%2F", "/find/": "/find/", "/a#part": "/a",
		"": "/", "find": "/", "//evil.test": "/", "///evil.test": "/", "/\\evil.test": "/", "/\\/evil.test": "/", "\\\\evil.test": "/",
		"https://evil.test": "/", "https:evil.test": "/", "javascript:alert(1)": "/", "/\t/evil.test": "/", "/\n//evil.test": "/", " //evil.test": "/",
		"/.//evil.test": "/", "/..//evil.test": "/", "/a//evil.test": "/", "/a/../b": "/", "/%2e%2e//evil.test": "/", "/%5cevil.test": "/",
		"/%2F/evil.test": "/", "/x\x00": "/", "/x\r\nSet-Cookie: a=b": "/", "?x": "/", "/a\u2028b": "/a%E2%80%A8b", "/" + strings.Repeat("a", 1024): "/",
	} {
		if got := auth.LocalPath(path); got != want {
			t.Errorf("%q becomes %q, want %q", path, got, want)
		}
	}
}

func FuzzLocalPath(f *testing.F) {
	for _, s := range []string{"/", "/find?q=1", "//evil.test", "/\\evil", "/%2f%2fevil.test", "/a/..//b", "/;@evil.test", "/?//evil"} {
		f.Add(s)
	}
	base, _ := url.Parse("https://gw.test/signed-in")
	f.Fuzz(func(t *testing.T, path string) {
		got := auth.LocalPath(path)
		if auth.LocalPath(got) != got {
			t.Errorf("%q becomes %q, then %q", path, got, auth.LocalPath(got))
		}
		u, err := url.Parse(got)
		if err != nil {
			t.Fatalf("%q becomes %q: %v", path, got, err)
		}
		to := base.ResolveReference(u)
		if to.Host != "gw.test" || to.Scheme != "https" || !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") || strings.ContainsAny(got, "\\\r\n\t") {
			t.Errorf("%q becomes %q, which leads to %s", path, got, to)
		}
		w := httptest.NewRecorder()
		http.Redirect(w, httptest.NewRequest(http.MethodGet, "/signed-in", nil), got, http.StatusSeeOther)
		if l := w.Header().Get("Location"); !strings.HasPrefix(l, "/") || strings.HasPrefix(l, "//") {
			t.Errorf("%q redirects to %q", path, l)
		}
	})
}
