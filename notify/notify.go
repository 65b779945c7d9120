// Package notify tells subscribers what is new to them: by POST to an address that
// the configuration allows, as R4's rest-hook and the Subscriptions R5 Backport have it,
// or by mail, which says that something is new and not what.
//
// All is done on a grid of time. At each of its moments the record looks for what is
// new in what each subscriber sees; what was found at one is told at the next, and
// leaves on a finer grid. So when something is told does not depend on how long was
// looked, nor on what else came.
//
// What is to be told lies on disk until its receiver answers with success. It may be
// told twice, under the same number, when we are killed in between.
//
// Source: R4 subscription.html; Subscriptions R5 Backport 1.1.0, "R4".
package notify

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"firebreak/record"
)

// Teller tells. All fields but Via and Mail must be set.
type Teller struct {
	Reader *record.Reader
	Admit  record.Admit
	Turn   func(ctx context.Context, name string, work func(context.Context, int64)) error // one node at a time
	To     []string                                                                        // addresses that may be told, each whole
	Every  time.Duration                                                                   // the grid
	Base   string                                                                          // of the API
	Via    http.RoundTripper                                                               // nil: the network
	Mail   func(ctx context.Context, to, id, subject, text string) error                   // nil: no address of To is mailto:
	Now    func() time.Time
	Log    *slog.Logger

	told, failed atomic.Int64
	once         sync.Once
	client       *http.Client
}

// Counts are notices that arrived, and attempts that failed, since this process began.
func (t *Teller) Counts() (told, failed int64) { return t.told.Load(), t.failed.Load() }

// turn is who tells, among nodes; no feed has this name.
const turn = "subscriptions "

// Run tells until ctx ends.
func (t *Teller) Run(ctx context.Context) {
	for ctx.Err() == nil {
		err := t.Turn(ctx, turn, func(ctx context.Context, _ int64) {
			var both sync.WaitGroup
			both.Go(func() { t.each(ctx, "tell", t.Tell) })
			both.Go(func() { t.each(ctx, "look for what is new", t.Look) })
			both.Wait()
		})
		if err != nil && ctx.Err() == nil {
			t.Log.Error("subscribers cannot be told: the database does not answer", "error", err)
			sleep(ctx, time.Second)
		}
	}
}

// each does something at each moment of the grid; what takes longer misses some.
func (t *Teller) each(ctx context.Context, what string, do func(context.Context, time.Time) error) {
	for {
		now := t.Now()
		at := now.Truncate(t.Every).Add(t.Every)
		if sleep(ctx, at.Sub(now)); ctx.Err() != nil {
			return
		}
		if err := do(ctx, at); err != nil && ctx.Err() == nil {
			t.Log.Error("subscriptions: "+what+": goes on at the next round", "error", err)
		}
	}
}

// Look looks for what is new, as of a moment of the grid.
func (t *Teller) Look(ctx context.Context, at time.Time) error {
	return t.Reader.Round(ctx, at, t.Admit)
}

const (
	abreast = 64 // subscribers who are told at the same time
	chain   = 50 // notices of one, at one moment
	dots    = 60 // moments between those of the grid at which something leaves
)

// dot waits for the next moment at which something may leave: how long it took to make
// would tell how much lies in a chart.
func (t *Teller) dot(ctx context.Context) {
	each := max(t.Every/dots, 100*time.Millisecond)
	now := t.Now()
	if late := now.Sub(now.Truncate(each)); late > 0 {
		sleep(ctx, each-late)
	}
}

// Tell sends what was found before a moment of the grid.
func (t *Teller) Tell(ctx context.Context, at time.Time) error {
	for range chain { // of each subscription one after another
		due, err := t.Reader.Due(ctx, at)
		if err != nil || len(due) == 0 {
			return err
		}
		var group errgroup.Group
		group.SetLimit(abreast)
		for _, n := range due {
			group.Go(func() error { return t.one(ctx, n, at) })
		}
		if err := group.Wait(); err != nil || ctx.Err() != nil {
			return err
		}
	}
	return nil
}

// patience is how often a notice is tried before its subscription is in error: at
// moments ever further apart, up to an hour of minutes.
var patience = map[string]int{"handshake": 3, "heartbeat": 5, "event-notification": 10}

func (t *Teller) one(ctx context.Context, n record.Notice, at time.Time) error {
	p, ok, err := t.Reader.Open(ctx, n, at, t.Admit)
	if err != nil {
		t.Log.Error("a notice cannot be made; it is tried again", "subscription", n.Subscription, "error", err)
		return t.Reader.Untold(ctx, n, at.Add(t.Every))
	}
	if !ok {
		return nil
	}
	if !slices.Contains(t.To, p.Endpoint) {
		return t.Reader.GiveUp(ctx, n, "Its address is no longer one that may be told.", at)
	}
	t.dot(ctx)
	later, err := t.send(ctx, p, at)
	if ctx.Err() != nil {
		return ctx.Err() // of an attempt that was broken off nothing is known
	}
	if err == nil {
		t.told.Add(1)
		return t.Reader.Told(ctx, n, at)
	}
	t.failed.Add(1)
	t.Log.Warn("a subscriber was not told", "subscription", n.Subscription, "attempt", n.Attempts+1, "error", err)
	if n.Attempts+1 >= patience[n.Kind] {
		return t.Reader.GiveUp(ctx, n, "Its receiver did not take what was sent: "+err.Error()+".", at)
	}
	wait := max(later, t.Every<<min(n.Attempts, 6))
	return t.Reader.Untold(ctx, n, at.Add(wait).Truncate(t.Every))
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
