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
	switch {
	case id.IsZero():
		return Officer{}, ErrNobody
	case id.Client() != "": // apps and backends have no business here
		return Officer{}, ErrKind
	}
	if err := belongs(id, m, w); err != nil {
		return Officer{}, err
	}
	if err := m.holds(now); err != nil {
		return Officer{}, err
	}
	switch {
	case m.Role != PrivacyOfficer || m.For != nil:
		return Officer{}, ErrRole
	case !w.Active:
		return Officer{}, ErrWorksite
	}
	return Officer{Caller{audience: oversight, identity: id, person: m.Person, name: m.Name, role: m.Role, worksite: w, admitted: now}}, nil
}
