package fhirapi_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"firebreak/fhir"
	"firebreak/fhir/fhirpath"
	"firebreak/internal/corpus"
	"firebreak/search"
)

// question is one condition of a search, with how it is judged.
type question struct {
	name, value string
	holds       func(r fhir.Resource) bool
}

// plain undoes what a value is escaped by.
var escape = strings.NewReplacer(`\`, `\\`, ",", `\,`, "$", `\$`, "|", `\|`).Replace

// ask makes a question by a parameter of what one resource holds: it has the
// resource as an answer where it asks for what is there.
func (o *oracle) ask(g *rand.Rand, typ string, p search.Param) (q question, ok bool) {
	var from []fhir.Resource
	for _, r := range o.byType[typ] {
		if len(o.values(r, p.Name)) > 0 {
			from = append(from, r)
		}
	}
	if len(from) == 0 {
		return q, false
	}
	values := o.values(from[g.IntN(len(from))], p.Name)
	v := values[g.IntN(len(values))]
	any := func(test func(fhirpath.Value) bool) func(fhir.Resource) bool {
		return func(r fhir.Resource) bool { return slices.ContainsFunc(o.values(r, p.Name), test) }
	}
	pick := func(all ...string) string { return all[g.IntN(len(all))] }
	q.name = p.Name
	switch p.Type {
	case "token":
		all := tokens(v)
		if len(all) == 0 {
			return q, false
		}
		t := all[g.IntN(len(all))]
		if t[1] == "" {
			return q, false
		}
		if g.IntN(4) == 0 {
			if q, ok := o.byTerms(g, typ, p, t); ok {
				return q, true
			}
		}
		system, exact := t[0], t[0] != "?" && g.IntN(2) == 0
		q.value = escape(t[1])
		if g.IntN(6) == 0 {
			q.value = strings.ToUpper(q.value)
		}
		if exact {
			q.value = escape(system) + "|" + q.value
		}
		q.holds = any(func(v fhirpath.Value) bool {
			return slices.ContainsFunc(tokens(v), func(h [2]string) bool { return (!exact || h[0] == system) && strings.EqualFold(h[1], t[1]) })
		})
		if p.Name == "_id" {
			q.value, q.holds = t[1], func(r fhir.Resource) bool { return r.ID() == t[1] }
		}
		if g.IntN(6) == 0 {
			found := q.holds
			q.name, q.holds = p.Name+":not", func(r fhir.Resource) bool { return !found(r) }
		}
	case "special": // near
		lat, lon, ok := degrees(v)
		if !ok {
			return q, false
		}
		most := math.Pow(10, g.Float64()*5-0.5) // kilometres
		lat += g.Float64() / 10
		q.value = fmt.Sprintf("%v|%v|%v|km", lat, lon, most)
		q.holds = any(func(v fhirpath.Value) bool {
			a, b, ok := degrees(v)
			return ok && apart(lat, lon, a, b) <= most
		})
	case "string":
		all := stringsOf(v)
		if len(all) == 0 || p.Name == "phonetic" { // sounds are compared by the package's own tests
			return q, false
		}
		s := all[g.IntN(len(all))]
		switch modifier := pick("", "", ":exact", ":contains"); modifier {
		case ":exact":
			q.name, q.value = p.Name+modifier, escape(s)
			q.holds = any(func(v fhirpath.Value) bool { return slices.Contains(stringsOf(v), s) })
		default:
			part := []rune(plainly(s))
			from, test := 0, strings.HasPrefix
			if modifier != "" {
				from, test = g.IntN(len(part)+1), strings.Contains
			}
			asked := strings.TrimSpace(string(part[from:min(len(part), from+1+g.IntN(12))]))
			if asked == "" {
				return q, false
			}
			q.name, q.value = p.Name+modifier, escape(pick(asked, strings.ToUpper(asked)))
			if plainly(q.value) != escape(asked) {
				return q, false // of letters whose capitals are others
			}
			q.holds = any(func(v fhirpath.Value) bool {
				return slices.ContainsFunc(stringsOf(v), func(h string) bool { return test(plainly(h), asked) })
			})
		}
	case "date":
		all := timesOf(v)
		if len(all) == 0 {
			return q, false
		}
		at := all[0][g.IntN(2)].UTC()
		asked := at.Format(pick("2006", "2006-01", "2006-01-02", "2006-01-02T15:04:05Z"))
		a, b, ok := moments(asked)
		if !ok || at.Year() < 1 || at.Year() > 9000 {
			return q, false
		}
		prefix := pick("", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb")
		q.value = prefix + asked
		q.holds = any(func(v fhirpath.Value) bool {
			return slices.ContainsFunc(timesOf(v), func(h [2]time.Time) bool { return within(prefix, h, [2]time.Time{a, b}) })
		})
	case "number", "quantity":
		n, system, code, _ := amounts(v)
		if n == nil {
			return q, false
		}
		for _, r := range o.byType[typ] { // comparators and ranges are judged by the package's own tests
			if slices.ContainsFunc(o.values(r, p.Name), func(v fhirpath.Value) bool { n, _, _, _ := amounts(v); return n == nil }) {
				return q, false
			}
		}
		asked, prefix := n.FloatString(g.IntN(4)), pick("", "ne", "gt", "lt", "ge", "le", "sa", "eb")
		q.value = prefix + asked
		unit := p.Type == "quantity" && code != "" && g.IntN(2) == 0
		if unit {
			q.value += "|" + escape(system) + "|" + escape(code)
		}
		q.holds = any(func(v fhirpath.Value) bool {
			n, s, c, u := amounts(v)
			return numbered(prefix, n, asked) && (!unit || c == code && (s == system || system == "") || system == "" && u == code)
		})
	case "reference", "uri":
		s := addresses(v)[0]
		if s == "" || strings.HasPrefix(s, "#") {
			return q, false
		}
		q.value = escape(s)
		q.holds = any(func(v fhirpath.Value) bool { return slices.Contains(addresses(v), s) })
	default:
		return q, false
	}
	if g.IntN(8) == 0 && slices.Contains([]string{"token", "reference", "uri"}, p.Type) && q.name == p.Name { // or what is nowhere
		q.value += ",nowhere"
	}
	if !strings.Contains(q.name, ":") && p.Type == "token" && g.IntN(12) == 0 {
		q.name, q.value = p.Name+":missing", pick("true", "false")
		there := q.value == "false"
		found := any(func(v fhirpath.Value) bool { return len(tokens(v)) > 0 || v.Text() != "" })
		q.holds = func(r fhir.Resource) bool { return found(r) == there }
	}
	return q, true
}

// deeper asks the same through a reference: of what refers to a type, or of what
// that refers to.
func (o *oracle) deeper(g *rand.Rand, typ string) (q question, ok bool) {
	refs := slices.DeleteFunc(search.Params(typ), func(p search.Param) bool { return len(p.Target) == 0 || expressions[typ+"?"+p.Name] == nil })
	if len(refs) == 0 {
		return q, false
	}
	p := refs[g.IntN(len(refs))]
	if g.IntN(2) == 0 { // a chain
		target := p.Target[g.IntN(len(p.Target))]
		then, ok := o.any(g, target)
		return question{p.Name + ":" + target + "." + then.name, then.value, func(r fhir.Resource) bool {
			return slices.ContainsFunc(o.values(r, p.Name), func(v fhirpath.Value) bool {
				to, there := o.byRef[addresses(v)[0]]
				return there && to.Type() == target && then.holds(to)
			})
		}}, ok
	}
	// typ is what refers, the question is of what it refers to
	then, ok := o.any(g, typ)
	return question{"_has:" + typ + ":" + p.Name + ":" + then.name, then.value, func(r fhir.Resource) bool {
		return slices.ContainsFunc(o.byType[typ], func(x fhir.Resource) bool {
			return slices.ContainsFunc(o.values(x, p.Name), func(v fhirpath.Value) bool { return addresses(v)[0] == r.Ref().String() }) && then.holds(x)
		})
	}}, ok
}

// any is a question by any parameter that finds something.
func (o *oracle) any(g *rand.Rand, typ string) (q question, ok bool) {
	if len(o.byType[typ]) == 0 {
		return q, false
	}
	params := search.Params(typ)
	for range 10 {
		if p := params[g.IntN(len(params))]; expressions[typ+"?"+p.Name] != nil {
			if q, ok = o.ask(g, typ, p); ok {
				return q, true
			}
		}
	}
	return q, false
}

func (o *oracle) answer(typ string, all ...question) (refs []string) {
	for _, r := range o.byType[typ] {
		if !slices.ContainsFunc(all, func(q question) bool { return !q.holds(r) }) {
			refs = append(refs, r.Ref().String())
		}
	}
	slices.Sort(refs)
	return slices.Compact(refs)
}

type example struct{ r fhir.Resource }

func (e example) Resource() fhir.Resource { return e.r }

// Every parameter of every type finds among the official examples what its
// official expression, evaluated as FHIRPath, says that it should.
func TestParametersFindWhatTheirExpressionsSay(t *testing.T) {
	t.Parallel()
	var all []fhir.Resource
	var items []example
	seen := map[fhir.Ref]bool{}
	for _, line := range corpus.Lines(t, "../fhir/r4def/testdata/examples.ndjson.gz") {
		r, err := fhir.Parse(line)
		must(t, err)
		if !seen[r.Ref()] {
			seen[r.Ref()] = true
			all, items = append(all, r), append(items, example{r})
		}
	}
	index, o, g := search.NewIndex(items), newOracle(all), rand.New(rand.NewPCG(4, 0))
	asked, unread, modified := 0, map[string]bool{}, map[string]int{}
	for _, typ := range search.Types() {
		for _, p := range search.Params(typ) {
			if p.Type != "composite" && expressions[typ+"?"+p.Name] == nil {
				unread[p.Name] = true
				continue
			}
			for range 2 {
				if p.Type == "composite" {
					break
				}
				if q, ok := o.ask(g, typ, p); ok {
					asked++
					_, modifier, _ := strings.Cut(q.name, ":")
					modified[modifier]++
					o.compare(t, index, typ, q)
				}
			}
		}
		for range 3 {
			if q, ok := o.deeper(g, typ); ok && !strings.HasPrefix(q.name, "_has:Group:member:") && !strings.HasPrefix(typ+"?"+q.name, "Group?member:") { // whose members lie elsewhere
				asked++
				if rest, has := strings.CutPrefix(q.name, "_has:"); has {
					source, param, _ := strings.Cut(rest, ":")
					param, _, _ = strings.Cut(param, ":")
					for _, target := range search.Params(source)[slices.IndexFunc(search.Params(source), func(p search.Param) bool { return p.Name == param })].Target {
						o.compare(t, index, target, q)
					}
					continue
				}
				o.compare(t, index, typ, q)
			}
		}
	}
	t.Log(asked, "questions,", modified, "; not read as FHIRPath:", unread)
	for _, modifier := range []string{"in", "not-in", "below", "above", "not", "missing"} {
		if modified[modifier] < 5 {
			t.Errorf(":%s is asked %d times", modifier, modified[modifier])
		}
	}
	if asked < 1000 || len(unread) > 12 {
		t.Errorf("%d questions try too little; unread %v", asked, unread)
	}
}

func (o *oracle) compare(t *testing.T, index *search.Index[example], typ string, q question) {
	t.Helper()
	parsed, err := search.ParseQuery(typ, url.Values{q.name: {q.value}})
	if err != nil {
		t.Errorf("%s?%s=%s: %v", typ, q.name, q.value, err)
		return
	}
	var got []string
	for _, m := range index.Matches(parsed) {
		got = append(got, m.r.Ref().String())
	}
	slices.Sort(got)
	if want := o.answer(typ, q); !slices.Equal(got, want) {
		t.Errorf("%s?%s=%s finds %v, by its expression %v", typ, q.name, q.value, got, want)
	}
}

// Whatever is asked of a chart, all pages together hold what reading its
// resources one by one says that they should, each once.
func TestSearchesFindWhatReadingSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hospital(2)
	id := w.ayan()
	me := w.physician()
	var all []fhir.Resource
	for _, ref := range sorted(w.chart(me, id)) {
		all = append(all, w.get(me, "/"+ref).want(t, 200).resource(t))
	}
	o, g := newOracle(all), rand.New(rand.NewPCG(5, 0))
	types := []string{"Observation", "Observation", "DiagnosticReport", "ServiceRequest", "Encounter", "Condition", "DocumentReference", "Specimen", "Patient"}
	found := 0
	for range 100 {
		typ := types[g.IntN(len(types))]
		var questions []question
		v := url.Values{}
		for range 1 + g.IntN(3) {
			q, ok := o.any(g, typ)
			if g.IntN(4) == 0 {
				q, ok = o.deeper(g, typ)
				ok = ok && !strings.HasPrefix(q.name, "_has:")
			}
			if ok {
				questions = append(questions, q)
				v.Add(q.name, q.value)
			}
		}
		path := "/Patient/" + id + "/" + typ + "?"
		if patient := slices.ContainsFunc(search.Params(typ), func(p search.Param) bool { return p.Name == "patient" }); patient && g.IntN(2) == 0 {
			path = "/" + typ + "?patient=" + id + "&"
		} else if typ == "Patient" {
			path = "/Patient?_id=" + id + "&"
		}
		v.Set("_count", fmt.Sprint(5+g.IntN(60)))
		if g.IntN(3) == 0 {
			v.Set("_sort", []string{"_id", "-_lastUpdated", "-_id,_lastUpdated"}[g.IntN(3)])
		}
		got := w.pages(me, path+v.Encode())
		slices.Sort(got)
		want := o.answer(typ, questions...)
		if !strings.Contains(path, "patient=") && typ != "Patient" { // in the compartment
			want = slices.DeleteFunc(want, func(ref string) bool { return !strings.Contains(string(o.byRef[ref].JSON()), `"Patient/`+id+`"`) })
		}
		if found += len(want); !slices.Equal(got, want) {
			t.Errorf("%s%s: %d found, %d by reading\n%v\n%v", path, v.Encode(), len(got), len(want), got, want)
		}
	}
	if t.Log(len(all), "resources,", found, "matches"); found < 500 {
		t.Errorf("%d matches try too little", found)
	}
}
