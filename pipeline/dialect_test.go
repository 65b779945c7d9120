package pipeline

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/mapping"
)

// spoken reads messages by a dialect.
func spoken(t testing.TB, text string) (*mapping.Keys, func(*Pipeline)) {
	t.Helper()
	d, err := mapping.ReadDialect(text)
	must(t, err)
	keys := mapping.NewKeys([]byte("keys of this test"), mapping.Feed{Source: "pas", Dialect: d})
	return keys, func(p *Pipeline) { p.keys = keys }
}

func admission(n int, z string) inbox.Message {
	return inbox.Message{Source: "pas", Kind: inbox.HL7v2, ControlID: fmt.Sprint(n), Received: time.Date(2026, 1, 2, 3, 4, n, 0, time.UTC),
		Body: fmt.Appendf(nil, "MSH|^~\\&|PAS|A|||202601020304%02d||ADT^A01|%d|P|2.5\rPID|1||100^^^A^MR||Ash^Ann||19710203|F\rPV1|1|I|||||||||||||||||V%d^^^A\r%s\r", n, n, n, z)}
}

// What a Z segment tells is judged like all else: brought into FHIR as an
// extension or an Observation, it is withheld with what carries it.
func TestWhatADialectBringsIsJudged(t *testing.T) {
	const rules = "dialect pas\nZZ1-1 -> Encounter.extension(https://pas.example.org/note).valueString\n" +
		"ZZ1-2 -> Observation(http://loinc.org|11884-4|Gestational age).valueQuantity(wk)\n" +
		"ZZ1-3 -> Observation(http://loinc.org|29463-7|Body weight).valueQuantity(kg)\nDG1-3 from ZZ1-4\n"
	for _, c := range []struct {
		name, z string
		shown   []string
		secret  []string
	}{
		{"harmless", "ZZ1|brought a dog||61", []string{"brought a dog", `"value":61`}, nil},
		{"HIV in an extension", "ZZ1|HIV positive since May||61", nil, []string{"HIV", "V2", "since May"}},
		{"weeks of gestation", "ZZ1|brought a dog|31|61", []string{"brought a dog", `"value":61`}, []string{"Gestational", `"value":31`}},
		{"a diagnosis moved", "DG1|1\rZZ1|brought a dog|||B20^HIV disease^I10", nil, []string{"HIV", "B20"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			keys, set := spoken(t, rules)
			s := start(t, t.TempDir()+"/record.db", nil, set)
			s.put(t, admission(1, "ZZ1|walked in"))
			s.put(t, admission(2, c.z))
			chart, err := mapping.PatientKey(keys, admission(1, ""))
			must(t, err)
			shown := dump(s.chart(t, chart))
			if !strings.Contains(shown, "walked in") {
				t.Error("the first visit is not shown")
			}
			for _, want := range c.shown {
				if !strings.Contains(shown, want) {
					t.Errorf("%q is not shown:\n%s", want, shown)
				}
			}
			for _, secret := range c.secret {
				if strings.Contains(shown, secret) {
					t.Errorf("%q is shown:\n%s", secret, shown)
				}
			}
		})
	}
}

// A changed dialect changes what comes from then on, and what is replayed: the
// replayed chart is the one that the new dialect would have made from the start.
func TestAChangedDialectIsAppliedByReplay(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		const was = "dialect pas\nZZ1-1 -> Encounter.extension(https://pas.example.org/note).valueString\n"
		const is = "dialect pas\ntable class\n E -> EMER\nZZ1-1 -> Encounter.extension(https://pas.example.org/note).valueCode\nPV1-10 from ZZ1-2\nPV1-10 through class\n"
		keys, set := spoken(t, was)
		chart, err := mapping.PatientKey(keys, admission(1, ""))
		must(t, err)
		s := start(t, dsn, nil, set)
		first := s.put(t, admission(1, "ZZ1|fell|E"))
		s.put(t, admission(2, "ZZ1|cut|E"))
		before := dump(s.chart(t, chart))
		s.stop()

		_, set = spoken(t, is)
		s = start(t, dsn, nil, set)
		if dump(s.chart(t, chart)) != before {
			t.Error("a dialect changed what is stored before anything was replayed")
		}
		must(t, s.Replay(ctx, first, first+1))
		must(t, s.Applied(ctx, first))
		must(t, s.Applied(ctx, first+1))
		after := dump(s.chart(t, chart))

		fresh := start(t, t.TempDir()+"/record.db", nil, set)
		fresh.put(t, admission(1, "ZZ1|fell|E"))
		fresh.put(t, admission(2, "ZZ1|cut|E"))
		want := dump(fresh.chart(t, chart))
		if !strings.Contains(after, "EMER") || current(after) != current(want) {
			t.Errorf("replayed:\n%s\nfrom the start:\n%s", after, want)
		}
	})
}

// current leaves out of a dump how many versions there are and when they were stored.
func current(dump string) string {
	var b strings.Builder
	for line := range strings.Lines(dump) {
		if !strings.HasPrefix(line, "{") {
			continue
		}
		head, rest, ok := strings.Cut(line, `"meta":{`)
		if ok {
			_, rest, _ = strings.Cut(rest, "}")
		}
		b.WriteString(head + rest)
	}
	return b.String()
}

// What only the old dialect made of a message is gone when it is replayed under
// another: an observation whose rule is gone, a resource whose id hung on a
// number's system, and all of a patient whom the message is no longer about. What
// another message said besides stays. By which dialect each was read can be seen.
func TestAReplayTakesBackWhatOnlyTheOldDialectMade(t *testing.T) {
	const was = "dialect pas\nPV1-19.4 = OLD\nZZ1-2 -> Observation(http://loinc.org|11884-4|Gestational age).valueQuantity(wk)\n" +
		"ZZ1-3 -> Observation(http://loinc.org|29463-7|Body weight).valueQuantity(kg)\nPID-3.4 = B when ZZ1-4 sent\n"
	for _, is := range []string{
		"dialect pas\nZZ1-2 -> Observation(http://loinc.org|11884-4|Gestational age).valueQuantity(wk)\n",
		"dialect pas\nPV1-19.4 = NEW\nZZ1-3 -> Observation(http://loinc.org|29463-7|Body weight).valueQuantity(kg)\n",
		"dialect pas\nPID-3.4 = B when ZZ1-5 sent\nPID-7 from ZZ1-6\nZZ1-3 -> Observation(http://loinc.org|8302-2|Body height).valueQuantity(cm)\n",
		"dialect pas\nPV1-19.4 = OLD\nDG1-3 from ZZ1-7\n",
	} {
		databases(t, func(t *testing.T, dsn string) {
			messages := []inbox.Message{
				admission(1, "ZZ1|fell||61|B"),
				admission(2, "ZZ1|cut|31|61||B|19710203"),
				admission(3, "ZZ1|cut||61"),
				admission(4, "DG1|1\rZZ1|ill||60||||B20^HIV disease^I10"),
				admission(5, "ZZ1|cut|31||B"),
			}
			before, set := spoken(t, was)
			s := start(t, dsn, nil, set)
			var ids []inbox.ID
			for _, m := range messages {
				ids = append(ids, s.put(t, m))
			}
			s.stop()

			after, set := spoken(t, is)
			s = start(t, dsn, nil, set)
			must(t, s.Replay(ctx, ids...))
			for _, id := range ids {
				must(t, s.Applied(ctx, id))
			}
			fresh := start(t, t.TempDir()+"/record.db", nil, set)
			for _, m := range messages {
				fresh.put(t, m)
			}
			charts := map[string]bool{}
			for _, keys := range []*mapping.Keys{before, after} {
				for _, m := range messages {
					chart, err := mapping.PatientKey(keys, m)
					must(t, err)
					charts[chart] = true
				}
			}
			shown := func(s *system, chart string) string {
				reader, ask := s.ask(t)
				v, err := reader.Chart(ctx, ask, fhir.Ref{Type: "Patient", ID: chart})
				if err != nil {
					return err.Error()
				}
				return dump(v)
			}
			for chart := range charts {
				if got, want := shown(s, chart), shown(fresh, chart); got != want {
					t.Errorf("replayed:\n%s\nfrom the start:\n%s", got, want)
				}
			}
			readings, err := s.Readings(ctx, "pas", 10)
			must(t, err)
			if len(readings) != 1 || readings[0].Messages != len(ids) || readings[0].Dialect == "" {
				t.Errorf("read by %+v", readings)
			}
		})
	}
}
