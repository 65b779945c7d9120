// Package auth proves who is asking: OIDC sign-in, bearer tokens, sessions.
// It knows nothing of what they may see.
//
// A Provider is an OpenID provider found by discovery. On it stand a SignIn
// (browser, authorization code with PKCE, then a server-side session) and a
// Verifier (bearer tokens of apps and backends). Both end in an Identity.
package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"
)

// Identity is a proven identity. Only a Verifier or a sign-in makes one that
// is not zero; the zero Identity is nobody.
type Identity struct {
	issuer    string
	subject   string
	client    string   // client id of the app or backend; empty for the gateway's own pages
	scopes    []string // SMART scopes of a token, sorted; empty for the gateway's own pages
	granted   Scopes   // scopes, understood
	limits    *Limits  // what granular ones leave; nil: whatever their types have
	name      string   // display name from the provider, for the page only
	patient   string   // SMART launch context "patient", empty when none
	worksite  string   // worksite chosen when the token was issued, empty when none
	actingFor string   // registry id of whom the person acts for, in tokens of the gateway's own
	purposes  []string // purposes of use that a token states
	grant     string   // id of what a token of the gateway's own came of
	expires   time.Time
}

func (id Identity) Issuer() string   { return id.issuer }
func (id Identity) Subject() string  { return id.subject }
func (id Identity) Client() string   { return id.client }
func (id Identity) Scopes() []string { return id.scopes }

// UserID is the id of the Practitioner that says who a registered person is: what
// fhirUser names. No resource that a source sent has it, for theirs are made otherwise,
// and nobody is found by it.
func UserID(person string) string {
	sum := sha256.Sum256([]byte("fhirUser\x00" + person))
	return "user-" + hex.EncodeToString(sum[:12])
}
func (id Identity) Name() string     { return id.name }
func (id Identity) Patient() string  { return id.patient }
func (id Identity) Worksite() string { return id.worksite }

// ActingFor is whom the person acted for when the token was issued, a registry
// id; empty when nobody was named.
func (id Identity) ActingFor() string { return id.actingFor }

// Purposes are the purposes of use that a token states; none for a token that
// states none, and for the gateway's own pages.
func (id Identity) Purposes() []string { return id.purposes }

func (id Identity) Expires() time.Time { return id.expires }
func (id Identity) IsZero() bool       { return id.issuer == "" || id.subject == "" }

// IsClient tells whether a client got the token for itself, without a person:
// its subject is the client (RFC 9068 section 2.2, client credentials).
func (id Identity) IsClient() bool { return id.client != "" && id.subject == id.client }

// Names tells whether one of the scopes is of that type itself, not of all.
func (id Identity) Names(typ string) bool {
	return slices.ContainsFunc(id.granted, func(s Scope) bool { return s.Type == typ })
}

// Limits are what granular scopes leave of what the token reaches, nil when there
// are none.
func (id Identity) Limits() *Limits { return id.limits }

// Reach is how far a token reaches for one interaction and resource type.
type Reach int

const (
	Nothing     Reach = iota
	OnePatient        // only the compartment of Identity.Patient
	AllPatients       // whatever the policy lets the caller see
)

// May tells how far in is allowed on resources of typ, or on some of them: which
// ones [Limits] tell. It limits what an app or backend may ask for and never widens
// what the policy shows. The
// gateway's own pages carry no token and may read and search.
func (id Identity) May(in Interaction, typ string) Reach {
	switch {
	case id.IsZero():
		return Nothing
	case id.client == "":
		if in == Read || in == Search {
			return AllPatients
		}
	case id.IsClient():
		if id.granted.opens(System, typ, in) {
			return AllPatients
		}
	case id.granted.opens(User, typ, in):
		return AllPatients
	case id.patient != "" && id.granted.opens(Patient, typ, in):
		return OnePatient
	}
	return Nothing
}
