// Package send delivers letters: resources that were addressed to the system of
// a source, by FHIR or by HL7 v2. Letters lie in the outbox until the receiver
// has them. Whatever may have arrived without our knowing is sent again under
// the same number, by which the receiver knows that it has it.
//
// One patient's letters go one after another. A letter that the receiver will
// not have as it is waits for a person, and the later ones of its patient behind
// it; all others go on. What fails in passing is tried again, ever later.
package send

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"firebreak/inbox"
)

// Store keeps the letters; record.Outbox does.
type Store interface {
	// Turn runs work while nobody else, on this node or another, delivers to feed.
	Turn(ctx context.Context, feed string, work func(ctx context.Context, turn int64)) error
	// Ready gives the letters that may be sent now, no two of one patient.
	Ready(ctx context.Context, feed string, now time.Time, limit int) ([]inbox.Letter, error)
	Settle(ctx context.Context, turn int64, l inbox.Letter, o inbox.Outcome) error
}

// Receiver takes letters, one at a time. One that keeps a connection is an
// io.Closer: it is closed when the turn is over.
//
// Deliver gives what the receiver calls what it took. The error is a *Refusal
// when it will not take the letter as it is; any other is in passing, and
// concerns all letters if it is a *Down.
type Receiver interface {
	Deliver(ctx context.Context, l inbox.Letter) (answer string, err error)
}

// Refusal says why a letter needs a person: a status, a code, a place; never
// what the receiver wrote, which may be about the patient.
type Refusal struct{ Reason string }

func (r *Refusal) Error() string { return "send: refused: " + r.Reason }

// Down says that a receiver takes nothing at present.
type Down struct{ Err error }

func (d *Down) Error() string { return d.Err.Error() }
func (d *Down) Unwrap() error { return d.Err }

// Feed is one receiver and what is addressed to it.
type Feed struct {
	To       string
	Receiver Receiver
	Store    Store
	Now      func() time.Time
	Open     func(context.Context) error // waits until a letter may be sent; nil: any time
	Logger   *slog.Logger                // nil: slog.Default()

	mu     sync.Mutex
	status Status
}

// Status is how a feed fares, for the operator.
type Status struct {
	Sent, Refused, Failed int64 // letters, and attempts, since this process began
}

// Status tells how the feed fares.
func (f *Feed) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

const (
	look      = time.Second      // between looks for letters
	page      = 32               // letters read at once
	minPause  = time.Second      // after a failure, doubled each time
	downPause = 30 * time.Second // at most, when all letters fail: when the receiver is back they go soon
	maxPause  = 15 * time.Minute // at most, when one letter fails
)

// Run delivers until ctx ends.
func (f *Feed) Run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := f.Store.Turn(ctx, f.To, f.work); err != nil && ctx.Err() == nil {
			f.log().Error("letters cannot be sent: the outbox does not answer", "error", err)
			sleep(ctx, look)
		}
	}
}

func (f *Feed) log() *slog.Logger {
	l := f.Logger
	if l == nil {
		l = slog.Default()
	}
	return l.With("feed", f.To)
}

// work delivers until ctx ends or the turn is lost.
func (f *Feed) work(ctx context.Context, turn int64) {
	if c, ok := f.Receiver.(io.Closer); ok {
		defer c.Close()
	}
	pause := minPause
	for ctx.Err() == nil {
		letters, err := f.Store.Ready(ctx, f.To, f.Now(), page)
		if err != nil {
			return
		}
		if len(letters) == 0 {
			sleep(ctx, look)
		}
		for _, l := range letters {
			if f.Open != nil && f.Open(ctx) != nil {
				return
			}
			o, down := f.deliver(ctx, l)
			if ctx.Err() != nil {
				return // of an attempt that was broken off nothing is known
			}
			if err := f.Store.Settle(ctx, turn, l, o); err != nil {
				f.log().Warn("what became of an attempt was not written down: a letter that is not done is sent again, under its number", "letter", l.ID, "error", err)
				return
			}
			if down {
				sleep(ctx, pause)
				pause = min(2*pause, downPause)
				break
			}
			pause = minPause
		}
	}
}

// deliver makes one attempt; down tells that others would fail too.
func (f *Feed) deliver(ctx context.Context, l inbox.Letter) (o inbox.Outcome, down bool) {
	answer, err := f.Receiver.Deliver(ctx, l)
	if ctx.Err() != nil {
		return o, false
	}
	refusal, refused := errors.AsType[*Refusal](err)
	_, down = errors.AsType[*Down](err)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err == nil:
		f.status.Sent++
		return inbox.Outcome{State: inbox.Sent, Answer: answer}, false
	case refused:
		f.status.Refused++
		f.log().Warn("a letter was refused and waits for a person", "letter", l.ID, "reason", refusal.Reason)
		return inbox.Outcome{State: inbox.Refused, Reason: refusal.Reason}, false
	}
	f.status.Failed++
	most := maxPause
	if down {
		most = downPause
	}
	wait := min(minPause<<min(l.Attempts, 20), most)
	f.log().Warn("a letter could not be sent; it is tried again", "letter", l.ID, "attempt", l.Attempts+1, "error", err)
	return inbox.Outcome{State: inbox.Waiting, Due: f.Now().Add(wait), Reason: err.Error()}, down
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
