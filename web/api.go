package web

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"firebreak/access"
	"firebreak/auth"
	"firebreak/fhir"
)

// API makes an http.Handler that only a bearer token opens; errors leave as
// OperationOutcome. A session's cookie opens nothing here, so no other site
// can make a browser use the API, and any site may call it with a token.
func (g *Guard) API(h Handler) http.Handler {
	return g.data(func(w http.ResponseWriter, r *http.Request) error { return g.callAPI(w, r, h) })
}

// OpenAPI makes an http.Handler for data that anyone may read: metadata and
// discovery. Errors leave as OperationOutcome.
func (g *Guard) OpenAPI(h Opener) http.Handler {
	return g.data(func(w http.ResponseWriter, r *http.Request) error {
		if !g.api.allow(Address(r)) {
			return tooMany()
		}
		return h(w, r)
	})
}

// data makes an http.Handler whose answers are data, errors too.
func (g *Guard) data(h Opener) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.enter(w, r, g.config.APIBody)
		openData.set(w.Header())
		defer g.catch(w, r, outcome)
		if err := h(w, r); err != nil {
			g.fail(w, r, err, outcome)
		}
	})
}

func (g *Guard) callAPI(w http.ResponseWriter, r *http.Request, h Handler) error {
	token, ok := bearer(r)
	if !ok {
		w.Header().Set("WWW-Authenticate", "Bearer")
		return &fhir.Error{Status: http.StatusUnauthorized, Code: "login", Text: "Send an access token."}
	}
	id, err := g.config.Tokens.Verify(r.Context(), token)
	if errors.Is(err, auth.ErrUnavailable) { // says nothing about the token
		return &fhir.Error{Status: http.StatusServiceUnavailable, Code: "transient", Text: "Access tokens cannot be checked at the moment. Try again.", Err: err}
	}
	if err != nil {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		return g.refuse(r, id, &fhir.Error{Status: http.StatusUnauthorized, Code: "login", Text: "The access token is not valid here, or no longer.", Err: err})
	}
	if !g.api.allow(id.Issuer() + " " + id.Client() + " " + id.Subject()) {
		return tooMany()
	}
	if g.config.Meter != nil {
		if wait := g.config.Meter(id); wait > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
			return tooMany()
		}
	}
	var caller access.Caller
	if err = otherPurpose(r); err == nil {
		caller, err = g.config.Door.Token(r.Context(), id)
	}
	var refusal *access.Refusal
	if errors.As(err, &refusal) {
		return g.refuse(r, id, &fhir.Error{Status: http.StatusForbidden, Code: "forbidden", Text: "The bearer of this token has no access here.", Err: err})
	}
	if err != nil {
		return err
	}
	return h(w, r, caller)
}

// purposeHeader may state a request's purpose of use, as a token may: a code of
// v3-ActReason, with or without its system. Several may be separated by commas.
const purposeHeader = "Purpose-Of-Use"

// otherPurpose is access.ErrPurpose for a request that states one.
func otherPurpose(r *http.Request) error {
	for _, value := range r.Header.Values(purposeHeader) {
		for stated := range strings.SplitSeq(value, ",") {
			if auth.Purpose(stated) != auth.Treatment {
				return access.ErrPurpose
			}
		}
	}
	return nil
}

// bearer reads the Authorization header (RFC 6750 section 2.1). Tokens in a
// form or query are not read: they would stand in logs.
func bearer(r *http.Request) (string, bool) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	return strings.TrimSpace(token), ok && strings.EqualFold(scheme, "Bearer") && strings.TrimSpace(token) != ""
}

func tooMany() *fhir.Error {
	return &fhir.Error{Status: http.StatusTooManyRequests, Code: "throttled", Text: "Too many requests. Wait a little and try again."}
}
