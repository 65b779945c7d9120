package auth_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"firebreak/auth"
)

const fhirBase = "https://gw.test/fhir"

func newVerifier(t testing.TB, f *fake) *auth.Verifier {
	t.Helper()
	v, err := auth.NewVerifier(f.provider(t), fhirBase)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (f *fake) tokenClaims() map[string]any {
	now := f.clock.now()
	return map[string]any{
		"iss": f.URL, "sub": "maya", "aud": fhirBase, "client_id": "app", "scope": "user/*.rs openid patient/Patient.r",
		"patient": "p1", "worksite": "harbour", "name": "Dr Maya", "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(), "jti": "1",
	}
}

func TestVerifierProves(t *testing.T) {
	f := newFake(t, newClock())
	v := newVerifier(t, f)
	for name, header := range map[string]map[string]any{
		"at+jwt": {"typ": "at+jwt"}, "application/at+jwt": {"typ": "application/AT+JWT"}, "JWT": {"typ": "JWT"}, "no typ": {},
	} {
		id, err := v.Verify(t.Context(), f.sign(t, f.tokenClaims(), header))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if id.Issuer() != f.URL || id.Subject() != "maya" || id.Client() != "app" || id.Patient() != "p1" || id.Worksite() != "harbour" ||
			id.Name() != "Dr Maya" || !id.Expires().Equal(f.clock.now().Add(10*time.Minute)) || id.IsClient() ||
			!slices.Equal(id.Scopes(), []string{"openid", "patient/Patient.r", "user/*.rs"}) {
			t.Errorf("%s: proved %+v", name, id)
		}
	}
	backend, err := v.Verify(t.Context(), f.sign(t, with(f.tokenClaims(), map[string]any{
		"sub": "ehr", "client_id": nil, "azp": "ehr", "aud": []string{"other", fhirBase}, "scope": nil, "scp": []string{"system/*.rs"},
	}), nil))
	if err != nil || !backend.IsClient() || backend.May(auth.Read, "Patient") != auth.AllPatients {
		t.Errorf("a backend with azp and scp: %+v, %v", backend, err)
	}
}

func TestVerifierRefuses(t *testing.T) {
	f := newFake(t, newClock())
	v := newVerifier(t, f)
	stranger := newKey(t, "k1")
	good := f.tokenClaims()
	unix := func(d time.Duration) int64 { return f.clock.now().Add(d).Unix() }
	rows := []struct {
		name  string
		token string
	}{
		{"nothing", ""},
		{"words", "let me in"},
		{"another issuer", f.sign(t, with(good, map[string]any{"iss": "https://other.test"}), nil)},
		{"another audience", f.sign(t, with(good, map[string]any{"aud": clientID}), nil)},
		{"our audience with a slash", f.sign(t, with(good, map[string]any{"aud": fhirBase + "/"}), nil)},
		{"no audience", f.sign(t, with(good, map[string]any{"aud": nil}), nil)},
		{"expired this second", f.sign(t, with(good, map[string]any{"exp": unix(0)}), nil)},
		{"without expiry", f.sign(t, with(good, map[string]any{"exp": nil}), nil)},
		{"issued two minutes ahead", f.sign(t, with(good, map[string]any{"iat": unix(2 * time.Minute)}), nil)},
		{"valid in two minutes", f.sign(t, with(good, map[string]any{"nbf": unix(2 * time.Minute)}), nil)},
		{"no subject", f.sign(t, with(good, map[string]any{"sub": nil}), nil)},
		{"no client", f.sign(t, with(good, map[string]any{"client_id": nil}), nil)},
		{"an ID token by its nonce", f.sign(t, with(good, map[string]any{"nonce": "n"}), nil)},
		{"a logout token by its typ", f.sign(t, good, map[string]any{"typ": "logout+jwt"})},
		{"bound to a key", f.sign(t, with(good, map[string]any{"cnf": map[string]any{"jkt": "x"}}), nil)},
		{"scope of the wrong kind", f.sign(t, with(good, map[string]any{"scope": 7}), nil)},
		{"unsigned", segment(t, map[string]any{"alg": "none"}) + "." + segment(t, good) + "."},
		{"unsigned, spelled oddly", segment(t, map[string]any{"alg": "nOnE"}) + "." + segment(t, good) + "."},
		{"signed with the public key as secret", symmetric(t, f, good)},
		{"a stranger's under our kid", signWith(t, stranger, good, nil)},
		{"a stranger's with its key along", signWith(t, stranger, good, map[string]any{"jwk": stranger.Public(), "kid": nil})},
		{"a stranger's with its key and an unknown kid", signWith(t, stranger, good, map[string]any{"jwk": stranger.Public(), "kid": "x"})},
		{"a critical header nobody knows", f.sign(t, good, map[string]any{"crit": []string{"x"}, "x": 1})},
		{"longer than 16 kB", f.sign(t, with(good, map[string]any{"name": strings.Repeat("n", 1<<14)}), nil)},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			for range 2 { // the second time from whatever is remembered
				id, err := v.Verify(t.Context(), r.token)
				if !errors.Is(err, auth.ErrToken) || !id.IsZero() {
					t.Errorf("got %v, %v", id.Subject(), err)
				}
				if err != nil && strings.Contains(err.Error(), "maya") {
					t.Errorf("the error quotes the token: %v", err)
				}
			}
		})
	}
	token := f.sign(t, good, nil)
	t.Run("every other byte", func(t *testing.T) {
		for i := range token {
			b := []byte(token)
			b[i] ^= 0x08
			if string(b) == token || i == len(token)-1 || b[i] == '.' { // the last digit carries padding bits
				continue
			}
			if _, err := v.Verify(t.Context(), string(b)); err == nil {
				t.Fatalf("byte %d changed and still good", i)
			}
		}
	})
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Errorf("and the good one: %v", err)
	}
}

func TestTokensEndOnTime(t *testing.T) {
	f := newFake(t, newClock())
	v := newVerifier(t, f)
	token := f.sign(t, f.tokenClaims(), nil)
	for _, step := range []struct {
		after time.Duration
		good  bool
	}{{0, true}, {10*time.Minute - time.Second, true}, {time.Second, false}} {
		f.clock.add(step.after)
		if _, err := v.Verify(t.Context(), token); (err == nil) != step.good {
			t.Errorf("%v later: %v", step.after, err)
		}
	}
}

func TestKeysRotate(t *testing.T) {
	f := newFake(t, newClock())
	v := newVerifier(t, f)
	old := f.sign(t, f.tokenClaims(), nil)
	if _, err := v.Verify(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	f.set(func() { f.keys = append([]jose.JSONWebKey{newKey(t, "k2")}, f.keys...) })
	if _, err := v.Verify(t.Context(), f.sign(t, f.tokenClaims(), nil)); err != nil {
		t.Errorf("a token of the new key: %v", err)
	}
	if _, err := v.Verify(t.Context(), old); err != nil {
		t.Errorf("a token of the old key, still published: %v", err)
	}
	f.set(func() { f.keys = []jose.JSONWebKey{newKey(t, "k3")} })
	if _, err := v.Verify(t.Context(), f.sign(t, f.tokenClaims(), nil)); err != nil {
		t.Errorf("a token of the newest key: %v", err)
	}
	if _, err := v.Verify(t.Context(), old); !errors.Is(err, auth.ErrToken) {
		t.Errorf("a remembered token whose key was withdrawn: %v", err)
	}
}

func TestUnknownKeysDoNotFloodTheProvider(t *testing.T) {
	f := newFake(t, newClock())
	v := newVerifier(t, f)
	stranger := newKey(t, "")
	for i := range 200 {
		token := signWith(t, stranger, f.tokenClaims(), map[string]any{"kid": fmt.Sprint("unknown", i)})
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, auth.ErrToken) {
			t.Fatalf("token %d: %v", i, err)
		}
	}
	if n := f.count("/keys"); n > 4 {
		t.Errorf("200 tokens of unknown keys made %d fetches", n)
	}
	before := f.count("/keys")
	for range 50 {
		_, _ = v.Verify(t.Context(), signWith(t, stranger, f.tokenClaims(), map[string]any{"kid": "k1"}))
	}
	if n := f.count("/keys") - before; n != 0 {
		t.Errorf("bad signatures under a known kid made %d fetches", n)
	}
	f.set(func() { f.keys = []jose.JSONWebKey{newKey(t, "k2")} })
	f.clock.add(10 * time.Second)
	if _, err := v.Verify(t.Context(), f.sign(t, f.tokenClaims(), nil)); err != nil {
		t.Errorf("a real rotation after the flood: %v", err)
	}
}

func TestATokenWithoutKidNeedsASingleKey(t *testing.T) {
	f := newFake(t, newClock())
	v := newVerifier(t, f)
	if _, err := v.Verify(t.Context(), f.sign(t, f.tokenClaims(), map[string]any{"kid": nil})); err != nil {
		t.Errorf("one key: %v", err)
	}
	f.set(func() { f.keys = append(f.keys, newKey(t, "k2")) })
	v = newVerifier(t, f)
	if _, err := v.Verify(t.Context(), f.sign(t, with(f.tokenClaims(), map[string]any{"jti": "2"}), map[string]any{"kid": nil})); !errors.Is(err, auth.ErrToken) {
		t.Errorf("two keys: %v", err)
	}
}

func TestProviderMayComeLaterAndGoAway(t *testing.T) {
	f := newFake(t, newClock())
	f.down = true
	v := newVerifier(t, f)
	token := f.sign(t, f.tokenClaims(), nil)
	if _, err := v.Verify(t.Context(), token); !errors.Is(err, auth.ErrUnavailable) || errors.Is(err, auth.ErrToken) {
		t.Fatalf("before the provider runs: %v", err)
	}
	f.set(func() { f.down = false })
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Fatalf("when it runs: %v", err)
	}
	f.set(func() { f.down = true })
	f.clock.add(time.Hour) // keys and metadata are old now, and cannot be renewed
	if _, err := v.Verify(t.Context(), f.sign(t, f.tokenClaims(), nil)); err != nil {
		t.Errorf("when it is gone again: %v", err)
	}
}

func TestManyAskAtOnceAndOneFetches(t *testing.T) {
	f := newFake(t, newClock())
	v := newVerifier(t, f)
	token := f.sign(t, f.tokenClaims(), nil)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			ctx := t.Context()
			if i%2 == 0 {
				ctx = cancelled // one who hangs up does not spoil it for the rest
			}
			if _, err := v.Verify(ctx, token); err != nil && i%2 == 1 {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := f.count("/keys"); n != 1 {
		t.Errorf("%d fetches of the keys", n)
	}
}

func TestSmartConfigurationClaimsWhatIsTrue(t *testing.T) {
	f := newFake(t, newClock())
	f.extra = map[string]any{
		"grant_types_supported":                 []string{"authorization_code", "client_credentials"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "private_key_jwt", "none"},
		"scopes_supported":                      []string{"openid", "user/*.*"},
	}
	got, err := f.provider(t).SMARTConfiguration(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := `{"issuer":"` + f.URL + `","jwks_uri":"` + f.URL + `/keys","authorization_endpoint":"` + f.URL + `/authorize","token_endpoint":"` + f.URL +
		`/token","token_endpoint_auth_methods_supported":["client_secret_basic","private_key_jwt","none"],"grant_types_supported":["authorization_code","client_credentials"],` +
		`"response_types_supported":["code"],"scopes_supported":["openid","user/*.rs","system/*.cruds"],"code_challenge_methods_supported":["S256"],` +
		`"capabilities":["permission-v1","permission-v2","permission-user","launch-standalone","client-public","client-confidential-symmetric","client-confidential-asymmetric"]}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// BenchmarkVerify tells what a token costs the first time and later.
func BenchmarkVerify(b *testing.B) {
	f := newFake(b, newClock())
	v := newVerifier(b, f)
	b.Run("again", func(b *testing.B) {
		token := f.sign(b, f.tokenClaims(), nil)
		for b.Loop() {
			if _, err := v.Verify(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("first", func(b *testing.B) {
		tokens := make([]string, 20_000) // more than are remembered
		for i := range tokens {
			tokens[i] = f.sign(b, with(f.tokenClaims(), map[string]any{"jti": i}), nil)
		}
		i := 0
		for b.Loop() {
			if _, err := v.Verify(b.Context(), tokens[i%len(tokens)]); err != nil {
				b.Fatal(err)
			}
			i++
		}
	})
}
