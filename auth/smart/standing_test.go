package smart_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firebreak/access/accesstest"
	"firebreak/auth"
	"firebreak/auth/smart"
)

// What a subscription stands on holds as long as what it came of: an app's until its
// person takes back what was granted, never more than that, and no longer than the app
// is registered.
func TestStanding(t *testing.T) {
	t.Parallel()
	db := accounts(t, "sqlite:"+filepath.Join(t.TempDir(), "accounts.db"))
	server := func(scopes string) *smart.Server {
		c := smart.Client{ID: "app", Name: "App", Redirects: []string{"https://app.test/"}, Scopes: scopes}
		if scopes == "" {
			c.ID, c.Scopes = "other", "patient/*.rs"
		}
		return node(t, db, smart.Registration{}, c)
	}
	s := server("patient/*.rs patient/Subscription.cruds offline_access")
	q := url.Values{
		"response_type": {"code"}, "client_id": {"app"}, "redirect_uri": {"https://app.test/"}, "scope": {"patient/*.rs patient/Subscription.cruds offline_access"},
		"aud": {"https://gw.test/fhir"}, "code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
	}
	w := httptest.NewRecorder()
	if _, err := s.Authorize(w, httptest.NewRequest(http.MethodGet, "/oauth/authorize?"+q.Encode(), nil), "/next"); err != nil {
		t.Fatal(err)
	}
	request := w.Result().Cookies()[0].Value
	if _, err := s.Asked(t.Context(), request, "session"); err != nil {
		t.Fatal(err)
	}
	if err := s.Choose(t.Context(), request, "session", "p1"); err != nil {
		t.Fatal(err)
	}
	to, err := s.Allow(t.Context(), request, "session", smart.Person{Identity: accesstest.Identity(t, map[string]any{"sub": "maya", "client_id": "pages"}), ID: "maya", Name: "Maya", Worksite: "clinic"}, strings.Fields(q.Get("scope")))
	if err != nil {
		t.Fatal(err)
	}
	back, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{"grant_type": {"authorization_code"}, "client_id": {"app"}, "code": {back.Query().Get("code")}, "redirect_uri": {"https://app.test/"}, "code_verifier": {verifier}}
	r := httptest.NewRequest(http.MethodPost, "/oauth/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w = httptest.NewRecorder()
	if err := s.Token(w, r); err != nil {
		t.Fatal(err)
	}
	var token struct {
		Access string `json:"access_token"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &token); err != nil {
		t.Fatal(err)
	}
	id, err := s.Verify(t.Context(), token.Access)
	if err != nil {
		t.Fatal(err)
	}
	st, ok := id.Standing()
	if !ok {
		t.Fatal("a token that a person can take back is nothing to stand on")
	}
	holds := func(own *smart.Server, st auth.Standing) (auth.Identity, error) {
		return smart.Standing(context.Background(), own, st, time.Now())
	}
	now, err := holds(s, st)
	if err != nil || now.Subject() != "maya" || now.Patient() != "p1" || now.Worksite() != "clinic" || now.May(auth.Search, "Observation") != auth.OnePatient || !now.Names("Subscription") {
		t.Errorf("standing: %+v, %v", now, err)
	}
	if less, err := holds(server("patient/Patient.rs"), st); err != nil || less.May(auth.Search, "Observation") != auth.Nothing || less.May(auth.Search, "Patient") != auth.OnePatient {
		t.Errorf("an app that may have less now: %v, %v", less.Scopes(), err)
	}
	more := st
	more.Scope += " user/*.cruds"
	if same, err := holds(s, more); err != nil || same.May(auth.Search, "Group") == auth.AllPatients {
		t.Errorf("more than was granted: %v, %v", same.Scopes(), err)
	}
	for name, false := range map[string]func() (auth.Identity, error){
		"an app that is registered no more":  func() (auth.Identity, error) { return holds(server(""), st) },
		"a gateway that issues no tokens":    func() (auth.Identity, error) { return holds(nil, st) },
		"another person":                     func() (auth.Identity, error) { st := st; st.Subject = "noor"; return holds(s, st) },
		"another patient":                    func() (auth.Identity, error) { st := st; st.Patient = "p2"; return holds(s, st) },
		"a person of another issuer's token": func() (auth.Identity, error) { st := st; st.Grant = ""; return holds(s, st) },
		"a client that has no key": func() (auth.Identity, error) {
			return holds(s, auth.Standing{Issuer: "https://idp.test", Subject: "app", Client: "app", Scope: "system/*.rs", Grant: st.Grant})
		},
	} {
		if id, err := false(); !errors.Is(err, auth.ErrToken) || !id.IsZero() {
			t.Errorf("%s: %v", name, err)
		}
	}
	backend := auth.Standing{Issuer: "https://idp.test", Subject: "app", Client: "app", Scope: "system/*.rs"} // as the provider has it
	for _, do := range []smart.Act{smart.Suspend, smart.Resume} {
		if err := s.Clients.Decide(t.Context(), "app", do, "operator", "as it was asked"); err != nil {
			t.Fatal(err)
		}
		for _, st := range []auth.Standing{st, backend} {
			if _, err := holds(s, st); errors.Is(err, auth.ErrToken) != (do == smart.Suspend) {
				t.Errorf("%s: %v", do, err)
			}
		}
	}
	if err := s.End(t.Context(), id, st.Grant); err != nil {
		t.Fatal(err)
	}
	if _, err := holds(s, st); !errors.Is(err, auth.ErrToken) {
		t.Errorf("what the person took back holds: %v", err)
	}
}
