package inbox

import (
	"fmt"
	"log/slog"
	"time"
)

// Letter is a resource that was addressed to the system of a source, on its way
// out of here.
type Letter struct {
	ID       int64     // in order of entry
	To       string    // the feed
	Chart    string    // letters of one chart arrive in order
	Number   string    // of the request: the same for each version of the resource; what an answer names
	Control  string    // of this letter: the same however often it is sent
	Later    bool      // an earlier version of the resource went before
	Entered  time.Time //
	Attempts int       // made before
	Resource []byte    // as it was entered
}

func (l Letter) String() string { return fmt.Sprintf("letter %d to %s", l.ID, l.To) }

// LogValue keeps the resource out of logs.
func (l Letter) LogValue() slog.Value { return slog.StringValue(l.String()) }

// Outcome is what became of an attempt to deliver a letter.
type Outcome struct {
	State  LetterState // Waiting: it is to be tried again
	Due    time.Time   // not before then
	Reason string      // why it is not sent; no patient's data
	Answer string      // what the receiver called it, if it said so
}

// LetterState is how far a letter has come.
type LetterState int64

const (
	Waiting  LetterState = iota
	Refused              // it waits for a person, and the later ones of its patient wait behind it
	Sent                 // the receiver has it
	Answered             // the receiver's system told of what became of it
	Dropped              // a person decided that it shall not be sent
)

func (s LetterState) String() string {
	return [...]string{"waiting", "refused", "sent", "answered", "dropped"}[s]
}
