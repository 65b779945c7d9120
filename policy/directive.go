package policy

import (
	"fmt"
	"slices"
	"strings"

	"firebreak/chart"
	"firebreak/fhir"
	"firebreak/label"
)

// A patient says by a Consent who may not see what: a disclosure directive. It
// is part of the chart and governs it, with those merged into it, from the next
// request on. What it denies is withheld from those whose audience withholds
// "masked", whatever their role; what it permits is only ever an exception to
// what a Consent denies. What cannot be understood denies.
//
// Source: FHIR R4 Consent, http://hl7.org/fhir/R4/consent.html, privacy consent
// directive.

// Systems of the identifiers by which a directive names somebody the registry
// knows, a kind of them, or who keeps the data.
const (
	PersonSystem   = "urn:firebreak:person"   // id of the registry
	WorksiteSystem = "urn:firebreak:worksite" // id of the registry
	RoleSystem     = "urn:firebreak:role"     // access.Role
	SourceSystem   = "urn:firebreak:source"   // feed or pushing client's source
	LabelSystem    = "urn:firebreak:label"    // of the policy file
)

// directives are the Consents of one chart that are in force.
type directives struct {
	roots  []*provision
	refs   map[fhir.Ref]bool // all privacy Consents, in force or not, and the forms they were made from
	unread []Unread
	nodes  int
}

// Unread is a part of a Consent that was not understood, and so denies.
type Unread struct {
	Consent fhir.Ref
	Path    string // "provision.actor[0]"
}

// provision is a rule and the exceptions from it.
type provision struct {
	n       int // its number among all of the chart
	effect  effect
	strange maybe // yes; unsure when something in it was not understood

	period   during
	actors   []actor // any; empty: everyone
	actions  maybe
	purposes maybe

	// Each list is of alternatives; empty: whatever it is. Beside it stands
	// whether an alternative was not understood.
	sources     []string
	types       []string
	otherType   maybe
	labels      []label.Label
	otherLabel  maybe
	codings     []coding
	otherCoding maybe
	data        []fhir.Ref
	dates       *during

	nested []*provision
}

type effect uint8

const (
	silent effect = iota
	permits
	denies
)

type coding struct{ system, code string }

// actor is somebody a rule is about: one of a kind, or nobody that is known.
type actor struct {
	system, value string // one of the systems above; empty: not understood
}

// directives reads the directives of a chart; nil when there is none.
func (p *Policy) directives(ch chart.Chart) *directives {
	at, ok := slices.BinarySearchFunc(ch.Histories, "Consent", func(h chart.History, typ string) int { return strings.Compare(h[0].Resource().Type(), typ) })
	if !ok {
		return nil
	}
	d := &directives{refs: map[fhir.Ref]bool{}}
	for _, h := range ch.Histories[at:] {
		r := h[0].Resource()
		if r.Type() != "Consent" {
			break
		}
		if h[0].Deleted || !isPrivacy(r) {
			continue
		}
		d.refs[r.Ref()] = true
		for _, l := range h[0].Links() {
			if l.Element == "sourceReference" {
				d.refs[l.To] = true
			}
		}
		if r.Get("status").Is("active") {
			(&reading{d: d, p: p, ch: ch, consent: r}).consentOf()
		}
	}
	if len(d.refs) == 0 {
		return nil
	}
	return d
}

// isPrivacy tells whether a Consent is about disclosure: by its scope, or
// because its scope is none of the others.
// Source: http://terminology.hl7.org/CodeSystem/consentscope.
func isPrivacy(r fhir.Resource) bool {
	other := false
	for c := range r.All("scope.coding") {
		switch c.Get("code").Text() {
		case "patient-privacy":
			return true
		case "adr", "research", "treatment":
			other = true
		}
	}
	return !other
}

// reading reads one Consent.
type reading struct {
	d       *directives
	p       *Policy
	ch      chart.Chart
	consent fhir.Resource
}

func (x *reading) strange(path string) maybe {
	x.d.unread = append(x.d.unread, Unread{x.consent.Ref(), path})
	return unsure
}

func (x *reading) make() *provision {
	x.d.nodes++
	return &provision{n: x.d.nodes - 1, strange: yes, actions: yes, purposes: yes}
}

// consentOf makes the tree of a Consent: the base rule, and its provision as
// the exception from it.
func (x *reading) consentOf() {
	base := x.make()
	rule, said, strange := x.consent.Get("policyRule"), false, !x.consent.Get("modifierExtension").IsZero()
	for c := range rule.All("coding") {
		switch c.Get("code").Text() { // http://terminology.hl7.org/ValueSet/v3-ActConsentDirective
		case "OPTIN", "OPTINR", "IMPLIED", "IMPLIEDD":
			said = true
		case "OPTOUT", "OPTOUTE":
			base.effect, said = denies, true
		}
	}
	n := x.consent.Get("provision")
	if n.Kind() == '{' {
		base.nested = append(base.nested, x.provision(n, "provision", true))
	}
	if empty := n.Get("type").IsZero() && n.Get("provision").IsZero(); strange || !said && (empty || !rule.IsZero()) {
		x.strange("policyRule")
		if strange || empty {
			base.effect, base.nested = denies, nil
		}
	}
	x.d.roots = append(x.d.roots, base)
}

func (x *reading) provision(n fhir.Node, path string, root bool) *provision {
	v := x.make()
	switch typ := n.Get("type"); {
	case typ.Is("deny"):
		v.effect = denies
	case typ.Is("permit"):
		v.effect = permits
	case !root || !typ.IsZero():
		v.effect = denies
		x.strange(path + ".type")
	}
	for name, e := range n.Members() {
		at := path + "." + name
		switch name {
		case "type", "id", "extension":
		case "period":
			if v.period = readDuring(e); v.period.broken {
				x.strange(at)
			}
		case "actor":
			x.actors(v, e, at)
		case "action":
			v.actions = x.words(e, at, map[string]maybe{"access": yes, "use": yes, "disclose": yes, "collect": no, "correct": no})
		case "purpose":
			v.purposes = x.purposes(e, at)
		case "securityLabel":
			for i, c := range list(e) {
				if labels := x.label(c); labels != nil {
					v.labels = append(v.labels, labels...)
				} else {
					v.otherLabel = x.strange(fmt.Sprintf("%s[%d]", at, i))
				}
			}
		case "class":
			for i, c := range list(e) {
				if typ := c.Get("code").Text(); fhir.IsType(typ) && (c.Get("system").IsZero() || c.Get("system").Is("http://hl7.org/fhir/resource-types")) {
					v.types = append(v.types, typ)
				} else {
					v.otherType = x.strange(fmt.Sprintf("%s[%d]", at, i))
				}
			}
		case "code":
			for i, c := range list(e) {
				before := len(v.codings)
				for k := range c.All("coding") {
					if k.Get("code").Text() != "" {
						v.codings = append(v.codings, coding{k.Get("system").Text(), k.Get("code").Text()})
					}
				}
				if len(v.codings) == before {
					v.otherCoding = x.strange(fmt.Sprintf("%s[%d]", at, i))
				}
			}
		case "dataPeriod":
			d := readDuring(e)
			if v.dates = &d; d.broken {
				x.strange(at)
			}
		case "data":
			for i, c := range list(e) {
				to, ok := fhir.ParseRef(c.Get("reference").Get("reference").Text())
				switch m := c.Get("meaning").Text(); {
				case ok && (m == "instance" || m == "related" || m == "dependents"):
					v.data = append(v.data, to)
				default:
					v.strange = x.strange(fmt.Sprintf("%s[%d]", at, i))
				}
			}
		case "provision":
			for i, c := range list(e) {
				v.nested = append(v.nested, x.provision(c, fmt.Sprintf("%s[%d]", at, i), false))
			}
		default: // modifierExtension, and what R4 does not have
			v.strange = x.strange(at)
		}
	}
	return v
}

// list is the items of an array, or the value itself where it should be one.
func list(n fhir.Node) []fhir.Node {
	if n.Kind() != '[' {
		return []fhir.Node{n}
	}
	return slices.Collect(n.Items())
}

// words tells whether any of some CodeableConcepts means us.
func (x *reading) words(n fhir.Node, at string, known map[string]maybe) maybe {
	any := no
	for i, c := range list(n) {
		found := false
		for k := range c.All("coding") {
			if m, ok := known[k.Get("code").Text()]; ok {
				any, found = any.or(m), true
			}
		}
		if !found {
			any = any.or(x.strange(fmt.Sprintf("%s[%d]", at, i)))
		}
	}
	return any
}

// purposes tells whether any purpose is direct care, the only one there is here.
func (x *reading) purposes(n fhir.Node, at string) maybe {
	any := no
	for i, c := range list(n) {
		switch code := c.Get("code").Text(); code {
		case "TREAT":
			any = yes
		case "HMARKT", "HRESCH", "HOPERAT", "HPAYMT", "PUBHLTH", "HSYSADMIN", "HLEGAL", "PATADMIN", "MARKETING", "DONAT", "FRAUD", "GOV", "HACCRED", "HCOMPL", "HDECD", "HDIRECT", "HDM", "HOUTCOMS", "HPRGRP", "HQUALIMP", "MEMADMIN", "RECORDMGT", "SYSDEV", "TRAIN", "CLINTRCH", "DISASTER", "THREAT", "PATRQT", "FAMRQT", "PWATRNY", "SUPNWK":
		default: // ETREAT and BTG among them: who breaks the glass has another rule
			any = any.or(x.strange(fmt.Sprintf("%s[%d]", at, i)))
		}
	}
	return any
}

// label reads a security label: our name of it, or a code that the policy file
// gives to labels.
func (x *reading) label(c fhir.Node) []label.Label {
	system, code := c.Get("system").Text(), c.Get("code").Text()
	var all []label.Label
	for name, m := range x.p.file.Labels {
		switch {
		case system == LabelSystem && name == code, system != LabelSystem && m.Security != "" && m.Security == code,
			system != LabelSystem && code == "R" && m.Confidentiality != "", system != LabelSystem && code == "V" && m.Confidentiality == "V":
			all = append(all, label.Label(name))
		}
	}
	return all
}

// actors reads whom a rule is about, and whose data.
func (x *reading) actors(v *provision, n fhir.Node, at string) {
	for i, a := range list(n) {
		system, value := x.identify(a.Get("reference"))
		role := no
		for k := range a.Get("role").All("coding") {
			switch k.Get("code").Text() { // http://terminology.hl7.org/CodeSystem/v3-RoleCode, v3-ParticipationType
			case "PRCP", "IRCP":
				role = role.or(sure(system != SourceSystem))
			case "CST", "AUT":
				role = role.or(sure(system == SourceSystem))
			}
		}
		switch {
		case role == no || system == "":
			v.actors = append(v.actors, actor{})
			x.strange(fmt.Sprintf("%s[%d]", at, i))
		case system == SourceSystem:
			v.sources = append(v.sources, value)
		default:
			v.actors = append(v.actors, actor{system, value})
		}
	}
}

// identify finds our identifier in a reference, or in the resource of this
// chart or contained in the Consent that it points at.
func (x *reading) identify(r fhir.Node) (system, value string) {
	known := func(id fhir.Node) bool {
		switch s := id.Get("system").Text(); s {
		case PersonSystem, WorksiteSystem, RoleSystem, SourceSystem:
			system, value = s, id.Get("value").Text()
		}
		return value != ""
	}
	if known(r.Get("identifier")) {
		return system, value
	}
	to := r.Get("reference").Text()
	if inside, ok := strings.CutPrefix(to, "#"); ok {
		for c := range x.consent.All("contained") {
			if c.Get("id").Is(inside) {
				for id := range c.All("identifier") {
					if known(id) {
						return system, value
					}
				}
			}
		}
		return "", ""
	}
	ref, ok := fhir.ParseRef(to)
	if !ok {
		return "", ""
	}
	for _, h := range x.ch.Histories {
		if h[0].Resource().Ref() == ref && !h[0].Deleted {
			for id := range h[0].Resource().All("identifier") {
				if known(id) {
					return system, value
				}
			}
		}
	}
	return "", ""
}

// Unread lists what was not understood in the Consents of a chart. It denies,
// so somebody should mend it.
func (p *Policy) Unread(ch chart.Chart) []Unread {
	if d := p.directives(ch); d != nil {
		return d.unread
	}
	return nil
}
