package proof_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestForms: each way in which something sensitive is told, by itself among
// harmless things, and each harmless one, makes no difference. A form picks its
// words by chance, so each is told a few times.
func TestForms(t *testing.T) {
	t.Parallel()
	for _, group := range []struct {
		name  string
		forms []form
	}{{"harmless", harmless}, {"sensitive", sensitive}, {"mixed", mixed}} {
		for i, x := range group.forms {
			name := group.name + "/" + or(x.source, "hl7") + "/" + x.name
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				trial := newTrial(t, alone(uint64(i), x, group.name == "sensitive"), [2]side{without, with}, [2]string{})
				trial.run(160)
				trial.close()
				if trial.failure != nil {
					t.Error(trial.failure.shrink(t))
				}
			})
		}
	}
}

// alone is a world in which one form happens a few times, beside a few harmless
// ones.
func alone(seed uint64, x form, wholly bool) *world {
	f := &forge{Rand: rand.New(rand.NewPCG(seed, 1789)), clock: dawn, pause: 200, turns: map[*form]int{}}
	f.seed = seed
	for len(f.people) < 2 {
		f.person(false)
		p := f.people[len(f.people)-1]
		if (p.source == "ehr") != (x.source == "ehr") { // of the kind of source that tells so
			f.people, f.events = f.people[:len(f.people)-1], f.events[:0]
			f.seed++
		}
	}
	if wholly {
		p := *f.people[0]
		p.number, p.given, p.hidden = f.number("H"), f.canary(), true // somebody known from this alone
		f.people = append(f.people, &p)
	}
	for i, p := range f.people {
		if !p.hidden {
			f.pick(harmless, p)
			f.pick(harmless, p)
		}
		for range 2 - i%2 {
			x.make(f, p)
		}
	}
	f.arrive()
	return &f.world
}

// TestFormsHaveNames of their own, by which they are found.
func TestFormsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for i, forms := range [][]form{harmless, sensitive, mixed} {
		for _, x := range forms {
			key := fmt.Sprint(i, x.source, x.name)
			if seen[key] {
				t.Errorf("two forms are called %s", key)
			}
			seen[key] = true
		}
	}
}
