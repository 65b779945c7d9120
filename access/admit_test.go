package access_test

import (
	"errors"
	"maps"
	"testing"
	"time"

	"firebreak/access"
	"firebreak/access/accesstest"
	"firebreak/auth"
)

var now = accesstest.Now

func identity(t *testing.T, claims map[string]any) auth.Identity {
	t.Helper()
	all := map[string]any{"sub": "maya", "client_id": "app", "scope": "user/*.cruds"}
	maps.Copy(all, claims)
	return accesstest.Identity(t, all)
}

func member(change func(*access.Membership)) access.Membership {
	m := access.Membership{
		ID: "m1", Login: access.Login{Issuer: accesstest.Issuer, Subject: "maya"}, Person: "p1", Name: "Maya",
		Role: access.Physician, Worksite: "clinic", Active: true,
	}
	if change != nil {
		change(&m)
	}
	return m
}

// authorizer is a physician at the same worksite, somebody else.
func authorizer(change func(*access.Membership)) *access.Membership {
	f := member(func(m *access.Membership) {
		m.ID, m.Person, m.Name, m.Login.Subject = "m2", "p2", "Theo", "theo"
		if change != nil {
			change(m)
		}
	})
	return &f
}

func assistant(f *access.Membership) access.Membership {
	return member(func(m *access.Membership) { m.Role, m.For = access.Assistant, f })
}

func TestAdmit(t *testing.T) {
	site := access.Worksite{ID: "clinic", Name: "Clinic", Active: true}
	nobody, maya := auth.Identity{}, identity(t, nil)
	rows := []struct {
		name string
		id   auth.Identity
		m    access.Membership
		w    access.Worksite
		want error
	}{
		{"a physician", maya, member(nil), site, nil},
		{"a membership until later", maya, member(func(m *access.Membership) { m.Until = now.Add(time.Nanosecond) }), site, nil},
		{"a token for this worksite", identity(t, map[string]any{"worksite": "clinic"}), member(nil), site, nil},
		{"an assistant for a physician", maya, assistant(authorizer(nil)), site, nil},
		{"an assistant for a pharmacist", maya, assistant(authorizer(func(m *access.Membership) { m.Role = access.Pharmacist })), site, nil},

		{"a token for direct care", identity(t, map[string]any{"purpose_of_use": "TREAT"}), member(nil), site, nil},
		{"a token for research", identity(t, map[string]any{"purpose_of_use": "HRESCH"}), member(nil), site, access.ErrPurpose},
		{"a token for direct care and marketing", identity(t, map[string]any{"purpose_of_use": []any{"TREAT", "HMARKT"}}), member(nil), site, access.ErrPurpose},
		{"a token for who knows what", identity(t, map[string]any{"purpose_of_use": 7}), member(nil), site, access.ErrPurpose},

		{"nobody", nobody, member(nil), site, access.ErrNobody},
		{"nobody with an empty membership", nobody, access.Membership{}, access.Worksite{}, access.ErrNobody},
		{"a backend", identity(t, map[string]any{"sub": "app"}), member(nil), site, access.ErrKind},
		{"somebody else's membership", identity(t, map[string]any{"sub": "theo"}), member(nil), site, access.ErrLogin},
		{"the same subject of another issuer", maya, member(func(m *access.Membership) { m.Login.Issuer = "https://other.test" }), site, access.ErrLogin},
		{"a membership of no account", maya, member(func(m *access.Membership) { m.Login = access.Login{} }), site, access.ErrLogin},
		{"a membership of no person", maya, member(func(m *access.Membership) { m.Person = "" }), site, access.ErrLogin},
		{"another worksite", maya, member(nil), access.Worksite{ID: "other", Active: true}, access.ErrPlace},
		{"no worksite", maya, member(func(m *access.Membership) { m.Worksite = "" }), access.Worksite{Active: true}, access.ErrPlace},
		{"a token for another worksite", identity(t, map[string]any{"worksite": "other"}), member(nil), site, access.ErrPlace},
		{"a paused membership", maya, member(func(m *access.Membership) { m.Active = false }), site, access.ErrInactive},
		{"a membership that ends now", maya, member(func(m *access.Membership) { m.Until = now }), site, access.ErrEnded},
		{"a membership that ended", maya, member(func(m *access.Membership) { m.Until = now.Add(-time.Hour) }), site, access.ErrEnded},
		{"no role", maya, member(func(m *access.Membership) { m.Role = "" }), site, access.ErrRole},
		{"a role nobody knows", maya, member(func(m *access.Membership) { m.Role = "Physician" }), site, access.ErrRole},
		{"an inactive worksite", maya, member(nil), access.Worksite{ID: "clinic", Name: "Clinic"}, access.ErrWorksite},

		{"an assistant for nobody", maya, assistant(nil), site, access.ErrAuthorizer},
		{"an assistant for a paused physician", maya, assistant(authorizer(func(m *access.Membership) { m.Active = false })), site, access.ErrAuthorizer},
		{"an assistant for one who left", maya, assistant(authorizer(func(m *access.Membership) { m.Until = now })), site, access.ErrAuthorizer},
		{"an assistant for one elsewhere", maya, assistant(authorizer(func(m *access.Membership) { m.Worksite = "other" })), site, access.ErrAuthorizer},
		{"an assistant for an assistant", maya, assistant(authorizer(func(m *access.Membership) { m.Role = access.Assistant })), site, access.ErrAuthorizer},
		{"an assistant for an operator", maya, assistant(authorizer(func(m *access.Membership) { m.Role = access.SystemOperator })), site, access.ErrAuthorizer},
		{"an assistant for one acting for others", maya, assistant(authorizer(func(m *access.Membership) { m.For = authorizer(nil) })), site, access.ErrAuthorizer},
		{"an assistant for herself", maya, assistant(authorizer(func(m *access.Membership) { m.Person = "p1" })), site, access.ErrAuthorizer},
		{"an assistant for no person", maya, assistant(authorizer(func(m *access.Membership) { m.Person = "" })), site, access.ErrAuthorizer},
		{"a physician for a physician", maya, member(func(m *access.Membership) { m.For = authorizer(nil) }), site, access.ErrAuthorizer},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			c, err := access.Admit(r.id, r.m, r.w, now)
			if !errors.Is(err, r.want) || (err == nil) == c.IsZero() {
				t.Fatalf("admitted %v, %v; want %v", !c.IsZero(), err, r.want)
			}
			if err != nil {
				var refusal *access.Refusal
				if !errors.As(err, &refusal) || refusal.Text() == "" || c.Audience() != "" {
					t.Errorf("a refusal without words: %v", err)
				}
				return
			}
			f, obo := c.OnBehalfOf()
			if c.Audience() != access.Provider || c.Purpose() != "TREAT" || c.Person() != "p1" || c.Name() != "Maya" || c.Worksite() != r.w ||
				c.Role() != r.m.Role || !c.Admitted().Equal(now) || c.Identity().Subject() != "maya" || obo != (r.m.Role == access.Assistant) || obo && f.Person != "p2" {
				t.Errorf("caller %+v", c)
			}
		})
	}
}

func TestOnlyClinicalRolesAreAdmitted(t *testing.T) {
	site := access.Worksite{ID: "clinic", Active: true}
	closed := map[access.Role]bool{access.PrivacyOfficer: true, access.SystemOperator: true}
	for _, role := range access.Roles() {
		m := member(func(m *access.Membership) {
			m.Role = role
			if role == access.Assistant {
				m.For = authorizer(nil)
			}
		})
		c, err := access.Admit(identity(t, nil), m, site, now)
		if (err == nil) == closed[role] || closed[role] && !errors.Is(err, access.ErrRole) {
			t.Errorf("%s: %v, %v", role, c.Role(), err)
		}
	}
}

func TestWordsOfRefusals(t *testing.T) {
	if got := access.ErrWorksite.Text(); got != "You cannot open records from this worksite yet. See what is still to do." {
		t.Errorf("worksite not active: %s", got)
	}
	if got := access.ErrRole.Text(); got != "Your account does not include this page. Your site administrator can help." {
		t.Errorf("role may not open page: %s", got)
	}
}

func TestChangingTheMembershipLaterChangesNoCaller(t *testing.T) {
	f := authorizer(nil)
	c, err := access.Admit(identity(t, nil), assistant(f), access.Worksite{ID: "clinic", Active: true}, now)
	if err != nil {
		t.Fatal(err)
	}
	f.Role = access.SystemOperator
	if got, _ := c.OnBehalfOf(); got.Role != access.Physician {
		t.Errorf("acting for a %s", got.Role)
	}
}

func TestAdmitClient(t *testing.T) {
	ehr := identity(t, map[string]any{"sub": "ehr", "client_id": "ehr", "scope": "system/*.cruds"})
	good := access.Client{ID: "ehr", Issuer: accesstest.Issuer, Name: "EHR", Active: true, Source: "ehr", Scopes: []string{"system/*.cruds"}}
	change := func(f func(*access.Client)) access.Client {
		c := good
		f(&c)
		return c
	}
	for _, r := range []struct {
		name     string
		id       auth.Identity
		c        access.Client
		want     error
		audience access.Audience
	}{
		{"a backend", ehr, good, nil, access.Backend},
		{"a source", ehr, change(func(c *access.Client) { c.Audience = access.Source }), nil, access.Source},
		{"an auditor", ehr, change(func(c *access.Client) { c.Audience, c.Source = access.Auditor, "" }), nil, access.Auditor},
		{"an auditor that pushes", ehr, change(func(c *access.Client) { c.Audience = access.Auditor }), access.ErrRole, ""},
		{"a backend that may not push", ehr, change(func(c *access.Client) { c.Source = "" }), nil, access.Backend},
		{"nobody", auth.Identity{}, good, access.ErrNobody, ""},
		{"a person", identity(t, map[string]any{"client_id": "ehr"}), good, access.ErrKind, ""},
		{"another client", ehr, change(func(c *access.Client) { c.ID = "other" }), access.ErrLogin, ""},
		{"no client", ehr, access.Client{}, access.ErrLogin, ""},
		{"the client of another issuer", ehr, change(func(c *access.Client) { c.Issuer = "https://other.test" }), access.ErrLogin, ""},
		{"a paused client", ehr, change(func(c *access.Client) { c.Active = false }), access.ErrInactive, ""},
		{"a provider's audience", ehr, change(func(c *access.Client) { c.Audience = access.Provider }), access.ErrRole, ""},
		{"a source of nothing", ehr, change(func(c *access.Client) { c.Audience, c.Source = access.Source, "" }), access.ErrRole, ""},
		{"a client for nothing", ehr, change(func(c *access.Client) { c.Scopes = []string{"openid"} }), access.ErrScope, ""},
	} {
		t.Run(r.name, func(t *testing.T) {
			c, err := access.AdmitClient(r.id, r.c, now)
			if !errors.Is(err, r.want) || c.Audience() != r.audience {
				t.Fatalf("admitted as %q, %v; want %v", c.Audience(), err, r.want)
			}
			if err == nil && (c.Purpose() != "TREAT" || c.Client().ID != "ehr" || c.Person() != "" || c.Name() != "EHR") {
				t.Errorf("caller %+v", c)
			}
		})
	}
}

func TestReachIsWhatTokenAndRegistryBothGive(t *testing.T) {
	app := func(scopes, patient string) access.Caller {
		return accesstest.App(t, access.Physician, scopes, patient)
	}
	backend := accesstest.Client(t, "ehr", "system/Observation.cruds system/Patient.rs")
	wide, err := access.AdmitClient(identity(t, map[string]any{"sub": "ehr", "client_id": "ehr", "scope": "system/*.cruds"}),
		access.Client{ID: "ehr", Issuer: accesstest.Issuer, Active: true, Scopes: []string{"system/Patient.rs"}}, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []struct {
		name string
		c    access.Caller
		in   auth.Interaction
		typ  string
		want auth.Reach
	}{
		{"the zero caller", access.Caller{}, auth.Read, "Patient", auth.Nothing},
		{"an app that may read", app("user/*.rs", ""), auth.Read, "Observation", auth.AllPatients},
		{"an app that may write, of a person", app("user/*.cruds", ""), auth.Create, "Observation", auth.Nothing},
		{"an app for another type", app("user/Patient.rs", ""), auth.Read, "Observation", auth.Nothing},
		{"an app that may not search", app("user/*.r", ""), auth.Search, "Observation", auth.Nothing},
		{"an app in one patient's context", app("patient/*.rs", "p1"), auth.Read, "Observation", auth.OnePatient},
		{"an app with context and wider scope", app("patient/*.rs user/*.rs", "p1"), auth.Read, "Observation", auth.AllPatients},
		{"an app with patient scopes and no context", app("patient/*.rs", ""), auth.Read, "Observation", auth.Nothing},
		{"an app with a system scope", app("system/*.rs", ""), auth.Read, "Observation", auth.Nothing},
		{"an app with a restricted scope, for the view to restrict", app("user/Observation.rs?category=laboratory", ""), auth.Read, "Observation", auth.AllPatients},
		{"an app with a restriction that is none", app("user/Observation.rs?date=2020", ""), auth.Read, "Observation", auth.Nothing},
		{"a backend that pushes", backend, auth.Update, "Observation", auth.AllPatients},
		{"a backend beyond its scopes", backend, auth.Update, "Patient", auth.Nothing},
		{"a token wider than the registry", wide, auth.Read, "Observation", auth.Nothing},
		{"a token wider than the registry, within it", wide, auth.Read, "Patient", auth.AllPatients},
	} {
		if got := r.c.May(r.in, r.typ); got != r.want {
			t.Errorf("%s: %v, want %v", r.name, got, r.want)
		}
	}
}
