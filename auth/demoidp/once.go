package demoidp

import (
	"sync"
	"time"
)

// once holds values that may be taken once, until they expire.
type once[T any] struct {
	mu   sync.Mutex
	held map[string]held[T]
}

type held[T any] struct {
	value   T
	expires time.Time
}

const maxHeld = 20_000

func newOnce[T any]() *once[T] { return &once[T]{held: map[string]held[T]{}} }

// put holds value under key. It is refused when the key is there already or
// the room is used up by what has not expired.
func (o *once[T]) put(key string, value T, now, expires time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.held) >= maxHeld {
		for k, h := range o.held {
			if !now.Before(h.expires) {
				delete(o.held, k)
			}
		}
	}
	if h, ok := o.held[key]; ok && now.Before(h.expires) || len(o.held) >= maxHeld {
		return false
	}
	o.held[key] = held[T]{value, expires}
	return true
}

// get looks without taking.
func (o *once[T]) get(key string, now time.Time) (T, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	h, ok := o.held[key]
	return h.value, ok && now.Before(h.expires)
}

// take hands the value to exactly one of those who ask.
func (o *once[T]) take(key string, now time.Time) (T, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	h, ok := o.held[key]
	delete(o.held, key)
	return h.value, ok && now.Before(h.expires)
}
