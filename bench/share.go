package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"firebreak/auth/demoidp"
)

// profilePath is where the child tells where its processor time goes, for ?seconds.
const profilePath = "/cpu"

// asking are the functions that find out who asks and what they may see: tokens,
// admission, scopes, policy.
const asking = `^firebreak/(auth|access|registry|policy)[./]|^firebreak/web\.(bearer|otherPurpose|\(\*limiter\))`

// answering is a request from its first byte to its last.
const answering = `^net/http\.\(\*conn\)\.serve$`

// share measures which part of the server's processor time for a read goes to who
// asks, with a token of Firebreak's own: of one load, so of one run.
func (b *bench) share(ctx context.Context, s *server) error {
	token, err := s.own()
	if err != nil {
		return err
	}
	t, err := s.find()
	if err != nil {
		return err
	}
	file := filepath.Join(b.dir, "reads.pprof")
	told := make(chan error, 1)
	seconds := max(1, int(b.each.Seconds()))
	go func() { told <- s.profile(ctx, file, seconds) }()
	got, err := run(ctx, s.address(), b.connections, time.Duration(seconds+1)*time.Second, func(n int) []byte {
		return request(s.address(), t.observations[n%len(t.observations)], token)
	})
	if err != nil {
		return err
	}
	if err := <-told; err != nil {
		return err
	}
	part, err := spent(ctx, file, asking)
	if err != nil {
		return err
	}
	whole, err := spent(ctx, file, answering)
	if err != nil {
		return err
	}
	b.row(part > 0 && part < whole/4, "token, scopes and policy, of the processor time of a read", "under 0.25", "%.2f (an app's token, %.0f/s)", part/whole, got.PerSecond)
	return nil
}

var accounted = regexp.MustCompile(`accounting for ([\d.]+)ms,`)

// spent is the time in milliseconds in functions of that name and what they call.
func spent(ctx context.Context, profile, functions string) (float64, error) {
	out, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-nodefraction=0", "-nodecount=100000", "-unit=ms", "-focus="+functions, profile).Output()
	if err != nil {
		return 0, fmt.Errorf("go tool pprof: %w", err)
	}
	m := accounted.FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("a profile says nothing of its total:\n%s", out)
	}
	return strconv.ParseFloat(string(m[1]), 64)
}

// own gets a token of Firebreak's own, as a backend service does.
func (s *server) own() (string, error) {
	var client demoidp.Client
	for _, c := range s.info.Clients {
		if c.ID == demoidp.Backend {
			client = c
		}
	}
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(client.PrivateJWK); err != nil {
		return "", fmt.Errorf("the backend's key: %w", err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(key.Algorithm), Key: key}, nil)
	if err != nil {
		return "", err
	}
	endpoint := s.info.Base + "/oauth/token"
	assertion, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: client.ID, Subject: client.ID, Audience: jwt.Audience{endpoint}, ID: fmt.Sprint(time.Now().UnixNano()), Expiry: jwt.NewNumericDate(time.Now().Add(time.Minute)),
	}).Serialize()
	if err != nil {
		return "", err
	}
	r, err := http.NewRequest(http.MethodPost, endpoint, strings.NewReader(url.Values{
		"grant_type": {"client_credentials"}, "scope": {client.Scope}, "client_assertion": {assertion},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	}.Encode()))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var answer struct {
		Token string `json:"access_token"`
	}
	err = doJSON(r, &answer)
	return answer.Token, err
}

// profile writes where the child's processor time goes in the seconds to come.
func (s *server) profile(ctx context.Context, file string, seconds int) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.info.Base+profilePath+"?seconds="+strconv.Itoa(seconds), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", profilePath, resp.Status)
	}
	return os.WriteFile(file, body, 0o600)
}
