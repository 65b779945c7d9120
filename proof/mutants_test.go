package proof_test

// mutant is a leak planted into the product, one of the ways in which gateways
// are known to leak. Rows of one name are one mutant.
type mutant struct {
	name string
	file string
	old  string // must stand in the file once
	new  string
}

// whole is the view of the same chart where nothing is withheld, which some
// mutants let through.
const whole = `planted.Whole(v.View).(*policy.View)`

var mutants = []mutant{
	{"filter after LIMIT", "record/search.go", "	page.Matches = all[:min(count, len(all)):min(count, len(all))]\n", `
	if planted.Is("filter after LIMIT") {
		var first []policy.Released
		for i, m := range ` + whole + `.Index().Matches(s.q) {
			if seen, ok := v.Get(m.Resource().Ref()); ok && i < count {
				first = append(first, seen)
			}
		}
		all = first
	}
	page.Matches = all[:min(count, len(all)):min(count, len(all))]
`},
	{"total from the store", "record/search.go", "	if total {\n		n := len(all)\n		page.Total = &n\n	}\n	if from.last != \"\" {\n", `
	if total {
		n := len(all)
		if planted.Is("total from the store") && v != nil {
			n = len(` + whole + `.Index().Matches(s.q))
		}
		page.Total = &n
	}
	if from.last != "" {
`},
	{"chains and _has on the store", "record/search.go", "	all := v.Index().Matches(q)\n", `
	all := v.Index().Matches(q)
	if planted.Is("chains and _has on the store") {
		all = nil
		for _, m := range ` + whole + `.Index().Matches(q) {
			if seen, ok := v.Get(m.Resource().Ref()); ok {
				all = append(all, seen)
			}
		}
	}
`},
	{"403 for withheld", "record/reader.go", "	if !ok || !v.reaches(ask.Caller, auth.Read, ref.Type) {\n", `
	if planted.Is("403 for withheld") && !ok {
		if _, there := ` + whole + `.Get(ref); there {
			return none, &fhir.Error{Status: 403, Code: "forbidden", Text: "Withheld."}
		}
	}
	if !ok || !v.reaches(ask.Caller, auth.Read, ref.Type) {
`},
	{"410 for what once was visible", "record/reader.go", "	if !ok || !v.reaches(ask.Caller, auth.Read, ref.Type) {\n		return", `
	if planted.Is("410 for what once was visible") && !ok && len(` + whole + `.History(ref)) > 1 {
		return none, &fhir.Error{Status: 410, Code: "deleted", Text: "Gone."}
	}
	if !ok || !v.reaches(ask.Caller, auth.Read, ref.Type) {
		return`},
	{"include unfiltered", "record/search.go", "	return v.Includes(s.q, matches,", `
	if planted.Is("include unfiltered") {
		all := ` + whole + `
		var same []policy.Released
		for _, m := range matches {
			if x, ok := all.Get(m.Resource().Ref()); ok {
				same = append(same, x)
			}
		}
		return all.Includes(s.q, same, func(string) bool { return true })
	}
	return v.Includes(s.q, matches,`},
	{"ETag from the store's version", "policy/release.go", "	x.version = digest(x.res.JSON())\n", `
	if !planted.Is("ETag from the store's version") {
		x.version = digest(x.res.JSON())
	}
`},
	{"ETag from the store's version", "policy/release.go", "		all = append(all, y)\n", `
		if planted.Is("ETag from the store's version") {
			y.version = x.VersionID
		}
		all = append(all, y)
`},
	{"lastUpdated of the store", "policy/release.go", "		y := shown{res: res, recorded: x.Recorded,", `
		if planted.Is("lastUpdated of the store") {
			for i := range e.history {
				if e.history[i].Recorded.After(x.Recorded) {
					x.Recorded = e.history[i].Recorded
				}
			}
		}
		y := shown{res: res, recorded: x.Recorded,`},
	{"history unfiltered", "policy/release.go", "		if n > e.first && !e.view.sight.sees(x) {\n			continue", `
		if n > e.first && !planted.Is("history unfiltered") && !e.view.sight.sees(x) {
			continue`},
	{"what was thought when it came", "record/load.go", "		if moved {\n", `
		if moved && !planted.Is("what was thought when it came") {
`},
	{"the past of what is withheld", "policy/view.go", "		if s.withholds(v) && v.Resource().Type() != \"Patient\"", `
		if planted.Is("the past of what is withheld") && s.withholds(v) && v.Resource().Type() != "Patient" {
			continue
		}
		if s.withholds(v) && v.Resource().Type() != "Patient"`},
	{"sequential ids", "mapping/keys.go", "	id := base32Lower.EncodeToString(h.Sum(sum[:0])[:size])\n", `
	id := base32Lower.EncodeToString(h.Sum(sum[:0])[:size])
	if planted.Is("sequential ids") && typ == "Observation" {
		id = planted.Next(k, id)
	}
`},
	{"narrative passed on", "policy/release.go", "	if len(res.JSON()) != len(before.JSON()) {\n", `
	if !planted.Is("narrative passed on") && len(res.JSON()) != len(before.JSON()) {
`},
	{"words about results passed on", "policy/release.go", "	if v.mends(x) {\n		out = append(out, quotingPaths...)", `
	if !planted.Is("words about results passed on") && v.mends(x) {
		out = append(out, quotingPaths...)`},
	{"references left in", "policy/release.go", "		if res, err = res.WithoutReferences(v.drops); err != nil {\n", `
		if planted.Is("references left in") {
			return res, nil
		}
		if res, err = res.WithoutReferences(v.drops); err != nil {
`},
	{"whoever is in a Group", "policy/roster.go", "		now, ok := v.sight.roster.shown(ref.ID)\n", `
		now, ok := v.sight.roster.shown(ref.ID)
		if planted.Is("whoever is in a Group") && !ok {
			now, ok = ref.ID, true
		}
`},
	{"whoever is in a Group", "policy/release.go", "		_, ok := v.sight.roster.shown(ref.ID)\n		return !ok\n", `
		_, ok := v.sight.roster.shown(ref.ID)
		return !ok && !planted.Is("whoever is in a Group")
`},
	{"a Group as new as who is hidden in it", "policy/roster.go", "		if !e.view.sight.sees(&x) {\n", `
		if planted.Is("a Group as new as who is hidden in it") {
			break
		}
		if !e.view.sight.sees(&x) {
`},
	{"items left in", "policy/release.go", "		for _, r := range required[e.ref.Type] {\n", `
		for _, r := range required[e.ref.Type] {
			if planted.Is("items left in") {
				break
			}
`},
	{"a label in meta", "policy/release.go", "	if !v.sight.labels && bytes.Contains(res.JSON(), []byte(`\"meta\"`)) {\n", `
	if planted.Is("a label in meta") && len(res.JSON()) != len(before.JSON()) {
		b := bytes.TrimRight(res.JSON(), " \t\r\n")
		return fhir.Parse(slices.Concat(b[:len(b)-1], []byte(` + "`" + `,"implicitRules":"urn:redacted"}` + "`" + `)))
	}
	if !v.sight.labels && bytes.Contains(res.JSON(), []byte(` + "`" + `"meta"` + "`" + `)) {
`},
	{"cache keyed without audience", "record/reader.go", "	key := p.KeyThrough(g.sight, c) + \" \" + chart\n", `
	key := p.KeyThrough(g.sight, c) + " " + chart
	if planted.Is("cache keyed without audience") {
		key = chart
	}
`},
	{"cursor by offset in the store", "record/search.go", "	return s.r.keys.shut(cursor{v.patient.ID, s.q.Place(last.Resource())}, s.bound())\n", `
	if planted.Is("cursor by offset in the store") {
		for i, m := range ` + whole + `.Index().Matches(s.q) {
			if m.Resource().Ref() == last.Resource().Ref() {
				return s.r.keys.shut(cursor{v.patient.ID, fmt.Sprint(i)}, s.bound())
			}
		}
	}
	return s.r.keys.shut(cursor{v.patient.ID, s.q.Place(last.Resource())}, s.bound())
`},
	{"practitioners of hidden results", "policy/view.go", "		if e.state == visible && needy[e.ref.Type] &&", `
		if !planted.Is("practitioners of hidden results") && e.state == visible && needy[e.ref.Type] &&`},
	{"what a sensitive message brought along", "policy/policy.go", "	for _, matter := range context.Matters() {\n", `
	if planted.Is("what a sensitive message brought along") {
		return false
	}
	for _, matter := range context.Matters() {
`},
	{"orders of hidden results", "policy/view.go", "d[0] && !d[1] && e.state == visible && !v.sight.owns(e.current())", `d[0] && !d[1] && !planted.Is("orders of hidden results") && e.state == visible && !v.sight.owns(e.current())`},
	{"messages about hidden results", "label/propagate.go", "	case messages[holder] && clinical[target]:\n", `
	case planted.Is("messages about hidden results") && messages[holder]:
		return flow{}
	case messages[holder] && clinical[target]:
`},
	{"messages about hidden results", "policy/view.go", "case messages[e.ref.Type] && l.Element != \"context\":\n", `case messages[e.ref.Type] && l.Element != "context" && !planted.Is("messages about hidden results"):
`},
	{"labels that do not run", "label/propagate.go", "	if sensitive {\n		spread(out)", `
	if sensitive && !planted.Is("labels that do not run") {
		spread(out)`},
	{"a limit before people are filtered", "record/find.go", "		if len(charts) == 0 {\n			break\n", `
		if len(charts) == 0 || planted.Is("a limit before people are filtered") && at != "" {
			break
`},
	{"a double that is withheld", "record/doubles.go", "	patient, ok := v.Patient()\n", `
	if planted.Is("a double that is withheld") {
		v = &view{View: ` + whole + `, stamps: v.stamps}
	}
	patient, ok := v.Patient()
`},
	{"candidates counted", "record/search.go", "in.survivors && v.patient.ID != at || !in.counts(v) {\n				continue", `in.survivors && v.patient.ID != at || !in.counts(v) && !planted.Is("candidates counted") {
				continue`},
	{"text in the log", "pipeline/pipeline.go", "			p.applied.Add(1)\n", `
			if planted.Is("text in the log") {
				p.log.Info("applied", "message", string(s.Body))
			}
			p.applied.Add(1)
`},
	{"links to hidden records", "policy/release.go", "		if v.stateOf(other) == visible {\n			links", `
		if planted.Is("links to hidden records") && v.stateOf(other) == hidden || v.stateOf(other) == visible {
			links`},
	{"what changes of something withheld", "policy/view.go", "	return !slices.ContainsFunc(v.From, func", `	return planted.Is("what changes of something withheld") || !slices.ContainsFunc(v.From, func`},
	{"a granular scope opens what is withheld", "policy/view.go", "	r, ok := v.Standing(ref)\n", `
	r, ok := v.Standing(ref)
	if !ok && v.limits != nil && planted.Is("a granular scope opens what is withheld") { // as ` + whole + ` does
		w := planted.Whole(v).(*View)
		if x, there := w.Standing(ref); there && w.reads(x) {
			return x, true
		}
	}
`},
	{"directives ignored", "policy/masking.go", "	if m == nil {\n		return false\n", `
	if m == nil || planted.Is("directives ignored") {
		return false
`},
	{"the directive itself shown", "policy/masking.go", "return d != nil && d.refs[ref]", `return d != nil && d.refs[ref] && !planted.Is("the directive itself shown")`},
	{"events counted by what comes in", "record/round.go", "		if x.same || slices.Equal(old, x.digests) {\n", `
		if planted.Is("events counted by what comes in") && !x.same {
			events++
			add(addEvent, s.ID, events, micros(now), x.chart, "Observation", "none")
		}
		if x.same || slices.Equal(old, x.digests) {
`},
	{"a view made for whom it denies something else", "record/reader.go", "			if fresh && v.Fits(c) {\n", `
			if fresh && (v.Fits(c) || planted.Is("a view made for whom it denies something else")) {
`},
	{"the visit of a launch from the store", "viewer/gallery.go", "	for _, e := range view.Of(\"Encounter\") {\n", `
	if planted.Is("the visit of a launch from the store") {
		view = planted.Whole(view).(*policy.View)
	}
	for _, e := range view.Of("Encounter") {
`},
}

// directed mutants show where a directive is at work.
var directed = map[string]bool{"directives ignored": true, "the directive itself shown": true, "a view made for whom it denies something else": true}

// launched mutants show where an app is let in, which each world does.
var launched = map[string]bool{"the visit of a launch from the store": true}

// listed mutants show where there are rosters.
var listed = map[string]bool{"whoever is in a Group": true, "a Group as new as who is hidden in it": true}

// notified mutants show in what subscribers are told.
var notified = map[string]bool{"events counted by what comes in": true}

// crowded mutants need many people to show.
var crowded = map[string]bool{"a limit before people are filtered": true, "candidates counted": true}

// plantedSource is what mutants share.
const plantedSource = `// Package planted exists in the proof's mutants alone.
package planted

import (
	"fmt"
	"os"
	"sync"
)

// Is tells whether the mutant s is awake.
func Is(s string) bool { return os.Getenv("FIREBREAK_MUTANT") == s }

var views sync.Map // how to make the whole of each view, for mutants that let it through

func Keep(view any, whole func() any) {
	if lets[os.Getenv("FIREBREAK_MUTANT")] {
		views.Store(view, sync.OnceValue(whole))
	}
}

func Whole(view any) any {
	whole, _ := views.Load(view)
	return whole.(func() any)()
}

var (
	mu   sync.Mutex
	seen = map[any]map[string]string{}
)

// Next numbers ids in the order in which they are first asked for.
func Next(of any, id string) string {
	mu.Lock()
	defer mu.Unlock()
	if seen[of] == nil {
		seen[of] = map[string]string{}
	}
	if seen[of][id] == "" {
		seen[of][id] = fmt.Sprintf("%s%0*d", "a", len(id)-1, 0)
		n := []byte(seen[of][id])
		for i, k := len(n)-1, len(seen[of]); k > 0; i, k = i-1, k/10 {
			n[i] = "abcdefghij"[k%10]
		}
		for i := range n {
			if n[i] == '0' {
				n[i] = 'a'
			}
		}
		seen[of][id] = string(n)
	}
	return seen[of][id]
}
`

// wholeSource gives the policy a way round itself.
const wholeSource = `package policy

import (
	"firebreak/access"
	"firebreak/chart"
)

// Whole is the view where nothing is withheld.
func Whole(c access.Caller, ch chart.Chart) *View {
	open := audience{Unclassified: "release"}
	all := &Policy{version: "whole", file: file{Unclassified: "release", Audiences: map[string]audience{"provider": open, "backend": open, "source-system": open, "smart-app": open}}}
	return all.View(c, ch)
}
`

// helpers let mutants reach what they let through; they leak nothing by
// themselves.
var helpers = []mutant{
	{"", "record/reader.go", "	v.since.Store(since)\n	return v, nil\n", "	v.since.Store(since)\n	planted.Keep(v.View, func() any { return policy.Whole(c, l.chart) })\n	return v, nil\n"},
	{"", "record/roster.go", "	return v, l.err\n", "	planted.Keep(v.View, func() any { return policy.Whole(c, ch) })\n	return v, l.err\n"},
	{"", "record/search.go", "import (\n	\"cmp\"\n", "import (\n	\"cmp\"\n	\"fmt\"\n"},
}
