package record_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"firebreak/access/accesstest"
	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/mapping"
	"firebreak/pipeline"
	"firebreak/policy"
	"firebreak/record"
)

// office is an office whose words go through a running pipeline.
func (w *world) office() *record.Office {
	p := pipeline.New(w.Record, mapping.NewKeys([]byte("secret of the tests")), w.rules, pipeline.Config{})
	work, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = p.Run(work) })
	w.t.Cleanup(func() { stop(); running.Wait() })
	return w.reader.Office().Through(p, p.Applied)
}

// TestTold: an officer writes down that a patient was told. The result leaves the
// list and stays withheld, with the Task about it; who is not on the list, or
// changed since, cannot be told of.
func TestTold(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		given := parse(t, `{"resourceType":"Observation","id":"given-1","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"7917-8","display":"HIV 1 Ab"}]},"subject":{"reference":"Patient/pat-1"},"valueString":"Reactive"}`)
		w.say(said{Source: "clinic", Given: true, Resources: []fhir.Resource{parse(t, `{"resourceType":"Patient","id":"pat-1","identifier":[{"value":"77"}]}`), given}})
		w.tell(patient(t, "c", "Ash", "1980-01-02", "1"), sodium(t, "c", "s", "140"), hiv(t, "c", "x", "Reactive"))
		w.tell(patient(t, "d", "Ash", "1980-01-02", "1"), hiv(t, "d", "y", "Reactive"))
		w.say(said{Links: []record.Link{{From: key("d"), Into: key("c")}}})
		office, me := w.office(), record.Watch{Officer: accesstest.Officer(t), Page: "waiting", Request: "r1"}
		list := func() map[fhir.Ref]time.Time {
			page, err := office.Waiting(ctx, me, true, 1)
			must(t, err)
			all := map[fhir.Ref]time.Time{}
			for _, x := range page.Results {
				all[x.Ref] = x.Since
			}
			return all
		}
		before := list()
		x, y, other := thing("c", "Observation", "x"), thing("d", "Observation", "y"), fhir.Ref{Type: "Observation", ID: "given-1"}
		if len(before) != 3 {
			t.Fatalf("waiting: %v", before)
		}
		well := record.Told{Ref: x, Since: before[x], On: time.Now().Format(time.DateOnly), By: "Dr Haddad", How: "telephone", Note: "Understood, comes on Monday."}
		for name, change := range map[string]func(*record.Told){
			"nobody":      func(x *record.Told) { x.By = " " },
			"no day":      func(x *record.Told) { x.On = "" },
			"tomorrow":    func(x *record.Told) { x.On = time.Now().AddDate(0, 0, 2).Format(time.DateOnly) },
			"no such way": func(x *record.Told) { x.How = "pigeon" },
		} {
			bad := well
			change(&bad)
			if err := office.Told(ctx, me, bad); !errors.Is(err, record.ErrTold) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for name, change := range map[string]func(*record.Told){
			"not withheld": func(t *record.Told) { t.Ref = thing("c", "Observation", "s") },
			"not there":    func(t *record.Told) { t.Ref = thing("c", "Observation", "z") },
			"changed":      func(t *record.Told) { t.Since = t.Since.Add(-time.Minute) },
		} {
			bad := well
			change(&bad)
			if err := office.Told(ctx, me, bad); !absent(err) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := office.Told(ctx, record.Watch{}, well); err == nil || absent(err) {
			t.Errorf("nobody tells: %v", err)
		}
		for i, ref := range []fhir.Ref{x, y, other} {
			told := well
			told.Ref, told.Since = ref, before[ref]
			must(t, office.Told(ctx, me, told))
			if left := list(); len(left) != 2-i || !left[ref].IsZero() {
				t.Errorf("%v told: left %v", ref, left)
			}
			if err := office.Told(ctx, me, told); !absent(err) {
				t.Errorf("told twice: %v", err)
			}
		}
		// Withheld as before, and the Tasks with them; whoever may see the result
		// sees that the patient was told.
		doctor := physician(t)
		for _, ref := range []fhir.Ref{x, y, other} {
			if got := w.value(doctor, ref); got != "absent" {
				t.Errorf("%v is %s", ref, got)
			}
		}
		if ids, _ := w.pages(backend(t), "Task", ""); len(ids) != 0 {
			t.Errorf("Tasks about what is withheld are shown: %v", ids)
		}
		open, err := policy.Load([]byte(strings.ReplaceAll(string(policy.Default()), `"hiv", `, "")))
		must(t, err)
		w.reader.Use(open)
		if ids, _ := w.pages(backend(t), "Task", ""); len(ids) != 3 {
			t.Errorf("whoever may see the results sees the Tasks %v", ids)
		}
		feeds, err := w.reader.Freshness(ctx)
		must(t, err)
		for _, f := range feeds {
			if f.Source == inbox.Own {
				t.Error("the gateway's own words are a feed that providers see")
			}
		}
	})
}
