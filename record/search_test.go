package record_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"firebreak/access"
	"firebreak/access/accesstest"
	"firebreak/fhir"
	"firebreak/record"
	"firebreak/search"
)

func (w *world) search(a record.Ask, typ, query, cursor string) (record.Page, error) {
	w.t.Helper()
	v, err := url.ParseQuery(query)
	must(w.t, err)
	q, err := search.ParseQuery(typ, v)
	must(w.t, err)
	return w.reader.Search(ctx, a, q, cursor)
}

// pages follows a search to its end and returns the ids found, in order.
func (w *world) pages(a record.Ask, typ, query string) (ids []string, pages int) {
	w.t.Helper()
	cursor := ""
	for {
		p, err := w.search(a, typ, query, cursor)
		must(w.t, err)
		pages++
		for _, m := range p.Matches {
			ids = append(ids, m.Resource().ID())
		}
		if cursor = p.Next; cursor == "" {
			return ids, pages
		}
	}
}

func (w *world) ward(patients, results int) {
	w.t.Helper()
	for i := range patients {
		chart := fmt.Sprint("p", i)
		w.tell(patient(w.t, chart, "Ash", "1980-01-02", fmt.Sprint("n", i)))
		for k := range results {
			name := fmt.Sprint("r", k)
			if k%3 == 2 {
				w.tell(hiv(w.t, chart, name, fmt.Sprint(k)))
			} else {
				w.tell(sodium(w.t, chart, name, fmt.Sprint(k)))
			}
		}
	}
}

func TestProviderSearchesInsideOnePatient(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.ward(3, 9)
		me := physician(t)
		p, err := w.search(me, "Observation", "patient="+key("p1")+"&_count=4", "")
		must(t, err)
		if p.Total == nil || *p.Total != 6 || len(p.Matches) != 4 || p.Next == "" {
			t.Errorf("total %v, %d matches, next %q", p.Total, len(p.Matches), p.Next)
		}
		ids, n := w.pages(me, "Observation", "patient="+key("p1")+"&_count=4&_sort=-_id")
		if len(ids) != 6 || n != 2 || !slices.IsSortedFunc(ids, func(a, b string) int { return strings.Compare(b, a) }) {
			t.Errorf("%d in %d pages: %v", len(ids), n, ids)
		}
		one, err := w.search(me, "Observation", "patient="+key("p1")+"&_summary=count", "")
		must(t, err)
		if *one.Total != 6 || len(one.Matches) != 0 || one.Next != "" {
			t.Errorf("count: %d, %d matches", *one.Total, len(one.Matches))
		}
		inc, err := w.search(me, "Observation", "patient="+key("p1")+"&_count=1&_include=Observation:subject", "")
		must(t, err)
		if len(inc.Includes) != 1 || inc.Includes[0].Resource().ID() != key("p1") {
			t.Errorf("%d includes", len(inc.Includes))
		}
		for _, query := range []string{"Patient?identifier=n1", "Patient?identifier=urn:mrn|n1", "Patient?family=ash&birthdate=1980-01-02"} {
			typ, q, _ := strings.Cut(query, "?")
			p, err := w.search(me, typ, q, "")
			must(t, err)
			if want := map[bool]int{true: 3, false: 1}[strings.Contains(q, "family")]; len(p.Matches) != want {
				t.Errorf("%s finds %d, want %d", query, len(p.Matches), want)
			}
		}
		var texts []string
		for _, query := range []string{
			"Observation?code=2951-2", "Observation?", "Patient?", "Patient?family=ash", "Patient?birthdate=1980-01-02", "Observation?_lastUpdated=gt2020-01-01",
			"Observation?patient=" + key("p1") + "," + key("p2"), "Practitioner?name=x", "Observation?code=7917-8", "Patient?family=nobody",
		} {
			typ, q, _ := strings.Cut(query, "?")
			_, err := w.search(me, typ, q, "")
			if status(err) != 400 {
				t.Errorf("%s: %v", query, err)
			} else {
				texts = append(texts, err.Error())
			}
		}
		if slices.Sort(texts); len(slices.Compact(texts)) != 1 {
			t.Errorf("browsing is answered in different words: %v", texts)
		}
		none, err := w.search(me, "Observation", "patient="+key("p1")+"&code=7917-8", "")
		must(t, err)
		if *none.Total != 0 || len(none.Matches) != 0 {
			t.Error("what is withheld is found")
		}
		nobody, err := w.search(me, "Observation", "patient=nobody&code=7917-8", "")
		must(t, err)
		if *nobody.Total != 0 {
			t.Error("somebody was found")
		}
	})
}

func TestBackendSearchesAcrossPatients(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.ward(5, 6)
		me := backend(t)
		for _, c := range []struct {
			query string
			want  int
		}{
			{"Observation?_count=3", 20},
			{"Observation?_count=7&code=2951-2", 20},
			{"Observation?_count=7&code=7917-8", 0},
			{"Observation?_count=3&_sort=_id", 20},
			{"Observation?_count=100", 20},
			{"Patient?_count=2", 5},
			{"Patient?identifier=n3", 1},
			{"Patient?identifier=urn:mrn|n3,urn:mrn|n4", 2},
			{"Patient?identifier=urn:other|n3", 0},
			{"Patient?family=as&birthdate=1980-01-02", 5},
			{"Patient?_lastUpdated=gt2020-01-01&_count=2", 5},
			{"Patient?_lastUpdated=gt2030-01-01", 0},
			{"Observation?patient=" + key("p1") + "," + key("p2") + "&_count=3", 8},
		} {
			typ, q, _ := strings.Cut(c.query, "?")
			ids, _ := w.pages(me, typ, q)
			if len(ids) != c.want {
				t.Errorf("%s finds %d, want %d", c.query, len(ids), c.want)
			}
			slices.Sort(ids)
			if len(slices.Compact(ids)) != c.want {
				t.Errorf("%s finds something twice", c.query)
			}
		}
		p, err := w.search(me, "Observation", "_total=accurate&_count=2", "")
		must(t, err)
		if p.Total == nil || *p.Total != 20 {
			t.Errorf("total %v", p.Total)
		}
		p, err = w.search(me, "Observation", "_count=2", "")
		must(t, err)
		if p.Total != nil {
			t.Error("a total nobody asked for")
		}
	})
}

func TestCursorBelongsToOneSearchAndAudience(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.ward(2, 6)
		me, them := physician(t), backend(t)
		query := "patient=" + key("p1") + "&_count=2"
		p, err := w.search(me, "Observation", query, "")
		must(t, err)
		again, err := w.search(me, "Observation", query, "")
		must(t, err)
		if p.Next != again.Next {
			t.Error("equal requests have different answers")
		}
		if strings.Contains(p.Next, "p") && strings.Contains(p.Next, key("p1")) {
			t.Error("the cursor can be read")
		}
		if _, err := w.search(me, "Observation", query, p.Next); err != nil {
			t.Errorf("its own: %v", err)
		}
		if _, err := w.another().search(me, "Observation", query, p.Next); err != nil {
			t.Errorf("on another node: %v", err)
		}
		for name, f := range map[string]func() error{
			"another audience": func() error { _, err := w.search(them, "Observation", query, p.Next); return err },
			"another person": func() error {
				_, err := w.search(ask(accesstest.Person(t, access.Nurse)), "Observation", query, p.Next)
				return err
			},
			"another search": func() error {
				_, err := w.search(me, "Observation", "patient="+key("p0")+"&_count=2", p.Next)
				return err
			},
			"another type": func() error { _, err := w.search(me, "Condition", query, p.Next); return err },
			"changed": func() error {
				b := []byte(p.Next)
				b[len(b)/2] ^= 1
				_, err := w.search(me, "Observation", query, string(b))
				return err
			},
			"made up": func() error { _, err := w.search(me, "Observation", query, "2"); return err },
		} {
			if err := f(); status(err) != 400 {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func FuzzCursor(f *testing.F) {
	w := open(f, f.TempDir()+"/record.db")
	w.tell(patient(f, "a", "Ash", "1980-01-02", "1"))
	me := physician(f)
	f.Add("")
	f.Add("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, cursor string) {
		if cursor == "" {
			return
		}
		w.t = t
		if _, err := w.search(me, "Observation", "patient="+key("a"), cursor); status(err) != 400 {
			t.Errorf("%v", err)
		}
	})
}

// A merged record stands where its survivor does, once, whatever is in it: else
// the place or number of matches would tell of something that nobody may see.
func TestMergedRecordsStandWithTheirSurvivor(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		names := []string{"a", "b", "c", "d", "e", "f"}
		slices.SortFunc(names, func(x, y string) int { return strings.Compare(key(x), key(y)) })
		me, first, survivor := backend(t), names[0], names[4]
		for _, n := range names[1:] {
			w.tell(patient(t, n, "Ash", "1980-01-02", "shared"), sodium(t, n, "na", "140"))
		}
		w.say(said{Links: []record.Link{{From: key(first), Into: key(survivor)}}})
		questions := []struct{ typ, query string }{
			{"Observation", "_lastUpdated=gt2020-01-01"}, {"Observation", "_lastUpdated=gt2020-01-01&_count=1"}, {"Observation", "_count=2"},
			{"Patient", "family=Ash&birthdate=1980-01-02&_total=none"}, {"Patient", "identifier=shared"}, {"Patient", "identifier=shared&_count=2&_total=none"}, {"Patient", "_lastUpdated=gt2020-01-01&_count=2"},
		}
		var before [][]string
		for _, q := range questions {
			ids, _ := w.pages(me, q.typ, q.query)
			before = append(before, ids)
			if sorted := slices.Compact(slices.Sorted(slices.Values(ids))); len(sorted) != len(ids) {
				t.Errorf("%s?%s finds something twice: %v", q.typ, q.query, ids)
			}
		}
		w.tell(hiv(t, first, "hiv", "reactive")) // nobody may know
		for i, q := range questions {
			if ids, _ := w.pages(me, q.typ, q.query); !slices.Equal(ids, before[i]) {
				t.Errorf("%s?%s finds %v, and without what is withheld %v", q.typ, q.query, ids, before[i])
			}
		}
	})
}

// A chart that never was is remembered as empty, so that asking for it takes as
// long as for one in which everything is withheld; and is there once it is told of.
func TestWhatNeverWasIsSeenOnceItIs(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		me := physician(t)
		for _, ref := range []fhir.Ref{thing("a", "Observation", "na"), thing("a", "Patient", "")} {
			for range 2 {
				if got := w.value(me, ref); got != "absent" {
					t.Fatalf("%s is %s", ref, got)
				}
			}
		}
		w.tell(hiv(t, "a", "hiv", "reactive"))
		if got := w.value(me, thing("a", "Observation", "hiv")); got != "absent" {
			t.Errorf("HIV is %s", got)
		}
		w.tell(patient(t, "a", "Ash", "1980-01-02", "1"), sodium(t, "a", "na", "140"))
		if got := w.value(me, thing("a", "Observation", "na")); got != "140" {
			t.Errorf("once it is told, it is %s", got)
		}
	})
}
