// Package inbox says what a received message is, and when it counts as received.
package inbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Kind names the format of a message's body.
type Kind string

const (
	HL7v2 Kind = "hl7v2" // one HL7 v2 message, bytes as received
	FHIR  Kind = "fhir"  // one FHIR interaction pushed by a source, see adapters.Push
	Copy  Kind = "copy"  // one resource as a source that is asked had it, see adapters/pull
	CCDA  Kind = "ccda"  // one C-CDA document, bytes as received
)

// Message is what a source sent, whole and unchanged.
type Message struct {
	Source    string    // configured name of the feed; ids are made from it
	Kind      Kind      //
	ControlID string    // MSH-10, or the request's id; may be empty or repeat
	Peer      string    // network address or client id, for the operator
	Received  time.Time // by this process's clock
	Body      []byte    // exact bytes
	Found     []string  // ids of what a push leaves to be found, see rest.Plan; nil: not looked for
	Moves     []Move    // visits of the patients it names that are others' by now, as far as is known
	Before    []Before  // of one that tells only what changes of something: what told of that before, the oldest first
}

// Before is a message of the same source that another goes on from.
type Before struct {
	ID   ID
	Body []byte // exact bytes; empty: they were purged
}

// Move says that a visit, or an account, is another patient's than was thought, with
// all that was or will be sent under it.
type Move struct {
	Visit   string  `json:"visit"` // the same in each chart: see Of
	From    string  `json:"from"`  // chart that it was taken for
	Into    string  `json:"into"`
	Subject Subject `json:"subject"`
}

// AccountMove begins the name by which an account moves.
const AccountMove = "Account/"

// Of is the type of what moves, and the end of its id, which is the same in each chart.
func (m Move) Of() (typ, end string) {
	if end, ok := strings.CutPrefix(m.Visit, AccountMove); ok {
		return "Account", end
	}
	return "Encounter", m.Visit
}

// OfAccount tells whether it is an account that moves.
func (m Move) OfAccount() bool { return strings.HasPrefix(m.Visit, AccountMove) }

// Subject is the number of the patient whose a visit is, as the source writes it.
type Subject struct {
	Number    string `json:"number"`
	Namespace string `json:"namespace,omitempty"`
	Universal string `json:"universal,omitempty"`
	Kind      string `json:"kind,omitempty"`
	Type      string `json:"type,omitempty"`
}

// Apart tells whether what the message says of each of two patients is judged by
// itself. Of a visit that was moved, what is said of either is not: who is known from
// a sensitive visit alone would be told by what is left without it.
func (m Message) Apart() bool { return m.Kind == HL7v2 && len(m.Moves) == 0 }

// Severed tells whether a message that it goes on from is stored no longer: it cannot be
// mapped again.
func (m Message) Severed() bool {
	return slices.ContainsFunc(m.Before, func(b Before) bool { return len(b.Body) == 0 })
}

func (m Message) String() string {
	return fmt.Sprintf("%s message from %s (%d bytes)", m.Kind, m.Source, len(m.Body))
}

// LogValue keeps the body out of logs.
func (m Message) LogValue() slog.Value { return slog.StringValue(m.String()) }

// ID is a message's number in the inbox, in order of arrival; 0 is none.
type ID int64

// Receipt proves that a message is on disk.
type Receipt struct {
	ID        ID
	Duplicate bool // source, control id and body were known: nothing was stored
	Flagged   bool // the control id was known with another body
}

// Sink takes messages in. A nil error means: on disk, may be acknowledged
// (RELIABILITY promise 1). Put is safe for many goroutines.
type Sink interface {
	Put(context.Context, Message) (Receipt, error)
}

// Known is what is remembered of one resource of a server that is asked for
// its resources, beside its messages: what is needed to notice that one is
// missing there or here.
type Known struct {
	ID      string    // as the server calls it
	Owner   string    // id of the one patient that it is about; may be empty
	Updated time.Time // by the server's clock
}

// Asked is what one answer of such a server changes in what is known of it.
type Asked struct {
	Type  string
	Round int64    // the listing under way, or the last one
	Have  []Known  // taken in
	Seen  []string // ids known already, and still there
	Gone  []string // ids
}

// HeldError says that a message is stored but was not applied, and why.
// Reason names the place (segment and field, or element) and holds no patient's data.
type HeldError struct{ Reason string }

func (e *HeldError) Error() string { return "inbox: held: " + e.Reason }

// ErrPaused says that a message is stored, and applied when its feed is resumed.
var ErrPaused = errors.New("inbox: the feed is paused")
