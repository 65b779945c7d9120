package record_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"firebreak/access"
	"firebreak/access/accesstest"
	"firebreak/audit"
	"firebreak/fhir"
	"firebreak/internal/pgtest"
	"firebreak/label"
	"firebreak/policy"
	"firebreak/record"
)

// glazed is a world under the demo's policy, with a clock to turn.
func glazed(t *testing.T, f func(t *testing.T, w *world, now *time.Time)) {
	open := func(t *testing.T, dsn string) {
		now := noon
		w := &world{t: t, dir: t.TempDir() + "/audit"}
		var err error
		w.rules, err = label.Default()
		must(t, err)
		w.policy, err = policy.Load(policy.Demo())
		must(t, err)
		w.log, err = audit.Open(w.dir, func() time.Time { return now })
		must(t, err)
		w.Record, err = record.Open(ctx, record.Config{DSN: dsn, Log: w.log, Rules: w.rules, Secret: []byte("secret of the tests"), Now: func() time.Time { return now }})
		must(t, err)
		t.Cleanup(func() {
			w.Close()
			w.log.Close()
		})
		w.reader = w.Reader(w.policy)
		f(t, w, &now)
	}
	t.Run("sqlite", func(t *testing.T) { open(t, "sqlite:"+t.TempDir()+"/record.db") })
	t.Run("postgres", func(t *testing.T) { open(t, pgtest.DSN(t)) })
}

// TestGlass: a chart is opened at once, for one person at one worksite and one
// patient, and closes by itself or by hand; an officer is told without a name.
func TestGlass(t *testing.T) {
	glazed(t, func(t *testing.T, w *world, now *time.Time) {
		w.tell(patient(t, "a", "Ash", "1980-01-02", "1"), sodium(t, "a", "na", "140"))
		w.tell(hiv(t, "a", "x", "Reactive"))
		w.tell(patient(t, "b", "Birch", "1990-01-02", "2"), hiv(t, "b", "x", "Reactive"), sodium(t, "b", "na", "141"))
		doctor, nurse, app := ask(accesstest.AtPages(t, access.Physician)), ask(accesstest.AtPages(t, access.Nurse)), physician(t)
		a, secret, other := thing("a", "Patient", ""), thing("a", "Observation", "x"), thing("b", "Observation", "x")
		see := func(when, want, others string) {
			t.Helper()
			for range 2 {
				if got := w.value(doctor, secret); got != want {
					t.Errorf("%s the physician sees %q, want %q", when, got, want)
				}
			}
			for name, ask := range map[string]record.Ask{"nurse": nurse, "physician's app": app} {
				if got := w.value(ask, secret); got != others {
					t.Errorf("%s the %s sees %q", when, name, got)
				}
			}
			if got := w.value(doctor, other); got != "absent" {
				t.Errorf("%s another patient's is %q", when, got)
			}
		}
		const why = "Found unconscious on the ward"
		see("before,", "absent", "absent")
		for name, err := range map[string]error{
			"no reason":     w.reader.Break(ctx, doctor, a, "", why),
			"a made-up one": w.reader.Break(ctx, doctor, a, "curiosity", why),
			"no words":      w.reader.Break(ctx, doctor, a, record.InEmergency, "  because "),
			"many words":    w.reader.Break(ctx, doctor, a, record.InEmergency, strings.Repeat("x", 501)),
		} {
			if !errors.Is(err, record.ErrReason) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for name, err := range map[string]error{
			"by an app":              w.reader.Break(ctx, app, a, record.InEmergency, why),
			"by a system":            w.reader.Break(ctx, backend(t), a, record.InEmergency, why),
			"of nobody":              w.reader.Break(ctx, doctor, thing("z", "Patient", ""), record.InEmergency, why),
			"of what is no patient":  w.reader.Break(ctx, doctor, secret, record.InEmergency, why),
			"of a directory's chart": w.reader.Break(ctx, doctor, fhir.Ref{Type: "Patient", ID: "~"}, record.InEmergency, why),
		} {
			if !absent(err) {
				t.Errorf("%s: %v", name, err)
			}
		}
		see("after what was refused,", "absent", "absent")

		must(t, w.reader.Break(ctx, doctor, a, record.InEmergency, why))
		see("opened,", "Reactive", "absent")
		if g, err := w.reader.Glass(ctx, doctor.Caller, a); err != nil || !g.Opened || !g.Ends.Equal(now.Add(time.Hour)) {
			t.Errorf("the glass is %+v, %v", g, err)
		}
		*now = now.Add(time.Hour - time.Microsecond)
		see("a moment before the end,", "Reactive", "absent")
		*now = now.Add(time.Microsecond)
		see("at the end,", "absent", "absent")

		must(t, w.reader.Break(ctx, doctor, a, record.OnRequest, "She is here and asks me to look"))
		see("opened again,", "Reactive", "absent")
		must(t, w.reader.Mend(ctx, nurse, a))
		see("closed by another,", "Reactive", "absent")
		must(t, w.reader.Mend(ctx, doctor, a))
		see("closed,", "absent", "absent")

		officer := record.Watch{Officer: accesstest.Officer(t), Page: "alerts"}
		office := w.reader.Office()
		alerts, closed, err := office.Alerts(ctx, officer)
		must(t, err)
		if len(alerts) != 2 || len(closed) != 0 || alerts[0].Reason != record.InEmergency || alerts[0].Words != why || alerts[0].Name != "Test physician" || alerts[0].Place != "Test Clinic" {
			t.Fatalf("the alerts are %+v and %+v", alerts, closed)
		}
		if err := office.Close(ctx, officer, alerts[0].ID, " ok "); !errors.Is(err, record.ErrNote) {
			t.Errorf("closed without a note: %v", err)
		}
		if err := office.Close(ctx, officer, "none", "Spoke with her, all in order"); !absent(err) {
			t.Errorf("what is none is closed: %v", err)
		}
		must(t, office.Close(ctx, officer, alerts[0].ID, "Spoke with her, all in order"))
		if err := office.Close(ctx, officer, alerts[0].ID, "Spoke with her, all in order"); !absent(err) {
			t.Errorf("closed twice: %v", err)
		}
		alerts, closed, err = office.Alerts(ctx, officer)
		must(t, err)
		if len(alerts) != 1 || len(closed) != 1 || closed[0].Closer != "Test privacy-officer" || closed[0].Closed.IsZero() {
			t.Errorf("the alerts are %+v and %+v", alerts, closed)
		}
		if _, _, err := office.Alerts(ctx, record.Watch{}); err == nil {
			t.Error("nobody sees the alerts")
		}
		// A policy that opens nothing closes what is open.
		must(t, w.reader.Break(ctx, doctor, a, record.InEmergency, why))
		strict, err := policy.Load(policy.Default())
		must(t, err)
		w.reader.Use(strict)
		see("under a policy that opens nothing,", "absent", "absent")
		if g, err := w.reader.Glass(ctx, doctor.Caller, a); err != nil || g.Offered != 0 || g.Opened {
			t.Errorf("the glass is %+v, %v", g, err)
		}
		w.reader.Use(w.policy)

		entries, more, err := office.Log(ctx, officer, "1", "", audit.Break, 0)
		must(t, err)
		if len(entries) != 5 || more || entries[0].Person != "p-physician" || !strings.HasPrefix(entries[0].Detail, "emergency ") || entries[0].Refused || !entries[4].Refused {
			t.Errorf("the log says %+v", entries)
		}
		if entries, _, err := office.Log(ctx, officer, "no such number", "", "", 0); err != nil || len(entries) != 0 {
			t.Errorf("of nobody the log says %v, %v", entries, err)
		}

		verdicts, err := office.Try(ctx, record.Watch{Officer: accesstest.Officer(t), Page: "try"}, policy.Position{Audience: access.Provider, Role: access.Nurse}, "1")
		must(t, err)
		if n := len(verdicts); n != 3 || verdicts[0].Kept == verdicts[1].Kept {
			t.Errorf("tried: %+v", verdicts)
		}
	})
}
