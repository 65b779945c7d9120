// Package policy decides what a caller may see. It is pure, and the sole
// maker of Released: whoever holds one may show it.
package policy

import (
	"time"

	"firebreak/fhir"
)

// Released is one version of a resource as one caller may see it: withheld
// references and upstream narrative removed, labels stripped, meta.versionId
// and meta.lastUpdated set. Only View's methods hand them out.
//
// What it shows is made when it is first asked for, and kept by the View.
type Released struct {
	e *entry
	n int // which of the entry's visible versions, 0 the current
}

// Resource is what may be shown, exactly.
func (r Released) Resource() fhir.Resource { return r.shown().res }

// Ref is the reference to it.
func (r Released) Ref() fhir.Ref {
	if r.e == nil {
		return fhir.Ref{}
	}
	return r.e.ref
}

// Content is what Resource says, without its meta.versionId and
// meta.lastUpdated until somebody asks for them: enough to read it, and a third
// of the work.
func (r Released) Content() fhir.Resource { return r.said().res }

// VersionID is meta.versionId: a hash of what is shown, so that a change of what
// is withheld does not change it.
func (r Released) VersionID() string { return r.shown().version }

// Recorded is meta.lastUpdated: when the message that brought it was received.
func (r Released) Recorded() time.Time { return r.said().recorded }

// At is when the source says it became true.
func (r Released) At() time.Time { return r.said().at }

// Source is the name of the feed it came by.
func (r Released) Source() string { return r.said().source }

// Readable tells whether the caller's token may read it: of what the caller sent
// itself it may be told without, see View.Standing.
func (r Released) Readable() bool { return r.e != nil && r.e.view.reads(r) }

// Deleted tells that it is no version but the deletion of one, for who deleted it.
// Resource is then the bare type and id.
func (r Released) Deleted() bool { return r.said().deleted }

func (r Released) IsZero() bool   { return r.e == nil }
func (r Released) String() string { return r.Resource().String() }

func (r Released) shown() *shown {
	if r.e == nil {
		return &shown{}
	}
	return r.e.shown().at(r.n)
}

func (r Released) said() *shown {
	if r.e == nil {
		return &shown{}
	}
	return r.e.contents().at(r.n)
}

// shown is one version as the caller gets it.
type shown struct {
	res      fhir.Resource
	version  string
	recorded time.Time
	at       time.Time
	source   string
	deleted  bool
}
