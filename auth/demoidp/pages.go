package demoidp

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"net/url"
)

//go:embed page.html
var pageText string

//go:embed style.css
var style []byte

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// page is what page.html shows: a sign-in form when Handle is set, else a
// sentence.
type page struct {
	Handle   string
	App      string // client id, empty for the gateway itself
	Scopes   string
	Username string
	Error    string
	People   []Person
}

func (p *Provider) signInPage(w http.ResponseWriter, status int, handle string, req request, username, wrong string) {
	v := page{Handle: handle, Username: username, Error: wrong, People: p.People()}
	if req.client != Gateway {
		v.App, v.Scopes = req.client, req.scope
	}
	// A form's target is followed through its redirect, which leads to the app.
	target := "'self'"
	if u, err := url.Parse(req.redirect); err == nil {
		target += " " + u.Scheme + "://" + u.Host
	}
	show(w, status, target, v)
}

// problem says one sentence.
func (p *Provider) problem(w http.ResponseWriter, status int, text string) {
	show(w, status, "'none'", page{Error: text})
}

func show(w http.ResponseWriter, status int, formAction string, v page) {
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, v); err != nil {
		http.Error(w, "Something went wrong.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action "+formAction+"; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Frame-Options", "DENY")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the connection is gone if this fails
}

func serveStyle(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	_, _ = w.Write(style)
}
