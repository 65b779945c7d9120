package smart

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"firebreak/auth"
	"firebreak/internal/sqldb"
)

// Registration is whether clients may register themselves, and how many may wait
// for somebody to let them in.
type Registration struct {
	Open bool `json:"open"`
	// Queue is how many may wait at a time, FromAddress how many may come from one
	// address in a day. Default: 50, and 5.
	Queue       int `json:"queue,omitzero"`
	FromAddress int `json:"fromAddress,omitzero"`
}

const (
	usualQueue       = 50
	usualFromAddress = 5
	registerBytes    = 32 << 10            // of a registration
	waitLife         = 30 * 24 * time.Hour // of one that nobody lets in
)

// metadata is what of RFC 7591 a client says of itself. What is not here is not
// kept, as the RFC has it; nothing that it points to is fetched but its keys.
type metadata struct {
	Name      string         `json:"client_name"`
	Redirects []string       `json:"redirect_uris,omitempty"`
	Method    string         `json:"token_endpoint_auth_method,omitzero"`
	Grants    []string       `json:"grant_types,omitempty"`
	Responses []string       `json:"response_types,omitempty"`
	Scope     string         `json:"scope,omitzero"`
	Contacts  []string       `json:"contacts,omitempty"`
	Keys      jsontext.Value `json:"jwks,omitzero"`
	KeysURL   string         `json:"jwks_uri,omitzero"`
	IDTokens  string         `json:"id_token_signed_response_alg,omitzero"`
	Statement jsontext.Value `json:"software_statement,omitzero"`
}

// registration is what is kept of it.
type registration struct {
	Metadata   metadata `json:"metadata"`
	SecretHash string   `json:"secretHash,omitzero"`
}

// readRegistered is a client as it was kept.
func readRegistered(id, kept string) (*client, error) {
	var was registration
	if err := json.Unmarshal([]byte(kept), &was); err != nil {
		return nil, fmt.Errorf("smart: registration: %w", err)
	}
	return was.checked(id)
}

// checked is the client, by the rules for those of the configuration, and by those
// for strangers.
func (n registration) checked(id string) (*client, error) {
	m := n.Metadata
	c, err := Client{ID: id, Name: m.Name, Redirects: m.Redirects, SecretHash: n.SecretHash, Keys: []byte(m.Keys), KeysURL: m.KeysURL, Scopes: m.Scope, IDTokens: m.IDTokens}.checked()
	if err != nil {
		return nil, err
	}
	c.contacts = m.Contacts
	if c.remote != nil {
		c.remote.outside = true
	}
	return c, nil
}

// Register takes a client's registration, which then waits for somebody to let it in.
// note writes down that it came, before anything is kept.
//
// Source: RFC 7591.
func (s *Server) Register(w http.ResponseWriter, r *http.Request, note func(id string) error) error {
	m, why := readMetadata(http.MaxBytesReader(w, r.Body, registerBytes), r.Header.Get("Content-Type"))
	if why == nil {
		why = m.check(s.Base)
	}
	if why != nil {
		return why.write(w, r)
	}
	id, secret, access := "app-"+s.newSecret()[:22], "", s.newSecret()
	kept := registration{Metadata: m}
	if strings.HasPrefix(m.Method, "client_secret") {
		secret = s.newSecret()
		sum := sha256.Sum256([]byte(secret))
		kept.SecretHash = hex.EncodeToString(sum[:])
	}
	if _, err := kept.checked(id); err != nil {
		return refuse("invalid_client_metadata", err.Error()).write(w, r)
	}
	if err := note(id); err != nil {
		return err
	}
	why, err := s.enqueue(r.Context(), id, kept, access, from(r))
	if err != nil {
		return err
	}
	if why != nil {
		if why.status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "3600")
		}
		return why.write(w, r)
	}
	told := m.told(id, s.Base, Pending, s.Now())
	told["registration_access_token"] = access
	if secret != "" {
		told["client_secret"], told["client_secret_expires_at"] = secret, 0
	}
	b, err := json.Marshal(told, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("smart: register: %w", err)
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	return answer(w, http.StatusCreated, b)
}

// from is the address that a request came from.
func from(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// readMetadata reads what a client says of itself. A member that is there twice is
// refused, one that is not known is passed over.
func readMetadata(body io.Reader, kind string) (m metadata, why *refusal) {
	if media, _, err := mime.ParseMediaType(kind); err != nil || media != "application/json" {
		return m, refuse("invalid_client_metadata", "the metadata belongs in a body of application/json")
	}
	b, err := io.ReadAll(body)
	if err != nil {
		return m, &refusal{http.StatusRequestEntityTooLarge, "invalid_client_metadata", "the metadata is too long, or was cut off"}
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, refuse("invalid_client_metadata", "not an object of client metadata, or a member is of the wrong kind or there twice")
	}
	if m.Statement != nil {
		return m, refuse("unapproved_software_statement", "nobody's software statements are believed here")
	}
	return m, nil
}

// enqueue keeps a registration, if there is room for it.
func (s *Server) enqueue(ctx context.Context, id string, n registration, access, address string) (why *refusal, err error) {
	b, err := json.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("smart: register: %w", err)
	}
	queue, fromAddress := s.Registration.Queue, s.Registration.FromAddress
	if queue == 0 {
		queue = usualQueue
	}
	if fromAddress == 0 {
		fromAddress = usualFromAddress
	}
	now := s.Now()
	err = s.DB.Write(ctx, func(tx *sqldb.Tx) error {
		why = nil
		if _, err := tx.Exec(ctx, countVersion); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM smart_client WHERE state IN ('pending', 'refused') AND made <= $1`, now.Add(-waitLife).UnixMicro()); err != nil {
			return err
		}
		var waiting, same int
		if err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM smart_client WHERE state = 'pending'`).Scan(&waiting); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM smart_client WHERE address = $1 AND made > $2`, address, now.Add(-24*time.Hour).UnixMicro()).Scan(&same); err != nil {
			return err
		}
		if waiting >= queue || same >= fromAddress {
			why = &refusal{http.StatusTooManyRequests, "temporarily_unavailable", "too many clients wait to be let in, or came from this address; try again later"}
			return nil
		}
		taken, err := s.Clients.taken(ctx, tx, n.Metadata.Name, id)
		if err != nil {
			return err
		}
		if taken {
			why = refuse("invalid_client_metadata", "client_name is an app's that is here, or looks like it")
			return nil
		}
		return write(ctx, tx, id, decision{state: Pending, registered: string(b), access: hashed(access), address: address, made: now, since: now})
	})
	if err != nil {
		return nil, fmt.Errorf("smart: register: %w", err)
	}
	return why, nil
}

// told is what a client is told of its registration.
//
// Source: RFC 7591 section 3.2.1, RFC 7592 section 3.
func (m metadata) told(id, base string, state State, made time.Time) map[string]any {
	all := map[string]any{
		"client_id": id, "client_id_issued_at": made.Unix(), "registration_client_uri": base + RegisterPath + "/" + id,
		"client_name": m.Name, "token_endpoint_auth_method": m.Method, "grant_types": m.Grants, "response_types": m.Responses, "scope": m.Scope,
		"id_token_signed_response_alg": m.IDTokens, "registration_state": state,
	}
	if len(m.Redirects) > 0 {
		all["redirect_uris"] = m.Redirects
	}
	if len(m.Contacts) > 0 {
		all["contacts"] = m.Contacts
	}
	if m.Keys != nil {
		all["jwks"] = m.Keys
	}
	if m.KeysURL != "" {
		all["jwks_uri"] = m.KeysURL
	}
	return all
}

var notTheirs = &refusal{http.StatusUnauthorized, "invalid_token", "this is not the token of that registration, or there is none"}

// Registered tells a client its registration, or deletes it, for the token that it
// was given with it.
//
// Source: RFC 7592.
func (s *Server) Registered(w http.ResponseWriter, r *http.Request, id string) error {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	e, ok, err := s.Clients.entry(r.Context(), id)
	if err != nil {
		return err
	}
	if !ok || e.access == "" || !strings.EqualFold(scheme, "Bearer") || hashed(strings.TrimSpace(token)) != e.access {
		w.Header().Set("WWW-Authenticate", "Bearer")
		return notTheirs.write(w, r)
	}
	w.Header().Set("Cache-Control", "no-store")
	if r.Method == http.MethodDelete {
		err := s.Clients.Decide(r.Context(), id, Delete, "the client itself", "")
		if errors.Is(err, ErrClient) {
			return notTheirs.write(w, r)
		}
		if err == nil {
			w.WriteHeader(http.StatusNoContent)
		}
		return err
	}
	var was registration
	if err := json.Unmarshal([]byte(e.registered), &was); err != nil {
		return fmt.Errorf("smart: registration: %w", err)
	}
	b, err := json.Marshal(was.Metadata.told(id, s.Base, e.state, e.made), json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("smart: registration: %w", err)
	}
	return answer(w, http.StatusOK, b)
}

// registeredScopes are the words of a scope that a client may be registered for.
func registeredScopes(scope string) string {
	var words []string
	for word := range strings.FieldsSeq(scope) {
		if _, clinical := auth.ParseScope(word); clinical || slices.Contains(plainScopes, word) {
			words = append(words, word)
		}
	}
	return strings.Join(words, " ")
}
