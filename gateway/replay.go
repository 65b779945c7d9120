package gateway

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"firebreak/inbox"
)

// Replayed is what became of messages that were applied again.
type Replayed struct {
	Applied int
	Held    []Held
}

// Held is a message that still cannot be applied, and why.
type Held struct {
	ID     inbox.ID
	Reason string
}

// Replay applies stored messages again: those of ids, or all that are held
// when there are none. What was applied already changes nothing. It works
// beside a running gateway.
func Replay(ctx context.Context, cfg *Config, ids []inbox.ID) (result Replayed, err error) {
	g := &Gateway{Config: cfg, now: time.Now, log: slog.Default()}
	if err := g.openStores(ctx, Options{}); err != nil {
		return result, errors.Join(err, g.close())
	}
	work, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- g.pipeline.Run(work) }()
	defer func() {
		stop()
		err = errors.Join(err, <-done, g.close())
	}()
	if len(ids) == 0 {
		ids, err = g.pipeline.ReplayHeld(ctx)
	} else {
		err = g.pipeline.Replay(ctx, ids...)
	}
	if err != nil {
		return result, err
	}
	for _, id := range ids {
		err := g.pipeline.Applied(ctx, id)
		if held, ok := errors.AsType[*inbox.HeldError](err); ok {
			result.Held = append(result.Held, Held{id, held.Reason})
		} else if err != nil {
			return result, err
		} else {
			result.Applied++
		}
	}
	return result, nil
}
