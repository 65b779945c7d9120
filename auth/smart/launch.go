package smart

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"firebreak/internal/sqldb"
)

// launchLife is how long an app has from the press to its request.
const launchLife = 5 * time.Minute

// App is one that can be launched from a chart.
type App struct{ ID, Name, Launch string }

// Gallery are the apps that people of a role are offered on a chart, by name.
func (s *Server) Gallery(ctx context.Context, role string) (all []App, err error) {
	known, err := s.Clients.all(ctx)
	if err != nil {
		return nil, err
	}
	for _, e := range known {
		c := e.client
		if e.state == Active && c != nil && c.Launch != "" && (len(c.Roles) == 0 || slices.Contains(c.Roles, role)) {
			all = append(all, App{c.ID, c.Name, c.Launch})
		}
	}
	slices.SortFunc(all, func(a, b App) int { return strings.Compare(a.Name+"\x00"+a.ID, b.Name+"\x00"+b.ID) })
	return all, nil
}

// Launch notes that an app is launched in a session, with a patient and perhaps a
// visit that the person may see, and gives where the browser goes: to the app, which
// comes back to Authorize with the launch, once, within minutes. Whoever is signed in
// in another session cannot answer for it.
//
// Source: SMART App Launch 2.2.0, "Launch App: EHR Launch".
func (s *Server) Launch(ctx context.Context, app App, session, patient, encounter string) (string, error) {
	to, err := url.Parse(app.Launch)
	if err != nil || session == "" || patient == "" {
		return "", fmt.Errorf("smart: launch: %w", errors.Join(err, ErrGone))
	}
	id := s.newSecret()
	err = s.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if err := s.sweep(ctx, tx); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO smart_launch (id, client, session, patient, encounter, expires) VALUES ($1, $2, $3, $4, $5, $6)`,
			hashed(id), app.ID, session, patient, encounter, s.Now().Add(launchLife).UnixMicro())
		return err
	})
	if err != nil {
		return "", fmt.Errorf("smart: launch: %w", err)
	}
	q := to.Query()
	q.Set("iss", s.Base+"/fhir")
	q.Set("launch", id)
	to.RawQuery = q.Encode()
	return to.String(), nil
}

var errNoLaunch = errors.New("smart: no such launch")

// noLaunch is why; apps show it to the person.
var noLaunch = refuse("invalid_request", "This launch was used already, or is older than five minutes. Open the app again from the chart.")

// launched uses up a launch of the client's and puts what it knows into the request;
// errNoLaunch when there is none.
func (s *Server) launched(ctx context.Context, tx *sqldb.Tx, launch string, p *pending) error {
	err := tx.QueryRow(ctx, `DELETE FROM smart_launch WHERE id = $1 AND client = $2 AND expires > $3 RETURNING session, patient, encounter`,
		hashed(launch), p.client, s.Now().UnixMicro()).Scan(&p.session, &p.patient, &p.encounter)
	if errors.Is(err, sql.ErrNoRows) {
		return errNoLaunch
	}
	return err
}
