package sqldb

import (
	"context"
	"io/fs"
)

// Migrate applies a further set of migrations to an open database, for a
// database in which several packages keep tables: the accounts.
func (db *DB) Migrate(ctx context.Context, schema string, migrations fs.FS) error {
	return db.migrate(ctx, schema, migrations)
}
