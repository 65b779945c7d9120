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
// it knows of its own writes is all there is to know: a claim by another DB fails,
// in another process or in this one. It locks a file beside the database, which
// stays. On PostgreSQL, which nodes share, it does nothing.
func (db *DB) Claim() error {
	if db.one == nil || db.claim != nil {
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

// Writes counts the calls of Write that ended, and tells whether these are all the
// writes there are: of a SQLite database that was claimed. What is read there after
// a count was taken holds until the count is another; a Write counts before it returns.
func (db *DB) Writes() (n uint64, all bool) { return db.writes.Load(), db.claim != nil }
