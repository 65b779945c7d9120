package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
)

// writer is the one connection that writes to a SQLite file, with its prepared
// statements. It is held for good, for a statement dies with its connection.
type writer struct {
	db *sql.DB

	mu       sync.Mutex // one transaction at a time
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
	own      steps
}

// transact runs f in a transaction. The context's end does not interrupt it:
// it is short, and an interrupted connection would have to be thrown away.
func (w *writer) transact(ctx context.Context, f func(*Tx) error) (err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	if w.conn == nil {
		if w.conn, err = w.db.Conn(ctx); err != nil {
			return fmt.Errorf("sqldb: write: %w", err)
		}
		w.prepared = map[string]*sql.Stmt{}
	}
	defer func() {
		if errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) {
			w.release()
		}
	}()
	tx, err := w.conn.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("sqldb: begin: %w", err)
	}
	defer tx.Rollback()
	err = f(&Tx{raw: w.conn.Raw, own: &w.own, run: func(_ context.Context, text string) (runner, error) {
		stmt := w.prepared[text]
		if stmt == nil {
			if stmt, err = w.conn.PrepareContext(ctx, forSQLite(text)); err != nil {
				return nil, fmt.Errorf("sqldb: prepare: %w", err)
			}
			w.prepared[text] = stmt
		}
		return uninterrupted{stmt}, nil
	}})
	if err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("sqldb: commit: %w", err)
	}
	return nil
}

// uninterrupted runs a statement to its end, whatever the context.
type uninterrupted struct{ *sql.Stmt }

func (u uninterrupted) ExecContext(ctx context.Context, args ...any) (sql.Result, error) {
	return u.Stmt.ExecContext(context.WithoutCancel(ctx), args...)
}
func (u uninterrupted) QueryContext(ctx context.Context, args ...any) (*sql.Rows, error) {
	return u.Stmt.QueryContext(context.WithoutCancel(ctx), args...)
}
func (u uninterrupted) QueryRowContext(ctx context.Context, args ...any) *sql.Row {
	return u.Stmt.QueryRowContext(context.WithoutCancel(ctx), args...)
}

func (w *writer) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.release(), w.db.Close())
}

// release gives the connection back. database/sql leaves the statements that
// were prepared on a held connection to us; with one of them open, SQLite keeps
// the file open and never folds the write-ahead log in.
func (w *writer) release() error {
	if w.conn == nil {
		return nil
	}
	var errs []error
	for _, stmt := range w.prepared {
		errs = append(errs, stmt.Close())
	}
	errs = append(errs, w.own.close(), w.conn.Close())
	w.conn, w.prepared = nil, nil
	return errors.Join(errs...)
}
