package pipeline

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/mapping"
)

// inVisit is one message of a patient ("a", "b" or "c") in a visit.
type inVisit struct {
	kind    string // an ADT trigger, or a result: sodium, hiv
	patient string // of a move, from and to: "ab"
	visit   string // empty: it names none; "V1/K1" is booked on an account
}

var inVisitNames = map[string]string{"a": "Ash^Ann||19710203|F", "b": "Elm^Eve||19720304|F", "c": "Fir^Fay||19730405|F"}

// message is it as the nth of those of a case, sent n minutes on.
func (e inVisit) message(group string, n int) inbox.Message {
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Minute)
	stamp := at.Format("20060102150405")
	visit, account, _ := strings.Cut(e.visit, "/")
	who := e.patient[len(e.patient)-1:]
	pid := fmt.Sprintf("PID|1||%s%s^^^GENERAL^MR||%s\r", group, who, inVisitNames[who])
	pv1, diagnosis := "PV1|1|I|W1||||||||||||||||"+visit+"\r", "DG1|1||J45^Asthma^I10\r"
	if visit == "" {
		pv1, diagnosis = "", ""
	}
	if account != "" {
		pid = strings.TrimSuffix(pid, "\r") + "||||||||||" + account + "^^^GENERAL\r"
	}
	body, typ := "", "ADT^"+e.kind
	switch e.kind {
	case "A44":
		body = pid + "MRG|" + group + e.patient[:1] + "^^^GENERAL^MR||" + account + "^^^GENERAL\r"
	case "A45":
		body = pid + "MRG|" + group + e.patient[:1] + "^^^GENERAL^MR||||" + visit + "\r" + pv1
	case "A17": // of two patients, "ab", in the visits "V1,V2"
		for i, number := range strings.Split(e.visit, ",") {
			who := e.patient[i : i+1]
			body += fmt.Sprintf("PID|1||%s%s^^^GENERAL^MR||%s\rPV1|1|I|W%d||||||||||||||||%s\r", group, who, inVisitNames[who], i+1, number)
		}
	case "sodium", "hiv":
		typ = "ORU^R01"
		code := map[string]string{"sodium": "2951-2^Sodium^LN", "hiv": "7917-8^HIV 1 Ab^LN"}[e.kind]
		body = pid + pv1 + fmt.Sprintf("OBR|1|P%[1]s|F%[1]s|%[2]s|||20260301|||||||||||||||%[3]s|||F\rOBX|1|NM|%[2]s||1%[4]d|mmol/L|||||F\r", e.kind+strings.TrimPrefix(visit, "V1"), code, stamp, n)
	default:
		body = pid + "NK1|1|Kin-of-" + who + "^K|SPO\r" + pv1 + diagnosis + "AL1|1|DA|70618^Penicillin\r"
	}
	control := fmt.Sprint("m", n)
	return inbox.Message{Source: "ward", Kind: inbox.HL7v2, ControlID: control, Received: at,
		Body: []byte("MSH|^~\\&|EHR|GENERAL|FB|FB|" + stamp + "||" + typ + "|" + control + "|P|2.5\r" + strings.ReplaceAll(body, "\rMRG", "\rPD1|\rMRG"))}
}

func chartInVisit(number string) string {
	return mapping.NewKeys([]byte("keys of this test")).Patient("ward", "GENERAL", number)
}

// settled waits until nothing is left to be applied.
func (s *system) settled(t testing.TB) {
	t.Helper()
	for {
		stats, err := s.Stats(ctx)
		must(t, err)
		if stats.Pending == 0 {
			return
		}
		<-time.After(time.Millisecond)
	}
}

func (s *system) replayAll(t testing.TB) {
	t.Helper()
	stats, err := s.Stats(ctx)
	must(t, err)
	for id := inbox.ID(1); id <= stats.Last; id++ {
		if state, _, err := s.State(ctx, id); err == nil && state != "" {
			must(t, s.Replay(ctx, id))
		}
	}
	s.settled(t)
}

// A visit that moves away and back, while another of the patient's moves, brings all that
// was sent under it back: the other's move makes no difference to it.
func TestAVisitComesBackBesideAnotherThatMoved(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		s := start(t, dsn, nil)
		for n, e := range []inVisit{{"sodium", "a", "V1"}, {"A45", "ab", "V1"}, {"A45", "ab", "V2"}, {"A45", "ba", "V1"}} {
			s.put(t, e.message("9", n))
			s.settled(t)
		}
		if state, reason, err := s.State(ctx, 1); state != "done" || err != nil {
			t.Fatalf("the result is %s: %s %v", state, reason, err)
		}
		if told := s.told(t, "9a"); !strings.Contains(told, `"value":10`) {
			t.Errorf("the result did not come back: %s", told)
		}
	})
}

// joining is a merge (A40) or the end of a link (A37) as the nth message of a case.
func joining(trigger, from, into, group string, n int) inbox.Message {
	m := inVisit{"A31", into, ""}.message(group, n)
	second := "PID|2||" + group + from + "^^^GENERAL^MR||" + inVisitNames[from] + "\r"
	if trigger == "A40" {
		second = "MRG|" + group + from + "^^^GENERAL^MR\r"
	}
	head, _, _ := strings.Cut(strings.Replace(string(m.Body), "ADT^A31", "ADT^"+trigger, 1), "NK1|")
	m.Body = []byte(head + second)
	return m
}

// Two records that are merged are parted by the A37 that names them, whichever it names
// first: none shows what is the other's any more.
func TestAnA37PartsWhomeverItNamesFirst(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		s := start(t, dsn, nil)
		for i, names := range []string{"ab", "ba"} {
			group := fmt.Sprintf("12.%d.", i)
			for n, m := range []inbox.Message{
				inVisit{"sodium", "a", "V1"}.message(group, 0), inVisit{"sodium", "b", "V2"}.message(group, 1),
				joining("A40", "a", "b", group, 2), joining("A37", names[:1], names[1:], group, 3),
			} {
				s.put(t, m)
				if n == 0 {
					continue
				}
				if got := strings.Contains(s.told(t, group+"b"), `"value":10`); got != (n == 2) {
					t.Errorf("%s: after message %d the result of the other is shown: %v", names, n, got)
				}
			}
		}
	})
}

// A merge that was taken back joins nobody, so it holds up no visit that moved: neither
// where it comes late nor where it is applied again.
func TestAMergeThatWasTakenBackIsNotHeld(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		s := start(t, dsn, nil)
		story := func(group string) []inbox.Message {
			return []inbox.Message{inVisit{"A45", "bc", "V1"}.message(group, 0), joining("A40", "b", "a", group, 1),
				joining("A37", "b", "a", group, 2), inVisit{"A08", "a", "V1"}.message(group, 3)}
		}
		for i, order := range [][]int{{0, 1, 2, 3}, {3, 0, 2, 1}} {
			group := fmt.Sprintf("13.%d.", i)
			ids := map[int]inbox.ID{}
			for _, n := range order {
				ids[n] = s.put(t, story(group)[n])
			}
			before := s.told(t, group+"a")
			must(t, s.Replay(ctx, ids[1]))
			if err := s.Applied(ctx, ids[1]); err != nil {
				t.Errorf("%v: applied again, the merge: %v", order, err)
			}
			if s.told(t, group+"a") != before || strings.Contains(before, chartInVisit(group+"b")) {
				t.Errorf("%v: they are joined: %s", order, before)
			}
		}
	})
}

// A swap of beds names two patients. It is held once the visit of either has moved, which
// of the two ever had another visit that moved before.
func TestASwapOfBedsIsHeldOnceEitherVisitMoves(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		s := start(t, dsn, nil)
		for i, before := range []string{"", "ac", "bc"} {
			for j, move := range []inVisit{{"A45", "ac", "V1"}, {"A45", "bc", "V2"}} {
				group := fmt.Sprintf("8.%d.%d", i, j)
				if before != "" {
					_, why := s.taken(t, inVisit{"A45", before, "V9"}.message(group, 0))
					if s.settled(t); why != "" {
						t.Fatal(why)
					}
				}
				swap, why := s.taken(t, inVisit{"A17", "ab", "V1,V2"}.message(group, 1))
				if s.settled(t); why != "" {
					t.Fatal(why)
				}
				s.taken(t, move.message(group, 2))
				s.settled(t)
				state, why, err := s.State(ctx, swap)
				must(t, err)
				if state != "held" || !strings.Contains(why, "was moved to another patient: this trigger is not mapped") {
					t.Errorf("after a move %q of V9, and then %s of %s: the swap is %s %q", before, move.patient, move.visit, state, why)
				}
				for _, patient := range []string{"a", "b"} {
					reader, ask := s.ask(t)
					if _, err := reader.Chart(ctx, ask, fhir.Ref{Type: "Patient", ID: chartInVisit(group + patient)}); err == nil && strings.Contains(s.told(t, group+patient), "Encounter") {
						t.Errorf("after a move %q of V9, and then %s of %s: %s still has a bed", before, move.patient, move.visit, patient)
					}
				}
			}
		}
	})
}

// The two patients of a swap of beds are not one: a visit of the one that moved is none of
// the other's, though the two visits have one number.
func TestASwapOfBedsBesideAVisitOfTheSameNumber(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		s := start(t, dsn, nil)
		for i, order := range [][]int{{0, 1}, {1, 0}} {
			group := fmt.Sprintf("14.%d.", i)
			story := []inbox.Message{inVisit{"A45", "bc", "V1"}.message(group, 0), inVisit{"A17", "ab", "V1,V2"}.message(group, 1)}
			for _, n := range order {
				s.put(t, story[n])
				s.settled(t)
			}
			before := s.told(t, group+"a")
			if !strings.Contains(before, `"Encounter","id"`) {
				t.Errorf("%v: no visit is told: %s", order, before)
			}
			s.replayAll(t)
			if after := s.told(t, group+"a"); after != before {
				t.Errorf("%v: applied again: %s", order, firstDifference(after, before))
			}
		}
	})
}

// A visit was taken for another patient's. With the A45, or the A44 of the
// account on which it is booked, all that was sent under it,
// and all that comes later, is read in the chart of the patient whose it is, under ids
// of that chart, and nothing of it in the other; who each of the two is stays where it
// is. What is withheld stays so. A contrary one takes it back, with what was sent for
// the second patient meanwhile.
func TestAVisitMovesToAnotherPatient(t *testing.T) {
	for by, visit := range map[string]string{"A45": "V1", "A44": "V1/K1"} {
		t.Run(by, func(t *testing.T) {
			databases(t, func(t *testing.T, dsn string) { moveAndBack(t, dsn, by, visit) })
		})
	}
}

func moveAndBack(t *testing.T, dsn, by, visit string) {
	s := start(t, dsn, nil)
	n := 0
	tell := func(kind, patient, visit string) {
		t.Helper()
		s.put(t, inVisit{kind, patient, visit}.message("7", n))
		s.settled(t)
		n++
	}
	both := func() [2]string { return [2]string{s.told(t, "7a"), s.told(t, "7b")} }
	expect := func(when, has, hasNot, value string) {
		t.Helper()
		for _, patient := range []string{"a", "b"} {
			told, other := s.told(t, "7"+patient), map[string]string{"a": "b", "b": "a"}[patient]
			name, _, _ := strings.Cut(inVisitNames[other], "^")
			for _, foreign := range []string{chartInVisit("7" + other), name, "7" + other + `"`, "Kin-of-" + other, "7917-8"} {
				if strings.Contains(told, foreign) {
					t.Errorf("%s: the chart of %s tells %s: %s", when, patient, foreign, told)
				}
			}
			for _, own := range []string{"Kin-of-" + patient, "Penicillin"} {
				if !strings.Contains(told, own) {
					t.Errorf("%s: the chart of %s does not tell %s", when, patient, own)
				}
			}
			if by == "A44" {
				if got := strings.Contains(told, `"Account","id"`); got != (patient == has) {
					t.Errorf("%s: the account is in the chart of %s: %v", when, patient, got)
				}
			}
			for _, of := range []string{`"Encounter","id"`, "Asthma", `"value":` + value, `"DiagnosticReport","id"`} {
				if got := strings.Contains(told, of); got != (patient == has) {
					t.Errorf("%s: %s is in the chart of %s: %v", when, of, patient, got)
				}
			}
		}
	}
	tell("A01", "a", visit)
	tell("sodium", "a", visit)
	tell("hiv", "a", visit)
	tell("A31", "b", "")
	expect("before", "a", "b", "11")
	before := both()

	tell(by, "ab", visit)
	expect("moved", "b", "a", "11")
	tell("sodium", "a", visit) // the laboratory does not know yet
	expect("a late result", "b", "a", "15")
	after := both()
	s.replayAll(t)
	if got := both(); got != after {
		t.Errorf("replayed: %s\nbefore: %s", got, after)
	}
	s.stop()
	var mute atomic.Bool // as under a dialect by which no message moves a visit
	s = start(t, dsn, nil, func(p *Pipeline) {
		p.apply = func(k *mapping.Keys, m inbox.Message) (mapping.Result, error) {
			r, err := mapping.Map(k, m)
			if mute.Load() {
				r.Moves = nil
			}
			return r, err
		}
	})
	if got := both(); got != after {
		t.Errorf("after a new start: %s\nbefore: %s", got, after)
	}

	tell("sodium", "b", visit)
	tell(by, "ba", visit)
	expect("taken back", "a", "b", "16")
	if got := s.told(t, "7b"); got != before[1] {
		t.Errorf("taken back, the second patient's chart: %s\nbefore: %s", got, before[1])
	}
	taken := both()

	m := inVisit{by, "ab", visit}.message("7", n)
	id := s.put(t, m)
	s.settled(t)
	expect("moved again", "b", "a", "16")
	mute.Store(true)
	must(t, s.Replay(ctx, id))
	s.settled(t)
	if got := both(); got != taken {
		t.Errorf("replayed and no move any more: %s\nbefore: %s", got, taken)
	}
}

// Visits of other patients that have the same number and moved, too, are no business of
// a patient whose visit moved: what is withheld of them withholds nothing.
func TestVisitsOfOneNumberAreStrangers(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		s := start(t, dsn, nil)
		tell := func(group, reason string) {
			for n, e := range []booking{{"S12", "a", "KL", reason}, {"A45", "ab", "", ""}} {
				if _, why := s.taken(t, e.message(group, n)); why != "" {
					t.Fatalf("%s: held: %s", group, why)
				}
			}
			s.settled(t)
		}
		tell("10.", "check")
		before := s.all(t, "10.", nil)
		tell("11.", "hiv")
		if after := s.all(t, "10.", nil); after != before || !strings.Contains(before, `"Appointment","id"`) {
			t.Errorf("%s", firstDifference(after, before))
		}
	})
}

// Whatever the order in which a visit's messages and its moves come, and however often:
// the charts end as in the order in which they were sent. That a process ends between
// a move and what follows it changes nothing.
func TestMovesInAnyOrderEndTheSame(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		s := start(t, dsn, nil)
		seeds := uint64(3)
		if s.Postgres() {
			seeds = 1
		}
		for seed := range seeds + 1 {
			by, v1, v2 := "A45", "V1", "V2"
			if seed == seeds {
				by, v1, v2 = "A44", "V1/K1", "V2/K1"
			}
			r := rand.New(rand.NewPCG(seed, 45))
			any := func(of ...string) string { return of[r.IntN(len(of))] }
			story := []inVisit{{"A01", "a", v1}, {by, "ab", v1}}
			for range 3 + r.IntN(5) {
				story = append(story, inVisit{any("A01", "A03", "A08", "A11", "sodium", "hiv", by), any("a", "b"), any(v1, v1, v2)})
				if last := &story[len(story)-1]; last.kind == by {
					last.patient, last.visit = any("ab", "ba", "bc"), v1
				}
			}
			var want [3]string
			for j, order := range orders(r, len(story), 3) {
				group := fmt.Sprintf("%d.%d", seed, j)
				for i, n := range order {
					_, err := s.Put(ctx, story[n].message(group, n))
					must(t, err)
					if j == 2 && i == len(order)/2 {
						s.stop()
						s = start(t, dsn, nil)
					}
				}
				s.settled(t)
				var got [3]string
				for i, patient := range []string{"a", "b", "c"} {
					got[i] = "nobody"
					reader, ask := s.ask(t)
					if _, err := reader.Chart(ctx, ask, fhir.Ref{Type: "Patient", ID: chartInVisit(group + patient)}); err == nil {
						lines := strings.Split(conditionID.ReplaceAllString(strings.ReplaceAll(s.told(t, group+patient), group, ""), "Condition"), "\n")
						slices.Sort(lines)
						got[i] = strings.Join(lines, "\n")
					}
				}
				if j == 0 {
					want = got
				} else if got != want {
					t.Fatalf("seed %d: %v\nin the order %v:\n%s", seed, story, order, firstDifference(strings.Join(got[:], "\n"), strings.Join(want[:], "\n")))
				}
			}
		}
	})
}

// conditionID is a diagnosis' id, which depends on the patient's number.
var conditionID = regexp.MustCompile(`Condition(/|","id":")CHART-[a-z2-7]+`)

// What could not follow a visit as a whole holds the move, with a reason; nothing is in
// two charts.
func TestMovesThatAreHeld(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		s := start(t, dsn, nil)
		for i, row := range []struct {
			name  string
			story []inVisit
			edit  [2]string // in the last message
			want  string
		}{
			{"a result of the visit was sent without its number", []inVisit{{"sodium", "a", "V1"}, {"sodium", "a", ""}, {"A45", "ab", "V1"}}, [2]string{}, "results or orders of the visit were sent without its number"},
			{"a result of a visit that moved comes without its number", []inVisit{{"sodium", "a", "V1"}, {"A45", "ab", "V1"}, {"sodium", "a", ""}}, [2]string{}, "the order is of a visit that was moved"},
			{"the visit of a result came without its number before", []inVisit{{"A01", "a", "V1"}, {"A45", "ab", "V1"}, {"sodium", "a", ""}, {"sodium", "a", "V1"}}, [2]string{}, "results or orders of it were sent without its number"},
			{"no visit number", []inVisit{{"A01", "a", "V1"}, {"A45", "ab", ""}}, [2]string{}, "no prior visit number"},
			{"no patient from whom", []inVisit{{"A45", "ab", "V1"}}, [2]string{"MRG|2.3a^^^GENERAL^MR", "MRG|"}, "no prior patient identifier"},
			{"another number", []inVisit{{"A45", "ab", "V1"}}, [2]string{"||||||||||||||||V1\r", "||||||||||||||||V9\r"}, "another number as it moves"},
			{"two visits", []inVisit{{"A45", "ab", "V1"}, {"A01", "a", "V1"}}, [2]string{"DG1|1|", "PV1|1|I|W2||||||||||||||||V2\rDG1|1|"}, "one of the visits was moved"},
			{"a number that changes after the move", []inVisit{{"A45", "ab", "V1"}, {"A50", "a", "V1"}}, [2]string{"PV1|1|I|W1||||||||||||||||V1", "MRG|2.3a^^^GENERAL^MR||||V1\rPV1|1|I|W1||||||||||||||||V9"}, "this trigger is not mapped"},
			{"something of an account's visit was sent without its number", []inVisit{{"A01", "a", "V1/K1"}, {"sodium", "a", "V1"}, {"A44", "ab", "V1/K1"}}, [2]string{}, "something of the account's visits was sent without"},
			{"a result of an account that moved comes without its number", []inVisit{{"A01", "a", "V1/K1"}, {"A44", "ab", "V1/K1"}, {"sodium", "a", "V1"}}, [2]string{}, "the message does not name the account"},
			{"the account moved and one of its visits is to go elsewhere", []inVisit{{"A01", "a", "V1/K1"}, {"A44", "ab", "V1/K1"}, {"A45", "ba", "V1"}}, [2]string{}, "the visit is of an account that was moved"},
			{"the visit moved one way and its account another", []inVisit{{"A45", "ba", "V1"}, {"A44", "ab", "V1/K1"}, {"A01", "a", "V1/K1"}}, [2]string{}, "the visit was moved to one patient, and its account to another"},
			{"the account and its visit went to different patients", []inVisit{{"A45", "ac", "V1"}, {"A44", "ab", "V1/K1"}, {"A01", "a", "V1/K1"}}, [2]string{}, "or its account elsewhere"},
			{"no account number", []inVisit{{"A44", "ab", "V1"}}, [2]string{}, "no prior account number"},
			{"another account number", []inVisit{{"A44", "ab", "V1/K1"}}, [2]string{"||K1^^^GENERAL\rPD1", "||K2^^^GENERAL\rPD1"}, "another number as it moves"},
			{"the patient is in doubt", []inVisit{{"A01", "a", "V1"}, {"A01", "b", "V2"}, {"A45", "ab", "V1"}}, [2]string{}, "doubtful identity"},
		} {
			group := fmt.Sprintf("2.%d", i)
			for n, e := range row.story {
				if strings.Contains(row.name, "doubt") && n == len(row.story)-1 {
					doubtful := inVisit{"A01", "b", "V2"}.message(group, 20)
					doubtful.Body = []byte(strings.ReplaceAll(string(doubtful.Body), inVisitNames["b"], "Oak^Olga||19900909|F"))
					if _, why := s.taken(t, doubtful); why == "" {
						t.Fatal("nobody doubts")
					}
				}
				m := e.message(group, n)
				last := n == len(row.story)-1
				if last && row.edit[0] != "" {
					m.Body = []byte(strings.ReplaceAll(string(m.Body), strings.ReplaceAll(row.edit[0], "2.3", group), strings.ReplaceAll(row.edit[1], "2.3", group)))
				}
				_, why := s.taken(t, m)
				s.settled(t)
				if last && !strings.Contains(why, row.want) || !last && why != "" {
					t.Errorf("%s: message %d is held for %q", row.name, n, why)
				}
			}
		}
	})
}

// A result that came before its visit, and was withheld for what a later report of the
// same order says, stays withheld when that report leaves with the visit, and when it
// comes back.
func TestWhatAVisitLeavesBehindStaysWithheld(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		s := start(t, dsn, nil)
		order := func(n int, visit, rest string) inbox.Message {
			m := inVisit{"A01", "a", "V1"}.message("4", n)
			m.Body = fmt.Appendf(nil, "MSH|^~\\&|LAB|GENERAL|FB|FB|2026030109%02d||ORU^R01^ORU_R01|o%d|P|2.5.1\rPID|1||4a^^^GENERAL^MR||%s\r%sOBR|1|P1|F1|PROC^Lab procedure^L|||20260301|||||||||||||||2026030109%02d|||F\r%s",
				n, n, inVisitNames["a"], visit, n, rest)
			return m
		}
		shown := func(when string, want int) {
			t.Helper()
			reader, ask := s.ask(t)
			v, err := reader.Chart(ctx, ask, fhir.Ref{Type: "Patient", ID: chartInVisit("4a")})
			must(t, err)
			if n := len(v.Of("Observation")) + len(v.Of("DiagnosticReport")); n != want {
				t.Errorf("%s %d resources of the order are shown, want %d", when, n, want)
			}
		}
		for n, m := range []inbox.Message{
			inVisit{"A01", "a", "V1"}.message("4", 0),
			order(1, "", "OBX|1|ST|RESULT^Result^L||pending||||||F\r"),
			order(2, "PV1|1|I|W1||||||||||||||||V1\r", "OBX|1|ST|RESULT^Result^L||Positive||||||F\rNTE|1||Therapeutic abortion discussed, early pregnancy confirmed\r"),
			inVisit{"A45", "ab", "V1"}.message("4", 3),
			inVisit{"A45", "ba", "V1"}.message("4", 4),
		} {
			if _, why := s.taken(t, m); why != "" {
				t.Fatalf("message %d is held: %s", n, why)
			}
			s.settled(t)
			want := 0
			if n == 1 {
				want = 2
			}
			shown(fmt.Sprintf("after message %d", n), want)
		}
	})
}

// A visit that was told of by a message whose text was purged does not move, for that
// cannot be applied again; another visit of the patient does.
func TestMovesAfterAPurge(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		s := start(t, dsn, nil)
		for n, e := range []inVisit{{"A01", "a", "V1"}, {"A01", "b", "V3"}} {
			s.put(t, e.message("3", n))
		}
		s.settled(t)
		if n, err := s.record.Purge(t.Context(), func(string) time.Duration { return time.Nanosecond }); n != 2 || err != nil {
			t.Fatalf("%d messages are purged: %v", n, err)
		}
		s.put(t, inVisit{"A01", "a", "V2"}.message("3", 2))
		s.settled(t)
		before := s.told(t, "3a")
		if _, why := s.taken(t, inVisit{"A45", "ab", "V1"}.message("3", 3)); !strings.Contains(why, "stored no longer") {
			t.Errorf("the move of what was purged is held for %q", why)
		}
		if s.told(t, "3a") != before {
			t.Error("something moved all the same")
		}
		if _, why := s.taken(t, inVisit{"A45", "ab", "V2"}.message("3", 4)); why != "" {
			t.Errorf("the other visit does not move: %s", why)
		}
		s.settled(t)
		if b := s.told(t, "3b"); !strings.Contains(b, "V2") || strings.Contains(s.told(t, "3a"), "V2") {
			t.Error("the other visit is not where it belongs")
		}
	})
}

// A text that is purged between the look for what moves and the move holds it: nothing of
// the visit stays behind unseen.
func TestAMoveDuringAPurge(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		var s *system
		var purge func()
		s = begin(t, dsn, nil, func(keys *mapping.Keys) func(inbox.Message) ([]fhir.Resource, error) {
			return func(m inbox.Message) ([]fhir.Resource, error) {
				all, err := Remake(keys)(m)
				if purge != nil && len(m.Moves) > 0 { // it was seen that it follows
					then := purge
					purge = nil
					then()
				}
				return all, err
			}
		})
		s.put(t, inVisit{"A01", "a", "V1"}.message("15", 0))
		s.settled(t)
		before := s.told(t, "15a")
		purge = func() {
			if n, err := s.record.Purge(t.Context(), func(string) time.Duration { return time.Nanosecond }); n != 1 || err != nil {
				t.Errorf("%d messages are purged: %v", n, err)
			}
		}
		if _, why := s.taken(t, inVisit{"A45", "ab", "V1"}.message("15", 1)); !strings.Contains(why, "stored no longer") {
			t.Errorf("the move is held for %q", why)
		}
		if s.settled(t); s.told(t, "15a") != before {
			t.Error("something moved all the same")
		}
	})
}

// firstDifference is where two texts differ.
func firstDifference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			return strings.Join(a[min(i, len(a)):min(i+2, len(a))], "\n") + "\nas sent:\n" + strings.Join(b[min(i, len(b)):min(i+2, len(b))], "\n")
		}
	}
	return ""
}

// Of one order something was sent under each of two visits, of which one moves to another
// patient: what the order is withheld for in the one chart withholds it in the other,
// whatever came first, and no longer once it is corrected.
func TestAnOrderInTwoChartsIsWithheldInBoth(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		s := start(t, dsn, nil)
		r := rand.New(rand.NewPCG(4, 5))
		for i := range 8 {
			group := fmt.Sprintf("7.%d", i)
			order := func(n int, visit, rest string) inbox.Message {
				m := inVisit{"A01", "a", visit}.message(group, n)
				m.Body = fmt.Appendf(nil, "MSH|^~\\&|LAB|GENERAL|FB|FB|2026030109%02d||ORU^R01^ORU_R01|o%d|P|2.5.1\rPID|1||%sa^^^GENERAL^MR||%s\rPV1|1|I|W1||||||||||||||||%s\rOBR|1|P1|F1|PROC^Lab procedure^L|||20260301|||||||||||||||2026030109%02d|||F\r%s",
					n, n, group, inVisitNames["a"], visit, n, rest)
				return m
			}
			story := []inbox.Message{
				inVisit{"A01", "a", "V1"}.message(group, 0),
				inVisit{"A01", "b", "V3"}.message(group, 1),
				order(2, "V1", "OBX|1|ST|RESULT^Result^L||pending||||||F\r"),
				order(3, "V2", "OBX|1|ST|RESULT^Result^L||Positive||||||F\rNTE|1||Therapeutic abortion discussed, early pregnancy confirmed\r"),
				inVisit{"A45", "ab", "V1"}.message(group, 4),
			}
			if i >= 6 { // and the two patients are one
				merge := inVisit{"A45", "ab", "V1"}.message(group, 5)
				merge.Body = []byte(strings.NewReplacer("A45", "A40", "||||V1\r", "\r", "PV1|1|I|W1||||||||||||||||V1\r", "").Replace(string(merge.Body)))
				story = append(story, merge)
			}
			shown := func(patient string) int {
				reader, ask := s.ask(t)
				v, err := reader.Chart(ctx, ask, fhir.Ref{Type: "Patient", ID: chartInVisit(group + patient)})
				must(t, err)
				return len(v.Of("Observation")) + len(v.Of("DiagnosticReport"))
			}
			for _, n := range r.Perm(len(story)) {
				if _, why := s.taken(t, story[n]); why != "" {
					t.Fatalf("%d: message %d is held: %s", i, n, why)
				}
				s.settled(t)
			}
			for range 2 {
				if a, b := shown("a"), shown("b"); a != 0 || b != 0 {
					t.Errorf("%d: %d resources of the order are shown to one, %d to the other", i, a, b)
				}
				s.replayAll(t)
			}
			_, why := s.taken(t, order(6, "V2", "OBX|1|ST|RESULT^Result^L||Negative||||||C\r"))
			if s.settled(t); why != "" {
				t.Fatal(why)
			}
			if a, b := shown("a"), shown("b"); a == 0 || b == 0 {
				t.Errorf("%d: corrected, %d resources of the order are shown to one, %d to the other", i, a, b)
			}
		}
	})
}
