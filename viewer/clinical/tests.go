package clinical

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"firebreak/fhir"
)

// Test is everything one kind of test has given: one row of the grid.
type Test struct {
	Key     string // what makes two results the same test; not for people
	Name    string
	Code    string // "LOINC 2823-3", "WinPath tt-0003-01"; empty for tests known by name only
	Kind    string // "Laboratory", "Vital signs"; empty when not told
	Panel   *Panel
	Results []*Result // newest first; withdrawn and cancelled ones included

	order  int // place within its panel, then
	beside string
}

// Panel is a group of tests that belong together: those of one kind of report,
// the members of one panel, else those of one kind.
type Panel struct {
	Key   string
	Name  string
	Kind  string
	Tests []*Test
}

// Newest is the newest result that counts, nil when there is none. It is the
// one answer to "what is the potassium now" on every page.
func (t *Test) Newest() *Result {
	for _, r := range t.Results {
		if r.Counts() {
			return r
		}
	}
	return nil
}

// Series are the numbers of one unit and method over time, oldest first.
type Series struct {
	Unit, Method string
	Points       []*Result
}

// Series splits a test's numeric results into lines that may be drawn on one
// axis. Units that are spelled differently stay apart, unless the difference
// is only the spelling of litre; the series with the newest point comes first.
func (t *Test) Series() []Series {
	var all []Series
	for _, r := range slices.Backward(t.Results) {
		if !r.Counts() || !r.Value.Numeric || r.When.part == unread {
			continue
		}
		at := slices.IndexFunc(all, func(s Series) bool {
			return sameUnit(s.Unit) == sameUnit(r.Value.Unit) && s.Method == r.Method
		})
		if at < 0 {
			all = append(all, Series{Unit: r.Value.Unit, Method: r.Method})
			at = len(all) - 1
		}
		all[at].Points = append(all[at].Points, r)
	}
	slices.SortStableFunc(all, func(a, b Series) int {
		return newer(a.Points[len(a.Points)-1].When, b.Points[len(b.Points)-1].When)
	})
	return all
}

// Words are the results that are no numbers, oldest first.
func (t *Test) Words() []*Result {
	var all []*Result
	for _, r := range slices.Backward(t.Results) {
		if r.Counts() && !r.Value.Numeric {
			all = append(all, r)
		}
	}
	return all
}

// Course is the direction of the last three exact numbers of the newest
// series.
type Course uint8

const (
	NoCourse Course = iota // fewer than two numbers
	Rising
	Falling
	Steady
	Varying
)

// Course tells the direction and the numbers it is read from, oldest first.
// Where two sources differ, neither is taken.
func (t *Test) Course() (Course, []*Result) {
	all := t.Series()
	if len(all) == 0 {
		return NoCourse, nil
	}
	var last []*Result
	for _, r := range slices.Backward(all[0].Points) {
		if r.Value.Exact() && !r.Differs && len(last) < 3 {
			last = append(last, r)
		}
	}
	slices.Reverse(last)
	if len(last) < 2 {
		return NoCourse, last
	}
	up, down := false, false
	for i := 1; i < len(last); i++ {
		up = up || last[i].Value.Number > last[i-1].Value.Number
		down = down || last[i].Value.Number < last[i-1].Value.Number
	}
	switch {
	case up && down:
		return Varying, last
	case up:
		return Rising, last
	case down:
		return Falling, last
	}
	return Steady, last
}

const loinc = "http://loinc.org"

// testKey is what makes two results the same test: the LOINC code if there is
// one, else the first code with its system, else the name.
func testKey(c Concept) string {
	if k := c.Code(loinc); k != "" {
		return loinc + "|" + k
	}
	for _, k := range c.Codes {
		if k.Code != "" {
			return k.System + "|" + k.Code
		}
	}
	return "text|" + strings.ToLower(strings.TrimSpace(c.Name()))
}

// shownCode names a code with its system, as people write it.
func shownCode(c Concept) string {
	if k := c.Code(loinc); k != "" {
		return "LOINC " + k
	}
	for _, k := range c.Codes {
		if k.Code != "" {
			return strings.TrimSpace(systemName(k.System) + " " + k.Code)
		}
	}
	return ""
}

// systemName is the last, readable part of a code system's address.
func systemName(system string) string {
	switch system {
	case "http://snomed.info/sct":
		return "SNOMED CT"
	case "http://hl7.org/fhir/sid/icd-10", "http://hl7.org/fhir/sid/icd-10-cm":
		return "ICD-10"
	}
	if i := strings.LastIndexAny(system, "/:"); i >= 0 {
		return system[i+1:]
	}
	return system
}

// kinds are the keys of the words for observation categories.
//
// Source: http://terminology.hl7.org/CodeSystem/observation-category.
var kinds = map[string]string{
	"laboratory": "kind.laboratory", "vital-signs": "kind.vital-signs", "imaging": "kind.imaging", "social-history": "kind.social-history",
	"survey": "kind.survey", "exam": "kind.exam", "procedure": "kind.procedure", "therapy": "kind.therapy", "activity": "kind.activity",
}

func (c *Chart) kindOf(categories []Concept) string {
	for _, x := range categories {
		for _, k := range x.Codes {
			if key, ok := kinds[k.Code]; ok {
				return c.say(key)
			}
		}
	}
	return names(categories)
}

// place is where a result stands: the report or panel that holds it.
type place struct {
	panel  string // key
	name   string
	kind   string
	order  int
	beside string // sorts before the name: parts of one result stay together
}

// reading is what a result told of the test it belongs to.
type reading struct {
	place
	code    Concept
	key     string
	ownKind string
}

func (c *Chart) readTests() {
	observations := c.src.Of("Observation")
	read := make([]observation, len(observations))
	kinds := make([]string, len(observations))
	results := make([][]*Result, len(observations))
	apart(len(observations), func(i int) {
		read[i] = readObservation(observations[i].Content())
		kinds[i] = c.kindOf(read[i].category)
		results[i] = c.observationResults(observations[i], read[i])
		for _, r := range results[i] {
			code := read[i].code
			if r.component >= 0 {
				code = componentCode(read[i], r.component)
			}
			r.told = &reading{code: code, key: testKey(code), ownKind: kinds[i]}
		}
	})
	inPanel := map[fhir.Ref]place{} // members of panel Observations
	for i := range observations {
		n := 0
		for m := range read[i].members.Items() {
			inPanel[ref(m)] = place{"panel|" + testKey(read[i].code), read[i].code.Name(), kinds[i], n, ""}
			n++
		}
	}
	tests := map[string]*Test{}
	for i, x := range observations {
		id := x.Ref()
		parent, reported := c.reported[id]
		if !reported {
			if parent, reported = inPanel[id]; !reported {
				parent = place{panel: "kind|" + kinds[i], name: cmp.Or(kinds[i], c.say("results.other")), kind: kinds[i]}
			}
		}
		for _, r := range results[i] {
			r.told.place = parent
			if r.component >= 0 {
				r.told.beside = fmt.Sprintf("%s %02d", strings.ToLower(read[i].code.Name()), r.component)
			}
			t := tests[r.told.key]
			if t == nil {
				t = &Test{Key: r.told.key}
				tests[t.Key] = t
			}
			r.Test = t
			t.Results = append(t.Results, r)
		}
		if len(results[i]) > 0 {
			c.results[id] = results[i]
		}
	}
	for _, t := range tests {
		slices.SortFunc(t.Results, newestFirst)
		t.Results = fold(t.Results)
		nameTest(t)
		c.Tests = append(c.Tests, t)
	}
	c.group()
	for _, all := range results {
		for _, r := range all {
			r.told = nil
		}
	}
}

// apart does n things that have nothing to do with each other, many of them on
// all processors.
func apart(n int, do func(i int)) {
	step := max(100, n/runtime.GOMAXPROCS(0)+1)
	var parts sync.WaitGroup
	for from := 0; from < n; from += step {
		parts.Go(func() {
			for i := from; i < min(from+step, n); i++ {
				do(i)
			}
		})
	}
	parts.Wait()
}

func componentCode(o observation, i int) Concept {
	n := 0
	for item := range o.components.Items() {
		if n == i {
			return concept(item.Get("code"))
		}
		n++
	}
	return Concept{}
}

// nameTest gives a test the name, code and kind its newest result goes by.
func nameTest(t *Test) {
	for _, r := range t.Results {
		x := r.told
		if t.Name == "" {
			t.Name = x.code.Name()
		}
		if t.Code == "" {
			t.Code = shownCode(x.code)
		}
		t.Kind = cmp.Or(t.Kind, x.ownKind, x.kind)
		if t.Name != "" && t.Kind != "" {
			return
		}
	}
}

// group puts every test into one panel: the one its newest result stands in. The
// panel is called as the newest of all says.
func (c *Chart) group() {
	slices.SortFunc(c.Tests, func(a, b *Test) int { // they come out of a map
		return cmp.Or(b.Results[0].When.At.Compare(a.Results[0].When.At), cmp.Compare(a.Key, b.Key))
	})
	panels := map[string]*Panel{}
	newest := map[*Panel]time.Time{}
	for _, t := range c.Tests {
		at := t.Results[0].told
		p := panels[at.panel]
		if p == nil {
			p = &Panel{Key: at.panel, Name: at.name}
			panels[at.panel] = p
			c.Panels = append(c.Panels, p)
		}
		p.Kind = cmp.Or(p.Kind, at.kind, t.Kind)
		t.Panel, t.order, t.beside = p, at.order, cmp.Or(at.beside, strings.ToLower(t.Name))
		p.Tests = append(p.Tests, t)
		if when := t.Results[0].When.At; when.After(newest[p]) {
			newest[p] = when
		}
	}
	for _, p := range c.Panels {
		slices.SortFunc(p.Tests, func(a, b *Test) int {
			return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.beside, b.beside), cmp.Compare(a.Key, b.Key))
		})
	}
	slices.SortFunc(c.Panels, func(a, b *Panel) int {
		return cmp.Or(newest[b].Compare(newest[a]), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Key, b.Key))
	})
	c.Tests = c.Tests[:0]
	for _, p := range c.Panels {
		c.Tests = append(c.Tests, p.Tests...)
	}
}

// Attention are the tests whose newest result is flagged and was collected
// within the period before now: critical first, then newest first.
func (c *Chart) Attention(period time.Duration) []*Test {
	var all []*Test
	for _, t := range c.Tests {
		if r := t.Newest(); r != nil && r.Flag().Weight > Plain && c.now.Sub(r.When.At) <= period {
			all = append(all, t)
		}
	}
	slices.SortStableFunc(all, func(a, b *Test) int {
		x, y := a.Newest(), b.Newest()
		return cmp.Or(-cmp.Compare(x.Flag().Weight/Critical, y.Flag().Weight/Critical), newer(x.When, y.When))
	})
	return all
}

// Latest are the tests with a result that counts, newest first.
func (c *Chart) Latest() []*Test {
	var all []*Test
	for _, t := range c.Tests {
		if t.Newest() != nil {
			all = append(all, t)
		}
	}
	slices.SortStableFunc(all, func(a, b *Test) int { return newer(a.Newest().When, b.Newest().When) })
	return all
}

// Test is the test of that key, nil when the chart has none.
func (c *Chart) Test(key string) *Test {
	for _, t := range c.Tests {
		if t.Key == key {
			return t
		}
	}
	return nil
}

// From is the part of the series that was collected at t or later.
func (s Series) From(t time.Time) Series {
	for i, r := range s.Points {
		if !r.When.At.Before(t) {
			s.Points = s.Points[i:]
			return s
		}
	}
	s.Points = nil
	return s
}
