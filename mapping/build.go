package mapping

import (
	"errors"
	"time"

	"firebreak/adapters/hl7"
	"firebreak/fhir"
	"firebreak/inbox"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

// build is one message on its way to resources. It belongs to one call of Map.
type build struct {
	keys *Keys
	feed *Feed
	in   inbox.Message
	msg  *hl7.Message
	typ  hl7.Type
	at   time.Time // when the source sent the message

	pid   hl7.Segment // the first PID
	chart string      // id of the patient and prefix of all other ids

	out    Result
	seen   map[fhir.Ref]int  // index in out.Resources, once they are many: see find
	target []fhir.Ref        // what the message is about: the Provenance's targets
	docs   map[fhir.Ref]bool // what documents in the message alone say; true: it is one's index
	guest  bool              // PID is not of whom the message named: see mapElsewhere
	repeat bool              // what add is given is only repeated here: see reminder
	visit  *r4.Reference     // of the first PV1, once asked for
	asked  bool
	fault  error // the first failure of add
}

func newBuild(k *Keys, m inbox.Message) (*build, error) {
	msg, err := parse(m)
	if err != nil {
		return nil, err
	}
	feed := k.feed(m.Source)
	if msg, err = feed.Dialect.apply(msg); err != nil {
		return nil, err
	}
	b := &build{keys: k, feed: feed, in: m, msg: msg}
	msh9 := first(msg.Segment("MSH").Field(9))
	b.typ = hl7.Type{Code: msh9.at(1), Trigger: msh9.at(2), Structure: msh9.at(3)}
	if b.typ.Code != "ADT" && b.handler() == nil {
		return nil, b.unmapped()
	}
	if ofDirectory(b.typ.Code, b.typ.Trigger) {
		b.chart = k.masterFiles(m.Source)
	} else {
		b.pid = msg.Segment("PID")
		id, err := b.feed.patient(b.pid)
		if err != nil {
			return nil, err
		}
		b.chart = k.Patient(m.Source, id.system, id.value)
	}
	b.at = m.Received
	if t, ok := b.feed.moment(value(msg.Segment("MSH").Field(7))); ok {
		b.at = t.time
	} else if t, ok := b.feed.moment(value(msg.Segment("EVN").Field(2))); ok {
		b.at = t.time
	}
	b.out.Resources = make([]Resource, 0, 12)
	b.out.Patient, b.out.At = fhir.Ref{Type: "Patient", ID: b.chart}, b.at
	return b, nil
}

// id is the id of a resource of this patient; see Keys.ID for what parts may be.
func (b *build) id(typ string, parts ...string) string {
	return b.keys.ID(b.chart, b.in.Source, typ, parts...)
}

// subject is the reference to the patient.
func (b *build) subject() r4.Reference { return refer("Patient", b.chart) }

// refer makes a literal reference.
func refer(typ, id string) r4.Reference {
	s := typ + "/" + id
	return r4.Reference{Reference: &s}
}

// add makes model, a samply struct with its Id set, a resource that the message
// states, valid from when it was sent. also says what the struct cannot hold.
func (b *build) add(model any, also ...fhir.Set) fhir.Ref { return b.addAt(b.at, model, also...) }

// addAt is add for a fact with a time of its own, such as an observation's
// report time: a later version of the same resource replaces an earlier one.
func (b *build) addAt(at time.Time, model any, also ...fhir.Set) fhir.Ref {
	if b.repeat {
		return b.support(reminder(at), model, also...)
	}
	ref := b.support(at, model, also...)
	if !ref.IsZero() {
		b.target = append(b.target, ref)
	}
	return ref
}

// support adds what the message only mentions, such as a practitioner: it is
// no target of the message's Provenance. The first to give an id wins.
func (b *build) support(at time.Time, model any, also ...fhir.Set) fhir.Ref {
	if o, ok := model.(r4.Organization); ok {
		model = notAtHome(o)
	}
	res, err := fhir.New(model, append(also, unsaidSystems(model)...)...)
	if err != nil {
		if b.fault == nil {
			b.fault = err
		}
		return fhir.Ref{}
	}
	return b.mention(at, res)
}

// mention adds a resource unless the message gave one of that id already.
func (b *build) mention(at time.Time, res fhir.Resource) fhir.Ref {
	ref := res.Ref()
	if _, twice := b.find(ref); !twice {
		if b.seen != nil {
			b.seen[ref] = len(b.out.Resources)
		}
		b.out.Resources = append(b.out.Resources, Resource{Resource: res, At: at})
	}
	return ref
}

// has tells whether the message already gave that resource.
func (b *build) has(typ, id string) bool {
	_, ok := b.find(fhir.Ref{Type: typ, ID: id})
	return ok
}

// find is the index of a resource that the message gave. Most messages give so
// few that to look through them costs less than a map.
func (b *build) find(ref fhir.Ref) (int, bool) {
	if b.seen == nil && len(b.out.Resources) > 24 {
		b.seen = make(map[fhir.Ref]int, 64)
		for i := range b.out.Resources {
			b.seen[b.out.Resources[i].Ref()] = i
		}
	}
	if b.seen != nil {
		i, ok := b.seen[ref]
		return i, ok
	}
	for i := range b.out.Resources {
		if r := &b.out.Resources[i]; r.ID() == ref.ID && r.Type() == ref.Type {
			return i, true
		}
	}
	return 0, false
}

// reminder is the time of a version that a message only repeats: the patient
// and the visit of a result. It lies below every version of the same thing that
// a message states, and keeps its order among its like.
func reminder(at time.Time) time.Time { return at.AddDate(-200, 0, 0) }

// note says what was left out. field 0 means the whole segment.
func (b *build) note(seg hl7.Segment, field int, reason string) {
	b.out.Notes = append(b.out.Notes, note(fail(seg, field, reason)))
}

// result ends the build.
func (b *build) result() (Result, error) {
	b.elements()
	b.provenance()
	if b.fault != nil {
		return Result{}, b.refused()
	}
	b.out.Dialect = b.feed.Dialect.ID()
	return b.out, nil
}

// unsaid is the result of a message that cannot be mapped.
func (b *build) unsaid() Result {
	if b.out.Part == nil {
		return Result{}
	}
	return Result{Patient: b.out.Patient, At: b.out.At, Part: b.out.Part}
}

// refused is the error for a resource that fhir would not take: a fault of this
// package, said without the data.
func (b *build) refused() error {
	if e, ok := errors.AsType[*Error](b.fault); ok {
		return e
	}
	reason := "the mapping made a resource that is not FHIR"
	var at *fhir.Error
	if errors.As(b.fault, &at) && at.Expression != "" {
		reason += ": " + at.Expression
	}
	return fail(b.msg.Segment("MSH"), 9, reason)
}

// dateTime reads a field as a FHIR dateTime; nil, with a note, when it is none.
func (b *build) dateTime(seg hl7.Segment, field int) *string {
	if m, ok := b.moment(seg, field); ok {
		return &m.text
	}
	return nil
}

// date reads a field as a FHIR date: the day its own clock had.
func (b *build) date(seg hl7.Segment, field int) *string {
	if m, ok := b.moment(seg, field); ok {
		return p(m.date())
	}
	return nil
}

// moment reads a field as a time; ok is false when nothing was sent and, with a
// note, when it is none.
func (b *build) moment(seg hl7.Segment, field int) (moment, bool) {
	t, err := seg.Field(field).Time()
	if err != nil {
		b.note(seg, field, "not a time")
		return moment{}, false
	}
	if t.IsZero() {
		return moment{}, false
	}
	return b.feed.from(t), true
}

// when reads a part of a composite as a FHIR dateTime, nil when it is none.
func (b *build) when(s string) *string {
	if s == "" {
		return nil
	}
	if m, ok := b.feed.moment(s); ok {
		return &m.text
	}
	return nil
}

// instant is a time as FHIR's instant: to the second at least, with an offset.
func (b *build) instant(t time.Time) string {
	return t.In(b.feed.zone()).Format("2006-01-02T15:04:05.999999999Z07:00")
}

// period is nil when neither end is known. An end before the start is left out: one
// of the two is wrong, and no Period can say both (R4 invariant per-1).
func period(start, end *string) *r4.Period {
	if start == nil && end == nil {
		return nil
	}
	if start != nil && end != nil && before(*end, *start) {
		end = nil
	}
	return &r4.Period{Start: start, End: end}
}

// before tells whether a FHIR dateTime is surely before another: where one says less,
// by what both say.
func before(a, b string) bool {
	const day = len("2006-01-02")
	if len(a) <= day || len(b) <= day {
		n := min(len(a), len(b), day)
		return a[:n] < b[:n]
	}
	x, err := time.Parse(time.RFC3339, a)
	y, err2 := time.Parse(time.RFC3339, b)
	return err == nil && err2 == nil && x.Before(y)
}
