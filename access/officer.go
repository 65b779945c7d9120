package access

import (
	"time"

	"firebreak/auth"
)

// Officer is a privacy officer, admitted. An officer sees what is withheld and
// why, who looked at whom, and alerts, and opens no chart. The zero Officer
// sees nothing. Only AdmitOfficer makes one.
type Officer struct{ caller Caller }

func (o Officer) IsZero() bool { return o.caller.IsZero() }

// Caller is who the officer is, for pages and the audit log. No policy shows it
// anything.
func (o Officer) Caller() Caller { return o.caller }

// AdmitOfficer makes the officer of a person signed in at the pages, in one
// membership as privacy officer. Any failure is a *Refusal and the zero Officer.
func AdmitOfficer(id auth.Identity, m Membership, w Worksite, now time.Time) (Officer, error) {
	c, err := admitStaff(id, m, w, now, PrivacyOfficer, oversight)
	return Officer{c}, err
}

// Operator is somebody who runs the gateway, admitted. An operator sees feeds
// and stored messages, masked unless a reason is given, and opens no chart. The
// zero Operator sees nothing. Only AdmitOperator makes one.
type Operator struct{ caller Caller }

func (o Operator) IsZero() bool { return o.caller.IsZero() }

// Caller is who the operator is, as of Officer.
func (o Operator) Caller() Caller { return o.caller }

// AdmitOperator makes the operator of a person signed in at the pages, in one
// membership as operator. Any failure is a *Refusal and the zero Operator.
func AdmitOperator(id auth.Identity, m Membership, w Worksite, now time.Time) (Operator, error) {
	c, err := admitStaff(id, m, w, now, SystemOperator, operation)
	return Operator{c}, err
}

// admitStaff makes a Caller whom no policy knows, of a membership in that role.
func admitStaff(id auth.Identity, m Membership, w Worksite, now time.Time, as Role, audience Audience) (Caller, error) {
	switch {
	case id.IsZero():
		return Caller{}, ErrNobody
	case id.Client() != "": // apps and backends have no business here
		return Caller{}, ErrKind
	}
	if err := belongs(id, m, w); err != nil {
		return Caller{}, err
	}
	if err := m.holds(now); err != nil {
		return Caller{}, err
	}
	switch {
	case m.Role != as || m.For != nil:
		return Caller{}, ErrRole
	case !w.Active:
		return Caller{}, ErrWorksite
	}
	return Caller{audience: audience, identity: id, person: m.Person, name: m.Name, role: m.Role, worksite: w, admitted: now}, nil
}
