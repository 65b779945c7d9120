package mapping

import "firebreak/fhir"

// merges gives a Link for each PID that an MRG follows: what MRG names was
// merged into what PID names.
//
// Source: HL7 v2.9 chapter 3.6.2, Merging patient/person information.
func (b *build) merges() error {
	for _, group := range b.msg.Groups("PID") {
		pid, mrg := group.Segment("PID"), group.Segment("MRG")
		if !mrg.Exists() {
			return &Error{Segment: "MRG", Field: 1, Reason: "a merge without MRG names no record to merge"}
		}
		into, err := b.feed.patient(pid)
		if err != nil {
			return err
		}
		from, ok := b.feed.choose(mrg.Field(1))
		if !ok {
			if from, ok = b.feed.choose(mrg.Field(4)); !ok {
				return fail(mrg, 1, "no prior patient identifier")
			}
		}
		b.link(from, into, false)
	}
	return nil
}

// links gives a Link between the two patients that A24 links and A37 unlinks:
// the second's record joins the first's.
func (b *build) links(undo bool) error {
	var first identity
	n := 0
	for pid := range b.msg.All("PID") {
		id, err := b.feed.patient(pid)
		if err != nil {
			return err
		}
		if n++; n == 1 {
			first = id
			continue
		}
		b.link(id, first, undo)
	}
	if n < 2 {
		return fail(b.pid, 3, "a link needs two patients")
	}
	return nil
}

func (b *build) link(from, into identity, undo bool) {
	if from == into {
		return
	}
	b.out.Links = append(b.out.Links, Link{From: b.chartOf(from), Into: b.chartOf(into), At: b.at, Undo: undo})
}

func (b *build) chartOf(id identity) fhir.Ref {
	return fhir.Ref{Type: "Patient", ID: b.keys.Patient(b.in.Source, id.system, id.value)}
}

// onePatient fails when the message's PIDs name more than one patient: then
// nothing tells whose the rest is.
func (b *build) onePatient() error {
	for pid := range b.msg.All("PID") {
		if pid.Occurrence() == 1 {
			continue
		}
		id, err := b.feed.patient(pid)
		if err != nil {
			return err
		}
		if b.chartOf(id).ID != b.chart {
			return fail(pid, 3, "the message names more than one patient")
		}
	}
	return nil
}
