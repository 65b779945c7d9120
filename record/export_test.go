package record

import "time"

// Hurried is an Outbox whose turns are over soon, so that a test need not wait.
func (r *Record) Hurried() Outbox {
	return Outbox{r, turnTimes{20 * time.Millisecond, 200 * time.Millisecond, time.Second}}
}

// HurriedAsked is the same of an Asked.
func (r *Record) HurriedAsked() Asked {
	return Asked{r, turnTimes{20 * time.Millisecond, 200 * time.Millisecond, time.Second}}
}

// FilesOf makes the files of exports end after so many bytes of a type.
func (r *Record) FilesOf(bytes int64) { r.walks.size = bytes }
