package pipeline

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"firebreak/inbox"
	"firebreak/mapping"
)

// event is one message of a visit's story, or a result.
type event struct {
	trigger       string // A01; R01 for a result
	place, before string // PV1-3, PV1-6; of a result its value
	state         string // of a result: P, F, C
}

// message is the event as the nth of a patient's messages, sent n minutes on.
func (e event) message(number string, n int) inbox.Message {
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Minute)
	stamp := at.Format("20060102150405")
	typ, class, end := "ADT^"+e.trigger, "I", ""
	switch e.trigger {
	case "R01":
		typ = "ORU^R01"
	case "A03":
		end = stamp
	case "A04":
		class = "O"
	case "A05", "A14":
		class = "P"
	}
	body := fmt.Sprintf("MSH|^~\\&|EHR|GENERAL|FB|FB|%s||%s|c%d|P|2.5\r", stamp, typ, n)
	if e.trigger != "R01" {
		body += fmt.Sprintf("EVN|%s|%s||||%s\r", e.trigger, stamp, stamp)
	}
	body += fmt.Sprintf("PID|1||%s^^^GENERAL^MR||Roe^Jane||19700131|F\r", number)
	if e.trigger == "R01" {
		body += fmt.Sprintf("OBR|1|P1|F1|2951-2^Sodium^LN|||20260301|||||||||||||||%s|||%s\rOBX|1|NM|2951-2^Sodium^LN||%s|mmol/L|||||%s\r", stamp, e.state, e.place, e.state)
	} else {
		pv1 := make([]string, 46)
		pv1[0], pv1[1], pv1[2], pv1[3], pv1[6], pv1[19], pv1[45] = "PV1", "1", class, e.place, e.before, "V1", end
		body += strings.TrimRight(strings.Join(pv1, "|"), "|") + "\r"
	}
	return inbox.Message{Source: "ward", Kind: inbox.HL7v2, ControlID: fmt.Sprint("c", n), Received: at, Body: []byte(body)}
}

// tell has a patient's events sent in that order of their places in the story.
func (s *system) tell(t testing.TB, number string, story []event, order []int) {
	t.Helper()
	var ids []inbox.ID
	for _, n := range order {
		r, err := s.Put(ctx, story[n].message(number, n))
		must(t, err)
		ids = append(ids, r.ID)
	}
	for _, id := range ids {
		must(t, s.Applied(ctx, id))
	}
}

// told is all that is shown of a patient with every version, whoever it is.
func (s *system) told(t testing.TB, number string) string {
	t.Helper()
	key, err := mapping.PatientKey(s.keys, event{}.message(number, 0))
	must(t, err)
	v := s.chart(t, key)
	var b strings.Builder
	for _, r := range v.All() {
		for _, h := range v.History(r.Resource().Ref()) {
			res, err := h.Resource().Without("meta")
			must(t, err)
			fmt.Fprintf(&b, "%s %s\n", h.At().Format(time.TimeOnly), res.JSON())
		}
	}
	return strings.NewReplacer(key, "CHART", `"`+number+`"`, `"NUMBER"`).Replace(b.String())
}

// orders are some orders of n things, each with some of them twice; the first is
// the one in which they were sent.
func orders(r *rand.Rand, n, many int) [][]int {
	first := make([]int, n)
	for i := range first {
		first[i] = i
	}
	all := [][]int{first}
	backwards := slices.Clone(first)
	slices.Reverse(backwards)
	for all = append(all, backwards); len(all) < many; {
		next := append(slices.Clone(first), r.IntN(n), r.IntN(n))
		r.Shuffle(len(next), func(i, j int) { next[i], next[j] = next[j], next[i] })
		all = append(all, next)
	}
	return all
}

// A visit is what the latest message says of it, and what is taken back was never
// so: in whatever order the messages come.
func TestVisitsStory(t *testing.T) {
	s := start(t, t.TempDir()+"/record.db", nil)
	r := rand.New(rand.NewPCG(1, 1))
	for i, row := range []struct {
		name   string
		story  []event
		status string
		places []string // the last version's, current first
	}{
		{"admitted, moved and discharged", []event{{"A01", "W1", "", ""}, {"A02", "W2", "W1", ""}, {"A03", "W2", "", ""}}, "finished", []string{"W2 completed"}},
		{"moved twice", []event{{"A01", "W1", "", ""}, {"A02", "W2", "W1", ""}, {"A02", "W3", "W2", ""}}, "in-progress", []string{"W3 active from 08:02:00", "W2 completed until 08:02:00"}},
		{"admission cancelled", []event{{"A01", "W1", "", ""}, {"A11", "W1", "", ""}}, "cancelled", []string{"W1 "}},
		{"admission cancelled, and again", []event{{"A01", "W1", "", ""}, {"A11", "W1", "", ""}, {"A01", "W2", "", ""}}, "in-progress", []string{"W2 active"}},
		{"announced and admitted", []event{{"A05", "W1", "", ""}, {"A01", "W1", "", ""}}, "in-progress", []string{"W1 active"}},
		{"announced and called off", []event{{"A05", "W1", "", ""}, {"A38", "W1", "", ""}}, "cancelled", []string{"W1 "}},
		{"transfer cancelled", []event{{"A01", "W1", "", ""}, {"A02", "W2", "W1", ""}, {"A12", "W1", "W2", ""}}, "in-progress", []string{"W1 active"}},
		{"discharge cancelled", []event{{"A01", "W1", "", ""}, {"A03", "W1", "", ""}, {"A13", "W1", "", ""}}, "in-progress", []string{"W1 active"}},
		{"discharge cancelled, and discharged again", []event{{"A01", "W1", "", ""}, {"A03", "W1", "", ""}, {"A13", "W1", "", ""}, {"A03", "W1", "", ""}}, "finished", []string{"W1 completed"}},
		{"discharge planned and not", []event{{"A01", "W1", "", ""}, {"A16", "W1", "", ""}, {"A25", "W1", "", ""}}, "in-progress", []string{"W1 active"}},
		{"transfer planned and not", []event{{"A01", "W1", "", ""}, {"A15", "W1", "", ""}, {"A26", "W1", "", ""}}, "in-progress", []string{"W1 active"}},
		{"admission planned and not", []event{{"A14", "W1", "", ""}, {"A27", "W1", "", ""}}, "cancelled", []string{"W1 "}},
		{"on leave", []event{{"A01", "W1", "", ""}, {"A21", "W1", "", ""}}, "onleave", []string{"W1 active"}},
		{"back from leave", []event{{"A01", "W1", "", ""}, {"A21", "W1", "", ""}, {"A22", "W1", "", ""}}, "in-progress", []string{"W1 active"}},
		{"leave cancelled", []event{{"A01", "W1", "", ""}, {"A21", "W1", "", ""}, {"A52", "W1", "", ""}}, "in-progress", []string{"W1 active"}},
		{"not back from leave", []event{{"A01", "W1", "", ""}, {"A21", "W1", "", ""}, {"A22", "W1", "", ""}, {"A53", "W1", "", ""}}, "onleave", []string{"W1 active"}},
		{"outpatient admitted", []event{{"A04", "W1", "", ""}, {"A06", "W2", "W1", ""}}, "in-progress", []string{"W2 active", "W1 completed"}},
		{"a record made by mistake", []event{{"A04", "W1", "", ""}, {"A23", "W1", "", ""}}, "entered-in-error", []string{"W1 "}},
	} {
		want := ""
		for j, order := range orders(r, len(row.story), 3) {
			number := fmt.Sprintf("%d-%d", i, j)
			s.tell(t, number, row.story, order)
			got := s.told(t, number)
			if j > 0 {
				if got != want {
					t.Errorf("%s, in the order %v:\n%s\nas sent:\n%s", row.name, order, got, want)
				}
				continue
			}
			want = got
			key, err := mapping.PatientKey(s.keys, event{}.message(number, 0))
			must(t, err)
			v := s.chart(t, key)
			visits := v.Of("Encounter")
			if len(visits) != 1 {
				t.Fatalf("%s: %d visits", row.name, len(visits))
			}
			visit := visits[0].Resource()
			var places []string
			for l := range visit.All("location") {
				for _, p := range v.Of("Location") {
					if l.At("location.reference").Is("Location/" + p.Resource().ID()) {
						place := p.Resource().Get("name").Text() + " " + l.Get("status").Text()
						for _, end := range []struct{ name, word string }{{"start", " from "}, {"end", " until "}} {
							if _, clock, ok := strings.Cut(l.At("period."+end.name).Text(), "T"); ok {
								place += end.word + clock[:8]
							}
						}
						places = append(places, place)
					}
				}
			}
			if visit.Get("status").Text() != row.status || !slices.Equal(places, row.places) {
				t.Errorf("%s: %s at %q, want %s at %q", row.name, visit.Get("status").Text(), places, row.status, row.places)
			}
			says := len(row.story)
			if strings.HasSuffix(row.name, "planned and not") && row.status == "in-progress" {
				says = 1 // a plan without a time changes nothing of the visit
			}
			if n := len(v.History(visits[0].Resource().Ref())); n != says {
				t.Errorf("%s: %d versions of %d messages, want %d", row.name, n, len(row.story), says)
			}
		}
	}
}

// Any order and any repetition of a patient's messages ends in the same record as
// the sent order, version by version; and replaying everything changes nothing.
func TestAnyOrderEndsTheSame(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		s := start(t, dsn, nil)
		seeds := uint64(6)
		if s.Postgres() {
			seeds = 1
		}
		said := map[string]string{}
		for seed := range seeds {
			r := rand.New(rand.NewPCG(seed, 2))
			any := func(of ...string) string { return of[r.IntN(len(of))] }
			var story []event
			for range 3 + r.IntN(6) {
				if r.IntN(3) == 0 {
					story = append(story, event{"R01", any("139", "140", "141"), "", any("P", "F", "C")})
					continue
				}
				story = append(story, event{any("A01", "A02", "A03", "A04", "A05", "A08", "A11", "A12", "A13", "A21", "A22", "A25", "A31", "A38"), any("W1", "W2"), any("", "W1", "W2"), ""})
			}
			for j, order := range orders(r, len(story), 3) {
				number := fmt.Sprintf("%d-%d", seed, j)
				s.tell(t, number, story, order)
				said[number] = s.told(t, number)
				if want := said[fmt.Sprintf("%d-0", seed)]; said[number] != want {
					t.Fatalf("seed %d: %v\nin the order %v:\n%s\nas sent:\n%s", seed, story, order, said[number], want)
				}
			}
		}
		stats, err := s.Stats(ctx)
		must(t, err)
		var all []inbox.ID
		for id := inbox.ID(1); id <= stats.Last; id++ {
			if state, _, err := s.State(ctx, id); err == nil && state != "" {
				all = append(all, id)
			}
		}
		must(t, s.Replay(ctx, all...))
		for _, id := range all {
			must(t, s.Applied(ctx, id))
		}
		for number, want := range said {
			if got := s.told(t, number); got != want {
				t.Errorf("%s, replayed:\n%s\nbefore:\n%s", number, got, want)
			}
		}
	})
}
