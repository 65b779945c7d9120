package auth

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// What asks the provider repeats a question, never a code, and goes nowhere
// but where it was sent.
func TestTheClientRepeatsWhatIsSafe(t *testing.T) {
	for _, row := range []struct {
		name, method  string
		first         int // status of the first answer; 0 hangs up
		asked, status int
	}{
		{"a GET after a failure", http.MethodGet, 502, 2, 200},
		{"a GET after a hang-up", http.MethodGet, 0, 2, 200},
		{"a POST that was refused unread", http.MethodPost, 503, 2, 200},
		{"a POST that failed", http.MethodPost, 502, 1, 502},
		{"a POST after a hang-up", http.MethodPost, 0, 1, 0},
		{"a redirect", http.MethodGet, 302, 1, 302},
		{"a redirect of a POST", http.MethodPost, 307, 1, 307},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int64
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) > 1 {
					return
				}
				if row.first == 0 {
					panic(http.ErrAbortHandler)
				}
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(row.first)
			}))
			defer s.Close()
			req, err := http.NewRequestWithContext(t.Context(), row.method, s.URL, strings.NewReader("x"))
			if err != nil {
				t.Fatal(err)
			}
			status := 0
			resp, err := newClient(nil).Do(req)
			if err == nil {
				status = resp.StatusCode
				resp.Body.Close()
			}
			if int(asked.Load()) != row.asked || status != row.status {
				t.Errorf("asked %d times, status %d, %v", asked.Load(), status, err)
			}
		})
	}
	if again, _ := retry(context.Background(), nil, errors.New("unknown")); !again {
		t.Error("an unknown failure of a GET is not tried again")
	}
}

func TestKeysThatCannotBeUsedArePassedOver(t *testing.T) {
	const good = `{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","kid":"1"}`
	for name, body := range map[string]string{
		"not JSON":      `x`,
		"no keys":       `{"keys":[]}`,
		"a symmetric":   `{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"1"}]}`,
		"for secrecy":   `{"keys":[` + strings.Replace(good, `"kid"`, `"use":"enc","kid"`, 1) + `]}`,
		"off the curve": `{"keys":[` + strings.Replace(good, "MKB", "MKC", 1) + `]}`,
		"a weak RSA":    `{"keys":[{"kty":"RSA","n":"` + strings.Repeat("A", 10) + "_" + strings.Repeat("8", 150) + `","e":"AQAB","kid":"1"}]}`,
	} {
		if keys, err := parseKeys([]byte(body)); err == nil {
			t.Errorf("%s: %d keys", name, len(keys))
		}
	}
	keys, err := parseKeys([]byte(`{"keys":[{"kty":"new"},` + good + `,{"kty":"oct","k":"c2VjcmV0"}]}`))
	if err != nil || len(keys) != 1 || keys[0].KeyID != "1" {
		t.Errorf("one good key among others: %v, %v", keys, err)
	}
}
