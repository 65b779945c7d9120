package smart_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firebreak/auth/smart"
)

// A launch counts once, for five minutes, for the app that was launched; what is
// refused is told the app in words for the person, and leaves the launch as it was.
func TestALaunchCountsOnceForFiveMinutes(t *testing.T) {
	db := accounts(t, "sqlite:"+filepath.Join(t.TempDir(), "accounts.db"))
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	app := func(id string) smart.Client {
		return smart.Client{ID: id, Name: "App", Redirects: []string{"https://app.test/"}, Launch: "https://app.test/launch?of=" + id, Scopes: "patient/*.rs"}
	}
	clock := func() time.Time { return now }
	known, err := smart.NewRegistry(t.Context(), db, []smart.Client{app("app"), app("other")}, smart.Limits{}, clock, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s, err := smart.New(t.Context(), smart.Config{Base: "https://gw.test", Issuer: "https://idp.test", DB: db, Secret: make([]byte, 16), Now: clock, Clients: known})
	if err != nil {
		t.Fatal(err)
	}
	press := func() string {
		t.Helper()
		apps, err := s.Gallery(t.Context(), "physician")
		if err != nil || len(apps) != 2 {
			t.Fatal(apps, err)
		}
		to, err := s.Launch(t.Context(), apps[0], "session", "p1", "v1")
		if err != nil || !strings.HasPrefix(to, "https://app.test/launch?") {
			t.Fatal(to, err)
		}
		u, _ := url.Parse(to)
		return u.Query().Get("launch")
	}
	uses := func(launch, by string) string {
		t.Helper()
		q := url.Values{
			"response_type": {"code"}, "client_id": {by}, "redirect_uri": {"https://app.test/"}, "scope": {"launch patient/*.rs"}, "launch": {launch},
			"aud": {"https://gw.test/fhir"}, "code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
		}
		to, err := s.Authorize(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/oauth/authorize?"+q.Encode(), nil), "/next")
		if err != nil {
			t.Fatal(err)
		}
		return to
	}
	refused := func(to string) bool {
		u, err := url.Parse(to)
		return err == nil && u.Query().Get("error") == "invalid_request" && strings.Contains(u.Query().Get("error_description"), "Open the app again from the chart")
	}
	launch := press()
	now = now.Add(5*time.Minute - time.Second)
	if to := uses(launch, "other"); !refused(to) {
		t.Errorf("another app's launch: %s", to)
	}
	if to := uses(launch, "app"); to != "/next" {
		t.Errorf("the app's own, in time: %s", to)
	}
	if to := uses(launch, "app"); !refused(to) {
		t.Errorf("a second time: %s", to)
	}
	launch = press()
	now = now.Add(5 * time.Minute)
	if to := uses(launch, "app"); !refused(to) {
		t.Errorf("after five minutes: %s", to)
	}
}
