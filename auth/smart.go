package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
)

// SMART is the document at [base]/.well-known/smart-configuration.
//
// Source: SMART App Launch 2.2.0, "Conformance", metadata.
type SMART struct {
	Issuer                string   `json:"issuer"`
	KeysEndpoint          string   `json:"jwks_uri"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	TokenAuthMethods      []string `json:"token_endpoint_auth_methods_supported,omitempty"`
	TokenAuthAlgorithms   []string `json:"token_endpoint_auth_signing_alg_values_supported,omitempty"`
	IntrospectionEndpoint string   `json:"introspection_endpoint,omitempty"`
	RevocationEndpoint    string   `json:"revocation_endpoint,omitempty"`
	RegistrationEndpoint  string   `json:"registration_endpoint,omitempty"`
	GrantTypes            []string `json:"grant_types_supported"`
	ResponseTypes         []string `json:"response_types_supported"`
	Scopes                []string `json:"scopes_supported"`
	ChallengeMethods      []string `json:"code_challenge_methods_supported"`
	Capabilities          []string `json:"capabilities"`
}

// SMARTConfiguration is the document for a FHIR API that takes this provider's
// tokens. It claims only what discovery shows the provider to do and the
// gateway to enforce; clinical scopes are the gateway's, so they are listed
// even where discovery is silent about them.
func (p *Provider) SMARTConfiguration(ctx context.Context) ([]byte, error) {
	m, err := p.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(smart(m))
	if err != nil {
		return nil, fmt.Errorf("auth: smart-configuration: %w", err)
	}
	return body, nil
}

func smart(m Metadata) SMART {
	doc := SMART{
		Issuer: m.Issuer, KeysEndpoint: m.KeysEndpoint,
		AuthorizationEndpoint: m.AuthorizationEndpoint, TokenEndpoint: m.TokenEndpoint,
		TokenAuthMethods: m.TokenAuthMethods, TokenAuthAlgorithms: m.TokenAuthAlgorithms,
		IntrospectionEndpoint: m.IntrospectionEndpoint, RevocationEndpoint: m.RevocationEndpoint, RegistrationEndpoint: m.RegistrationEndpoint,
		GrantTypes: m.GrantTypes, ResponseTypes: []string{"code"}, ChallengeMethods: []string{"S256"},
		Capabilities: []string{"permission-v1", "permission-v2", "permission-user"},
	}
	if doc.GrantTypes == nil { // the default of RFC 8414
		doc.GrantTypes = []string{"authorization_code"}
	}
	for _, s := range m.Scopes {
		if _, clinical := ParseScope(s); !clinical {
			doc.Scopes = append(doc.Scopes, s)
		}
	}
	doc.Scopes = append(doc.Scopes, "user/*.rs")
	if slices.Contains(m.Scopes, "launch/patient") {
		doc.Scopes = append(doc.Scopes, "patient/*.rs")
	}
	if slices.Contains(doc.GrantTypes, "client_credentials") {
		doc.Scopes = append(doc.Scopes, "system/*.cruds")
	}
	has := func(list []string, one string, capability ...string) {
		if slices.Contains(list, one) {
			doc.Capabilities = append(doc.Capabilities, capability...)
		}
	}
	has(doc.GrantTypes, "authorization_code", "launch-standalone")
	has(m.TokenAuthMethods, "none", "client-public")
	has(m.TokenAuthMethods, "client_secret_basic", "client-confidential-symmetric")
	has(m.TokenAuthMethods, "private_key_jwt", "client-confidential-asymmetric")
	has(m.Claims, "fhirUser", "sso-openid-connect")
	has(m.Scopes, "launch", "launch-ehr", "context-ehr-patient")
	has(m.Scopes, "launch/patient", "context-standalone-patient", "permission-patient")
	has(m.Scopes, "offline_access", "permission-offline")
	return doc
}
