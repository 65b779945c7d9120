package pipeline

import (
	"context"
	"sync"
)

// budget is bytes of memory that may be taken. One taker may overdraw it, so
// that a message larger than the whole passes too.
type budget struct {
	mu    sync.Mutex
	free  int64
	freed chan struct{} // closed and renewed when something is given back
}

func newBudget(n int64) *budget { return &budget{free: n, freed: make(chan struct{})} }

// take takes n bytes, waiting while none are free; false when ctx or the
// pipeline ended first.
func (b *budget) take(ctx context.Context, ended <-chan struct{}, n int64) bool {
	for {
		b.mu.Lock()
		if b.free > 0 {
			b.free -= n
			b.mu.Unlock()
			return true
		}
		freed := b.freed
		b.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return false
		case <-ended:
			return false
		}
	}
}

func (b *budget) give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += n
	close(b.freed)
	b.freed = make(chan struct{})
}
