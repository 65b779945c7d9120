package sqldb

import (
	"context"
	"fmt"
)

// Ping opens the database that dsn names, asks it one question and closes it.
// It applies no migrations.
func Ping(ctx context.Context, dsn string) error {
	db, err := open(dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.pool.PingContext(ctx); err != nil {
		return fmt.Errorf("sqldb: ping: %w", err)
	}
	return nil
}
