package mapping

import (
	"slices"

	"firebreak/adapters/hl7"
	"firebreak/inbox"
)

// What is told of the services and resources of an appointment may be only what
// changes of them (SIU^S18 to S22; SRM and SRR^S07 to S11). Such a message is mapped
// with those that told of the appointment before (inbox.Message.Before): the one that
// told it whole, with what each of the others changed, is what it says the
// appointment is from its own time on. A message among them that cannot be read so
// is held itself, and passed over here.

// maxBefore is how many messages may have told of an appointment since it was told whole.
const maxBefore = 100

const (
	noWhole       = "only what changes of the appointment is told, and nothing that came has told it whole before: an S12, or an S14 with the whole appointment, is needed with it"
	noRequest     = "only what changes of the request is told, and nothing that came has told it whole before: an S01, or an S03 with the whole request, is needed with it"
	noAppointment = "only what changes of the appointment is told, and no number tells of which"
	wholePurged   = "a message that told of the appointment before is stored no longer: an S14 with the whole appointment says the same"
	wholeMasked   = "what told of the appointment before is masked to professionals: an S14 with the whole appointment says the same"
	tooMany       = "more than 100 messages tell of the appointment since it was told whole: an S14 with the whole appointment says the same"
	beside        = "it stands beside a part of an appointment: an S14 with the whole appointment says the same"
	delimiters    = "the delimiters are not those of what told of the appointment before: an S14 with the whole appointment says the same"
	nothingSuch   = "the appointment as it was told before has no such service or resource: an S14 with the whole appointment says the same"
	whichOfThem   = "the appointment as it was told before has more than one such service or resource: an S14 with the whole appointment says the same"
	emptyGroup    = "a group is taken off, and nothing tells what is in it"
	noAction      = "not a code of table 0206"
)

// tellsPart tells whether a message tells only what is new of an appointment: it would
// stand for the whole, and who is not named in it would be off the appointment. That it
// tells the whole is seen by what it says has not changed (X), or is as it is (S); of an
// S18 or S19 also by the absence of any segment action, where there are services or
// resources.
//
// Source: HL7 v2.9 10.3.7 to 10.3.11, 10.4.7 to 10.4.11, 10.6.4.2; HL7 table 0206.
func tellsPart(msg *hl7.Message, typ hl7.Type) bool {
	first := "S07"
	if typ.Code == "SIU" {
		first = "S18"
	}
	n := slices.Index(changes[first], typ.Trigger)
	if n < 0 {
		return false
	}
	some, acts, gap, unchanged := false, false, false, false
	for _, s := range msg.Segments() {
		act := value(s.Field(2))
		switch s.Name() {
		case "RGS":
			acts = acts || act != ""
		case "AIS", "AIG", "AIL", "AIP":
			some, acts, gap, unchanged = true, acts || act != "", gap || act == "", unchanged || act == "X" || act == "S"
		}
	}
	return !(some && !acts && n < 2 || acts && !gap && unchanged)
}

// changes are the triggers of services and resources that are added, modified,
// cancelled, discontinued and deleted: told by a filler, and asked for by a placer.
var changes = map[string][]string{
	"S18": {"S18", "S19", "S20", "S21", "S22"},
	"S07": {"S07", "S08", "S09", "S10", "S11"},
}

// does is what a trigger does with a segment that has no action of its own (table 0206).
// What was cancelled or discontinued is expected no more than what was deleted.
func does(trigger string) string {
	switch trigger {
	case "S07", "S18":
		return "A"
	case "S08", "S19":
		return "U"
	}
	return "D"
}

// wholeOf is the appointment as a message leaves it that tells only what changes of it.
func (b *build) wholeOf(head hl7.Segment, of arranged) (*arrangement, error) {
	key := firstKey("filler", first(head.Field(2)), "placer", first(head.Field(1)))
	if key == nil {
		return nil, fail(head, 2, noAppointment)
	}
	asked := head.Name() == "ARQ"
	b.out.Part = &Part{Chart: b.chart, Appointment: b.id("Appointment", key...), Asked: asked}
	if msa := b.msg.Segment("MSA"); msa.Exists() && slices.Contains([]string{"AE", "AR", "CE", "CR"}, value(msa.Field(1))) {
		return nil, fail(msa, 1, "the request was refused: nothing of the appointment changes")
	}
	if obx := b.msg.Segment("OBX"); obx.Exists() {
		return nil, fail(obx, 0, beside)
	}
	if len(b.in.Before) > maxBefore {
		return nil, fail(head, 2, tooMany)
	}
	var whole *arrangement
	for _, m := range b.in.Before {
		next, err := b.after(whole, m, head, of)
		if err != nil {
			return nil, err
		}
		whole = next
	}
	switch {
	case whole != nil:
		return whole.changed(b.msg, b.typ, head, of)
	case asked:
		return nil, fail(head, 2, noRequest)
	}
	return nil, fail(head, 2, noWhole)
}

// after is the appointment as a message before left it; head is of the one that goes on from it.
func (b *build) after(was *arrangement, m inbox.Before, head hl7.Segment, of arranged) (*arrangement, error) {
	if len(m.Body) == 0 {
		return nil, fail(head, 2, wholePurged)
	}
	msg, err := hl7.Parse(m.Body)
	if err == nil {
		msg, err = b.feed.Dialect.apply(msg)
	}
	if err != nil {
		return was, nil
	}
	told, typ := msg.Segment(head.Name()), msg.Type()
	switch {
	case !told.Exists():
		return was, nil
	case msg.Delimiters() != b.msg.Delimiters():
		return nil, fail(b.msg.Segment("MSH"), 2, delimiters)
	case masked(msg):
		return nil, fail(head, 2, wholeMasked)
	case !tellsPart(msg, typ):
		return arrangementOf(told, standing(behind(msg.Segments(), head.Name())), typ), nil
	case was == nil:
		return nil, nil
	}
	next, unread := was.changed(msg, typ, told, of)
	if unread != nil {
		return was, nil
	}
	return next, nil
}

// masked tells whether a French sender masks a message to professionals. What goes on
// from it would be masked too, and only a result can say so.
//
// Source: ANS, CI-SIS, volet "Transmission d'un document CDA-R2 en HL7 v2" 1.2.
func masked(msg *hl7.Message) bool {
	for obx := range msg.All("OBX") {
		if first(obx.Field(3)).at(1) == "MASQUE_PS" && value(obx.Field(5)) != "N" {
			return true
		}
	}
	return false
}

// arrangement is an appointment, or a request of one, in the segments of the messages
// that tell of it.
type arrangement struct {
	by      hl7.Type      // of the message that told the status last
	head    hl7.Segment   // SCH or ARQ
	times   []hl7.Segment // TQ1
	notes   []hl7.Segment // NTE on it as a whole
	reasons []hl7.Segment // DG1
	items   []hl7.Group   // each service and resource with its notes
}

func arrangementOf(head hl7.Segment, g hl7.Group, by hl7.Type) *arrangement {
	return &arrangement{
		by: by, head: head, times: slices.Collect(g.All("TQ1")), notes: scheduleNotes(g), reasons: slices.Collect(g.All("DG1")),
		items: itemsOf(g),
	}
}

// itemsOf are the services and resources of a group, each with what is noted on it.
func itemsOf(g hl7.Group) (items []hl7.Group) {
	open := false
	for _, s := range g {
		switch s.Name() {
		case "AIS", "AIG", "AIL", "AIP":
			items, open = append(items, hl7.Group{s}), true
		case "NTE":
			if n := len(items) - 1; open {
				items[n] = append(items[n], s)
			}
		default:
			open = false
		}
	}
	return items
}

// group are the segments behind its head.
func (a *arrangement) group() hl7.Group {
	return slices.Concat(append([]hl7.Group{a.times, a.notes, a.reasons}, a.items...)...)
}

// changed is the appointment as msg leaves it, which tells only what changes. A field
// that it leaves empty is as it was, also of a service or resource that it updates.
//
// Source: HL7 v2.9 2.5.3, 2.10.4, 10.6.4 to 10.6.7.
func (a *arrangement) changed(msg *hl7.Message, typ hl7.Type, head hl7.Segment, of arranged) (*arrangement, error) {
	g := behind(msg.Segments(), head.Name())
	next := *a
	next.items = slices.Clone(a.items)
	if !head.Field(of.status).Empty() {
		next.by = typ
	}
	var err error
	if next.head, err = over(head, a.head); err != nil {
		return nil, err
	}
	if times := slices.Collect(g.All("TQ1")); len(times) > 0 {
		next.times = times
	} else if of.span == 0 && first(head.Field(11)).at(4) != "" { // which TQ1 replaced
		next.times = nil
	}
	if notes := scheduleNotes(g); len(notes) > 0 {
		next.notes = notes
	}
	if reasons := slices.Collect(g.All("DG1")); len(reasons) > 0 {
		next.reasons = reasons
	}
	action := ""
	for i, s := range g {
		if s.Name() != "RGS" {
			continue
		}
		if value(s.Field(2)) == "D" && (i+1 == len(g) || g[i+1].Name() == "RGS") {
			return nil, fail(s, 0, emptyGroup)
		}
	}
	for _, run := range g.Groups("RGS", "AIS", "AIG", "AIL", "AIP") {
		if run[0].Name() == "RGS" {
			action = value(run[0].Field(2))
			continue
		}
		item := itemsOf(run)[0]
		act := value(item[0].Field(2))
		if act == "" && (action == "A" || action == "D") {
			act = action
		}
		if act == "" || act == "U" && does(typ.Trigger) == "D" {
			act = does(typ.Trigger)
		}
		if err := next.change(item, act); err != nil {
			return nil, err
		}
	}
	return &next, nil
}

// change adds a service or resource, updates it or takes it off.
func (a *arrangement) change(item hl7.Group, act string) error {
	s := item[0]
	switch act {
	case "X", "S":
		return nil
	case "A":
		i := slices.IndexFunc(a.items, func(o hl7.Group) bool { return named(s) && sameThing(s, o[0]) && agree(s, o[0]) })
		if i < 0 {
			a.items = append(a.items, item)
		} else {
			a.items[i] = item
		}
		return nil
	case "U", "D":
	default:
		return fail(s, 2, noAction)
	}
	i, err := a.find(s)
	if err != nil {
		return err
	}
	if act == "D" {
		a.items = slices.Delete(a.items, i, i+1)
		return nil
	}
	now, err := over(s, a.items[i][0])
	if err != nil {
		return err
	}
	notes := a.items[i][1:]
	if len(item) > 1 {
		notes = item[1:]
	}
	a.items[i] = append(hl7.Group{now}, notes...)
	return nil
}

// find is which service or resource s means: what it names (AIS-3, AIG-3, AIL-3,
// AIP-3); of several, and where it names nothing, that of its set id (AIS-1) and of its
// time or type (AIS-4, AIG-4, AIL-4, AIP-4), where these do not contradict each other.
func (a *arrangement) find(s hl7.Segment) (int, error) {
	var all, numbered, alike []int
	for i, o := range a.items {
		if o[0].Name() != s.Name() || named(s) && !sameThing(s, o[0]) {
			continue
		}
		all = append(all, i)
		if n := value(s.Field(1)); n != "" && n == value(o[0].Field(1)) {
			numbered = append(numbered, i)
		}
		if s.Field(4).Present() && agree(s, o[0]) {
			alike = append(alike, i)
		}
	}
	if len(all) == 1 && named(s) {
		return all[0], nil
	}
	both := slices.DeleteFunc(slices.Clone(numbered), func(i int) bool { return !slices.Contains(alike, i) })
	switch {
	case len(both) > 0:
	case len(alike) == 0:
		both = numbered
	case len(numbered) == 0 && named(s):
		both = alike
	}
	switch {
	case len(both) == 1:
		return both[0], nil
	case len(all) == 0 || !named(s):
		return 0, fail(s, 3, nothingSuch)
	}
	return 0, fail(s, 3, whichOfThem)
}

// named tells whether a service or resource is called anything.
func named(s hl7.Segment) bool { return s.Field(3).Present() }

// sameThing tells whether two segments call a service, thing, place or person the same.
func sameThing(s, o hl7.Segment) bool {
	if s.Name() != o.Name() {
		return false
	}
	x, y := first(s.Field(3)), first(o.Field(3))
	equal := func(parts ...int) bool {
		said := false
		for _, n := range parts {
			if x.at(n) != y.at(n) {
				return false
			}
			said = said || x.at(n) != ""
		}
		return said
	}
	either := func(a, b string) bool { return a == "" || b == "" || a == b }
	switch s.Name() {
	case "AIP": // XCN
		if x.at(1) != "" || y.at(1) != "" {
			return equal(1) && either(x.in(9).at(1), y.in(9).at(1))
		}
		return equal(2, 3)
	case "AIL": // PL
		return equal(1, 2, 3, 4)
	}
	if x.at(1) != "" || y.at(1) != "" { // CWE
		return equal(1) && either(x.at(3), y.at(3))
	}
	return equal(2)
}

// agree tells whether two segments do not contradict each other in the time of the
// service, or in the type of the resource.
func agree(s, o hl7.Segment) bool {
	return !s.Field(4).Present() || !o.Field(4).Present() || first(s.Field(4)).at(1) == first(o.Field(4)).at(1)
}

// over is a segment with what it leaves empty as it was in another; also what is called
// the same and named no more, by its number or code alone.
func over(now, was hl7.Segment) (hl7.Segment, error) {
	all := now.Message().Segments()
	d := now.Message().Draft()
	for n := 1; n <= was.Fields(); n++ {
		f := was.Field(n)
		if empty := now.Field(n).Empty() || n == 3 && now.Name() != "SCH" && now.Name() != "ARQ" && now.Field(n).Rep(0).Components() == 1; empty && !f.Empty() {
			if err := d.Set(now, hl7.Path{Segment: now.Name(), Field: n}, f.Raw()); err != nil {
				return hl7.Segment{}, fail(now, n, "what it was before cannot be written in this message")
			}
		}
	}
	return d.Message().Segments()[slices.Index(all, now)], nil
}
