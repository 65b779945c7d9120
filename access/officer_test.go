package access_test

import (
	"errors"
	"testing"

	"firebreak/access"
	"firebreak/access/accesstest"
	"firebreak/auth"
)

// TestAdmitOfficer: an officer is a member in that role, at the pages, and opens
// no chart.
func TestAdmitOfficer(t *testing.T) {
	ada := accesstest.SignedIn(t, "ada")
	site := access.Worksite{ID: "clinic", Active: true}
	m := func(change func(*access.Membership)) access.Membership {
		m := access.Membership{ID: "m", Login: access.Login{Issuer: ada.Issuer(), Subject: "ada"}, Person: "p", Name: "Ada", Role: access.PrivacyOfficer, Worksite: "clinic", Active: true}
		if change != nil {
			change(&m)
		}
		return m
	}
	rows := []struct {
		name string
		id   auth.Identity
		m    access.Membership
		w    access.Worksite
		want error
	}{
		{"an officer", ada, m(nil), site, nil},
		{"nobody", auth.Identity{}, m(nil), site, access.ErrNobody},
		{"an officer's app", accesstest.Identity(t, map[string]any{"sub": "ada", "client_id": "app"}), m(nil), site, access.ErrKind},
		{"somebody else", accesstest.SignedIn(t, "eve"), m(nil), site, access.ErrLogin},
		{"a physician", ada, m(func(m *access.Membership) { m.Role = access.Physician }), site, access.ErrRole},
		{"an operator", ada, m(func(m *access.Membership) { m.Role = access.SystemOperator }), site, access.ErrRole},
		{"an officer elsewhere", ada, m(nil), access.Worksite{ID: "other", Active: true}, access.ErrPlace},
		{"one who left", ada, m(func(m *access.Membership) { m.Active = false }), site, access.ErrInactive},
		{"a membership that ended", ada, m(func(m *access.Membership) { m.Until = accesstest.Now }), site, access.ErrEnded},
		{"an inactive worksite", ada, m(nil), access.Worksite{ID: "clinic"}, access.ErrWorksite},
	}
	for _, row := range rows {
		o, err := access.AdmitOfficer(row.id, row.m, row.w, accesstest.Now)
		if !errors.Is(err, row.want) || (err == nil) == o.IsZero() {
			t.Errorf("%s: %v, want %v", row.name, err, row.want)
		}
		if p, err := access.AdmitOperator(row.id, row.m, row.w, accesstest.Now); !p.IsZero() && (err != nil || row.name != "an operator") {
			t.Errorf("%s is admitted as an operator", row.name)
		}
		if err == nil && (o.Caller().Name() != "Ada" || o.Caller().Purpose() != "") {
			t.Errorf("%s: %+v", row.name, o.Caller())
		}
	}
	if _, err := access.Admit(ada, m(nil), site, accesstest.Now); !errors.Is(err, access.ErrRole) {
		t.Errorf("an officer is admitted to charts: %v", err)
	}
}

// TestAdmitOperator: an operator is a member in that role, at the pages, and
// opens no chart.
func TestAdmitOperator(t *testing.T) {
	o := accesstest.Operator(t).Caller()
	if o.Name() == "" || o.Purpose() != "" || o.Audience() == access.Provider {
		t.Errorf("%+v", o)
	}
	ada := accesstest.SignedIn(t, "ada")
	m := access.Membership{ID: "m", Login: access.Login{Issuer: ada.Issuer(), Subject: "ada"}, Person: "p", Role: access.SystemOperator, Worksite: "clinic", Active: true}
	if _, err := access.Admit(ada, m, access.Worksite{ID: "clinic", Active: true}, accesstest.Now); !errors.Is(err, access.ErrRole) {
		t.Errorf("an operator is admitted to charts: %v", err)
	}
}
