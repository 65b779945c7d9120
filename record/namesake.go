package record

import (
	"context"
	"slices"

	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/internal/sqldb"
)

// Patients that a source pushes, or is asked for, have ids of their own, so that
// two of one number do not share a chart. Yet who looks for the number finds both,
// and a push that names its Patient by the number adds to one of them. So such a
// Patient is doubted too:
//
//   - when it is found by a search, against what is known of the one found;
//   - when a number comes new to its id, against whom else the same source knows
//     by that number, by whatever way it told of them.
//
// A source that says another birth date of an id that has the number already
// corrects it. Nothing that others sent is looked at: a refusal would tell of it.
// Of what has labels, only what has the same is believed.

const (
	ownPast  = `SELECT v.labels, b.json FROM version v JOIN body b ON b.id = v.body WHERE v.chart = $1 AND v.type = 'Patient' AND v.id = $2 AND v.deleted = 0`
	sameName = `
		SELECT v.chart, v.id, v.labels, v.deleted, v.until, v.until_seq, b.json
		FROM ident i JOIN version v ON v.chart = i.chart AND v.type = 'Patient' JOIN body b ON b.id = v.body
		WHERE i.value = $1 AND i.system = $2 AND v.source = $3 AND NOT (v.chart = $4 AND v.id = $5)
		AND NOT EXISTS (SELECT 1 FROM chart a JOIN chart c ON c.root = a.root WHERE a.chart = $4 AND a.root <> '' AND c.chart = v.chart)`
)

// ofMany are the kinds of numbers that several people may share, or that are of
// something else than people.
//
// Source: HL7 v2 table 0203.
var ofMany = []string{"AN", "VN", "SN", "MB", "NIIP", "AM", "GN", "FI", "FILL", "PLAC", "ACSN"}

// namesake is what a Patient says, and who else is known by its numbers.
type namesake struct {
	x      *write
	e      *entry
	says   person
	past   []person     // as it was known before
	fresh  []identifier // numbers that are new to it
	others []*other
}

// other is another Patient of the source.
type other struct {
	resource
	said    []person
	last    mark
	deleted bool
}

func namesakeKind(k inbox.Kind) bool { return k == inbox.FHIR || k == inbox.Copy }

// names tells whether the message says who somebody is by an id.
func (x *committing) names() bool {
	return namesakeKind(x.kind) && slices.ContainsFunc(x.entries, func(e *entry) bool { return e.key.typ == "Patient" && !e.Deleted })
}

// numbers are the identifiers that one person has.
func (p person) numbers() (all []identifier) {
	for _, i := range p.identifiers {
		if i.system != "" && !slices.Contains(ofMany, i.kind) {
			all = append(all, i)
		}
	}
	return all
}

func (p person) has(n identifier) bool {
	return slices.ContainsFunc(p.identifiers, func(i identifier) bool { return i.system == n.system && i.value == n.value })
}

// namesakes refuses messages whose Patient contradicts whom its source knows by
// the same number.
func (b *batch) namesakes(ctx context.Context) error {
	var all []*namesake
	var stmts []sqldb.Stmt
	for _, x := range b.commits {
		if !x.commit.names() {
			continue
		}
		for _, e := range x.commit.entries {
			if e.key.typ != "Patient" || e.Deleted || slices.ContainsFunc(b.of(e).runs, func(r run) bool { return r.version == e.version }) {
				continue
			}
			n := &namesake{x: x, e: e, says: readPatient(e.Resource())}
			all = append(all, n)
			stmts = append(stmts, sqldb.Stmt{SQL: ownPast, Args: []any{e.key.chart, e.key.id}, Row: func(scan func(...any) error) error {
				var labels string
				var content []byte
				if err := scan(&labels, &content); err != nil || labels != "" && labels != e.labels {
					return err
				}
				r, err := fhir.Take(content)
				n.past = append(n.past, readPatient(r))
				return err
			}})
		}
	}
	if err := b.tx.Batch(ctx, stmts); err != nil {
		return err
	}
	stmts = nil
	for _, n := range all {
		for _, number := range n.says.numbers() {
			if slices.ContainsFunc(n.past, func(p person) bool { return p.has(number) }) {
				continue
			}
			n.fresh = append(n.fresh, number)
			stmts = append(stmts, sqldb.Stmt{SQL: sameName, Args: []any{number.value, number.system, n.x.commit.source, n.e.key.chart, n.e.key.id}, Row: n.meet})
		}
	}
	if err := b.tx.Batch(ctx, stmts); err != nil {
		return err
	}
	for i, n := range all {
		if n.x.err != nil {
			continue
		}
		for _, o := range all[:i] { // of the same group, and not refused
			if o.x.err == nil && n.follows(o) {
				n.others = append(n.others, &other{resource: o.e.key, said: []person{o.says}})
			}
		}
		chart, reason := n.contradiction()
		if reason == "" {
			continue
		}
		var vouched int64
		if err := b.tx.QueryRow(ctx, wasVouched, int64(n.x.commit.id)).Scan(&vouched); err != nil {
			return err
		}
		if vouched == 0 {
			b.add(addDoubt, chart, int64(n.x.commit.id), string(n.e.context), int64(1))
			b.refuse(n.x, n.place(reason))
		}
	}
	return nil
}

// follows tells whether a Patient before it in the group, or in its own message,
// has one of the fresh numbers.
func (n *namesake) follows(o *namesake) bool {
	return o.x.commit.source == n.x.commit.source && o.e.key != n.e.key && (o.e.labels == "" || o.e.labels == n.e.labels) &&
		slices.ContainsFunc(n.fresh, o.says.has)
}

// meet takes a row of sameName.
func (n *namesake) meet(scan func(...any) error) error {
	at := resource{typ: "Patient"}
	var labels string
	var deleted int64
	var last mark
	var content []byte
	if err := scan(&at.chart, &at.id, &labels, &deleted, &last.at, &last.seq, &content); err != nil || labels != "" && labels != n.e.labels {
		return err
	}
	r, err := fhir.Take(content)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(n.others, func(o *other) bool { return o.resource == at })
	if i < 0 {
		i = len(n.others)
		n.others = append(n.others, &other{resource: at})
	}
	o := n.others[i]
	if deleted == 0 {
		o.said = append(o.said, readPatient(r))
	}
	if last.compare(o.last) >= 0 {
		o.last, o.deleted = last, deleted != 0
	}
	return nil
}

// contradiction is why a Patient must be held, and in whose chart that is known;
// no reason when it need not.
func (n *namesake) contradiction() (chart, reason string) {
	if n.e.Found {
		if why, sure := n.says.against(n.past, !n.e.Repeats); !sure && why != "" {
			return n.e.key.chart, why
		}
	}
	for _, o := range n.others {
		if o.deleted {
			continue
		}
		why, sure := n.says.against(o.said, false)
		if sure {
			return "", ""
		}
		if reason == "" && why != "" {
			chart, reason = o.chart, why
		}
	}
	return chart, reason
}

// place puts where the contradiction lies before a reason.
func (n *namesake) place(reason string) string {
	at := n.e.Place
	if at == "" {
		at = "Patient"
	}
	element := ".name"
	if reason == otherBirth {
		element = ".birthDate"
	}
	return doubtful + at + element + ": " + reason
}
