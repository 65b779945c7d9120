// Package pull asks FHIR R4 servers for what they have: by the time of its last
// change, or by Bulk Data export. What a page of answers holds becomes one
// message for each resource; when all of them are on disk, how far the server
// was read is kept in the same database. A process that dies between the two
// asks for the page again, and the inbox knows its messages.
//
// The time of a change is the server's own. What is read is a window that lies
// in the past by the server's clock, so that while its pages are turned
// resources can leave it and none can join; a part of the window before is read
// again each time, for what a server shows later than it dates it. What is
// missed all the same, and what was deleted, is found by the history of
// deletions where the server keeps one, by comparing counts, and by listing all
// ids now and then (see missing.go).
//
// Nothing that an answer names is asked unless it is of the server's own origin.
//
// Source: FHIR R4 http.html and search.html, Bulk Data Access 2.0, SMART App
// Launch 2.2 (Backend Services).
package pull

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/sync/errgroup"

	"firebreak/adapters/peer"
	"firebreak/adapters/rest"
	"firebreak/inbox"
)

// Store keeps how far a source was read and what it was known to have; see
// record.Asked.
type Store interface {
	// Turn runs work while nobody else, on this node or another, asks source.
	Turn(ctx context.Context, source string, work func(ctx context.Context, turn int64)) error
	State(ctx context.Context, source, name string) ([]byte, error)
	Keep(ctx context.Context, turn int64, source, name string, state []byte, p inbox.Asked) error
	Expect(ctx context.Context, turn int64, source, typ string, round int64, all []inbox.Known) error
	Known(ctx context.Context, source, typ string, ids []string) (map[string]inbox.Known, error)
	Count(ctx context.Context, source, typ string, from, to time.Time) (int, error)
	Unseen(ctx context.Context, source, typ string, round int64, after string, limit int) ([]inbox.Known, error)
}

// Feed is one server that is asked, again and again.
type Feed struct {
	Source string
	Server peer.Server
	Types  []string
	Export string // path of a Bulk Data kick-off, "Group/7/$export"; empty: search by _lastUpdated

	Open    func(context.Context) error // waits until a round may begin; nil: any time
	Every   time.Duration               // between rounds
	Overlap time.Duration               // how much later than it dates it the server may show a change
	Compare time.Duration               // between comparisons of counts
	List    time.Duration               // between listings of all ids, or full exports
	Page    int                         // resources in an answer, as far as the server follows

	Sink   inbox.Sink
	Store  Store
	Logger *slog.Logger // nil: slog.Default()

	most    int   // instead of maxWindow, for tests
	longest int   // instead of maxFile, for tests
	turn    int64 // 0: none is needed
	server  *peer.Client
	deletes map[string]bool // types whose deletions the server's history tells
	stated  time.Time       // when the server said so

	mu     sync.Mutex
	status Status
}

// Status is how a feed fares, for the operator.
type Status struct {
	Rounds, Failed int64     // since this process began
	Taken, Gone    int64     // resources put into the inbox, and deletions
	Missed         int64     // resources that were found missing here and taken after all
	Last           time.Time // end of the last round that succeeded
	Error          string    // of the last round, empty when it succeeded
}

// Status tells how the feed fares.
func (f *Feed) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

func (f *Feed) count(do func(*Status)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do(&f.status)
}

func (f *Feed) log() *slog.Logger {
	l := f.Logger
	if l == nil {
		l = slog.Default()
	}
	return l.With("feed", f.Source)
}

const (
	minPause = 5 * time.Second // after a round that failed
	maxPause = 5 * time.Minute
	putters  = 32 // messages on their way into the inbox at once

	stateEvery = time.Hour // between questions what the server can
)

// Run asks until ctx ends, while it has the turn: of several nodes one asks, and
// another goes on where that stopped.
func (f *Feed) Run(ctx context.Context) {
	for ctx.Err() == nil {
		err := f.Store.Turn(ctx, f.Source, f.work)
		if ctx.Err() != nil {
			return
		}
		f.count(func(s *Status) { s.Error = "" }) // whoever has the turn now can tell
		if err != nil {
			f.log().Error("a server cannot be asked: the database does not answer", "error", err)
			select {
			case <-time.After(minPause):
			case <-ctx.Done():
			}
		}
	}
}

// work asks until ctx ends or the turn is lost. A round that fails is begun again
// where it stopped.
func (f *Feed) work(ctx context.Context, turn int64) {
	f.turn = turn
	for pause := minPause; ; {
		if f.Open != nil && f.Open(ctx) != nil {
			return
		}
		err := f.Round(ctx)
		if ctx.Err() != nil {
			return
		}
		wait := f.Every
		if err != nil {
			f.log().Warn("a server could not be read to the end; it is read on later", "error", err)
			wait, pause = pause, min(2*pause, maxPause)
		} else {
			pause = minPause
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// Round reads everything that changed since the last.
func (f *Feed) Round(ctx context.Context) (err error) {
	defer func() {
		f.count(func(s *Status) {
			if s.Rounds++; err == nil {
				s.Last, s.Error = f.Server.Now(), ""
				return
			}
			s.Failed, s.Error = s.Failed+1, err.Error()
		})
	}()
	if err := f.begin(ctx); err != nil {
		return err
	}
	if f.Export != "" {
		return f.export(ctx)
	}
	var errs []error
	for _, typ := range f.Types {
		err := f.readType(ctx, typ)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", typ, err))
		}
		if err != nil && !isOfType(err) {
			break
		}
	}
	return errors.Join(errs...)
}

// isOfType tells whether a failure concerns one type, and others may go well.
func isOfType(err error) bool {
	return peer.IsRefusal(err) || errors.Is(err, errPage) || errors.Is(err, errPages) || errors.Is(err, peer.ErrForeign) || errors.Is(err, errVanished)
}

// begin asks what the server can, and what its clock says, now and then.
func (f *Feed) begin(ctx context.Context) (err error) {
	if f.server == nil {
		if f.server, err = f.Server.Open(); err != nil {
			return err
		}
	}
	if now := f.Server.Now(); f.deletes == nil || now.Sub(f.stated) >= stateEvery {
		f.stated = now
	} else {
		return nil
	}
	r, err := f.server.Metadata(ctx)
	if err != nil {
		f.deletes = nil
		return err
	}
	f.deletes = map[string]bool{}
	for x := range r.All("rest.resource") {
		for i := range x.All("interaction") {
			if i.Get("code").Is("history-type") {
				f.deletes[x.Get("type").Text()] = true
			}
		}
	}
	return nil
}

// Try asks a server for its CapabilityStatement and for one resource of each
// type, with whatever token that takes.
func Try(ctx context.Context, s peer.Server, types []string) error {
	o, err := s.Open()
	if err != nil {
		return err
	}
	o.Once()
	if _, err := o.Metadata(ctx); err != nil {
		return err
	}
	for _, typ := range types {
		r, _, err := o.Get(ctx, o.At(typ, map[string][]string{"_count": {"1"}}))
		if err == nil && r.Type() != "Bundle" {
			err = errPage
		}
		if err != nil {
			return fmt.Errorf("%s: %w", typ, err)
		}
	}
	return nil
}

// load reads the state of a task into v.
func (f *Feed) load(ctx context.Context, name string, v any) error {
	b, err := f.Store.State(ctx, f.Source, name)
	if err != nil || b == nil {
		return err
	}
	return json.Unmarshal(b, v, json.RejectUnknownMembers(true))
}

// keep keeps the state v of a task, and what p changes.
func (f *Feed) keep(ctx context.Context, name string, v any, p inbox.Asked) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return f.Store.Keep(ctx, f.turn, f.Source, name, b, p)
}

// take puts what was found into the inbox and returns, when all of it is on
// disk, what that changes in what is known. Of what is found deleted only what
// was known counts. at dates what the server does not.
//
// Each resource is known, and known to be of its patient, before its message is
// on disk: were it the other way round, a process that died between the two
// would not notice that the server deletes it. That a resource left a patient is
// on disk before that it came to another.
func (f *Feed) take(ctx context.Context, typ string, round int64, all []found, at time.Time) (p inbox.Asked, err error) {
	p.Type, p.Round = typ, round
	var ids []string
	for _, x := range all {
		if x.raw == nil {
			ids = append(ids, x.id)
		}
	}
	known, err := f.Store.Known(ctx, f.Source, typ, ids)
	if err != nil {
		return p, err
	}
	var left, here []inbox.Message
	var expected []inbox.Known
	for _, x := range all {
		if x.raw != nil { // to be held, where an operator finds it
			here = append(here, inbox.Message{Body: x.raw})
			continue
		}
		before, had := known[x.id]
		switch {
		case x.at.IsZero() && x.res.IsZero():
			x = gone(before, at.Truncate(time.Second)) // what is there again in the same second comes later
		case x.at.IsZero():
			x.at = at
		}
		late := had && x.at.Before(before.Updated)
		if x.res.IsZero() {
			if had && !late {
				left = append(left, message(rest.Copy{Type: typ, ID: x.id, At: x.at, Patient: before.Owner}))
				p.Gone = append(p.Gone, x.id)
				delete(known, x.id)
			}
			continue
		}
		owner, err := rest.Owner(f.Server.Base, x.res)
		if err != nil {
			return p, errPage
		}
		if had && !late && before.Owner != owner {
			left = append(left, message(rest.Copy{Type: typ, ID: x.id, At: x.at, Patient: before.Owner}))
		}
		if !had || !late && before.Owner != owner {
			known[x.id] = inbox.Known{ID: x.id, Owner: owner, Updated: before.Updated}
			expected = append(expected, known[x.id])
		}
		copied := rest.Copy{Type: typ, ID: x.id, At: x.at, Base: f.Server.Base, Resource: x.res.JSON()}
		if ids := f.named(x.res); len(ids) > 0 {
			if had && before.Updated.Equal(x.at) { // it is here, with its files
				p.Have = append(p.Have, inbox.Known{ID: x.id, Owner: owner, Updated: x.at})
				continue
			}
			if copied.Files, err = f.files(ctx, ids); err != nil {
				return p, err
			}
		}
		here = append(here, message(copied))
		p.Have = append(p.Have, inbox.Known{ID: x.id, Owner: owner, Updated: x.at})
	}
	if err := f.put(ctx, left); err != nil {
		return p, err
	}
	if len(expected) > 0 {
		if err := f.Store.Expect(ctx, f.turn, f.Source, typ, round, expected); err != nil {
			return p, err
		}
	}
	if err := f.put(ctx, here); err != nil {
		return p, err
	}
	f.count(func(s *Status) { s.Taken += int64(len(here)); s.Gone += int64(len(p.Gone)) })
	return p, nil
}

func message(c rest.Copy) inbox.Message {
	return inbox.Message{ControlID: c.Type + "/" + c.ID, Body: c.Encode()}
}

// put puts copies into the inbox, many at once.
func (f *Feed) put(ctx context.Context, copies []inbox.Message) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(putters)
	for _, m := range copies {
		group.Go(func() error {
			m.Source, m.Kind, m.Peer, m.Received = f.Source, inbox.Copy, f.server.Host(), f.Server.Now()
			_, err := f.Sink.Put(ctx, m)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("pull: the inbox: %w", err)
	}
	return nil
}
