package mapping

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"

	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// Message after message repeats the patient, the visit and the ward, letter for
// letter. What such a part came to is remembered under everything that it
// depends on, so that mapping it again gives the same bytes at less cost.

// said is what a part of a message came to.
type said struct {
	resources []mention
	notes     []string
	ref       *r4.Reference // what the part stands for; may be nil
}

// mention is one resource of a part.
type mention struct {
	fhir.Resource
	reminds bool // its version is a reminder's
}

// partKey is a digest of what a part depends on: patients' data is not kept for it.
type partKey [sha256.Size]byte

// on is the key of a part of that kind: of the source, the chart, and these
// texts as the message's delimiters cut them.
func (b *build) on(kind string, texts ...string) partKey {
	d := b.msg.Delimiters()
	buf := make([]byte, 0, 1024)
	for _, s := range append([]string{kind, b.in.Source, b.feed.Dialect.ID(), b.chart}, texts...) {
		buf = append(binary.AppendUvarint(buf, uint64(len(s))), s...)
	}
	buf = append(buf, d.Field, d.Component, d.Repetition, d.Escape, d.Subcomponent, d.Truncation)
	return sha256.Sum256(buf)
}

// segments gives the texts and places of the segments of these names, for a key;
// places, because notes name them.
func (b *build) segments(names ...string) (texts []string) {
	for _, s := range b.msg.Segments() {
		if slices.Contains(names, s.Name()) {
			texts = append(texts, string(binary.AppendUvarint(nil, uint64(s.Index()))), s.Text())
		}
	}
	return texts
}

// once adds what the part f maps, as f did the last time it was on the same. f
// works on a build of its own, so that it depends on nothing the message said
// before, and adds resources with support alone.
func (b *build) once(on partKey, f func(*build) *r4.Reference) *r4.Reference {
	part, known := b.keys.parts.get(on)
	if !known {
		own := &build{keys: b.keys, feed: b.feed, in: b.in, msg: b.msg, typ: b.typ, at: b.at, pid: b.pid, chart: b.chart}
		part.ref = f(own)
		for _, r := range own.out.Resources {
			part.resources = append(part.resources, mention{r.Resource, !r.At.Equal(b.at)})
		}
		part.notes = own.out.Notes
		switch {
		case own.fault != nil && b.fault == nil:
			b.fault = own.fault
		case own.fault == nil && (part.ref == nil || part.ref.Identifier == nil): // its strings would keep the message
			b.keys.parts.put(on, part)
		}
	}
	for _, r := range part.resources {
		at := b.at
		if r.reminds {
			at = reminder(at)
		}
		b.mention(at, r.Resource)
	}
	b.out.Notes = append(b.out.Notes, part.notes...)
	if part.ref == nil {
		return nil
	}
	ref := *part.ref
	return &ref
}

// parts remembers parts, those in use longest.
type parts struct {
	mu         sync.Mutex
	young, old map[partKey]said
	size       int // of young, bytes
}

// partsSize bounds young and old each: bytes of resources.
const partsSize = 4 << 20

func (p *parts) get(on partKey) (said, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s, ok := p.young[on]; ok {
		return s, true
	}
	s, ok := p.old[on]
	if ok {
		delete(p.old, on)
		p.keep(on, s)
	}
	return s, ok
}

func (p *parts) put(on partKey, s said) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keep(on, s)
}

func (p *parts) keep(on partKey, s said) {
	size := 200
	for _, r := range s.resources {
		size += 100 + len(r.JSON())
	}
	if p.young == nil || p.size+size > partsSize {
		p.young, p.old, p.size = map[partKey]said{}, p.young, 0
	}
	p.young[on] = s
	p.size += size
}
