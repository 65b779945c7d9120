package pipeline

import (
	"fmt"
	"testing"
	"time"

	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/label"
	"firebreak/mapping"
	"firebreak/record"
)

// By new rules a patient who is known from an HIV test alone stays unknown,
// however often the laboratory sends the result and says more of her.
func TestJudgedAgainByNewRules(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		s := start(t, dsn, nil)
		tell := func(n int, chart, name, code string) {
			s.put(t, inbox.Message{Source: "lab", Kind: inbox.HL7v2, ControlID: fmt.Sprint(n), Received: time.Date(2026, 1, 2, 3, 4, n, 0, time.UTC),
				Body: fmt.Appendf(nil, "MSH|^~\\&|LAB|A|||202601020304||ORU^R01|%d|P|2.5\rPID|1||%s^^^A^MR||%s^Ann||19710203|F\rOBR|1|P%s|F%s|%s^LN\rOBX|1|ST|%s^LN||nonreactive||||||F|||20260101\r", n, chart, name, chart, chart, code, code)})
		}
		tell(1, "100", "Ash", "7917-8^HIV 1 Ab")
		tell(2, "100", "Ash-Oak", "7917-8^HIV 1 Ab")
		tell(3, "200", "Elm", "2951-2^Sodium")
		tell(4, "200", "Elm-Oak", "2951-2^Sodium")
		keys := mapping.NewKeys([]byte("keys of this test"))
		known := func(when string) {
			t.Helper()
			reader, ask := s.ask(t)
			for chart, want := range map[string]bool{"100": false, "200": true} {
				_, err := reader.Get(ctx, ask, fhir.Ref{Type: "Patient", ID: keys.Patient("lab", "A", chart)})
				if (err == nil) != want {
					t.Errorf("%s of %s: %v", when, chart, err)
				}
			}
		}
		known("at first")
		must(t, s.Record.Close())
		var err error
		s.Rules = s.Rules.Declare(map[string][]label.Label{"nobody": {label.Part2}})
		s.Record, err = record.Open(ctx, record.Config{DSN: dsn, Log: s.Log, Rules: s.Rules, Secret: []byte("a secret of this test"), Remake: Remake(keys)})
		must(t, err)
		if _, err := s.Relabel(ctx); err != nil {
			t.Fatal(err)
		}
		known("by new rules")
	})
}
