package conformance_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// An app registers itself and may do nothing until an operator lets it in, on a page;
// suspended there, nothing of what it was given opens anything until it is resumed.
func (a *apps) registered(t *testing.T) {
	a.t = t
	var found map[string]any
	a.discover(&found)
	registers := func(metadata string) (int, map[string]any) {
		t.Helper()
		resp, err := http.Post(fmt.Sprint(found["registration_endpoint"]), "application/json", strings.NewReader(metadata))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var got map[string]any
		if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%v, %v", err, resp.Header)
		}
		return resp.StatusCode, got
	}
	for name, metadata := range map[string]string{
		"an app's name that is here":   `{"client_name": "Growth  CHART", "redirect_uris": ["https://evil.test/"], "scope": "patient/*.rs"}`,
		"an address of the gateway's":  `{"client_name": "Bedside", "redirect_uris": ["` + a.base + `/apps"], "token_endpoint_auth_method": "none", "scope": "patient/*.rs"}`,
		"keys at a machine inside":     `{"client_name": "Bedside", "scope": "system/*.rs", "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://169.254.169.254/keys"}`,
		"an address by plain http":     `{"client_name": "Bedside", "redirect_uris": ["http://app.test/"], "scope": "patient/*.rs"}`,
		"what somebody else states":    `{"client_name": "Bedside", "redirect_uris": ["` + backTo + `"], "scope": "patient/*.rs", "software_statement": "x.y.z"}`,
		"more than a registration has": `{"client_name": "` + strings.Repeat("x", 1<<20) + `"}`,
	} {
		if status, got := registers(metadata); status != http.StatusBadRequest && status != http.StatusRequestEntityTooLarge || got["error"] == nil || got["client_id"] != nil {
			t.Errorf("%s: %d %v", name, status, got)
		}
	}
	status, app := registers(`{"client_name": "Bedside", "redirect_uris": ["` + backTo + `"], "scope": "openid patient/*.rs user/*.rs", "contacts": ["mail@app.test"]}`)
	id, secret := fmt.Sprint(app["client_id"]), fmt.Sprint(app["client_secret"])
	if status != http.StatusCreated || app["registration_state"] != "pending" {
		t.Fatalf("%d %v", status, app)
	}
	state := func() string {
		t.Helper()
		r, err := http.NewRequest(http.MethodGet, fmt.Sprint(app["registration_client_uri"]), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", fmt.Sprint("Bearer ", app["registration_access_token"]))
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil || strings.Contains(string(b), secret) {
			t.Errorf("%v, the secret is told twice: %v", err, strings.Contains(string(b), secret))
		}
		var got map[string]any
		_ = json.Unmarshal(b, &got) // of no object it is no state
		return fmt.Sprint(got["registration_state"])
	}
	a.newBrowser()
	asks := a.asks(id, "user/Patient.rs")
	if page, out, status := a.walk(http.MethodGet, a.base+"/oauth/authorize?"+asks.Encode(), nil); out != nil || status != http.StatusBadRequest || !strings.Contains(page, "waits for approval") || state() != "pending" {
		t.Errorf("one that waits asks for a person: %d, to %v", status, out)
	}
	for _, path := range []string{"/oauth/token", "/oauth/introspect", "/oauth/revoke"} {
		if status, got := a.post(path, url.Values{"grant_type": {"authorization_code"}, "code": {"x"}, "token": {"x"}}, id, secret); status != http.StatusUnauthorized || got["error"] != "invalid_client" {
			t.Errorf("one that waits at %s: %d %v", path, status, got)
		}
	}

	person := a.browser
	a.newBrowser()
	operator := a.browser
	word := ""
	for _, p := range a.demo.Info.People {
		if p.Username == "operator" {
			word = p.Password
		}
	}
	page, _, _ := a.walk(http.MethodGet, a.base+"/sign-in", nil)
	page, _ = a.submit(page, "/idp/login", url.Values{"username": {"operator"}, "password": {word}})
	a.submit(page, "/worksite", url.Values{"worksite": {"harbour"}})
	decides := func(form url.Values) string {
		t.Helper()
		a.browser = operator
		form.Set("client", id)
		page, _, _ := a.walk(http.MethodPost, a.base+"/ops/clients", form)
		a.browser = person
		return page
	}
	if page := decides(url.Values{"do": {"approve"}}); !strings.Contains(page, `role="alert"`) || state() != "pending" {
		t.Error("an app is let in without a reason")
	}
	if page := decides(url.Values{"do": {"approve"}, "reason": {"known to us"}}); !strings.Contains(page, "Bedside") || state() != "active" {
		t.Errorf("it is let in, and %s:\n%s", state(), page)
	}
	if page := decides(url.Values{"do": {"limit"}, "api": {"many"}}); !strings.Contains(page, `role="alert"`) {
		t.Error("a limit that is no number")
	}
	code := a.allows(a.signsIn(asks), "").Get("code")
	_, got := a.exchange(code, nil, id, secret)
	if status, body := a.read(got["access_token"], "/Patient?identifier=9000000000"); status != http.StatusOK {
		t.Fatalf("an app that was let in reads: %d %s", status, body)
	}
	act := url.Values{"client": {id}, "do": {"delete"}, "reason": {"mine"}}
	if _, _, status := a.walk(http.MethodPost, a.base+"/ops/clients", act); status != http.StatusForbidden {
		t.Errorf("a physician decides on apps: %d", status)
	}
	a.browser = operator
	if _, _, status := a.walk(http.MethodPost, a.base+"/ops/clients", act, "Sec-Fetch-Site", "cross-site"); status != http.StatusForbidden {
		t.Errorf("another site's page has an operator decide: %d", status)
	}
	a.browser = person
	decides(url.Values{"do": {"suspend"}, "reason": {"asks at night"}})
	if status, _ := a.read(got["access_token"], "/Patient?identifier=9000000000"); status != http.StatusUnauthorized || state() != "suspended" {
		t.Errorf("a suspended app reads: %d", status)
	}
	if status, got := a.post("/oauth/introspect", url.Values{"token": {fmt.Sprint(got["access_token"])}}, id, secret); status != http.StatusUnauthorized {
		t.Errorf("a suspended app asks about its token: %d %v", status, got)
	}
	decides(url.Values{"do": {"resume"}, "reason": {"mended"}})
	decides(url.Values{"do": {"limit"}, "api": {"2"}})
	many := 0
	for range 4 {
		if status, _ := a.read(got["access_token"], "/Patient?identifier=9000000000"); status == http.StatusTooManyRequests {
			many++
		}
	}
	if many < 2 {
		t.Errorf("of four requests where two a minute are allowed %d were refused", many)
	}
	decides(url.Values{"do": {"delete"}, "reason": {"given up"}})
	if status, _ := a.read(got["access_token"], "/Patient?identifier=9000000000"); status != http.StatusUnauthorized {
		t.Errorf("a deleted app reads: %d", status)
	}
}
