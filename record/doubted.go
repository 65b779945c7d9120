package record

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"strings"

	"firebreak/inbox"
)

const chartInDoubt = `SELECT d.chart FROM doubt d JOIN todo t ON t.id = d.message AND t.held = 1 WHERE d.message = $1 ORDER BY d.chart LIMIT 1`

// Doubt is what somebody compares who decides whose a held message is.
type Doubt struct {
	Says   Person     // the message of its patient
	Known  []Person   // whom its number is known for; none when that is known from withheld messages alone
	Beside []inbox.ID // others held for doubt of that number
	chart  string
}

// doubtOn is the doubt that a message is held for; nil when it is held for none.
// Of whom the number is known for it holds what no label withholds: the operator's
// pages tell of no chart what its readers do not see.
func (r *Record) doubtOn(ctx context.Context, id inbox.ID) (*Doubt, error) {
	var d Doubt
	err := r.db.QueryRow(ctx, chartInDoubt, int64(id)).Scan(&d.chart)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, failed("read a message", err)
	}
	l, _, err := r.load(ctx, d.chart, nil, nil)
	if err != nil {
		return nil, err
	}
	for _, v := range visible(l.chart) {
		d.Known = append(d.Known, personOf(v))
	}
	d.Beside, err = r.beside(ctx, id, true)
	return &d, err
}

func (d *Doubt) mask() {
	if d == nil {
		return
	}
	d.Says = d.Says.masked()
	for i, p := range d.Known {
		d.Known[i] = p.masked()
	}
}

// person is whom a message's trace says that it is of.
func (t Trace) person(source string) (p Person) {
	p.Source = source
	for _, r := range t.Resources {
		if r.Ref.Type != "Patient" {
			continue
		}
		family, given := "", ""
		for _, v := range r.Values {
			switch v.Element {
			case "Patient.name.family":
				family = cmp.Or(family, v.Text)
			case "Patient.name.given":
				given = cmp.Or(given, v.Text)
			case "Patient.birthDate":
				p.Birth = v.Text
			case "Patient.gender":
				p.Sex = v.Text
			case "Patient.identifier.value":
				p.Numbers = append(p.Numbers, v.Text)
			}
		}
		p.Name = strings.TrimSpace(family + " " + given)
		break
	}
	return p
}
