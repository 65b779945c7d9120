package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the database that is measured
)

// rawRate copies the rows of a record into a new file with the same tables,
// indexes and settings, and gives messages/s: what the database itself takes of
// these rows, without a gateway around it. It writes them as they came: 64
// messages, with the rows they brought, in one durable transaction, each row once
// and as it is in the end. The queue of messages that wait is empty by then, and
// what ingest changes in rows that are there is not in this.
func rawRate(ctx context.Context, from, to string) (float64, error) {
	for _, f := range []string{to, to + "-wal", to + "-shm"} {
		if err := os.Remove(f); err != nil && !errors.Is(err, os.ErrNotExist) {
			return 0, err
		}
	}
	src, err := sql.Open("sqlite", "file:"+from+"?mode=ro")
	if err != nil {
		return 0, err
	}
	defer src.Close()
	dst, err := sql.Open("sqlite", "file:"+to+"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=cache_size(-32768)")
	if err != nil {
		return 0, err
	}
	defer dst.Close()
	dst.SetMaxOpenConns(1)
	tables, messages, err := copySchema(ctx, src, dst)
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	for first := int64(1); first <= messages; first += 64 {
		tx, err := dst.BeginTx(ctx, nil)
		if err != nil {
			return 0, err
		}
		for i := range tables {
			t := &tables[i]
			stmt := tx.StmtContext(ctx, t.insert)
			for len(t.rows) > 0 && (t.rows[0].message < first+64 || first+64 > messages) {
				if _, err := stmt.ExecContext(ctx, t.rows[0].values...); err != nil {
					return 0, fmt.Errorf("%s: %w", t.name, err)
				}
				t.rows = t.rows[1:]
			}
		}
		if err := tx.Commit(); err != nil {
			return 0, err
		}
	}
	return float64(messages) / time.Since(begin).Seconds(), nil
}

// broughtBy gives, for a row x of each table, the number of the message that
// brought it; rows of others are the first message's.
var broughtBy = map[string]string{
	"inbox":   "x.id",
	"body":    "x.message",
	"version": "x.seq",
	"said":    "x.message",
	"link":    "x.seq",
	"reason":  "(SELECT message FROM body WHERE id = x.body)",
	"chart":   firstOfChart,
	"ident":   firstOfChart,
	"person":  firstOfChart,
	"alias":   firstOfChart,
}

const firstOfChart = "(SELECT MIN(seq) FROM version WHERE chart = x.chart)"

type table struct {
	name   string
	insert *sql.Stmt
	rows   []brought
}

// brought is a row and the message that brought it.
type brought struct {
	message int64
	values  []any
}

func copySchema(ctx context.Context, src, dst *sql.DB) (tables []table, messages int64, err error) {
	rows, err := src.QueryContext(ctx, `SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY type = 'index', rowid`)
	if err != nil {
		return nil, 0, err
	}
	var names []string
	for rows.Next() {
		var kind, name, text string
		if err := rows.Scan(&kind, &name, &text); err != nil {
			return nil, 0, err
		}
		if _, err := dst.ExecContext(ctx, text); err != nil {
			return nil, 0, err
		}
		if kind == "table" {
			names = append(names, name)
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, 0, err
	}
	for _, name := range names {
		t := table{name: name}
		if t.rows, err = all(ctx, src, name); err != nil {
			return nil, 0, err
		}
		if len(t.rows) == 0 {
			continue
		}
		marks := strings.TrimSuffix(strings.Repeat("?,", len(t.rows[0].values)), ",")
		if t.insert, err = dst.PrepareContext(ctx, "INSERT INTO "+name+" VALUES ("+marks+")"); err != nil {
			return nil, 0, err
		}
		if name == "inbox" {
			messages = t.rows[len(t.rows)-1].message
		}
		tables = append(tables, t)
	}
	if messages == 0 {
		return nil, 0, errors.New("the record holds no messages")
	}
	return tables, messages, nil
}

// all gives a table's rows in the order of the messages that brought them.
func all(ctx context.Context, db *sql.DB, name string) ([]brought, error) {
	by := broughtBy[name]
	if by == "" {
		by = "1"
	}
	rows, err := db.QueryContext(ctx, "SELECT COALESCE("+by+", 1), x.* FROM "+name+" x ORDER BY 1")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var out []brought
	for rows.Next() {
		row := brought{values: make([]any, len(columns)-1)}
		into := []any{&row.message}
		for i := range row.values {
			into = append(into, &row.values[i])
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		out = append(out, row)
	}
	return out, rows.Err()
}
