package smart

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"firebreak/auth"
	"firebreak/auth/internal/issued"
	"firebreak/internal/sqldb"
)

const selectToken = `SELECT (` + selectVersion + `), t.kind, t.scope, t.made, t.expires, t.used, g.id, g.client, g.issuer, g.subject, g.person, g.name, g.worksite, g.acting_for, g.patient
FROM smart_token t JOIN smart_grant g ON g.id = t.grant_id
WHERE t.id = $1 AND t.expires > $2 AND g.ends > $2 AND g.revoked = 0`

// live is a token that is in force.
type live struct {
	grant
	kind, scope   string
	made, expires time.Time
}

// find is the token, and whether it is in force now on whatever node: it is as long
// as it was not revoked, and its client may go on.
func (s *Server) find(ctx context.Context, token string) (t live, ok bool, err error) {
	if token == "" || len(token) > 128 {
		return live{}, false, nil
	}
	var version, made, expires, used int64
	err = s.DB.QueryRow(ctx, selectToken, hashed(token), s.Now().UnixMicro()).Scan(&version, &t.kind, &t.scope, &made, &expires, &used,
		&t.id, &t.client, &t.issuer, &t.subject, &t.person, &t.name, &t.worksite, &t.actingFor, &t.patient)
	if errors.Is(err, sql.ErrNoRows) {
		return live{}, false, nil
	}
	if err != nil {
		return live{}, false, fmt.Errorf("smart: find a token: %w", err)
	}
	clients, err := s.Clients.at(ctx, version)
	if err != nil {
		return live{}, false, err
	}
	e := clients[t.client]
	c := e.client
	if c != nil && e.state != Active {
		s.Clients.count(t.client, true)
	}
	if c == nil || e.state != Active || t.kind == "code" || used != 0 || !t.isSystem() && t.subject == t.client { // the last would pass for the client's own
		return live{}, false, nil
	}
	t.scope = s.narrowed(c, t.scope)
	t.made, t.expires = time.UnixMicro(made), time.UnixMicro(expires)
	return t, true, nil
}

// known are access tokens that were read, by their hash, as long as nothing is
// written to their database.
type known struct {
	mu     sync.Mutex // guards what follows
	writes uint64     // how many there were when the tokens were read
	tokens map[string]live
}

// maxKnown is how many tokens are remembered, some 500 bytes each.
const maxKnown = 4096

// access is the access token, and whether it is in force now on whatever node.
func (s *Server) access(ctx context.Context, token string) (live, bool, error) {
	writes, all := s.DB.Writes()
	id := hashed(token)
	if all {
		s.known.mu.Lock()
		t, ok := s.known.tokens[id]
		ok = ok && s.known.writes == writes
		s.known.mu.Unlock()
		if ok {
			return t, s.Now().Before(t.expires), nil
		}
	}
	t, ok, err := s.find(ctx, token)
	if err != nil || !ok || t.kind != "access" {
		return live{}, false, err
	}
	if all {
		s.known.mu.Lock()
		defer s.known.mu.Unlock()
		if s.known.tokens == nil || s.known.writes != writes || len(s.known.tokens) >= maxKnown {
			s.known.writes, s.known.tokens = writes, map[string]live{}
		}
		s.known.tokens[id] = t
	}
	return t, true, nil
}

// Tokens are what proves bearer tokens: ours, and those of another.
type Tokens struct {
	Own   *Server
	Other interface {
		Verify(ctx context.Context, token string) (auth.Identity, error)
	}
}

// Verify is the identity that a token proves now. A client that may not go on proves
// nothing with a token of the other either.
func (t Tokens) Verify(ctx context.Context, token string) (auth.Identity, error) {
	if strings.HasPrefix(token, accessPrefix) {
		return t.Own.Verify(ctx, token)
	}
	id, err := t.Other.Verify(ctx, token)
	if err != nil {
		return auth.Identity{}, err
	}
	active, err := t.Own.Clients.Active(ctx, id.Client())
	if err != nil {
		return auth.Identity{}, fmt.Errorf("%w: %w", auth.ErrUnavailable, err)
	}
	if !active {
		t.Own.Clients.count(id.Client(), true)
		return auth.Identity{}, fmt.Errorf("%w: its client may not go on", auth.ErrToken)
	}
	return id, nil
}

// Verify is the identity that an access token of ours proves now: what was
// revoked is revoked everywhere, from then on.
func (s *Server) Verify(ctx context.Context, token string) (auth.Identity, error) {
	t, ok, err := s.access(ctx, token)
	if err != nil {
		return auth.Identity{}, fmt.Errorf("%w: %w", auth.ErrUnavailable, err)
	}
	if !ok {
		return auth.Identity{}, fmt.Errorf("%w: not one of ours that is in force", auth.ErrToken)
	}
	return auth.Issued(issued.Token{
		Issuer: t.issuer, Subject: t.subject, Name: t.name, Client: t.client, Scope: t.scope,
		Patient: t.patient, Worksite: t.worksite, For: t.actingFor, Grant: t.id, Expires: t.expires,
	}), nil
}

// Introspect tells a confidential client, or the bearer of an access token,
// about a token of the same client. Any other is not active.
//
// Source: RFC 7662; SMART App Launch 2.2.0, "Token Introspection".
func (s *Server) Introspect(w http.ResponseWriter, r *http.Request) error {
	why := readForm(r)
	if why != nil {
		return why.write(w, r)
	}
	asker := ""
	if scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
		t, ok, err := s.find(r.Context(), strings.TrimSpace(token))
		if err != nil {
			return err
		}
		if ok && t.kind == "access" {
			asker = t.client
		}
	} else {
		c, refused, err := s.authenticate(r)
		if err != nil {
			return err
		}
		if refused != nil {
			return refused.write(w, r)
		}
		if !c.public() {
			asker = c.ID
		}
	}
	if asker == "" {
		return badClient.write(w, r)
	}
	t, ok, err := s.find(r.Context(), r.PostForm.Get("token"))
	if err != nil {
		return err
	}
	if !ok || t.client != asker {
		return tell(w, map[string]any{"active": false})
	}
	answer := map[string]any{
		"active": true, "scope": t.scope, "client_id": t.client, "iss": s.Base, "aud": s.Base + "/fhir",
		"iat": t.made.Unix(), "exp": t.expires.Unix(), "sub": t.client,
	}
	if t.kind == "access" {
		answer["token_type"] = "Bearer"
	}
	if !t.isSystem() {
		answer["sub"] = subject(t.grant)
		if has(t.scope, "fhirUser") {
			answer["fhirUser"] = s.fhirUser(t.grant)
		}
	}
	if t.patient != "" {
		answer["patient"] = t.patient
	}
	return tell(w, answer)
}

// Revoke ends the family of a token of the client's. It says the same of a
// token that never was.
//
// Source: RFC 7009.
func (s *Server) Revoke(w http.ResponseWriter, r *http.Request) error {
	why := readForm(r)
	if why != nil {
		return why.write(w, r)
	}
	c, why, err := s.authenticate(r)
	if err != nil {
		return err
	}
	if why == nil && !r.PostForm.Has("token") {
		why = refuse("invalid_request", "token is missing")
	}
	if why != nil {
		return why.write(w, r)
	}
	const revoke = `UPDATE smart_grant SET revoked = $3 WHERE revoked = 0 AND client = $2
AND id IN (SELECT grant_id FROM smart_token WHERE id = $1 AND kind <> 'code')`
	err = s.DB.Write(r.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(r.Context(), revoke, hashed(r.PostForm.Get("token")), c.ID, s.Now().UnixMicro())
		return err
	})
	if err != nil {
		return fmt.Errorf("smart: revoke: %w", err)
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	return nil
}

// Granted is what a person let an app do, for the page that lists it.
type Granted struct {
	ID      string
	App     string
	Scopes  []string
	Offline bool
	Started time.Time
	Ends    time.Time
}

// Grants are those of the person that are in force, the newest first.
func (s *Server) Grants(ctx context.Context, id auth.Identity) (all []Granted, err error) {
	const list = `SELECT id, client, scope, offline, started, ends FROM smart_grant
WHERE issuer = $1 AND subject = $2 AND revoked = 0 AND ends > $3 AND session <> '' ORDER BY started DESC, id`
	clients, err := s.Clients.all(ctx)
	if err != nil {
		return nil, err
	}
	err = s.DB.Each(ctx, func(scan func(...any) error) error {
		var g Granted
		var client, scope string
		var offline, started, ends int64
		if err := scan(&g.ID, &client, &scope, &offline, &started, &ends); err != nil {
			return err
		}
		g.App = client
		if c := clients[client].client; c != nil {
			g.App = c.Name
		}
		g.Scopes, g.Offline, g.Started, g.Ends = strings.Fields(scope), offline == 1, time.UnixMicro(started), time.UnixMicro(ends)
		all = append(all, g)
		return nil
	}, list, id.Issuer(), id.Subject(), s.Now().UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("smart: list grants: %w", err)
	}
	return all, nil
}

// End takes back what the person granted, from the next use on.
func (s *Server) End(ctx context.Context, id auth.Identity, grant string) error {
	return s.end(ctx, `UPDATE smart_grant SET revoked = $4 WHERE id = $1 AND issuer = $2 AND subject = $3 AND revoked = 0`,
		grant, id.Issuer(), id.Subject(), s.Now().UnixMicro())
}

// SignedOut ends what was granted for as long as the session lasts.
func (s *Server) SignedOut(ctx context.Context, session string) error {
	return s.end(ctx, `UPDATE smart_grant SET revoked = $2 WHERE session = $1 AND session <> '' AND offline = 0 AND revoked = 0`,
		session, s.Now().UnixMicro())
}

func (s *Server) end(ctx context.Context, text string, args ...any) error {
	err := s.DB.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, text, args...)
		return err
	})
	if err != nil {
		return fmt.Errorf("smart: revoke: %w", err)
	}
	return nil
}
