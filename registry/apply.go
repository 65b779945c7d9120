package registry

import (
	"context"
	"fmt"

	"firebreak/internal/sqldb"
)

// Apply makes the registry say what the seed says, in one transaction. issuer
// is the default of people, clientIssuer that of clients. What an earlier seed
// said and this one does not is made inactive; what was not seeded is left alone.
func (r *Registry) Apply(ctx context.Context, s Seed, issuer, clientIssuer string) error {
	if at, err := s.check(); err != nil {
		return fmt.Errorf("registry: seed (byte %d): %w", at, err)
	}
	var version int64
	err := r.db.Write(ctx, func(tx *sqldb.Tx) error {
		w := seeding{ctx: ctx, tx: tx}
		for _, table := range []string{
			`UPDATE registry_worksite SET active = 0 WHERE from_seed = 1`,
			`UPDATE registry_person SET active = 0, issuer = '', subject = id WHERE from_seed = 1`, // an account may move to another person,
			`UPDATE registry_membership SET active = 0 WHERE from_seed = 1`,
			`UPDATE registry_authorizer SET active = 0 WHERE from_seed = 1`,
			`UPDATE registry_client SET active = 0 WHERE from_seed = 1`,
		} {
			w.do(table)
		}
		for _, site := range s.Worksites {
			w.do(putWorksite, site.ID, site.Name, flag(!site.Inactive))
		}
		for _, p := range s.People {
			w.do(putPerson, p.ID, or(p.Issuer, issuer), p.Subject, p.Name, flag(!p.Inactive))
			for _, m := range p.Memberships {
				ends := int64(0)
				if !m.until.IsZero() {
					ends = m.until.UnixMicro()
				}
				w.do(putMembership, membershipID(p.ID, m), p.ID, m.Worksite, string(m.Role), flag(!m.Inactive), ends)
			}
		}
		for _, p := range s.People {
			for _, m := range p.Memberships {
				for _, f := range m.For {
					w.do(putAuthorizer, membershipID(p.ID, m), membershipID(f, *s.person(f).authorizerAt(m.Worksite)))
				}
			}
		}
		for _, c := range s.Clients {
			w.do(putClient, or(c.Issuer, clientIssuer), c.ID, c.Name, flag(!c.Inactive), string(c.Audience), c.Source, c.Scopes)
		}
		if w.err != nil {
			return w.err
		}
		return tx.QueryRow(ctx, `UPDATE registry_version SET version = version + 1 WHERE id = 1 RETURNING version`).Scan(&version)
	})
	if err != nil {
		return fmt.Errorf("registry: apply: %w", err)
	}
	r.forget(version)
	return nil
}

const (
	putWorksite = `INSERT INTO registry_worksite (id, name, active, from_seed) VALUES ($1, $2, $3, 1)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, active = excluded.active, from_seed = 1`

	putPerson = `INSERT INTO registry_person (id, issuer, subject, name, active, from_seed) VALUES ($1, $2, $3, $4, $5, 1)
ON CONFLICT (id) DO UPDATE SET issuer = excluded.issuer, subject = excluded.subject, name = excluded.name, active = excluded.active, from_seed = 1`

	putMembership = `INSERT INTO registry_membership (id, person, worksite, role, active, ends, from_seed) VALUES ($1, $2, $3, $4, $5, $6, 1)
ON CONFLICT (person, worksite, role) DO UPDATE SET active = excluded.active, ends = excluded.ends, from_seed = 1`

	putAuthorizer = `INSERT INTO registry_authorizer (assistant, authorizer, active, from_seed) VALUES ($1, $2, 1, 1)
ON CONFLICT (assistant, authorizer) DO UPDATE SET active = 1, from_seed = 1`

	putClient = `INSERT INTO registry_client (issuer, id, name, active, audience, source, scopes, from_seed) VALUES ($1, $2, $3, $4, $5, $6, $7, 1)
ON CONFLICT (issuer, id) DO UPDATE SET name = excluded.name, active = excluded.active, audience = excluded.audience,
source = excluded.source, scopes = excluded.scopes, from_seed = 1`
)

// seeding runs statements until one fails.
type seeding struct {
	ctx context.Context
	tx  *sqldb.Tx
	err error
}

func (w *seeding) do(text string, args ...any) {
	if w.err == nil {
		_, w.err = w.tx.Exec(w.ctx, text, args...)
	}
}

func (s *Seed) person(id string) *SeedPerson {
	for i := range s.People {
		if s.People[i].ID == id {
			return &s.People[i]
		}
	}
	return nil
}

func membershipID(person string, m SeedMembership) string {
	return person + "@" + m.Worksite + ":" + string(m.Role)
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
