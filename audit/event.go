// Package audit is the append-only, hash-chained log of every read, search,
// refusal and sign-in (GW-13). No audit, no answer.
//
// The log is a folder of segments, files "audit-<number of the first entry>.jsonl",
// one JSON object a line. Each line ends with its hash, SHA-256 over the hash of
// the line before and its own text; a file "head" repeats the last number and hash.
// While a segment is open, zeros follow its last line.
//
// What the chain proves: that no entry was changed, removed, inserted or moved
// since, as long as one later hash is known from elsewhere. [Verify] compares
// with the head file, which shows a cut tail, and with anchors kept in another
// place: the record writes [Log.Head] into its database. What it does not
// prove: whoever can write to the folder and to every place that keeps an
// anchor can forge the entries after the last anchor outside their reach. Nor
// does it prove that an event was true when it was written.
//
// Why files: a SQLite table of its own with the same group commit is as fast
// (16 goroutines, two cores: 25,000 entries a second in files,
// 23,000 in a table; BenchmarkAppend), but a file can be read, shipped and
// checked without us, and reads never wait behind the database's one writer.
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
	Export   Action = "export" // of many charts at once
	Find     Action = "find"   // search for a person
	Page     Action = "open"   // a page of one chart
	Print    Action = "print"
	Write    Action = "write"  // push by a source
	Notify   Action = "notify" // a subscriber is told, or is to be
	SignIn   Action = "sign-in"
	SignOut  Action = "sign-out"
	Operate  Action = "operate"  // replay, look at a stored message
	Classify Action = "classify" // what a local code means
	Break    Action = "break-glass"
	Mend     Action = "end-break-glass"
	Oversee  Action = "oversee" // a privacy officer's page
)

// Event is one thing that was done or refused. It holds who, what kind, which
// patient and which resources; never a name, value or text of a patient, and
// of a query its parameter names only. Who acts is written with the name and
// the worksite's as they are now: they may be gone when somebody asks.
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
