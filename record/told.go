package record

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"firebreak/audit"
	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/internal/sqldb"
)

// Told is what an officer writes down of a withheld result: that the patient was
// told, when, by whom and how.
type Told struct {
	Ref   fhir.Ref
	Since time.Time // policy.Waiting's, of the result as the officer saw it
	On    string    // the day, YYYY-MM-DD
	By    string
	How   string // one of Ways
	Note  string // may be empty
}

// Ways are how a patient may be told, in the order in which they are offered.
func Ways() []string { return []string{"visit", "telephone", "letter"} }

// ErrTold says what must be said of a telling.
var ErrTold = &fhir.Error{Status: http.StatusUnprocessableEntity, Code: "required", Text: "Say when the patient was told, by whom and how."}

const maxBy = 100 // characters of a name

// fits tells whether enough is said, on a day that has begun somewhere.
func (t Told) fits(now time.Time) bool {
	day, err := time.Parse(time.DateOnly, t.On)
	by := utf8.RuneCountInString(t.By)
	return err == nil && !day.After(now.UTC().Add(14*time.Hour)) && day.After(now.AddDate(-10, 0, 0)) &&
		by >= minFound && by <= maxBy && slices.Contains(Ways(), t.How) && utf8.RuneCountInString(t.Note) <= maxWords
}

// Told writes down that a patient was told of a withheld result: a completed
// Task about it, taken in, labelled and kept as what an EHR pushes. The result
// leaves the list and stays withheld. One that is not on it, or changed since,
// is fhir.NotFound.
func (o *Office) Told(ctx context.Context, w Watch, t Told) error {
	if w.Officer.IsZero() {
		return errNoOfficer
	}
	if o.in == nil {
		return errors.New("record: nothing is written down here")
	}
	t.By, t.Note = strings.TrimSpace(t.By), strings.TrimSpace(t.Note)
	if !t.fits(o.r.c.Now()) {
		return ErrTold
	}
	home, ours := chartOf(t.Ref)
	if !ours {
		var err error
		if home, err = o.r.alias(ctx, t.Ref); err != nil {
			return err
		}
	}
	root, err := o.r.rootOf(ctx, home)
	if err != nil {
		return err
	}
	var n int64
	if err := o.r.db.QueryRow(ctx, findWaiting, root, t.Ref.Type, t.Ref.ID, micros(t.Since)).Scan(&n); err != nil {
		return failed("read what waits", err)
	}
	e := audit.Event{Action: audit.Oversee, Caller: w.Officer.Caller(), Detail: w.Page + ", told", Entities: []fhir.Ref{t.Ref}, Refused: n == 0, Address: w.Address, Request: w.Request}
	if err := o.reader.audit(ctx, e); err != nil {
		return err
	}
	if n == 0 {
		return fhir.NotFound()
	}
	m, err := inbox.Telling{Chart: home, Type: t.Ref.Type, ID: t.Ref.ID, On: t.On, By: t.By, How: t.How, Note: t.Note, Author: w.Officer.Caller().Name()}.
		Message(w.Request, w.Officer.Caller().Person(), o.r.c.Now())
	if err != nil {
		return failed("write a telling", err)
	}
	ctx = context.WithoutCancel(ctx) // what is written down is carried through
	receipt, err := o.in.Put(ctx, m)
	if err == nil {
		err = o.applied(ctx, receipt.ID)
	}
	if err != nil {
		return failed("write a telling", err)
	}
	return o.lookInto(ctx, []string{home})
}

// rootOf is the surviving record of a chart.
func (r *Record) rootOf(ctx context.Context, chart string) (root string, err error) {
	err = r.db.Snapshot(ctx, func(tx *sqldb.Tx) error {
		_, root, err = stampOf(ctx, tx, chart)
		return err
	})
	if err != nil {
		return "", failed("read a chart", err)
	}
	if root == "" {
		root = chart
	}
	return root, nil
}
