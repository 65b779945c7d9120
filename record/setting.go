package record

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"firebreak/internal/sqldb"
)

const (
	readSetting = `SELECT value FROM setting WHERE name = $1`
	setSetting  = `INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value`
)

// setting reads what the database keeps under a name into v, which stays as it
// is where nothing is kept.
func (r *Record) setting(ctx context.Context, name string, v any) error {
	var value []byte
	err := r.db.QueryRow(ctx, readSetting, name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(value, v)
	}
	if err != nil {
		return failed("read the setting "+name, err)
	}
	return nil
}

// set is the statement that keeps v under a name.
func set(name string, v any) (sqldb.Stmt, error) {
	value, err := json.Marshal(v)
	if err != nil {
		return sqldb.Stmt{}, failed("keep the setting "+name, err)
	}
	return sqldb.Stmt{SQL: setSetting, Args: []any{name, value}}, nil
}

// Keep keeps a text under a name and gives what it was before, "" where nothing
// was kept.
func (r *Record) Keep(ctx context.Context, name, text string) (before string, err error) {
	if err := r.setting(ctx, name, &before); err != nil || before == text {
		return before, err
	}
	keep, err := set(name, text)
	if err != nil {
		return before, err
	}
	return before, failed("keep the setting "+name, r.writer.exec(ctx, keep.SQL, keep.Args...))
}
