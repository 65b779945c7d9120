package hl7

import (
	"slices"
	"sync"
	"time"
)

// Took is how long messages were answered after they had come whole: the middle
// and the slowest hundredth of the last 1,000, zero when there were none, and the
// count and sum of all.
type Took struct {
	P50, P99 time.Duration
	N        int64
	Sum      time.Duration
}

// Took tells how fast this server answers.
func (s *Server) Took() Took { return s.took.quantiles() }

const tookLast = 1000

// times are the last durations, in a ring.
type times struct {
	mu   sync.Mutex
	last []time.Duration
	n    int64
	sum  time.Duration
}

func (t *times) add(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.last) < tookLast {
		t.last = append(t.last, d)
	} else {
		t.last[t.n%tookLast] = d
	}
	t.n++
	t.sum += d
}

func (t *times) quantiles() Took {
	t.mu.Lock()
	all := slices.Clone(t.last)
	took := Took{N: t.n, Sum: t.sum}
	t.mu.Unlock()
	if len(all) == 0 {
		return took
	}
	slices.Sort(all)
	took.P50, took.P99 = all[(len(all)+1)/2-1], all[(len(all)*99+99)/100-1]
	return took
}
