package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"firebreak/record"
)

const (
	usualTimeout = 20 * time.Second
	longest      = time.Minute // that a receiver may take
	longestLater = time.Hour   // that it may ask us to wait
)

// send sends one notice. later is how long the receiver asks us to wait.
func (t *Teller) send(ctx context.Context, p record.Parcel, at time.Time) (later time.Duration, err error) {
	if to, ok := strings.CutPrefix(p.Endpoint, Mailto); ok {
		return 0, t.mail(ctx, p, to, at)
	}
	var body []byte
	if p.Content == "" {
		if p.Kind != "event-notification" { // R4 has no word for it
			return 0, nil
		}
	} else if body, err = Notification(t.Base, p, at); err != nil {
		return 0, err
	}
	timeout := p.Timeout
	if timeout <= 0 {
		timeout = usualTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, min(timeout, longest))
	defer cancel()
	r, err := retryablehttp.NewRequestWithContext(ctx, http.MethodPost, p.Endpoint, bytes.NewReader(body))
	if err != nil {
		return 0, errors.New("its address is none")
	}
	for _, h := range p.Headers {
		if name, value, ok := strings.Cut(h, ":"); ok {
			r.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
		}
	}
	if len(body) > 0 {
		r.Header.Set("Content-Type", "application/fhir+json")
	}
	r.Header.Set("User-Agent", "Firebreak")
	answer, err := t.patient().Do(r)
	if err != nil {
		if ctx.Err() != nil {
			return 0, errors.New("it does not answer in time")
		}
		return 0, errors.New("it cannot be reached") // what the network says names the address, which may hold a token
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10))
	if answer.StatusCode/100 == 2 {
		return 0, nil
	}
	if s, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && s > 0 {
		later = min(time.Duration(s)*time.Second, longestLater)
	}
	return later, fmt.Errorf("it answered %d", answer.StatusCode)
}

// Mailto begins the address of somebody who is told by mail.
const Mailto = "mailto:"

// mail says that there is something new, and where it is read: a mail is read by whoever
// carries it.
func (t *Teller) mail(ctx context.Context, p record.Parcel, to string, at time.Time) error {
	if p.Kind != "event-notification" {
		return nil
	}
	if t.Mail == nil {
		return errors.New("there is no server for mail")
	}
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	text := fmt.Sprintf("There is something new for subscription %s.\r\n\r\nIt is read by its client at %s/Subscription/%s/$events\r\n", p.ID, t.Base, p.ID)
	if err := t.Mail(ctx, to, name(p, at), "Firebreak: something is new", text); err != nil {
		return errors.New("the mail was not taken")
	}
	return nil
}

// patient is the client: it tries again at once what fails in passing, and follows
// nothing.
func (t *Teller) patient() *retryablehttp.Client {
	t.once.Do(func() {
		via := t.Via
		if via == nil {
			via = &http.Transport{
				Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, TLSHandshakeTimeout: 10 * time.Second,
				MaxIdleConnsPerHost: 4, IdleConnTimeout: 90 * time.Second, MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true,
			}
		}
		t.client = &http.Client{Transport: via, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	})
	c := retryablehttp.NewClient()
	c.Logger, c.RetryMax, c.RetryWaitMin, c.RetryWaitMax = nil, 2, 200*time.Millisecond, 2*time.Second
	c.HTTPClient = t.client
	c.ErrorHandler = retryablehttp.PassthroughErrorHandler
	c.CheckRetry = func(ctx context.Context, r *http.Response, err error) (bool, error) {
		if r != nil && r.Header.Get("Retry-After") != "" { // it says when
			return false, nil
		}
		return retryablehttp.DefaultRetryPolicy(ctx, r, err)
	}
	return c
}
