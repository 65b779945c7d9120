package policy

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"slices"
	"strings"
	"sync"

	"firebreak/access"
	"firebreak/fhir"
	"firebreak/label"
)

// Policy says which audience sees what. It is immutable.
type Policy struct {
	version string
	file    file
	known   sync.Map // *standing by position: few, and asked for on every read
}

// position is all that a policy asks of a caller; the zero position is nobody's.
type position struct {
	audience      access.Audience
	role, forRole access.Role
	site, forSite string
	forAnother    bool
	app           bool   // by an app with a token, not a page
	source        string // that the client sends for
	glass         Glass
}

func positionOf(c access.Caller) position {
	at := position{audience: c.Audience(), role: c.Role(), site: c.Worksite().ID, app: c.Identity().Client() != "", source: c.Client().Source}
	var m access.Membership
	m, at.forAnother = c.OnBehalfOf()
	at.forRole, at.forSite = m.Role, m.Worksite
	return at
}

// standing is what a position comes to.
type standing struct {
	sight sight
	key   string
}

func (p *Policy) standing(g Glass, c access.Caller) *standing {
	at := positionOf(c)
	if at.glass = g; g != Intact {
		if _, ok := p.MayBreak(c); !ok {
			at.glass = Intact
		}
	}
	if s, ok := p.known.Load(at); ok {
		return s.(*standing)
	}
	s := &standing{sight: p.look(at)}
	s.key = p.keyOf(s.sight)
	p.known.Store(at, s)
	return s
}

// Version changes whenever the policy does: it is a hash of the file.
func (p *Policy) Version() string { return p.version }

// Key names what c may see: callers with equal keys see equal views of a
// chart. It is a cache key, and holds the policy's version and what granular scopes
// of the caller's token leave.
func (p *Policy) Key(c access.Caller) string { return p.KeyThrough(Intact, c) }

func (p *Policy) sight(c access.Caller) sight { return p.standing(Intact, c).sight }

func (p *Policy) keyOf(s sight) string {
	if s.nobody {
		return p.version + " nobody"
	}
	var b strings.Builder
	b.WriteString(p.version)
	if s.everything {
		b.WriteString(" *")
	}
	for _, l := range s.withhold {
		b.WriteString(" -" + string(l))
	}
	for _, r := range s.redact {
		b.WriteString(" /" + r)
	}
	if s.labels {
		b.WriteString(" labels")
	}
	if s.mute {
		b.WriteString(" mute")
	}
	if s.reviewed {
		b.WriteString(" reviewed")
		for _, source := range sortedNames(s.on) {
			fmt.Fprintf(&b, " %s@%s", s.on[source], base32.StdEncoding.EncodeToString([]byte(source)))
		}
	}
	for _, l := range s.override {
		b.WriteString(" ~" + string(l))
	}
	// Quoted: a source's name may hold anything.
	if s.own != "" {
		b.WriteString(" +" + base32.StdEncoding.EncodeToString([]byte(s.own)))
	}
	if s.only {
		b.WriteString(" only")
	}
	if s.across {
		b.WriteString(" across")
	}
	return b.String()
}

// sight is what one caller may see, in the end.
type sight struct {
	nobody     bool
	everything bool          // every label is withheld
	withhold   []label.Label // sorted
	redact     []string      // elements taken out, "Patient.photo", sorted
	labels     bool          // security labels and tags of the source are left in
	masks      bool          // what patients mask by directive is withheld
	mute       bool          // and the directives themselves
	mask       *mask         // by what they say of this caller; of one view
	reviewed   bool          // results are seen when they were reviewed
	on         map[string][]event
	override   []label.Label // withheld labels that give way when the patient asked
	own        string        // versions of this source are seen as they were sent
	only       bool          // and no others
	across     bool          // looks across patients: Groups that others sent are shown
	roster     *roster       // of the view of a Group; of one view
}

// look gives the caller's audience and whatever narrows it: the role, the
// worksite, the app used, the practitioner acted for. What several say adds up
// (CC-24: an effective right is what both may see).
func (p *Policy) look(at position) sight {
	if at.audience == "" {
		return sight{nobody: true}
	}
	s := sight{labels: true}
	switch at.audience {
	case access.Provider:
		p.narrow(&s, string(access.Provider), at.role, at.site, at.glass)
		if at.forAnother {
			p.narrow(&s, string(access.Provider), at.forRole, at.forSite, at.glass)
		}
		if at.app {
			p.narrow(&s, "smart-app", "", "", Intact)
		}
	case access.Backend:
		p.narrow(&s, string(access.Backend), "", "", Intact)
		s.own, s.across = at.source, true
	case access.Source:
		p.narrow(&s, string(access.Source), "", "", Intact)
		s.own, s.only = at.source, true
		s.nobody = s.nobody || s.own == ""
	default:
		p.narrow(&s, string(at.audience), "", "", Intact)
	}
	slices.Sort(s.withhold)
	s.withhold = slices.Compact(s.withhold)
	s.masks = s.holds(label.Masked)
	s.mute = s.mute || s.masks
	slices.Sort(s.redact)
	s.redact = slices.Compact(s.redact)
	return s
}

// narrow adds what an audience, and a role and worksite in it, may not see.
func (p *Policy) narrow(s *sight, audience string, role access.Role, worksite string, g Glass) {
	a, ok := p.file.Audiences[audience]
	if ok && a.As != "" {
		a, ok = p.file.Audiences[a.As]
	}
	if !ok || a.Enabled != nil && !*a.Enabled || audience == string(access.Provider) && !role.Clinical() {
		s.nobody = true
		return
	}
	hold := p.file.Unclassified
	if a.Unclassified != "" {
		hold = a.Unclassified
	}
	if hold != "release" {
		s.withhold = append(s.withhold, label.Unclassified)
	}
	s.labels = s.labels && a.LabelsShown
	s.mute = s.mute || slices.Contains(a.Withhold, string(label.Masked)) // what patients say stays theirs when the glass is broken
	s.add(a.BreakGlass.without(g, a.narrowing))
	if a.Release != nil {
		s.reviewed, s.on = true, a.Release.On
		for _, l := range a.Release.Override {
			s.override = append(s.override, label.Label(l))
		}
	}
	if n, ok := a.Roles[string(role)]; ok {
		s.add(n)
	}
	if n, ok := a.Worksites[worksite]; ok {
		s.add(n)
	}
}

func (s *sight) add(n narrowing) {
	for _, l := range n.Withhold {
		if l == "*" {
			s.everything = true
		} else {
			s.withhold = append(s.withhold, label.Label(l))
		}
	}
	for typ, elements := range n.Redact {
		for _, e := range elements {
			s.redact = append(s.redact, typ+"."+e)
		}
	}
}

// holds tells whether a label is withheld.
func (s *sight) holds(l label.Label) bool {
	return !l.Internal() && (s.everything || l == label.Unjudged || slices.Contains(s.withhold, l))
}

// conceals tells whether every matter of a message is withheld, and with them
// what it brought along.
func (s *sight) conceals(context label.Label) bool {
	for _, matter := range context.Matters() {
		if !slices.ContainsFunc(matter, s.holds) {
			return false
		}
	}
	return true
}

// VersionID is Released.VersionID of what a source sent itself, which it sees exactly
// as it sent it.
func VersionID(sent fhir.Resource) string { return digest(sent.JSON()) }

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:15]))
}
