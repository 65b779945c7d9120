package viewer

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"firebreak/viewer/clinical"
)

const (
	gridColumns = 8   // collection times shown before "older"
	gridTests   = 120 // rows on one page
)

// filter is what a reader asked the grid to be narrowed to: query words, so
// that Back works.
type filter struct {
	Flagged bool
	Kind    string
	Period  string // "", "3m", "1y", "5y"
	Source  string
	Text    string
	Panel   string // one panel alone, by handle
	Older   int    // pages of columns to skip, with Panel
	Page    int    // pages of tests to skip
}

func readFilter(q url.Values) filter {
	f := filter{Flagged: q.Get("flagged") == "1", Kind: q.Get("kind"), Source: q.Get("source"), Text: strings.TrimSpace(q.Get("text")), Panel: q.Get("panel")}
	if p := q.Get("period"); periods[p] > 0 {
		f.Period = p
	}
	f.Older = count(q.Get("older"))
	f.Page = count(q.Get("page"))
	return f
}

func count(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 10_000 {
		return 0
	}
	return n
}

// periods are how far back one can look; no entry is all.
var periods = map[string]int{"3m": 3, "1y": 12, "5y": 60} // months

func since(now time.Time, period string) time.Time {
	months, ok := periods[period]
	if !ok {
		return time.Time{}
	}
	return now.AddDate(0, -months, 0)
}

func (f filter) active() bool {
	return f.Flagged || f.Kind != "" || f.Period != "" || f.Source != "" || f.Text != ""
}

func (f filter) query() map[string]string {
	q := map[string]string{"kind": f.Kind, "period": f.Period, "source": f.Source, "text": f.Text, "panel": f.Panel}
	if f.Flagged {
		q["flagged"] = "1"
	}
	if f.Older > 0 {
		q["older"] = strconv.Itoa(f.Older)
	}
	if f.Page > 0 {
		q["page"] = strconv.Itoa(f.Page)
	}
	return q
}

// gridModel is the results page.
type gridModel struct {
	*frame
	Filter   filter
	Sentence string // the active filter in words, empty when there is none
	Kinds    []string
	Senders  []feedChoice
	Panels   []gridPanel
	Total    int // tests shown on all pages
	More     string
	Fewer    string
	One      bool // a single panel was asked for
}

type feedChoice struct{ Value, Name string }

// gridPanel is one panel's part of the grid: its tests by its own times.
type gridPanel struct {
	Name  string
	Kind  string
	Times []clinical.Time // newest first
	Rows  []gridRow
	Older string // address of older columns, empty when there are none
	Newer string
}

type gridRow struct {
	Test  *clinical.Test
	Unit  string // common to the row's results, empty when they differ
	Cells [][]*clinical.Result
	Last  *clinical.Result // the newest that counts, when it lies before all columns; else nil
}

func (v *Viewer) results(w http.ResponseWriter, r *http.Request, f *frame) error {
	by := readFilter(r.URL.Query())
	q := by.query()
	q["part"] = "results"
	f.paper = address(f.Base+"/print", q)
	return v.render(w, r, http.StatusOK, "results", f.grid(by))
}

// grid lays the results out, after narrowing them.
func (f *frame) grid(by filter) *gridModel {
	m := &gridModel{frame: f, Filter: by, Sentence: f.sentence(by), One: by.Panel != ""}
	m.choices()
	skipped := by.Page * gridTests
	from := since(f.now, by.Period)
	for _, p := range f.Chart.Panels {
		handle := f.v.handles.item(f.session.Key, "panel", p.Key)
		if by.Panel != "" && by.Panel != handle {
			continue
		}
		if by.Kind != "" && p.Kind != by.Kind && !slices.ContainsFunc(p.Tests, func(t *clinical.Test) bool { return t.Kind == by.Kind }) {
			continue
		}
		rows := map[*clinical.Test][]*clinical.Result{}
		var tests []*clinical.Test
		for _, t := range p.Tests {
			kept := by.keep(t, from)
			if len(kept) == 0 {
				continue
			}
			m.Total++
			if m.Total <= skipped || m.Total > skipped+gridTests {
				continue
			}
			rows[t] = kept
			tests = append(tests, t)
		}
		if len(tests) > 0 {
			m.Panels = append(m.Panels, f.panel(p, handle, tests, rows, by))
		}
	}
	page := func(n int) string {
		other := by
		other.Page = n
		return address(f.Base+"/results", other.query())
	}
	if by.Page > 0 {
		m.Fewer = page(by.Page - 1)
	}
	if m.Total > skipped+gridTests {
		m.More = page(by.Page + 1)
	}
	return m
}

// keep is what a filter leaves of a test, newest first.
func (by filter) keep(t *clinical.Test, from time.Time) []*clinical.Result {
	if by.Kind != "" && cmp.Or(t.Kind, t.Panel.Kind) != by.Kind {
		return nil
	}
	if by.Text != "" && !containsAll(t.Name+" "+t.Code+" "+t.Panel.Name, by.Text) {
		return nil
	}
	if !by.Flagged && by.Source == "" && from.IsZero() {
		return t.Results
	}
	var kept []*clinical.Result
	for _, r := range t.Results {
		switch {
		case by.Flagged && r.Flag().Weight == clinical.Plain:
		case by.Source != "" && r.Source != by.Source && !slices.Contains(r.Sources, by.Source):
		case !from.IsZero() && r.When.At.Before(from):
		default:
			kept = append(kept, r)
		}
	}
	return kept
}

func containsAll(text, words string) bool {
	text = strings.ToLower(text)
	for w := range strings.FieldsSeq(strings.ToLower(words)) {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// panel lays out one panel: columns are its collection times.
func (f *frame) panel(p *clinical.Panel, handle string, tests []*clinical.Test, rows map[*clinical.Test][]*clinical.Result, by filter) gridPanel {
	var times []clinical.Time
	for _, t := range tests {
		for _, r := range rows[t] {
			times = append(times, r.When)
		}
	}
	slices.SortFunc(times, func(a, b clinical.Time) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Sent, b.Sent)) })
	times = slices.CompactFunc(times, func(a, b clinical.Time) bool { return a.Sent == b.Sent })
	start := by.Older * gridColumns
	if by.Panel == "" || start >= len(times) {
		start = 0
	}
	g := gridPanel{Name: p.Name, Kind: p.Kind, Times: times[start:min(len(times), start+gridColumns)]}
	if g.Name == "" {
		g.Name = f.v.words.say("results.other")
	}
	link := func(older int) string {
		other := by
		other.Panel, other.Older, other.Page = handle, older, 0
		return address(f.Base+"/results", other.query())
	}
	if start+gridColumns < len(times) {
		g.Older = link(start/gridColumns + 1)
	}
	if start > 0 {
		g.Newer = link(start/gridColumns - 1)
	}
	column := map[string]int{}
	for i, t := range g.Times {
		column[t.Sent] = i
	}
	for _, t := range tests {
		row := gridRow{Test: t, Cells: make([][]*clinical.Result, len(g.Times)), Unit: commonUnit(rows[t])}
		any, counts := false, false
		for _, r := range rows[t] {
			i, ok := column[r.When.Sent]
			if ok {
				row.Cells[i] = append(row.Cells[i], r)
				any, counts = true, counts || r.Counts()
			} else if start == 0 && !counts && row.Last == nil && r.Counts() {
				row.Last = r // every test has its newest on the first view
			}
		}
		if any || row.Last != nil {
			g.Rows = append(g.Rows, row)
		}
	}
	return g
}

// commonUnit is the unit that all numbers of a row share, to be said once; ""
// when they differ, and each cell then says its own.
func commonUnit(all []*clinical.Result) string {
	unit := ""
	for _, r := range all {
		switch {
		case !r.Value.Numeric && r.Value.Unit == "":
		case r.Value.Unit == "":
			return ""
		case unit == "":
			unit = r.Value.Unit
		case unit != r.Value.Unit:
			return ""
		}
	}
	return unit
}

// choices are what one can narrow to: only what the chart shows.
func (m *gridModel) choices() {
	seen := map[string]bool{}
	for _, t := range m.Chart.Tests {
		if k := cmp.Or(t.Kind, t.Panel.Kind); k != "" && !slices.Contains(m.Kinds, k) {
			m.Kinds = append(m.Kinds, k)
		}
		for _, r := range t.Results {
			if !seen[r.Source] {
				seen[r.Source] = true
				m.Senders = append(m.Senders, feedChoice{r.Source, m.v.feedName(r.Source)})
			}
		}
	}
	slices.Sort(m.Kinds)
	slices.SortFunc(m.Senders, func(a, b feedChoice) int { return cmp.Compare(a.Name, b.Name) })
}

// sentence says a filter in words: "flagged only, last 3 months".
func (f *frame) sentence(by filter) string {
	if !by.active() {
		return ""
	}
	var parts []string
	say := func(key string, args ...any) { parts = append(parts, f.v.words.say(key, args...)) }
	if by.Flagged {
		say("filter.flagged")
	}
	if by.Kind != "" {
		say("filter.kind", by.Kind)
	}
	if by.Text != "" {
		say("filter.text", by.Text)
	}
	if by.Source != "" {
		say("filter.source", f.v.feedName(by.Source))
	}
	if by.Period != "" {
		say("filter.last." + by.Period)
	}
	return strings.Join(parts, ", ")
}
