// Package registry holds who may come in: worksites, people with their
// memberships and authorisers, and the clients that act for themselves. It has
// the accounts database, apart from the clinical one; no patient is in it.
package registry

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"firebreak/access"
	"firebreak/auth"
	"firebreak/internal/sqldb"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Registry is open on an accounts database. Safe for many goroutines.
type Registry struct {
	db  *sqldb.DB
	now func() time.Time

	mu    sync.Mutex // guards what follows
	known *memory
	least int64 // the version that a change made here led to
}

// Open opens the accounts database that dsn names (see sqldb.Open) and makes
// its tables. now says when memberships have ended; nil: time.Now.
func Open(ctx context.Context, dsn string, now func() time.Time) (*Registry, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	db, err := sqldb.Open(ctx, dsn, "registry", files)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	if now == nil {
		now = time.Now
	}
	return &Registry{db: db, now: now}, nil
}

// DB is the accounts database, for the sessions that live in it too.
func (r *Registry) DB() *sqldb.DB { return r.db }

// Close closes the database.
func (r *Registry) Close() error { return r.db.Close() }

// Place is somewhere a person may act: a membership (for an assistant, one for
// each authoriser) and its worksite. It grants nothing until access.Admit did.
type Place struct {
	access.Membership
	Site access.Worksite
}

// Places are where the person behind id is a member, active or not, in the
// order of worksite names; none for somebody unknown.
func (r *Registry) Places(ctx context.Context, id auth.Identity) ([]Place, error) {
	m, err := r.memory(ctx)
	if err != nil {
		return nil, err
	}
	login := access.Login{Issuer: id.Issuer(), Subject: id.Subject()}
	if places, ok := m.places(login); ok {
		return places, nil
	}
	places, err := r.read(ctx, login)
	if err != nil {
		return nil, err
	}
	if len(places) > 0 { // strangers take no room
		m.keep(login, places)
	}
	return places, nil
}

// Choices are the places where id would be admitted now: what a person is asked
// to choose from.
func (r *Registry) Choices(ctx context.Context, id auth.Identity) ([]Place, error) {
	all, err := r.Places(ctx, id)
	if err != nil {
		return nil, err
	}
	var open []Place
	for _, p := range all {
		_, err := access.Admit(id, p.Membership, p.Site, r.now())
		switch p.Role {
		case access.PrivacyOfficer:
			_, err = access.AdmitOfficer(id, p.Membership, p.Site, r.now())
		case access.SystemOperator:
			_, err = access.AdmitOperator(id, p.Membership, p.Site, r.now())
		}
		if err == nil {
			open = append(open, p)
		}
	}
	return open, nil
}

// Person admits somebody signed in at the worksite, and for the person
// actingFor, that the session says; empty for oneself. An *access.Refusal
// refuses; any other error is our own failure.
func (r *Registry) Person(ctx context.Context, id auth.Identity, worksite, actingFor string) (access.Caller, error) {
	all, err := r.Places(ctx, id)
	if err != nil {
		return access.Caller{}, err
	}
	var refused error = access.ErrPlace
	if len(all) == 0 {
		refused = access.ErrLogin
	}
	for _, p := range all {
		if p.Site.ID != worksite || person(p.For) != actingFor {
			continue
		}
		c, err := access.Admit(id, p.Membership, p.Site, r.now())
		if err == nil {
			return c, nil
		}
		refused = err
	}
	return access.Caller{}, refused
}

// Officer admits a privacy officer signed in at the worksite that the session
// says. Refusals are as of Person.
func (r *Registry) Officer(ctx context.Context, id auth.Identity, worksite string) (access.Officer, error) {
	return staff(ctx, r, id, worksite, access.PrivacyOfficer, access.AdmitOfficer)
}

// Operator admits an operator, as Officer does an officer.
func (r *Registry) Operator(ctx context.Context, id auth.Identity, worksite string) (access.Operator, error) {
	return staff(ctx, r, id, worksite, access.SystemOperator, access.AdmitOperator)
}

func staff[S any](ctx context.Context, r *Registry, id auth.Identity, worksite string, role access.Role, admit func(auth.Identity, access.Membership, access.Worksite, time.Time) (S, error)) (nobody S, err error) {
	all, err := r.Places(ctx, id)
	if err != nil {
		return nobody, err
	}
	var refused error = access.ErrRole
	for _, p := range all {
		if p.Site.ID != worksite || p.Role != role {
			continue
		}
		s, err := admit(id, p.Membership, p.Site, r.now())
		if err == nil {
			return s, nil
		}
		refused = err
	}
	return nobody, refused
}

func person(m *access.Membership) string {
	if m == nil {
		return ""
	}
	return m.Person
}

// Token admits the bearer of a token: a backend as what it is registered for,
// a person at the worksite that the token names, or at the only place there is.
// A token that leaves more than one answer is refused.
func (r *Registry) Token(ctx context.Context, id auth.Identity) (access.Caller, error) {
	if id.IsClient() {
		c, err := r.Client(ctx, id.Issuer(), id.Client())
		if err != nil {
			return access.Caller{}, err
		}
		return access.AdmitClient(id, c, r.now())
	}
	all, err := r.Places(ctx, id)
	if err != nil {
		return access.Caller{}, err
	}
	var admitted access.Caller
	var refused error = access.ErrLogin
	for _, p := range all {
		if id.Worksite() != "" && p.Site.ID != id.Worksite() || id.ActingFor() != "" && person(p.For) != id.ActingFor() {
			continue
		}
		c, err := access.Admit(id, p.Membership, p.Site, r.now())
		switch {
		case err != nil:
			refused = err
		case !admitted.IsZero():
			return access.Caller{}, access.ErrChoose
		default:
			admitted = c
		}
	}
	if admitted.IsZero() {
		return access.Caller{}, refused
	}
	return admitted, nil
}

// Client is the registered client; the zero Client, which nothing admits, when
// there is none.
func (r *Registry) Client(ctx context.Context, issuer, id string) (access.Client, error) {
	m, err := r.memory(ctx)
	if err != nil {
		return access.Client{}, err
	}
	login := access.Login{Issuer: issuer, Subject: id}
	if c, ok := m.client(login); ok {
		return c, nil
	}
	c := access.Client{ID: id, Issuer: issuer}
	var active int64
	var audience, scopes string
	err = r.db.QueryRow(ctx, `SELECT name, active, audience, source, scopes FROM registry_client WHERE issuer = $1 AND id = $2`, issuer, id).
		Scan(&c.Name, &active, &audience, &c.Source, &scopes)
	if errors.Is(err, sql.ErrNoRows) {
		return access.Client{}, nil
	}
	if err != nil {
		return access.Client{}, fmt.Errorf("registry: client: %w", err)
	}
	c.Active, c.Audience, c.Scopes = active == 1, access.Audience(audience), strings.Fields(scopes)
	m.keepClient(login, c)
	return c, nil
}

const selectPlaces = `SELECT m.id, m.role, m.active, m.ends, p.id, p.name, p.active, w.id, w.name, w.active
FROM registry_person p JOIN registry_membership m ON m.person = p.id JOIN registry_worksite w ON w.id = m.worksite
WHERE p.issuer = $1 AND p.subject = $2 ORDER BY w.name, w.id, m.role`

const selectAuthorizers = `SELECT a.assistant, a.active, m.id, m.role, m.active, m.ends, m.worksite, p.id, p.name, p.active, p.issuer, p.subject
FROM registry_person s JOIN registry_membership n ON n.person = s.id
JOIN registry_authorizer a ON a.assistant = n.id
JOIN registry_membership m ON m.id = a.authorizer JOIN registry_person p ON p.id = m.person
WHERE s.issuer = $1 AND s.subject = $2 ORDER BY p.name, p.id, m.id`

// read reads the places of one account, all at one moment.
func (r *Registry) read(ctx context.Context, login access.Login) ([]Place, error) {
	var places []Place
	authorizers := map[string][]access.Membership{}
	err := r.db.Snapshot(ctx, func(tx *sqldb.Tx) error {
		err := tx.Each(ctx, func(scan func(...any) error) error {
			var active, ends, person, site int64
			p := Place{Membership: access.Membership{Login: login}}
			if err := scan(&p.Membership.ID, &p.Role, &active, &ends, &p.Person, &p.Membership.Name, &person, &p.Site.ID, &p.Site.Name, &site); err != nil {
				return err
			}
			p.Worksite, p.Site.Active = p.Site.ID, site == 1
			p.Membership.Active, p.Until = active == 1 && person == 1, moment(ends)
			places = append(places, p)
			return nil
		}, selectPlaces, login.Issuer, login.Subject)
		if err != nil {
			return err
		}
		return tx.Each(ctx, func(scan func(...any) error) error {
			var assistant string
			var authorizes, active, ends, person int64
			var m access.Membership
			if err := scan(&assistant, &authorizes, &m.ID, &m.Role, &active, &ends, &m.Worksite, &m.Person, &m.Name, &person, &m.Login.Issuer, &m.Login.Subject); err != nil {
				return err
			}
			m.Active, m.Until = authorizes == 1 && active == 1 && person == 1, moment(ends)
			authorizers[assistant] = append(authorizers[assistant], m)
			return nil
		}, selectAuthorizers, login.Issuer, login.Subject)
	})
	if err != nil {
		return nil, fmt.Errorf("registry: places: %w", err)
	}
	var all []Place
	for _, p := range places {
		each := authorizers[p.Membership.ID]
		if p.Role != access.Assistant || len(each) == 0 {
			all = append(all, p)
			continue
		}
		for _, m := range each {
			q := p
			q.For = &m
			all = append(all, q)
		}
	}
	return all, nil
}

func moment(micro int64) time.Time {
	if micro == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micro)
}
