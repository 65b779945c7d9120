package auth

import "strings"

// Standing is what of an identity outlives its token: a client's registration, or
// what a person let an app do. It proves nothing. Whoever keeps one asks auth/smart
// each time whether it holds still, and access who that is today.
type Standing struct {
	Issuer  string `json:"issuer"`
	Subject string `json:"subject"`
	Client  string `json:"client"`
	Scope   string `json:"scope"`             // the token's: the most there will be
	Patient string `json:"patient,omitempty"` // whom the token is for, where it is for one
	Grant   string `json:"grant,omitempty"`   // what a token of the gateway's own came of
}

// Standing is that of id. ok is false when nothing of it goes on: a person's token
// of another issuer ends, and nobody here could take it back before.
func (id Identity) Standing() (s Standing, ok bool) {
	if id.client == "" || id.grant == "" && !id.IsClient() {
		return Standing{}, false
	}
	return Standing{Issuer: id.issuer, Subject: id.subject, Client: id.client, Scope: strings.Join(id.scopes, " "), Patient: id.patient, Grant: id.grant}, true
}
