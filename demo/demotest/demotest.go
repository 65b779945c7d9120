// Package demotest runs demos in tests and reads them as an outsider would:
// over MLLP and HTTP, knowing what demo.json says and nothing else.
package demotest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"firebreak/adapters/hl7"
	"firebreak/auth/demoidp"
	"firebreak/demo"
)

// Demo is a demo that runs in this process.
type Demo struct {
	*demo.Demo
	Stop func() // waits until it has stopped; the test's end calls it too
}

// Start runs a demo on free ports, in a folder of its own unless o names one,
// and waits until it is ready. Warnings of the demo go to the test's log.
func Start(t testing.TB, o demo.Options) *Demo {
	t.Helper()
	o.Listen, o.MLLP = "127.0.0.1:0", "127.0.0.1:0"
	if o.Data == "" {
		o.Data = t.TempDir()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	d, err := demo.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- d.Run(ctx, func() { close(ready) }) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the demo ended with: %v", err)
		}
	})
	t.Cleanup(stop)
	select {
	case <-ready:
	case err := <-ended:
		ended <- err
		t.Fatalf("the demo did not start: %v", err)
	}
	return &Demo{d, stop}
}

// Send sends messages over a number of connections, each patient's in order,
// and waits until all are applied or held. Every one must be taken.
func (d *Demo) Send(t testing.TB, connections int, messages ...[]byte) {
	t.Helper()
	bulk := hl7.Bulk{Client: func() *hl7.Client { return &hl7.Client{Addr: d.Info.MLLP} }, Connections: connections}
	result, err := bulk.Send(t.Context(), hl7.Messages("message", messages...))
	if err != nil {
		t.Fatal(err)
	}
	if result.AA != len(messages) {
		t.Fatalf("of %d messages %d were taken: %v", len(messages), result.AA, result.Faults)
	}
	if err := d.Gateway.Idle(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// App is an application with a bearer token.
type App struct {
	FHIR   string
	Token  string
	Client *http.Client
}

// Backend is demo-backend, signed in.
func Backend(ctx context.Context, info demo.Info) (*App, error) {
	a := &App{FHIR: info.FHIR, Client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32, DisableCompression: true}}}
	return a, a.SignIn(ctx, info)
}

// SignIn gets a token for demo-backend from the demo's provider, by its secret.
func (a *App) SignIn(ctx context.Context, info demo.Info) error {
	var conf struct {
		Endpoint string `json:"token_endpoint"`
	}
	answer, err := a.Get(ctx, info.Issuer+"/.well-known/openid-configuration")
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer.Body, &conf); err != nil {
		return err
	}
	for _, c := range info.Clients {
		if c.ID != demoidp.Backend {
			continue
		}
		form := url.Values{"grant_type": {"client_credentials"}, "scope": {c.Scope}}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, conf.Endpoint, strings.NewReader(form.Encode()))
		if err != nil {
			return err
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(c.ID, c.Secret)
		answer, err := a.do(r)
		if err != nil {
			return err
		}
		var token struct {
			Access string `json:"access_token"`
		}
		if err := json.Unmarshal(answer.Body, &token); err != nil || token.Access == "" {
			return fmt.Errorf("demotest: no token: status %d", answer.Status)
		}
		a.Token = token.Access
		return nil
	}
	return errors.New("demotest: there is no " + demoidp.Backend)
}

// Close drops idle connections.
func (a *App) Close() { a.Client.CloseIdleConnections() }

// Answer is an HTTP answer, read.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Get asks for a path below the FHIR base, or for a whole address.
func (a *App) Get(ctx context.Context, path string) (Answer, error) {
	if strings.HasPrefix(path, "/") {
		path = a.FHIR + path
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	if err != nil {
		return Answer{}, err
	}
	return a.do(r)
}

func (a *App) do(r *http.Request) (Answer, error) {
	if a.Token != "" {
		r.Header.Set("Authorization", "Bearer "+a.Token)
	}
	answer, err := a.Client.Do(r)
	if err != nil {
		return Answer{}, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return Answer{answer.StatusCode, answer.Header, body}, err
}

// Resource is a resource as it was read. Numbers are json.Number, digits and all.
type Resource struct {
	Type, ID, Version string
	JSON              []byte // as it stood in the Bundle
	Value             map[string]any
}

// Search gives all matches of a search, following its pages, and the total that
// the first page told (-1 when it told none). A resource that comes twice is
// an error.
func (a *App) Search(ctx context.Context, query string) (all []Resource, total int, err error) {
	total = -1
	seen := map[string]bool{}
	for next := query; next != ""; {
		answer, err := a.Get(ctx, next)
		if err != nil {
			return nil, 0, err
		}
		if answer.Status != http.StatusOK {
			return nil, 0, fmt.Errorf("demotest: %s: status %d: %s", query, answer.Status, answer.Body)
		}
		var page struct {
			Total *int
			Link  []struct{ Relation, URL string }
			Entry []struct{ Resource json.RawMessage }
		}
		if err := json.Unmarshal(answer.Body, &page); err != nil {
			return nil, 0, fmt.Errorf("demotest: %s: %w", query, err)
		}
		if total < 0 && page.Total != nil {
			total = *page.Total
		}
		for _, e := range page.Entry {
			r, err := read(e.Resource)
			if err != nil {
				return nil, 0, fmt.Errorf("demotest: %s: %w", query, err)
			}
			if key := r.Type + "/" + r.ID; seen[key] {
				return nil, 0, fmt.Errorf("demotest: %s: %s came twice", query, key)
			} else {
				seen[key] = true
			}
			all = append(all, r)
		}
		next = ""
		for _, l := range page.Link {
			if l.Relation == "next" {
				next = l.URL
			}
		}
	}
	return all, total, nil
}

func read(b []byte) (Resource, error) {
	r := Resource{JSON: b}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&r.Value); err != nil {
		return r, err
	}
	r.Type, _ = r.Value["resourceType"].(string)
	r.ID, _ = r.Value["id"].(string)
	meta, _ := r.Value["meta"].(map[string]any)
	r.Version, _ = meta["versionId"].(string)
	return r, nil
}

// Metrics are figures by name and labels, as they stand before a value.
type Metrics map[string]float64

// Scrape reads the metrics at an address.
func Scrape(t testing.TB, address string) Metrics {
	t.Helper()
	answer, err := (&App{Client: http.DefaultClient}).Get(t.Context(), address)
	if err != nil || answer.Status != http.StatusOK {
		t.Fatalf("metrics: status %d, %v", answer.Status, err)
	}
	all := Metrics{}
	for line := range strings.Lines(string(answer.Body)) {
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		if all[line[:at]], err = strconv.ParseFloat(strings.TrimSpace(line[at:]), 64); err != nil {
			t.Fatalf("metrics: %q", line)
		}
	}
	return all
}
