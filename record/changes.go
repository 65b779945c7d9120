package record

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync/atomic"
)

// changes remembers when charts changed, so that a view in the cache need not
// be compared with the database on every read. It knows all that happens only
// where this record is the database's one writer: on SQLite, which it claims.
//
// Moments are counted in groups of writes. A chart shares its place with others
// of the same hash; what changes one sends the others to the database once.
type changes struct {
	seed   maphash.Seed
	done   atomic.Int64          // groups written; each is counted after its commit
	places [1 << 14]atomic.Int64 // the group that changed it last, or underway
	now    []uint64              // places that the group at hand changes; the writer's own
}

// underway marks a place from before the commit until after it. Meanwhile only
// the database knows which side of it a reader is on.
const underway = 1<<63 - 1

func newChanges() *changes { return &changes{seed: maphash.MakeSeed()} }

func (c *changes) place(chart string) uint64 {
	return maphash.String(c.seed, chart) % uint64(len(c.places))
}

// watch is told of each statement of a write before it runs. Every change of
// what a chart shows counts up its version, with the chart as first argument.
func (c *changes) watch(text string, args []any) {
	if strings.HasPrefix(text, "UPDATE chart ") {
		at := c.place(args[0].(string))
		c.places[at].Store(underway)
		c.now = append(c.now, at)
	}
}

// end comes after a group was written, or failed.
func (c *changes) end() {
	if len(c.now) == 0 {
		return
	}
	group := c.done.Load() + 1
	for _, at := range c.now {
		c.places[at].Store(group)
	}
	c.done.Store(group)
	c.now = c.now[:0]
}

// none tells whether no chart has changed since a moment: done, as it was before
// the stamps were read.
func (c *changes) none(stamps []stamp, since int64) bool {
	return !slices.ContainsFunc(stamps, func(s stamp) bool { return c.places[c.place(s.chart)].Load() > since })
}
