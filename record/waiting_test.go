package record_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"firebreak/access/accesstest"
	"firebreak/audit"
	"firebreak/fhir"
	"firebreak/label"
	"firebreak/policy"
	"firebreak/record"
)

// task is a Task of an EHR about a result.
func task(t testing.TB, chart, name, code string, focus fhir.Ref) fhir.Resource {
	return parse(t, `{"resourceType":"Task","id":%q,"status":"completed","intent":"order","for":{"reference":"Patient/%s"},"focus":{"reference":%q},"code":{"coding":[{"system":"urn:firebreak:task","code":%q}]}}`,
		thing(chart, "Task", name).ID, key(chart), focus.String(), code)
}

// waiting is what an officer finds on the two lists: ids, and what withholds.
func (w *world) waiting() (withheld, overdue string) {
	w.t.Helper()
	office, me := w.reader.Office(), record.Watch{Officer: accesstest.Officer(w.t), Page: "waiting"}
	text := func(held bool) string {
		page, err := office.Waiting(ctx, me, held, 1)
		must(w.t, err)
		if page.All != len(page.Results) || page.More {
			w.t.Errorf("a page of %d: %d in all, more %v", len(page.Results), page.All, page.More)
		}
		var all []string
		for _, x := range page.Results {
			all = append(all, strings.TrimSpace(strings.TrimRight(x.Ref.ID[:16], "a")+"/"+strings.TrimRight(x.Ref.ID[17:], "ab")+" "+x.Number+" "+strings.Trim(fmt.Sprint(x.Labels), "[]")))
		}
		return strings.Join(all, ", ")
	}
	return text(true), text(false)
}

// expect compares both lists, and what an operator gets, with charts that are
// read one by one.
func (w *world) expect(what, withheld, overdue string) {
	w.t.Helper()
	a, b := w.waiting()
	if a != withheld || b != overdue {
		w.t.Errorf("%s: withheld %q, overdue %q; want %q and %q", what, a, b, withheld, overdue)
	}
}

// TestWaiting: what waits is found when it came, is told, is corrected, merged
// and parted again, and when the policy changes, on both databases.
func TestWaiting(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.expect("nothing came", "", "")
		w.tell(patient(t, "c", "Ash", "1980-01-02", "1"), sodium(t, "c", "s", "140"), hiv(t, "c", "x", "Reactive"))
		w.tell(patient(t, "d", "Birch", "1990-01-02", "2"), sodium(t, "d", "s", "141"), hiv(t, "d", "y", "Reactive"))
		// Both came in March 2026, so that whatever was not reviewed is overdue.
		w.expect("two patients", "c/x 1 hiv, d/y 2 hiv", "c/s 1, d/s 2")
		w.tell(task(t, "d", "t", "reviewed", thing("d", "Observation", "s")), task(t, "d", "u", "reviewed", thing("d", "Observation", "y")))
		w.expect("reviewed", "c/x 1 hiv, d/y 2 hiv", "c/s 1")
		w.tell(task(t, "d", "v", "told", thing("d", "Observation", "y")))
		w.expect("told", "c/x 1 hiv", "c/s 1")
		w.tell(sodium(t, "d", "s", "142"))
		w.expect("corrected", "c/x 1 hiv", "c/s 1, d/s 2")
		w.say(said{Links: []record.Link{{From: key("d"), Into: key("c")}}})
		w.expect("merged", "c/x 1 hiv", "c/s 1, d/s 1")
		w.say(said{Links: []record.Link{{From: key("d"), Into: key("c"), Undo: true}}})
		w.expect("parted", "c/x 1 hiv", "c/s 1, d/s 2")
		w.tell(parse(t, `{"resourceType":"Patient","id":%q,"identifier":[{"system":"urn:mrn","value":"3"}]}`, key("c")))
		w.expect("another number", "c/x 3 hiv", "c/s 3, d/s 2")

		open := string(policy.Default())
		for _, p := range []struct{ name, from, to, withheld, overdue string }{
			{"a policy that withholds less", `["hiv", "reproductive", "cancer", "psychotherapy"],
      "unclassified": "hold",
      "release"`, `["reproductive", "cancer", "psychotherapy"],
      "unclassified": "hold",
      "release"`, "", "c/s 3, c/x 3, d/s 2"},
			{"a policy by which the ward sends after the review", `"on": {}`, `"on": {"ward": ["result-final"]}`, "c/x 3 hiv", ""},
			{"the first policy", "", "", "c/x 3 hiv", "c/s 3, d/s 2"},
		} {
			other, err := policy.Load([]byte(strings.Replace(open, p.from, p.to, 1)))
			must(t, err)
			w.reader.Use(other)
			page, err := w.reader.Office().Waiting(ctx, record.Watch{Officer: accesstest.Officer(t)}, true, 1)
			must(t, err)
			if !page.Anew {
				t.Errorf("%s: the list does not say that it is being made", p.name)
			}
			must(t, w.reader.Office().LookThrough(ctx))
			w.expect(p.name, p.withheld, p.overdue)
		}
		var told []string
		must(t, w.reader.Office().Overdue(ctx, func(x policy.Waiting) error {
			told = append(told, x.Ref.ID)
			return nil
		}))
		if want := []string{thing("c", "Observation", "x").ID, thing("c", "Observation", "s").ID, thing("d", "Observation", "s").ID}; !slices.Equal(told, want) {
			t.Errorf("an operator gets %v, want %v", told, want)
		}
		all, _, err := w.log.Find(ctx, audit.About{Action: audit.Oversee}, 1000)
		must(t, err)
		if len(all) != 25 || !slices.Contains(all[0].Entities, thing("c", "Observation", "s").String()) {
			t.Errorf("%d looks are in the log, the last at %v", len(all), all[0].Entities)
		}
	})
}

// TestWaitingIsRelabelled: what a decision on a local code or new rules make of a
// result, the list follows.
func TestWaitingIsRelabelled(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.tell(patient(t, "c", "Ash", "1980-01-02", "1"), parse(t, `{"resourceType":"Observation","id":%q,"status":"final","code":{"coding":[{"system":"urn:lab","code":"QX7","display":"Panel QX7"}]},"subject":{"reference":"Patient/%s"},"valueString":"1"}`, thing("c", "Observation", "q").ID, key("c")))
		w.expect("a code nobody knows", "", "c/q 1")
		w.decide(qx7("ward"), label.HIV)
		_, err := w.Relabel(ctx)
		must(t, err)
		w.expect("that is about HIV", "c/q 1 hiv", "")
	})
}

// TestWaitingPages: oldest first, a page at a time; what came lately is not
// overdue.
func TestWaitingPages(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		rs := []fhir.Resource{patient(t, "c", "Ash", "1980-01-02", "1")}
		for i := range 120 {
			rs = append(rs, hiv(t, "c", fmt.Sprintf("r%03d", i), "Reactive"))
		}
		w.tell(rs...)
		seen := map[fhir.Ref]bool{}
		for n, want := range []int{50, 50, 20, 0} {
			page, err := w.reader.Office().Waiting(ctx, record.Watch{Officer: accesstest.Officer(t)}, true, n+1)
			must(t, err)
			if len(page.Results) != want || page.All != 120 || page.More != (n < 2) || page.Behind != 0 {
				t.Errorf("page %d: %d of %d, more %v, %d charts behind", n+1, len(page.Results), page.All, page.More, page.Behind)
			}
			for _, x := range page.Results {
				seen[x.Ref] = true
			}
		}
		if len(seen) != 120 {
			t.Errorf("%d different results on the pages", len(seen))
		}
		if _, err := w.reader.Office().Waiting(ctx, record.Watch{}, true, 1); err == nil {
			t.Error("nobody sees what waits")
		}
	})
}

// TestWaitingOnTwoNodes: the list is one, whichever node was told and looks.
func TestWaitingOnTwoNodes(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.tell(patient(t, "c", "Ash", "1980-01-02", "1"), hiv(t, "c", "x", "Reactive"))
		other := w.another()
		other.n = 100
		other.expect("after the other was told", "c/x 1 hiv", "")
		other.tell(task(t, "c", "t", "told", thing("c", "Observation", "x")))
		w.expect("after the other was told of the telling", "", "")
	})
}
