package pipeline

import (
	"context"
	"hash/maphash"
	"sync/atomic"

	"firebreak/inbox"
	"firebreak/mapping"
	"firebreak/record"
)

const (
	// lanes is how many messages of one feed are worked on at once. A lane mostly
	// waits for its commit, and lanes share one flush.
	lanes = 64
	// feedRoom bounds the messages of one feed that wait in its lanes, in bytes;
	// behind them Put waits, of that feed alone. A message counts with jobSize besides.
	feedRoom = 32 << 20
	jobSize  = 4 << 10
)

// feed is what one source has of the pipeline for itself, so that whatever it
// sends, no other waits for it: lanes, room in memory, a turn to map, sweeps.
type feed struct {
	lanes [lanes]lane // guarded by Pipeline.mu
	room  *budget
	turn  chan struct{} // one message of it may always be mapped

	swept    atomic.Int64 // sweeps begun and ended; odd while one goes on
	sweeping bool         // guarded by Pipeline.mu, as is again
	again    bool         // a sweep was asked for meanwhile
}

// lane holds messages that are worked on one after another: all of a patient's.
type lane struct {
	jobs []job
	busy bool // somebody is at work on it
}

// feed is that of a source, made when it first sends.
func (p *Pipeline) feed(source string) *feed {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.feeds[source]
	if f == nil {
		f = &feed{room: newBudget(p.feedRoom), turn: make(chan struct{}, 1)}
		p.feeds[source] = f
	}
	return f
}

// laneOf is where all messages of one patient go. A message that names none will
// be held; until then it goes with its source.
func (p *Pipeline) laneOf(s record.Stored) int {
	key, err := mapping.PatientKey(p.keys, s.Message)
	if err != nil {
		key = s.Source
	}
	return int(maphash.String(p.seed, key) % lanes)
}

// enqueue puts a message into its lane; false when the pipeline has ended.
func (p *Pipeline) enqueue(f *feed, s job) bool {
	n := p.laneOf(s.Stored)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ending {
		return false
	}
	f.lanes[n].jobs = append(f.lanes[n].jobs, s)
	p.attend(f, n)
	return true
}

// attend has somebody work on a lane, if nobody does; p.mu is held.
func (p *Pipeline) attend(f *feed, n int) {
	if l := &f.lanes[n]; p.begin != nil && !l.busy && len(l.jobs) > 0 {
		l.busy = true
		p.begin(func(ctx context.Context) {
			for s, ok := p.next(l); ok; s, ok = p.next(l) {
				p.work(ctx, f, s)
			}
		})
	}
}

// next takes the first message of a lane; when there is none nobody works on it.
func (p *Pipeline) next(l *lane) (s job, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(l.jobs) == 0 {
		l.jobs, l.busy = nil, false
		return s, false
	}
	s, l.jobs[0] = l.jobs[0], job{}
	l.jobs = l.jobs[1:]
	return s, true
}

// mapTurn waits until a message of the feed may be mapped: in the feed's own turn
// or, if there are processors enough, in one that all share. It gives the turn back.
func (p *Pipeline) mapTurn(f *feed) (over func()) {
	select {
	case f.turn <- struct{}{}:
		return func() { <-f.turn }
	case p.turn <- struct{}{}:
		return func() { <-p.turn }
	}
}

// sweepFeed dispatches a source's pending messages up to one of them, 0 is all,
// unless that is going on; then it is done once more after it if all is asked for.
func (p *Pipeline) sweepFeed(source string, last inbox.ID) {
	f := p.feed(source)
	p.mu.Lock()
	defer p.mu.Unlock()
	if f.sweeping || p.ending || p.begin == nil {
		f.again = f.again || last == 0
		return
	}
	f.sweeping = true
	p.begin(func(ctx context.Context) {
		for more := true; more; last = 0 {
			p.sweepUpTo(ctx, f, source, last)
			p.mu.Lock()
			more, f.again = f.again && ctx.Err() == nil, false
			f.sweeping = more
			p.mu.Unlock()
		}
	})
}
