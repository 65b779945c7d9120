package registry

import _ "embed"

//go:embed demo.json
var demo []byte

// Demo is the registry of the demo. Its subjects are the usernames of
// auth/demoidp; everyone in it is invented.
func Demo() (Seed, error) { return ParseSeed("demo.json", demo) }

// Usual is where the person works in the first place: what demo.json lists and
// what the demo's tokens name.
func (s Seed) Usual(p SeedPerson) (SeedMembership, SeedWorksite) {
	if len(p.Memberships) == 0 {
		return SeedMembership{}, SeedWorksite{}
	}
	for _, w := range s.Worksites {
		if w.ID == p.Memberships[0].Worksite {
			return p.Memberships[0], w
		}
	}
	return p.Memberships[0], SeedWorksite{}
}
