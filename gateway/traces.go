package gateway

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"firebreak/inbox"
	"firebreak/mapping"
	"firebreak/record"
)

const (
	// traceEvery is how often a message of each feed is traced. A trace maps it
	// once for each field that it fills, some hundred times.
	traceEvery = 10 * time.Second
	// traceSize bounds such a message, bytes.
	traceSize = 8 << 10
	// traceRecent is how many of the latest messages are looked through for one of
	// each feed.
	traceRecent = 200
	// maxFields bounds the fields that are counted of a feed.
	maxFields = 300
)

// traces counts by feed which fields nobody reads, of one message now and then:
// nothing is taken from the way in. It begins anew with the process. Which fields
// they are is told by firebreak map --unmapped alone: a name that a metric has only
// when some message came would tell of that message.
type traces struct {
	mu    sync.Mutex
	last  inbox.ID
	feeds map[string]*traced
}

// traced is what was seen of a feed.
type traced struct {
	messages int
	fields   map[string]bool
}

// run traces until ctx ends. What cannot be read now is not traced.
func (t *traces) run(ctx context.Context, g *Gateway) {
	tick := time.NewTicker(traceEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := t.look(ctx, g); err != nil && ctx.Err() == nil {
				g.log.Warn("messages cannot be read to find fields that nobody reads", "error", err)
			}
		}
	}
}

// look traces the latest message of each feed that came since it looked last.
func (t *traces) look(ctx context.Context, g *Gateway) error {
	recent, err := g.record.Recent(ctx, t.last, traceRecent)
	if err != nil {
		return err
	}
	done := map[string]bool{}
	for _, a := range recent {
		t.last = max(t.last, a.ID)
		if a.Kind != inbox.HL7v2 || a.Size > traceSize || done[a.Source] {
			continue
		}
		done[a.Source] = true
		m, err := g.record.Queue().Message(ctx, a.ID)
		if errors.Is(err, record.ErrPurged) {
			continue
		}
		if err != nil {
			return err
		}
		if fields, ok := unreadOf(g.keys, m); ok && slices.ContainsFunc(g.Config.Feeds, func(f Feed) bool { return f.Name == a.Source }) {
			t.add(a.Source, fields)
		}
	}
	return nil
}

// unreadOf is what nobody reads of a message; ok is false for one that is held,
// or that mapping fails at: both say so elsewhere.
func unreadOf(keys *mapping.Keys, m inbox.Message) (fields []string, ok bool) {
	defer func() {
		if recover() != nil {
			fields, ok = nil, false
		}
	}()
	all, err := mapping.Explain(keys, m)
	return mapping.Unread(all), err == nil
}

func (t *traces) add(feed string, fields []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.feeds[feed]
	if at == nil {
		at = &traced{fields: map[string]bool{}}
		if t.feeds == nil {
			t.feeds = map[string]*traced{}
		}
		t.feeds[feed] = at
	}
	at.messages++
	for _, f := range fields {
		if _, known := at.fields[f]; known || len(at.fields) < maxFields {
			at.fields[f] = true
		}
	}
}

// forget begins anew to look through a feed's messages.
func (t *traces) forget(feed string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.feeds, feed)
}

// count is how many messages of a feed were traced, and how many fields were
// found filled that nobody reads.
func (t *traces) count(feed string) (messages, fields int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at := t.feeds[feed]; at != nil {
		return at.messages, len(at.fields)
	}
	return 0, 0
}
