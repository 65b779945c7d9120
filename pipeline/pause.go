package pipeline

import (
	"context"
	"sync"
	"time"

	"firebreak/record"
)

// A paused feed's messages are taken in and acknowledged as always, and stay
// pending until it is resumed: the sender notices nothing, and nothing is lost
// however long it takes. That a feed is paused is in the database, so it holds
// on every node and through restarts.

// pauseLook is the time between looks whether another node paused or resumed a feed.
const pauseLook = time.Second

// pauses is what this process knows of it. Until it has looked, everything is paused.
type pauses struct {
	mu      sync.Mutex
	known   bool
	feeds   map[string]record.Pause
	changed chan struct{} // closed and renewed when it has
}

func (p *pauses) has(feed string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, paused := p.feeds[feed]
	return paused || !p.known
}

// set takes what is so now; resumed tells that something is no longer paused.
func (p *pauses) set(feeds map[string]record.Pause) (resumed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	resumed = !p.known
	changed := !p.known || len(feeds) != len(p.feeds)
	for feed := range p.feeds {
		if _, still := feeds[feed]; !still {
			resumed, changed = true, true
		}
	}
	p.known, p.feeds = true, feeds
	if changed {
		close(p.changed)
		p.changed = make(chan struct{})
	}
	return resumed
}

// Paused tells whether a feed is.
func (p *Pipeline) Paused(feed string) bool { return p.pauses.has(feed) }

// Pause has what comes from a feed kept and not applied, from now on and on every
// node; what is in hand is finished.
func (p *Pipeline) Pause(ctx context.Context, feed, who string) error {
	if err := p.record.Pause(ctx, feed, who); err != nil {
		return err
	}
	return p.lookPaused(ctx)
}

// Resume has it applied, beginning with what has come meanwhile.
func (p *Pipeline) Resume(ctx context.Context, feed string) error {
	if err := p.record.Resume(ctx, feed); err != nil {
		return err
	}
	return p.lookPaused(ctx)
}

// AwaitPaused waits until a feed is paused, or is not. It fails when ctx has ended,
// whatever the feed is.
func (p *Pipeline) AwaitPaused(ctx context.Context, feed string, paused bool) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		p.pauses.mu.Lock()
		changed := p.pauses.changed
		p.pauses.mu.Unlock()
		if p.pauses.has(feed) == paused {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *Pipeline) lookPaused(ctx context.Context) error {
	feeds, err := p.record.Paused(ctx)
	if err == nil && p.pauses.set(feeds) {
		p.sweepSoon()
	}
	return err
}

// watchPaused looks until ctx ends, and at once for the first time.
func (p *Pipeline) watchPaused(ctx context.Context) {
	tick := time.NewTicker(pauseLook)
	defer tick.Stop()
	for {
		if err := p.lookPaused(ctx); err != nil && ctx.Err() == nil {
			p.log.Error("which feeds are paused cannot be read: it stays as it was", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
