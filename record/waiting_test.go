package record_test

import (
	"testing"
	"time"

	"firebreak/policy"
)

// TestWaiting: results that came before a time and were not reviewed, and those
// withheld from patients whom nobody told, of every chart.
func TestWaiting(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.tell(patient(t, "a", "Ash", "1980-01-02", "1"), sodium(t, "a", "na", "140"), hiv(t, "a", "x", "Reactive"))
		w.tell(patient(t, "b", "Birch", "1990-01-02", "2"), sodium(t, "b", "na", "141"))
		w.tell(parse(t, `{"resourceType":"Task","id":%q,"status":"completed","intent":"order","for":{"reference":"Patient/%s"},"focus":{"reference":%q},"code":{"coding":[{"system":"urn:firebreak:task","code":"reviewed"}]}}`,
			thing("b", "Task", "t").ID, key("b"), thing("b", "Observation", "na").String()))
		waiting := func(before time.Time) (all []policy.Waiting) {
			must(t, w.Waiting(ctx, w.policy, before, func(x policy.Waiting) error { all = append(all, x); return nil }))
			return all
		}
		if got := waiting(noon); len(got) != 0 {
			t.Errorf("before anything came: %v", got)
		}
		got := waiting(noon.Add(time.Hour))
		if len(got) != 2 || got[0].Ref != thing("a", "Observation", "na") || got[0].Held || got[1].Ref != thing("a", "Observation", "x") || !got[1].Held {
			t.Errorf("waiting: %v", got)
		}
	})
}
