package smart

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"firebreak/auth"
	"firebreak/auth/internal/issued"
)

const standingGrant = `SELECT client, issuer, subject, person, name, worksite, acting_for, scope, patient FROM smart_grant
WHERE id = $1 AND ends > $2 AND revoked = 0`

var errStanding = fmt.Errorf("%w: what it stood on has ended", auth.ErrToken)

// Standing is the identity that st names, for as long as a request lasts: of a client
// that is registered still, of a person who did not take back what they granted. An
// error that is auth.ErrToken says that it has ended, or that the client may not go on;
// auth.ErrUnavailable, that it cannot be told now. own is nil where the gateway issues no tokens. Whether the
// client or person is active is the registry's to say.
func Standing(ctx context.Context, own *Server, st auth.Standing, now time.Time) (auth.Identity, error) {
	t := issued.Token{Issuer: st.Issuer, Subject: st.Subject, Client: st.Client, Scope: st.Scope, Expires: now}
	e, known := entry{}, false
	if own != nil {
		var err error
		if e, known, err = own.Clients.entry(ctx, st.Client); err != nil {
			return auth.Identity{}, fmt.Errorf("%w: %w", auth.ErrUnavailable, err)
		}
	}
	if st.Grant == "" { // a client that another issuer knows
		if st.Subject != st.Client || known && e.state != Active {
			return auth.Identity{}, errStanding
		}
		return auth.Issued(t), nil
	}
	c := e.client
	if c == nil || e.state != Active {
		return auth.Identity{}, errStanding
	}
	if st.Subject == st.Client { // its grants are its tokens' and end with them; it stands by being registered
		if !c.signs() || st.Issuer != own.Issuer {
			return auth.Identity{}, errStanding
		}
		t.Scope = own.narrowed(c, st.Scope)
		return auth.Issued(t), nil
	}
	var g grant
	err := own.DB.QueryRow(ctx, standingGrant, st.Grant, own.Now().UnixMicro()).
		Scan(&g.client, &g.issuer, &g.subject, &g.person, &g.name, &g.worksite, &g.actingFor, &g.scope, &g.patient)
	if errors.Is(err, sql.ErrNoRows) {
		return auth.Identity{}, errStanding
	}
	if err != nil {
		return auth.Identity{}, fmt.Errorf("%w: find a grant: %w", auth.ErrUnavailable, err)
	}
	if g.isSystem() || g.client != st.Client || g.issuer != st.Issuer || g.subject != st.Subject || g.patient != st.Patient || g.subject == g.client {
		return auth.Identity{}, errStanding
	}
	t.Name, t.Patient, t.Worksite, t.For, t.Grant = g.name, g.patient, g.worksite, g.actingFor, st.Grant
	t.Scope = own.narrowed(c, auth.Grant(st.Scope, g.scope))
	return auth.Issued(t), nil
}
