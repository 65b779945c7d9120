// Package issued is how auth/smart tells auth what a token of its own says.
// Being internal to auth, it keeps everybody else from making an identity.
package issued

import "time"

// Token is what an access token that the gateway issued itself stands for.
type Token struct {
	Issuer   string // of Subject: the provider the person signed in at, or the gateway for a client
	Subject  string
	Name     string // of the person
	Client   string // client id
	Scope    string // as granted
	Patient  string // the patient that was chosen, empty when none
	Worksite string // that the person chose
	For      string // registry id of whom the person acts for, empty for oneself
	Grant    string // id of what it came of
	Expires  time.Time
}
