package proof_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"firebreak/access"
	"firebreak/access/accesstest"
	"firebreak/internal/pgtest"
	"firebreak/policy"
)

// directive is what a patient says by Consent, and to whom it denies something.
type directive struct {
	name  string
	rule  func(masked obj) obj // the provision
	whom  []string             // audiences, by name; see everyone
	whole bool                 // it denies the person, not only the procedure
}

var (
	physicians = []string{"physician-by-app", "assistant-by-app", "app-for-one-patient", "app-for-observations", "app-for-some-results", "physician-at-the-pages", "assistant-at-the-pages"}
	nurses     = []string{"nurse-by-app", "app-that-searches"}
	workers    = []string{"social-worker-at-the-pages"}
	clinic     = slices.Concat(physicians, nurses, workers, []string{"pharmacist-by-app"})
	systems    = []string{"backend", "backend-for-results"}
	everyone   = slices.Concat(clinic, systems)
	strangers  = []string{"another-source", "nobody", "a-false-token"} // who see nothing of it, directive or not
)

func deny(actors arr, more obj) obj {
	rule := but(obj{"type": "deny"}, more)
	if actors != nil {
		rule["actor"] = actors
	}
	return rule
}

func actor(role, system, value string) obj {
	return obj{"role": obj{"coding": arr{obj{"code": role}}}, "reference": obj{"identifier": obj{"system": system, "value": value}}}
}

func receiver(system, value string) arr { return arr{actor("IRCP", system, value)} }

func plain(rule obj) func(obj) obj { return func(obj) obj { return rule } }

var (
	procedures   = obj{"class": arr{obj{"system": "http://hl7.org/fhir/resource-types", "code": "Procedure"}}}
	nurseRole    = receiver(policy.RoleSystem, string(access.Nurse))
	onePhysician = receiver(policy.PersonSystem, "p-physician")
)

var directives = []directive{
	{"one resource, everyone", func(r obj) obj {
		return deny(nil, obj{"data": arr{obj{"meaning": "related", "reference": to(r)}}})
	}, everyone, false},
	{"a type, a person", plain(deny(onePhysician, procedures)), physicians, false},
	{"a type, a role", plain(deny(nurseRole, procedures)), nurses, false},
	{"a type, everyone but a role", plain(deny(nil, but(procedures, obj{"provision": arr{obj{"type": "permit", "actor": nurseRole}}}))), slices.Concat(physicians, workers, systems, []string{"pharmacist-by-app"}), false},
	{"a code, a worksite", plain(deny(receiver(policy.WorksiteSystem, accesstest.Clinic.ID), obj{"code": arr{coded(local, "SUTURE", "")}})), clinic, false},
	{"a time, a role at the pages", plain(deny(receiver(policy.RoleSystem, string(access.SocialWorker)), but(procedures, obj{"dataPeriod": obj{"start": "2019", "end": "2019"}}))), workers, false},
	{"everything, everyone", plain(deny(nil, nil)), everyone, true},
	{"everything, a person", plain(deny(onePhysician, nil)), physicians, true},
	{"everything of a source, a role", plain(deny(append(arr{actor("CST", policy.SourceSystem, "ehr")}, nurseRole...), nil)), nurses, true},
	{"everything, who cannot be understood", plain(deny(arr{obj{"reference": obj{"display": "My neighbour"}}}, nil)), everyone, true},
}

// masked is a world in which a directive is always at work. For whom it denies
// something, the directive and that are the secret; for the others, it alone.
func masked(seed uint64, d directive, denied bool, variant int) *world {
	f := &forge{Rand: rand.New(rand.NewPCG(seed, 1215)), clock: dawn, variant: variant, pause: 200, turns: map[*form]int{}}
	for i, hidden := range []bool{false, d.whole && denied} {
		f.seed = uint64(5 - i) // a person of the ehr, see forge.person
		f.person(hidden)
	}
	slices.Reverse(f.people)
	f.seed = seed
	p, other := f.people[0], f.people[1]
	word := f.canary
	if !denied {
		word = func() string { return f.number("W") }
	}
	if p.hidden {
		f.hide(p, "the patient", f.patient(p, false))
	}
	scan := f.new(p, "Binary", true, obj{"contentType": "text/plain", "data": "aGVsbG8="})
	form := f.new(p, "DocumentReference", true, obj{"status": "current", "type": text("Form"), "content": arr{obj{"attachment": obj{"contentType": "text/plain", "url": "Binary/" + scan["id"].(string)}}}})
	r := f.new(p, "Procedure", denied, obj{"status": "completed", "code": coded(local, "SUTURE", "Suture of a wound"), "performedDateTime": "2019-02-17", "note": arr{obj{"text": word()}}})
	c := f.new(p, "Consent", true, obj{"patient": of(p), "status": "active", "scope": coded("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy", ""),
		"category": arr{text(f.canary())}, "sourceReference": to(form), "provision": d.rule(r)})
	delete(c, "subject")
	// No Practitioner of its own: one that an EHR sends is in its directory, and the directory is not the patient's.
	r["performer"] = arr{obj{"actor": obj{"display": word()}}}
	task := f.new(p, "Task", denied, obj{"status": "requested", "intent": "order", "for": of(p), "focus": to(r), "description": word()})
	about := f.new(p, "Task", true, obj{"status": "requested", "intent": "order", "for": of(p), "focus": to(c), "description": f.canary()})
	says := []entry{{scan, true}, {form, true}, {c, true}, {about, true}}
	matter := []entry{{r, denied}, {task, denied}}

	if p.hidden {
		f.bundle("the directive", says...)
		f.hide(p, "a result of who is denied", f.new(p, "Observation", true, obj{"status": "final", "code": coded(loinc, "2951-2", "Sodium"), "effectiveDateTime": "1994-02-18", "valueString": f.canary()}))
		f.bundle("a procedure", matter...)
	} else {
		f.pick(harmless, p)
		if f.IntN(2) == 0 {
			f.bundle("the directive", says...)
			f.bundle("a procedure", matter...)
		} else {
			f.bundle("the directive and a procedure in one transaction", slices.Concat(says, matter)...)
		}
		f.pick(harmless, p)
	}
	f.pick(harmless, other)
	f.hide(p, "the directive in other words", but(c, obj{"category": arr{text(f.canary())}}))
	if denied { // for others it says nothing either way
		first := f.hide(p, "the directive is withdrawn", but(c, obj{"status": "inactive"}))
		if f.IntN(2) == 0 {
			opening(first, f.hide(p, "the directive holds again", c))
		} else {
			gone := f.drop("the directive is deleted", c, true)
			gone.fact = f.tick()
			opening(first, f.hide(p, "the directive holds again", c))
		}
	} else {
		f.hide(p, "the directive is withdrawn", but(c, obj{"status": "inactive"}))
		f.hide(p, "the directive holds again", c)
	}
	f.pick(harmless, other)
	f.arrive()
	for _, e := range f.events {
		e.stays = e.secret() || e.mixed()
	}
	return &f.world
}

// asking are those who ask in a world where a directive is at work: of whom it
// denies something, or the others.
func (d directive) asking(x *trial, denied bool) {
	x.asker.asks = slices.DeleteFunc(slices.Clone(x.asker.all), func(a *audience) bool {
		return slices.Contains(d.whom, a.name) != denied && !slices.Contains(strangers, a.name)
	})
	x.others = slices.DeleteFunc(slices.Clone(x.asker.all), func(a *audience) bool { return a.pages() || slices.Contains(x.asker.asks, a) })
}

// maskedTrial is a world with a directive beside one without.
func maskedTrial(t testing.TB, seed uint64, d directive, denied bool, dsns [2]string) *trial {
	x := newTrial(t, masked(seed, d, denied, 0), [2]side{without, with}, dsns)
	d.asking(x, denied)
	return x
}

// everyDirective runs a trial of each directive, for those of whom it denies
// something and for the others; or for these and those in turns.
func everyDirective(t *testing.T, turns bool, make func(t testing.TB, seed uint64, d directive, denied bool) *trial) {
	for i, d := range directives {
		for _, denied := range []bool{true, false} {
			if turns && denied != (i%2 == 0) {
				continue
			}
			t.Run(fmt.Sprintf("%s/denied=%v", d.name, denied), func(t *testing.T) {
				t.Parallel()
				x := make(t, uint64(i), d, denied)
				x.run(160)
				x.close()
				if x.failure != nil {
					t.Error(x.failure.shrink(t))
				}
			})
		}
	}
}

// TestDirectives: to whom a directive denies something, a gateway that was told
// of both answers as one that was told of neither; to others, as one that was
// not told of the directive. What the directive says besides, and what it denies,
// makes no difference; nor does the database.
func TestDirectives(t *testing.T) {
	t.Parallel()
	everyDirective(t, false, func(t testing.TB, seed uint64, d directive, denied bool) *trial {
		return maskedTrial(t, seed, d, denied, [2]string{})
	})
	t.Run("two secrets", func(t *testing.T) {
		everyDirective(t, false, func(t testing.TB, seed uint64, d directive, denied bool) *trial {
			x := newTrial(t, between(t, masked(seed, d, denied, 0), masked(seed, d, denied, 1)), [2]side{others, with}, [2]string{})
			d.asking(x, denied)
			return x
		})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		everyDirective(t, true, func(t testing.TB, seed uint64, d directive, denied bool) *trial {
			return maskedTrial(t, seed, d, denied, [2]string{pgtest.DSN(t), pgtest.DSN(t)})
		})
	})
}
