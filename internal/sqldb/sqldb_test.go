package sqldb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"firebreak/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

var ctx = context.Background()

// both runs f on an empty database of each kind. reopen opens it again.
func both(t *testing.T, f func(t *testing.T, dsn string)) {
	t.Run("sqlite", func(t *testing.T) { f(t, "sqlite:"+filepath.Join(t.TempDir(), "a b?.db")) })
	t.Run("postgres", func(t *testing.T) { f(t, pgtest.DSN(t)) })
}

func files(texts ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for i, s := range texts {
		m[fmt.Sprintf("%03d_step.sql", i+1)] = &fstest.MapFile{Data: []byte(s)}
	}
	return m
}

const one = `-- a comment; with a semicolon
CREATE TABLE thing (k @key, n BIGINT NOT NULL, body @bytes, PRIMARY KEY (k)) @clustered;
CREATE TABLE row (id @serial, what TEXT NOT NULL);
`

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestMigrationsRunOnceAndForwardOnly(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		for range 2 {
			db, err := Open(ctx, dsn, "test", files(one))
			must(t, err)
			must(t, db.Close())
		}
		db, err := Open(ctx, dsn, "test", files(one, "INSERT INTO thing (k, n) VALUES ('made by 2', 2);"))
		must(t, err)
		var n int64
		must(t, db.QueryRow(ctx, "SELECT n FROM thing").Scan(&n))
		must(t, db.Close())
		if _, err := Open(ctx, dsn, "test", files(one)); err == nil {
			t.Error("a database newer than the program was opened")
		}
		other, err := Open(ctx, dsn, "other", files("CREATE TABLE elsewhere (n BIGINT);"))
		must(t, err)
		must(t, other.Close())
	})
}

func TestMigrationsOfTwoNodesAtOnce(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				db, err := Open(ctx, dsn, "test", files(one))
				if err != nil {
					t.Error(err)
					return
				}
				db.Close()
			})
		}
		wg.Wait()
	})
}

func TestBrokenMigrationLeavesNothing(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		if _, err := Open(ctx, dsn, "test", files(one+"CREATE TABLE thing (k TEXT);\n")); err == nil {
			t.Fatal("the same table was made twice")
		}
		db, err := Open(ctx, dsn, "test", files(one))
		must(t, err)
		must(t, db.Close())
	})
}

func TestWriteIsAllOrNothing(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		db, err := Open(ctx, dsn, "test", files(one))
		must(t, err)
		defer db.Close()
		stop := errors.New("stop")
		err = db.Write(ctx, func(tx *Tx) error {
			if _, err := tx.Exec(ctx, "INSERT INTO thing (k, n) VALUES ($1, $2)", "a", int64(1)); err != nil {
				return err
			}
			return stop
		})
		if !errors.Is(err, stop) {
			t.Errorf("got %v", err)
		}
		var n int64
		must(t, db.QueryRow(ctx, "SELECT COUNT(*) FROM thing").Scan(&n))
		if n != 0 {
			t.Error("what was undone is there")
		}
	})
}

func TestBatchKeepsOrderAndReturnsRows(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		db, err := Open(ctx, dsn, "test", files(one))
		must(t, err)
		defer db.Close()
		body := []byte{0, 1, 255, '\n'}
		var ids []int64
		must(t, db.Write(ctx, func(tx *Tx) error {
			ids = nil
			var stmts []Stmt
			for i := range 50 {
				stmts = append(stmts,
					Stmt{SQL: "INSERT INTO thing (k, n, body) VALUES ($1, $2, $3)", Args: []any{fmt.Sprint(i), int64(i), body}},
					Stmt{SQL: "INSERT INTO row (what) VALUES ($1) RETURNING id", Args: []any{"x"}, Row: func(scan func(...any) error) error {
						var id int64
						err := scan(&id)
						ids = append(ids, id)
						return err
					}})
			}
			return tx.Batch(ctx, stmts)
		}))
		if len(ids) != 50 {
			t.Fatalf("%d ids", len(ids))
		}
		for i := 1; i < len(ids); i++ {
			if ids[i] <= ids[i-1] {
				t.Fatal("numbers do not count up")
			}
		}
		var got []byte
		must(t, db.Snapshot(ctx, func(tx *Tx) error {
			return tx.QueryRow(ctx, "SELECT body FROM thing WHERE k = $1", "7").Scan(&got)
		}))
		if string(got) != string(body) {
			t.Errorf("bytes came back as %q", got)
		}
	})
}

func TestWritersInParallel(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		var dbs []*DB
		for range 2 { // as two processes would
			db, err := Open(ctx, dsn, "test", files(one))
			must(t, err)
			defer db.Close()
			dbs = append(dbs, db)
		}
		must(t, dbs[0].Write(ctx, func(tx *Tx) error {
			_, err := tx.Exec(ctx, "INSERT INTO thing (k, n) VALUES ('a', 0), ('b', 0)")
			return err
		}))
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				keys := [2]string{"a", "b"}
				if i%2 == 1 {
					keys = [2]string{"b", "a"} // deadlocks, which Write resolves
				}
				for range 5 {
					err := dbs[i%2].Write(ctx, func(tx *Tx) error {
						for _, k := range keys {
							if _, err := tx.Exec(ctx, "UPDATE thing SET n = n + 1 WHERE k = $1", k); err != nil {
								return err
							}
						}
						return nil
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		var n int64
		must(t, dbs[0].QueryRow(ctx, "SELECT SUM(n) FROM thing").Scan(&n))
		if n != 40 {
			t.Errorf("sum %d, want 40", n)
		}
	})
}

func TestSQLiteFileIsPrivateAndDurable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db, err := Open(ctx, path, "test", files(one))
	must(t, err)
	defer db.Close()
	for _, suffix := range []string{"", "-wal"} {
		info, err := os.Stat(path + suffix)
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", suffix, info.Mode())
		}
	}
	var mode string
	var sync int64
	must(t, db.Write(ctx, func(tx *Tx) error {
		if err := tx.QueryRow(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
			return err
		}
		return tx.QueryRow(ctx, "PRAGMA synchronous").Scan(&sync)
	}))
	if mode != "wal" || sync != 2 {
		t.Errorf("journal_mode %s, synchronous %d", mode, sync)
	}
	if _, err := db.Query(ctx, "DELETE FROM thing RETURNING k"); err == nil {
		rows, _ := db.Query(ctx, "DELETE FROM thing RETURNING k")
		rows.Next()
		if rows.Err() == nil {
			t.Error("a reading connection writes")
		}
		rows.Close()
	}
}

func TestErrorsDoNotQuoteTheAddress(t *testing.T) {
	for _, dsn := range []string{"postgres://u:geheim@[bad/x", "", "mysql://u:geheim@h/x"} {
		_, err := Open(ctx, dsn, "test", files(one))
		if err == nil {
			t.Errorf("%q was opened", dsn)
		} else if strings.Contains(err.Error(), "geheim") {
			t.Errorf("%q", err)
		}
	}
}

// SQLite is given statements as it runs them fastest, with the same meaning.
func TestStatementsForSQLite(t *testing.T) {
	for text, want := range map[string]string{
		"SELECT a FROM b WHERE c = $1 AND d > $2":    "SELECT a FROM b WHERE c = ? AND d > ?",
		"SELECT a FROM b WHERE c = $1 LIMIT $2":      "SELECT a FROM b WHERE c = ? LIMIT 0+?",
		"SELECT a FROM b LIMIT 200":                  "SELECT a FROM b LIMIT 200",
		"SELECT a FROM b WHERE c = $1 OR d = $1":     "SELECT a FROM b WHERE c = $1 OR d = $1",
		"SELECT a FROM b WHERE c = $2 AND d = $1":    "SELECT a FROM b WHERE c = $2 AND d = $1",
		"SELECT a FROM b WHERE c = $1 AND d IN ($12": "SELECT a FROM b WHERE c = $1 AND d IN ($12",
	} {
		if got := forSQLite(text); got != want {
			t.Errorf("%s becomes %s, want %s", text, got, want)
		}
	}
}
