package web

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rate is how often one asker may ask: a steady rate and a burst on top.
// A rate of nought or less is no limit. A limit counts requests, never what they found.
type Rate struct {
	PerSecond float64
	Burst     int
}

// limiter holds one token bucket for each asker, forgotten when idle.
type limiter struct {
	rate Rate
	now  func() time.Time

	mu      sync.Mutex // guards the two below
	askers  map[string]*bucket
	cleaned time.Time
}

type bucket struct {
	tokens *rate.Limiter
	seen   time.Time
}

// maxAskers bounds the memory that strangers can make us use.
const maxAskers = 50_000

func newLimiter(r Rate, now func() time.Time) *limiter {
	return &limiter{rate: r, now: now, askers: map[string]*bucket{}}
}

// allow takes one token of the asker's.
func (l *limiter) allow(asker string) bool {
	if l.rate.PerSecond <= 0 {
		return true
	}
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.cleaned) > time.Minute || len(l.askers) >= maxAskers {
		l.clean(now)
	}
	b := l.askers[asker]
	if b == nil {
		b = &bucket{tokens: rate.NewLimiter(rate.Limit(l.rate.PerSecond), max(1, l.rate.Burst))}
		l.askers[asker] = b
	}
	b.seen = now
	return b.tokens.AllowN(now, 1)
}

// clean forgets askers whose bucket is full again; when that frees too little,
// it forgets all, which errs on the side of serving.
func (l *limiter) clean(now time.Time) {
	l.cleaned = now
	full := time.Duration(float64(max(1, l.rate.Burst)) / l.rate.PerSecond * float64(time.Second))
	for k, b := range l.askers {
		if now.Sub(b.seen) > full {
			delete(l.askers, k)
		}
	}
	if len(l.askers) >= maxAskers {
		clear(l.askers)
	}
}
