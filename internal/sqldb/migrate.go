package sqldb

import (
	"context"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
)

// Migrations are plain SQL with five words that differ by database: @serial (a
// primary key that the database counts up), @number (one that it does not),
// @key (text compared bytewise), @bytes, and @clustered (behind a table whose
// rows lie in key order).
// Statements end with ";" at the end of a line. A released file never changes.

var migrationName = regexp.MustCompile(`^([0-9]{3})_[a-z0-9_]+\.sql$`)

func (db *DB) migrate(ctx context.Context, schema string, files fs.FS) error {
	if !regexp.MustCompile(`^[a-z]+$`).MatchString(schema) {
		return fmt.Errorf("sqldb: %q cannot name a set of migrations", schema)
	}
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return fmt.Errorf("sqldb: migrations: %w", err)
	}
	table := schema + "_migration"
	return db.Write(ctx, func(tx *Tx) error {
		if db.d.lock != "" {
			if _, err := tx.Exec(ctx, db.d.lock); err != nil {
				return fmt.Errorf("sqldb: migrate: %w", err)
			}
		}
		if _, err := tx.Exec(ctx, "CREATE TABLE IF NOT EXISTS "+table+" (number BIGINT PRIMARY KEY, name TEXT NOT NULL)"); err != nil {
			return fmt.Errorf("sqldb: migrate: %w", err)
		}
		var done int64
		if err := tx.QueryRow(ctx, "SELECT COALESCE(MAX(number), 0) FROM "+table).Scan(&done); err != nil {
			return fmt.Errorf("sqldb: migrate: %w", err)
		}
		var last int64
		for _, e := range entries {
			m := migrationName.FindStringSubmatch(e.Name())
			if m == nil {
				return fmt.Errorf("sqldb: migration %s: want NNN_name.sql", e.Name())
			}
			n, _ := strconv.ParseInt(m[1], 10, 64)
			if n != last+1 {
				return fmt.Errorf("sqldb: migration %s: number %d is missing", e.Name(), last+1)
			}
			if last = n; n <= done {
				continue
			}
			text, err := fs.ReadFile(files, e.Name())
			if err != nil {
				return fmt.Errorf("sqldb: migration %s: %w", e.Name(), err)
			}
			for _, s := range statements(db.d.words.Replace(string(text))) {
				if _, err := tx.Exec(ctx, s); err != nil {
					return fmt.Errorf("sqldb: migration %s: %w", e.Name(), err)
				}
			}
			if _, err := tx.Exec(ctx, "INSERT INTO "+table+" (number, name) VALUES ($1, $2)", n, e.Name()); err != nil {
				return fmt.Errorf("sqldb: migration %s: %w", e.Name(), err)
			}
		}
		if done > last {
			return fmt.Errorf("sqldb: the database is at migration %d, this program knows %d: it is too old", done, last)
		}
		return nil
	})
}

// statements splits a migration at ";" that end a line, and drops comments.
func statements(text string) []string {
	var out []string
	var b strings.Builder
	for line := range strings.Lines(text) {
		if before, _, ok := strings.Cut(line, "--"); ok {
			line = before + "\n"
		}
		b.WriteString(line)
		if strings.HasSuffix(strings.TrimRight(line, " \t\r\n"), ";") {
			out = append(out, strings.TrimSpace(b.String()))
			b.Reset()
		}
	}
	if rest := strings.TrimSpace(b.String()); rest != "" {
		out = append(out, rest)
	}
	return out
}
