package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"time"

	"firebreak/internal/sqldb"
)

//go:embed migrations/*.sql
var migrations embed.FS

// SessionConfig limits sessions. The zero value is safe except for Secure.
type SessionConfig struct {
	Idle     time.Duration    // a session ends when unused so long; zero: 15 minutes
	Absolute time.Duration    // and so long after sign-in in any case; zero: 12 hours
	Secure   bool             // served by https: cookies are Secure and bound to this host alone
	Now      func() time.Time // nil: time.Now
	Logger   *slog.Logger     // nil: slog.Default
}

// flushEvery is how often uses are written down. When the program dies, a
// session may end this much too early; it never lives too long.
const flushEvery = 5 * time.Second

// Sessions are the signed-in browsers, kept in the accounts database. The
// browser's cookie holds a random value and nothing else; the table holds its
// hash. Safe for many goroutines and for several nodes on one database.
type Sessions struct {
	db     *sqldb.DB
	config SessionConfig

	mu   sync.Mutex
	used map[string]int64 // last use by session, not yet written down

	sweep time.Time // when what is over was last deleted; guarded by mu
}

// NewSessions makes the tables it needs in db. Run must run beside it.
func NewSessions(ctx context.Context, db *sqldb.DB, c SessionConfig) (*Sessions, error) {
	if c.Idle == 0 {
		c.Idle = 15 * time.Minute
	}
	if c.Absolute == 0 {
		c.Absolute = 12 * time.Hour
	}
	if c.Idle < 0 || c.Absolute < c.Idle {
		return nil, errors.New("auth: the absolute limit of a session is shorter than its idle limit")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	if err := db.Migrate(ctx, "auth", files); err != nil {
		return nil, fmt.Errorf("auth: sessions: %w", err)
	}
	return &Sessions{db: db, config: c, used: map[string]int64{}}, nil
}

// Session is one signed-in browser. The zero Session is nobody's.
type Session struct {
	key       string
	identity  Identity
	worksite  string
	actingFor string
	purpose   string
	idToken   string
	started   time.Time
	seen      time.Time
	ends      time.Time
}

func (s Session) IsZero() bool       { return s.key == "" }
func (s Session) Identity() Identity { return s.identity }
func (s Session) Started() time.Time { return s.started }

// Key is opaque and different for each session; it opens nothing.
func (s Session) Key() string { return s.key }

// Worksite and ActingFor are what was chosen in this session: registry ids,
// empty before a choice. They grant nothing by themselves.
func (s Session) Worksite() string  { return s.worksite }
func (s Session) ActingFor() string { return s.actingFor }

// Purpose is what the person said they open records for when they chose the
// worksite: Treatment, or empty before.
func (s Session) Purpose() string { return s.purpose }

const insertSession = `INSERT INTO auth_session
(id, issuer, subject, name, id_token, worksite, acting_for, seen, started, ends)
VALUES ($1, $2, $3, $4, $5, '', '', $6, $6, $7)`

const deleteSession = `DELETE FROM auth_session WHERE id = $1`

// start makes a new session with a new id, whatever cookie the browser came
// with (fixation), and ends the session it had.
func (s *Sessions) start(ctx context.Context, w http.ResponseWriter, r *http.Request, id Identity, idToken string) (Session, error) {
	secret := newSecret()
	now := s.config.Now()
	session := Session{key: hashed(secret), identity: id, idToken: idToken, started: now, seen: now, ends: now.Add(s.config.Absolute)}
	before := s.secret(r)
	err := s.db.Write(ctx, func(tx *sqldb.Tx) error {
		if before != "" {
			if _, err := tx.Exec(ctx, deleteSession, hashed(before)); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, insertSession, session.key, id.issuer, id.subject, id.name, idToken, now.UnixMicro(), session.ends.UnixMicro())
		return err
	})
	if err != nil {
		return Session{}, fmt.Errorf("auth: start session: %w", err)
	}
	http.SetCookie(w, s.cookie(sessionCookie, secret))
	return session, nil
}

const selectSession = `SELECT issuer, subject, name, id_token, worksite, acting_for, purpose, seen, started, ends
FROM auth_session WHERE id = $1`

// Find is the session that r's cookie belongs to. It is no use of the session:
// asking how long it has left does not prolong it. Nobody, or a session that
// is over or revoked, is the zero Session and no error.
func (s *Sessions) Find(ctx context.Context, r *http.Request) (Session, error) {
	secret := s.secret(r)
	if secret == "" {
		return Session{}, nil
	}
	f := Session{key: hashed(secret)}
	s.mu.Lock() // before the row is read: a flush in between may only make it newer
	used := s.used[f.key]
	s.mu.Unlock()
	var seen, started, ends int64
	err := s.db.QueryRow(ctx, selectSession, f.key).Scan(&f.identity.issuer, &f.identity.subject, &f.identity.name,
		&f.idToken, &f.worksite, &f.actingFor, &f.purpose, &seen, &started, &ends)
	if errors.Is(err, sql.ErrNoRows) {
		return Session{}, nil
	}
	if err != nil {
		return Session{}, fmt.Errorf("auth: find session: %w", err)
	}
	f.seen, f.started, f.ends = time.UnixMicro(max(seen, used)), time.UnixMicro(started), time.UnixMicro(ends)
	if s.Remaining(f) <= 0 {
		return Session{}, nil
	}
	f.identity.expires = f.ends
	return f, nil
}

// Remaining is how long f lives if it is not used again: until its idle or its
// absolute limit, whichever comes first. Zero or less: it is over.
func (s *Sessions) Remaining(f Session) time.Duration {
	if f.IsZero() {
		return 0
	}
	now := s.config.Now()
	return min(f.seen.Add(s.config.Idle).Sub(now), f.ends.Sub(now), s.config.Idle)
}

// Touch notes a use by the person, in memory; Run writes it down.
func (s *Sessions) Touch(f Session) Session {
	if s.Remaining(f) <= 0 {
		return Session{}
	}
	f.seen = s.config.Now()
	s.mu.Lock()
	s.used[f.key] = max(s.used[f.key], f.seen.UnixMicro())
	s.mu.Unlock()
	return f
}

// Choose sets where, and for whom, the person acts in this session: for direct
// care, which the page that asks has them state.
func (s *Sessions) Choose(ctx context.Context, f Session, worksite, actingFor string) (Session, error) {
	const update = `UPDATE auth_session SET worksite = $2, acting_for = $3, purpose = $4 WHERE id = $1`
	err := s.db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, update, f.key, worksite, actingFor, Treatment)
		return err
	})
	if err != nil {
		return Session{}, fmt.Errorf("auth: choose worksite: %w", err)
	}
	f.worksite, f.actingFor, f.purpose = worksite, actingFor, Treatment
	return f, nil
}

// End ends the session and takes the cookie back.
func (s *Sessions) End(ctx context.Context, w http.ResponseWriter, f Session) error {
	http.SetCookie(w, s.expired(sessionCookie))
	if f.IsZero() {
		return nil
	}
	err := s.db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, deleteSession, f.key)
		return err
	})
	if err != nil {
		return fmt.Errorf("auth: end session: %w", err)
	}
	return nil
}

// EndAll ends every session of the person, in whatever browser, from the next
// request on. It tells how many there were.
func (s *Sessions) EndAll(ctx context.Context, issuer, subject string) (int64, error) {
	var n int64
	err := s.db.Write(ctx, func(tx *sqldb.Tx) (err error) {
		n, err = tx.Exec(ctx, `DELETE FROM auth_session WHERE issuer = $1 AND subject = $2`, issuer, subject)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("auth: end all sessions: %w", err)
	}
	return n, nil
}

// Run writes uses down every few seconds and clears away what is over, until
// ctx ends; then it writes a last time.
func (s *Sessions) Run(ctx context.Context) {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		done := false
		select {
		case <-tick.C:
		case <-ctx.Done():
			done = true
		}
		if err := s.Flush(context.WithoutCancel(ctx)); err != nil {
			s.config.Logger.Error("auth: sessions were not written down", "error", err)
		}
		if done {
			return
		}
	}
}

// Flush writes uses down now, in one transaction, and once a minute deletes
// what is over.
func (s *Sessions) Flush(ctx context.Context) error {
	now := s.config.Now()
	s.mu.Lock()
	uses := maps.Clone(s.used)
	sweep := now.Sub(s.sweep).Abs() >= time.Minute
	if sweep {
		s.sweep = now
	}
	s.mu.Unlock()
	if len(uses) == 0 && !sweep {
		return nil
	}
	err := s.db.Write(ctx, func(tx *sqldb.Tx) error {
		for key, at := range uses {
			if _, err := tx.Exec(ctx, `UPDATE auth_session SET seen = $2 WHERE id = $1 AND seen < $2`, key, at); err != nil {
				return err
			}
		}
		if !sweep {
			return nil
		}
		// Another node may hold a use that it has not written down yet.
		idle := now.Add(-s.config.Idle - 2*flushEvery).UnixMicro()
		if _, err := tx.Exec(ctx, `DELETE FROM auth_session WHERE seen < $1`, idle); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM auth_session WHERE ends <= $1`, now.UnixMicro()); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM auth_signin WHERE expires <= $1`, now.UnixMicro())
		return err
	})
	if err != nil {
		return fmt.Errorf("auth: write sessions: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, at := range uses {
		if s.used[key] == at {
			delete(s.used, key)
		}
	}
	return nil
}

// Cookies.
const (
	sessionCookie = "firebreak"
	signInCookie  = "firebreak-signin"
	secretLen     = 43 // 256 bits in base64url
)

// cookie is read by the server alone and not sent along by other sites, except
// when they link here. With the prefix no other host, nor http, can set it.
//
// Source: RFC 6265bis sections 4.1.2.7 (SameSite) and 4.1.3.2 (__Host-).
func (s *Sessions) cookie(name, value string) *http.Cookie {
	return &http.Cookie{Name: s.cookieName(name), Value: value, Path: "/", HttpOnly: true, Secure: s.config.Secure, SameSite: http.SameSiteLaxMode}
}

func (s *Sessions) expired(name string) *http.Cookie {
	c := s.cookie(name, "")
	c.MaxAge = -1
	return c
}

func (s *Sessions) cookieName(name string) string {
	if s.config.Secure {
		return "__Host-" + name
	}
	return name
}

func (s *Sessions) secret(r *http.Request) string { return s.read(r, sessionCookie) }

// read is the cookie's value if there is exactly one and we may have made it.
func (s *Sessions) read(r *http.Request, name string) string {
	found := r.CookiesNamed(s.cookieName(name))
	if len(found) != 1 || len(found[0].Value) != secretLen {
		return ""
	}
	return found[0].Value
}

func newSecret() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func hashed(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
