// Package record is the clinical database: the inbox, every version of every
// resource, and the few indexes that cross patients.
//
// Messages come in through [Record.Put]; what was made of them through the
// [Queue]. Clinical content leaves through a [Reader] only, which shows a
// caller the released view of a chart and writes the audit entry first.
package record

import (
	"context"
	"log/slog"
	"time"

	"firebreak/access"
	"firebreak/audit"
	"firebreak/fhir"
	"firebreak/inbox"
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
	Cache  int64            // bytes of charts kept ready to show; 0: 64 MB
	Logger *slog.Logger     // nil: discards
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
}

// Stats counts the inbox.
type Stats struct {
	Messages int64 // all that were ever taken in
	Pending  int64
	Held     int64
	Charts   int64
	Versions int64
}

// Entry is one resource of a message, judged, and when it became true.
type Entry struct {
	label.Labeled
	Chart   string    // key of the chart it belongs to
	At      time.Time // decides which version is current
	Deleted bool      // the resource ended: Resource is a stub with type and id
	Alias   bool      // its id was given by the source and does not tell its chart
}

// Change is all that one message changes.
type Change struct {
	Resources []Entry
	Links     []Link
}

// Link says at At that the chart From was merged into Into, or that this is undone.
type Link struct {
	From, Into string // chart keys
	At         time.Time
	Undo       bool
}

// Record is an open database. It is safe for many goroutines.
type Record struct{ c Config }

// Open opens the database and brings its tables up to date. It refuses a
// configuration without an audit log.
func Open(ctx context.Context, c Config) (*Record, error) { return &Record{c}, nil }

// Close finishes what is being written and closes the database.
func (r *Record) Close() error { return nil }

// Put takes a message in; see inbox.Sink.
func (r *Record) Put(ctx context.Context, m inbox.Message) (inbox.Receipt, error) {
	return inbox.Receipt{}, nil
}

// Held lists the messages that could not be mapped, oldest first.
func (r *Record) Held(ctx context.Context, after inbox.ID, limit int) ([]Held, error) {
	return nil, nil
}

// Stats counts what the record holds, for the operator.
func (r *Record) Stats(ctx context.Context) (Stats, error) { return Stats{}, nil }

// Relabel judges again, by Config.Rules, every row that older rules judged,
// while reads go on. It returns how many rows it judged.
func (r *Record) Relabel(ctx context.Context) (int64, error) { return 0, nil }

// Queue is the pipeline's way to the stored messages.
func (r *Record) Queue() *Queue { return &Queue{r} }

// Reader shows charts as p allows.
func (r *Record) Reader(p *policy.Policy) *Reader { return &Reader{r, p} }

// Queue hands stored messages to the pipeline and takes what was made of them.
// It is the one type that gives out what was received, unfiltered; only the
// pipeline may hold it.
type Queue struct{ r *Record }

// Reader is the only way to clinical content. Every method writes the audit
// entry before it returns; when that fails, so does the read.
// Errors that may be shown are *fhir.Error; absent and withheld are the same
// fhir.NotFound.
type Reader struct {
	r *Record
	p *policy.Policy
}

// Chart is the view of one patient's whole chart, with those merged into it.
func (r *Reader) Chart(ctx context.Context, ask Ask, patient fhir.Ref) (*policy.View, error) {
	return nil, fhir.NotFound()
}

// Get is one resource in its current version.
func (r *Reader) Get(ctx context.Context, ask Ask, ref fhir.Ref) (policy.Released, error) {
	return policy.Released{}, fhir.NotFound()
}

// VRead is one version of one resource.
func (r *Reader) VRead(ctx context.Context, ask Ask, ref fhir.Ref, versionID string) (policy.Released, error) {
	return policy.Released{}, fhir.NotFound()
}

// History is the visible versions of one resource, newest first. It is never
// empty without an error.
func (r *Reader) History(ctx context.Context, ask Ask, ref fhir.Ref) ([]policy.Released, error) {
	return nil, fhir.NotFound()
}

// Find is the Patients that match, at most ten; more is an error that says so.
func (r *Reader) Find(ctx context.Context, ask Ask, f Find) ([]policy.Released, error) {
	return nil, nil
}

// Freshness is when data last came from each source, by name. It is the same
// for every chart.
func (r *Reader) Freshness(ctx context.Context) ([]Feed, error) { return nil, nil }
