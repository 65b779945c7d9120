// Package access says who may act where, in which role, on whose behalf.
// It is pure: memberships come from the registry, identities from auth.
package access

import (
	"time"

	"firebreak/auth"
)

// Audience is the policy file's name for a kind of viewer.
type Audience string

const (
	Provider Audience = "provider"      // community provider, by page or by app
	Backend  Audience = "backend"       // system client (client_credentials)
	Source   Audience = "source-system" // what a source sent itself
	Auditor  Audience = "auditor"       // system client that reads the audit log; no policy knows it, so it sees no chart

	// oversight is a privacy officer's: no policy knows it, so it sees no chart.
	oversight Audience = "privacy-officer"
	operation Audience = "operator" // as oversight
)

// Role is what a person does at a worksite.
type Role string

const (
	Physician      Role = "physician"
	NursePract     Role = "nurse-practitioner"
	Nurse          Role = "nurse"
	LPN            Role = "lpn"
	RPN            Role = "rpn"
	Resident       Role = "resident"
	Pharmacist     Role = "pharmacist"
	SocialWorker   Role = "social-worker"
	Assistant      Role = "assistant" // only on behalf of a practitioner (CC-23..25)
	PrivacyOfficer Role = "privacy-officer"
	SystemOperator Role = "operator"
)

// Roles are all roles there are; the registry refuses others.
func Roles() []Role {
	return []Role{Physician, NursePract, Nurse, LPN, RPN, Resident, Pharmacist, SocialWorker, Assistant, PrivacyOfficer, SystemOperator}
}

// Clinical tells whether the role may read records for direct care.
func (r Role) Clinical() bool {
	switch r {
	case Physician, NursePract, Nurse, LPN, RPN, Resident, Pharmacist, SocialWorker, Assistant:
		return true
	}
	return false
}

// Authorizes tells whether the role may let an assistant act on its behalf
// (CC-23). An assistant cannot pass on what is itself borrowed.
func (r Role) Authorizes() bool { return r.Clinical() && r != Assistant }

// Worksite is a place that access is used from (CC-16, CC-17).
type Worksite struct {
	ID     string
	Name   string
	Active bool // approved, with a declaration signed (CC-11)
}

// Login is the account that a person or a client proves itself with.
type Login struct{ Issuer, Subject string }

// Membership is one person's place in one worksite, as the registry holds it.
type Membership struct {
	ID       string // registry id
	Login    Login  // the one account that may use it (CC-18)
	Person   string // registry id of the person
	Name     string
	Role     Role
	Worksite string // Worksite.ID
	Active   bool
	Until    time.Time   // the first moment it no longer holds; zero: no end
	For      *Membership // for an assistant: the practitioner acted for, at the same worksite
}

// Key names the membership together with whom it is used for: what a session
// keeps of the choice made at sign-in.
func (m Membership) Key() string {
	if m.For == nil {
		return m.ID
	}
	return m.ID + "~" + m.For.ID
}

// Client is a registered backend or app.
type Client struct {
	ID       string
	Issuer   string // the issuer whose tokens name it
	Name     string
	Active   bool
	Audience Audience // Backend or Source; empty is Backend
	Source   string   // inbox source its pushes are stored under; empty: may not push
	Scopes   []string // the most it may be given
}

// Caller is who a request is made by, admitted. The zero Caller sees nothing.
// Only Admit and AdmitClient make one.
type Caller struct {
	audience Audience
	identity auth.Identity
	person   string
	name     string
	role     Role
	worksite Worksite
	onBehalf *Membership
	client   Client
	limit    auth.Scopes // what the registry lets the client have, at most
	purpose  string
	admitted time.Time
}

func (c Caller) IsZero() bool            { return c.audience == "" }
func (c Caller) Audience() Audience      { return c.audience }
func (c Caller) Identity() auth.Identity { return c.identity }
func (c Caller) Person() string          { return c.person }
func (c Caller) Name() string            { return c.name }
func (c Caller) Role() Role              { return c.role }
func (c Caller) Worksite() Worksite      { return c.worksite }
func (c Caller) Client() Client          { return c.client }

// Admitted is when the caller was admitted; a caller lives for one request.
func (c Caller) Admitted() time.Time { return c.admitted }

// Purpose is the purpose of use, auth.Treatment: direct care only.
func (c Caller) Purpose() string { return c.purpose }

// OnBehalfOf is the practitioner acted for, if any. The caller may see what
// both may see; an audit entry names both (CC-24).
func (c Caller) OnBehalfOf() (Membership, bool) {
	if c.onBehalf == nil {
		return Membership{}, false
	}
	return *c.onBehalf, true
}

// May tells how far the caller's token reaches for in on resources of typ. The zero
// Caller reaches nothing, a person never writes (CC-32), and a client never
// exceeds what it is registered for. A Subscription is no part of a record: an app may
// have itself told of what its person sees, where the person let it by a scope that
// names the type.
func (c Caller) May(in auth.Interaction, typ string) auth.Reach {
	if c.IsZero() {
		return auth.Nothing
	}
	if c.audience == Auditor && (typ != "AuditEvent" || in != auth.Read && in != auth.Search) {
		return auth.Nothing
	}
	if c.identity.IsClient() {
		if !c.limit.Allows(auth.System, typ, in) {
			return auth.Nothing
		}
	} else if in != auth.Read && in != auth.Search && !(typ == "Subscription" && c.identity.Names(typ)) {
		return auth.Nothing
	}
	return c.identity.May(in, typ)
}

// Wholly tells whether in is allowed on every resource of typ that the caller may see,
// and on what is in no chart.
func (c Caller) Wholly(in auth.Interaction, typ string) bool {
	if c.May(in, typ) == auth.Nothing {
		return false
	}
	l := c.identity.Limits()
	if l == nil {
		return true
	}
	all, _ := l.Of(in, typ, true)
	return all
}
