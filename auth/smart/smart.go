// Package smart is the gateway's own authorization server for apps: SMART App
// Launch 2.2 on OAuth 2.0, with sign-in left to the upstream OpenID provider.
//
// An app sends a browser to Authorize; pages of the viewer have the person sign
// in, choose where they are, for which patient, and what the app may do; Allow
// sends the browser back with a code, and Token makes tokens of it. Tokens are
// random words that open a row here. A grant is a family of tokens: revoking
// its one row ends them all, on every node, at the next use. On PostgreSQL the
// row is read at each use; a SQLite database is one process's alone, so there what
// was read is remembered until the process writes to it.
//
// What must happen once (a code, a refresh token, an assertion's id) is one
// conditional statement in SQL, so that it is once on two nodes too.
//
// Source: SMART App Launch 2.2.0; RFC 6749, 6750, 7009, 7521, 7523, 7636, 7662,
// 8414, 9207, 9700; OpenID Connect Core 1.0.
package smart

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"firebreak/auth"
	"firebreak/internal/sqldb"
)

//go:embed migrations/*.sql
var migrations embed.FS

// How long things live.
const (
	requestLife = 15 * time.Minute // from the app's request to the person's answer
	codeLife    = time.Minute
	accessLife  = 15 * time.Minute
	systemLife  = 5 * time.Minute // SMART Backend Services: 300 s at most
	offlineLife = 90 * 24 * time.Hour
	idLife      = 10 * time.Minute // of an ID token
)

// Config is what a Server needs; all but Logger and Client must be set.
type Config struct {
	Base    string // address of the gateway, and the issuer: "https://gw.example.org"
	DB      *sqldb.DB
	Secret  []byte           // 16 bytes or more; signing keys are sealed with one derived from it
	Issuer  string           // that the registry knows backend services by
	Clients *Registry        // of the clients, on DB
	Now     func() time.Time // the real clock: clients compare it with theirs
	Logger  *slog.Logger
	Random  io.Reader    // nil: crypto/rand
	HTTP    *http.Client // fetches keys of clients of the configuration; nil: one that is short of time and follows nothing

	Registration Registration // zero: nobody registers himself
}

// Server is the authorization server. Safe for many goroutines, and for several
// nodes on one database.
type Server struct {
	Config
	outside *http.Client // fetches keys of clients that registered themselves
	keys    *keyring
	known   known

	mu    sync.Mutex
	swept time.Time // when what is over was last deleted; guarded by mu
}

// New makes a server, or says what is missing.
func New(ctx context.Context, c Config) (*Server, error) {
	if c.Base == "" || c.Issuer == "" || c.DB == nil || c.Clients == nil || c.Now == nil || len(c.Secret) < 16 {
		return nil, errors.New("smart: Base, Issuer, DB, Clients, Now and a Secret must be set")
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.HTTP == nil {
		c.HTTP = &http.Client{Timeout: 4 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if err := c.DB.Claim(); err != nil {
		return nil, fmt.Errorf("smart: %w", err)
	}
	s := &Server{Config: c, outside: outsideClient()}
	seal, err := hkdf.Key(sha256.New, c.Secret, nil, "smart signing keys", 32)
	if err != nil {
		return nil, fmt.Errorf("smart: %w", err)
	}
	s.keys = &keyring{db: c.DB, now: c.Now, seal: seal, made: map[string]signing{}}
	for _, alg := range s.algorithms() {
		if _, err := s.keys.signer(ctx, alg); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// migrate makes the tables of the server and of the registry of clients.
func migrate(ctx context.Context, db *sqldb.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err == nil {
		err = db.Migrate(ctx, "smart", files)
	}
	if err != nil {
		return fmt.Errorf("smart: %w", err)
	}
	return nil
}

// algorithms sign ID tokens: ES384, and RS384 where an app asks for it, or may.
func (s *Server) algorithms() []string {
	all := []string{es384}
	if s.Registration.Open {
		return append(all, rs384)
	}
	for _, c := range s.Clients.configured {
		if c.IDTokens == rs384 {
			return append(all, rs384)
		}
	}
	return all
}

// Where things are, below Base.
const (
	AuthorizePath  = "/oauth/authorize"
	TokenPath      = "/oauth/token"
	KeysPath       = "/oauth/keys"
	IntrospectPath = "/oauth/introspect"
	RevokePath     = "/oauth/revoke"
	RegisterPath   = "/oauth/register"
	StylePath      = "/oauth/style.json"
	ManagePath     = "/apps"
	OpenIDPath     = "/.well-known/openid-configuration"
)

// discovery is one document for both well-known addresses, so that they cannot
// differ. It claims what works and nothing else.
//
// Source: SMART App Launch 2.2.0, "Conformance"; RFC 8414; RFC 9207; OpenID
// Connect Discovery 1.0.
type discovery struct {
	auth.SMART
	ManagementEndpoint string   `json:"management_endpoint"`
	SubjectTypes       []string `json:"subject_types_supported"`
	IDTokenAlgorithms  []string `json:"id_token_signing_alg_values_supported"`
	Claims             []string `json:"claims_supported"`
	ResponseModes      []string `json:"response_modes_supported"`
	IssuerInResponse   bool     `json:"authorization_response_iss_parameter_supported"`
	RequestObjects     bool     `json:"request_parameter_supported"`
	RequestURIs        bool     `json:"request_uri_parameter_supported"` // by default it would be

	InspectMethods    []string `json:"introspection_endpoint_auth_methods_supported"`
	InspectAlgorithms []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	RevokeMethods     []string `json:"revocation_endpoint_auth_methods_supported"`
	RevokeAlgorithms  []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
}

// Discovery is the document at both well-known addresses.
func (s *Server) Discovery(context.Context) ([]byte, error) {
	confidential := []string{"client_secret_basic", "client_secret_post", "private_key_jwt"}
	algorithms := []string{es384, rs384}
	register := ""
	if s.Registration.Open {
		register = s.Base + RegisterPath
	}
	return json.Marshal(discovery{
		SMART: auth.SMART{
			Issuer: s.Base, KeysEndpoint: s.Base + KeysPath, AuthorizationEndpoint: s.Base + AuthorizePath, TokenEndpoint: s.Base + TokenPath,
			TokenAuthMethods: append([]string{"none"}, confidential...), TokenAuthAlgorithms: algorithms,
			IntrospectionEndpoint: s.Base + IntrospectPath, RevocationEndpoint: s.Base + RevokePath, RegistrationEndpoint: register,
			GrantTypes:    []string{"authorization_code", "refresh_token", "client_credentials"},
			ResponseTypes: []string{"code"}, ChallengeMethods: []string{"S256"},
			Scopes: []string{"openid", "fhirUser", "launch", "launch/patient", "online_access", "offline_access", "patient/*.rs", "user/*.rs", "system/*.cruds",
				"patient/Condition.rs?category=http://terminology.hl7.org/CodeSystem/condition-category|encounter-diagnosis", "patient/Condition.rs?category=http://terminology.hl7.org/CodeSystem/condition-category|problem-list-item",
				"patient/Condition.rs?category=http://hl7.org/fhir/us/core/CodeSystem/condition-category|health-concern",
				"patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory", "patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|social-history",
				"patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|survey", "patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|vital-signs",
				"patient/DocumentReference.rs?category=http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category|clinical-note"},
			Capabilities: []string{
				"launch-ehr", "launch-standalone", "authorize-post", "client-public", "client-confidential-symmetric", "client-confidential-asymmetric",
				"sso-openid-connect", "context-banner", "context-style", "context-ehr-patient", "context-ehr-encounter", "context-standalone-patient",
				"permission-offline", "permission-online", "permission-patient", "permission-user", "permission-v1", "permission-v2",
			},
		},
		ManagementEndpoint: s.Base + ManagePath, SubjectTypes: []string{"public"}, IDTokenAlgorithms: s.algorithms(),
		Claims:        []string{"iss", "sub", "aud", "exp", "iat", "nonce", "fhirUser"},
		ResponseModes: []string{"query"}, IssuerInResponse: true,
		InspectMethods: confidential, InspectAlgorithms: algorithms,
		RevokeMethods: append([]string{"none"}, confidential...), RevokeAlgorithms: algorithms,
	})
}

// Endpoints are the server's addresses as a CapabilityStatement names them.
//
// Source: SMART App Launch, extension oauth-uris.
func (s *Server) Endpoints() map[string]string {
	all := map[string]string{"authorize": s.Base + AuthorizePath, "token": s.Base + TokenPath, "introspect": s.Base + IntrospectPath, "revoke": s.Base + RevokePath, "manage": s.Base + ManagePath}
	if s.Registration.Open {
		all["register"] = s.Base + RegisterPath
	}
	return all
}

// ServeDiscovery is the issuer's openid-configuration.
func (s *Server) ServeDiscovery(w http.ResponseWriter, r *http.Request) error {
	b, err := s.Discovery(r.Context())
	if err != nil {
		return fmt.Errorf("smart: discovery: %w", err)
	}
	return public(w, b)
}

// ServeKeys is the JSON Web Key Set that ID tokens are checked with.
func (s *Server) ServeKeys(w http.ResponseWriter, r *http.Request) error {
	set, err := s.keys.public(r.Context(), s.algorithms())
	if err != nil {
		return err
	}
	b, err := json.Marshal(set)
	if err != nil {
		return fmt.Errorf("smart: keys: %w", err)
	}
	return public(w, b)
}

// ServeStyle is what smart_style_url leads to: the viewer's own colours.
//
// Source: SMART App Launch 2.2.0, "smart_style_url".
func (s *Server) ServeStyle(w http.ResponseWriter, _ *http.Request) error {
	return public(w, []byte(`{"color_background":"#ffffff","color_error":"#b00020","color_highlight":"#0b5cad","color_modal_backdrop":"","color_success":"#1b6e3c","color_text":"#1a1a1a","dim_border_radius":"4px","dim_font_size":"16px","dim_spacing_size":"16px","font_family_body":"system-ui, sans-serif","font_family_heading":"system-ui, sans-serif"}`))
}

func public(w http.ResponseWriter, body []byte) error {
	w.Header().Set("Cache-Control", "public, max-age=300")
	return answer(w, http.StatusOK, body)
}

func answer(w http.ResponseWriter, status int, body []byte) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client went away: nobody is left to tell
	return nil
}

// sweep deletes what is over, once a minute at most. What was revoked stays
// until it would have ended, so that its tokens are known to be dead.
func (s *Server) sweep(ctx context.Context, tx *sqldb.Tx) error {
	now := s.Now()
	s.mu.Lock()
	due := now.Sub(s.swept).Abs() >= time.Minute
	if due {
		s.swept = now
	}
	s.mu.Unlock()
	if !due {
		return nil
	}
	at := now.UnixMicro()
	for _, text := range []string{
		`DELETE FROM smart_request WHERE expires <= $1`, `DELETE FROM smart_launch WHERE expires <= $1`, `DELETE FROM smart_jti WHERE expires <= $1`,
		`DELETE FROM smart_grant WHERE ends <= $1`, sweepTokens,
	} {
		if _, err := tx.Exec(ctx, text, at); err != nil {
			return err
		}
	}
	return nil
}

// A spent code or refresh token is kept as long as its family lives: shown
// again it must end the family.
const sweepTokens = `DELETE FROM smart_token WHERE expires <= $1
AND (used = 0 OR NOT EXISTS (SELECT 1 FROM smart_grant g WHERE g.id = smart_token.grant_id))`

// newSecret is 256 random bits; hashed is what is kept of it.
func (s *Server) newSecret() string {
	var b [32]byte
	if _, err := io.ReadFull(s.Random, b[:]); err != nil {
		panic(err) // crypto/rand never fails
	}
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func hashed(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// has tells whether a word is in a list.
func has(list, word string) bool { return slices.Contains(strings.Fields(list), word) }
