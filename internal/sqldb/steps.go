package sqldb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// steps runs statements on SQLite's writing connection without database/sql
// between: its locks, contexts and copies cost as much as the statements do.
type steps struct {
	prepared map[string]driver.Stmt
	args     []driver.NamedValue
	row      []driver.Value
}

// driverConn is what the SQLite driver's connection can do.
type driverConn interface {
	driver.Conn
	driver.ConnPrepareContext
}

// uncancelled is for the driver: a statement runs to its end.
var uncancelled = context.Background()

func (s *steps) run(c driverConn, x Stmt) error {
	stmt, err := s.statement(c, x.SQL)
	if err != nil {
		return err
	}
	s.args = s.args[:0]
	for i, v := range x.Args {
		switch v.(type) {
		case string, int64, []byte:
		default:
			if v, err = driver.DefaultParameterConverter.ConvertValue(v); err != nil {
				return fmt.Errorf("sqldb: argument %d: %w", i+1, err)
			}
		}
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	defer clear(s.args) // they may hold large bodies
	if x.Row != nil {
		return s.rows(stmt, x.Row)
	}
	res, err := stmt.(driver.StmtExecContext).ExecContext(uncancelled, s.args)
	if err == nil && x.ID != nil {
		*x.ID, err = res.LastInsertId()
	}
	return err
}

func (s *steps) rows(stmt driver.Stmt, row func(func(...any) error) error) (err error) {
	rows, err := stmt.(driver.StmtQueryContext).QueryContext(uncancelled, s.args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	values := s.row[:0]
	for range rows.Columns() {
		values = append(values, nil)
	}
	s.row = values
	for {
		switch err := rows.Next(values); err {
		case nil:
		case io.EOF:
			return nil
		default:
			return err
		}
		if err := row(func(dest ...any) error { return scan(values, dest) }); err != nil {
			return err
		}
	}
}

// scan copies a row to its destinations; NULL has none.
func scan(values []driver.Value, dest []any) error {
	if len(values) != len(dest) {
		return fmt.Errorf("sqldb: %d columns for %d variables", len(values), len(dest))
	}
	for i, v := range values {
		ok := false
		switch d := dest[i].(type) {
		case *int64:
			*d, ok = v.(int64)
		case *string:
			*d, ok = v.(string)
		case *[]byte:
			*d, ok = v.([]byte)
			ok = ok || v == nil // so the driver gives an empty value
		}
		if !ok {
			return fmt.Errorf("sqldb: column %d: %T does not fit %T", i+1, v, dest[i])
		}
	}
	return nil
}

func (s *steps) statement(c driverConn, text string) (driver.Stmt, error) {
	if stmt := s.prepared[text]; stmt != nil {
		return stmt, nil
	}
	stmt, err := c.PrepareContext(uncancelled, forSQLite(text))
	if err != nil {
		return nil, fmt.Errorf("sqldb: prepare: %w", err)
	}
	if s.prepared == nil {
		s.prepared = map[string]driver.Stmt{}
	}
	s.prepared[text] = stmt
	return stmt, nil
}

func (s *steps) close() error {
	var errs []error
	for _, stmt := range s.prepared {
		errs = append(errs, stmt.Close())
	}
	s.prepared = nil
	return errors.Join(errs...)
}

// forSQLite writes a statement so that SQLite runs it as fast as it can. A bound
// LIMIT it would prepare anew each time, to plan by its value: 0+ hides that.
// And $1, $2, $3 are names to it, which the driver looks up each time: they
// become ?, ?, ? where they come in this order and once each.
func forSQLite(text string) string {
	text = strings.ReplaceAll(text, "LIMIT $", "LIMIT 0+$")
	parts := strings.Split(text, "$")
	for i, part := range parts[1:] {
		number := strconv.Itoa(i + 1)
		rest, ok := strings.CutPrefix(part, number)
		if !ok || rest != "" && rest[0] >= '0' && rest[0] <= '9' {
			return text
		}
		parts[i+1] = rest
	}
	return strings.Join(parts, "?")
}
