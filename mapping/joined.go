package mapping

import (
	"firebreak/fhir"
	"firebreak/inbox"
)

// joined maps what somebody decided at this gateway of two charts to the Link
// that an A24 or A37 makes.
func joined(m inbox.Message) (Result, error) {
	j, err := inbox.ParseJoining(m.Body)
	if err != nil || m.Source != inbox.Own {
		return Result{}, misplaced("Joining", "not written by this gateway")
	}
	if !fhir.ValidID(j.From) || !fhir.ValidID(j.Into) || j.From == j.Into {
		return Result{}, misplaced("Joining", "not two charts")
	}
	into := fhir.Ref{Type: "Patient", ID: j.Into}
	return Result{Patient: into, At: m.Received, Links: []Link{{From: fhir.Ref{Type: "Patient", ID: j.From}, Into: into, At: m.Received, Undo: j.Undo}}}, nil
}
