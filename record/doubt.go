package record

import (
	"context"
	"slices"
	"strings"
	"time"

	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/internal/sqldb"
)

// A number may be typed wrongly, or given to a second person. So a message that
// names a known patient by number and contradicts what is known of the person is
// held, whole, until somebody says who it is: the same person (Vouch), or another
// one (a corrected copy). Meanwhile
//
//   - messages that agree with what is known are applied as ever,
//   - messages that agree with the doubtful one are held as it is, each by itself,
//   - messages that say nothing of the person but the number wait with it.
//
// Whatever a person or a correction settles is tried again for all that waits in
// that chart.
//
// What a wholly sensitive message told (label.Labeled.Context) is believed of
// messages in the same context only: else it would show by what is held. So a
// chart that is known from such messages alone takes in a harmless one of anybody.
// A message that turns out to be sensitive later has been believed until then:
// what was held for it stays held until somebody decides.
//
// Ids that a source gives to its own resources (FHIR) are no numbers of people;
// how those are doubted is said in namesake.go.

const (
	readContent = `SELECT json FROM body WHERE id = $1`
	patientsOf  = `SELECT v.labels, v.body, b.json FROM version v JOIN body b ON b.id = v.body WHERE v.chart = $1 AND v.type = 'Patient' AND v.deleted = 0`
	// patientsWith are those of the records that the chart is merged with.
	patientsWith = `
		SELECT v.labels, v.body, b.json FROM version v JOIN body b ON b.id = v.body
		WHERE v.chart IN (SELECT g.chart FROM chart c JOIN chart g ON g.root = c.root WHERE c.chart = $1 AND c.root <> '' AND g.root <> '' AND g.chart <> c.chart)
		AND v.type = 'Patient' AND v.deleted = 0`
	addDoubt   = `INSERT INTO doubt (chart, message, context, other) VALUES ($1, $2, $3, $4) ON CONFLICT (chart, message) DO UPDATE SET context = excluded.context, other = excluded.other`
	openDoubts = `SELECT COUNT(*) FROM doubt d JOIN todo t ON t.id = d.message WHERE d.chart = $1 AND d.other = 1 AND d.message <> $2 AND (d.context = '' OR d.context = $3)`
	tryDoubts  = `UPDATE todo SET held = 0, reason = '' WHERE held = 1 AND id IN (SELECT message FROM doubt WHERE chart = $1) RETURNING id`
	heldBeside = `SELECT DISTINCT o.message FROM doubt d JOIN doubt o ON o.chart = d.chart JOIN todo t ON t.id = o.message AND t.held = 1 WHERE d.message = $1 AND o.message <> $1 AND o.other <= $2 ORDER BY 1`
	isDoubtful = `SELECT COUNT(*) FROM doubt d JOIN todo t ON t.id = d.message AND t.held = 1 WHERE d.message = $1`
	vouch      = `INSERT INTO vouched (id, who, at) SELECT id, $2, $3 FROM inbox WHERE id = $1 ON CONFLICT (id) DO NOTHING`
	wasVouched = `SELECT COUNT(*) FROM vouched WHERE id = $1`
	doubtful   = "doubtful identity: "
	otherBirth = "another birth date than is known of the patient of this number"
	otherSex   = "another name and sex than is known of the patient of this number"
	otherName  = "another name than is known of the patient of this number, and no birth date to compare"
	onlyNumber = "nothing but the number says whose it is, and a message that contradicts the number's patient is held"
)

// claim is what a message says of whose a chart is.
type claim struct {
	x     *write
	e     *entry
	known []person // as the chart's patient is known now, in the layers that count
}

// bare tells whether nothing but numbers say whose a message is.
func bare(patient fhir.Resource) bool {
	return patient.Get("birthDate").IsZero() && patient.Get("name").IsZero()
}

// doubt refuses messages whose patient contradicts the one that is known. What was
// said before is not asked again, so that most messages cost no look at all.
func (b *batch) doubt(ctx context.Context) error {
	var claims []*claim
	var stmts []sqldb.Stmt
	for _, x := range b.commits {
		if x.commit.kind != inbox.HL7v2 && x.commit.kind != inbox.CCDA {
			continue
		}
		for _, e := range x.commit.entries {
			if e.key.typ != "Patient" || e.Deleted || e.Alias {
				continue
			}
			c := &claim{x: x, e: e}
			if looks, said := b.looks(c); !said || e.bare {
				claims, stmts = append(claims, c), append(stmts, looks...)
			}
		}
	}
	if err := b.tx.Batch(ctx, stmts); err != nil {
		return err
	}
	for i, c := range claims {
		if c.x.err != nil {
			continue
		}
		for _, o := range claims[:i] { // of the same group
			if o.x != c.x && o.x.err == nil && o.e.key.chart == c.e.key.chart && (o.e.context == "" || o.e.context == c.e.context) {
				c.known = append(c.known, readPatient(o.e.Resource()))
			}
		}
		reason, err := b.contradiction(ctx, c)
		if err != nil {
			return err
		}
		if reason != "" {
			b.add(addDoubt, c.e.key.chart, int64(c.x.commit.id), string(c.e.context), number(reason != onlyNumber))
			b.refuse(c.x, c.x.commit.place(reason))
		}
	}
	return nil
}

// believed are the lines of the entry's resource that it is held against: what
// harmless messages told, and what came in its own context.
func (b *batch) believed(e *entry) (all []*line) {
	of := b.charts[e.key.chart].of
	if l := of[layer{e.key, ""}]; l != nil {
		all = append(all, l)
	}
	if l := of[layer{e.key, e.context}]; l != nil && e.context != "" {
		all = append(all, l)
	}
	return all
}

// looks are the reads of what the patient is known as now; said tells that the
// same was said before, and nothing need be read.
func (b *batch) looks(c *claim) (looks []sqldb.Stmt, said bool) {
	for _, l := range b.believed(c.e) {
		if slices.ContainsFunc(l.runs, func(r run) bool { return r.version == c.e.version }) {
			return nil, true
		}
		for _, r := range slices.Backward(l.runs) {
			if !r.deleted && !c.x.commit.alone(r.body) {
				looks = append(looks, sqldb.Stmt{SQL: readContent, Args: []any{r.body}, Row: c.learn})
				break
			}
		}
	}
	return looks, false
}

func (c *claim) learn(scan func(...any) error) error {
	var content []byte
	if err := scan(&content); err != nil {
		return err
	}
	r, err := fhir.Take(content)
	if err == nil {
		c.known = append(c.known, readPatient(r))
	}
	return err
}

// contradiction is why a claim must be held; empty when it need not.
func (b *batch) contradiction(ctx context.Context, c *claim) (reason string, err error) {
	says, corrects := readPatient(c.e.Resource()), c.x.commit.corrects
	if c.e.bare {
		var n int64
		if err := b.tx.QueryRow(ctx, openDoubts, c.e.key.chart, int64(c.x.commit.id), string(c.e.context)).Scan(&n); err != nil || n == 0 {
			return "", err
		}
		reason = onlyNumber
	} else if _, sure := says.against(c.known, corrects); sure || len(c.known) == 0 {
		return "", nil
	}
	if reason != onlyNumber { // it may be what was known once, or of a record that it was merged with
		for _, text := range []string{patientsOf, patientsWith} {
			err := b.tx.Each(ctx, func(scan func(...any) error) error {
				var labels string
				var body int64
				var content []byte
				if err := scan(&labels, &body, &content); err != nil {
					return err
				}
				if context := contextOf(labels); context != "" && context != c.e.context || c.x.commit.alone(body) {
					return nil
				}
				return c.learn(func(to ...any) error { *to[0].(*[]byte) = content; return nil })
			}, text, c.e.key.chart)
			if err != nil {
				return "", err
			}
		}
		var sure bool
		if reason, sure = says.against(c.known, corrects); sure || reason == "" {
			return "", nil
		}
	}
	var n int64
	if err := b.tx.QueryRow(ctx, wasVouched, int64(c.x.commit.id)).Scan(&n); err != nil || n > 0 {
		return "", err
	}
	return reason, nil
}

// against is why says can be none of those known, empty when none contradicts it;
// sure tells that one of them agrees with it.
func (says person) against(known []person, corrects bool) (reason string, sure bool) {
	for _, k := range known {
		why, agrees := says.unlike(k, corrects)
		if agrees {
			return "", true
		}
		if reason == "" {
			reason = why
		}
	}
	return reason, false
}

// unlike is in what two statements of one number cannot be of one person, empty
// when they can; sure tells that they agree, and are not only silent.
//
// Another birth date is another person's, unless family name, first given name
// and sex agree and it was mistyped (day and month exchanged, or one digit), or
// the message is one that corrects (A08, A28, A31) and no other number of a kind
// that both have differs. With the same birth date, sex and family name must not
// both differ: people change either. With none to compare, family and given name
// must not both differ, but in a correction: the unknown get their names so.
func (says person) unlike(k person, corrects bool) (why string, sure bool) {
	birth := compareBirths(says.birth, k.birth)
	family, given := compare(says.families, k.families, equal), compare(says.given, k.given, begins)
	sexes := says.sex != "" && k.sex != "" && says.sex != k.sex
	named := family == agrees && given != differs && !sexes
	switch {
	case birth == differs && named && (mistyped(says.birth, k.birth) || corrects && given == agrees && !says.otherNumber(k)):
		return "", true
	case birth == differs:
		return otherBirth, false
	case sexes && family == differs:
		return otherSex, false
	case birth == unknown && family == differs && given == differs && !corrects:
		return otherName, false
	}
	return "", birth == agrees || named && compareBirths(says.birth, says.birth) == unknown
}

type likeness int

const (
	unknown likeness = iota // at least one does not say
	agrees
	differs
)

// compare tells whether two lists have anything in common.
func compare(a, b []string, same func(a, b string) bool) likeness {
	if len(a) == 0 || len(b) == 0 {
		return unknown
	}
	for _, x := range a {
		if slices.ContainsFunc(b, func(y string) bool { return same(x, y) }) {
			return agrees
		}
	}
	return differs
}

func equal(a, b string) bool { return a == b }

// begins takes an initial for the name, and Mary for Mary Ann.
func begins(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }

// compareBirths compares dates as far as both are exact. The first days of 1800
// and 1900 are how registries write that they do not know.
func compareBirths(a, b string) likeness {
	for _, s := range []string{a, b} {
		if s == "" || s == "1900-01-01" || s == "1800-01-01" {
			return unknown
		}
	}
	if n := min(len(a), len(b)); a[:n] != b[:n] {
		return differs
	}
	return agrees
}

// mistyped tells whether two whole dates differ in one digit, or have day and
// month exchanged.
func mistyped(a, b string) bool {
	if len(a) != len(time.DateOnly) || len(b) != len(a) {
		return false
	}
	if a[:5] == b[:5] && a[5:7] == b[8:] && a[8:] == b[5:7] {
		return true
	}
	n := 0
	for i := range len(a) {
		if a[i] != b[i] {
			n++
		}
	}
	return n == 1
}

// otherNumber tells whether a system that gave both a number gave them no common
// one. Accounts and visits are not people's.
func (says person) otherNumber(k person) bool {
	for _, i := range says.identifiers {
		if i.system == "" || i.kind == "AN" || i.kind == "VN" {
			continue
		}
		theirs, common := false, false
		for _, j := range k.identifiers {
			if j.system == i.system && j.kind == i.kind {
				theirs = true
				common = common || slices.ContainsFunc(says.identifiers, func(m identifier) bool {
					return m.system == j.system && bareNumber(m.value) == bareNumber(j.value)
				})
			}
		}
		if theirs && !common {
			return true
		}
	}
	return false
}

// place puts where the contradiction lies before a reason.
func (x *committing) place(reason string) string {
	at := "recordTarget"
	if x.kind == inbox.HL7v2 {
		switch reason {
		case otherBirth:
			at = "PID-7"
		case onlyNumber:
			at = "PID-3"
		default:
			at = "PID-5"
		}
	}
	return doubtful + at + ": " + reason
}

// retry makes what is held in a chart for doubt pending again when more is known
// of whose it is.
func (b *batch) retry() {
	for _, x := range b.commits {
		for _, e := range x.commit.entries {
			if e.fresh && e.key.typ == "Patient" && len(b.of(e).runs) > 1 {
				b.stmts = append(b.stmts, sqldb.Stmt{SQL: tryDoubts, Args: []any{e.key.chart}, Row: func(scan func(...any) error) error {
					var id int64
					err := scan(&id)
					x.commit.freed = append(x.commit.freed, inbox.ID(id))
					return err
				}})
			}
		}
	}
}

// Vouch notes that somebody says of messages that they are of the patient they
// name by number; released, they are applied.
func (q *Queue) Vouch(ctx context.Context, who string, ids ...inbox.ID) error {
	return q.r.writer.do(ctx, &write{other: func(ctx context.Context, tx *sqldb.Tx) error {
		for _, id := range ids {
			if _, err := tx.Exec(ctx, vouch, int64(id), who, micros(q.r.c.Now())); err != nil {
				return err
			}
		}
		return nil
	}})
}

// beside are the messages held for doubt in the charts of one that is or was:
// all, or those only that say nothing but the number.
func (r *Record) beside(ctx context.Context, id inbox.ID, all bool) (ids []inbox.ID, err error) {
	err = r.db.Each(ctx, func(scan func(...any) error) error {
		var n int64
		err := scan(&n)
		ids = append(ids, inbox.ID(n))
		return err
	}, heldBeside, int64(id), number(all))
	return ids, failed("list held messages", err)
}

func (r *Record) doubtful(ctx context.Context, id inbox.ID) (bool, error) {
	var n int64
	err := r.db.QueryRow(ctx, isDoubtful, int64(id)).Scan(&n)
	return n > 0, failed("read a message", err)
}
