package policy

import (
	"slices"
	"strings"
	"time"

	"firebreak/access"
	"firebreak/chart"
	"firebreak/fhir"
	"firebreak/label"
)

// subject is somebody a rule may be about: the caller, or whom he acts for.
type subject struct {
	person, site string
	role         access.Role
}

// subjects are those whose rights a caller has: what both may see.
func subjectsOf(c access.Caller) []subject {
	all := []subject{{c.Person(), c.Worksite().ID, c.Role()}}
	if m, ok := c.OnBehalfOf(); ok {
		all = append(all, subject{m.Person, m.Worksite, m.Role})
	}
	return all
}

func (a actor) is(s subject) maybe {
	switch a.system {
	case PersonSystem:
		return sure(s.person != "" && a.value == s.person)
	case WorksiteSystem:
		return sure(s.site != "" && a.value == s.site)
	case RoleSystem:
		return sure(s.role != "" && a.value == string(s.role))
	}
	return unsure
}

// concerns tells whether a rule is about a subject now, whatever the resource.
func (v *provision) concerns(s subject, now time.Time) maybe {
	m := v.strange.and(v.actions).and(v.purposes).and(v.period.holds(now, now))
	if len(v.actors) > 0 {
		some := no
		for _, a := range v.actors {
			some = some.or(a.is(s))
		}
		m = m.and(some)
	}
	return m
}

// mask is the directives as they concern one caller now.
type mask struct {
	d    *directives
	each [][]maybe // by subject: by number of the provision
}

// of gives the mask for subjects now, and the key of it: subjects with equal
// keys have equal masks.
func (d *directives) of(all []subject, now time.Time) (*mask, string) {
	if d == nil {
		return nil, ""
	}
	m := &mask{d: d}
	var key strings.Builder
	for _, s := range all {
		each := make([]maybe, d.nodes)
		var walk func(*provision)
		walk = func(v *provision) {
			each[v.n] = v.concerns(s, now)
			for _, x := range v.nested {
				walk(x)
			}
		}
		for _, r := range d.roots {
			walk(r)
		}
		m.each = append(m.each, each)
	}
	slices.SortFunc(m.each, slices.Compare)
	m.each = slices.CompactFunc(m.each, slices.Equal)
	for _, each := range m.each {
		key.WriteByte('/')
		for _, x := range each {
			key.WriteByte("nuy"[x])
		}
	}
	return m, key.String()
}

// hides tells whether a directive denies a version to the caller.
func (m *mask) hides(x *chart.Version) bool {
	if m == nil {
		return false
	}
	for _, each := range m.each {
		for _, r := range m.d.roots {
			if r.decide(each, x, yes) == denies {
				return true
			}
		}
	}
	return false
}

// tells tells whether a resource is a directive itself, or the form it was made
// from. Nobody is told of it who may not see what is masked, whether it concerns
// him or not.
func (d *directives) tells(ref fhir.Ref) bool { return d != nil && d.refs[ref] }

// decide is what a rule and the exceptions from it say of a version. Among
// exceptions what denies wins.
func (v *provision) decide(each []maybe, x *chart.Version, around maybe) effect {
	own := each[v.n].and(v.covers(x))
	said := silent
	if v.effect == permits && own == yes || v.effect == denies && own.and(around) != no {
		said = v.effect
	}
	if own == no {
		return silent
	}
	except := silent
	for _, n := range v.nested {
		except = max(except, n.decide(each, x, own.and(around)))
	}
	if except != silent {
		return except
	}
	return said
}

// covers tells whether a rule is about such a resource, whoever looks.
func (v *provision) covers(x *chart.Version) maybe {
	r := x.Resource()
	m := yes
	if len(v.sources) > 0 {
		m = m.and(sure(slices.Contains(v.sources, x.Source)))
	}
	if len(v.types) > 0 || v.otherType != no {
		m = m.and(sure(slices.Contains(v.types, r.Type())).or(v.otherType))
	}
	if m == no {
		return no
	}
	// Who and where is seen through what names it, and the person's own record
	// is no matter of hers: what is said of matters does not cover them.
	matter := r.Type() != "Patient" && !needy[r.Type()]
	if len(v.labels) > 0 || v.otherLabel != no {
		m = m.and(sure(matter && slices.ContainsFunc(v.labels, func(l label.Label) bool { return x.Has(l) })).or(v.otherLabel.and(sure(matter))))
	}
	if len(v.codings) > 0 || v.otherCoding != no {
		m = m.and(sure(matter && v.coded(r)).or(v.otherCoding.and(sure(matter))))
	}
	if len(v.data) > 0 {
		m = m.and(sure(slices.Contains(v.data, r.Ref()) || slices.ContainsFunc(x.Links(), func(l label.Link) bool { return slices.Contains(v.data, l.To) })))
	}
	if v.dates != nil && m != no {
		if !matter {
			return no
		}
		begins, over, ok := happened(r)
		if !ok {
			return m.and(unsure)
		}
		m = m.and(v.dates.holds(begins, over))
	}
	return m
}

// coded tells whether a code of the rule stands anywhere in a resource.
func (v *provision) coded(r fhir.Resource) bool {
	found := false
	r.Root().Each(func(_ string, n fhir.Node) bool {
		if n.Kind() == '{' {
			code := n.Get("code")
			if code.Kind() == '"' {
				found = found || slices.ContainsFunc(v.codings, func(c coding) bool {
					return code.Is(c.code) && (c.system == "" || n.Get("system").Is(c.system))
				})
			}
		}
		return !found
	})
	return found
}

// dated are the elements that say when something happened, the first that is
// there counts.
var dated = []string{"effectiveDateTime", "effectivePeriod", "effectiveInstant", "performedDateTime", "performedPeriod", "occurrenceDateTime", "occurrencePeriod",
	"onsetDateTime", "onsetPeriod", "start", "period", "authoredOn", "whenHandedOver", "servicedDate", "sent", "issued", "date", "recordedDate", "dateTime", "started", "created", "received"}

// timed begin the names of elements that say when something happened in several
// ways, of which dated has those that are times.
var timed = []string{"effective", "performed", "occurrence", "onset"}

// ever ends what has not ended, as far as is known.
var ever = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// happened is between when something took place. What is said of that in words, by
// an age or as a schedule is not understood, whatever other dates there are.
func happened(r fhir.Resource) (begins, over time.Time, ok bool) {
	for name := range r.Root().Members() {
		if slices.ContainsFunc(timed, func(begin string) bool { return strings.HasPrefix(name, begin) }) && !slices.Contains(dated, name) {
			return begins, over, false
		}
	}
	for _, name := range dated {
		n := r.Get(name)
		switch n.Kind() {
		case '"':
			from, to, ok := readDate(n.Text())
			return from.early, to.late, ok
		case '{':
			from, _, ok := readDate(n.Get("start").Text())
			to := span{late: ever}
			if end := n.Get("end"); !end.IsZero() && ok {
				_, to, ok = readDate(end.Text())
			}
			return from.early, to.late, ok
		}
	}
	return begins, over, false
}
