// Package accesstest makes callers for tests. It has no back door: it signs
// tokens with a key of its own, has an auth.Verifier prove them, and the
// results admitted by the same rules as everyone.
package accesstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"firebreak/access"
	"firebreak/auth"
	"firebreak/internal/sqldb"
)

// Issuer and Audience are those of the tokens made here.
const (
	Issuer   = "https://issuer.test"
	Audience = "https://gateway.test/fhir"
)

// Clinic is the active worksite that the callers act at.
var Clinic = access.Worksite{ID: "clinic", Name: "Test Clinic", Active: true}

// Now is the moment at which the callers are admitted; tokens last past it.
var Now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

type notary struct {
	signer   jose.Signer
	verifier *auth.Verifier
}

var made = sync.OnceValues(func() (*notary, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	public, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "1", Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		return nil, err
	}
	provider, err := auth.NewFixedProvider(auth.ProviderConfig{Issuer: Issuer, Now: func() time.Time { return Now }}, public)
	if err != nil {
		return nil, err
	}
	n := &notary{}
	if n.verifier, err = auth.NewVerifier(provider, Audience); err != nil {
		return nil, err
	}
	n.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "1"}}, nil)
	return n, err
})

// Token is a signed access token with these claims, besides iss, aud and exp.
func Token(t testing.TB, claims map[string]any) string {
	t.Helper()
	n, err := made()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]any{"iss": Issuer, "aud": Audience, "iat": Now.Unix(), "exp": Now.Add(time.Hour).Unix()}
	maps.Copy(all, claims)
	body, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := n.signer.Sign(body)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// Verifier proves the tokens made here.
func Verifier(t testing.TB) *auth.Verifier {
	t.Helper()
	n, err := made()
	if err != nil {
		t.Fatal(err)
	}
	return n.verifier
}

// Identity is what a token with these claims proves.
func Identity(t testing.TB, claims map[string]any) auth.Identity {
	t.Helper()
	id, err := Verifier(t).Verify(t.Context(), Token(t, claims))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Person is a caller in role at Clinic, through an app that may read
// everything. An assistant acts for the physician.
func Person(t testing.TB, role access.Role) access.Caller {
	t.Helper()
	return App(t, role, "user/*.rs", "")
}

// App is a caller in role at Clinic through an app with these scopes; patient
// is the app's launch context, empty for none.
func App(t testing.TB, role access.Role, scopes, patient string) access.Caller {
	t.Helper()
	claims := map[string]any{"sub": string(role), "client_id": "app", "scope": scopes, "name": "Test " + string(role)}
	if patient != "" {
		claims["patient"] = patient
	}
	m := member(role)
	if role == access.Assistant {
		f := member(access.Physician)
		m.For = &f
	}
	c, err := access.Admit(Identity(t, claims), m, Clinic, Now)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// AssistantTo is an assistant at Clinic who acts for someone in role.
func AssistantTo(t testing.TB, role access.Role) access.Caller {
	t.Helper()
	m, f := member(access.Assistant), member(role)
	m.For = &f
	id := Identity(t, map[string]any{"sub": string(access.Assistant), "client_id": "app", "scope": "user/*.rs"})
	c, err := access.Admit(id, m, Clinic, Now)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func member(role access.Role) access.Membership {
	return access.Membership{
		ID: "m-" + string(role), Login: access.Login{Issuer: Issuer, Subject: string(role)}, Person: "p-" + string(role),
		Name: "Test " + string(role), Role: role, Worksite: Clinic.ID, Active: true,
	}
}

// Client is a backend with these scopes (space separated) whose pushes are
// stored under source; empty: it may not push.
func Client(t testing.TB, source, scopes string) access.Caller {
	t.Helper()
	return client(t, access.Backend, source, scopes)
}

// Source is a client that sees only what it sent itself.
func Source(t testing.TB, source, scopes string) access.Caller {
	t.Helper()
	return client(t, access.Source, source, scopes)
}

func client(t testing.TB, audience access.Audience, source, scopes string) access.Caller {
	t.Helper()
	id := Identity(t, map[string]any{"sub": "backend", "client_id": "backend", "scope": scopes})
	c, err := access.AdmitClient(id, access.Client{
		ID: "backend", Issuer: Issuer, Name: "Test backend", Active: true, Audience: audience, Source: source, Scopes: strings.Fields(scopes),
	}, Now)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// AtPages is a person in role at Clinic, signed in at the pages, without an app.
func AtPages(t testing.TB, role access.Role) access.Caller {
	t.Helper()
	c, err := access.Admit(SignedIn(t, string(role)), member(role), Clinic, Now)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Officer is a privacy officer at Clinic, signed in at the pages.
func Officer(t testing.TB) access.Officer {
	t.Helper()
	o, err := access.AdmitOfficer(SignedIn(t, string(access.PrivacyOfficer)), member(access.PrivacyOfficer), Clinic, Now)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// Operator is an operator at Clinic, signed in at the pages.
func Operator(t testing.TB) access.Operator {
	t.Helper()
	o, err := access.AdmitOperator(SignedIn(t, string(access.SystemOperator)), member(access.SystemOperator), Clinic, Now)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// SignedIn is somebody of that subject signed in at the pages. Only auth makes
// an identity: so a session is written down as a sign-in writes it, and found.
func SignedIn(t testing.TB, subject string) auth.Identity {
	t.Helper()
	ctx := t.Context()
	db, err := sqldb.Open(ctx, "sqlite:"+filepath.Join(t.TempDir(), "sessions.db"), "accesstest", fstest.MapFS{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	sessions, err := auth.NewSessions(ctx, db, auth.SessionConfig{Now: func() time.Time { return Now }})
	if err != nil {
		t.Fatal(err)
	}
	cookie := strings.Repeat("s", 43)
	sum := sha256.Sum256([]byte(cookie))
	const insert = `INSERT INTO auth_session (id, issuer, subject, name, id_token, worksite, acting_for, seen, started, ends) VALUES ($1, $2, $3, $4, '', '', '', $5, $5, $6)`
	err = db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, insert, base64.RawURLEncoding.EncodeToString(sum[:]), Issuer, subject, "Test "+subject, Now.UnixMicro(), Now.Add(time.Hour).UnixMicro())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.AddCookie(&http.Cookie{Name: "firebreak", Value: cookie})
	found, err := sessions.Find(ctx, r)
	if err != nil || found.IsZero() {
		t.Fatalf("no session: %v", err)
	}
	return found.Identity()
}
