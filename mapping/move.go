package mapping

import (
	"slices"

	"firebreak/adapters/hl7"
	"firebreak/fhir"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// swap maps A17, two patients who exchange their beds: what stands between the one
// PID and the next states that patient as an A02 of its own would, into that
// patient's chart, and leads to nothing of the other's.
//
// Source: v2-to-FHIR, ADT_A17; HL7 v2.9 3.3.17.
func (b *build) swap() (Result, error) {
	all := b.msg.Segments()
	head, patients := all.Before("PID"), all.Groups("PID")
	if len(patients) != 2 {
		return Result{}, fail(b.pid, 0, "a swap of beds is of two patients")
	}
	for i, group := range patients {
		id, err := b.feed.patient(group.Segment("PID"))
		if err != nil {
			return Result{}, err
		}
		chart := b.chartOf(id).ID
		if i == 1 && chart == b.chart {
			return Result{}, fail(group.Segment("PID"), 3, "the two patients of a swap of beds have one number")
		}
		part := b.part(b.msg.Part(slices.Concat(head, group)), chart)
		if err := part.story(); err != nil {
			return Result{}, err
		}
		r, err := part.result()
		if err != nil {
			return Result{}, err
		}
		b.take(r, chart)
		b.out.Named = append(b.out.Named, chart)
	}
	return b.out, nil
}

// accountMoves map A35, A41 and A49: the account of MRG-3 goes on as that of PID-18.
// The old one ends and is part of the new one; what was booked on it stays booked on
// it. What the message says of the new one is its number, which is no statement.
//
// Source: v2-to-FHIR, MRG[Account]; HL7 v2.9 3.3.35, 3.3.41, 3.3.49.
func (b *build) accountMoves() error {
	if err := b.onePatient(); err != nil {
		return err
	}
	b.mentionPatient()
	for _, group := range b.msg.Groups("PID") {
		pid, mrg := group.Segment("PID"), group.Segment("MRG")
		if err := b.onePerson(pid, mrg); err != nil {
			return err
		}
		was, is := first(mrg.Field(3)), first(pid.Field(18))
		switch {
		case was.at(1) == "":
			return fail(mrg, 3, "no prior account number")
		case is.at(1) == "":
			return fail(pid, 18, "no account number: nothing tells what the prior account is now")
		}
		oldID, newID := b.accountID(was), b.accountID(is)
		if oldID == newID {
			continue
		}
		b.support(reminder(b.at), r4.Account{Id: &newID, Identifier: []r4.Identifier{*b.identifier(is)}, Subject: []r4.Reference{b.subject()}}, fhir.Set{Path: "status", Value: "unknown"})
		b.add(r4.Account{Id: &oldID, Identifier: []r4.Identifier{*b.identifier(was)}, Subject: []r4.Reference{b.subject()}, PartOf: ptr(refer("Account", newID))},
			fhir.Set{Path: "status", Value: "inactive"})
	}
	return nil
}

// visitMoves map A42 and A50, and A51 where a visit has no other number than the one
// that changes: the visit of MRG-5 or MRG-6 goes on as that of PV1. Under its old
// number it was entered in error and is part of what it is now, so that what was done
// in it is found from there. The PV1 of these messages often holds no more than the
// number: it is a reminder of the visit.
//
// Source: HL7 v2.9 3.3.42, 3.3.50, 3.3.51.
func (b *build) visitMoves() error {
	if err := b.onePatient(); err != nil {
		return err
	}
	b.mentionPatient()
	kind, field := "visit", 5
	if b.trigger() == "A51" {
		kind, field = "alternate", 6
	}
	for _, group := range b.msg.Groups("PID") {
		mrg, pv1 := group.Segment("MRG"), group.Segment("PV1")
		if err := b.onePerson(group.Segment("PID"), mrg); err != nil {
			return err
		}
		was := first(mrg.Field(field))
		switch {
		case was.at(1) == "":
			return fail(mrg, field, "no prior visit number")
		case kind == "alternate" && pv1.Field(19).Present():
			return fail(pv1, 50, "another number of a visit that has its own: an A08 with both numbers says the same")
		}
		now := b.mentionVisit(pv1, group.Segment("PV2"))
		if now == nil {
			return fail(pv1, 19, "no visit: nothing tells what the prior visit is now")
		}
		id := b.id("Encounter", kind, was.at(1), b.feed.authority(was))
		if *now.Reference == "Encounter/"+id {
			continue
		}
		old := r4.Encounter{
			Id: &id, Identifier: []r4.Identifier{*b.identifier(was)}, Class: *b.coding(first(pv1.Field(2)), "PatientClass[EncounterClass]"),
			Subject: ptr(b.subject()), PartOf: now,
		}
		if kind == "visit" {
			old.Identifier[0].Type = b.identifierType("VN")
		}
		b.add(old, fhir.Set{Path: "status", Value: "entered-in-error"})
	}
	return nil
}

// alternateNumber maps A48, another alternate number of a person: whoever is told
// whole with it is so.
//
// Source: HL7 v2.9 3.3.48.
func (b *build) alternateNumber() error {
	if err := b.onePatient(); err != nil {
		return err
	}
	if !b.pid.Field(5).Present() || !b.pid.Field(7).Present() {
		return fail(b.pid, 7, "no name and birth date: the numbers alone would thin out what is known of the person; an A31 with all numbers says the same")
	}
	return b.story()
}

// onePerson fails where MRG names somebody else than PID does: then what goes on
// under another number is another person's.
func (b *build) onePerson(pid, mrg hl7.Segment) error {
	if !mrg.Exists() {
		return &Error{Segment: "MRG", Reason: "nothing tells which number changes: the message has no MRG"}
	}
	id, err := b.feed.patient(pid)
	if err != nil {
		return err
	}
	was, ok := b.feed.choose(mrg.Field(1))
	if !ok || was.value == id.value && (was.system == id.system || was.system == "") {
		return nil
	}
	for _, cx := range each(pid.Field(3)) {
		if cx.at(1) == was.value && (b.feed.authority(cx) == was.system || was.system == "") {
			return nil
		}
	}
	return fail(mrg, 1, "the prior number is another patient's: an A44 moves an account and an A45 a visit from one person to another")
}
