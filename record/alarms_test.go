package record_test

import (
	"testing"
	"time"

	"firebreak/alarm"
)

// TestAlarmsAreKept: what was told stays told, one teller at a time, one who ends.
func TestAlarmsAreKept(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		a := w.Alarms()
		held := alarm.Cause{Key: "held lab", To: alarm.Operators, Text: "lab: 1 message is held", Since: noon}
		must(t, a.Begin(ctx, held))
		later := held
		later.Text, later.Since = "lab: 9 messages are held", noon.Add(time.Hour)
		must(t, a.Begin(ctx, later))
		claims := func(channel string, at time.Time, want bool) {
			t.Helper()
			if got, err := a.Claim(ctx, held.Key, channel, at); err != nil || got != want {
				t.Errorf("%s at %v: %t, %v", channel, at.Sub(noon), got, err)
			}
		}
		claims("mail", noon, true)
		claims("mail", noon.Add(30*time.Second), false)
		claims("webhook", noon.Add(30*time.Second), true)
		claims("mail", noon.Add(2*time.Minute), true) // whoever had claimed it never said that it was done
		must(t, a.Told(ctx, held.Key, "mail"))
		claims("mail", noon.Add(time.Hour), false)

		w = w.another()
		a = w.Alarms()
		all, err := a.Raised(ctx)
		must(t, err)
		if len(all) != 1 || all[0].Cause != held || !all[0].Told["mail"] || all[0].Told["webhook"] {
			t.Errorf("kept is %+v", all)
		}
		for _, want := range []bool{true, false} {
			if got, err := a.End(ctx, held.Key); err != nil || got != want {
				t.Errorf("ended: %t, %v", got, err)
			}
		}
		must(t, a.Begin(ctx, later))
		if all, err := a.Raised(ctx); err != nil || len(all) != 1 || len(all[0].Told) != 0 {
			t.Errorf("begun again it is %+v, %v", all, err)
		}
	})
}
