package hl7

import (
	"fmt"
	"slices"
)

// A Draft is a message whose fields are read otherwise than they came, as an
// interface engine rewrites them on the way: many fields at little cost, for
// nothing is parsed again. It belongs to one goroutine until its last Set.
type Draft struct{ m Message }

// Draft begins one. The message itself stays.
func (m *Message) Draft() *Draft {
	d := &Draft{*m}
	d.m.segs, d.m.draft = slices.Clone(m.segs), true
	return d
}

// Message is the draft as it stands. Its Bytes are what was received, and it
// cannot be edited by With.
func (d *Draft) Message() *Message { return &d.m }

// Set puts raw, text that is encoded already and may hold delimiters below the
// path's level, at p in segment s of the draft. Fields, repetitions and
// components before it are added empty; a path without component sets the whole
// repetition, one with Repetition 0 the whole field. p.Occurrence counts for
// nothing. It fails when a delimiter that the path needs is not declared.
func (d *Draft) Set(s Segment, p Path, raw string) error {
	if s.m == nil || s.i >= len(d.m.segs) {
		return fmt.Errorf("hl7: %s-%d: the message has no such segment", p.Segment, p.Field)
	}
	seg := &d.m.segs[s.i]
	if p.Segment = seg.text[:3]; isHeader(p.Segment) && p.Field <= 2 || p.Field < 1 {
		return fmt.Errorf("hl7: %s-%d: declares the delimiters and cannot be changed", p.Segment, p.Field)
	}
	text, err := splice(seg.text, d.m.delims, p, raw)
	if err != nil {
		return fmt.Errorf("hl7: %s-%d: %w", p.Segment, p.Field, err)
	}
	seg.text, seg.cuts = text, nil
	return nil
}
