package record

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"firebreak/access"
	"firebreak/audit"
	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/internal/sqldb"
	"firebreak/policy"
)

// Office is what a privacy officer sees: never a chart, but what the policy does
// with one, and what was opened. Every method writes the audit entry before it
// returns.
type Office struct {
	reader  *Reader
	r       *Record
	in      inbox.Sink // what officers write down goes the way of all messages
	applied func(context.Context, inbox.ID) error
}

// Office oversees what reader shows.
func (r *Reader) Office() *Office { return &Office{reader: r, r: r.r} }

// Through is an office that can write down what patients were told: in takes it
// in, applied waits until a message is applied.
func (o *Office) Through(in inbox.Sink, applied func(context.Context, inbox.ID) error) *Office {
	x := *o
	x.in, x.applied = in, applied
	return &x
}

// Watch is an officer at work, and how that is written down.
type Watch struct {
	Officer access.Officer
	Page    string // the page's name
	Address string
	Request string
}

var errNoOfficer = errors.New("record: nobody oversees")

func (o *Office) audit(ctx context.Context, w Watch, detail string, patient fhir.Ref) error {
	if w.Officer.IsZero() {
		return errNoOfficer
	}
	if detail != "" {
		detail = ", " + detail
	}
	return o.reader.audit(ctx, audit.Event{Action: audit.Oversee, Caller: w.Officer.Caller(), Patient: patient, Detail: w.Page + detail, Address: w.Address, Request: w.Request})
}

// Alert is a chart that somebody opened by breaking the glass. Whose, it does
// not say.
type Alert struct {
	ID     string
	Name   string // who
	Role   access.Role
	Place  string // worksite
	Reason Reason
	Words  string
	Opened time.Time
	Ends   time.Time
	Closed time.Time // zero: open
	Closer string    // officer who closed it
	Note   string
}

// maxAlerts is how many closed alerts are looked back at.
const maxAlerts = 200

const (
	alertRows  = `SELECT id, name, role, place, reason, words, opened, ends, closed, closer, note FROM glass`
	openAlerts = alertRows + ` WHERE closed = 0 ORDER BY opened, id`
	pastAlerts = alertRows + ` WHERE closed > 0 ORDER BY closed DESC, id LIMIT $1`
	closeAlert = `UPDATE glass SET closed = $2, closer = $3, note = $4 WHERE id = $1 AND closed = 0`
)

// Alerts are those still open, the oldest first, and those closed last.
func (o *Office) Alerts(ctx context.Context, w Watch) (open, closed []Alert, err error) {
	if err := o.audit(ctx, w, "", fhir.Ref{}); err != nil {
		return nil, nil, err
	}
	if open, err = o.r.alerts(ctx, openAlerts); err == nil {
		closed, err = o.r.alerts(ctx, pastAlerts, int64(maxAlerts))
	}
	return open, closed, err
}

func (r *Record) alerts(ctx context.Context, text string, args ...any) ([]Alert, error) {
	rows, err := r.db.Query(ctx, text, args...)
	if err != nil {
		return nil, failed("read the alerts", err)
	}
	defer rows.Close()
	var all []Alert
	for rows.Next() {
		var a Alert
		var opened, ends, closed int64
		if err := rows.Scan(&a.ID, &a.Name, &a.Role, &a.Place, &a.Reason, &a.Words, &opened, &ends, &closed, &a.Closer, &a.Note); err != nil {
			return nil, failed("read the alerts", err)
		}
		a.Opened, a.Ends = fromMicros(opened), fromMicros(ends)
		if closed > 0 {
			a.Closed = fromMicros(closed)
		}
		all = append(all, a)
	}
	if err := rows.Err(); err != nil {
		return nil, failed("read the alerts", err)
	}
	return all, nil
}

// ErrNote says that an alert is closed with a note, or not at all.
var ErrNote = &fhir.Error{Status: http.StatusUnprocessableEntity, Code: "required", Text: "Say in a few words what you found."}

// Close closes an alert with a note of what was found. One that is closed
// already, or is none, stays as it is: fhir.NotFound.
func (o *Office) Close(ctx context.Context, w Watch, id, note string) error {
	note = strings.TrimSpace(note)
	if n := utf8.RuneCountInString(note); n < minWords || n > maxWords {
		return ErrNote
	}
	if err := o.audit(ctx, w, "closes "+id, fhir.Ref{}); err != nil {
		return err
	}
	n, err := o.r.writer.change(ctx, closeAlert, id, micros(o.r.c.Now()), w.Officer.Caller().Name(), note)
	if err != nil {
		return failed("close an alert", err)
	}
	if n == 0 {
		return fhir.NotFound()
	}
	return nil
}

// Policy is the one in force.
func (o *Office) Policy(ctx context.Context, w Watch) (*policy.Policy, error) {
	return o.reader.Policy(), o.audit(ctx, w, "", fhir.Ref{})
}

// Try tells what the policy in force does with a patient's chart, by id or
// number, for somebody who stands there.
func (o *Office) Try(ctx context.Context, w Watch, at policy.Position, patient string) ([]policy.Verdict, error) {
	if w.Officer.IsZero() {
		return nil, errNoOfficer
	}
	e := audit.Event{Action: audit.Oversee, Caller: w.Officer.Caller(), Detail: w.Page + ", as " + string(at.Audience) + " " + string(at.Role), Address: w.Address, Request: w.Request}
	_, all, err := o.r.Explain(ctx, e, o.reader.Policy(), at, patient)
	return all, err
}

// maxLogged entries of the audit log are shown at once.
const maxLogged = 200

// Log is the latest entries of this node's audit log about a patient, by id or
// number, about a person of the registry, by id or name, or about both; newest
// first, with whether there are more. before, unless it is 0, is the number of an
// entry that all are older than. A number that is nobody's finds nothing.
func (o *Office) Log(ctx context.Context, w Watch, patient, person string, action audit.Action, before int64) (found []audit.Entry, more bool, err error) {
	about := audit.About{Person: person, Action: action, Before: before}
	whose := fhir.Ref{}
	if patient != "" {
		members, err := o.charts(ctx, patient)
		if err != nil {
			return nil, false, err
		}
		for _, m := range members {
			about.Patients = append(about.Patients, "Patient/"+m)
			whose = fhir.Ref{Type: "Patient", ID: members[0]}
		}
	}
	if err := o.audit(ctx, w, "", whose); err != nil || patient != "" && about.Patients == nil {
		return nil, false, err
	}
	return o.r.c.Log.Find(ctx, about, maxLogged)
}

// charts are the charts of an id or number, with those merged with them.
func (o *Office) charts(ctx context.Context, patient string) ([]string, error) {
	found, err := o.r.keysOf(ctx, chartsByNumber, patient, bareNumber(patient), "", int64(walkStep))
	if err != nil {
		return nil, err
	}
	var all []string
	err = o.r.db.Snapshot(ctx, func(tx *sqldb.Tx) error {
		for _, key := range append(found, patient) {
			members, err := groupOf(ctx, tx, key)
			if err != nil {
				return err
			}
			for _, m := range members {
				all = append(all, m.chart)
			}
		}
		return nil
	})
	if err != nil {
		return nil, failed("find charts", err)
	}
	return sortUnique(all), nil
}

// Codes are the local codes that wait, and what was decided on others.
func (o *Office) Codes(ctx context.Context, w Watch) ([]LocalCode, error) {
	if err := o.audit(ctx, w, "", fhir.Ref{}); err != nil {
		return nil, err
	}
	return o.r.Codes(ctx)
}

// Classify decides what a local code means, from the next message on and for
// what is stored.
func (o *Office) Classify(ctx context.Context, w Watch, d Decision) error {
	if w.Officer.IsZero() {
		return errNoOfficer
	}
	return o.r.Classify(ctx, audit.Event{Caller: w.Officer.Caller(), Address: w.Address, Request: w.Request}, []Decision{d})
}
