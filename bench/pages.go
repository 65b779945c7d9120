package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

var (
	handlePattern   = regexp.MustCompile(`name="handle" value="([^"]+)"`)
	worksitePattern = regexp.MustCompile(`name="worksite" value="([^"]+)"`)
	patientPattern  = regexp.MustCompile(`href="(/p/[^"/?#]+)"`)
)

// browser is somebody at the viewer.
type browser struct {
	base   string
	client http.Client
}

func (b *browser) do(r *http.Request) (string, error) {
	resp, err := b.client.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answered %s", r.URL.Path, resp.Status)
	}
	return string(text), err
}

func (b *browser) get(path string) (string, error) {
	r, err := http.NewRequest(http.MethodGet, b.base+path, nil)
	if err != nil {
		return "", err
	}
	return b.do(r)
}

func (b *browser) post(path string, form url.Values) (string, error) {
	r, err := http.NewRequest(http.MethodPost, b.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", b.base)
	return b.do(r)
}

// signIn goes through the provider's pages as the physician does.
func (s *server) signIn() (*browser, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	b := &browser{base: s.info.Base, client: http.Client{Jar: jar}}
	page, err := b.get("/sign-in")
	if err != nil {
		return nil, err
	}
	handle := handlePattern.FindStringSubmatch(page)
	if handle == nil {
		return nil, errors.New("the sign-in page has no form")
	}
	for _, p := range s.info.People {
		if p.Role != "physician" {
			continue
		}
		page, err := b.post("/idp/login", url.Values{"handle": {handle[1]}, "username": {p.Username}, "password": {p.Password}})
		if err != nil {
			return nil, err
		}
		worksite := worksitePattern.FindStringSubmatch(page)
		if worksite == nil {
			return nil, errors.New("the physician has no worksite")
		}
		_, err = b.post("/worksite", url.Values{"worksite": {worksite[1]}, "purpose": {"TREAT"}})
		return b, err
	}
	return nil, errors.New("the demo has no physician")
}

// pages times the chart of 10,000 observations at the server: the first time,
// when it must be read, and again.
func (b *bench) pages(_ context.Context, s *server) error {
	who, err := s.signIn()
	if err != nil {
		return err
	}
	found, err := who.post("/find", url.Values{"number": {"LONG"}})
	if err != nil {
		return err
	}
	link := patientPattern.FindStringSubmatch(found)
	if link == nil {
		return errors.New("the long chart was not found")
	}
	for _, page := range []struct{ name, path string }{{"summary", link[1]}, {"results grid", link[1] + "/results"}} {
		var times []time.Duration
		for range 20 {
			begin := time.Now()
			if _, err := who.get(page.path); err != nil {
				return err
			}
			times = append(times, time.Since(begin))
		}
		first := times[0]
		slices.Sort(times)
		p95 := max(times[18], first)
		b.row(p95 < 150*time.Millisecond, fmt.Sprintf("%s of a chart with 10,000 observations, first / median", page.name), "under 150 ms", "%.0f / %.0f ms", ms(first), ms(times[10]))
	}
	return nil
}
