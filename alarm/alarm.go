// Package alarm tells people that something needs them: once when it begins and
// once when it is over, by mail or to a webhook, whichever node sees it and
// however often a program starts.
//
// What is told names feeds, counts, times and staff, never a patient and nothing
// of a record (PX-11).
package alarm

import (
	"context"
	"log/slog"
	"slices"
	"time"
)

// Whom an alarm is for.
type Whom string

const (
	Operators Whom = "operators"
	Officers  Whom = "officers" // for privacy
)

// Cause is something that needs a person. It is the same cause as long as Key is.
type Cause struct {
	Key   string // "held lab"
	To    Whom
	Text  string // one line
	Since time.Time
}

// Raised is a cause that somebody is told of, or is to be.
type Raised struct {
	Cause
	Told map[string]bool // by channel
}

// Book keeps what was told, so that a restart does not tell it again.
type Book interface {
	// Raised are the causes that were begun and not ended.
	Raised(ctx context.Context) ([]Raised, error)
	// Begin notes a cause; one that is noted already stays as it is.
	Begin(ctx context.Context, c Cause) error
	// Claim gives the caller alone the right to tell of a cause by a channel, for
	// some minutes: others may try when it did not say Told.
	Claim(ctx context.Context, key, channel string, now time.Time) (bool, error)
	// Told notes that a channel has told it.
	Told(ctx context.Context, key, channel string) error
	// End forgets a cause. False: another did.
	End(ctx context.Context, key string) (bool, error)
}

// Notice is what is told.
type Notice struct {
	Cause
	Over bool
	ID   string // the same when the same is told again
	Page string // where to look
}

// Channel tells somebody. An error names no address and no secret.
type Channel interface {
	Name() string
	Tell(ctx context.Context, n Notice) error
}

// Watcher looks for causes and tells of them.
type Watcher struct {
	Causes   func(ctx context.Context) ([]Cause, error)
	Book     Book
	Channels map[Whom][]Channel
	Pages    map[Whom]string // addresses
	Every    time.Duration
	Now      func() time.Time
	Logger   *slog.Logger
}

// Run looks until ctx ends.
func (w *Watcher) Run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := w.Look(ctx); err != nil && ctx.Err() == nil {
			w.Logger.Error("alarms cannot be looked for", "error", err)
		}
		select {
		case <-time.After(w.Every):
		case <-ctx.Done():
		}
	}
}

// patience is how long a channel may take.
const patience = 30 * time.Second

// Look looks once. What cannot be told is tried again at the next look, and said
// in the log.
func (w *Watcher) Look(ctx context.Context) error {
	causes, err := w.Causes(ctx)
	if err != nil {
		return err
	}
	raised, err := w.Book.Raised(ctx)
	if err != nil {
		return err
	}
	known := func(key string) bool { return slices.ContainsFunc(raised, func(r Raised) bool { return r.Key == key }) }
	for _, c := range causes {
		if known(c.Key) {
			continue
		}
		if err := w.Book.Begin(ctx, c); err != nil {
			return err
		}
		raised = append(raised, Raised{Cause: c})
	}
	for _, r := range raised {
		if !slices.ContainsFunc(causes, func(c Cause) bool { return c.Key == r.Key }) {
			if err := w.over(ctx, r); err != nil {
				return err
			}
			continue
		}
		for _, ch := range w.Channels[r.To] {
			if r.Told[ch.Name()] {
				continue
			}
			mine, err := w.Book.Claim(ctx, r.Key, ch.Name(), w.Now())
			if err != nil {
				return err
			}
			if !mine || !w.tell(ctx, ch, Notice{Cause: r.Cause}) {
				continue
			}
			if err := w.Book.Told(ctx, r.Key, ch.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

// over ends a cause and tells those who were told of it, once: an end that is
// not told is seen on the page.
func (w *Watcher) over(ctx context.Context, r Raised) error {
	mine, err := w.Book.End(ctx, r.Key)
	if err != nil || !mine {
		return err
	}
	for _, ch := range w.Channels[r.To] {
		if r.Told[ch.Name()] {
			w.tell(ctx, ch, Notice{Cause: r.Cause, Over: true})
		}
	}
	return nil
}

func (w *Watcher) tell(ctx context.Context, ch Channel, n Notice) bool {
	n.ID = n.Key + " " + n.Since.UTC().Format(time.RFC3339)
	if n.Over {
		n.ID += " over"
	}
	n.Page = w.Pages[n.To]
	try, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := ch.Tell(try, n)
	if err != nil {
		w.Logger.Error("an alarm could not be told; it is tried again", "channel", ch.Name(), "alarm", n.Key, "error", err)
	}
	return err == nil
}
