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
// the second's record joins the first's. Whichever of the two an A37 names first, they
// are parted.
//
// Source: HL7 v2.9 3.3.24, 3.3.37.
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
		if b.link(id, first, undo); undo {
			b.link(first, id, undo)
		}
	}
	if n < 2 {
		return fail(b.pid, 3, "a link needs two patients")
	}
	return nil
}

// moved maps A43: a number, PID-3 and MRG-1, with all that was ever sent under it, is
// another person's than was thought. MRG-4 is whose it was taken for and PID-2 whose
// it is; the link between the record of the number and the one is taken back, and
// the other made. Feeds that name no persons so do not tell what moves.
//
// Source: HL7 v2.9 3.3.43, 3.6.2.
func (b *build) moved() error {
	if err := b.onePatient(); err != nil {
		return err
	}
	b.mentionPatient()
	mrg := b.msg.Segment("MRG")
	if err := b.onePerson(b.pid, mrg); err != nil {
		if !mrg.Exists() {
			return err
		}
		return fail(mrg, 1, "PID-3 and MRG-1 name different records and neither is said to be moved: an A40 merges them, an A24 links and an A37 unlinks")
	}
	number, err := b.feed.patient(b.pid)
	if err != nil {
		return err
	}
	from, wrong := b.feed.choose(mrg.Field(4))
	into, right := b.feed.choose(b.pid.Field(2))
	switch {
	case !wrong:
		return fail(mrg, 4, "no prior person: nothing tells from whom the number moves; an A37 takes a link back")
	case !right:
		return fail(b.pid, 2, "no person: nothing tells to whom the number moves; an A24 makes a link")
	case from == into || number == from || number == into:
		return fail(b.pid, 2, "the number that moves names one of the persons itself")
	}
	b.link(number, from, true)
	b.link(from, number, true)
	b.link(number, into, false)
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
