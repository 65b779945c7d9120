package registry

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"firebreak/access"
	"firebreak/auth"
)

// Seed is a registry file: the worksites, people and clients there are, until
// people register themselves. Keys it does not know are refused.
type Seed struct {
	Worksites []SeedWorksite `json:"worksites"`
	People    []SeedPerson   `json:"people"`
	Clients   []SeedClient   `json:"clients,omitzero"`
}

// SeedWorksite is a place that access is used from.
type SeedWorksite struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Inactive bool   `json:"inactive,omitzero"` // not approved, or its declaration not complete
	at       int64
}

// SeedPerson is one person with one account at the OpenID provider.
type SeedPerson struct {
	ID          string           `json:"id"`
	Issuer      string           `json:"issuer,omitzero"` // default: the sign-in issuer
	Subject     string           `json:"subject"`         // claim "sub"
	Name        string           `json:"name"`
	Inactive    bool             `json:"inactive,omitzero"`
	Memberships []SeedMembership `json:"memberships"`
	at          int64
}

// SeedMembership is a person's role at a worksite.
type SeedMembership struct {
	Worksite string      `json:"worksite"`
	Role     access.Role `json:"role"`
	Inactive bool        `json:"inactive,omitzero"`
	Until    string      `json:"until,omitzero"` // RFC 3339; the first moment it no longer holds
	For      []string    `json:"for,omitzero"`   // of an assistant: ids of the people who authorised it here
	at       int64
	until    time.Time
}

// SeedClient is a backend that gets tokens for itself.
type SeedClient struct {
	ID       string          `json:"id"`
	Issuer   string          `json:"issuer,omitzero"` // default: the issuer of access tokens
	Name     string          `json:"name"`
	Inactive bool            `json:"inactive,omitzero"`
	Audience access.Audience `json:"audience,omitzero"` // "backend" (default), "source-system" or "auditor"
	Source   string          `json:"source,omitzero"`   // source its pushes are stored under; empty: may not push
	Scopes   string          `json:"scopes"`            // the most its tokens may hold, space separated
	at       int64
}

// Each part remembers where it began, for errors that name a line.

func (w *SeedWorksite) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	type plain SeedWorksite
	return at(d, &w.at, (*plain)(w))
}
func (p *SeedPerson) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	type plain SeedPerson
	return at(d, &p.at, (*plain)(p))
}
func (m *SeedMembership) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	type plain SeedMembership
	return at(d, &m.at, (*plain)(m))
}
func (c *SeedClient) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	type plain SeedClient
	return at(d, &c.at, (*plain)(c))
}

func at(d *jsontext.Decoder, offset *int64, v any) error {
	if k := d.PeekKind(); k != '{' && k != 0 { // 0: no JSON at all, which the decoder says better
		return errors.New("want an object")
	}
	*offset = d.InputOffset() + int64(len(d.UnreadBuffer())-len(bytes.TrimLeft(d.UnreadBuffer(), ", \t\r\n")))
	return json.UnmarshalDecode(d, v)
}

// ParseSeed reads a registry file. name stands in errors, as "name:line: ...".
func ParseSeed(name string, b []byte) (Seed, error) {
	var s Seed
	if err := json.Unmarshal(b, &s, json.RejectUnknownMembers(true)); err != nil {
		return Seed{}, located(name, b, err)
	}
	if at, err := s.check(); err != nil {
		return Seed{}, fmt.Errorf("registry: %s:%d: %w", name, line(b, at), err)
	}
	return s, nil
}

func located(name string, b []byte, err error) error {
	var syntax *jsontext.SyntacticError
	var meaning *json.SemanticError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("registry: %s:%d: %w", name, line(b, syntax.ByteOffset), syntax.Err)
	case errors.As(err, &meaning):
		return fmt.Errorf("registry: %s:%d: %w", name, line(b, meaning.ByteOffset), err)
	}
	return fmt.Errorf("registry: %s: %w", name, err)
}

// line is the line, from 1, of what ends before offset.
func line(b []byte, offset int64) int {
	return 1 + bytes.Count(b[:min(max(offset, 0), int64(len(b)))], []byte{'\n'})
}

// check holds what one file can show to be wrong, and where.
func (s *Seed) check() (int64, error) {
	sites, people, logins := map[string]bool{}, map[string]*SeedPerson{}, map[access.Login]bool{}
	for _, w := range s.Worksites {
		switch {
		case !isID(w.ID) || w.Name == "":
			return w.at, errors.New("a worksite needs an id (letters, digits, - _ .) and a name")
		case sites[w.ID]:
			return w.at, fmt.Errorf("a second worksite with id %q", w.ID)
		}
		sites[w.ID] = true
	}
	for i := range s.People {
		p := &s.People[i]
		login := access.Login{Issuer: p.Issuer, Subject: p.Subject}
		switch {
		case !isID(p.ID) || p.Name == "" || p.Subject == "":
			return p.at, errors.New("a person needs an id (letters, digits, - _ .), a subject and a name")
		case people[p.ID] != nil:
			return p.at, fmt.Errorf("a second person with id %q", p.ID)
		case logins[login]:
			return p.at, fmt.Errorf("a second person with subject %q", p.Subject)
		}
		people[p.ID], logins[login] = p, true
	}
	for i := range s.People {
		if at, err := s.People[i].check(sites, people); err != nil {
			return at, err
		}
	}
	return s.checkClients()
}

func (p *SeedPerson) check(sites map[string]bool, people map[string]*SeedPerson) (int64, error) {
	seen := map[string]bool{}
	for i := range p.Memberships {
		m := &p.Memberships[i]
		key := m.Worksite + " " + string(m.Role)
		switch {
		case !sites[m.Worksite]:
			return m.at, fmt.Errorf("no worksite has id %q", m.Worksite)
		case !slices.Contains(access.Roles(), m.Role):
			return m.at, fmt.Errorf("%q is not a role; there are %s", m.Role, roles())
		case seen[key]:
			return m.at, fmt.Errorf("a second membership of %q at %q in the same role", p.ID, m.Worksite)
		case len(m.For) > 0 && m.Role != access.Assistant:
			return m.at, errors.New("only an assistant acts for others")
		}
		seen[key] = true
		if m.Until != "" {
			until, err := time.Parse(time.RFC3339, m.Until)
			if err != nil {
				return m.at, errors.New(`until is a time such as "2027-06-30T00:00:00-07:00"`)
			}
			m.until = until
		}
		for _, id := range m.For {
			if f := people[id]; f == nil || id == p.ID || f.authorizerAt(m.Worksite) == nil {
				return m.at, fmt.Errorf("%q may not authorise anyone at %q", id, m.Worksite)
			}
		}
	}
	return 0, nil
}

func (p *SeedPerson) authorizerAt(worksite string) *SeedMembership {
	for i, m := range p.Memberships {
		if m.Worksite == worksite && m.Role.Authorizes() {
			return &p.Memberships[i]
		}
	}
	return nil
}

func (s *Seed) checkClients() (int64, error) {
	seen := map[access.Login]bool{}
	for _, c := range s.Clients {
		key := access.Login{Issuer: c.Issuer, Subject: c.ID}
		audience := c.Audience
		switch {
		case c.ID == "" || c.Name == "":
			return c.at, errors.New("a client needs an id and a name")
		case seen[key]:
			return c.at, fmt.Errorf("a second client with id %q", c.ID)
		case audience != "" && audience != access.Backend && audience != access.Source && audience != access.Auditor:
			return c.at, fmt.Errorf("audience is %q, %q or %q", access.Backend, access.Source, access.Auditor)
		case audience == access.Auditor && c.Source != "":
			return c.at, errors.New("an auditor has no source")
		case audience == access.Source && c.Source == "":
			return c.at, errors.New("a source-system client needs a source")
		}
		seen[key] = true
		for word := range strings.FieldsSeq(c.Scopes) {
			if sc, ok := auth.ParseScope(word); !ok || sc.Context != auth.System || sc.Granular() {
				return c.at, fmt.Errorf("%q is not a scope such as system/Observation.rs", word)
			}
		}
		if strings.TrimSpace(c.Scopes) == "" {
			return c.at, errors.New("a client needs scopes")
		}
	}
	return 0, nil
}

func roles() string {
	var b []string
	for _, r := range access.Roles() {
		b = append(b, string(r))
	}
	return strings.Join(b, " ")
}

func isID(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == ""
}
