package record

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"

	"firebreak/audit"
	"firebreak/chart"
	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/internal/sqldb"
)

// Two charts are probably of one person when family name, first given name, birth
// date and sex are the same, and a number, telephone or postal code besides. That
// is looked for where charts that changed are looked through anyway (see
// waiting.go), among the few that the index of names and birth dates gives.
// Nothing is merged by it: somebody decides, and can take that back.
//
// Only Patients without any label count, as they are settled when the chart is
// read: what shows here, everyone who may open a chart sees.

const (
	maxAlike   = 20 // charts of one name and birth date that are compared
	alikePairs = 50 // shown at once

	alikeOf     = `SELECT a, b, decided FROM alike WHERE a = $1 UNION ALL SELECT a, b, decided FROM alike WHERE b = $1`
	addAlike    = `INSERT INTO alike (a, b, agrees, since, decided, into_chart, who, at) VALUES ($1, $2, $3, $4, '', '', '', 0) ON CONFLICT (a, b) DO NOTHING`
	dropAlike   = `DELETE FROM alike WHERE a = $1 AND b = $2 AND decided = ''`
	pairColumns = `SELECT a, b, agrees, since, decided, into_chart, who, at FROM alike `
	openPairs   = pairColumns + `WHERE decided = '' ORDER BY since, a, b LIMIT $1`
	pastPairs   = pairColumns + `WHERE decided <> '' ORDER BY at DESC, a, b LIMIT $1`
	onePair     = pairColumns + `WHERE a = $1 AND b = $2`
	decidePair  = `UPDATE alike SET decided = $3, into_chart = $4, who = $5, at = $6 WHERE a = $1 AND b = $2`
)

// Judgement is what somebody decides on a pair of charts.
type Judgement string

const (
	Same      Judgement = "same"      // they are linked, as A24 does
	Different Judgement = "different" // they are not proposed again
	Reopened  Judgement = "undone"    // what was decided is taken back, and the pair is open again
)

// Pair is two charts that are probably of one person.
type Pair struct {
	A, B    string    // keys of the charts, A before B
	Of      [2]Person // as they are known
	Agrees  []string  // beside name, birth date and sex: number, telephone, postal
	Since   time.Time
	Decided Judgement // empty: by nobody
	Who     string    // who decided
	At      time.Time
	into    string
}

// Person is what a Patient says of whom it is of.
type Person struct {
	Name, Birth, Sex string
	Numbers          []string
	Source           string
}

// visible are the Patients of a chart that no label withholds, as last said.
func visible(ch chart.Chart) (all []chart.Version) {
	for _, h := range ch.Histories {
		if h[0].Resource().Type() != "Patient" {
			continue
		}
		i := slices.IndexFunc(h, func(v chart.Version) bool { return v.Context() == "" })
		if i >= 0 && h[i].Current && !h[i].Deleted && len(h[i].Labels()) == 0 {
			all = append(all, h[i])
		}
	}
	return all
}

// shared is what two Patients have in common, beside name, birth date and sex, when
// they are probably one person; nothing when they are not.
func (p person) shared(q person) (all []string) {
	if !p.comparable() || p.birth != q.birth || p.sex != q.sex ||
		compare(p.families, q.families, equal) != agrees || compare(p.given, q.given, equal) != agrees {
		return nil
	}
	if slices.ContainsFunc(p.identifiers, func(i identifier) bool {
		return i.system != "" && slices.ContainsFunc(q.identifiers, func(j identifier) bool {
			return i.system == j.system && bareNumber(i.value) == bareNumber(j.value)
		})
	}) {
		all = append(all, "number")
	}
	for _, kind := range []string{"telephone", "postal"} {
		if slices.ContainsFunc(p.contacts, func(c string) bool { return strings.HasPrefix(c, kind) && slices.Contains(q.contacts, c) }) {
			all = append(all, kind)
		}
	}
	return all
}

// comparable tells whether enough is said of a person to find the same one again.
func (p person) comparable() bool {
	return compareBirths(p.birth, p.birth) == agrees && len(p.birth) == len(time.DateOnly) && p.sex != "" && len(p.given) > 0
}

func pairOf(a, b string) [2]string { return [2]string{min(a, b), max(a, b)} }

// alike adds to x what must change for the list to hold the charts that are
// probably of the same person as this one.
func (o *Office) alike(ctx context.Context, x *looked, ch chart.Chart) error {
	members := map[string]bool{}
	for _, s := range x.stamps {
		members[s.chart] = true
	}
	want := map[[2]string]string{}
	tried := map[string]bool{}
	for _, v := range visible(ch) {
		p := readPatient(v.Resource())
		if !p.comparable() {
			continue
		}
		for _, family := range p.families {
			charts, err := o.r.keysOf(ctx, chartsByPerson, family, p.birth, "", int64(maxAlike))
			if err != nil {
				return err
			}
			for _, c := range charts {
				if members[c] || tried[c] {
					continue
				}
				tried[c] = true
				l, _, err := o.r.load(ctx, c, nil, nil)
				if err != nil {
					return err
				}
				for _, w := range visible(l.chart) {
					if on := p.shared(readPatient(w.Resource())); on != nil {
						want[pairOf(x.stamps[0].chart, l.chart.Patient.ID)] = strings.Join(on, ",")
					}
				}
			}
		}
	}
	for _, chart := range sortedKeys(members) {
		err := o.r.db.Each(ctx, func(scan func(...any) error) error {
			var pair [2]string
			var decided string
			err := scan(&pair[0], &pair[1], &decided)
			_, wanted := want[pair]
			switch {
			case wanted:
				delete(want, pair)
			case decided == "":
				x.change = append(x.change, sqldb.Stmt{SQL: dropAlike, Args: []any{pair[0], pair[1]}})
			case decided == string(Different): // also by another name of the same record
				for _, c := range pair {
					delete(want, pairOf(x.stamps[0].chart, c))
				}
			}
			return err
		}, alikeOf, chart)
		if err != nil {
			return failed("compare charts", err)
		}
	}
	now := micros(o.r.c.Now())
	for pair, on := range want {
		x.change = append(x.change, sqldb.Stmt{SQL: addAlike, Args: []any{pair[0], pair[1], on, now}})
	}
	return nil
}

func scanPair(scan func(...any) error) (p Pair, err error) {
	var agrees, decided string
	var since, at int64
	err = scan(&p.A, &p.B, &agrees, &since, &decided, &p.into, &p.Who, &at)
	p.Agrees, p.Since, p.Decided = strings.Split(agrees, ","), fromMicros(since), Judgement(decided)
	if at > 0 {
		p.At = fromMicros(at)
	}
	return p, err
}

// Pairs are those nobody decided, the oldest first, and those decided last. A pair
// of which a Patient can no longer be shown to everyone is left out.
func (r *Record) Pairs(ctx context.Context) (open, past []Pair, err error) {
	for _, list := range []struct {
		to   *[]Pair
		text string
	}{{&open, openPairs}, {&past, pastPairs}} {
		var all []Pair
		err := r.db.Each(ctx, func(scan func(...any) error) error {
			p, err := scanPair(scan)
			all = append(all, p)
			return err
		}, list.text, int64(alikePairs))
		if err != nil {
			return nil, nil, failed("list pairs", err)
		}
		for _, p := range all {
			ok := true
			for i, key := range []string{p.A, p.B} {
				l, _, err := r.load(ctx, key, nil, nil)
				if err != nil {
					return nil, nil, err
				}
				known := visible(l.chart)
				n := slices.IndexFunc(known, func(v chart.Version) bool { return v.Resource().ID() == key })
				if ok = ok && n >= 0; ok {
					p.Of[i] = personOf(known[n])
				}
			}
			if ok {
				*list.to = append(*list.to, p)
			}
		}
	}
	return open, past, nil
}

func personOf(v chart.Version) Person {
	r := v.Resource()
	p := Person{Birth: r.Get("birthDate").Text(), Sex: r.Get("gender").Text(), Source: v.Source}
	name := r.Root().At("name")
	parts := []string{name.Get("family").Text()}
	for g := range name.All("given") {
		parts = append(parts, g.Text())
	}
	p.Name = strings.TrimSpace(strings.Join(parts, " "))
	for i := range r.All("identifier.value") {
		p.Numbers = append(p.Numbers, i.Text())
	}
	return p
}

// masked has the form of what a person is known by, and nothing of it.
func (p Person) masked() Person {
	mask := func(s string) string {
		return strings.Map(func(c rune) rune {
			switch {
			case unicode.IsLetter(c):
				return 'x'
			case unicode.IsDigit(c):
				return '9'
			}
			return c
		}, s)
	}
	q := Person{Name: mask(p.Name), Birth: mask(p.Birth), Sex: p.Sex, Source: p.Source}
	for _, n := range p.Numbers {
		q.Numbers = append(q.Numbers, mask(n))
	}
	return q
}

// Judge takes a decision on a pair: whether its charts are of the same person, or
// that this is taken back. The link is a message, as if a source had sent it. A
// pair that is none, or decided otherwise, is fhir.NotFound.
func (r *Record) Judge(ctx context.Context, in Intake, a, b string, j Judgement, request, peer, who string) error {
	p, err := scanPair(r.db.QueryRow(ctx, onePair, a, b).Scan)
	if errors.Is(err, sql.ErrNoRows) || err == nil && (j != Same && j != Different && j != Reopened || (j == Reopened) == (p.Decided == "")) {
		return fhir.NotFound()
	}
	if err != nil {
		return failed("read a pair", err)
	}
	now := r.c.Now()
	into := p.into
	if j == Same {
		if into, err = r.survivor(ctx, a, b); err != nil {
			return err
		}
	}
	ctx = context.WithoutCancel(ctx) // what is decided is carried through
	if j == Same || p.Decided == Same {
		from := a
		if into == a {
			from = b
		}
		m, err := inbox.Joining{From: from, Into: into, Undo: j == Reopened, Author: who}.Message(request, peer, now)
		if err != nil {
			return failed("write a link", err)
		}
		receipt, err := in.Put(ctx, m)
		if err == nil {
			err = in.Applied(ctx, receipt.ID)
		}
		if err != nil {
			return failed("write a link", err)
		}
	}
	decided := string(j)
	if j == Reopened {
		decided, into = "", ""
	}
	return failed("decide on a pair", r.writer.exec(ctx, decidePair, a, b, decided, into, who, micros(now)))
}

// survivor is the chart whose patient was said last.
func (r *Record) survivor(ctx context.Context, a, b string) (string, error) {
	var last [2]time.Time
	for i, key := range []string{a, b} {
		l, _, err := r.load(ctx, key, nil, nil)
		if err != nil {
			return "", err
		}
		for _, v := range visible(l.chart) {
			if v.Recorded.After(last[i]) {
				last[i] = v.Recorded
			}
		}
	}
	if last[1].After(last[0]) {
		return b, nil
	}
	return a, nil
}

// Pairs is as Record.Pairs, of charts that changed a moment ago too, unless those
// are many; what tells of whom is masked unless why is one of Whys.
func (o *Operations) Pairs(ctx context.Context, s Shift, why Why) (open, past []Pair, err error) {
	detail, bad := "ops duplicates, masked", why != "" && !slices.Contains(Whys(), why)
	if why != "" {
		detail = "ops duplicates, in clear" + map[bool]string{false: ", for " + string(why)}[bad]
	}
	if !bad {
		if _, err = o.reader.Office().catchUp(ctx, ""); err == nil {
			open, past, err = o.r.Pairs(ctx)
		}
	}
	if err != nil {
		return nil, nil, err
	}
	var shown []fhir.Ref
	for _, all := range [][]Pair{open, past} {
		for i := range all {
			for n, key := range []string{all[i].A, all[i].B} {
				shown = append(shown, fhir.Ref{Type: "Patient", ID: key})
				if why == "" {
					all[i].Of[n] = all[i].Of[n].masked()
				}
			}
		}
	}
	if why == "" {
		shown = nil // nobody was seen
	}
	if err := o.auditOf(ctx, s, detail, bad, shown...); err != nil {
		return nil, nil, err
	}
	if bad {
		return nil, nil, fhir.NotFound()
	}
	return open, past, nil
}

// Judge is as Record.Judge.
func (o *Operations) Judge(ctx context.Context, s Shift, a, b string, j Judgement) error {
	var n int64
	err := o.r.db.QueryRow(ctx, `SELECT COUNT(*) FROM alike WHERE a = $1 AND b = $2`, a, b).Scan(&n)
	if err != nil {
		return failed("read a pair", err)
	}
	if n == 0 || j != Same && j != Different && j != Reopened {
		if err := o.audit(ctx, s, "ops duplicates, a decision", true); err != nil {
			return err
		}
		return fhir.NotFound()
	}
	if err := o.auditOf(ctx, s, "ops duplicates, "+string(j), false, fhir.Ref{Type: "Patient", ID: a}, fhir.Ref{Type: "Patient", ID: b}); err != nil {
		return err
	}
	return o.r.Judge(ctx, o.in, a, b, j, s.Request, "operator "+s.Operator.Caller().Person(), s.Operator.Caller().Name())
}

func (o *Operations) auditOf(ctx context.Context, s Shift, detail string, refused bool, whose ...fhir.Ref) error {
	if s.Operator.IsZero() {
		return errNoOperator
	}
	return o.reader.audit(ctx, audit.Event{Action: audit.Operate, Caller: s.Operator.Caller(), Detail: detail, Entities: whose, Refused: refused, Address: s.Address, Request: s.Request})
}
