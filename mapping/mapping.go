package mapping

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"firebreak/adapters/hl7"
	"firebreak/fhir"
	"firebreak/inbox"
)

// Result is what one message says.
type Result struct {
	Patient   fhir.Ref     // whose chart it goes into
	At        time.Time    // when the source sent it: MSH-7
	Resources []Resource   // in the order made; every reference among them resolves
	Links     []Link       // merges it asks for or takes back
	Moves     []inbox.Move // visits that it says are another patient's, from At on
	Named     []string     // charts that it names, whatever moved; nil: Patient's alone
	Part      *Part        // what it tells only a part of; nil: all it tells of is told whole
	Dialect   string       // by which it was read: Dialect.ID
	Edition   *Edition     // of a document that is called by something; nil: it is no such document
	Corrects  bool         // it updates who the patient is, and so may correct the birth date
	Notes     []string     // what was left out and where, never a value: "DG1-5 in segment 7: not a time"
}

// Resource is one version of one resource.
type Resource struct {
	fhir.Resource
	At      time.Time // which version is current: the later one
	Chart   string    // key of the chart it belongs to; empty: Result.Patient's
	Deleted bool      // the source deleted it; Resource is a stub, Chart is empty
	Given   bool      // its id was given with it and does not tell its chart
	Stays   bool      // when its id is known it stays where it lies; Chart is for a new one
	Found   bool      // its id was found by a search: what it says may be of another
	Repeats bool      // the source has it already, and says it again
	Place   string    // where in what was pushed: "Bundle.entry[3].resource"
	To      []string  // feeds that it is to be sent to
	Answers []string  // numbers of letters to its source that it answers
	Lasts   bool      // of an Edition: it stays when that is replaced
	Whole   bool      // of an Edition: the DocumentReference that keeps it whole
}

// Edition is which version of a document a message is. What replaces it, by a later
// version or by its name, takes away what it alone says; see Resource.Lasts.
type Edition struct {
	Name     string   // of this version
	Series   string   // what all versions share; empty: it names none
	Number   int64    // of the version in its series, 0 when it has none
	Replaces []string // names of those that it says it replaces
}

// Part names an appointment of which a message tells only what changes. What told of it
// before is inbox.Message.Before, with which the message says it whole.
type Part struct {
	Chart, Appointment string // ids
	Asked              bool   // it is a request: those before it are, too
}

// Link says that what is known of From belongs to Into, or with Undo that it
// does not after all.
type Link struct {
	From, Into fhir.Ref
	At         time.Time
	Undo       bool
}

// Error says that a message cannot be mapped and must be held, and where it
// fails. It never holds the value found there.
type Error struct {
	Segment   string // "PID"
	Index     int    // which of the message's segments, from 1; 0 when it is not there
	Field     int    // 3 in PID-3; 0: the segment as a whole
	Component int    // 1 in PID-3.1; 0: the field as a whole
	Reason    string // "no patient identifier"
}

// Error reads "mapping: PID-3 in segment 3: no patient identifier".
func (e *Error) Error() string { return "mapping: " + e.where() + ": " + e.Reason }

// Place is the path inside the segment: "PID-3.1".
func (e *Error) Place() string {
	s := e.Segment
	if e.Field > 0 {
		s += "-" + strconv.Itoa(e.Field)
		if e.Component > 0 {
			s += "." + strconv.Itoa(e.Component)
		}
	}
	return s
}

func (e *Error) where() string {
	if e.Index == 0 {
		return e.Place()
	}
	return e.Place() + " in segment " + strconv.Itoa(e.Index)
}

// fail makes the error that names a field of seg; field 0 names the segment.
func fail(seg hl7.Segment, field int, reason string) *Error {
	return &Error{Segment: seg.Name(), Index: seg.Index(), Field: field, Reason: reason}
}

// fault turns what the reader of HL7 says into this package's error.
func fault(err error) error {
	var at *hl7.FieldError
	if !errors.As(err, &at) {
		return err
	}
	return &Error{Segment: at.Segment, Index: at.Index, Field: at.Field, Component: at.Component, Reason: at.Reason}
}

// Map maps one message. It is pure: the same message under the same Keys
// gives the same bytes. The error is an *Error; then nothing of the message may
// be applied, and of the Result there is only what finds the message again: Patient,
// At and Part.
func Map(k *Keys, m inbox.Message) (Result, error) {
	r, err := read(k, m)
	k.answers(m.Source, r.Resources)
	return r, err
}

func read(k *Keys, m inbox.Message) (Result, error) {
	switch m.Kind {
	case inbox.FHIR:
		return push(k, m)
	case inbox.Told:
		return told(k, m)
	case inbox.Requested:
		return requested(k, m)
	case inbox.Joined:
		return joined(m)
	case inbox.Copy:
		return copied(k, m)
	case inbox.CCDA:
		return clinicalDocument(k, m)
	}
	b, err := newBuild(k, m)
	if err != nil {
		return Result{}, err
	}
	if len(m.Moves) > 0 {
		if to, err := b.elsewhere(); err != nil {
			return Result{}, err
		} else if to != nil {
			return b.mapElsewhere(to)
		}
	}
	if b.typ.Code == "ADT" && b.trigger() == "A17" {
		return b.swap()
	}
	if err := b.message(); err != nil {
		return b.unsaid(), err
	}
	return b.result()
}

// message maps by message type and trigger, MSH-9.
func (b *build) message() error {
	switch b.typ.Code {
	case "ADT":
		return b.adt()
	case "MFN":
		return b.master()
	}
	if ofDirectory(b.typ.Code, b.typ.Trigger) {
		return b.handler()()
	}
	if err := b.onePatient(); err != nil {
		return err
	}
	b.mentionPatient()
	return b.handler()()
}

// handler maps what a message type other than ADT states; the patient is added
// before it runs. nil: nobody maps the type.
func (b *build) handler() func() error {
	switch code, trigger := b.typ.Code, b.typ.Trigger; {
	case code == "ORU":
		return b.oru
	case code == "OUL", code == "OML" && (trigger == "O33" || trigger == "O35"):
		return b.oul
	case code == "ORM", code == "ORR", code == "OMG", code == "ORG", code == "OML", code == "ORL", code == "OMI", code == "ORI":
		return b.orm
	case code == "OMP", code == "ORP", code == "RDE", code == "RRE", code == "RDS", code == "RRD", code == "RAS", code == "RRA":
		return b.pharmacy
	case code == "VXU":
		return b.vxu
	case code == "REF", code == "RRI":
		return b.ref
	case code == "PPR", code == "PGL", code == "PPP":
		return b.ppr
	case code == "DFT":
		return b.dft
	case code == "BAR" && (trigger == "P01" || trigger == "P05" || trigger == "P06" || trigger == "P12"):
		return b.bar
	case code == "RSP":
		return b.rsp
	case code == "SRR", code == "SRM" && trigger <= "S11" && trigger != "S05", code == "SIU" && (trigger >= "S12" && trigger <= "S22" || trigger == "S26"):
		return b.siu
	case code == "SIU" && (trigger == "S23" || trigger == "S24"):
		return b.slots
	case code == "MDM" && trigger >= "T01" && trigger <= "T11":
		return b.mdm
	case code == "MFN" && (trigger == "M02" || trigger == "M05"):
		return b.master
	}
	return nil
}

// unmapped is the answer to a message type nobody maps.
func (b *build) unmapped() error {
	e := fail(b.msg.Segment("MSH"), 9, "messages of this type are not mapped")
	if b.typ.Code == "" {
		e.Reason = "no message type"
	}
	if why := or(unmappedScheduling[b.typ.String()], unmappedMasters[b.typ.String()]); why != "" {
		e.Component, e.Reason = 2, why
	}
	return e
}

// PatientKey is the id of the chart that m goes into, as Map would say, at a
// fraction of the cost: messages with the same key must be applied in order. A
// merge's is the surviving chart's; its Links may be applied in any order. The
// error names PID-3 as Map would.
func PatientKey(k *Keys, m inbox.Message) (string, error) {
	switch m.Kind {
	case inbox.FHIR:
		return pushKey(k, m)
	case inbox.Told:
		r, err := told(k, m)
		return r.Patient.ID, err
	case inbox.Requested:
		r, err := requested(k, m)
		return r.Patient.ID, err
	case inbox.Joined:
		r, err := joined(m)
		return r.Patient.ID, err
	case inbox.Copy:
		return copyKey(k, m)
	case inbox.CCDA:
		return clinicalKey(k, m)
	}
	msg, err := parse(m)
	if err != nil {
		return "", err
	}
	f := k.feed(m.Source)
	if f.Dialect != nil && f.Dialect.names {
		if msg, err = f.Dialect.apply(msg); err != nil {
			return "", err
		}
	}
	pid := msg.Segment("PID")
	if msh9 := first(msg.Segment("MSH").Field(9)); !pid.Exists() && ofDirectory(msh9.at(1), msh9.at(2)) {
		return k.masterFiles(m.Source), nil
	}
	id, err := f.patient(pid)
	if err != nil {
		return "", err
	}
	return k.Patient(m.Source, id.system, id.value), nil
}

func parse(m inbox.Message) (*hl7.Message, error) {
	if m.Kind != inbox.HL7v2 {
		return nil, &Error{Segment: "MSH", Reason: "not an HL7 v2 message"}
	}
	msg, err := hl7.Parse(m.Body)
	if err != nil {
		return nil, fault(err)
	}
	return msg, nil
}

// note is e as a line of Result.Notes.
func note(e *Error) string { return strings.ReplaceAll(e.where()+": "+e.Reason, "\n", " ") }
