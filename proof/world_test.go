package proof_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"firebreak/inbox"
	"firebreak/mapping"
)

// dawn is when the first fact of a world becomes true; by noon all was told.
var (
	dawn = time.Date(2026, 3, 2, 16, 0, 0, 0, time.UTC)
	noon = time.Date(2026, 5, 4, 20, 0, 0, 0, time.UTC)
)

// mark begins every canary: it stands in everything that a sensitive event
// says, and nowhere else.
const mark = "Zqxjkvwq"

// event is something that happened, as a source tells it.
type event struct {
	what     string // for a person: "HIV test, named by its panel alone"
	source   string
	kind     inbox.Kind
	control  string
	fact     time.Time // when it became true
	at       time.Time // when it is told
	harmless []byte    // as told in the world without secrets; nil: not at all
	whole    []byte    // as told in the world with them; nil: not at all
	other    []byte    // as told in a world with another secret in its place; nil: as whole
	opens    bool      // until it closes again, the worlds differ by right: it is not known yet to be sensitive
	closes   bool
	pair     *event  // what it opens or closes
	stays    bool    // in a story cut down: without it the rest would not be secret
	replaced [2]bool // in the worlds without and with secrets, a document that is told takes its place
}

func (e *event) secret() bool { return e.harmless == nil }
func (e *event) mixed() bool  { return e.harmless != nil && string(e.harmless) != string(e.whole) }

// side is which of the worlds a house is in.
type side int

const (
	without side = iota // no secrets
	with                // secrets
	others              // other secrets
)

func (e *event) message(s side) (message, bool) {
	body := e.whole
	switch {
	case s == without:
		body = e.harmless
	case s == others && e.other != nil:
		body = e.other
	}
	return message{e.source, e.kind, e.control, e.at, body}, body != nil
}

// person is a patient as one source knows them.
type person struct {
	source    string
	number    string
	authority string
	phn       string
	family    string
	given     string
	born      string // YYYYMMDD
	sex       string
	street    string
	phone     string
	hidden    bool // known from sensitive events only
}

var keys = mapping.NewKeys(secret, sources...)

// id is the patient's, in every answer.
func (p *person) id() string {
	if p.source == "ehr" {
		return p.number
	}
	return keys.Patient(p.source, p.authority, p.number)
}

// world is what happened, in the order in which it is told.
type world struct {
	seed    uint64
	people  []*person
	events  []*event
	rosters []string // ids of Groups, also of those that nobody may know of
}

// forge makes a world.
type forge struct {
	*rand.Rand
	world
	variant int // other secrets, in a world that is otherwise the same
	n       int
	clock   time.Time
	pause   int // between messages, at most, in minutes
	turns   map[*form]int
}

// create makes the world of a seed, and variants of it with other secrets.
func create(seed uint64, variant int) *world {
	f := &forge{Rand: rand.New(rand.NewPCG(seed, 2027)), clock: dawn, variant: variant, pause: 200, turns: map[*form]int{}}
	f.seed = seed
	for range 3 + f.IntN(6) {
		f.person(false)
	}
	for range f.IntN(3) {
		f.person(true)
	}
	for i, p := range f.people {
		n := 2 + f.IntN(4)
		if i == 0 {
			n = 6 + f.IntN(8) // one chart is long
		}
		for range n {
			switch k := f.IntN(10); {
			case p.hidden || k >= 7:
				f.pick(sensitive, p)
			case k >= 5:
				f.pick(mixed, p)
			default:
				f.pick(harmless, p)
			}
		}
		if !p.hidden {
			f.pick(harmless, p)
		}
	}
	f.pick(sensitive, f.people[0])
	f.merge()
	f.move()
	f.arrive()
	return &f.world
}

// form is a way in which something happens and is told.
type form struct {
	name   string
	source string // "" for HL7 v2, "ehr" for pushed FHIR
	make   func(*forge, *person)
}

// pick makes one of the forms happen: mostly the one whose turn it is, and
// turns begin elsewhere with each seed, so that a few seeds see all of them.
func (f *forge) pick(forms []form, p *person) {
	fits := slices.DeleteFunc(slices.Clone(forms), func(x form) bool { return (x.source == "ehr") != (p.source == "ehr") })
	first := &forms[slices.IndexFunc(forms, func(x form) bool { return x.name == fits[0].name && x.source == fits[0].source })]
	n := f.IntN(len(fits))
	if f.IntN(4) > 0 {
		n = (int(f.seed)*4 + f.turns[first]) % len(fits)
		f.turns[first]++
	}
	fits[n].make(f, p)
}

func (f *forge) person(hidden bool) {
	f.n++
	p := &person{
		source: []string{"hospital", "ehr", "hospital", "lab"}[(len(f.people)+int(f.seed))%4], number: fmt.Sprint(70000 + f.n*17), authority: "MRN",
		phn: fmt.Sprint(9000000000 + int64(f.n)*104729), family: one(f, "Morgan", "Okafor", "Tremblay", "Singh", "Nguyen", "O'Neil", "Garcia-Lopez"),
		given: one(f, "Alex", "Sam", "Robin", "Kim", "Jo"), born: fmt.Sprintf("19%02d%02d%02d", 30+f.IntN(60), 1+f.IntN(12), 1+f.IntN(28)),
		sex: one(f, "F", "M"), street: fmt.Sprint(100+f.n, " Main Street"), phone: fmt.Sprintf("604-555-%04d", f.n), hidden: hidden,
	}
	if p.source == "ehr" {
		p.number = fmt.Sprint("ehr-", f.n)
	}
	if hidden {
		p.given, p.street = f.canary(), f.canary()
		if f.IntN(2) == 0 { // the same human, whom another source knows for harmless reasons
			q := f.people[f.IntN(len(f.people))]
			p.phn, p.family, p.born, p.sex = q.phn, q.family, q.born, q.sex
			if f.IntN(2) == 0 { // under the same name: a probable duplicate, of which nobody may be warned
				p.given = q.given
			}
		}
	} else if len(f.people) > 0 && f.IntN(4) == 0 { // a probable duplicate, of which everyone is warned
		q := f.people[f.IntN(len(f.people))]
		p.phn, p.family, p.given, p.born, p.sex = q.phn, q.family, q.given, q.born, q.sex
	}
	f.people = append(f.people, p)
	if p.source == "ehr" && !hidden {
		f.push(p, "a patient", f.patient(p, false))
	}
}

func one[T any](f *forge, all ...T) T { return all[f.IntN(len(all))] }

// canary is a word that stands nowhere else.
func (f *forge) canary() string {
	f.n++
	return fmt.Sprint(mark, f.n+f.variant*500_000)
}

// number is a number that nothing else has.
func (f *forge) number(prefix string) string {
	f.n++
	return fmt.Sprintf("%s%05d", prefix, 10000+f.n)
}

// tick is when the next fact becomes true.
func (f *forge) tick() time.Time {
	f.clock = f.clock.Add(time.Duration(7+f.IntN(300)) * time.Minute)
	return f.clock
}

func (f *forge) add(e *event) *event {
	if e.fact.IsZero() {
		e.fact = f.tick()
	}
	f.events = append(f.events, e)
	return e
}

// arrive puts events into the order in which they are told: mostly that of the
// facts, some late. What is pushed has no time but its arrival, and what opens
// must come before what closes it.
func (f *forge) arrive() {
	key := map[*event]time.Time{}
	for _, e := range f.events {
		key[e] = e.fact
		if (e.kind == inbox.HL7v2 || e.kind == inbox.CCDA) && !e.opens && !e.closes && f.IntN(4) == 0 {
			key[e] = e.fact.Add(time.Duration(f.IntN(96)) * time.Hour)
		}
	}
	slices.SortStableFunc(f.events, func(a, b *event) int { return cmp.Or(key[a].Compare(key[b]), cmp.Compare(a.control, b.control)) })
	at := noon.Add(-60 * 24 * time.Hour)
	for _, e := range f.events {
		if at = at.Add(time.Duration(1+f.IntN(f.pause)) * time.Minute); at.Before(e.fact) {
			at = e.fact.Add(time.Minute)
		}
		e.at = at
	}
	if !at.Before(noon) {
		panic(fmt.Sprintf("the world of seed %d ends at %v", f.seed, at))
	}
}

// pid is the patient as a message repeats them; a sensitive message may know
// more and other things of them than anyone else.
func (f *forge) pid(p *person, secret bool) string {
	given, street, phone, phn := p.given, p.street, p.phone, p.phn
	if secret && f.IntN(2) == 0 {
		given, street, phone = f.canary(), f.canary(), f.canary()
		if f.IntN(3) == 0 {
			phn = f.canary()
		}
	}
	return fmt.Sprintf("PID|1||%s^^^%s^MR~%s^^^BCPHN^JHN||%s^%s||%s|%s|||%s^^Vancouver^BC^V6B 1A1^CAN||%s", p.number, p.authority, phn, p.family, given, p.born, p.sex, street, phone)
}

// doctor is an XCN.
func (f *forge) doctor(secret bool) string {
	if secret {
		return fmt.Sprintf("%s^%s^%s^^^Dr", f.canary(), f.canary(), f.canary())
	}
	return one(f, "D100^Hodgkin^Mary^^^Dr", "D200^Osler^Will^^^Dr", "D300^Banting^Fred^^^Dr")
}

func (f *forge) letter(p *person, typ string, secret bool) letter {
	l := letter{typ: typ, app: "APP", facility: "GENERAL", control: f.number("M"), at: f.tick(), patient: f.pid(p, secret)}
	if p.source == "lab" {
		l.facility = "CITYLAB"
	}
	if secret {
		l.control = f.canary()
		if f.IntN(2) == 0 {
			l.app, l.facility = f.canary(), f.canary()
		}
	}
	switch f.IntN(3) {
	case 0:
		if secret {
			l.visit = f.visit(f.canary(), true)
		} else {
			l.visit = f.visit("V"+p.number, false)
		}
	case 1: // a visit that both kinds of message name
		l.visit = f.visit("V"+p.number, secret)
	}
	return l
}

// visit is a PV1.
func (f *forge) visit(number string, secret bool) string {
	ward, doctor, account := "WARD4^12^1", f.doctor(secret), "A1"
	if secret {
		ward, account = f.canary()+"^9^9", f.canary()
	}
	return fmt.Sprintf("PV1|1|I|%s||||%s|||||||||||%s|%s|||||||||||||||||||||||||20260301080000", ward, doctor, account, number)
}

// hl7 adds a message to the world: as it is and, when something in it or all of
// it is secret, without that.
func (f *forge) hl7(p *person, what string, l letter, secret bool) *event {
	e := &event{what: what, source: p.source, kind: inbox.HL7v2, control: l.control, fact: l.at, whole: l.text(true)}
	if !secret {
		e.harmless = l.text(false)
	}
	return f.add(e)
}

// order numbers a group.
func (f *forge) order(service string, secret bool) group {
	g := group{secret: secret, placer: f.number("P"), filler: f.number("F"), service: service, state: "F", doctor: f.doctor(secret), at: f.clock}
	if secret {
		g.placer, g.filler = f.canary(), f.canary()
		if f.IntN(2) == 0 {
			g.at = time.Date(1994, 2, 1+f.IntN(28), 10, f.IntN(60), f.IntN(60), 0, time.UTC) // a date that is a canary
		}
	}
	if f.IntN(2) == 0 {
		g.control = "RE"
	}
	return g
}

// opening joins two events: between them the worlds differ by right.
func opening(first, last *event) {
	first.opens, first.pair = true, last
	last.closes, last.pair = true, first
}

func story(b []byte) string {
	return strings.TrimRight(strings.ReplaceAll(string(b), "\r", "\n"), "\n")
}

// background is what every feed says all day about other people.
func background(at time.Time) []*event {
	var all []*event
	for _, source := range []string{"hospital", "lab", "ehr"} {
		at = at.Add(2 * time.Second)
		e := &event{what: "somebody else", source: source, kind: inbox.HL7v2, control: "B" + fmt.Sprint(at.Unix()), at: at}
		if source == "ehr" {
			e.kind = inbox.FHIR
			e.harmless = (&forge{}).put(e.control, obj{"resourceType": "Patient", "id": "other", "name": arr{obj{"family": "Other"}}})
		} else {
			l := letter{typ: "ADT^A31^ADT_A05", app: "APP", facility: "GENERAL", control: e.control, at: at, visit: "PV1|1|N",
				before: []string{"EVN|A31|" + hl7Time(at)}, patient: "PID|1||1^^^MRN^MR||Other^Other||19500101|F"}
			e.harmless = l.text(false)
		}
		e.whole = e.harmless
		all = append(all, e)
	}
	return all
}
