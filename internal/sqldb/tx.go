package sqldb

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Tx is a transaction in progress, for one goroutine.
type Tx struct {
	run func(ctx context.Context, text string) (runner, error)
	raw func(func(driverConn any) error) error // the driver's connection; nil in a Snapshot
	own *steps                                 // SQLite's statements on it; nil elsewhere

	watch func(text string, args []any) // told of what changes data; may be nil
}

// Watch has f told of every statement of Exec and Batch before it runs.
func (t *Tx) Watch(f func(text string, args []any)) { t.watch = f }

// runner is a statement within a transaction.
type runner interface {
	ExecContext(ctx context.Context, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, args ...any) *sql.Row
}

// direct is a statement that the driver prepares and keeps by itself.
type direct struct {
	tx   *sql.Tx
	text string
}

func (d direct) ExecContext(ctx context.Context, args ...any) (sql.Result, error) {
	return d.tx.ExecContext(ctx, d.text, args...)
}
func (d direct) QueryContext(ctx context.Context, args ...any) (*sql.Rows, error) {
	return d.tx.QueryContext(ctx, d.text, args...)
}
func (d direct) QueryRowContext(ctx context.Context, args ...any) *sql.Row {
	return d.tx.QueryRowContext(ctx, d.text, args...)
}

// Stmt is one statement of a Batch.
type Stmt struct {
	SQL  string
	Args []any
	Row  func(scan func(dest ...any) error) error // called for each row, if not nil; dest are *string, *int64, *[]byte
	ID   *int64                                   // set to the column id of the one row that an INSERT adds; not with Row
}

// Batch runs the statements in order, within Write. PostgreSQL gets them in one
// round trip.
func (t *Tx) Batch(ctx context.Context, stmts []Stmt) error {
	if len(stmts) == 0 {
		return nil
	}
	if t.watch != nil {
		for _, s := range stmts {
			t.watch(s.SQL, s.Args)
		}
	}
	return t.raw(func(c any) error {
		if t.own == nil {
			return pipeline(ctx, c.(*stdlib.Conn).Conn(), stmts)
		}
		for _, s := range stmts {
			if err := t.own.run(c.(driverConn), s); err != nil {
				return err
			}
		}
		return nil
	})
}

// Each reads all rows of one statement.
func (t *Tx) Each(ctx context.Context, row func(scan func(dest ...any) error) error, text string, args ...any) error {
	rows, err := t.Query(ctx, text, args...)
	if err != nil {
		return err
	}
	return each(rows, row)
}

func each(rows *sql.Rows, row func(scan func(dest ...any) error) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

func pipeline(ctx context.Context, c *pgx.Conn, stmts []Stmt) error {
	var b pgx.Batch
	for _, s := range stmts {
		if s.ID != nil {
			s.SQL += " RETURNING id"
		}
		b.Queue(s.SQL, s.Args...)
	}
	res := c.SendBatch(ctx, &b)
	for _, s := range stmts {
		row := s.Row
		if s.ID != nil {
			row = func(scan func(...any) error) error { return scan(s.ID) }
		}
		rows, err := res.Query()
		if err == nil {
			for rows.Next() {
				if row == nil {
					continue
				}
				if err = row(rows.Scan); err != nil {
					break
				}
			}
			rows.Close()
			if err == nil {
				err = rows.Err()
			}
		}
		if err != nil {
			res.Close()
			return err
		}
	}
	return res.Close()
}

// Exec runs a statement and tells how many rows it changed. The text must be
// constant: it is kept prepared.
func (t *Tx) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	if t.watch != nil {
		t.watch(text, args)
	}
	stmt, err := t.run(ctx, text)
	if err != nil {
		return 0, err
	}
	res, err := stmt.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// Query reads within the transaction; as DB.Query.
func (t *Tx) Query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	stmt, err := t.run(ctx, text)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

// QueryRow reads one row within the transaction.
func (t *Tx) QueryRow(ctx context.Context, text string, args ...any) Row {
	stmt, err := t.run(ctx, text)
	if err != nil {
		return Row{err: err}
	}
	return Row{row: stmt.QueryRowContext(ctx, args...)}
}
