package policy

import (
	"slices"

	"firebreak/access"
)

// Outline is an audience of the policy as a person reads it.
type Outline struct {
	Name      string
	About     string
	Open      bool   // somebody of this audience can come in
	As        string // sees what that audience sees
	Withholds []string
	Held      bool     // local codes nobody has classified are withheld
	Redacts   []string // "Patient.photo"
	Opens     []string // in an emergency, or for another reason
	OnlyThen  []string // in an emergency only
	Minutes   int
	Reviewed  bool       // results are shown when a clinician has reviewed them
	Events    []string   // besides a Task: "hospital: document-authenticated"
	Asked     []string   // withheld labels that give way when the patient asked
	Narrower  []Narrower // sorted
}

// Narrower is a role or worksite that sees less than its audience.
type Narrower struct {
	Kind, Name string // "role" or "worksite"
	Withholds  []string
	Redacts    []string
}

// Outlines are the policy's audiences, sorted by name.
func (p *Policy) Outlines() []Outline {
	var all []Outline
	for _, name := range sortedNames(p.file.Audiences) {
		a := p.file.Audiences[name]
		o := Outline{Name: name, About: a.About, Open: a.Enabled == nil || *a.Enabled, As: a.As, Withholds: a.Withhold, Redacts: redacted(a.Redact)}
		if o.As == "" {
			o.Held = p.file.Unclassified != "release"
			if a.Unclassified != "" {
				o.Held = a.Unclassified != "release"
			}
		}
		if b := a.BreakGlass; b != nil {
			o.Opens, o.OnlyThen, o.Minutes = b.Opens, b.EmergencyOnly, b.Minutes
		}
		if r := a.Release; r != nil {
			o.Reviewed, o.Asked = true, r.Override
			for _, source := range sortedNames(r.On) {
				for _, e := range r.On[source] {
					o.Events = append(o.Events, source+": "+string(e))
				}
			}
		}
		for _, kind := range []struct {
			name string
			of   map[string]narrowing
		}{{"role", a.Roles}, {"worksite", a.Worksites}} {
			for _, name := range sortedNames(kind.of) {
				o.Narrower = append(o.Narrower, Narrower{kind.name, name, kind.of[name].Withhold, redacted(kind.of[name].Redact)})
			}
		}
		all = append(all, o)
	}
	return all
}

func redacted(r map[string][]string) []string {
	var all []string
	for typ, elements := range r {
		for _, e := range elements {
			all = append(all, typ+"."+e)
		}
	}
	slices.Sort(all)
	return all
}

// Positions are those that a rule can be tried for: each audience that is not
// another's, and each role of a provider.
func (p *Policy) Positions() []Position {
	var all []Position
	for _, o := range p.Outlines() {
		if o.Name != string(access.Provider) {
			all = append(all, Position{Audience: access.Audience(o.Name)})
			continue
		}
		for _, role := range access.Roles() {
			if role.Clinical() {
				all = append(all, Position{Audience: access.Provider, Role: role})
			}
		}
	}
	return all
}
