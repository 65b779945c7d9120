package demo_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"firebreak/auth/demoidp"
	"firebreak/demo/demotest"
	"firebreak/internal/canary"
)

// actor is somebody in a story: a person with a browser and an app, or the
// client demo-backend.
type actor struct {
	s       *story
	name    string
	browser *http.Client
	app     *http.Client
	token   string
	page    reply  // what the browser shows
	chart   string // address of the open chart, "/p/..."
}

func (s *story) actor(name string) *actor {
	a := s.actors[name]
	if a == nil {
		jar, err := cookiejar.New(nil)
		if err != nil {
			s.fatal("%v", err)
		}
		plain := &http.Transport{DisableCompression: true}
		a = &actor{s: s, name: name, browser: &http.Client{Jar: jar, Transport: plain}, app: &http.Client{Transport: plain,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
		s.t.Cleanup(plain.CloseIdleConnections)
		s.actors[name] = a
	}
	return a
}

// act plays what one person does.
func (a *actor) act(verb, rest string) {
	switch verb {
	case "asks":
		a.asks(rest)
	case "signs":
		where, _ := strings.CutPrefix(rest, "in at ")
		where, behalf, _ := strings.Cut(where, " for ")
		a.signIn(where, behalf)
	case "leaves":
		a.send(http.MethodPost, "/sign-out", url.Values{})
	case "finds":
		form := url.Values{}
		for word := range strings.FieldsSeq(rest) {
			name, value, _ := strings.Cut(word, "=")
			form.Set(name, value)
		}
		a.signedIn()
		a.send(http.MethodPost, "/find", form)
	case "opens":
		a.signedIn()
		a.opens(rest)
	case "follows":
		a.follows(strings.Trim(rest, `"`))
	case "can":
		a.crawl()
	default:
		a.s.fatal("%s %s: nobody does that", a.name, verb)
	}
}

// asks sends one request to the API: "GET /fhir/Patient with FILE and Header: value".
func (a *actor) asks(rest string) {
	rest, headers, _ := strings.Cut(rest, " and ")
	rest, file, _ := strings.Cut(rest, " with ")
	method, path, _ := strings.Cut(rest, " ")
	body := ""
	if file != "" {
		body = a.s.fill(a.s.file(file))
	}
	a.s.last = a.ask(method, path, body, headers)
	a.s.hold(a.s.last)
}

func (a *actor) ask(method, path, body string, headers string) reply {
	a.s.t.Helper()
	r, err := http.NewRequestWithContext(a.s.t.Context(), method, a.s.demo.Info.Base+strings.TrimPrefix(path, a.s.demo.Info.Base), strings.NewReader(body))
	if err != nil {
		a.s.fatal("%v", err)
	}
	if a.name != "anyone" {
		if a.token == "" {
			a.token = a.getToken()
		}
		r.Header.Set("Authorization", "Bearer "+a.token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/fhir+json")
	}
	if headers != "" {
		name, value, _ := strings.Cut(headers, ": ")
		r.Header.Set(name, value)
	}
	answer, err := a.app.Do(r)
	if err != nil {
		a.s.fatal("%v", err)
	}
	return readReply(a.s.t, a.name+" asks "+method+" "+path, answer)
}

func readReply(t *testing.T, ask string, answer *http.Response) reply {
	t.Helper()
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatalf("%s: %v", ask, err)
	}
	path := ""
	if answer.Request != nil {
		path = answer.Request.URL.Path
	}
	return reply{ask: ask, status: answer.StatusCode, header: answer.Header, body: b, path: path}
}

func (a *actor) person() demoidp.Person {
	for _, p := range a.s.demo.Info.People {
		if p.Username == a.name {
			return p
		}
	}
	a.s.fatal("demo.json names no %s", a.name)
	return demoidp.Person{}
}

// getToken gets the backend its token by its secret, and a person one through
// the app demo-app: authorization code with PKCE, the password typed into the
// provider's own page.
func (a *actor) getToken() string {
	if a.name == "backend" {
		app, err := demotest.Backend(a.s.t.Context(), a.s.demo.Info)
		if err != nil {
			a.s.fatal("%v", err)
		}
		defer app.Close()
		return app.Token
	}
	var conf struct {
		Authorize string `json:"authorization_endpoint"`
		Token     string `json:"token_endpoint"`
	}
	a.decode(a.fetch(http.MethodGet, a.s.demo.Info.Issuer+"/.well-known/openid-configuration", nil), &conf)
	const verifier, back = "a-verifier-of-at-least-43-characters-0123456789", "http://127.0.0.1:53124/callback"
	sum := sha256.Sum256([]byte(verifier))
	page := a.fetch(http.MethodGet, conf.Authorize+"?"+url.Values{
		"response_type": {"code"}, "client_id": {demoidp.App}, "redirect_uri": {back}, "scope": {"openid profile user/*.rs"}, "state": {"st"}, "nonce": {"no"},
		"aud": {a.s.demo.Info.FHIR}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode(), nil)
	answer := a.enter(page, a.app)
	to, err := url.Parse(answer.header.Get("Location"))
	if err != nil || !strings.HasPrefix(to.String(), back) || to.Query().Get("state") != "st" || to.Query().Get("iss") != a.s.demo.Info.Issuer {
		a.s.fatal("%s is sent to %s: %d %s", a.name, to, answer.status, answer.body)
	}
	var token struct {
		Access string `json:"access_token"`
		Scope  string `json:"scope"`
	}
	a.decode(a.fetch(http.MethodPost, conf.Token, url.Values{
		"grant_type": {"authorization_code"}, "client_id": {demoidp.App}, "code": {to.Query().Get("code")}, "redirect_uri": {back}, "code_verifier": {verifier},
	}), &token)
	if token.Access == "" || !strings.Contains(token.Scope, "user/*.rs") {
		a.s.fatal("%s gets no token", a.name)
	}
	return token.Access
}

var formAt = regexp.MustCompile(`<form method="post" action="([^"]+)">\s*<input type="hidden" name="handle" value="([^"]+)">`)

// enter types the person's name and password into the provider's page.
func (a *actor) enter(page reply, with *http.Client) reply {
	m := formAt.FindStringSubmatch(string(page.body))
	if m == nil {
		a.s.fatal("this is not the sign-in page: %d %s", page.status, page.body)
	}
	p := a.person()
	form := url.Values{"handle": {m[2]}, "username": {p.Username}, "password": {p.Password}}
	r, err := http.NewRequestWithContext(a.s.t.Context(), http.MethodPost, a.s.demo.Info.Base+m[1], strings.NewReader(form.Encode()))
	if err != nil {
		a.s.fatal("%v", err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := with.Do(r)
	if err != nil {
		a.s.fatal("%v", err)
	}
	return readReply(a.s.t, a.name+" types a password", answer)
}

func (a *actor) fetch(method, address string, form url.Values) reply {
	r, err := http.NewRequestWithContext(a.s.t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		a.s.fatal("%v", err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	answer, err := a.app.Do(r)
	if err != nil {
		a.s.fatal("%v", err)
	}
	return readReply(a.s.t, a.name+" "+method+" "+address, answer)
}

func (a *actor) decode(r reply, to any) {
	a.s.t.Helper()
	if err := json.Unmarshal(r.body, to); err != nil {
		a.s.fatal("%s: %v: %s", r.ask, err, r.body)
	}
}

// usual is where a person signs in unless the story says.
var usual = map[string][2]string{
	"physician": {"harbour"}, "pharmacist": {"quay"}, "assistant": {"harbour"}, "nurse": {"hillside"}, "social-worker": {"hillside"},
	"privacy-officer": {"harbour"}, "operator": {"harbour"},
}

func (a *actor) signedIn() {
	if a.page.body == nil && a.name != "anyone" {
		a.signIn(usual[a.name][0], "")
	}
}

// signIn goes the whole way by browser: the sign-in page, the provider's, the
// choice of worksite, and for an assistant of whom.
func (a *actor) signIn(where, behalf string) {
	page := a.send(http.MethodGet, "/sign-in", nil)
	if strings.Contains(string(page.body), `name="handle"`) {
		page = a.enter(page, a.browser)
		a.shown(page)
	}
	if where != "" && page.path == "/worksite" {
		page = a.send(http.MethodPost, "/worksite", url.Values{"worksite": {where}, "purpose": {"TREAT"}})
	}
	if behalf != "" {
		a.send(http.MethodPost, "/acting-for", url.Values{"for": {behalf}})
	}
}

// send sends the browser to an address of ours; it follows redirects.
func (a *actor) send(method, path string, form url.Values) reply {
	r, err := http.NewRequestWithContext(a.s.t.Context(), method, a.s.demo.Info.Base+path, strings.NewReader(form.Encode()))
	if err != nil {
		a.s.fatal("%v", err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", a.s.demo.Info.Base)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	answer, err := a.browser.Do(r)
	if err != nil {
		a.s.fatal("%v", err)
	}
	return a.shown(readReply(a.s.t, a.name+" "+method+" "+path, answer))
}

func (a *actor) shown(r reply) reply {
	a.page, a.s.last = r, r
	a.s.hold(r)
	return r
}

var chartLink = regexp.MustCompile(`href="(/p/[A-Za-z0-9_\-]+)"`)

// opens goes to a page: "chart NUMBER", the name of a part of the open chart,
// or an address.
func (a *actor) opens(what string) {
	if number, ok := strings.CutPrefix(what, "chart "); ok {
		a.send(http.MethodPost, "/find", url.Values{"number": {number}})
		m := chartLink.FindSubmatch(a.page.body)
		if m == nil {
			a.s.fail("%s finds no chart", a.name)
			return
		}
		a.chart = string(m[1])
		a.send(http.MethodGet, a.chart, nil)
		return
	}
	path, ok := strings.CutPrefix(what, "/")
	if ok {
		a.send(http.MethodGet, "/"+path, nil)
		return
	}
	if what == "summary" {
		what = ""
	} else {
		what = "/" + what
	}
	a.send(http.MethodGet, a.chart+what, nil)
}

var anchor = regexp.MustCompile(`(?s)<a\s[^>]*href="([^"]*)"[^>]*>(.*?)</a>`)

// follows clicks the first link with these words.
func (a *actor) follows(words string) {
	for _, m := range anchor.FindAllSubmatch(a.page.body, -1) {
		if strings.Contains(plainText(m[2]), words) {
			a.send(http.MethodGet, strings.TrimPrefix(html.UnescapeString(string(m[1])), a.s.demo.Info.Base), nil)
			return
		}
	}
	a.s.fail("there is no link %q", words)
}

var (
	tag   = regexp.MustCompile(`<[^>]*>`)
	space = regexp.MustCompile(`\s+`)
)

// plainText is what a page says, without its markup.
func plainText(b []byte) string {
	return strings.TrimSpace(space.ReplaceAllString(html.UnescapeString(tag.ReplaceAllString(string(b), " ")), " "))
}

// shows tells whether a word stands in an answer, in whatever form; one of less than
// six letters in its own, for in others any file holds it by chance.
func (r reply) shows(word string) bool {
	in := func(text string) bool { return strings.Contains(strings.ToLower(text), strings.ToLower(word)) }
	return in(r.text()) || in(string(r.body)) || len(word) >= 6 && canary.New(word).In(r.body) != ""
}

func (r reply) text() string {
	if strings.HasPrefix(r.header.Get("Content-Type"), "text/html") {
		return plainText(r.body)
	}
	return string(r.body)
}
