package record_test

import (
	"testing"

	"firebreak/fhir"
	"firebreak/label"
	"firebreak/record"
)

func (w *world) sees(a record.Ask, ref fhir.Ref) bool {
	w.t.Helper()
	_, err := w.reader.Get(ctx, a, ref)
	if absent(err) {
		return false
	}
	must(w.t, err)
	return true
}

// renewed is the same record under other rules, which judge as these do.
func (w *world) renewed() *world {
	w.t.Helper()
	v := *w
	if !w.Postgres() {
		must(w.t, w.Close())
	}
	v.rules = w.rules.Declare(map[string][]label.Label{"nobody": {label.Part2}})
	var err error
	v.Record, err = record.Open(ctx, record.Config{DSN: w.dsn, Log: w.log, Rules: v.rules, Secret: []byte("secret of the tests"), Remake: remake(w.dsn)})
	must(w.t, err)
	w.t.Cleanup(func() { v.Close() })
	v.reader = v.Reader(w.policy)
	return &v
}

func (w *world) relabel() {
	w.t.Helper()
	_, err := w.Relabel(ctx)
	must(w.t, err)
}

// What lies in a source's directory is judged again, and gone, in every chart
// that points at it, though it was kept ready.
func TestDirectoryChanges(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		me, drug, order := physician(t), fhir.Ref{Type: "Medication", ID: "med-1"}, thing("a", "MedicationRequest", "rx")
		w.say(said{Given: true, Resources: []fhir.Resource{parse(t, `{"resourceType":"Medication","id":"med-1","code":{"coding":[{"system":"urn:lab","code":"QX7","display":"Panel QX7"}]}}`)}})
		w.tell(patient(t, "a", "Ash", "1980-01-02", "1"), sodium(t, "a", "na", "140")) // known from elsewhere too
		w.tell(patient(t, "a", "Ash", "1980-01-02", "1"), parse(t, `{"resourceType":"MedicationRequest","id":%q,"status":"active","intent":"order","subject":{"reference":"Patient/%s"},"medicationReference":{"reference":"Medication/med-1"}}`, order.ID, key("a")))
		shows := func(when string, want bool) {
			t.Helper()
			v, err := w.reader.Chart(ctx, me, thing("a", "Patient", ""))
			must(t, err)
			if _, ok := v.Get(order); ok != want {
				t.Errorf("%s the order is shown: %v", when, ok)
			}
			if _, ok := v.Get(drug); ok != want {
				t.Errorf("%s the drug is shown: %v", when, ok)
			}
		}
		w.decide(qx7("ward"))
		w.relabel()
		shows("decided to be harmless,", true)
		w.decide(qx7("ward"), label.HIV)
		shows("decided to be sensitive,", false)
		w.relabel()
		shows("judged again,", false)
		w.decide(qx7("ward"))
		w.relabel()
		shows("harmless again,", true)

		stored := w.put(said{})
		l := w.rules.Label("ward", []fhir.Resource{parse(t, `{"resourceType":"Medication","id":"med-1"}`)})[0]
		must(t, w.Queue().Commit(ctx, stored, record.Change{Resources: []record.Entry{{Labeled: l, At: stored.Received, Alias: true, Deleted: true, Stays: true}}}))
		v, err := w.reader.Chart(ctx, me, thing("a", "Patient", ""))
		must(t, err)
		if _, ok := v.Get(drug); ok {
			t.Error("deleted, and still shown")
		}
	})
}

// A message that says again what is known and brings something besides is judged
// as a whole whenever it is: at first, by new rules, by a decision.
func TestMessagesAreJudgedWhole(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		me, ash := physician(t), thing("a", "Patient", "")
		known := func(when string, want bool) {
			t.Helper()
			if got := w.sees(me, ash); got != want {
				t.Errorf("%s the patient is known: %v", when, got)
			}
		}
		w.tell(patient(t, "a", "Ash", "1980-01-02", "1"), hiv(t, "a", "h", "reactive"))
		w.tell(patient(t, "a", "Ash-Oak", "1980-01-02", "1"), hiv(t, "a", "h", "reactive"))
		known("at first", false)
		w = w.renewed()
		known("by new rules, before it is judged,", false)
		w.relabel()
		known("by new rules", false)
	})
	both(t, func(t *testing.T, w *world) {
		me, ash := physician(t), thing("a", "Patient", "")
		known := func(when string, want bool) {
			t.Helper()
			if got := w.sees(me, ash); got != want {
				t.Errorf("%s the patient is known: %v", when, got)
			}
		}
		w.decide(qx7("ward"))
		w.tell(patient(t, "a", "Ash", "1980-01-02", "1"), local(t, "a", "x", "QX7", "8"))
		w.tell(patient(t, "a", "Ash-Oak", "1980-01-02", "1"), local(t, "a", "x", "QX7", "8"))
		known("decided to be harmless,", true)
		w.decide(qx7("ward"), label.HIV)
		known("decided to be sensitive,", false)
		w.relabel()
		known("judged again,", false)
		w = w.renewed()
		w.relabel()
		known("by new rules", false)
		codes, err := w.Codes(ctx)
		must(t, err)
		if len(codes) != 1 || codes[0].Uses != 1 {
			t.Errorf("%+v, want one content", codes)
		}
		w.decide(qx7("ward"))
		w.relabel()
		known("harmless again,", true)
	})
}

// A text that two results hold together is known for what it is after new rules
// as before, whichever message brought which part first, and whether their texts are
// still stored.
func TestBrokenTextIsJudgedWhole(t *testing.T) {
	for _, purges := range []bool{false, true} {
		both(t, func(t *testing.T, w *world) {
			me := physician(t)
			part := func(name, value string) fhir.Resource {
				return result(t, "a", name, "22637-3", "Pathology report final diagnosis", value)
			}
			w.tell(patient(t, "a", "Ash", "1980-01-02", "1"), sodium(t, "a", "na", "140"))
			w.tell(part("head", "INVASIVE DUCTAL CARCI"))
			w.tell(part("head", "INVASIVE DUCTAL CARCI"), part("tail", "NOMA, LEFT SIDE"))
			for _, when := range []string{"at first", "by new rules"} {
				for _, name := range []string{"head", "tail"} {
					if w.sees(me, thing("a", "Observation", name)) {
						t.Errorf("%s the %s is shown", when, name)
					}
				}
				w = w.renewed()
				if purges && when == "at first" {
					if n, err := w.Purge(ctx, always); n != 3 || err != nil {
						t.Fatalf("%d messages are purged: %v", n, err)
					}
				}
				w.relabel()
			}
		})
	}
}

// A decision that comes while new rules are at work holds for what they judged.
func TestDecisionWhileRulesChange(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		me := physician(t)
		w.tell(patient(t, "a", "Ash", "1980-01-02", "1"), sodium(t, "a", "na", "140"))
		w.decide(qx7("ward"))
		w = w.renewed()
		w.tell(local(t, "a", "x", "QX7", "7"))
		w.decide(qx7("ward"), label.HIV)
		for range 2 {
			if w.sees(me, thing("a", "Observation", "x")) {
				t.Error("it is shown")
			}
			w.relabel()
		}
	})
}

// What cannot be made again stays withheld until it is sent or replayed.
func TestNotRemade(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		me, ref := physician(t), thing("a", "Observation", "na")
		s := said{Resources: []fhir.Resource{patient(t, "a", "Ash", "1980-01-02", "1"), sodium(t, "a", "na", "140")}}
		stored := w.say(s)
		made.Delete(w.dsn + string(stored.Body))
		w = w.renewed()
		w.relabel()
		if w.sees(me, ref) {
			t.Error("it is shown")
		}
		must(t, w.commit(stored, s))
		if !w.sees(me, ref) {
			t.Error("replayed, it is not shown")
		}
	})
}
