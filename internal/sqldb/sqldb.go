// Package sqldb opens SQLite and PostgreSQL alike: one way to write, one way to
// read, the same SQL for both. What differs between the two is in dialect.go.
//
// SQL is written with $1 placeholders, ON CONFLICT and RETURNING, which both
// understand. Values are string, int64 and []byte only: the two agree on those.
package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// DB is an open database. It is safe for many goroutines.
type DB struct {
	d      dialect
	pool   *sql.DB // reads, and on PostgreSQL writes
	one    *writer // SQLite's one writing connection; nil on PostgreSQL
	broken atomic.Pointer[error]
	path   string   // of SQLite's file
	claim  *os.File // locked while the database is ours alone; nil when it is not
	writes atomic.Uint64

	mu       sync.Mutex
	prepared map[string]*sql.Stmt // on pool, for SQLite: pgx keeps its own
}

// Open opens the database that dsn names and applies the migrations it lacks.
//
// dsn is "postgres://..." or "postgresql://..." (any pgx setting may follow),
// "sqlite:PATH" or a plain path. A new SQLite file gets mode 0600; it runs in
// WAL with synchronous=FULL, so that a commit survives power loss. schema names
// the set of migrations, files "NNN_name.sql" in the root of migrations: several
// sets may live in one database. A database that is newer than the migrations
// is refused.
func Open(ctx context.Context, dsn, schema string, migrations fs.FS) (*DB, error) {
	db, err := open(dsn)
	if err != nil {
		return nil, err
	}
	if err := db.migrate(ctx, schema, migrations); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// Close closes the database; on SQLite this folds the write-ahead log in.
func (db *DB) Close() error {
	err := db.pool.Close()
	if db.one != nil {
		err = errors.Join(err, db.one.close())
	}
	if db.claim != nil {
		err = errors.Join(err, db.claim.Close())
	}
	return err
}

// Postgres tells which of the two it is, for tests and for the operator.
func (db *DB) Postgres() bool { return db.d.postgres }

// Hold is what ends a SELECT within Write whose rows other writers must leave
// alone until the commit: " FOR UPDATE", or nothing where there is one writer.
func (db *DB) Hold() string { return db.d.hold }

// Query reads outside any transaction. The text must be constant: it is kept
// prepared.
func (db *DB) Query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	if db.one == nil {
		return db.pool.QueryContext(ctx, text, args...)
	}
	stmt, err := db.statement(ctx, text)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

// Each reads all rows of one statement outside any transaction; as Query.
func (db *DB) Each(ctx context.Context, row func(scan func(dest ...any) error) error, text string, args ...any) error {
	rows, err := db.Query(ctx, text, args...)
	if err != nil {
		return err
	}
	return each(rows, row)
}

// QueryRow reads one row outside any transaction; as Query.
func (db *DB) QueryRow(ctx context.Context, text string, args ...any) Row {
	if db.one == nil {
		return Row{row: db.pool.QueryRowContext(ctx, text, args...)}
	}
	stmt, err := db.statement(ctx, text)
	if err != nil {
		return Row{err: err}
	}
	return Row{row: stmt.QueryRowContext(ctx, args...)}
}

// Row is the one row of QueryRow; Scan gives sql.ErrNoRows when there is none.
type Row struct {
	row *sql.Row
	err error
}

func (r Row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	return r.row.Scan(dest...)
}

// Snapshot runs f with reads that all see the database at one moment.
func (db *DB) Snapshot(ctx context.Context, f func(*Tx) error) error {
	tx, err := db.pool.BeginTx(ctx, &sql.TxOptions{ReadOnly: db.one == nil, Isolation: db.d.snapshot})
	if err != nil {
		return fmt.Errorf("sqldb: read: %w", err)
	}
	defer tx.Rollback()
	return f(&Tx{run: func(ctx context.Context, text string) (runner, error) {
		if db.one == nil {
			return direct{tx, text}, nil
		}
		stmt, err := db.statement(ctx, text)
		if err != nil {
			return nil, err
		}
		return tx.StmtContext(ctx, stmt), nil
	}})
}

// tries is how often a transaction is run that others undo.
const tries = 10

// Write runs f in one transaction and commits it durably. When two writers
// met (a deadlock, a busy file) it runs f again, so f must only touch the
// database and variables that it sets anew. After a failed flush to disk every
// later Write fails: what the disk then holds is unknown until the file is
// opened again.
func (db *DB) Write(ctx context.Context, f func(*Tx) error) error {
	for try := 1; ; try++ {
		if e := db.broken.Load(); e != nil {
			return *e
		}
		err := db.writeOnce(ctx, f)
		db.writes.Add(1)
		switch {
		case err == nil:
			return nil
		case db.d.fatal(err):
			err = fmt.Errorf("sqldb: the disk failed; reopen the database: %w", err)
			db.broken.CompareAndSwap(nil, &err)
			return err
		case try == tries || !db.d.again(err):
			return err
		}
		select { // unevenly, so that the two do not meet again
		case <-time.After(rand.N(time.Duration(try) * 20 * time.Millisecond)):
		case <-ctx.Done():
			return err
		}
	}
}

// Broken is the failure that stopped all writing, if there was one.
func (db *DB) Broken() error {
	if e := db.broken.Load(); e != nil {
		return *e
	}
	return nil
}

func (db *DB) writeOnce(ctx context.Context, f func(*Tx) error) error {
	if db.one != nil {
		return db.one.transact(ctx, f)
	}
	conn, err := db.pool.Conn(ctx)
	if err != nil {
		return fmt.Errorf("sqldb: write: %w", err)
	}
	defer conn.Close()
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("sqldb: begin: %w", err)
	}
	defer tx.Rollback()
	err = f(&Tx{raw: conn.Raw, run: func(_ context.Context, text string) (runner, error) {
		return direct{tx, text}, nil
	}})
	if err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("sqldb: commit: %w", err)
	}
	return nil
}

// statement is text prepared on the pool, once.
func (db *DB) statement(ctx context.Context, text string) (*sql.Stmt, error) {
	db.mu.Lock()
	stmt := db.prepared[text]
	db.mu.Unlock()
	if stmt != nil {
		return stmt, nil
	}
	stmt, err := db.pool.PrepareContext(ctx, forSQLite(text))
	if err != nil {
		return nil, fmt.Errorf("sqldb: prepare: %w", err)
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if old := db.prepared[text]; old != nil {
		stmt.Close()
		return old, nil
	}
	db.prepared[text] = stmt
	return stmt, nil
}
