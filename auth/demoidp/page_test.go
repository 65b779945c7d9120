package demoidp

import (
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

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

func FuzzRedirect(f *testing.F) {
	for _, s := range []string{"http://127.0.0.1:1/callback", "http://[::1]:65535/callback", "http://localhost/callback", "http://127.0.0.1:1@evil.test/callback", "http://127.1:80/callback", "http://LOCALHOST:1/callback"} {
		f.Add(s)
	}
	app := Client{ID: App, RedirectURIs: []string{"http://127.0.0.1/callback", "http://[::1]/callback", "http://localhost/callback"}}
	f.Fuzz(func(t *testing.T, to string) {
		if !app.redirectsTo(to) {
			return
		}
		u, err := url.Parse(to)
		if err != nil || u.Scheme != "http" || u.User != nil || u.Path != "/callback" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" ||
			!slices.Contains([]string{"127.0.0.1", "::1", "localhost"}, u.Hostname()) || strings.Trim(u.Port(), "0123456789") != "" {
			t.Errorf("people are sent to %q", to)
		}
	})
}
