package auth

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// ErrUnavailable is returned while the identity provider cannot be asked. It
// says nothing about the person or token; the request may be tried again.
var ErrUnavailable = errors.New("auth: identity provider not available")

const (
	fetchTimeout = 10 * time.Second // for one fetch, retries included
	fetchEvery   = 5 * time.Second  // the rate of fetches that callers can cause,
	fetchBurst   = 4                // after as many at once: room for a start-up and a rotation
)

// kept is a value of the provider: fetched when first needed, renewed behind
// the caller's back when old, and no more often than a limit however many
// callers ask. While the provider is away the last value stays in use.
type kept[T any] struct {
	fetch  func(context.Context) (T, error)
	now    func() time.Time
	maxAge time.Duration
	limit  *rate.Limiter
	turn   chan struct{} // held by the one who fetches

	mu      sync.Mutex // guards what follows
	value   T
	version uint64 // 0: nothing fetched yet
	at      time.Time
	failed  error // of the latest fetch, nil after success
	behind  bool  // a renewal is under way behind the callers
}

func keep[T any](now func() time.Time, maxAge time.Duration, fetch func(context.Context) (T, error)) *kept[T] {
	return &kept[T]{
		fetch: fetch, now: now, maxAge: maxAge,
		limit: rate.NewLimiter(rate.Every(fetchEvery), fetchBurst),
		turn:  make(chan struct{}, 1),
	}
}

// get is the value and its version. Only the first use waits for a fetch.
func (k *kept[T]) get(ctx context.Context) (T, uint64, error) {
	k.mu.Lock()
	value, version := k.value, k.version
	stale := version != 0 && k.now().Sub(k.at) >= k.maxAge && !k.behind
	if stale && k.limit.AllowN(k.now(), 1) {
		k.behind = true
		go func() {
			k.load(context.WithoutCancel(ctx), version)
			k.mu.Lock()
			k.behind = false
			k.mu.Unlock()
		}()
	}
	k.mu.Unlock()
	if version == 0 {
		return k.renew(ctx, 0)
	}
	return value, version, nil
}

// renew is a value newer than version seen, fetched unless another caller just
// did. When the limit forbids a fetch, the value there is comes back (with its
// old version), or ErrUnavailable when there is none.
func (k *kept[T]) renew(ctx context.Context, seen uint64) (T, uint64, error) {
	k.mu.Lock()
	due := k.version == seen
	k.mu.Unlock()
	if due {
		select {
		case k.turn <- struct{}{}:
		case <-ctx.Done():
			return *new(T), 0, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
		}
		k.mu.Lock()
		due = k.version == seen && k.limit.AllowN(k.now(), 1)
		k.mu.Unlock()
		if due {
			k.fetchNow(ctx)
		}
		<-k.turn
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.version == 0 {
		return k.value, 0, fmt.Errorf("%w: %w", ErrUnavailable, k.failed)
	}
	return k.value, k.version, nil
}

// load is renew for the background, the limit already asked.
func (k *kept[T]) load(ctx context.Context, seen uint64) {
	k.turn <- struct{}{}
	k.mu.Lock()
	due := k.version == seen
	k.mu.Unlock()
	if due {
		k.fetchNow(ctx)
	}
	<-k.turn
}

// fetchNow fetches with the turn held. One caller's cancelled request does not
// cut off the fetch that others wait for.
func (k *kept[T]) fetchNow(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	value, err := k.fetch(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.failed = err
	if err == nil {
		k.value, k.at = value, k.now()
		k.version++
	}
}
