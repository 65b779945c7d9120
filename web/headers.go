package web

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
)

// pagePolicy lets a page load its own style, script and pictures, and nothing
// else: no inline code, no other origin, no plug-in, no frame around it.
// data: is for the one-line icon that spares a request.
const pagePolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; frame-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"

// filePolicy is for a document shown inside one of our pages: sandboxed, it may
// load nothing, run nothing and be framed by us alone. Chromium's PDF viewer
// works under it; it shows nothing in a frame with the sandbox attribute.
const filePolicy = "default-src 'none'; sandbox; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"

// apiPolicy is for answers that are data: nothing in them is ever a page.
const apiPolicy = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

const permissions = "accelerometer=(), autoplay=(), camera=(), clipboard-read=(), display-capture=(), geolocation=(), gyroscope=(), " +
	"magnetometer=(), microphone=(), midi=(), payment=(), publickey-credentials-get=(self), usb=(), xr-spatial-tracking=()"

// fixed are headers that many answers carry alike. The values are shared: who
// wants another replaces or adds to it, which copies.
type fixed map[string][]string

func (f fixed) set(h http.Header) {
	maps.Copy(h, f)
}

// hardened are the headers every answer carries, whatever it says.
func hardened(policy string, secure bool) fixed {
	f := fixed{
		"Cache-Control":                {"no-store"},
		"Content-Security-Policy":      {policy},
		"Cross-Origin-Opener-Policy":   {"same-origin"},
		"Cross-Origin-Resource-Policy": {"same-origin"},
		"Permissions-Policy":           {permissions},
		"Referrer-Policy":              {"no-referrer"},
		"X-Content-Type-Options":       {"nosniff"},
		"X-Frame-Options":              {"DENY"},
	}
	if secure {
		f["Strict-Transport-Security"] = []string{"max-age=31536000; includeSubDomains"}
	}
	return f
}

// openData is for answers that any site's script may read, with a token.
var openData = fixed{
	"Content-Security-Policy":       {apiPolicy},
	"Access-Control-Allow-Origin":   {"*"},
	"Access-Control-Expose-Headers": {"ETag, Last-Modified, Location, Content-Location, Retry-After, Expires, X-Progress, X-Request-Id"},
	"Cross-Origin-Resource-Policy":  {"cross-origin"},
}

// FormTo lets the forms of one page lead on to an address, by way of ours: an
// app's. Where a browser holds the whole way of a form against the policy, the
// answer to a form may else go nowhere.
func FormTo(w http.ResponseWriter, address string) {
	u, err := url.Parse(address)
	if err != nil {
		return
	}
	source := u.Scheme + ":"
	if u.Host != "" {
		source += "//" + u.Host
	}
	if strings.ContainsAny(source, " ;,'\"") {
		return
	}
	w.Header().Set("Content-Security-Policy", w.Header().Get("Content-Security-Policy")+" "+source) // form-action is last
}

// Framed lets one answer be shown in a frame of our own pages: a document in
// the browser's own viewer. Everything else stays forbidden to it.
func Framed(w http.ResponseWriter) {
	w.Header().Set("Content-Security-Policy", filePolicy)
	w.Header().Set("X-Frame-Options", "SAMEORIGIN")
}

// Immutable marks an answer that is the same for everyone for ever: a style or
// script whose address holds its hash. Nothing of a patient may be marked so.
func Immutable(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
}
