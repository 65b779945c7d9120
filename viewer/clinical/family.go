package clinical

import (
	"cmp"
	"slices"

	"firebreak/fhir"
)

// Relative is a FamilyMemberHistory: one of the family, and what they had.
type Relative struct {
	Origin
	Kin  string
	Dead bool
	Had  []Illness
}

// Illness is what a relative had.
type Illness struct {
	Name string
	At   string // the age at which it began: "57 a"
	Died bool   // it contributed to the death
}

func (c *Chart) readFamily() {
	for _, x := range c.src.Of("FamilyMemberHistory") {
		r := x.Content()
		m := Relative{Origin: originOf(x), Kin: cmp.Or(concept(r.Get("relationship")).Name(), r.Get("name").Text())}
		for _, e := range []string{"deceasedDate", "deceasedAge", "deceasedRange", "deceasedString"} {
			m.Dead = m.Dead || !r.Get(e).IsZero()
		}
		m.Dead = m.Dead || r.Get("deceasedBoolean").Is("true")
		for had := range r.Get("condition").Items() {
			if name := concept(had.Get("code")).Name(); name != "" {
				m.Had = append(m.Had, Illness{Name: name, At: ageAt(had), Died: had.Get("contributedToDeath").Is("true")})
			}
		}
		if r.Get("status").Is("entered-in-error") || m.Kin == "" || len(m.Had) == 0 && !m.Dead {
			continue
		}
		c.Family = append(c.Family, m)
	}
	slices.SortStableFunc(c.Family, func(a, b Relative) int { return cmp.Or(cmp.Compare(a.Kin, b.Kin), cmp.Compare(a.Ref.ID, b.Ref.ID)) })
}

// ageAt is the age at which something began, a number with years where it says so.
func ageAt(had fhir.Node) string {
	age := had.Get("onsetAge")
	n := age.Get("value").Text()
	switch unit := cmp.Or(age.Get("code").Text(), age.Get("unit").Text()); {
	case n == "":
		return had.Get("onsetString").Text()
	case unit == "a" || unit == "":
		return n
	default:
		return n + " " + cmp.Or(age.Get("unit").Text(), unit)
	}
}
