// Package peer speaks with one FHIR R4 server of others: no faster than allowed,
// again when it failed in passing, as late as the server says, with a token
// where it wants one, and with no other origin than its own. What it says of
// failures holds codes, no text and no address: those may name patients.
package peer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"golang.org/x/time/rate"

	"firebreak/fhir"
)

const (
	MaxAnswer    = 64 << 20         // bytes of an answer that is read whole
	maxRedirects = 3                //
	HeaderTime   = 60 * time.Second // until an answer begins
	silence      = 60 * time.Second // within an answer
	retries      = 4                // of one request, before the round is given up
	minWait      = time.Second      // before the first of them
	maxWait      = 30 * time.Second // and the last, unless the server says when
	MaxPatience  = time.Hour        // for what a server says with Retry-After
)

// Server is a FHIR R4 server that is asked for its resources, or is sent some.
type Server struct {
	Base  string            // https; http of a loopback address. No query, no slash at the end
	Auth  *Auth             // nil: the server asks for none
	CA    *x509.CertPool    // nil: the system's
	Rate  float64           // requests a second
	Files []string          // other origins ("https://files.example.org") that Bulk Data files may lie at; they see no token
	Via   http.RoundTripper // instead of the network; nil: the network
	Now   func() time.Time
}

// Client asks. It is one goroutine's.
type Client struct {
	base   *url.URL
	files  []string
	client *retryablehttp.Client
	limit  *rate.Limiter
	tokens *tokens
	now    func() time.Time
	ahead  time.Duration // of the server's clock over ours, as it said last
}

// Open makes a client; nothing is asked yet.
func (s Server) Open() (*Client, error) {
	base, err := ParseBase(s.Base)
	if err != nil {
		return nil, err
	}
	c := retryablehttp.NewClient()
	c.Logger, c.RetryMax, c.RetryWaitMin, c.RetryWaitMax = nil, retries, minWait, maxWait
	c.Backoff = Backoff
	c.CheckRetry = func(ctx context.Context, r *http.Response, err error) (bool, error) {
		if errors.Is(err, ErrForeign) || errors.Is(err, errRedirects) {
			return false, err
		}
		return retryablehttp.DefaultRetryPolicy(ctx, r, err)
	}
	c.ErrorHandler = retryablehttp.PassthroughErrorHandler
	via := s.Via
	if via == nil {
		via = &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: s.CA, MinVersion: tls.VersionTLS12},
			ResponseHeaderTimeout: HeaderTime, TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 90 * time.Second,
			MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true,
		}
	}
	o := &Client{base: base, files: s.Files, client: c, limit: rate.NewLimiter(rate.Limit(s.Rate), 1), now: s.Now}
	c.HTTPClient = &http.Client{Transport: via, CheckRedirect: func(r *http.Request, before []*http.Request) error {
		if len(before) > maxRedirects {
			return errRedirects
		}
		if !sameOrigin(r.URL, before[0].URL) {
			return ErrForeign
		}
		return nil
	}}
	if s.Auth != nil {
		if o.tokens, err = s.Auth.open(o); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// Once has no request made again.
func (s *Client) Once() { s.client.RetryMax = 0 }

// Host is the server's address as an operator knows it.
func (s *Client) Host() string { return s.base.Host }

// ParseBase reads the address of a FHIR server: https, or http on this machine.
func ParseBase(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(u.Path, "/"):
		return nil, errors.New("peer: an address of a FHIR server is like https://ehr.example.org/fhir")
	case u.Scheme != "https" && !(u.Scheme == "http" && local(u.Hostname())):
		return nil, errors.New("peer: a FHIR server must be asked by https unless it is on this machine")
	}
	return u, nil
}

func local(host string) bool { return host == "localhost" || host == "127.0.0.1" || host == "::1" }

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return map[string]string{"https": "443", "http": "80"}[u.Scheme]
}

// ErrForeign is for links out of the server: nothing that data names is asked.
var ErrForeign = errors.New("peer: the server links to an address that is not its own")

var errRedirects = errors.New("too many redirects")

// Backoff waits as long as the server asks, or ever longer, and not in step with others.
func Backoff(low, high time.Duration, n int, r *http.Response) time.Duration {
	wait := retryablehttp.DefaultBackoff(low, high, n, r)
	return min(wait, MaxPatience) + rand.N(low)
}

// Clock is the server's, as far as it is known.
func (s *Client) Clock() time.Time { return s.now().Add(s.ahead) }

// Link is the address that a link of the server leads to.
func (s *Client) Link(to string) (*url.URL, error) {
	u, err := s.base.Parse(to)
	if err != nil || u.User != nil || !sameOrigin(u, s.base) {
		return nil, ErrForeign
	}
	return u, nil
}

// At is an address below the base.
func (s *Client) At(path string, q url.Values) string {
	a := s.base.String() + "/" + path
	if len(q) > 0 {
		a += "?" + q.Encode()
	}
	return a
}

// Refused is an answer that is no success. It holds codes, no text: what a
// server writes may be about patients.
type Refused struct {
	Status int
	Codes  []string
}

func (e *Refused) Error() string {
	s := fmt.Sprintf("peer: the server answered with status %d", e.Status)
	if len(e.Codes) > 0 {
		s += " (" + strings.Join(e.Codes, ", ") + ")"
	}
	return s
}

// IsGone tells whether the server has no such thing, or no longer.
func IsGone(err error) bool {
	e, ok := errors.AsType[*Refused](err)
	return ok && (e.Status == http.StatusNotFound || e.Status == http.StatusGone)
}

// IsRefusal tells whether the server understood and will not, which asking for
// something else does not share.
func IsRefusal(err error) bool {
	e, ok := errors.AsType[*Refused](err)
	return ok && e.Status >= 400 && e.Status < 500 && e.Status != http.StatusUnauthorized && e.Status != http.StatusTooManyRequests
}

// codesOf are the issue codes of an OperationOutcome.
func codesOf(body []byte) (codes []string) {
	r, err := fhir.Parse(body)
	if err != nil || r.Type() != "OperationOutcome" {
		return nil
	}
	for i := range r.All("issue") {
		if c := i.Get("code").Text(); issueCode(c) && !slices.Contains(codes, c) && len(codes) < 5 {
			codes = append(codes, c)
		}
	}
	return codes
}

// issueCode tells whether s looks like a code of http://hl7.org/fhir/issue-type.
func issueCode(s string) bool {
	return s != "" && len(s) < 30 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz-") == ""
}

const FHIRJSON = "application/fhir+json"

// Get asks for a resource, whole.
func (s *Client) Get(ctx context.Context, address string) (fhir.Resource, http.Header, error) {
	body, header, err := s.read(ctx, address, FHIRJSON)
	if err != nil {
		return fhir.Resource{}, nil, err
	}
	r, err := fhir.Take(body)
	if err != nil {
		return fhir.Resource{}, nil, errors.New("peer: the server's answer is no FHIR resource in JSON")
	}
	return r, header, nil
}

// Metadata is the server's CapabilityStatement, if it is of R4.
func (s *Client) Metadata(ctx context.Context) (fhir.Resource, error) {
	r, _, err := s.Get(ctx, s.At("metadata", nil))
	if err != nil {
		return r, fmt.Errorf("metadata: %w", err)
	}
	if r.Type() != "CapabilityStatement" {
		return r, errors.New("peer: the server has no CapabilityStatement")
	}
	if v := r.Get("fhirVersion").Text(); len(v) < 2 || v[:2] != "4." {
		return r, errors.New("peer: the server is not of FHIR R4")
	}
	return r, nil
}

// Try asks for the CapabilityStatement once, with whatever token that takes.
func (s Server) Try(ctx context.Context) error {
	c, err := s.Open()
	if err != nil {
		return err
	}
	c.Once()
	_, err = c.Metadata(ctx)
	return err
}

func (s *Client) read(ctx context.Context, address, accept string) ([]byte, http.Header, error) {
	r, err := s.Ask(ctx, http.MethodGet, address, http.Header{"Accept": {accept}}, nil)
	if err != nil {
		return nil, nil, err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxAnswer+1))
	switch {
	case err != nil:
		return nil, nil, errors.New("peer: the server's answer was cut off")
	case len(body) > MaxAnswer:
		return nil, nil, fmt.Errorf("peer: the server's answer is longer than %d bytes", MaxAnswer)
	}
	return body, r.Header, nil
}

// Ask makes a request of the server's own origin and gives an answer of 2xx. A
// token that is refused is replaced once.
func (s *Client) Ask(ctx context.Context, method, address string, h http.Header, body []byte) (*http.Response, error) {
	u, err := s.Link(address)
	if err != nil {
		return nil, err
	}
	for again := false; ; again = true {
		if s.tokens != nil {
			token, err := s.tokens.get(ctx)
			if err != nil {
				return nil, err
			}
			h.Set("Authorization", "Bearer "+token)
		}
		r, err := s.send(ctx, method, u, h, body)
		if e, ok := errors.AsType[*Refused](err); ok && e.Status == http.StatusUnauthorized && s.tokens != nil {
			s.tokens.drop()
			if !again {
				continue
			}
		}
		return r, err
	}
}

// File asks for a Bulk Data file, which may lie at another origin that the
// configuration names. Such a one sees no token.
func (s *Client) File(ctx context.Context, address string) (*http.Response, error) {
	h := http.Header{"Accept": {"application/fhir+ndjson"}}
	if _, err := s.Link(address); err == nil {
		return s.Ask(ctx, http.MethodGet, address, h, nil)
	}
	u, err := url.Parse(address)
	if err != nil || u.User != nil || !slices.Contains(s.files, u.Scheme+"://"+u.Host) {
		return nil, ErrForeign
	}
	return s.send(ctx, http.MethodGet, u, h, nil)
}

// send sends one request, again when it failed in passing.
func (s *Client) send(ctx context.Context, method string, u *url.URL, h http.Header, body []byte) (*http.Response, error) {
	if err := s.limit.Wait(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var with any // none
	if body != nil {
		with = body
	}
	q, err := retryablehttp.NewRequestWithContext(ctx, method, u.String(), with)
	if err != nil {
		cancel()
		return nil, ErrForeign
	}
	if method == http.MethodGet { // some servers answer a search again with what they found a minute ago
		q.Header.Set("Cache-Control", "no-cache")
	}
	for name, values := range h {
		q.Header[name] = values
	}
	r, err := s.client.Do(q)
	if err != nil {
		cancel()
		if errors.Is(err, ErrForeign) {
			return nil, ErrForeign
		}
		return nil, fmt.Errorf("peer: the server cannot be asked: %w", bare(err))
	}
	if at, err := http.ParseTime(r.Header.Get("Date")); err == nil {
		s.ahead = at.Sub(s.now())
	}
	r.Body = &watched{r.Body, time.AfterFunc(silence, cancel), cancel}
	if r.StatusCode/100 != 2 {
		defer r.Body.Close()
		answer, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		return nil, &Refused{r.StatusCode, codesOf(answer)}
	}
	return r, nil
}

// bare takes the address off an error: its parameters may name patients.
func bare(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// watched is an answer's body that is given up when nothing comes for a while.
type watched struct {
	io.ReadCloser
	timer  *time.Timer
	cancel context.CancelFunc
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.ReadCloser.Read(b)
	w.timer.Reset(silence)
	return n, err
}

func (w *watched) Close() error {
	w.timer.Stop()
	defer w.cancel()
	return w.ReadCloser.Close()
}
