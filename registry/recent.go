package registry

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"firebreak/internal/sqldb"
)

//go:embed desk/*.sql
var deskMigrations embed.FS

// Desk keeps what a person comes back to: the charts opened lately, by
// worksite (PX-15), and how pages should look. It holds the record's opaque
// ids of patients and no more of them; whether a chart may still be opened is
// asked anew each time.
type Desk struct {
	db  *sqldb.DB
	now func() time.Time
}

// keepRecent is how many charts a person finds again at one worksite (PX-15).
const keepRecent = 20

// NewDesk makes its tables in the accounts database.
func NewDesk(ctx context.Context, db *sqldb.DB, now func() time.Time) (*Desk, error) {
	files, err := fs.Sub(deskMigrations, "desk")
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	if err := db.Migrate(ctx, "desk", files); err != nil {
		return nil, fmt.Errorf("registry: desk: %w", err)
	}
	if now == nil {
		now = time.Now
	}
	return &Desk{db, now}, nil
}

const upsertRecent = `INSERT INTO registry_recent (person, worksite, patient, seen) VALUES ($1, $2, $3, $4)
ON CONFLICT (person, worksite, patient) DO UPDATE SET seen = excluded.seen`

const trimRecent = `DELETE FROM registry_recent WHERE person = $1 AND worksite = $2 AND patient NOT IN (
SELECT patient FROM registry_recent WHERE person = $1 AND worksite = $2 ORDER BY seen DESC, patient LIMIT $3)`

// Opened notes that the person opened a chart at the worksite.
func (d *Desk) Opened(ctx context.Context, person, worksite, patient string) error {
	err := d.db.Write(ctx, func(tx *sqldb.Tx) error {
		if _, err := tx.Exec(ctx, upsertRecent, person, worksite, patient, d.now().UnixMicro()); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, trimRecent, person, worksite, keepRecent)
		return err
	})
	if err != nil {
		return fmt.Errorf("registry: desk: %w", err)
	}
	return nil
}

// Seen is a chart that was opened, and when last.
type Seen struct {
	Patient string
	At      time.Time
}

// Recent are the charts the person opened last at the worksite, latest first,
// at most twenty.
func (d *Desk) Recent(ctx context.Context, person, worksite string) (all []Seen, err error) {
	err = d.db.Each(ctx, func(scan func(...any) error) error {
		var s Seen
		var at int64
		err := scan(&s.Patient, &at)
		s.At = time.UnixMicro(at)
		all = append(all, s)
		return err
	}, `SELECT patient, seen FROM registry_recent WHERE person = $1 AND worksite = $2
ORDER BY seen DESC, patient LIMIT $3`, person, worksite, keepRecent)
	if err != nil {
		return nil, fmt.Errorf("registry: desk: %w", err)
	}
	return all, nil
}

// Setting is how the person wants pages, as Keep was given it; empty for
// someone who never said.
func (d *Desk) Setting(ctx context.Context, person string) (string, error) {
	var value string
	err := d.db.QueryRow(ctx, `SELECT value FROM registry_setting WHERE person = $1`, person).Scan(&value)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("registry: desk: %w", err)
	}
	return value, nil
}

// Keep remembers how the person wants pages.
func (d *Desk) Keep(ctx context.Context, person, value string) error {
	err := d.db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO registry_setting (person, value) VALUES ($1, $2)
ON CONFLICT (person) DO UPDATE SET value = excluded.value`, person, value)
		return err
	})
	if err != nil {
		return fmt.Errorf("registry: desk: %w", err)
	}
	return nil
}
