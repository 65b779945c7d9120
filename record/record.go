// Package record is the clinical database: the inbox, every version of every
// resource, and the few indexes that cross patients.
//
// Messages come in through [Record.Put]; what was made of them through the
// [Queue]. Clinical content leaves through a [Reader] only, which shows a
// caller the released view of a chart and writes the audit entry first.
package record

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"firebreak/access"
	"firebreak/adapters/rest"
	"firebreak/audit"
	"firebreak/fhir"
	"firebreak/fhir/terminology"
	"firebreak/inbox"
	"firebreak/internal/sqldb"
	"firebreak/label"
	"firebreak/policy"
)

// Config is what a record needs. Log and Rules are required.
type Config struct {
	DSN    string           // "sqlite:PATH", a path, or "postgres://..."
	Now    func() time.Time // nil: time.Now
	Log    *audit.Log       //
	Rules  *label.Rules     // today's rules: a row judged by others is withheld until Relabel
	Secret []byte           // version ids and cursors are keyed by it; empty: a random one, kept in the database
	Cache  int64            // bytes of charts kept ready to show; 0: 80 MB
	Node   string           // whose audit log it is, where nodes share a database; empty: the host's name
	Logger *slog.Logger     // nil: discards

	Codes *terminology.Library // by which searches judge codes; nil: R4's own

	// Remake is what a stored message was applied as, so that all of it can be
	// judged again together; nil: only what it brought first is.
	Remake func(inbox.Message) ([]fhir.Resource, error)
}

// Ask is who asks and how it is written down. An empty Action is the method's own.
type Ask struct {
	Caller  access.Caller
	Action  audit.Action
	Detail  string // parameter names or the page's name, no values
	Address string // network address of the asker
	Request string // X-Request-Id
}

// Page is one page of a search.
type Page struct {
	Matches  []policy.Released
	Includes []policy.Released
	Total    *int   // how many match in the caller's view; nil when not asked for or not counted
	Next     string // sealed cursor of the next page; empty on the last
}

// Find is what a provider knows of a person: a number, or family name and birth date.
type Find struct {
	Number string // an identifier's value, of any system
	Family string // compared without case, accents and punctuation
	Birth  string // YYYY-MM-DD
}

// Feed is a source and when data last came from it.
type Feed struct {
	Source string
	Last   time.Time
}

// Held is a message that could not be mapped, without its content.
type Held struct {
	ID        inbox.ID
	Source    string
	Kind      inbox.Kind
	ControlID string
	Peer      string
	Received  time.Time
	Reason    string // segment, field and what is wrong; no patient's data
	Aside     string // why it was set aside; empty: it is held
}

// Stats is the state of the inbox.
type Stats struct {
	Last    inbox.ID // the newest message
	Pending int64    // taken in, not applied yet
	Held    int64    // cannot be mapped
}

// Entry is one resource of a message, judged, and when it became true.
type Entry struct {
	label.Labeled
	Chart   string    // key of the chart it belongs to
	At      time.Time // decides which version is current
	Deleted bool      // the resource ended: Resource is a stub with type and id
	Alias   bool      // its id was given by the source and does not tell its chart
	Stays   bool      // when its id is known it stays where it lies; Chart is for a new one
	Found   bool      // its id was found by a search: what it says may be of another
	Repeats bool      // the source has it already, and says it again
	Place   string    // where in what was pushed
	To      []string  // feeds that it is to be sent to
	Answers []string  // numbers of letters to its source that it answers
	Lasts   bool      // of an Edition: it stays when that is replaced
	Whole   bool      // of an Edition: what keeps it whole
}

// Edition is which version of a document a message is. One replaces another of its
// source and chart that it names, or that is of the same series, or name, and older.
type Edition struct {
	Name, Series string // Series may be empty
	Number       int64
	At           time.Time
	Replaces     []string // names
}

// Change is all that one message changes.
type Change struct {
	Resources []Entry
	Links     []Link
	At        time.Time        // when the message was sent
	Named     []string         // charts of the patients that a HL7 v2 message names, whatever was moved
	Moves     []inbox.Move     // visits that it says are another patient's
	Part      *Part            // of what it tells only what changes, mapped with Stored.Before; nil: of nothing
	Held      string           // why it cannot be mapped with what moved, or with what told of its Part before: what it said is taken back
	Plan      *rest.Plan       // of a message that looks for something: Stored.Found is what it found
	Edition   *Edition         // nil: it is no document that may be replaced
	Dialect   string           // by which it was read, with its version; empty: none
	Corrects  bool             // it may correct the patient's birth date: name and other numbers must agree then
	Freed     func([]inbox.ID) // called when messages became pending by it; nil: nobody waits for them
}

// Link says at At that the chart From was merged into Into, or that this is undone.
type Link struct {
	From, Into string // chart keys
	At         time.Time
	Undo       bool
}

// Record is an open database. It is safe for many goroutines.
type Record struct {
	c         Config
	db        *sqldb.DB
	keys      keys
	writer    *writer
	cache     *cache
	changes   *changes
	judging   sync.Mutex         // one judges again what is stored
	learning  sync.Mutex         // one reads the decisions
	looking   sync.Mutex         // one looks through charts for what waits
	judgeSoon chan struct{}      // asks for it
	walks     walks              // exports under way here
	glances   glances            // charts of subscriptions, at the last round here
	presences presences          // members of Groups, as they were seen
	stop      context.CancelFunc // of the background jobs
	jobs      sync.WaitGroup
	written   sync.WaitGroup // the writer
	second    sync.Mutex     // held by the one load that reads on two connections
}

//go:embed migrations
var migrations embed.FS

var _ inbox.Sink = (*Record)(nil)

// Open opens the database and brings its tables up to date. It refuses a
// configuration without an audit log, and a SQLite database that is open as a
// record already: sqldb.ErrClaimed.
func Open(ctx context.Context, c Config) (*Record, error) {
	switch {
	case c.Log == nil:
		return nil, errors.New("record: there is no audit log")
	case c.Rules == nil:
		return nil, errors.New("record: there are no label rules")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Cache == 0 {
		c.Cache = 80 << 20
	}
	if c.Node == "" {
		c.Node, _ = os.Hostname()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	db, err := sqldb.Open(ctx, c.DSN, "record", files)
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	if err := db.Claim(); err != nil {
		db.Close()
		return nil, fmt.Errorf("record: %w", err)
	}
	r := &Record{c: c, db: db, cache: newCache(c.Cache), changes: newChanges(), judgeSoon: make(chan struct{}, 1)}
	if r.keys, err = r.openKeys(ctx); err != nil {
		db.Close()
		return nil, err
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	r.stop, r.walks.ctx, r.walks.size = stop, background, fileBytes
	r.writer = newWriter(r)
	r.written.Go(r.writer.run)
	if err := errors.Join(r.learn(ctx), r.begin(ctx), r.unjudge(ctx), r.giveAll(ctx)); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	r.jobs.Go(func() { r.anchors(background) })
	r.jobs.Go(func() { r.judge(background) })
	r.wakeJudge()
	return r, nil
}

// Close finishes what is being written and closes the database.
func (r *Record) Close() error {
	r.stop()
	r.jobs.Wait()
	r.writer.close()
	r.written.Wait()
	return r.db.Close()
}

// Err is the failure that stopped all writing, if there was one; the process
// should then end and start anew.
func (r *Record) Err() error { return errors.Join(r.db.Broken(), r.c.Log.Err()) }

// Postgres tells which kind of database lies below.
func (r *Record) Postgres() bool { return r.db.Postgres() }

// failed wraps what the database said, if it complained. Its text holds no row's
// values: both drivers name constraints, not contents.
func failed(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("record: %s: %w", doing, err)
}

func micros(t time.Time) int64     { return t.UnixMicro() }
func fromMicros(n int64) time.Time { return time.UnixMicro(n).UTC() }
