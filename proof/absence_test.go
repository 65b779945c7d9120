package proof_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"firebreak/internal/pgtest"
)

// trial is one world told to two houses, and the questions asked of both.
type trial struct {
	t       testing.TB
	world   *world
	sides   [2]side // of the houses
	rules   []policyFile
	house   [2]*house
	asker   *asker
	asked   int
	now     time.Time
	deaf    bool        // nobody subscribes
	noticed int         // what subscribers were told, in one house
	round   time.Time   // the last moment of the subscribers' grid
	others  []*audience // who ask the API the same just before, and may get what answers they like
	before  []*question // of pages: they may depend on each other
	failure *failure
	through *coverage // of channels; nil for not counted
}

func newTrial(t testing.TB, w *world, sides [2]side, dsns [2]string) *trial {
	x := &trial{t: t, world: w, sides: sides, rules: policies(t)}
	one := "none"
	if len(w.people) > 0 {
		one = w.people[0].id()
	}
	for i := range x.house {
		if dsns[i] == "" && os.Getenv("FIREBREAK_PROOF_DB") == "postgres" {
			dsns[i] = pgtest.DSN(t)
		}
		x.house[i] = open(t, dsns[i])
	}
	all := audiences(t, one)
	x.asker = &asker{Rand: rand.New(rand.NewPCG(w.seed, 4711)), world: w, all: all, asks: all, known: newWords(), hidden: newWords(), found: newWords()}
	return x
}

func (x *trial) close() {
	for _, h := range x.house {
		if err := h.close(); err != nil {
			x.t.Error(err)
		}
	}
}

// run tells the world and asks so many questions on the way, half of them at
// the end. It ends at the first answer that tells.
func (x *trial) run(questions int) {
	x.subscribe()
	pending := 0
	stops := map[int]int{len(x.world.events) / 3: questions / 4, 2 * len(x.world.events) / 3: questions / 4}
	due := 0
	for i, e := range x.world.events {
		x.tell(e)
		if e.opens {
			pending++
		}
		if e.closes {
			pending--
		}
		if due += stops[i]; due > 0 && pending == 0 && i+1 < len(x.world.events) {
			x.traffic()
			if x.notify(i); x.failure != nil {
				return
			}
			x.harvest(false)
			x.lists(i)
			x.interrogate(i, due)
			due = 0
		}
		if x.failure != nil {
			return
		}
	}
	x.traffic()
	if x.notify(len(x.world.events) - 1); x.failure != nil {
		return
	}
	x.launches()
	x.lists(len(x.world.events) - 1)
	if questions == 0 || x.failure != nil {
		return
	}
	x.harvest(true)
	x.interrogate(len(x.world.events)-1, questions/2+due)
}

// lists asks for each Group in every way, mostly as who looks across records.
func (x *trial) lists(last int) {
	for _, id := range x.world.rosters {
		rules := x.rules[x.asker.IntN(3)]
		who := x.asker.all[7]
		if x.asker.IntN(4) == 0 {
			who = x.asker.all[x.asker.IntN(len(x.asker.all))]
		}
		if who.pages() || !slices.Contains(x.asker.asks, who) {
			continue
		}
		v := url.Values{"_lastUpdated": {pick(x.asker, "ge", "lt") + x.asker.instant()}}
		for _, target := range []string{"/Group/" + id, "/Group/" + id + "/_history?_since=" + x.asker.instant(), "/Group?_sort=-_lastUpdated&_total=accurate", "/Group?_id=" + id + "&member=Patient/" + x.asker.patient(),
			"/Patient/" + x.asker.patient() + "/Group", "/Group?" + v.Encode(), "/Group/" + id + "/$export"} {
			q := question{who: who, method: http.MethodGet, target: "/fhir" + target, at: x.now, seed: x.asker.Uint64(), header: http.Header{}}
			if strings.HasSuffix(target, "$export") {
				q.header.Set("Prefer", "respond-async")
			}
			if x.compare(rules, q, last); x.failure != nil {
				return
			}
		}
	}
}

func (x *trial) tell(e *event) {
	if err := x.tellQuietly(e); err != nil {
		x.t.Fatalf("seed %d, %s: %v\n%s", x.world.seed, e.what, err, story(e.whole))
	}
}

func (x *trial) tellQuietly(e *event) error {
	x.now = e.at
	for i, h := range x.house {
		if m, ok := e.message(x.sides[i]); ok {
			if err := h.tell(m); err != nil {
				return err
			}
		}
	}
	return nil
}

// traffic is a harmless message on every feed, about somebody else.
func (x *trial) traffic() {
	for _, e := range background(x.now) {
		x.tell(e)
	}
}

func (x *trial) interrogate(last, n int) {
	for range n {
		q := x.asker.next()
		rules := x.rules[0]
		if k := x.asker.IntN(8); k < 2 {
			rules = x.rules[1+k]
		}
		x.now = x.now.Add(20 * time.Millisecond)
		q.at = x.now
		if len(x.others) > 0 && q.method == http.MethodGet && !q.who.pages() {
			first := q
			first.who = x.others[x.asker.IntN(len(x.others))]
			for _, h := range x.house {
				h.under(x.t, rules).ask(first)
			}
		}
		if x.compare(rules, q, last); x.failure != nil {
			return
		}
	}
}

var searchMade = regexp.MustCompile(`/find\?n=([A-Z0-9]+)`)

// compare asks both houses; what differs is the trial's failure.
func (x *trial) compare(rules policyFile, q question, last int) {
	var got [2]answer
	var made [2]string
	for i, h := range x.house {
		got[i] = h.under(x.t, rules).ask(q)
		if m := searchMade.FindStringSubmatch(got[i].header.Get("Location")); m != nil { // a search at the pages gets a number by chance
			made[i] = m[1]
			got[i].header.Set("Location", "/find?n=N")
			got[i].body = bytes.ReplaceAll(got[i].body, []byte(m[1]), []byte("N"))
		}
	}
	x.asked++
	if x.through != nil {
		x.through.see(x, q, got[1])
	}
	if q.who.pages() && q.method == http.MethodGet {
		defer func() { x.before = append(x.before, &q) }()
	}
	why := differ(got[0], got[1])
	if why == "" {
		why = x.told(q, got[1])
	}
	if why != "" {
		x.fail(rules, q, last, got, why)
		return
	}
	if x.asker.IntN(6) == 0 || q.who.pages() || bytes.Contains(got[1].body, []byte(`"next"`)) {
		x.asker.found.learn(q, got[1])
	}
	if made[0] != "" {
		for i, h := range x.house {
			q := question{who: q.who, method: http.MethodGet, target: "/find?n=" + made[i], at: q.at, seed: q.seed + 1}
			got[i] = h.under(x.t, rules).ask(q)
			got[i].body = bytes.ReplaceAll(got[i].body, []byte(made[i]), []byte("N"))
		}
		x.asked++
		if why := differ(got[0], got[1]); why != "" {
			x.fail(rules, q, last, got, why)
			return
		}
		x.asker.found.learn(q, got[1])
	}
}

func (x *trial) fail(rules policyFile, q question, last int, got [2]answer, why string) {
	x.failure = &failure{seed: x.world.seed, sides: x.sides, events: x.world.events[:last+1], policy: rules, ask: q, asked: x.asked, got: got, why: why}
	for _, b := range x.before {
		if b.who == q.who {
			x.failure.before = append(x.failure.before, b)
		}
	}
}

// differ says in which part two answers differ first; "" when in none.
func differ(a, b answer) string {
	switch {
	case a.status != b.status:
		return fmt.Sprintf("status %d, not %d", b.status, a.status)
	case !maps.EqualFunc(a.header, b.header, slices.Equal):
		for name := range b.header {
			if !slices.Equal(a.header[name], b.header[name]) {
				return fmt.Sprintf("header %s: %q, not %q", name, b.header[name], a.header[name])
			}
		}
		return "a header is missing"
	case !bytes.Equal(a.body, b.body):
		i := 0
		for i < len(a.body) && i < len(b.body) && a.body[i] == b.body[i] {
			i++
		}
		cut := func(s []byte) []byte { return s[max(0, min(i-60, len(s))):min(i+100, len(s))] }
		return fmt.Sprintf("body at byte %d:\n   without ...%s...\n   with    ...%s...", i, cut(a.body), cut(b.body))
	}
	return ""
}

// told finds canaries in an answer to somebody who did not name them.
func (x *trial) told(q question, a answer) string {
	if names(q) || q.who.itself() {
		return ""
	}
	return canary(a)
}

// harvest learns what the worlds hold, at doors where nothing is withheld.
func (x *trial) harvest(pages bool) {
	rules := x.rules[len(x.rules)-1]
	all := [2]*words{newWords(), newWords()}
	backend := x.asker.all[7]
	for i, h := range x.house {
		d := h.under(x.t, rules)
		for _, p := range x.world.people {
			for _, typ := range told {
				all[i].learn(question{who: backend}, d.ask(question{who: backend, method: http.MethodGet, target: "/fhir/" + typ + "?_count=500&patient=" + p.id(), at: x.now}))
			}
		}
		for _, typ := range []string{"Patient", "Practitioner", "Organization", "Location", "Binary", "Medication", "Provenance", "Appointment", "Task", "Specimen", "Group"} {
			all[i].learn(question{who: backend}, d.ask(question{who: backend, method: http.MethodGet, target: "/fhir/" + typ + "?_count=500", at: x.now}))
		}
	}
	x.asker.known, x.asker.hidden = all[0], all[1].minus(all[0])
	if pages {
		x.asker.hidden.pages = x.crawl(x.house[1].under(x.t, rules))
	}
}

var told = []string{"Observation", "DiagnosticReport", "ServiceRequest", "DocumentReference", "Condition", "Encounter", "MedicationRequest", "MedicationStatement", "Immunization",
	"AllergyIntolerance", "Communication", "CarePlan", "Procedure", "List", "Composition", "ExplanationOfBenefit", "Coverage", "RelatedPerson"}

// crawl collects the addresses of pages as one of those who read them would see
// them if nothing were withheld: handles belong to a session.
func (x *trial) crawl(d door) map[string][]string {
	w := newWords()
	who := *x.asker.all[len(x.asker.all)-1-x.asker.IntN(3)]
	who.caller = who.crawler
	var todo []string
	ask := func(q question) {
		q.who, q.at = &who, x.now
		a := d.ask(q)
		if m := searchMade.FindString(a.header.Get("Location")); m != "" {
			a = d.ask(question{who: &who, method: http.MethodGet, target: m, at: x.now})
		}
		w.learn(q, a)
	}
	for _, p := range x.world.people {
		ask(question{method: http.MethodPost, target: "/find", form: url.Values{"number": {p.number}}.Encode()})
	}
	seen := map[string]bool{}
	for range 60 {
		todo = todo[:0]
		for _, a := range w.pages[who.name] {
			if strings.HasPrefix(a, "/p/") && !seen[a] {
				todo = append(todo, a)
			}
		}
		if len(todo) == 0 {
			break
		}
		a := todo[x.asker.IntN(len(todo))]
		seen[a] = true
		ask(question{method: http.MethodGet, target: a})
	}
	return w.pages
}

// TestAbsence: a gateway that was told secrets answers as one that never was.
func TestAbsence(t *testing.T) {
	t.Parallel()
	seeds, questions := size(t, 1)
	through := &coverage{}
	tries(t, seeds, questions, func(t testing.TB, seed uint64) *trial {
		x := newTrial(t, create(seed, 0), [2]side{without, with}, [2]string{})
		x.through = through
		return x
	})
	if len(seeds)*questions >= 8000 {
		through.check(t)
	}
}

// TestTwoSecrets: a gateway that was told secrets answers as one that was told
// others, of another kind, with other words, numbers and people.
func TestTwoSecrets(t *testing.T) {
	t.Parallel()
	seeds, questions := size(t, 8)
	tries(t, seeds, questions, func(t testing.TB, seed uint64) *trial {
		return newTrial(t, between(t, create(seed, 0), create(seed, 1)), [2]side{others, with}, [2]string{})
	})
}

// between is a world in which other has what else could have been secret.
func between(t testing.TB, w, other *world) *world {
	for i, e := range w.events {
		o := other.events[i]
		if !bytes.Equal(e.harmless, o.harmless) || e.at != o.at {
			t.Fatalf("seed %d: the two worlds are not alike", w.seed)
		}
		e.other = o.whole
	}
	return w
}

// TestCrowd: it makes no difference whether nobody or a thousand people are
// known from secrets alone. They have the name and birth date of somebody who
// is looked for, so that no search may stop at a limit before it filters.
func TestCrowd(t *testing.T) {
	t.Parallel()
	x := crowd(t)
	if f := x.failure; f != nil {
		t.Errorf("in a crowd: an answer tells of a secret.\n\nThen %s\n\n%s", f.ask, f.why)
	}
	x.close()
}

// crowd is that world, told and asked.
func crowd(t testing.TB) *trial {
	f := &forge{Rand: rand.New(rand.NewPCG(1, 1)), clock: dawn, pause: 20}
	for range 3 {
		f.person(false)
		f.people[len(f.people)-1].source = "lab"
	}
	for range 1200 {
		p := *f.people[f.IntN(3)]
		p.number, p.given, p.hidden = f.number("H"), f.canary(), true
		f.people = append(f.people, &p)
	}
	for i, p := range f.people {
		forms := []form{harmlessMessages[0], harmlessMessages[2], harmlessMessages[7]}
		if p.hidden {
			forms = []form{sensitiveMessages[i%3]}
		}
		for _, x := range forms {
			x.make(f, p)
			f.clock = dawn.Add(time.Duration(i) * time.Minute)
		}
	}
	f.arrive()
	x := newTrial(t, &f.world, [2]side{without, with}, [2]string{})
	for _, e := range f.events {
		x.tell(e)
	}
	x.traffic()
	x.world.people = x.world.people[:6] // whom to ask for
	x.harvest(false)
	x.interrogate(len(f.events)-1, 300)
	backend := x.asker.all[7]
	for _, target := range []string{
		"Patient?_sort=family", "Patient?_total=accurate", "Observation?_sort=-date&_count=3", "Observation?_count=2", "Patient?_lastUpdated=gt2026-01-01", "Patient?_lastUpdated=gt2026-01-01&_sort=_id",
		"Patient?family=" + f.people[0].family + "&birthdate=" + f.people[0].born[:4], "Patient?identifier=" + f.people[0].phn, "Patient?identifier=" + f.people[0].phn + "&_total=none", "Appointment?_summary=count",
	} {
		if x.failure == nil {
			x.compare(x.rules[0], question{who: backend, method: http.MethodGet, target: "/fhir/" + target, at: x.now}, len(f.events)-1)
		}
	}
	desk := x.asker.all[len(x.asker.all)-3] // at the pages
	for _, p := range f.people[:3] {
		for _, form := range []url.Values{{"number": {p.phn}}, {"family": {p.family}, "born": {p.born[:4] + "-" + p.born[4:6] + "-" + p.born[6:]}}} {
			if x.failure == nil {
				x.compare(x.rules[0], question{who: desk, method: http.MethodPost, target: "/find", form: form.Encode(), at: x.now}, len(f.events)-1)
			}
		}
	}
	return x
}

// tries runs a trial of each seed.
func tries(t *testing.T, seeds []uint64, questions int, make func(testing.TB, uint64) *trial) {
	var asked, noticed atomic.Int64
	var found atomic.Bool // one story is enough
	start := time.Now()
	t.Run("seed", func(t *testing.T) {
		for _, seed := range seeds {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				if found.Load() {
					return
				}
				x := make(t, seed)
				x.run(questions)
				asked.Add(int64(x.asked))
				noticed.Add(int64(x.noticed))
				x.close()
				for _, h := range x.house {
					if s := canaryIn(h.logged.Bytes()); s != "" {
						t.Error("the log holds ", s)
					}
				}
				if x.failure != nil && !found.Swap(true) {
					t.Error(x.failure.shrink(t))
				}
			})
		}
	})
	if noticed.Load() == 0 && !found.Load() {
		t.Error("no subscriber was told anything")
	}
	t.Logf("%d worlds, %d questions of both houses, %d notices of each in %v", len(seeds), asked.Load(), noticed.Load(), time.Since(start).Round(time.Second))
}

// size is how much is asked: what FIREBREAK_PROOF says, or else little. part
// tells how many worlds of a run one of its tests takes: each, every tenth.
func size(t *testing.T, part uint64) (seeds []uint64, questions int) {
	worlds := uint64(16)
	questions = 500
	s := os.Getenv("FIREBREAK_PROOF")
	if seed, err := strconv.ParseUint(s, 10, 64); err == nil {
		return []uint64{seed}, 2000
	}
	if s != "" {
		if _, err := fmt.Sscanf(s, "%dx%d", &worlds, &questions); err != nil {
			t.Fatalf("FIREBREAK_PROOF is %q, neither 200x2000 nor a seed", s)
		}
	}
	for seed := uint64(0); seed < worlds; seed += part {
		seeds = append(seeds, seed)
	}
	return seeds, questions
}
