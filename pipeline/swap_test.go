package pipeline

import (
	"strings"
	"testing"
	"time"

	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/label"
	"firebreak/mapping"
	"firebreak/record"
)

// Two patients who exchange their beds are told of in one message, and each is judged
// by what it says of that patient: who is known from an HIV visit alone stays unknown,
// the other is known, nothing in the one chart leads to the other, and other rules
// judge them apart as well.
func TestASwapOfBedsIsTwoStatements(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		s := start(t, dsn, nil)
		s.put(t, inbox.Message{Source: "ward", Kind: inbox.HL7v2, ControlID: "1", Received: time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC), Body: []byte(
			"MSH|^~\\&|EHR|A|||202601020304||ADT^A17|1|P|2.5\rEVN|A17|202601020304||||202601020300\r" +
				"PID|1||100^^^A^MR||Ash^Ann||19710203|F\rPV1|1|I|W2^2|||W1^1|||||||||||||V100^^^A\rPV2|||B20^HIV disease^I10\r" +
				"PID|2||200^^^A^MR||Elm^Eve||19720304|F\rPV1|1|I|W1^1|||W2^2|||||||||||||V200^^^A\rPV2|||R05^Cough^I10\r")})
		keys := mapping.NewKeys([]byte("keys of this test"))
		ash, elm := keys.Patient("ward", "A", "100"), keys.Patient("ward", "A", "200")
		known := func(when string) {
			t.Helper()
			reader, ask := s.ask(t)
			if _, err := reader.Get(ctx, ask, fhir.Ref{Type: "Patient", ID: ash}); err == nil {
				t.Errorf("%s somebody is known from an HIV visit alone", when)
			}
			got := ""
			for _, r := range s.chart(t, elm).All() {
				got += r.Resource().Type() + " " + string(r.Resource().JSON()) + "\n"
			}
			if !strings.Contains(got, "Encounter ") || !strings.Contains(got, "Elm") || !strings.Contains(got, "Provenance ") {
				t.Errorf("%s the other is not known: %s", when, got)
			}
			if strings.Contains(got, ash) || strings.Contains(got, "Ash") || strings.Contains(got, "V100") {
				t.Errorf("%s the one chart tells of the other", when)
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
