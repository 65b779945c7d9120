package sqldb

import (
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
)

// After Close a SQLite database is one file, so that a copy of it is whole.
func TestCloseFoldsTheLogIn(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(t.Context(), filepath.Join(dir, "x.db"), "x", fstest.MapFS{"001_x.sql": {Data: []byte("CREATE TABLE x (n BIGINT);")}})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Write(t.Context(), func(tx *Tx) error {
		_, err := tx.Exec(t.Context(), "INSERT INTO x (n) VALUES (1)")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := db.Query(t.Context(), "SELECT n FROM x")
	if err != nil {
		t.Fatal(err)
	}
	rows.Close()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("%d files are left (%v), want one", len(files), err)
	}
}
