package access

import (
	"slices"
	"strings"
	"time"

	"firebreak/auth"
)

// treats tells whether id is for direct care, or says nothing else. There is no
// other purpose here: who states one is not admitted, for one as little as for
// several of which one is direct care.
func treats(id auth.Identity) bool {
	return !slices.ContainsFunc(id.Purposes(), func(p string) bool { return p != auth.Treatment })
}

// Refusal is why someone is not admitted. Each is one value, to compare with
// errors.Is; Error is for the log, Text for the person.
type Refusal struct{ reason, text string }

func (r *Refusal) Error() string { return "access: " + r.reason }

// Text is safe to show: it depends on the person's account, never on a record.
func (r *Refusal) Text() string { return r.text }

// The texts are those of the viewer's catalogue for "role may not open page"
// and "worksite not active".
const (
	notIncluded = "Your account does not include this page. Your site administrator can help."
	notCare     = "Records are opened here for direct care only."
	notYet      = "You cannot open records from this worksite yet. See what is still to do."
)

// Reasons not to admit, in the order in which they are looked for.
var (
	ErrNobody     = &Refusal{"no proven identity", notIncluded}
	ErrKind       = &Refusal{"a client where a person is needed, or the reverse", notIncluded}
	ErrPurpose    = &Refusal{"a purpose of use other than direct care", notCare}
	ErrLogin      = &Refusal{"the membership or client belongs to another account", notIncluded}
	ErrPlace      = &Refusal{"the membership is for another worksite", notIncluded}
	ErrInactive   = &Refusal{"the membership or client is not active", notIncluded}
	ErrEnded      = &Refusal{"the membership has ended", notIncluded}
	ErrRole       = &Refusal{"the role does not read records", notIncluded}
	ErrAuthorizer = &Refusal{"no practitioner authorises this at the worksite now", notIncluded}
	ErrWorksite   = &Refusal{"the worksite is not active", notYet}
	ErrChoose     = &Refusal{"more than one place to act and none chosen", notIncluded}
	ErrScope      = &Refusal{"the client is registered for nothing", notIncluded}
)

// Admit makes the caller for a person acting at a worksite in one membership.
//
// now is compared with Membership.Until (exclusive). The expiry of the identity
// was auth's to check, moments ago and by its own clock. An assistant needs m.For: an active membership of another person
// at the same worksite whose role may authorise. Any failure is a *Refusal
// and the zero Caller.
func Admit(id auth.Identity, m Membership, w Worksite, now time.Time) (Caller, error) {
	switch {
	case id.IsZero():
		return Caller{}, ErrNobody
	case id.IsClient():
		return Caller{}, ErrKind
	case !treats(id):
		return Caller{}, ErrPurpose
	}
	if err := belongs(id, m, w); err != nil {
		return Caller{}, err
	}
	if err := m.holds(now); err != nil {
		return Caller{}, err
	}
	if !m.Role.Clinical() {
		return Caller{}, ErrRole
	}
	if err := m.authorized(now); err != nil {
		return Caller{}, err
	}
	if !w.Active {
		return Caller{}, ErrWorksite
	}
	c := Caller{audience: Provider, identity: id, person: m.Person, name: m.Name, role: m.Role, worksite: w, purpose: auth.Treatment, admitted: now}
	if m.For != nil {
		f := *m.For
		c.onBehalf = &f
	}
	return c, nil
}

// belongs checks that the membership is this account's, and for this place.
func belongs(id auth.Identity, m Membership, w Worksite) error {
	switch {
	case m.Login != Login{id.Issuer(), id.Subject()}, m.Person == "":
		return ErrLogin
	case m.Worksite == "" || m.Worksite != w.ID:
		return ErrPlace
	case id.Worksite() != "" && id.Worksite() != w.ID:
		return ErrPlace // the token was given for another place
	}
	return nil
}

// holds tells whether the membership itself is in force.
func (m Membership) holds(now time.Time) error {
	switch {
	case !m.Active:
		return ErrInactive
	case !m.Until.IsZero() && !now.Before(m.Until):
		return ErrEnded
	}
	return nil
}

// authorized checks the practitioner acted for: needed by an assistant, out of
// place for everyone else.
func (m Membership) authorized(now time.Time) error {
	if m.Role != Assistant {
		if m.For != nil {
			return ErrAuthorizer
		}
		return nil
	}
	f := m.For
	if f == nil || f.Worksite != m.Worksite || f.Person == "" || f.Person == m.Person ||
		!f.Role.Authorizes() || f.For != nil || f.holds(now) != nil {
		return ErrAuthorizer
	}
	return nil
}

// AdmitClient makes the caller for a backend that acts for itself.
func AdmitClient(id auth.Identity, c Client, now time.Time) (Caller, error) {
	switch {
	case id.IsZero():
		return Caller{}, ErrNobody
	case !id.IsClient():
		return Caller{}, ErrKind
	case !treats(id):
		return Caller{}, ErrPurpose
	case c.ID != id.Client() || c.Issuer != id.Issuer():
		return Caller{}, ErrLogin
	case !c.Active:
		return Caller{}, ErrInactive
	}
	audience := c.Audience
	if audience == "" {
		audience = Backend
	}
	if audience != Backend && audience != Source && audience != Auditor || audience == Source && c.Source == "" || audience == Auditor && c.Source != "" {
		return Caller{}, ErrRole
	}
	limit := auth.ParseScopes(strings.Join(c.Scopes, " "))
	if len(limit) == 0 {
		return Caller{}, ErrScope
	}
	return Caller{audience: audience, identity: id, name: c.Name, client: c, limit: limit, purpose: auth.Treatment, admitted: now}, nil
}
