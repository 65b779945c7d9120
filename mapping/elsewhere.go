package mapping

import (
	"slices"

	"firebreak/adapters/hl7"
	"firebreak/fhir"
	"firebreak/inbox"
)

// visitName is what a visit is called in a Move: the end of its Encounter's id, which
// is the same in every chart.
func (b *build) visitName(key []string) string {
	return b.id("Encounter", key...)[len(b.chart)+1:]
}

// accountName is what an account is called in a Move.
func (b *build) accountName(number data) string {
	return inbox.AccountMove + b.accountID(number)[len(b.chart)+1:]
}

// accountLeaves maps A44: the account of MRG-3, that was taken for MRG-1's, is PID-3's,
// with all that is sent with its number. It states nothing else, as visitLeaves. Where
// MRG-1 is the patient himself the account goes on under another number, as in A49.
//
// Source: HL7 v2.9 3.3.44, 3.6.2.
func (b *build) accountLeaves() error {
	if err := b.onePatient(); err != nil {
		return err
	}
	subject, into, err := b.subjectOf()
	if err != nil {
		return err
	}
	stays := 0
	groups := b.msg.Groups("PID")
	for _, group := range groups {
		pid, mrg := group.Segment("PID"), group.Segment("MRG")
		if !mrg.Exists() {
			return &Error{Segment: "MRG", Reason: "nothing tells which account moves: the message has no MRG"}
		}
		from, ok := b.feed.choose(mrg.Field(1))
		was, is := first(mrg.Field(3)), first(pid.Field(18))
		switch {
		case !ok:
			return fail(mrg, 1, "no prior patient identifier: nothing tells from whom the account moves")
		case was.at(1) == "":
			return fail(mrg, 3, "no prior account number")
		case from == into:
			stays++
			continue
		case is.at(1) != "" && (is.at(1) != was.at(1) || b.feed.authority(is) != b.feed.authority(was)):
			return fail(pid, 18, "the account gets another number as it moves: an A49 for the patient it was taken for, and then an A44 with the number it has")
		}
		b.out.Moves = append(b.out.Moves, inbox.Move{Visit: b.accountName(was), From: b.chartOf(from).ID, Into: b.chart, Subject: subject})
	}
	if stays == len(groups) {
		return b.accountMoves()
	}
	if stays > 0 {
		return fail(groups[0].Segment("MRG"), 1, "one account moves from another patient and one does not: each in a message of its own says the same")
	}
	return nil
}

// visitLeaves maps A45: the visit of MRG-5, that was taken for MRG-1's, is PID-3's. It
// states nothing else: who becomes known by it is who is known by what was sent
// under the visit, and that is mapped again with the Move. Where MRG-1 is the patient
// himself the visit goes to another account of his, as its next message states it.
//
// Source: HL7 v2.9 3.3.45, 3.6.2.
func (b *build) visitLeaves() error {
	if err := b.onePatient(); err != nil {
		return err
	}
	groups := b.msg.Groups("MRG")
	if len(groups) == 0 {
		return &Error{Segment: "MRG", Reason: "nothing tells which visit moves: the message has no MRG"}
	}
	subject, into, err := b.subjectOf()
	if err != nil {
		return err
	}
	var stay []hl7.Group
	for _, group := range groups {
		mrg, pv1 := group.Segment("MRG"), group.Segment("PV1")
		from, ok := b.feed.choose(mrg.Field(1))
		was, is := first(mrg.Field(5)), first(pv1.Field(19))
		switch {
		case !ok:
			return fail(mrg, 1, "no prior patient identifier: nothing tells from whom the visit moves")
		case was.at(1) == "":
			return fail(mrg, 5, "no prior visit number: a visit moves by its own number, not by an alternate one")
		case is.at(1) != "" && (is.at(1) != was.at(1) || b.feed.authority(is) != b.feed.authority(was)):
			return fail(pv1, 19, "the visit gets another number as it moves: an A50 for the patient it was taken for, and then an A45 with the number it has")
		}
		if from == into {
			stay = append(stay, group)
			continue
		}
		b.out.Moves = append(b.out.Moves, inbox.Move{
			Visit: b.visitName([]string{"visit", was.at(1), b.feed.authority(was)}),
			From:  b.chartOf(from).ID, Into: b.chart, Subject: subject,
		})
	}
	if len(stay) > 0 && len(b.out.Moves) > 0 {
		return fail(groups[0].Segment("MRG"), 1, "one visit moves from another patient and one does not: each in a message of its own says the same")
	}
	for _, group := range stay {
		b.mentionPatient()
		b.mentionVisit(group.Segment("PV1"), group.Segment("PV2"))
	}
	return nil
}

// subjectOf is the number in PID-3 that names the patient.
func (b *build) subjectOf() (inbox.Subject, identity, error) {
	id, err := b.feed.patient(b.pid)
	if err != nil {
		return inbox.Subject{}, id, err
	}
	for _, cx := range each(b.pid.Field(3)) {
		if hd := cx.in(4); cx.at(1) == id.value && b.feed.authority(cx) == id.system {
			return inbox.Subject{Number: id.value, Namespace: hd.at(1), Universal: hd.at(2), Kind: hd.at(3), Type: cx.at(5)}, id, nil
		}
	}
	return inbox.Subject{}, id, fail(b.pid, 3, "no patient identifier: nothing tells to whom the visit moves")
}

// elsewhere finds where the message's account or visit is another patient's than its
// PID says, by the moves it is mapped with; nil where it names none such. With an
// account all that the message holds is the other's. A message that tells of more than
// a visit that moved, or of what became of it in another way, fails: part of it would
// be in the wrong chart.
func (b *build) elsewhere() (*inbox.Move, error) {
	var to *inbox.Move
	stays := false
	moved := func(name, chart string) *inbox.Move {
		i := slices.IndexFunc(b.in.Moves, func(m inbox.Move) bool { return m.Visit == name && m.From == chart })
		if i < 0 {
			return nil
		}
		return &b.in.Moves[i]
	}
	goes := func(m *inbox.Move) {
		stays = stays || to != nil && (to.From != m.From || to.Into != m.Into)
		if to == nil || !to.OfAccount() {
			to = m
		}
	}
	names := func(chart string, visit []string, booked bool) {
		if visit == nil {
			return
		}
		if m := moved(b.visitName(visit), chart); m != nil {
			goes(m)
		} else if !booked {
			stays = true
		}
	}
	own, chart := b.pid, b.chart
	for _, group := range b.msg.Groups("PID") {
		if b.pid = group.Segment("PID"); b.pid.Exists() {
			id, err := b.feed.patient(b.pid)
			if err != nil {
				return nil, err
			}
			chart = b.chartOf(id).ID
		}
		booked := false // on an account that moved
		accounts := []data{first(b.pid.Field(18))}
		for mrg := range group.All("MRG") {
			accounts = append(accounts, first(mrg.Field(3)))
		}
		for _, number := range accounts {
			if number.at(1) == "" {
				continue
			}
			if m := moved(b.accountName(number), chart); m != nil {
				goes(m)
				booked = true
			}
		}
		for pv1 := range group.All("PV1") {
			pv2 := hl7.Segment{}
			if i := slices.Index(group, pv1); i+1 < len(group) && group[i+1].Name() == "PV2" {
				pv2 = group[i+1]
			}
			names(chart, b.visitKey(pv1, pv2), booked)
		}
		for mrg := range group.All("MRG") {
			if cx := first(mrg.Field(5)); cx.at(1) != "" {
				names(chart, []string{"visit", cx.at(1), b.feed.authority(cx)}, booked)
			}
		}
	}
	b.pid = own
	pv1 := b.msg.Segment("PV1")
	switch {
	case to == nil:
		return nil, nil
	case b.typ.Code == "ADT" && (b.trigger() == "A44" || b.trigger() == "A45"):
		return nil, nil // it tells of moves itself
	case b.typ.Code == "ADT" && !tellsStory(b.trigger()):
		return nil, fail(pv1, 19, "the visit or its account was moved to another patient: this trigger is not mapped for it; an A45 or A44 back, this message and the A45 or A44 anew say the same")
	case stays:
		return nil, fail(pv1, 19, "one of the visits was moved to another patient and another was not, or its account elsewhere: nothing tells which part of the message is whose")
	}
	return to, nil
}

// mapElsewhere maps a message of a visit or an account that was moved. What it says of it is
// as if it had been sent for the patient whose the visit is, of whom it tells the
// number and nothing else: PID and what belongs to it are the other's. Of an ADT
// message these are stated in the chart that it names, as if there were no visit in
// it, nor an account that moved; of others they are left out, for they only repeat them.
func (b *build) mapElsewhere(to *inbox.Move) (Result, error) {
	persons, visit := byWhose(b.msg.Segments())
	if b.typ.Code == "ADT" {
		msg := b.msg.Part(persons)
		if to.OfAccount() {
			var err error
			if msg, err = bare(msg, 18); err != nil {
				return Result{}, err
			}
		}
		part := b.part(msg, b.chart)
		if err := part.story(); err != nil {
			return Result{}, err
		}
		r, err := part.result()
		if err != nil {
			return Result{}, err
		}
		b.out.Corrects = r.Corrects
		b.take(r, b.chart)
	}
	msg, err := renamed(b.msg.Part(visit), to.Subject, to.OfAccount())
	if err != nil {
		return Result{}, fail(b.pid, 3, "the number of the patient to whom the visit was moved cannot be written in this message")
	}
	part := b.part(msg, to.Into)
	part.guest = true
	if err := part.message(); err != nil {
		b.out.Part = part.out.Part
		return b.unsaid(), err
	}
	r, err := part.result()
	if err != nil {
		return Result{}, err
	}
	b.out.Part = r.Part
	for i := range r.Resources {
		if r.Resources[i].Type() == "Patient" { // it says less than any other mention
			r.Resources[i].At = reminder(r.Resources[i].At)
		}
	}
	b.take(r, to.Into)
	b.out.Dialect, b.out.Edition = b.feed.Dialect.ID(), r.Edition
	return b.out, nil
}

// part is a build of a part of the message, for a chart.
func (b *build) part(msg *hl7.Message, chart string) *build {
	part := &build{keys: b.keys, feed: b.feed, in: b.in, msg: msg, typ: b.typ, at: b.at, chart: chart, seen: map[fhir.Ref]int{}}
	part.pid = msg.Segment("PID")
	part.out.Patient, part.out.At = fhir.Ref{Type: "Patient", ID: chart}, b.at
	return part
}

// take adds what a part came to.
func (b *build) take(r Result, chart string) {
	for _, x := range r.Resources {
		x.Chart = chart
		b.out.Resources = append(b.out.Resources, x)
	}
	b.out.Notes = append(b.out.Notes, r.Notes...)
}

// byWhose divides a message's segments into those of the person whom PID names and
// those of the visit; what is of both is in either. Roles, notes and the like belong
// to the segment that they follow.
func byWhose(all hl7.Group) (person, visit hl7.Group) {
	last := ""
	for _, s := range all {
		name := s.Name()
		switch name {
		case "ROL", "PRT", "NTE", "ARV":
			name = last
		}
		switch last = name; name {
		case "MSH", "SFT", "EVN", "PID":
			person, visit = append(person, s), append(visit, s)
		case "PD1", "NK1", "DB1", "AL1", "IAM", "IN1", "IN2", "IN3", "GT1":
			person = append(person, s)
		default:
			visit = append(visit, s)
		}
	}
	// What follows PID alone tells of the person.
	head := false
	visit = slices.DeleteFunc(visit, func(s hl7.Segment) bool {
		switch s.Name() {
		case "PID":
			head = true
		case "ROL", "PRT", "NTE", "ARV":
			return head
		default:
			head = false
		}
		return false
	})
	return person, visit
}

// bare is m without a field of PID.
func bare(m *hl7.Message, field int) (*hl7.Message, error) {
	d := m.Draft()
	for _, pid := range m.Segments() {
		if pid.Name() == "PID" && pid.Fields() >= field {
			if err := d.Set(pid, hl7.Path{Segment: "PID", Field: field}, ""); err != nil {
				return nil, err
			}
		}
	}
	return d.Message(), nil
}

// renamed is m with nothing in PID but that number, and the account's where it moves
// with it.
func renamed(m *hl7.Message, to inbox.Subject, account bool) (*hl7.Message, error) {
	d := m.Draft()
	for _, pid := range m.Segments() {
		if pid.Name() != "PID" {
			continue
		}
		for n := 1; n <= pid.Fields(); n++ {
			if n == 18 && account {
				continue
			}
			if err := d.Set(pid, hl7.Path{Segment: "PID", Field: n}, ""); err != nil {
				return nil, err
			}
		}
		for _, c := range [...]struct {
			component, sub int
			text           string
		}{{1, 0, to.Number}, {4, 1, to.Namespace}, {4, 2, to.Universal}, {4, 3, to.Kind}, {5, 0, to.Type}} {
			if c.text == "" {
				continue
			}
			p := hl7.Path{Segment: "PID", Field: 3, Repetition: 1, Component: c.component, Subcomponent: c.sub}
			if err := d.Set(pid, p, m.Delimiters().Encode(c.text)); err != nil {
				return nil, err
			}
		}
	}
	return d.Message(), nil
}
