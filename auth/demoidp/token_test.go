package demoidp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

func TestCodesAreRedeemedOnceByTheRightOne(t *testing.T) {
	s := newSite(t)
	for name, row := range map[string]struct {
		change url.Values
		spoil  func()
		want   string
		spends bool
	}{
		"no verifier":           {change: url.Values{"code_verifier": nil}, want: "invalid_grant", spends: true},
		"another verifier":      {change: url.Values{"code_verifier": {strings.Repeat("x", 43)}}, want: "invalid_grant", spends: true},
		"the challenge itself":  {change: url.Values{"code_verifier": {challenge(verifier)}}, want: "invalid_grant", spends: true},
		"a short verifier":      {change: url.Values{"code_verifier": {verifier[:42]}}, want: "invalid_grant", spends: true},
		"another redirect":      {change: url.Values{"redirect_uri": {"http://127.0.0.1:1/callback"}}, want: "invalid_grant", spends: true},
		"no redirect":           {change: url.Values{"redirect_uri": nil}, want: "invalid_grant", spends: true},
		"a minute later":        {spoil: func() { s.add(codeLife) }, want: "invalid_grant", spends: true},
		"another code":          {change: url.Values{"code": {"x"}}, want: "invalid_grant"},
		"another client":        {change: url.Values{"client_id": {Gateway}, "client_secret": {s.Client(Gateway).Secret}}, want: "invalid_grant"},
		"no client":             {change: url.Values{"client_id": nil}, want: "invalid_client"},
		"a wrong secret":        {change: url.Values{"client_id": {Gateway}, "client_secret": {"x"}}, want: "invalid_client"},
		"a secret it lacks":     {change: url.Values{"client_secret": {""}}, want: "invalid_client"},
		"no secret":             {change: url.Values{"client_id": {Gateway}}, want: "invalid_client"},
		"another grant":         {change: url.Values{"grant_type": {"password"}}, want: "unsupported_grant_type"},
		"a grant it lacks":      {change: url.Values{"grant_type": {"client_credentials"}}, want: "unauthorized_client"},
		"two codes":             {change: url.Values{"code": {"x", "y"}}, want: "invalid_request"},
		"two ways to prove who": {change: url.Values{"client_secret": {"x"}, "client_assertion": {"y"}}, want: "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			good := s.redeemForm(s.code(t, s.question()).Get("code"))
			form := url.Values{}
			maps.Copy(form, good)
			for k, v := range row.change {
				if form[k] = v; v == nil {
					form.Del(k)
				}
			}
			if row.spoil != nil {
				row.spoil()
			}
			status, got := s.tokens(t, form)
			if status < 400 || got["error"] != row.want || got["access_token"] != nil {
				t.Errorf("%d %v, want %s", status, got, row.want)
			}
			if status, _ := s.tokens(t, good); (status == http.StatusOK) == row.spends {
				t.Errorf("afterwards the right one gets %d", status)
			}
			if status, _ := s.tokens(t, good); status == http.StatusOK {
				t.Error("and once more")
			}
		})
	}
}

func TestOfManyRedemptionsAtOnceOneWins(t *testing.T) {
	s := newSite(t)
	for range 10 {
		form := s.redeemForm(s.code(t, s.question()).Get("code"))
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for range 16 {
			wg.Go(func() {
				if status, _ := s.tokens(t, form); status == http.StatusOK {
					mu.Lock()
					won++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if won != 1 {
			t.Fatalf("%d of 16 redemptions succeeded", won)
		}
	}
}

func TestBackendsGetTokensForThemselves(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other := Client{ID: "rsa-backend", Grants: []string{clientGrant}, Scope: "system/Patient.rs", Keys: []jose.JSONWebKey{{Key: &rsaKey.PublicKey, KeyID: "r", Algorithm: "RS384"}}}
	s := newSite(t, other)
	v := s.verifier(t)
	backend := s.Client(Backend)
	form := func(more url.Values) url.Values {
		f := url.Values{"grant_type": {"client_credentials"}}
		maps.Copy(f, more)
		return f
	}
	basic := func(id, secret string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret)) }
	}
	check := func(name string, status int, got map[string]any, scope string) {
		t.Helper()
		token, _ := got["access_token"].(string)
		id, err := v.Verify(t.Context(), token)
		if status != http.StatusOK || err != nil || !id.IsClient() || got["scope"] != scope {
			t.Errorf("%s: %d %v, %v", name, status, got["error"], err)
		}
	}
	status, got := s.tokens(t, form(nil), basic(Backend, backend.Secret))
	check("basic", status, got, "system/*.cruds")
	status, got = s.tokens(t, form(url.Values{"client_id": {Backend}, "client_secret": {backend.Secret}, "scope": {"system/*.rs"}}))
	check("post", status, got, "system/*.rs")
	status, got = s.tokens(t, form(url.Values{"client_assertion_type": {assertionType}, "client_assertion": {s.assertion(t, nil, nil)}, "scope": {"system/*.cruds openid"}}))
	check("ES384", status, got, "system/*.cruds")
	rs, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS384, Key: jose.JSONWebKey{Key: rsaKey, KeyID: "r"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	status, got = s.tokens(t, form(url.Values{"client_assertion_type": {assertionType}, "client_assertion": {s.assertion(t, rs, map[string]any{"iss": "rsa-backend", "sub": "rsa-backend"})}}))
	check("RS384", status, got, "system/Patient.rs")

	for name, row := range map[string]struct {
		form   url.Values
		change func(*http.Request)
		want   string
	}{
		"a wrong secret":           {form(nil), basic(Backend, "x"), "invalid_client"},
		"an empty secret":          {form(nil), basic(Backend, ""), "invalid_client"},
		"an unknown client":        {form(nil), basic("other", backend.Secret), "invalid_client"},
		"a client with keys alone": {form(nil), basic("rsa-backend", ""), "invalid_client"},
		"no secret at all":         {form(url.Values{"client_id": {Backend}}), nil, "invalid_client"},
		"another scheme":           {form(url.Values{"client_id": {Backend}, "client_secret": {backend.Secret}}), func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, "invalid_client"},
		"two ways at once":         {form(url.Values{"client_secret": {backend.Secret}}), basic(Backend, backend.Secret), "invalid_request"},
		"two names":                {form(url.Values{"client_id": {App}}), basic(Backend, backend.Secret), "invalid_client"},
		"a public client":          {form(url.Values{"client_id": {App}}), nil, "unauthorized_client"},
		"a person's scope":         {form(url.Values{"scope": {"user/*.rs"}}), basic(Backend, backend.Secret), "invalid_scope"},
		"parameters in the query":  {form(nil), func(r *http.Request) { r.URL.RawQuery = "a=b"; basic(Backend, backend.Secret)(r) }, "invalid_request"},
	} {
		change := row.change
		if change == nil {
			change = func(*http.Request) {}
		}
		if status, got := s.tokens(t, row.form, change); status < 400 || got["error"] != row.want || got["access_token"] != nil {
			t.Errorf("%s: %d %v, want %s", name, status, got, row.want)
		}
	}
}

// assertion is a good client assertion of demo-backend, with changes.
func (s *site) assertion(t testing.TB, signer jose.Signer, change map[string]any) string {
	t.Helper()
	if signer == nil {
		var key jose.JSONWebKey
		if err := key.UnmarshalJSON(s.Client(Backend).PrivateJWK); err != nil {
			t.Fatal(err)
		}
		var err error
		if signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES384, Key: key}, (&jose.SignerOptions{}).WithType("JWT")); err != nil {
			t.Fatal(err)
		}
	}
	now := s.clock()
	claims := map[string]any{
		"iss": Backend, "sub": Backend, "aud": s.Issuer() + "/token", "jti": newSecret(), "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	}
	for k, v := range change {
		if claims[k] = v; v == nil {
			delete(claims, k)
		}
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestAssertionsAreRefused(t *testing.T) {
	s := newSite(t)
	unix := func(d time.Duration) int64 { return s.clock().Add(d).Unix() }
	stranger, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(key any, alg jose.SignatureAlgorithm, options *jose.SignerOptions) jose.Signer {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
		if err != nil {
			t.Fatal(err)
		}
		return signer
	}
	good := s.assertion(t, nil, nil)
	for name, token := range map[string]string{
		"another audience":     s.assertion(t, nil, map[string]any{"aud": "https://other.test/token"}),
		"no audience":          s.assertion(t, nil, map[string]any{"aud": nil}),
		"another subject":      s.assertion(t, nil, map[string]any{"sub": Gateway}),
		"another issuer":       s.assertion(t, nil, map[string]any{"iss": Gateway}),
		"expired":              s.assertion(t, nil, map[string]any{"exp": unix(-time.Minute)}),
		"without expiry":       s.assertion(t, nil, map[string]any{"exp": nil}),
		"good for an hour":     s.assertion(t, nil, map[string]any{"exp": unix(time.Hour)}),
		"not good yet":         s.assertion(t, nil, map[string]any{"nbf": unix(2 * time.Minute)}),
		"issued in an hour":    s.assertion(t, nil, map[string]any{"iat": unix(time.Hour)}),
		"without id":           s.assertion(t, nil, map[string]any{"jti": nil}),
		"a stranger's":         s.assertion(t, sign(stranger, jose.ES384, nil), nil),
		"with its key along":   s.assertion(t, sign(stranger, jose.ES384, &jose.SignerOptions{EmbedJWK: true}), nil),
		"HMAC with the secret": s.assertion(t, sign([]byte(s.Client(Backend).Secret), jose.HS256, nil), nil),
		"tampered with":        good[:strings.LastIndexByte(good, '.')-1] + "A" + good[strings.LastIndexByte(good, '.'):],
		"not a JWT":            "x",
	} {
		status, got := s.tokens(t, url.Values{"grant_type": {"client_credentials"}, "client_assertion_type": {assertionType}, "client_assertion": {token}})
		if status != http.StatusUnauthorized || got["error"] != "invalid_client" {
			t.Errorf("%s: %d %v", name, status, got)
		}
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_assertion_type": {assertionType}, "client_assertion": {good}}
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 8 {
		wg.Go(func() {
			if status, _ := s.tokens(t, form); status == http.StatusOK {
				mu.Lock()
				won++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("one assertion got %d tokens", won)
	}
	s.add(4 * time.Minute)
	if status, _ := s.tokens(t, form); status == http.StatusOK {
		t.Error("and another before it expires")
	}
}

func TestKeysRotateWithoutAGap(t *testing.T) {
	s := newSite(t)
	v := s.verifier(t)
	token := func() string {
		_, got := s.tokens(t, url.Values{"grant_type": {"client_credentials"}}, func(r *http.Request) { r.SetBasicAuth(Backend, s.Client(Backend).Secret) })
		return got["access_token"].(string)
	}
	before := token()
	for range 2 {
		if _, err := v.Verify(t.Context(), before); err != nil {
			t.Fatal(err)
		}
		if err := s.Rotate(); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(t.Context(), token()); err != nil {
			t.Fatalf("after a rotation: %v", err)
		}
	}
	if _, err := v.Verify(t.Context(), before); err == nil {
		t.Error("two rotations later the first key still counts")
	}
	_, body := s.get(t, "/idp/keys")
	if strings.Contains(body, `"d"`) || strings.Count(body, `"kid"`) != 2 {
		t.Errorf("published keys: %s", body)
	}
}
