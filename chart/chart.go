// Package chart is what is known of one patient: every version of every
// resource, labelled. The record makes charts, the policy reads them; nothing
// else may, for a chart holds what is withheld.
package chart

import (
	"time"

	"firebreak/fhir"
	"firebreak/label"
)

// Version is one state of one resource.
type Version struct {
	label.Labeled
	VersionID string     // opaque: a keyed hash of the content, so that it tells no count of hidden edits
	At        time.Time  // when the source says it became true: decides which version is current
	Recorded  time.Time  // when its message was received: meta.lastUpdated
	Source    string     // inbox.Message.Source
	Current   bool       // labelled by the current rules; otherwise withheld from everyone
	Deleted   bool       // tombstone: the resource ended here
	Editions  []int      // of Chart.Editions: the documents that say so
	Besides   bool       // something else says so too, or it outlasts them
	From      []*Version // of the same resource: what it was told to be before it was said what changes; who may not see one of them sees nothing of this
}

// History is one resource's versions, current first, then falling At. Never empty.
type History []Version

// Chart is one patient's whole chart, with those merged into it.
type Chart struct {
	Patient   fhir.Ref  // the chart that was asked for, after following merges: the surviving record
	Version   string    // changes whenever anything in the chart (or its merged charts) does
	Histories []History // sorted by type, then id
	Links     []Link    // merges in force between the records of this chart
	Editions  []Edition // of documents of which there are several; nil when there are none
}

// Edition is one version of a document. Whoever may know of one that replaces it
// sees nothing of what it alone says.
type Edition struct {
	Whole    fhir.Ref // keeps it whole, and stays
	Replaced []int    // those that replace it
}

// Link says that From was merged into Into (A34, A40) and stays until undone.
type Link struct {
	From, Into fhir.Ref
	At         time.Time
	Own        bool // somebody decided so at this gateway, who saw both records; no source said it
}
