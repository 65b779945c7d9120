package proof_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"firebreak/access"
	"firebreak/access/accesstest"
	"firebreak/auth"
	"firebreak/internal/sqldb"
	"firebreak/policy"
	"firebreak/registry"
	"firebreak/web"
)

// audience is somebody who asks.
type audience struct {
	name    string
	token   string // of the API; empty for pages
	caller  access.Caller
	session web.Session // of pages
	places  []registry.Place
	crawler access.Caller // of pages: somebody else in the same session, who leaves no traces of the first
}

func (a *audience) pages() bool { return !a.session.Identity.IsZero() }

// policyFile is a policy and its name in stories.
type policyFile struct {
	name string
	text []byte
}

// open shows everything to everyone.
const openPolicy = "nothing withheld"

// policies are those that worlds are held to. What the generator calls
// sensitive is withheld by each, from everyone but its source.
func policies(t testing.TB) []policyFile {
	shipped := string(policy.Default())
	list := `["hiv", "reproductive", "cancer", "part2", "psychotherapy", "masked"]`
	replace := func(s, old, new string) string {
		t.Helper()
		if !strings.Contains(s, old) {
			t.Fatalf("the shipped policy does not hold %q any more", old)
		}
		return strings.ReplaceAll(s, old, new)
	}
	everything := replace(shipped, list, `["*"]`)
	nothing := replace(replace(replace(shipped, list, `[]`), `["part2", "psychotherapy"]`, `[]`), `"unclassified": "hold"`, `"unclassified": "release"`)
	return []policyFile{
		{"the shipped policy", policy.Default()},
		{"the demo's policy", policy.Demo()},
		{"every label withheld", []byte(everything)},
		{openPolicy, []byte(nothing)},
	}
}

// audiences are all that a policy tells apart, and some that it does not. one
// is the patient whom the narrow app was opened for.
func audiences(t testing.TB, one string) []*audience {
	app := func(name string, c access.Caller) *audience { return &audience{name: name, token: name, caller: c} }
	all := []*audience{
		app("physician-by-app", accesstest.Person(t, access.Physician)),
		app("nurse-by-app", accesstest.Person(t, access.Nurse)),
		app("pharmacist-by-app", accesstest.Person(t, access.Pharmacist)),
		app("assistant-by-app", accesstest.AssistantTo(t, access.Physician)),
		app("app-for-one-patient", accesstest.App(t, access.Physician, "patient/*.rs", one)),
		app("app-for-observations", accesstest.App(t, access.Physician, "user/Observation.rs user/Patient.r", "")),
		app("app-that-searches", accesstest.App(t, access.Nurse, "user/*.s", "")),
		app("backend", accesstest.Client(t, "", "system/*.rs")),
		app("backend-for-results", accesstest.Client(t, "", "system/Observation.rs system/DiagnosticReport.rs system/Patient.rs")),
		app("another-source", accesstest.Source(t, "elsewhere", "system/*.cruds")),
		app("app-for-some-results", accesstest.App(t, access.Physician, "user/Observation.rs?category=laboratory user/Patient.rs user/DiagnosticReport.rs user/Condition.s?code=38341003", "")),
		{name: "nobody"},
		{name: "a-false-token", token: "false", caller: access.Caller{}},
	}
	all = append(all,
		page(t, "physician", access.Physician, nil),
		page(t, "social-worker", access.SocialWorker, nil),
		page(t, "assistant", access.Assistant, ptr(access.Physician)))
	return all
}

func ptr[T any](v T) *T { return &v }

// page is somebody in role at the pages; an assistant acts for another.
func page(t testing.TB, name string, role access.Role, authorizer *access.Role) *audience {
	id := signedIn(t)
	admit := func(person string) (access.Caller, access.Membership) {
		m := member(id, role)
		m.Person = person
		if authorizer != nil {
			m.For = ptr(member(id, *authorizer))
		}
		c, err := access.Admit(id, m, accesstest.Clinic, accesstest.Now)
		if err != nil {
			t.Fatal(err)
		}
		return c, m
	}
	c, m := admit("p-" + string(role))
	crawler, _ := admit("p-crawler")
	s := web.Session{Key: "session of the " + name, Identity: id, Worksite: accesstest.Clinic.ID, Left: 15 * time.Minute}
	return &audience{name: name + "-at-the-pages", caller: c, session: s, places: []registry.Place{{Membership: m, Site: accesstest.Clinic}}, crawler: crawler}
}

func member(id auth.Identity, role access.Role) access.Membership {
	return access.Membership{
		ID: "m-" + string(role), Login: access.Login{Issuer: id.Issuer(), Subject: id.Subject()}, Person: "p-" + string(role),
		Name: "Dr " + string(role), Role: role, Worksite: accesstest.Clinic.ID, Active: true,
	}
}

// signedIn is somebody signed in at the pages, who has no app. Only auth makes
// an identity: so a session is written down as a sign-in writes it, and found.
func signedIn(t testing.TB) auth.Identity {
	t.Helper()
	reader.once.Do(func() { reader.id, reader.err = signIn(scratch(t)) })
	if reader.err != nil {
		t.Fatal(reader.err)
	}
	return reader.id
}

var reader struct {
	once sync.Once
	id   auth.Identity
	err  error
}

func signIn(dir string) (auth.Identity, error) {
	ctx := context.Background()
	accounts, err := registry.Open(ctx, "sqlite:"+filepath.Join(dir, "accounts.db"), nil)
	if err != nil {
		return auth.Identity{}, err
	}
	defer accounts.Close()
	sessions, err := auth.NewSessions(ctx, accounts.DB(), auth.SessionConfig{Now: func() time.Time { return dawn }})
	if err != nil {
		return auth.Identity{}, err
	}
	cookie := strings.Repeat("s", 43)
	sum := sha256.Sum256([]byte(cookie))
	const insert = `INSERT INTO auth_session (id, issuer, subject, name, id_token, worksite, acting_for, seen, started, ends) VALUES ($1, $2, $3, $4, '', '', '', $5, $5, $6)`
	err = accounts.DB().Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, insert, base64.RawURLEncoding.EncodeToString(sum[:]), accesstest.Issuer, "lee", "Dr Ann Lee", dawn.UnixMicro(), dawn.Add(time.Hour).UnixMicro())
		return err
	})
	if err != nil {
		return auth.Identity{}, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base, nil)
	if err != nil {
		return auth.Identity{}, err
	}
	r.AddCookie(&http.Cookie{Name: "firebreak", Value: cookie})
	found, err := sessions.Find(ctx, r)
	if err == nil && found.IsZero() {
		err = http.ErrNoCookie
	}
	return found.Identity(), err
}
