package smart

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"firebreak/internal/sqldb"
)

// Limits are how often a client may ask in a minute; a minute's worth may come at
// once. They count requests, never what was found, and each node counts for itself.
type Limits struct {
	// API is of requests to the FHIR API with the client's tokens, whosever they are.
	API int `json:"api,omitzero"`
	// Token is of requests for tokens in the client's name, from each address.
	Token int `json:"token,omitzero"`
}

// What Limits are where nobody says another, and at most.
const (
	UsualAPI   = 6000
	UsualToken = 120
	MaxLimit   = 1_000_000
)

// or is l with what of it is nought taken from other.
func (l Limits) or(other Limits) Limits {
	if l.API == 0 {
		l.API = other.API
	}
	if l.Token == 0 {
		l.Token = other.Token
	}
	return l
}

// meter holds a bucket for each who asks, forgotten when it is full again.
type meter struct {
	usual Limits

	mu      sync.Mutex // guards what follows
	buckets map[string]*rate.Limiter
	cleaned time.Time
}

// maxBuckets bounds the memory that strangers can make us use.
const maxBuckets = 20_000

// limits are those in force for a client: its own, the configuration's for it, or
// those for all.
func (m *meter) limits(e entry) Limits {
	l := e.limits
	if e.client != nil {
		l = l.or(e.client.Limits)
	}
	return l.or(m.usual).or(Limits{UsualAPI, UsualToken})
}

// take takes one of so many a minute from the bucket of that name, or says how long
// to wait for it.
func (m *meter) take(name string, perMinute int, now time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Sub(m.cleaned).Abs() > time.Minute || len(m.buckets) >= maxBuckets {
		m.cleaned = now
		for k, b := range m.buckets {
			if b.TokensAt(now) >= float64(b.Burst()) {
				delete(m.buckets, k)
			}
		}
		if len(m.buckets) >= maxBuckets {
			clear(m.buckets) // errs on the side of serving
		}
	}
	each := rate.Limit(float64(perMinute) / 60)
	b := m.buckets[name]
	if b == nil {
		b = rate.NewLimiter(each, perMinute)
		if m.buckets == nil {
			m.buckets = map[string]*rate.Limiter{}
		}
		m.buckets[name] = b
	}
	if b.Burst() != perMinute {
		b.SetLimitAt(now, each)
		b.SetBurstAt(now, perMinute)
	}
	want := b.ReserveN(now, 1)
	wait := want.DelayFrom(now)
	if wait > 0 {
		want.CancelAt(now)
	}
	return wait
}

// Meter counts a request to the FHIR API with a token of the client's, and says how
// long the client must wait: nought when it need not. Clients that are not known
// here have no limit.
func (r *Registry) Meter(id string) time.Duration {
	r.mu.Lock()
	e, ok := r.known[id] // as of the token, which was found a moment ago
	r.mu.Unlock()
	if !ok || e.client == nil {
		return 0
	}
	wait := r.meter.take("api "+id, r.meter.limits(e).API, r.now())
	r.count(id, wait > 0)
	return wait
}

// asksToken does so for a request to the token endpoint in the client's name. It is
// by address, for who says to be the client has not proven it: nobody uses up
// another's turn. Whoever names no client has what is usual.
func (r *Registry) asksToken(ctx context.Context, id, address string) (time.Duration, error) {
	e, ok, err := r.entry(ctx, id)
	if err != nil {
		return 0, err
	}
	if !ok {
		id = ""
	}
	wait := r.meter.take("token "+id+" "+address, r.meter.limits(e).Token, r.now())
	if ok {
		r.count(id, wait > 0)
	}
	return wait, nil
}

// use is how often a client asked.
type use struct{ requests, refused, last int64 }

func (r *Registry) count(id string, refused bool) {
	now := r.now().UnixMicro()
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.used[id]
	u.requests, u.last = u.requests+1, max(u.last, now)
	if refused {
		u.refused++
	}
	r.used[id] = u
}

const addUse = `INSERT INTO smart_use (client, requests, refused, last) VALUES ($1, $2, $3, $4)
ON CONFLICT (client) DO UPDATE SET requests = smart_use.requests + $2, refused = smart_use.refused + $3,
last = CASE WHEN smart_use.last > $4 THEN smart_use.last ELSE $4 END`

// flush writes down how often clients asked since the last time.
func (r *Registry) flush(ctx context.Context) error {
	r.mu.Lock()
	used := r.used
	r.used = map[string]use{}
	r.mu.Unlock()
	if len(used) == 0 {
		return nil
	}
	err := r.db.Write(ctx, func(tx *sqldb.Tx) error {
		for id, u := range used {
			if _, err := tx.Exec(ctx, addUse, id, u.requests, u.refused, u.last); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, u := range used { // it was not written: it counts the next time
		n := r.used[id]
		r.used[id] = use{n.requests + u.requests, n.refused + u.refused, max(n.last, u.last)}
	}
	return fmt.Errorf("smart: note the use of clients: %w", err)
}

// Run writes down now and then how often clients asked, and once more when ctx ends.
func (r *Registry) Run(ctx context.Context) {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for done := false; !done; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			done = true
		}
		if err := r.flush(context.WithoutCancel(ctx)); err != nil {
			r.log.Warn("smart: counts are written down later", "error", err)
		}
	}
}
