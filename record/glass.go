package record

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"firebreak/access"
	"firebreak/audit"
	"firebreak/fhir"
	"firebreak/policy"
)

// Reason is why somebody breaks the glass.
type Reason string

// The list that a person chooses from (PX-10).
const (
	InEmergency Reason = "emergency" // somebody's life or health is in danger now
	OnRequest   Reason = "request"   // the patient is here and asks for it
	ForSafety   Reason = "safety"    // a decision now could harm without it
	OtherReason Reason = "other"
)

// Reasons are all, in the order in which they are offered.
func Reasons() []Reason { return []Reason{InEmergency, OnRequest, ForSafety, OtherReason} }

// Glass is whether a caller may break the glass of a chart, and whether they did.
// Offered is the same for every chart.
type Glass struct {
	Offered time.Duration // how long a chart stays open; 0: not offered to the caller
	Opened  bool
	Ends    time.Time // of what is open

	id    string
	sight policy.Glass
}

const (
	minWords = 10 // characters that say why
	maxWords = 500

	openGlass  = `SELECT id, reason, ends FROM glass WHERE person = $1 AND chart = $2 AND worksite = $3 AND ends > $4 ORDER BY ends DESC LIMIT 1`
	breakGlass = `INSERT INTO glass (id, chart, person, worksite, name, role, place, reason, words, opened, ends, closed, closer, note)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, '', '')`
	endGlass = `UPDATE glass SET ends = $4 WHERE person = $1 AND chart = $2 AND worksite = $3 AND ends > $4`
)

// ErrReason says that a reason is missing, or the words for it.
var ErrReason = &fhir.Error{Status: http.StatusUnprocessableEntity, Code: "required", Text: "Choose a reason and say in a few words why."}

// glass is what is open to c of a chart. It is asked of the database each time,
// so that it begins and ends at once on every node; only where the policy
// offers it to the caller.
func (r *Reader) glass(ctx context.Context, p *policy.Policy, c access.Caller, chart string) (g Glass, err error) {
	var ok bool
	if g.Offered, ok = p.MayBreak(c); !ok {
		return Glass{}, nil
	}
	var reason Reason
	var ends int64
	err = r.r.db.QueryRow(ctx, openGlass, c.Person(), chart, c.Worksite().ID, micros(r.r.c.Now())).Scan(&g.id, &reason, &ends)
	if errors.Is(err, sql.ErrNoRows) {
		return g, nil
	}
	if err != nil {
		return Glass{}, failed("read the open charts", err)
	}
	g.Opened, g.Ends, g.sight = true, fromMicros(ends), policy.Broken
	if reason == InEmergency {
		g.sight = policy.Emergency
	}
	return g, nil
}

// Glass tells what c may open, and has opened, of a patient's chart.
func (r *Reader) Glass(ctx context.Context, c access.Caller, patient fhir.Ref) (Glass, error) {
	return r.glass(ctx, r.p.Load(), c, patient.ID)
}

// Break opens a chart that the caller can see anyway as far as the policy opens
// it, from the next request on, and tells a privacy officer. A chart that the
// caller cannot see is fhir.NotFound; whether there is anything to open makes
// no difference.
func (r *Reader) Break(ctx context.Context, ask Ask, patient fhir.Ref, reason Reason, words string) error {
	p, c := r.p.Load(), ask.Caller
	e := ask.event(audit.Break)
	e.Action, e.Patient, e.Detail = audit.Break, patient, string(reason)
	long, may := p.MayBreak(c)
	words = strings.TrimSpace(words)
	if n := utf8.RuneCountInString(words); may && (!slices.Contains(Reasons(), reason) || n < minWords || n > maxWords) {
		return ErrReason
	}
	v, err := r.view(ctx, c, patient.ID, true)
	if err != nil {
		return err
	}
	if _, seen := v.Patient(); !may || !seen {
		return r.refuse(ctx, e)
	}
	id := strings.ToLower(rand.Text()[:12])
	e.Patient, e.Detail = v.patient, e.Detail+" "+id
	if err := r.audit(ctx, e); err != nil {
		return err
	}
	now := r.r.c.Now()
	err = r.r.writer.exec(ctx, breakGlass, id, v.patient.ID, c.Person(), c.Worksite().ID, c.Name(), string(c.Role()), c.Worksite().Name,
		string(reason), words, micros(now), micros(now.Add(long)))
	return failed("open a chart", err)
}

// Mend ends what the caller opened of a chart; it also ends by itself.
func (r *Reader) Mend(ctx context.Context, ask Ask, patient fhir.Ref) error {
	e := ask.event(audit.Mend)
	e.Action, e.Patient = audit.Mend, patient
	if err := r.audit(ctx, e); err != nil {
		return err
	}
	c := ask.Caller
	return failed("close a chart", r.r.writer.exec(ctx, endGlass, c.Person(), patient.ID, c.Worksite().ID, micros(r.r.c.Now())))
}
