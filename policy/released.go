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
type Released struct {
	res      fhir.Resource
	version  string
	recorded time.Time
	at       time.Time
	source   string
}

// Resource is what may be shown, exactly.
func (r Released) Resource() fhir.Resource { return r.res }

// VersionID is meta.versionId.
func (r Released) VersionID() string { return r.version }

// Recorded is meta.lastUpdated: when the message that brought it was received.
func (r Released) Recorded() time.Time { return r.recorded }

// At is when the source says it became true.
func (r Released) At() time.Time { return r.at }

// Source is the name of the feed it came by.
func (r Released) Source() string { return r.source }

func (r Released) IsZero() bool   { return r.res.IsZero() }
func (r Released) String() string { return r.res.String() }
