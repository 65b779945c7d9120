package sqldb

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// ErrClaimed says that somebody else has claimed the database.
var ErrClaimed = errors.New("sqldb: another process has this database open")

// Claim makes a SQLite database the claimant's alone until Close, so that what
// it knows of its own writes is all there is to know: a second claim fails, from
// another process or from this one. It locks a file beside the database, which
// stays. On PostgreSQL, which nodes share, it does nothing.
func (db *DB) Claim() error {
	if db.one == nil {
		return nil
	}
	f, err := os.OpenFile(db.path+"-lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("sqldb: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return ErrClaimed
	}
	db.claim = f
	return nil
}
