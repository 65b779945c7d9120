package record

import (
	"container/list"
	"sync"
)

// cache keeps views that were made, the least lately used go first. It also
// makes sure that one view is not made twice at once.
type cache struct {
	max int64

	mu      sync.Mutex
	bytes   int64
	entries map[string]*list.Element // of *view
	recent  list.List                // front: used last
	making  map[string]chan struct{} // closed when made
}

func newCache(max int64) *cache {
	return &cache{max: max, entries: map[string]*list.Element{}, making: map[string]chan struct{}{}}
}

func (c *cache) get(key string) *view {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[key]
	if e == nil {
		return nil
	}
	c.recent.MoveToFront(e)
	return e.Value.(*view)
}

func (c *cache) put(key string, v *view) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v.key = key
	if old := c.entries[key]; old != nil {
		c.bytes -= old.Value.(*view).bytes
		c.recent.Remove(old)
	}
	c.entries[key] = c.recent.PushFront(v)
	c.bytes += v.bytes
	for c.bytes > c.max && c.recent.Len() > 1 {
		last := c.recent.Back()
		old := last.Value.(*view)
		c.recent.Remove(last)
		delete(c.entries, old.key)
		c.bytes -= old.bytes
	}
}

// claim tells whether the caller is the one to make what key names, and must
// call release; if not, done is closed when another has made it.
func (c *cache) claim(key string) (mine bool, done <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ch := c.making[key]; ch != nil {
		return false, ch
	}
	c.making[key] = make(chan struct{})
	return true, nil
}

func (c *cache) release(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.making[key])
	delete(c.making, key)
}
