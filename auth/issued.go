package auth

import (
	"slices"
	"strings"

	"firebreak/auth/internal/issued"
)

// Issued is the identity behind a token that auth/smart issued and has just
// found to be in force.
func Issued(t issued.Token) Identity {
	scopes := slices.Compact(slices.Sorted(strings.FieldsSeq(t.Scope)))
	return Identity{
		issuer: t.Issuer, subject: t.Subject, client: t.Client, scopes: scopes, granted: ParseScopes(t.Scope),
		name: t.Name, patient: t.Patient, worksite: t.Worksite, actingFor: t.For, grant: t.Grant, expires: t.Expires,
	}.limited()
}
