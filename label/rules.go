package label

import (
	"slices"
	"sync"
	"sync/atomic"

	"firebreak/fhir"
)

// engine changes whenever this package's code judges differently by the same
// rule files. It is part of the rules' version.
const engine = "8"

// Rules recognise sensitive content. They are compiled once and safe for many
// goroutines.
type Rules struct {
	version  string
	declared map[string][]Label // by source: what everything from it is
	decided  atomic.Pointer[decisions]
	match    *matcher
	codes    *codes
	texts    *cache[verdict] // on short texts
	concepts *cache[verdict] // on whole CodeableConcepts
	seen     *cache[finding] // in resources of the repeated types, by the hash of their content
}

// Default is the rules that Firebreak ships.
func Default() (*Rules, error) { return load(shipped) }

// Version changes whenever a rule does: it is a hash of the rules' text.
func (r *Rules) Version() string { return r.version }

// Restore rebuilds what Label gave and the record stored. version is
// RulesVersion of what was stored; the result is as stale or fresh as it was, and
// Unjudged when it is stale.
func (r *Rules) Restore(res fhir.Resource, labels []Label, reasons []Reason, version string) Labeled {
	if !slices.IsSorted(labels) {
		labels = slices.Clone(labels)
		slices.Sort(labels)
	}
	labels = slices.Compact(labels)
	if version != r.version {
		labels = sorted(labels, Unjudged)
	}
	return Labeled{res: res, labels: labels, reasons: reasons, rules: version}
}

// cache remembers what comes again and again: names of tests, places, units. It
// holds at most twice size, the younger ones.
type cache[V any] struct {
	size     int
	mu       sync.RWMutex
	now, old map[string]V
}

const (
	cacheSize = 20000
	cacheText = 200 // longer texts are not remembered
	seenSize  = 10000
)

func newCache[V any](size int) *cache[V] { return &cache[V]{size: size, now: map[string]V{}} }

func (c *cache[V]) get(key []byte) (V, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if v, ok := c.now[string(key)]; ok {
		return v, true
	}
	v, ok := c.old[string(key)]
	return v, ok
}

func (c *cache[V]) put(key []byte, v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.now) >= c.size {
		c.old, c.now = c.now, make(map[string]V, c.size)
	}
	c.now[string(key)] = v
}

// repeated are the types that message after message brings along unchanged.
var repeated = set("Patient", "RelatedPerson", "Practitioner", "PractitionerRole", "Organization", "Location", "Encounter", "Coverage")

// finding is what one resource says by itself.
type finding struct {
	labels  []Label
	reasons []Reason
	says    bool
	links   *links
}

// text judges one text, remembering short ones.
func (r *Rules) text(s string, in where) verdict {
	if len(s) > cacheText {
		return r.match.judge(s, in)
	}
	var tmp [cacheText + 2]byte
	key := append(append(tmp[:0], byte(in), byte(in>>8)), s...)
	if v, ok := r.texts.get(key); ok {
		return v
	}
	v := r.match.judge(s, in)
	r.texts.put(key, v)
	return v
}
