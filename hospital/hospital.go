// Package hospital is a synthetic hospital with two laboratories: it makes
// people who never lived and sends what an EHR would send about them, as
// HL7 v2.5.1. The demo, the browser tests and the bench are fed by it, through
// the same MLLP adapter as any real feed.
//
// Everything is drawn from one seed, so the same seed and day give the same
// bytes. The first person, AYAN, has a full chart with sensitive results in every
// form a laboratory writes them; the Secrets of that chart are listed so that
// a test can look for them.
package hospital

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Zone is the hospital's time zone.
const Zone = "America/Vancouver"

// Secrets are words that stand in AYAN's chart only inside sensitive results.
// None may reach a community provider, by any page or answer.
var Secrets = []string{
	"56888-1", "HIV-CANARY-CODE", "HIV-CANARY-PANEL", "HIV-CANARY-TEXT", "HIV-CANARY-PDF", "HCG-CANARY", "CARCINOMA-CANARY",
}

// Person is one of the hospital's patients.
type Person struct {
	MRN, PHN      string // medical record number; personal health number, ten digits from 9
	Family, Given string
	Sex           string // HL7 table 0001: F, M
	Born          time.Time
	Street, City  string
	Phone         string
	Kin           string // next of kin's given name
}

// Message is one message on its way: when it leaves, and its bytes.
type Message struct {
	At   time.Time
	From string // sending facility, MSH-4
	Body []byte
}

// Hospital draws people and their histories.
type Hospital struct {
	seed   uint64
	now    time.Time
	zone   *time.Location
	People []Person
}

// New makes a hospital with n people, whose histories end at now. n may be
// large: people are cheap, and histories are drawn one at a time.
func New(seed uint64, n int, now time.Time) *Hospital {
	zone, err := time.LoadLocation(Zone)
	if err != nil {
		zone = time.FixedZone("PST", -8*3600)
	}
	h := &Hospital{seed: seed, now: now.In(zone).Truncate(time.Minute), zone: zone, People: make([]Person, n)}
	for i := range h.People {
		h.People[i] = h.person(i)
	}
	return h
}

func (h *Hospital) random(i int, purpose uint64) *rand.Rand {
	return rand.New(rand.NewPCG(h.seed*1_000_003+uint64(i), purpose))
}

func (h *Hospital) person(i int) Person {
	r := h.random(i, 1)
	p := Person{
		MRN:    fmt.Sprintf("GH%07d", 1_000_000+i),
		PHN:    phn(i),
		Family: pick(r, families), Sex: "F",
		Born:   time.Date(1936+r.IntN(85), time.Month(1+r.IntN(12)), 1+r.IntN(28), 0, 0, 0, 0, h.zone),
		Street: fmt.Sprintf("%d %s", 10+r.IntN(980), pick(r, streets)),
		City:   pick(r, cities),
		Phone:  fmt.Sprintf("604555%04d", 100+i%9900),
		Kin:    pick(r, givenM),
	}
	if r.IntN(2) == 0 {
		p.Sex, p.Given = "M", pick(r, givenM)
	} else {
		p.Given = pick(r, givenF)
	}
	if i == 0 {
		p.Family, p.Given, p.Sex = "Ayan", "Test", "F"
		p.Born = time.Date(1971, 2, 3, 0, 0, 0, 0, h.zone)
	}
	return p
}

// phn is a health number of the shape British Columbia uses (ten digits from
// 9), outside the range that is issued: the second digit is 0.
func phn(i int) string { return fmt.Sprintf("90%08d", i) }

// Messages gives everything about every person, oldest first, as the feeds
// would have sent it. It holds all of it in memory: for small hospitals.
func (h *Hospital) Messages() []Message {
	var all []Message
	for i := range h.People {
		all = append(all, h.History(i)...)
	}
	slices.SortStableFunc(all, func(a, b Message) int { return a.At.Compare(b.At) })
	return all
}

// Secret tells whether person i has sensitive results.
func (h *Hospital) Secret(i int) bool { return i == 0 || i%7 == 3 }

// History gives everything about person i, oldest first.
func (h *Hospital) History(i int) []Message {
	w := writer{h: h, p: h.People[i], r: h.random(i, 2), index: i}
	w.register()
	visits := 1 + w.r.IntN(3)
	rounds := 2 + w.r.IntN(5)
	if i == 0 {
		visits, rounds = 3, 24
	}
	for v := range visits {
		w.stay(h.now.AddDate(0, 0, -(20 + 240*v + w.r.IntN(60))))
	}
	for n := range rounds {
		w.bloods(h.now.AddDate(0, 0, -(3+n*45+w.r.IntN(12))), rounds-n)
	}
	w.imaging(h.now.AddDate(0, 0, -(12 + w.r.IntN(80))))
	w.letter(h.now.AddDate(0, 0, -(9 + w.r.IntN(50))))
	w.appointments()
	if h.Secret(i) {
		w.sensitive()
	}
	slices.SortStableFunc(w.out, func(a, b Message) int { return cmp.Compare(a.At.UnixNano(), b.At.UnixNano()) })
	for n := range w.out {
		w.out[n].Body = bytes.Replace(w.out[n].Body, []byte(controlID), fmt.Appendf(nil, "%d%08x", i, w.r.Uint32()), 1)
	}
	return w.out
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

var (
	families = []string{"Abara", "Belov", "Castellan", "Dhaliwal", "Eriksen", "Fontaine", "Gagnon", "Haddad", "Ito", "Jansen", "Kowalski", "Lavoie", "Marchetti", "Nakamura", "Okafor", "Petrov", "Quispe", "Rahman", "Sandhu", "Tremblay", "Ueda", "Van Dyk", "Wójcik", "Xu", "Yusuf", "Zamora", "Émond", "O'Hara"}
	givenF   = []string{"Amelia", "Beatriz", "Chloé", "Divya", "Elena", "Farah", "Grace", "Hana", "Ingrid", "Jasmin", "Katya", "Leila", "Mei", "Nadia", "Odile", "Priya", "Rosa", "Simone", "Tara", "Yuki"}
	givenM   = []string{"Anton", "Bruno", "Carlos", "Davinder", "Emil", "François", "Goran", "Hugo", "Ivan", "Jonas", "Karim", "Luca", "Mateo", "Nils", "Omar", "Pavel", "Rafael", "Stefan", "Tomás", "Viktor"}
	streets  = []string{"Arbutus Street", "Birch Lane", "Cedar Crescent", "Dogwood Avenue", "Elm Place", "Fir Street", "Garry Oak Road", "Hemlock Way"}
	cities   = []string{"Vancouver", "Burnaby", "Surrey", "Richmond", "Nanaimo", "Kamloops"}
	doctors  = []string{"D1001^Moreau^Anne^^^Dr", "D1002^Singh^Harpreet^^^Dr", "D1003^Lindqvist^Maria^^^Dr", "D1004^Okoye^Samuel^^^Dr", "D1005^Chan^Winston^^^Dr"}
	wards    = []string{"4W^412^1^General Hospital", "5E^508^2^General Hospital", "3N^301^1^General Hospital"}
	reasons  = []struct{ code, text string }{
		{"I10", "Essential (primary) hypertension"}, {"E11.9", "Type 2 diabetes mellitus without complications"},
		{"J18.9", "Pneumonia, unspecified organism"}, {"I50.9", "Heart failure, unspecified"},
		{"N39.0", "Urinary tract infection, site not specified"}, {"K35.80", "Unspecified acute appendicitis"},
	}
	allergies = []struct{ code, text, severity, reaction string }{
		{"7980", "Penicillin", "MO", "rash"}, {"2670", "Codeine", "MI", "nausea"}, {"1191", "Aspirin", "SV", "wheeze"},
	}
)
