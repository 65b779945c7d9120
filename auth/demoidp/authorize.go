package demoidp

import (
	"crypto/sha256"
	"crypto/subtle"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"firebreak/auth"
)

// request is an authorization request that was found in order, waiting for its
// person to sign in.
type request struct {
	client    string
	redirect  string
	scope     string // granted, if the person signs in
	state     string
	nonce     string
	challenge string
}

// grant is what a code stands for.
type grant struct {
	request
	person Person
	at     time.Time
}

// maxParameter bounds each value that comes back in an address or a token.
const maxParameter = 2048

// authorize checks an authorization request and shows the sign-in page. What is
// wrong with client or redirect address is said on a page; the rest is the
// app's to know and goes back to it.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	if r.ParseForm() != nil {
		p.problem(w, http.StatusBadRequest, "The request could not be read.")
		return
	}
	q := r.Form
	for _, values := range q {
		if len(values) != 1 || len(values[0]) > maxParameter {
			p.problem(w, http.StatusBadRequest, "A parameter is there twice, or too long.")
			return
		}
	}
	client, ok := p.clients[q.Get("client_id")]
	if !ok || !slices.Contains(client.Grants, codeGrant) {
		p.problem(w, http.StatusBadRequest, "No app with this client id may sign people in.")
		return
	}
	if !client.redirectsTo(q.Get("redirect_uri")) {
		p.problem(w, http.StatusBadRequest, "The app asked to return to an address that is not registered for it.")
		return
	}
	req := request{
		client: client.ID, redirect: q.Get("redirect_uri"), state: q.Get("state"), nonce: q.Get("nonce"),
		challenge: q.Get("code_challenge"), scope: auth.Grant(q.Get("scope"), client.Scope),
	}
	if code := p.wrong(q, req); code != "" {
		p.back(w, r, req, url.Values{"error": {code}})
		return
	}
	handle := newSecret()
	if !p.pending.put(handle, req, p.now(), p.now().Add(pageLife)) {
		p.back(w, r, req, url.Values{"error": {"temporarily_unavailable"}})
		return
	}
	p.signInPage(w, http.StatusOK, handle, req, "", "")
}

// wrong is the error code for what is wrong with a request, empty for nothing.
func (p *Provider) wrong(q url.Values, req request) string {
	switch {
	case q.Has("request") || q.Has("request_uri"):
		return "request_not_supported"
	case q.Get("response_type") != "code":
		return "unsupported_response_type"
	case q.Has("response_mode") && q.Get("response_mode") != "query":
		return "invalid_request"
	case q.Get("code_challenge_method") != "S256", len(req.challenge) != 43, strings.Trim(req.challenge, base64url) != "":
		return "invalid_request"
	case !p.isAudience(q, "aud") || !p.isAudience(q, "resource"):
		return "invalid_target"
	case req.scope == "":
		return "invalid_scope"
	case q.Get("prompt") == "none":
		return "login_required"
	}
	return ""
}

const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// isAudience tells whether the app, if it says which API it means, means ours:
// SMART's way to keep a token from an impostor.
func (p *Provider) isAudience(q url.Values, name string) bool {
	return !q.Has(name) || strings.TrimSuffix(q.Get(name), "/") == p.config.Audience
}

// redirectsTo compares exactly; only the port of a loopback address is free,
// for an app listens where it finds room.
//
// Source: RFC 9700 section 2.1, RFC 8252 section 7.3.
func (c Client) redirectsTo(to string) bool {
	if slices.Contains(c.RedirectURIs, to) {
		return true
	}
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "http" || u.Port() == "" || !c.public() || !isLoopback(u.Hostname()) {
		return false
	}
	host := u.Hostname()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	bare, ok := strings.CutPrefix(to, "http://"+host+":"+u.Port())
	return ok && slices.Contains(c.RedirectURIs, "http://"+host+bare)
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// back sends the browser to the app.
func (p *Provider) back(w http.ResponseWriter, r *http.Request, req request, q url.Values) {
	to, err := url.Parse(req.redirect)
	if err != nil {
		p.problem(w, http.StatusBadRequest, "The app's address could not be read.")
		return
	}
	all := to.Query()
	maps.Copy(all, q)
	if req.state != "" {
		all.Set("state", req.state)
	}
	all.Set("iss", p.issuer) // RFC 9207
	to.RawQuery = all.Encode()
	http.Redirect(w, r, to.String(), http.StatusSeeOther)
}

var sameOrigin = http.NewCrossOriginProtection()

// login takes the sign-in page's form.
func (p *Provider) login(w http.ResponseWriter, r *http.Request) {
	if r.ParseForm() != nil {
		p.problem(w, http.StatusBadRequest, "The form could not be read.")
		return
	}
	handle := r.PostForm.Get("handle")
	req, ok := p.pending.get(handle, p.now())
	if !ok {
		p.problem(w, http.StatusBadRequest, "This sign-in page has been used, or is too old. Go back to the app and begin again.")
		return
	}
	if cross := sameOrigin.Check(r); cross != nil {
		p.problem(w, http.StatusForbidden, "That request came from another site.")
		return
	}
	username := strings.TrimSpace(r.PostForm.Get("username"))
	if !p.throttle.allow(username) {
		p.signInPage(w, http.StatusTooManyRequests, handle, req, username, "Too many tries for this account. Wait a minute and try again.")
		return
	}
	person, ok := p.people[username]
	if !matches(person.Password, r.PostForm.Get("password")) || !ok {
		p.signInPage(w, http.StatusUnauthorized, handle, req, username, "Username and password do not match.")
		return
	}
	p.throttle.forgive(username)
	if req, ok = p.pending.take(handle, p.now()); !ok {
		p.problem(w, http.StatusBadRequest, "This sign-in page has been used. Go back to the app and begin again.")
		return
	}
	code := newSecret()
	if !p.codes.put(code, grant{req, person, p.now()}, p.now(), p.now().Add(codeLife)) {
		p.back(w, r, req, url.Values{"error": {"temporarily_unavailable"}})
		return
	}
	p.back(w, r, req, url.Values{"code": {code}})
}

// matches compares in a time that does not depend on either.
func matches(want, got string) bool {
	a, b := sha256.Sum256([]byte(want)), sha256.Sum256([]byte(got))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && want != ""
}

// endSession returns people whom the gateway signed out. There is no session
// here to end: this provider asks for the password every time.
//
// The way back is taken only to an address registered for the client that the
// ID token, signed by us, was made for.
func (p *Provider) endSession(w http.ResponseWriter, r *http.Request) {
	if r.ParseForm() != nil {
		p.problem(w, http.StatusBadRequest, "The request could not be read.")
		return
	}
	claims, err := p.ours(r.Form.Get("id_token_hint"))
	to := r.Form.Get("post_logout_redirect_uri")
	if err != nil || to == "" {
		p.problem(w, http.StatusOK, "You are signed out.")
		return
	}
	audience, _ := claims["aud"].(string)
	client := p.clients[audience]
	if id := r.Form.Get("client_id"); id != "" && id != client.ID || !slices.Contains(client.SignedOut, to) {
		p.problem(w, http.StatusBadRequest, "You are signed out. The app asked to return to an address that is not registered for it.")
		return
	}
	u, err := url.Parse(to)
	if err != nil {
		p.problem(w, http.StatusBadRequest, "You are signed out.")
		return
	}
	if state := r.Form.Get("state"); state != "" {
		q := u.Query()
		q.Set("state", state)
		u.RawQuery = q.Encode()
	}
	http.Redirect(w, r, u.String(), http.StatusSeeOther)
}
