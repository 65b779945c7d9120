package pipeline

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/mapping"
)

// booking is one message of an appointment: a trigger of SIU or SRM, whom it names, and
// what for; or a move of the visit, a merge of two patients' records or its end.
type booking struct {
	trigger string // S12; A45, A40, A37
	patient string // "a"; of a move or merge, from and to: "ab"
	people  string // letters, those of whom it tells; ":" before a letter has it say another role
	reason  string // "check", "hiv"; empty: it says none
}

// message is it as the nth of those of a case, sent n minutes on.
func (e booking) message(group string, n int) inbox.Message {
	switch e.trigger {
	case "A45":
		return inVisit{"A45", e.patient, "V1"}.message(group, n)
	case "A40", "A37":
		return joining(e.trigger, e.patient[:1], e.patient[1:], group, n)
	}
	m := inVisit{"A01", e.patient, "V1"}.message(group, n)
	stamp := m.Received.Format("20060102150405")
	code, act, name := "SIU", "A", "SCH|P1|F1"
	switch e.trigger {
	case "S01", "S03", "S04", "S07", "S08", "S09", "S10", "S11":
		code, name = "SRM", "ARQ|P1|"
	}
	switch e.trigger {
	case "S19", "S08":
		act = "U"
	case "S20", "S22", "S09", "S11":
		act = "D"
	case "S21", "S10":
		act = ""
	}
	reason := map[string]string{"check": "CHECKUP^Check-up", "hiv": "X^HIV clinic follow up"}[e.reason]
	body := fmt.Sprintf("MSH|^~\\&|EHR|GENERAL|FB|FB|%s||%s^%s|%s|P|2.5\r%s|||||%s\rPID|1||%s%s^^^GENERAL^MR||%s\rPV1|1|O|W1||||||||||||||||V1\rRGS|1|%s\r",
		stamp, code, e.trigger, m.ControlID, name, reason, group, e.patient, inVisitNames[e.patient], act)
	role := "Nurse"
	for i, who := range e.people {
		if who == ':' {
			role = "Surgeon"
			continue
		}
		body += fmt.Sprintf("AIP|%d|%s|%c^Person-%c|%s\r", i+1, act, who, who, role)
	}
	m.Body = []byte(body)
	return m
}

// all is what is shown of the patients of a case, with when each was recorded, and what
// became of each message.
func (s *system) all(t *testing.T, group string, ids map[int]inbox.ID) string {
	t.Helper()
	var lines []string
	reader, ask := s.ask(t)
	named := strings.NewReplacer(chartInVisit(group+"a"), "CHART-a", chartInVisit(group+"b"), "CHART-b")
	for _, patient := range []string{"a", "b"} {
		v, err := reader.Chart(ctx, ask, fhir.Ref{Type: "Patient", ID: chartInVisit(group + patient)})
		if err != nil {
			continue
		}
		for _, r := range v.All() {
			for i, h := range v.History(r.Resource().Ref()) {
				res, err := h.Resource().Without("meta")
				must(t, err)
				lines = append(lines, fmt.Sprintf("%s %d %s %s", patient, i, h.Resource().Get("meta.lastUpdated").Text(), named.Replace(string(res.JSON()))))
			}
		}
	}
	for n, id := range ids {
		state, reason, err := s.State(ctx, id)
		must(t, err)
		lines = append(lines, fmt.Sprintf("message %d is %s: %s", n, state, reason))
	}
	slices.Sort(lines)
	return conditionID.ReplaceAllString(strings.ReplaceAll(strings.Join(lines, "\n"), group, ""), "Condition")
}

// Whatever the order in which the messages of an appointment come that tell it whole or
// in part, with moves of its visit or merges of its patients, and however often: the charts end as in the order in which they were sent,
// and so does what is held. That a process ends in between changes nothing, nor does
// applying all of them again.
func TestPartsInAnyOrderEndTheSame(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		s := start(t, dsn, nil)
		seeds := uint64(10)
		if s.Postgres() {
			seeds = 3
		}
		ends := map[string]string{}
		held := 0
		cases := map[string]map[int]inbox.ID{}
		for seed := range seeds {
			r := rand.New(rand.NewPCG(seed, 18))
			any := func(of ...string) string { return of[r.IntN(len(of))] }
			var story []booking
			for range 4 + r.IntN(6) {
				e := booking{any("S12", "S14", "S15", "S18", "S18", "S19", "S20", "S21", "S22", "S01", "S07", "S08", "S11"), "a", any("K", "L", ":M", "KL", "LM"), ""}
				if e.trigger < "S07" || e.trigger == "S12" || e.trigger == "S14" {
					e.reason = any("check", "check", "check", "hiv")
				}
				if seed%3 > 0 {
					switch x := r.IntN(6); {
					case x == 0 && seed%3 == 1:
						e = booking{"A45", any("ab", "ba"), "", ""}
					case x%2 == 0 && seed%3 == 2:
						e = booking{any("A40", "A40", "A37"), any("ab", "ba"), "", ""}
					case x == 1:
						e.patient = "b"
					}
				}
				story = append(story, e)
			}
			var want string
			for j, order := range orders(r, len(story), 4) {
				group := fmt.Sprintf("%d.%d.", seed, j)
				ids := map[int]inbox.ID{}
				for i, n := range order {
					receipt, err := s.Put(ctx, story[n].message(group, n))
					must(t, err)
					ids[n] = receipt.ID
					if j == 2 && i == len(order)/2 {
						s.stop()
						s = start(t, dsn, nil)
					}
				}
				s.settled(t)
				got := s.all(t, group, ids)
				if ends[group], cases[group] = got, ids; j == 0 {
					want = got
					held += strings.Count(got, "is held")
				} else if got != want {
					t.Fatalf("seed %d: %v\nin the order %v:\n%s", seed, story, order, firstDifference(got, want))
				}
			}
		}
		if held == 0 {
			t.Error("nothing was ever held")
		}
		s.replayAll(t)
		for group, want := range ends {
			if got := s.all(t, group, cases[group]); got != want {
				t.Errorf("%s, applied again:\n%s", group, firstDifference(got, want))
			}
		}
	})
}

// What changes of an appointment comes before anything told it whole: it waits, with a
// reason, and is applied by itself when that comes; what was read with a statement that
// is taken back is taken back too.
func TestAPartWaitsForTheWhole(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		var mute atomic.Bool // as under a dialect by which an S12 names no appointment
		s := start(t, dsn, nil, func(p *Pipeline) {
			p.apply = func(k *mapping.Keys, m inbox.Message) (mapping.Result, error) {
				r, err := mapping.Map(k, m)
				if mute.Load() && strings.Contains(string(m.Body), "SIU^S12") {
					r.Resources = slices.DeleteFunc(r.Resources, func(x mapping.Resource) bool { return x.Type() == "Appointment" || x.Type() == "Provenance" })
				}
				return r, err
			}
		})
		expect := func(when string, id inbox.ID, want string, people ...string) {
			t.Helper()
			s.settled(t)
			if state, reason, err := s.State(ctx, id); err != nil || !strings.Contains(string(state)+": "+reason, want) {
				t.Errorf("%s the message is %s: %s %v", when, state, reason, err)
			}
			told, _, _ := strings.Cut(s.told(t, "5a")+"\n", "\n")
			for _, line := range strings.Split(s.told(t, "5a"), "\n") {
				if strings.Contains(line, `"Appointment","id"`) { // the current version comes first
					told = line
					break
				}
			}
			if n := strings.Count(told, `"Practitioner/`); n != len(people) {
				t.Errorf("%s %d people are expected, want %q: %s", when, n, people, told)
			}
		}
		s.put(t, inVisit{"A31", "a", ""}.message("5", 0))
		_, why := s.taken(t, booking{"S20", "a", "K", ""}.message("5", 3))
		if !strings.Contains(why, "nothing that came has told it whole before") {
			t.Errorf("held for %q", why)
		}
		expect("first", 2, "held: mapping: SCH-2")
		_, _ = s.taken(t, booking{"S18", "a", "L", ""}.message("5", 2))
		expect("a part before it", 2, "held: mapping: SCH-2")
		whole, why := s.taken(t, booking{"S12", "a", "KM", "check"}.message("5", 1))
		if why != "" {
			t.Fatalf("the whole is held: %s", why)
		}
		expect("then", 2, "done", "L", "M")
		if m, err := s.queue.Message(ctx, 2); err != nil || len(m.Before) != 2 {
			t.Errorf("it goes on from %d messages: %v", len(m.Before), err)
		} else if became, why := s.Try(m); why != "" || len(became) == 0 {
			t.Errorf("tried once more it would be held: %s", why)
		}
		mute.Store(true)
		must(t, s.Replay(ctx, whole))
		expect("taken back", 2, "held: mapping: SCH-2")
		mute.Store(false)
		must(t, s.Replay(ctx, whole))
		expect("back again", 2, "done", "L", "M")
		_, why = s.taken(t, booking{"S14", "a", "M", "check"}.message("5", 2))
		if why != "" {
			t.Fatalf("the correction is held: %s", why)
		}
		expect("corrected in between", 2, "held: mapping: AIP-3", "M")
	})
}

// What was read with a message whose text was purged stays as it was read, and is not
// applied again.
func TestAPartAfterAPurge(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		s := start(t, dsn, nil)
		s.put(t, booking{"S12", "a", "KM", "check"}.message("6", 1))
		part, _ := s.taken(t, booking{"S20", "a", "K", ""}.message("6", 2))
		s.settled(t)
		if n, err := s.record.Purge(t.Context(), func(string) time.Duration { return time.Nanosecond }); n != 2 || err != nil {
			t.Fatalf("%d messages are purged: %v", n, err)
		}
		before := s.told(t, "6a")
		if err := s.Replay(ctx, part); err == nil {
			t.Error("it is applied again")
		}
		late, why := s.taken(t, booking{"S18", "a", "L", ""}.message("6", 3))
		if s.settled(t); !strings.Contains(why, "is stored no longer") {
			t.Errorf("what goes on from what was purged is held for %q", why)
		}
		if s.told(t, "6a") != before {
			t.Error("something changed")
		}
		if _, why := s.taken(t, booking{"S14", "a", "KL", ""}.message("6", 2)); why != "" {
			t.Errorf("the whole is held: %s", why)
		}
		must(t, s.Replay(ctx, late))
		s.settled(t)
		if state, reason, _ := s.State(ctx, late); state != "done" {
			t.Errorf("after the whole it is %s: %s", state, reason)
		}
	})
}

// What changes of an appointment says over again what told of it before: where that is
// withheld, nothing of the change may be known, whatever it takes off, nor of whom and
// what its message brings along.
func TestAPartIsWithheldWithTheWhole(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		s := start(t, dsn, nil)
		tell := func(group string, all ...booking) {
			for n, e := range all {
				m := e.message(group, n)
				if e.trigger == "A31" {
					m = inVisit{"A31", e.patient, ""}.message(group, n)
				}
				if _, why := s.taken(t, m); why != "" {
					t.Fatalf("%s: message %d is held: %s", group, n, why)
				}
			}
			s.settled(t)
		}
		tell("8.0.", booking{"A31", "a", "", ""})
		want := s.all(t, "8.0.", nil)
		for i, story := range [][]booking{
			{{"S12", "a", "KL", "hiv"}, {"S19", "a", "K", "check"}},
			{{"S12", "a", "KL", "hiv"}, {"S18", "a", "M", "check"}, {"S20", "a", "K", ""}},
			{{"S12", "a", "KL", "check"}, {"S19", "a", "K", "hiv"}, {"S22", "a", "K", "check"}},
			{{"S12", "b", "KL", "hiv"}, {"S19", "b", "K", "check"}},
		} {
			group := fmt.Sprintf("8.%d.", i+1)
			tell(group, append([]booking{{"A31", "a", "", ""}}, story...)...)
			if got := s.all(t, group, nil); got != want {
				t.Errorf("story %d shows:\n%s", i, firstDifference(got, want))
			}
		}
		tell("8.9.", booking{"A31", "a", "", ""}, booking{"S12", "a", "KL", "check"}, booking{"S19", "a", "K", "check"})
		if got := s.all(t, "8.9.", nil); strings.Count(got, `"Appointment","id"`) != 1 {
			t.Errorf("of a harmless one there is %s", got)
		}
	})
}
