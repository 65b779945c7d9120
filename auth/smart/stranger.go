package smart

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	"firebreak/auth"
)

// Bounds of what a stranger says of itself.
const (
	maxRedirects = 8
	maxContacts  = 4
	maxAddress   = 512  // bytes of an address or contact
	maxName      = 60   // characters
	maxScope     = 2048 // bytes
)

// check refuses what a client that registers itself may not say, beyond what is
// refused of one in the configuration, and fills what it left out.
//
// Source: RFC 7591 section 2; RFC 8252; RFC 9700 section 4.1.
func (m *metadata) check(base string) *refusal {
	bad := func(text string) *refusal { return refuse("invalid_client_metadata", text) }
	if !plainName(m.Name) {
		return bad("client_name must be 1 to 60 letters, digits, spaces and plain signs of one script")
	}
	if alike(m.Name, "Firebreak") {
		return bad("client_name is the gateway's own")
	}
	if m.Method == "" {
		m.Method = "client_secret_basic" // RFC 7591 section 2
	}
	signs := m.Method == "private_key_jwt"
	switch {
	case !slices.Contains([]string{"none", "client_secret_basic", "client_secret_post", "private_key_jwt"}, m.Method):
		return bad("token_endpoint_auth_method is none, client_secret_basic, client_secret_post or private_key_jwt")
	case signs != (m.Keys != nil || m.KeysURL != ""):
		return bad("jwks or jwks_uri goes with private_key_jwt, and with nothing else")
	case m.KeysURL != "" && !outsideAddress(m.KeysURL):
		return bad("jwks_uri must be https, at a public name")
	case len(m.Scope) > maxScope:
		return bad("scope is too long")
	case len(m.Contacts) > maxContacts || slices.ContainsFunc(m.Contacts, func(s string) bool { return len(s) > maxAddress || !plainText(s) }):
		return bad("contacts are at most four, of plain text")
	}
	m.Scope = registeredScopes(m.Scope)
	system, people := false, false
	for _, sc := range auth.ParseScopes(m.Scope) {
		system, people = system || sc.Context == auth.System, people || sc.Context != auth.System
	}
	if !system && !people {
		return bad("scope must say what the client may be given at most")
	}
	if len(m.Redirects) > maxRedirects || people && len(m.Redirects) == 0 || !people && len(m.Redirects) > 0 {
		return refuse("invalid_redirect_uri", "an app for people has one to eight redirect_uris, a backend service none")
	}
	for _, to := range m.Redirects {
		if !m.mayGoTo(to, base) {
			return refuse("invalid_redirect_uri", "redirect_uris are https, or of a native app without a secret: http on its machine, or a scheme of its own with a dot; not the gateway's own, and without code, state, iss or error in the query")
		}
	}
	var grants []string
	if people {
		grants = append(grants, "authorization_code", "refresh_token")
	}
	if system {
		grants = append(grants, "client_credentials")
	}
	for _, g := range m.Grants {
		if !slices.Contains(grants, g) {
			return bad("grant_types are authorization_code and refresh_token of an app for people, client_credentials of a backend service, as its scope says")
		}
	}
	if slices.ContainsFunc(m.Responses, func(s string) bool { return s != "code" }) {
		return bad("response_types is code")
	}
	m.Grants, m.Responses = grants, []string{}
	if people {
		m.Responses = []string{"code"}
	}
	if m.IDTokens == "" {
		m.IDTokens = es384
	}
	return nil
}

// mayGoTo tells whether the client's answers may go to an address. Only an app
// without a secret lives on a person's machine.
func (m *metadata) mayGoTo(to, base string) bool {
	u, err := url.Parse(to)
	if err != nil || len(to) > maxAddress || checkRedirect(to) != nil || strings.ContainsAny(to, `\;,'"<>`) {
		return false
	}
	for _, ours := range []string{"code", "state", "iss", "error"} {
		if u.Query().Has(ours) {
			return false
		}
	}
	if own, err := url.Parse(base); err != nil || strings.EqualFold(u.Host, own.Host) {
		return false
	}
	return u.Scheme == "https" || m.Method == "none"
}

// outsideAddress tells whether keys may be fetched at an address that a stranger
// names: https, by a name that others give out. Where that name leads is looked at
// when it is dialled.
func outsideAddress(s string) bool {
	u, err := url.Parse(s)
	if err != nil || len(s) > maxAddress || u.Scheme != "https" || u.User != nil || u.Fragment != "" {
		return false
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if _, err := netip.ParseAddr(host); err == nil || !strings.Contains(host, ".") || !strings.ContainsFunc(host[strings.LastIndexByte(host, '.')+1:], unicode.IsLetter) {
		return false // 127.1 and 0x7f.1 are addresses to some
	}
	for _, inside := range []string{".localhost", ".local", ".internal", ".home.arpa", ".lan", ".intranet", ".corp"} {
		if strings.HasSuffix(host, inside) {
			return false
		}
	}
	return true
}

var errInside = errors.New("smart: the name leads to an address that is not public")

// outsideClient fetches from public addresses alone: whatever a name leads to, it is
// looked at when it is dialled, so that no name can lead to our own machines.
func outsideClient() *http.Client {
	dialer := &net.Dialer{Timeout: 2 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil || !publicAddress(to.Addr()) {
			return errInside
		}
		return nil
	}}
	return &http.Client{
		Timeout:       4 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{ // no proxy: it would dial for us
			DialContext: dialer.DialContext, TLSHandshakeTimeout: 2 * time.Second, ResponseHeaderTimeout: 2 * time.Second,
			MaxResponseHeaderBytes: 16 << 10, DisableKeepAlives: true, ForceAttemptHTTP2: true,
		},
	}
}

// notPublic are addresses besides those that netip tells that lead nowhere outside,
// or carry another address in them.
//
// Source: IANA IPv4 and IPv6 Special-Purpose Address Registries.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("192.88.99.0/24"), netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("fec0::/10"),
}

func publicAddress(a netip.Addr) bool {
	a = a.WithZone("").Unmap()
	return a.IsGlobalUnicast() && !a.IsPrivate() && !slices.ContainsFunc(notPublic, func(p netip.Prefix) bool { return p.Contains(a) })
}

// plainText is text that shows all that is in it.
func plainText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// plainName tells whether people can tell a name from another by looking: letters of
// one script without marks on top, digits, spaces, some signs.
func plainName(s string) bool {
	if !plainText(s) || utf8.RuneCountInString(s) > maxName || strings.TrimSpace(s) != s || fold(s) == "" {
		return false
	}
	script := (*unicode.RangeTable)(nil)
	for _, r := range s {
		if !unicode.IsLetter(r) {
			if r < '0' && !strings.ContainsRune(" !#&'()+,-./", r) || r > '9' && !strings.ContainsRune(":_", r) {
				return false
			}
			continue
		}
		if script == nil {
			for _, table := range unicode.Scripts {
				if unicode.Is(table, r) {
					script = table
				}
			}
		}
		if script == nil || !unicode.Is(script, r) {
			return false
		}
	}
	return true
}

// alike tells whether two names look the same, or nearly.
func alike(a, b string) bool { return fold(a) == fold(b) }

// lookalikes are letters of other scripts, and digits, that are drawn as a Latin one.
var lookalikes = strings.NewReplacer("0", "o", "1", "l", "i", "l", "5", "s", "rn", "m", "vv", "w",
	"а", "a", "в", "b", "с", "c", "е", "e", "н", "h", "і", "l", "ј", "j", "к", "k", "м", "m", "о", "o", "р", "p", "ѕ", "s", "т", "t", "у", "y", "х", "x",
	"α", "a", "ε", "e", "ι", "l", "κ", "k", "ν", "v", "ο", "o", "ρ", "p", "τ", "t", "υ", "u", "χ", "x")

// fold is what is left of a name when what one overlooks is taken away.
func fold(s string) string {
	return lookalikes.Replace(strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, s))
}
