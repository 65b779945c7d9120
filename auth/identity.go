// Package auth proves who is asking: OIDC sign-in, bearer tokens, sessions.
// It knows nothing of what they may see.
package auth

import "time"

// Identity is a proven identity. Only a Verifier or a sign-in makes one that
// is not zero; the zero Identity is nobody.
type Identity struct {
	issuer   string
	subject  string
	client   string   // client id of the app or backend; empty for the gateway's own pages
	scopes   []string // SMART scopes of a token, sorted; empty for the gateway's own pages
	name     string   // display name from the provider, for the page only
	patient  string   // SMART launch context "patient", empty when none
	worksite string   // worksite chosen when the token was issued, empty when none
	expires  time.Time
}

func (id Identity) Issuer() string     { return id.issuer }
func (id Identity) Subject() string    { return id.subject }
func (id Identity) Client() string     { return id.client }
func (id Identity) Scopes() []string   { return id.scopes }
func (id Identity) Name() string       { return id.name }
func (id Identity) Patient() string    { return id.patient }
func (id Identity) Worksite() string   { return id.worksite }
func (id Identity) Expires() time.Time { return id.expires }
func (id Identity) IsZero() bool       { return id.issuer == "" || id.subject == "" && id.client == "" }
