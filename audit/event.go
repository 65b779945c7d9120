// Package audit is the append-only, hash-chained log of every read, search,
// refusal and sign-in (GW-13). No audit, no answer.
package audit

import (
	"time"

	"firebreak/access"
	"firebreak/fhir"
)

// Action is what was done, in the words of R4 AuditEvent.subtype
// (http://hl7.org/fhir/R4/valueset-audit-event-sub-type.html) where it has one.
type Action string

const (
	Read     Action = "read"
	VRead    Action = "vread"
	HistoryA Action = "history"
	Search   Action = "search"
	Find     Action = "find" // search for a person
	Page     Action = "open" // a page of one chart
	Print    Action = "print"
	Write    Action = "write" // push by a source
	SignIn   Action = "sign-in"
	SignOut  Action = "sign-out"
	Operate  Action = "operate" // replay, look at a stored message
)

// Event is one thing that was done or refused. It holds who, what kind, which
// patient and which resources; never a name, value or text of a patient, and
// of a query its parameter names only.
type Event struct {
	Time     time.Time
	Action   Action
	Refused  bool // a refusal, or nothing there: the two are one outcome
	Caller   access.Caller
	Subject  string     // identity for events before a Caller exists: issuer and subject
	Patient  fhir.Ref   // whose chart; zero when none
	Entities []fhir.Ref // what was shown, empty for a whole page of a chart
	Detail   string     // type and parameter names, page name; no values
	Address  string     // network address of the asker
	Request  string     // X-Request-Id
}
