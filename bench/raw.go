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

// rawRate copies the rows of a record into a new file with the same tables, in
// durable groups of 64 messages, and gives messages/s: what the database
// itself takes of exactly these rows, without a gateway around it.
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
	dst, err := sql.Open("sqlite", "file:"+to+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		return 0, err
	}
	defer dst.Close()
	dst.SetMaxOpenConns(1)
	tables, messages, err := copySchema(ctx, src, dst)
	if err != nil {
		return 0, err
	}
	groups := (messages + 63) / 64
	begin := time.Now()
	for g := range groups {
		tx, err := dst.BeginTx(ctx, nil)
		if err != nil {
			return 0, err
		}
		for _, t := range tables {
			stmt := tx.StmtContext(ctx, t.insert)
			for _, row := range t.rows[len(t.rows)*g/groups : len(t.rows)*(g+1)/groups] {
				if _, err := stmt.ExecContext(ctx, row...); err != nil {
					return 0, fmt.Errorf("%s: %w", t.name, err)
				}
			}
		}
		if err := tx.Commit(); err != nil {
			return 0, err
		}
	}
	return float64(messages) / time.Since(begin).Seconds(), nil
}

type table struct {
	name   string
	insert *sql.Stmt
	rows   [][]any
}

func copySchema(ctx context.Context, src, dst *sql.DB) (tables []table, messages int, err error) {
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
		marks := strings.TrimSuffix(strings.Repeat("?,", len(t.rows[0])), ",")
		if t.insert, err = dst.PrepareContext(ctx, "INSERT INTO "+name+" VALUES ("+marks+")"); err != nil {
			return nil, 0, err
		}
		if name == "inbox" {
			messages = len(t.rows)
		}
		tables = append(tables, t)
	}
	if messages == 0 {
		return nil, 0, errors.New("the record holds no messages")
	}
	return tables, messages, nil
}

func all(ctx context.Context, db *sql.DB, name string) ([][]any, error) {
	rows, err := db.QueryContext(ctx, "SELECT * FROM "+name+" ORDER BY rowid")
	if err != nil { // a table without rowid
		if rows, err = db.QueryContext(ctx, "SELECT * FROM "+name); err != nil {
			return nil, err
		}
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var out [][]any
	for rows.Next() {
		row := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		out = append(out, row)
	}
	return out, rows.Err()
}
