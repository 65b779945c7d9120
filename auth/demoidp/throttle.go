package demoidp

import (
	"hash/maphash"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// throttle bounds the tries for one account: five at once, then one every ten
// seconds. Names fall into a fixed number of slots, known and unknown alike,
// so it says nothing about which exist and cannot be made to grow.
type throttle struct {
	now  func() time.Time
	seed maphash.Seed

	mu    sync.Mutex
	slots [1024]*rate.Limiter
}

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, seed: maphash.MakeSeed()}
}

func (t *throttle) slot(name string) uint64 {
	return maphash.String(t.seed, name) % uint64(len(t.slots))
}

func (t *throttle) allow(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := t.slot(name)
	if t.slots[i] == nil {
		t.slots[i] = rate.NewLimiter(rate.Every(10*time.Second), 5)
	}
	return t.slots[i].AllowN(t.now(), 1)
}

// forgive starts anew after a sign-in that succeeded.
func (t *throttle) forgive(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.slots[t.slot(name)] = nil
}
