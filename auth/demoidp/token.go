package demoidp

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strings"

	"firebreak/auth"
)

// acr names how people are vouched for here: a password that everyone can read.
const acr = "urn:firebreak:demo:password"

// answer is a successful token response (RFC 6749 section 5.1).
type answer struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"`
	Scope       string `json:"scope"`
	IDToken     string `json:"id_token,omitempty"`
}

// refusal is an error response (RFC 6749 section 5.2).
type refusal struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
	status      int
}

func refuse(code, why string) *refusal {
	return &refusal{Error: code, Description: why, status: http.StatusBadRequest}
}

func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	open(w)
	a, no := p.issue(r)
	if no != nil {
		if no.status == http.StatusUnauthorized && r.Header.Get("Authorization") != "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="token"`)
		}
		writeJSON(w, no.status, no)
		return
	}
	writeJSON(w, http.StatusOK, a)
}

func (p *Provider) issue(r *http.Request) (answer, *refusal) {
	if err := r.ParseForm(); err != nil || r.URL.RawQuery != "" {
		return answer{}, refuse("invalid_request", "parameters belong in the form")
	}
	for _, values := range r.PostForm {
		if len(values) != 1 {
			return answer{}, refuse("invalid_request", "a parameter is there twice")
		}
	}
	client, no := p.authenticate(r)
	if no != nil {
		return answer{}, no
	}
	how := r.PostForm.Get("grant_type")
	switch {
	case how != codeGrant && how != clientGrant:
		return answer{}, refuse("unsupported_grant_type", "")
	case !slices.Contains(client.Grants, how):
		return answer{}, refuse("unauthorized_client", "")
	case how == codeGrant:
		return p.redeem(r, client)
	}
	return p.forClient(r, client)
}

// redeem changes a code into tokens. A code is gone when its client shows it,
// whatever comes of it: of several who show it at once, one at most succeeds.
//
// Source: RFC 6749 section 4.1.3, RFC 7636 section 4.6.
func (p *Provider) redeem(r *http.Request, client Client) (answer, *refusal) {
	code := r.PostForm.Get("code")
	if g, ok := p.codes.get(code, p.now()); !ok || g.client != client.ID {
		return answer{}, refuse("invalid_grant", "")
	}
	g, ok := p.codes.take(code, p.now())
	if !ok || g.redirect != r.PostForm.Get("redirect_uri") || !provesChallenge(r.PostForm.Get("code_verifier"), g.challenge) {
		return answer{}, refuse("invalid_grant", "")
	}
	now := p.now()
	claims := map[string]any{"sub": g.person.Username, "auth_time": g.at.Unix(), "acr": acr}
	words := strings.Fields(g.scope)
	if slices.Contains(words, "profile") {
		claims["name"] = g.person.Name
	}
	if g.person.WorksiteID != "" {
		claims["worksite"] = g.person.WorksiteID
	}
	a, no := p.access(client, g.scope, claims)
	if no != nil || !slices.Contains(words, "openid") {
		return a, no
	}
	id := map[string]any{
		"iss": p.issuer, "sub": g.person.Username, "aud": client.ID, "azp": client.ID,
		"iat": now.Unix(), "exp": now.Add(idTokenLife).Unix(), "auth_time": g.at.Unix(),
		"acr": acr, "amr": []string{"pwd"}, "at_hash": halfHash(a.AccessToken),
	}
	if g.nonce != "" {
		id["nonce"] = g.nonce
	}
	if slices.Contains(words, "profile") {
		id["name"], id["preferred_username"] = g.person.Name, g.person.Username
	}
	var err error
	if a.IDToken, err = p.sign("JWT", id); err != nil {
		return answer{}, &refusal{Error: "server_error", status: http.StatusInternalServerError}
	}
	return a, nil
}

func provesChallenge(verifier, challenge string) bool {
	if len(verifier) < 43 || len(verifier) > 128 || strings.Trim(verifier, base64url+".~") != "" {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return matches(challenge, base64.RawURLEncoding.EncodeToString(sum[:]))
}

// forClient issues a token to the client itself; the scope left out means all.
func (p *Provider) forClient(r *http.Request, client Client) (answer, *refusal) {
	if client.public() {
		return answer{}, refuse("unauthorized_client", "")
	}
	scope := client.Scope
	if asked := r.PostForm.Get("scope"); asked != "" {
		scope = auth.Grant(asked, client.Scope)
	}
	if scope == "" {
		return answer{}, refuse("invalid_scope", "")
	}
	return p.access(client, scope, map[string]any{"sub": client.ID})
}

// access is a signed access token (RFC 9068) for the FHIR API.
func (p *Provider) access(client Client, scope string, claims map[string]any) (answer, *refusal) {
	now := p.now()
	maps.Copy(claims, map[string]any{
		"iss": p.issuer, "aud": p.config.Audience, "client_id": client.ID, "scope": scope, "jti": newSecret(),
		"iat": now.Unix(), "exp": now.Add(tokenLife).Unix(),
	})
	token, err := p.sign("at+jwt", claims)
	if err != nil {
		return answer{}, &refusal{Error: "server_error", status: http.StatusInternalServerError}
	}
	return answer{AccessToken: token, TokenType: "Bearer", ExpiresIn: int(tokenLife.Seconds()), Scope: scope}, nil
}
