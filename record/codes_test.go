package record_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firebreak/audit"
	"firebreak/fhir"
	"firebreak/label"
	"firebreak/record"
)

// local is a result by a code that only its laboratory knows.
func local(t testing.TB, chart, name, code, value string) fhir.Resource {
	ref := thing(chart, "Observation", name)
	return parse(t, `{"resourceType":"Observation","id":%q,"status":"final","code":{"coding":[{"system":"urn:lab","code":%q,"display":"Panel %s"}]},"subject":{"reference":"Patient/%s"},"effectiveDateTime":"2026-03-01","valueString":%q}`,
		ref.ID, code, code, key(chart), value)
}

func qx7(source string) label.Code {
	return label.Code{Source: source, System: "urn:lab", Code: "QX7", Display: "Panel QX7"}
}

var officer = audit.Event{Subject: "the privacy officer"}

func (w *world) decide(c label.Code, labels ...label.Label) {
	w.t.Helper()
	must(w.t, w.Classify(ctx, officer, []record.Decision{{Code: c, Labels: labels}}))
}

// TestLocalCodes: a code nobody knows is listed once for each source that uses
// it, and what somebody decides holds for what is stored and what comes.
func TestLocalCodes(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		me := physician(t)
		w.tell(patient(t, "a", "Ash", "1980-01-02", "1"), sodium(t, "a", "na", "140"))
		w.tell(local(t, "a", "x", "QX7", "7"))
		w.tell(local(t, "a", "y", "ZZ9", "9"))
		w.tell(patient(t, "b", "Birch", "1981-01-02", "2"), sodium(t, "b", "na", "140"), local(t, "b", "x", "QX7", "8"))
		w.say(said{Source: "clinic", Resources: []fhir.Resource{patient(t, "c", "Cedar", "1982-01-02", "3"), local(t, "c", "x", "QX7", "9")}})
		w.tell(local(t, "b", "x", "QX7", "8")) // the same again is no other use

		codes, err := w.Codes(ctx)
		must(t, err)
		var got []string
		for _, c := range codes {
			if !c.Decided.IsZero() || c.Found.IsZero() || c.Element != "Observation.code" {
				t.Errorf("%+v", c)
			}
			got = append(got, strings.Join([]string{c.Source, c.Code.Code, c.Display, string('0' + rune(c.Uses))}, " "))
		}
		if want := []string{"ward QX7 Panel QX7 2", "clinic QX7 Panel QX7 1", "ward ZZ9 Panel ZZ9 1"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}

		sees := func(want map[string]string) {
			t.Helper()
			for name, value := range want {
				if got := w.value(me, thing(name[:1], "Observation", name[2:])); got != value {
					t.Errorf("%s: %s, want %s", name, got, value)
				}
			}
		}
		// An app sees no code that nobody has classified (physician is one).
		sees(map[string]string{"a x": "absent", "b x": "absent", "c x": "absent", "a y": "absent", "a na": "140"})
		again := func() {
			t.Helper()
			if _, err := w.Relabel(ctx); err != nil {
				t.Fatal(err)
			}
		}
		w.decide(qx7("ward"))
		again()
		sees(map[string]string{"a x": "7", "b x": "8", "c x": "absent", "a y": "absent", "a na": "140"})
		w.tell(local(t, "a", "z", "QX7", "10"))
		sees(map[string]string{"a z": "10"})

		// Withheld at once; what it does not touch is read all the while.
		w.decide(qx7("ward"), label.HIV)
		sees(map[string]string{"a x": "absent", "b x": "absent", "a z": "absent", "a na": "140"})
		again()
		sees(map[string]string{"a x": "absent", "b x": "absent", "a z": "absent", "a na": "140"})
		w.tell(local(t, "a", "v", "QX7", "11"))
		sees(map[string]string{"a v": "absent"})

		// Said twice in one breath is said once.
		w.decide(qx7("ward"), label.STI, label.HIV, label.HIV)
		codes, err = w.Codes(ctx)
		must(t, err)
		if got := codes[len(codes)-1].Labels; !slices.Equal(got, []label.Label{label.HIV, label.STI}) {
			t.Errorf("labels %q", got)
		}

		// A decision may be taken back; a new start knows the last.
		w.decide(qx7("ward"))
		again()
		sees(map[string]string{"a x": "7", "b x": "8", "a z": "10", "a v": "11", "a na": "140"})
		codes, err = w.Codes(ctx)
		must(t, err)
		last := codes[len(codes)-1]
		if last.Code != qx7("ward") || last.Decided.IsZero() || last.Who != "the privacy officer" || len(last.Labels) != 0 || last.Uses != 4 {
			t.Errorf("%+v", last)
		}
		v := w.another()
		v.n = 20
		v.tell(local(t, "a", "w", "QX7", "12"))
		if got := v.value(me, thing("a", "Observation", "w")); got != "12" {
			t.Errorf("after a new start it is %s", got)
		}
		if v.decide(qx7("ward"), label.Reproductive, label.STI); v.value(me, thing("a", "Observation", "w")) != "absent" {
			t.Error("a decision does not hold after a new start")
		}

		for name, d := range map[string]record.Decision{
			"no source": {Code: label.Code{Code: "QX7"}}, "no code": {Code: label.Code{Source: "ward"}}, "no such class": {Code: qx7("ward"), Labels: []label.Label{"secret"}},
			"not a person's to give": {Code: qx7("ward"), Labels: []label.Label{label.Unclassified}},
		} {
			if err := v.Classify(ctx, officer, []record.Decision{d}); err == nil {
				t.Errorf("%s: decided", name)
			}
		}
	})
}

// TestDecisionsAreAudited: who decided what on which code.
func TestDecisionsAreAudited(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.decide(qx7("ward"), label.HIV)
		w.decide(qx7("ward"))
		files, err := filepath.Glob(filepath.Join(w.dir, "*.jsonl"))
		must(t, err)
		log := ""
		for _, f := range files {
			b, err := os.ReadFile(f)
			must(t, err)
			log += string(b)
		}
		for _, want := range []string{`"action":"classify"`, "the privacy officer", "of ward is hiv", "of ward is harmless"} {
			if !strings.Contains(log, want) {
				t.Errorf("no %s in %s", want, log)
			}
		}
	})
}

// TestDecidedMeanwhile: what was judged before a decision and is stored after
// it, on another node even, is withheld and judged again.
func TestDecidedMeanwhile(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		me := physician(t)
		w.tell(patient(t, "a", "Ash", "1980-01-02", "1"), sodium(t, "a", "na", "140"))
		w.tell(local(t, "a", "x", "QX7", "7"))
		w.decide(qx7("ward"))
		s := said{Resources: []fhir.Resource{patient(t, "a", "Ash-Oak", "1980-01-02", "1"), local(t, "a", "y", "QX7", "8"), local(t, "a", "x", "QX7", "7")}}
		stored := w.put(s)
		change := w.change(stored, s)
		w.decide(qx7("ward"), label.HIV)
		must(t, w.Queue().Commit(ctx, stored, change))
		if got, err := w.reader.Get(ctx, me, thing("a", "Patient", "")); err == nil && strings.Contains(string(got.Resource().JSON()), "Oak") {
			t.Error("what came with it is shown")
		}
		for _, name := range []string{"x", "y"} {
			if got := w.value(me, thing("a", "Observation", name)); got != "absent" {
				t.Errorf("%s: %s", name, got)
			}
		}
		w.decide(qx7("ward"))
		if _, err := w.Relabel(ctx); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{"x": "7", "y": "8"} {
			if got := w.value(me, thing("a", "Observation", name)); got != want {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		}
	})
}

// TestDecidedAgainAndAgain: whoever judges in the background while a decision is
// made, what is stored is judged by the last decision in the end.
func TestDecidedAgainAndAgain(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		me := physician(t)
		w.tell(patient(t, "a", "Ash", "1980-01-02", "1"), local(t, "a", "x", "QX7", "7"))
		for n := range 40 {
			w.decide(qx7("ward"), label.HIV)
			w.decide(qx7("ward"))
			if _, err := w.Relabel(ctx); err != nil {
				t.Fatal(err)
			}
			if got := w.value(me, thing("a", "Observation", "x")); got != "7" {
				t.Fatalf("after %d decisions it is %s", 2*n+2, got)
			}
		}
	})
}
