// Package score compares what a mapping gives with what another's gives for the
// same input, as recall: how many of the other's facts ours has too.
//
// A fact is a triple: type of the resource, path inside it without indexes,
// value. What says nothing of the patient, or that each mapping makes up for
// itself, is no fact: ids, meta, display, narrative and the addresses of entries. Of
// a reference the fact is what type of thing it leads to. Times are compared as instants, numbers by value, words by their letters
// without blanks around them. A fact that is said twice counts twice; the order of
// a list is no fact.
//
// It is for tests only.
package score

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"

	"firebreak/fhir"
)

// Triple is one fact.
type Triple struct{ Type, Path, Value string }

func (t Triple) String() string { return t.Type + "." + t.Path + " = " + t.Value }

// Difference says where we differ from the other on purpose, and why. Type, Path and
// Value are regular expressions over the whole, "" matches all. With Instead a fact
// counts as found when ours says that ("Type.path = value", $1 as in the expressions,
// their groups counted through), and is missing when ours does not; without, it is
// set aside.
type Difference struct{ Type, Path, Value, Instead, Why string }

// rule is a Difference ready for use.
type rule struct {
	Difference
	match *regexp.Regexp
}

func (d Difference) rule() rule {
	part := func(s, any string) string {
		if s == "" {
			return any
		}
		return "(?:" + s + ")"
	}
	return rule{d, regexp.MustCompile(`(?s)^` + part(d.Type, `[^.]+`) + `\.` + part(d.Path, `[^ ]+`) + ` = ` + part(d.Value, `.*`) + `$`)}
}

// apply tells what a rule does with a fact: nothing, or set it aside, or look for
// another in its place.
func (r rule) apply(t Triple) (matches bool, instead Triple) {
	s := t.String()
	at := r.match.FindStringSubmatchIndex(s)
	if at == nil || r.Instead == "" {
		return at != nil, Triple{}
	}
	said := string(r.match.ExpandString(nil, r.Instead, s, at))
	place, value, _ := strings.Cut(said, " = ")
	typ, path, _ := strings.Cut(place, ".")
	return true, Triple{typ, path, value}
}

// Row is the score of one type.
type Row struct {
	Type  string
	Want  int // facts of the other, without those set aside
	Found int // of these, ours too
	Aside int // set aside
}

// Table is a score by type, sorted, and what was not found.
type Table struct {
	Rows    []Row
	Missing []Triple
	Used    map[Difference]int // facts that each set aside or found elsewhere
}

// Compare scores got against want.
func Compare(got, want []fhir.Resource, differ ...Difference) Table {
	have := map[Triple]int{}
	for _, r := range got {
		for _, t := range Triples(r) {
			have[t]++
		}
	}
	var rules []rule
	for _, d := range differ {
		rules = append(rules, d.rule())
	}
	take := func(t Triple) bool {
		if have[t] > 0 {
			have[t]--
			return true
		}
		return false
	}
	out := Table{Used: map[Difference]int{}}
	var rest []Triple
	for _, r := range want {
		for _, t := range Triples(r) {
			if take(t) {
				out.add(Row{Type: t.Type, Want: 1, Found: 1})
			} else {
				rest = append(rest, t)
			}
		}
	}
	for _, t := range rest { // last, so that what is ours in another's place is nobody's own
		found, by := elsewhere(rules, t, take)
		if by != nil {
			out.Used[*by]++
		}
		switch {
		case found:
			out.add(Row{Type: t.Type, Want: 1, Found: 1})
		case by != nil:
			out.add(Row{Type: t.Type, Aside: 1})
		default:
			out.add(Row{Type: t.Type, Want: 1})
			out.Missing = append(out.Missing, t)
		}
	}
	return out
}

// elsewhere asks the rules about a fact that ours has not: whether one finds it in
// another place, and which one that is or, when none does, sets it aside.
func elsewhere(rules []rule, t Triple, take func(Triple) bool) (found bool, by *Difference) {
	for i := range rules {
		matches, instead := rules[i].apply(t)
		switch {
		case !matches:
		case rules[i].Instead != "" && take(instead):
			return true, &rules[i].Difference
		case rules[i].Instead == "" && by == nil:
			by = &rules[i].Difference
		}
	}
	return false, by
}

// Add joins another score to t.
func (t *Table) Add(other Table) {
	for _, r := range other.Rows {
		t.add(r)
	}
	t.Missing = append(t.Missing, other.Missing...)
	if t.Used == nil {
		t.Used = map[Difference]int{}
	}
	for d, n := range other.Used {
		t.Used[d] += n
	}
}

func (t *Table) add(r Row) {
	at, ok := slices.BinarySearchFunc(t.Rows, r.Type, func(x Row, typ string) int { return cmp.Compare(x.Type, typ) })
	if !ok {
		t.Rows = slices.Insert(t.Rows, at, Row{Type: r.Type})
	}
	t.Rows[at].Want += r.Want
	t.Rows[at].Found += r.Found
	t.Rows[at].Aside += r.Aside
}

// Recall is the part that was found of the facts of these types, of all types when
// none is named; 1 when there are none.
func (t Table) Recall(types ...string) float64 {
	want, found := 0, 0
	for _, r := range t.Rows {
		if len(types) == 0 || slices.Contains(types, r.Type) {
			want, found = want+r.Want, found+r.Found
		}
	}
	if want == 0 {
		return 1
	}
	return float64(found) / float64(want)
}

// String is the table as text, a line for each type and one for the sum.
func (t Table) String() string {
	var b strings.Builder
	line := func(typ string, r Row) {
		of := Table{Rows: []Row{r}}
		fmt.Fprintf(&b, "%-26s %6d %6d %6d  %5.1f%%\n", typ, r.Want, r.Found, r.Aside, 100*of.Recall())
	}
	fmt.Fprintf(&b, "%-26s %6s %6s %6s  %6s\n", "type", "want", "found", "aside", "recall")
	var sum Row
	for _, r := range t.Rows {
		line(r.Type, r)
		sum.Want, sum.Found, sum.Aside = sum.Want+r.Want, sum.Found+r.Found, sum.Aside+r.Aside
	}
	line("all", sum)
	return b.String()
}

// Lacking counts what was not found by type and path, the most frequent first, at
// most n lines, each with one of its values.
func (t Table) Lacking(n int) string {
	type place struct{ typ, path string }
	count, example := map[place]int{}, map[place]string{}
	for _, m := range t.Missing {
		at := place{m.Type, m.Path}
		count[at]++
		example[at] = m.Value
	}
	var all []place
	for at := range count {
		all = append(all, at)
	}
	slices.SortFunc(all, func(a, b place) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a.typ, b.typ), cmp.Compare(a.path, b.path))
	})
	var b strings.Builder
	for _, at := range all[:min(n, len(all))] {
		value := example[at]
		if len(value) > 60 {
			value = value[:60] + "..."
		}
		fmt.Fprintf(&b, "%5d %s.%s = %s\n", count[at], at.typ, at.path, value)
	}
	return b.String()
}

// Entries are the resources of a Bundle, in order; r itself when it is none.
func Entries(r fhir.Resource) ([]fhir.Resource, error) {
	if r.Type() != "Bundle" {
		return []fhir.Resource{r}, nil
	}
	var all []fhir.Resource
	for n := range r.All("entry.resource") {
		res, err := fhir.Parse(n.Raw())
		if err != nil {
			return nil, err
		}
		all = append(all, res)
	}
	return all, nil
}

// Triples are the facts of one resource; of a contained one under its own type.
func Triples(r fhir.Resource) []Triple {
	w := walk{typ: r.Type()}
	w.object(r.Root())
	return w.out
}

type walk struct {
	typ  string
	path []string
	out  []Triple
}

// unsaid are members that are no facts, wherever they stand.
var unsaid = map[string]bool{"resourceType": true, "id": true, "meta": true, "display": true, "reference": true, "fullUrl": true, "div": true, "implicitRules": true}

func (w *walk) object(n fhir.Node) {
	if typ, _, ok := strings.Cut(n.Get("reference").Text(), "/"); ok && n.Get("type").IsZero() && fhir.IsType(typ) {
		w.out = append(w.out, Triple{w.typ, strings.Join(append(w.path, "type"), "."), typ})
	}
	for name, v := range n.Members() {
		if unsaid[name] || name == "text" && v.Kind() == '{' {
			continue
		}
		if name == "contained" {
			for c := range v.Items() {
				in := walk{typ: c.Get("resourceType").Text()}
				in.object(c)
				w.out = append(w.out, in.out...)
			}
			continue
		}
		w.path = append(w.path, name)
		w.value(v)
		w.path = w.path[:len(w.path)-1]
	}
}

func (w *walk) value(v fhir.Node) {
	switch v.Kind() {
	case '{':
		w.object(v)
	case '[':
		for item := range v.Items() {
			w.value(item)
		}
	case '"', '0', 't', 'f':
		if s := normal(w.path[len(w.path)-1], v); s != "" {
			w.out = append(w.out, Triple{w.typ, strings.Join(w.path, "."), s})
		}
	}
}

// normal is a value as it is compared.
func normal(name string, v fhir.Node) string {
	s := strings.TrimSpace(v.Text())
	if v.Kind() == '0' {
		if r, ok := new(big.Rat).SetString(s); ok && len(s) < 40 {
			return r.RatString()
		}
		return s
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t.UTC().Format(time.RFC3339Nano)
	}
	if name == "data" && len(s) > 64 {
		return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(s)))
	}
	if strings.HasPrefix(s, "urn:oid:") || strings.HasPrefix(s, "urn:uuid:") {
		return strings.ToLower(s)
	}
	return s
}
