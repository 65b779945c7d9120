package rest

import (
	"strconv"
	"strings"
	"time"
)

// Expects is the version that a change depends on, as its source wrote it: lists of
// entity tags, or "*" for whatever there is.
//
// Source: RFC 9110 sections 13.1.1, 13.1.2; FHIR R4 http.html#concurrency.
type Expects struct {
	Match string `json:"match,omitzero"` // If-Match: what is there is one of these
	None  string `json:"none,omitzero"`  // If-None-Match: it is none of these, or nothing is there
}

// Any tells whether anything is expected.
func (e Expects) Any() bool { return e != Expects{} }

// Met tells whether a version is what is expected; "" is that nothing is there.
func (e Expects) Met(version string) bool {
	return (e.Match == "" || version != "" && Names(e.Match, version)) && (e.None == "" || version == "" || !Names(e.None, version))
}

// Names tells whether a list of entity tags names the version, compared weakly.
func Names(list, version string) bool {
	for part := range strings.SplitSeq(list, ",") {
		part = strings.TrimPrefix(strings.TrimSpace(part), "W/")
		if part == "*" || part == `"`+version+`"` {
			return true
		}
	}
	return false
}

// What stands at the end of what was found, where versions are expected; neither
// begins an id.
const (
	since = "@" // and when the newest of what was expected was said, in microseconds; 0: nothing was there
	unmet = "!" // alone, and the number of the first change that expects another version
)

// Since is what stands at the end of what was found when all is as expected: when the
// newest of it was said. What is said now is to come after it, whatever the clocks of
// two nodes say.
func Since(newest int64) string { return since + strconv.FormatInt(newest, 10) }

// Unmet is what was found when change n expects another version: nothing is changed.
func Unmet(n int) []string { return []string{unmet + strconv.Itoa(n)} }

// Decision is what was found, read.
type Decision struct {
	IDs   []string  // of each change, then of each of Refs
	After time.Time // what is said must come after; zero: whatever the clock says
	Unmet int       // the change that expects another version; -1: none
}

// Decided reads what was found; ok tells whether it is of this plan.
func (p Plan) Decided(found []string) (d Decision, ok bool) {
	d = Decision{IDs: found, Unmet: -1}
	if n := len(found) - 1; n >= 0 && p.Expects() {
		if at, is := strings.CutPrefix(found[n], since); is {
			at, err := strconv.ParseInt(at, 10, 64)
			if err != nil {
				return d, false
			}
			if d.IDs = found[:n]; at > 0 {
				d.After = time.UnixMicro(at).UTC()
			}
		} else if at, is := strings.CutPrefix(found[n], unmet); is && n == 0 {
			at, err := strconv.Atoi(at)
			d.IDs, d.Unmet = nil, at
			return d, err == nil && at >= 0 && at < len(p.Changes)
		}
	}
	return d, len(d.IDs) == len(p.Changes)+len(p.Refs)
}
