package record_test

import (
	"errors"
	"fmt"
	"math/rand"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"firebreak/access"
	"firebreak/access/accesstest"
	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/internal/sqldb"
	"firebreak/record"
)

func TestProviderSeesWhatIsNotWithheld(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.tell(patient(t, "a", "Ash", "1980-01-02", "1"), sodium(t, "a", "na", "140"))
		w.tell(patient(t, "a", "Ash", "1980-01-02", "1"), hiv(t, "a", "hiv", "reactive"))
		me := physician(t)
		if got := w.value(me, thing("a", "Observation", "na")); got != "140" {
			t.Errorf("sodium is %s", got)
		}
		if got := w.value(me, thing("a", "Observation", "hiv")); got != "absent" {
			t.Errorf("HIV is %s", got)
		}
		if got := w.value(record.Ask{}, thing("a", "Observation", "na")); got != "absent" {
			t.Errorf("nobody sees %s", got)
		}
		v, err := w.reader.Chart(ctx, me, thing("a", "Patient", ""))
		must(t, err)
		if len(v.All()) != 2 {
			t.Errorf("the chart shows %d resources", len(v.All()))
		}
		for _, ref := range []fhir.Ref{thing("b", "Patient", ""), thing("a", "Observation", "na")} {
			if _, err := w.reader.Chart(ctx, me, ref); !absent(err) {
				t.Errorf("chart of %s: %v", ref.Type, err)
			}
		}
	})
}

// Absent and withheld are told in the same words.
func TestAbsentAndWithheldAreTheSame(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.tell(patient(t, "a", "Ash", "1980-01-02", "1"), hiv(t, "a", "hiv", "reactive"), sodium(t, "a", "na", "140"))
		me := physician(t)
		var texts []string
		for _, ref := range []fhir.Ref{
			thing("a", "Observation", "hiv"), thing("a", "Observation", "none"), thing("nobody", "Observation", "x"),
			{Type: "Observation", ID: "given-id"}, {Type: "Patient", ID: "nobody"}, {Type: "Condition", ID: thing("a", "", "na").ID},
		} {
			_, one := w.reader.Get(ctx, me, ref)
			_, two := w.reader.VRead(ctx, me, ref, "abc")
			_, three := w.reader.History(ctx, me, ref)
			for _, err := range []error{one, two, three} {
				s, b := fhir.Outcome(err)
				texts = append(texts, fmt.Sprint(s, string(b)))
			}
		}
		slices.Sort(texts)
		if texts = slices.Compact(texts); len(texts) != 1 || !strings.HasPrefix(texts[0], "404") {
			t.Errorf("different answers: %v", texts)
		}
	})
}

func TestVersions(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		me, ref := physician(t), thing("a", "Observation", "na")
		w.tell(patient(t, "a", "Ash", "1980-01-02", "1"))
		first := w.tell(sodium(t, "a", "na", "140"))
		get := func() (string, string, time.Time) {
			got, err := w.reader.Get(ctx, me, ref)
			must(t, err)
			return got.Resource().Get("valueString").Text(), got.VersionID(), got.Recorded()
		}
		value, v1, recorded := get()
		if value != "140" || !recorded.Equal(first.Received) {
			t.Errorf("%s recorded %v", value, recorded)
		}
		w.tell(sodium(t, "a", "na", "140"))
		if _, v, r := get(); v != v1 || !r.Equal(recorded) {
			t.Error("the same content is a new version")
		}
		w.tell(sodium(t, "a", "na", "141"))
		value, v2, _ := get()
		if value != "141" || v2 == v1 {
			t.Errorf("the correction is not current: %s", value)
		}
		w.say(said{At: noon.Add(-time.Hour), Resources: []fhir.Resource{sodium(t, "a", "na", "139")}})
		if value, _, _ := get(); value != "141" {
			t.Errorf("an older fact is on top: %s", value)
		}
		all, err := w.reader.History(ctx, me, ref)
		must(t, err)
		var values []string
		for _, x := range all {
			values = append(values, x.Resource().Get("valueString").Text())
			again, err := w.reader.VRead(ctx, me, ref, x.VersionID())
			must(t, err)
			if string(again.Resource().JSON()) != string(x.Resource().JSON()) {
				t.Error("vread differs from history")
			}
		}
		if want := []string{"141", "140", "139"}; !slices.Equal(values, want) {
			t.Errorf("history %v, want %v", values, want)
		}
		back := w.tell(sodium(t, "a", "na", "140"))
		if value, _, r := get(); value != "140" || !r.Equal(back.Received) {
			t.Errorf("back to the first content: %s recorded %v", value, r)
		}
	})
}

// Any repetition and any order of a patient's messages ends in the same view.
func TestAnyOrderEndsInTheSameState(t *testing.T) {
	w := open(t, filepath.Join(t.TempDir(), "record.db"))
	me := physician(t)
	chart := 0
	rapid.Check(t, func(rt *rapid.T) {
		var state []string
		values := rapid.SliceOfN(rapid.SampledFrom([]string{"1", "2", "3"}), 1, 6).Draw(rt, "values")
		for range 2 {
			chart++
			name := fmt.Sprint("c", chart, "x")
			messages := []said{{Resources: []fhir.Resource{patient(t, name, "Ash", "1980-01-02", name)}}}
			for _, v := range values {
				messages = append(messages, said{Resources: []fhir.Resource{patient(t, name, "Ash", "1980-01-02", name), sodium(t, name, "na", v)}})
			}
			var stored []record.Stored
			for _, m := range messages {
				stored = append(stored, w.put(m))
			}
			order := make([]int, len(messages))
			for i := range order {
				order[i] = i
			}
			if len(state) > 0 {
				order = append(order, order[:len(order)/2]...)
				rand.New(rand.NewSource(rapid.Int64().Draw(rt, "seed"))).Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
			}
			for _, i := range order {
				must(t, w.commit(stored[i], messages[i]))
			}
			state = append(state, w.value(me, thing(name, "Observation", "na")))
		}
		if state[0] != state[1] || state[0] != values[len(values)-1] {
			rt.Errorf("in order %s, shuffled %s, want %s", state[0], state[1], values[len(values)-1])
		}
	})
}

func TestMergeAndUnmerge(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		me := physician(t)
		w.tell(patient(t, "a", "Ash", "1980-01-02", "1-1"), sodium(t, "a", "na", "140"))
		w.tell(patient(t, "b", "Ashe", "1980-01-02", "2"), sodium(t, "b", "na", "150"))
		w.tell(patient(t, "c", "Elm", "1999-09-09", "3"), sodium(t, "c", "na", "160"))
		shown := func(chart string) string {
			v, err := w.reader.Chart(ctx, me, thing(chart, "Patient", ""))
			must(t, err)
			p, _ := v.Patient()
			var values []string
			for _, o := range v.Of("Observation") {
				values = append(values, o.Resource().Get("valueString").Text())
			}
			slices.Sort(values)
			return p.Resource().ID()[:1] + " " + strings.Join(values, ",")
		}
		expect := func(when string, want ...string) {
			t.Helper()
			for i, chart := range []string{"a", "b", "c"} {
				if got := shown(chart); got != want[i] {
					t.Errorf("%s: chart %s shows %q, want %q", when, chart, got, want[i])
				}
			}
		}
		expect("apart", "a 140", "b 150", "c 160")
		merge := func(from, into string, undo bool) said {
			return said{Links: []record.Link{{From: key(from), Into: key(into), Undo: undo}}}
		}
		w.say(merge("a", "b", false))
		expect("a into b", "b 140,150", "b 140,150", "c 160")
		found, err := w.reader.Find(ctx, me, record.Find{Number: "11"})
		must(t, err)
		if len(found) != 1 || found[0].Resource().ID() != key("b") {
			t.Errorf("the merged number finds %d", len(found))
		}
		second := w.say(merge("c", "a", false))
		expect("c into a", "b 140,150,160", "b 140,150,160", "b 140,150,160")
		w.tell(sodium(t, "a", "late", "141")) // what comes for a merged record is in the chart
		expect("a later result", "b 140,141,150,160", "b 140,141,150,160", "b 140,141,150,160")
		w.say(merge("a", "b", true))
		expect("a apart from b", "a 140,141,160", "b 150", "a 140,141,160")
		must(t, w.commit(second, merge("c", "a", false))) // a replay of the old word changes nothing
		expect("replayed", "a 140,141,160", "b 150", "a 140,141,160")
		w.say(merge("a", "c", false))
		expect("turned round", "c 140,141,160", "b 150", "c 140,141,160")
	})
}

// What somebody decides here on two records counts from then on, though the clock of the
// hospital, or of the node that took the word before, is ahead.
func TestWhatIsDecidedOnRecordsCounts(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		me := physician(t)
		w.tell(patient(t, "a", "Ash", "1980-01-02", "1"))
		w.tell(patient(t, "b", "Ashe", "1980-01-02", "2"))
		records := func() int {
			v, err := w.reader.Chart(ctx, me, thing("b", "Patient", ""))
			must(t, err)
			return len(v.Of("Patient"))
		}
		var stored []record.Stored
		var words []said
		for n, row := range []struct {
			source string
			at     time.Time
			undo   bool
		}{{"ward", noon.Add(time.Hour), true}, {inbox.Own, noon, false}, {inbox.Own, noon.Add(-time.Hour), true}, {inbox.Own, noon.Add(-2 * time.Hour), false}} {
			x := said{Source: row.source, Links: []record.Link{{From: key("a"), Into: key("b"), At: row.at, Undo: row.undo}}}
			stored, words = append(stored, w.say(x)), append(words, x)
			want := 2
			if row.undo {
				want = 1
			}
			if got := records(); got != want {
				t.Errorf("after word %d %d records are one", n, got)
			}
		}
		for n := range stored {
			must(t, w.commit(stored[n], words[n]))
			if got := records(); got != 2 {
				t.Errorf("word %d applied again, %d records are one", n, got)
			}
		}
	})
}

func TestFind(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		me := physician(t)
		w.tell(patient(t, "a", "Müller-Lüdenscheidt", "1980-01-02", "123 456-7"))
		w.tell(patient(t, "b", "Muller", "1980-01-02", "222"))
		w.tell(patient(t, "c", "O'Neill", "1981-05-06", "333"))
		for i := range 12 {
			w.tell(patient(t, fmt.Sprint("s", i), "Smith", "1970-01-01", fmt.Sprint("s", i)))
		}
		for _, c := range []struct {
			find   record.Find
			want   string
			status int
		}{
			{find: record.Find{Number: "123 456-7"}, want: "a"},
			{find: record.Find{Number: "1234567"}, want: "a"},
			{find: record.Find{Number: "12"}, want: ""},
			{find: record.Find{Family: "MULLER", Birth: "1980-01-02"}, want: "ab"},
			{find: record.Find{Family: "müller lüdenscheidt", Birth: "1980-01-02"}, want: "a"},
			{find: record.Find{Family: "oneill", Birth: "1981-05-06"}, want: "c"},
			{find: record.Find{Family: "oneill", Birth: "1981-05-07"}, want: ""},
			{find: record.Find{Family: "Mull", Birth: "1980-01-02"}, want: ""},
			{find: record.Find{Family: "oneill"}, want: "c"},
			{find: record.Find{Family: "Smith"}, status: 400},
			{find: record.Find{Family: "Smith", Birth: "1970-01-01"}, status: 400},
			{find: record.Find{Family: "S", Birth: "1970-01-01"}, status: 400},
			{find: record.Find{Family: "%%", Birth: "1970-01-01"}, status: 400},
			{find: record.Find{}, status: 400},
		} {
			found, err := w.reader.Find(ctx, me, c.find)
			got := ""
			for _, p := range found {
				got += p.Resource().ID()[:1]
			}
			if got != c.want || status(err) != c.status {
				t.Errorf("%+v finds %q, %v", c.find, got, err)
			}
		}
	})
}

// A source gives its own ids: they are found, stay with their patient and
// their source, and what belongs to no patient is seen from charts that name it.
func TestGivenIDs(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		me := physician(t)
		p := parse(t, `{"resourceType":"Patient","id":"p-1","name":[{"family":"Oak"}]}`)
		o := func(value, patient string) fhir.Resource {
			return parse(t, `{"resourceType":"Observation","id":"o-1","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"2951-2","display":"Sodium"}]},"subject":{"reference":"Patient/%s"},"performer":[{"reference":"Practitioner/dr"}],"valueString":%q}`, patient, value)
		}
		give := func(source string, rs ...fhir.Resource) error {
			s := said{Source: source, Given: true, Resources: rs}
			return w.commit(w.put(s), s)
		}
		must(t, give("ehr", p, o("1", "p-1")))
		ref := fhir.Ref{Type: "Observation", ID: "o-1"}
		if got := w.value(me, ref); got != "1" {
			t.Errorf("it is %s", got)
		}
		must(t, give("ehr", o("2", "p-1")))
		if got := w.value(me, ref); got != "2" {
			t.Errorf("after an update it is %s", got)
		}
		o2 := parse(t, `{"resourceType":"Observation","id":"o-2","status":"final","code":{"text":"Sodium"},"subject":{"reference":"Patient/p-1"}}`)
		for name, err := range map[string]error{
			"another source":           give("other", o("3", "p-1")),
			"another patient":          give("ehr", o("4", "p-2")),
			"another source's patient": give("other", o2),
		} {
			held, ok := err.(*inbox.HeldError)
			if !ok || held.Reason != "resource 1 (Observation): its id or its patient cannot be used" { // and nothing of why
				t.Errorf("%s: %v", name, err)
			}
		}
		// What another source deletes is not there for it.
		end := func(source string) {
			stored := w.put(said{Source: source, Given: true})
			stub := w.rules.Label("ward", []fhir.Resource{parse(t, `{"resourceType":"Observation","id":"o-1"}`)})[0]
			must(t, w.Queue().Commit(ctx, stored, record.Change{Resources: []record.Entry{{Labeled: stub, At: stored.Received, Deleted: true, Alias: true}}}))
		}
		end("other")
		if got := w.value(me, ref); got != "2" {
			t.Errorf("after what was refused it is %s", got)
		}
		// The practitioner comes later, from the same source.
		v, err := w.reader.Chart(ctx, me, fhir.Ref{Type: "Patient", ID: "p-1"})
		must(t, err)
		if len(v.Of("Practitioner")) != 0 {
			t.Error("a practitioner nobody sent")
		}
		must(t, give("ehr", parse(t, `{"resourceType":"Practitioner","id":"dr","name":[{"family":"Good"}]}`)))
		v, err = w.reader.Chart(ctx, me, fhir.Ref{Type: "Patient", ID: "p-1"})
		must(t, err)
		if len(v.Of("Practitioner")) != 1 {
			t.Error("the chart does not show whom it names")
		}
		if _, err := w.reader.Get(ctx, me, fhir.Ref{Type: "Practitioner", ID: "dr"}); err != nil {
			t.Errorf("the practitioner: %v", err)
		}
		// Deleted, and made anew.
		end("ehr")
		if got := w.value(me, ref); got != "absent" {
			t.Errorf("deleted, it is %s", got)
		}
		must(t, give("ehr", o("5", "p-1")))
		if got := w.value(me, ref); got != "5" {
			t.Errorf("made anew, it is %s", got)
		}
	})
}

// A SQLite database has one process, for what the cache knows of changes is
// what this process wrote.
func TestSQLiteIsOpenedOnce(t *testing.T) {
	w := open(t, "sqlite:"+filepath.Join(t.TempDir(), "record.db"))
	c := record.Config{DSN: w.dsn, Log: w.log, Rules: w.rules}
	if _, err := record.Open(ctx, c); !errors.Is(err, sqldb.ErrClaimed) {
		t.Errorf("opened twice: %v", err)
	}
	must(t, w.Close())
	again, err := record.Open(ctx, c)
	must(t, err)
	must(t, again.Close())
}

func TestTokenForOnePatientReachesOnlyThat(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		for _, c := range []string{"a", "b"} {
			w.tell(patient(t, c, "Ash", "1980-01-02", c+"-1"), sodium(t, c, "na", "140"))
		}
		app := ask(accesstest.App(t, access.Physician, "patient/Observation.rs", key("a")))
		if got := w.value(app, thing("a", "Observation", "na")); got != "140" {
			t.Errorf("own patient: %s", got)
		}
		for _, ref := range []fhir.Ref{thing("b", "Observation", "na"), thing("a", "Patient", "")} {
			if _, err := w.reader.Get(ctx, app, ref); !absent(err) {
				t.Errorf("%s: %v", ref.Type, err)
			}
		}
	})
}
